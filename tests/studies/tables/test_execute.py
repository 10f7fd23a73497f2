"""Runs are trained, tested, resumed and stopped through the command lines (stand-ins here)."""

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dsr_nss.checkpoints.writing import content_digest
from dsr_nss.studies.tables.execute import STOPPED, execute
from dsr_nss.studies.tables.rows import table
from dsr_nss.studies.tables.runs import Run, Settings, inspect, note, read_facts, read_scores
from dsr_nss.studies.tables.table import Column

SETTINGS = Settings('nightscape', Path('out'), max_iters=4)
BANK, DSR = (
    next(row for row in table('3', 'nightscape').rows if row.name == name)
    for name in ('bank_hrda', 'dsr_hrda')
)
VAL, ACDC = Column('dark_zurich_val'), Column('acdc_night_val')
SCORES = {'bank_hrda_nightscape': 20.0, 'dsr_hrda_nightscape': 30.0}


@pytest.fixture
def runs(stubs):
    runs = [Run(row, 0, SETTINGS, (VAL, ACDC)) for row in (BANK, DSR)]
    stubs.behave(scores=SCORES)
    stubs.prepare(runs)
    return runs


def do(stubs, runs, jobs=1):
    """What went wrong, row by row."""
    ended = execute(runs, jobs=jobs, tools=stubs.root)
    return {run.row: error for run, error in ended.items()}


def test_everything_is_done_once(stubs, runs):
    assert list(do(stubs, runs, jobs=2).values()) == [None, None]
    assert sorted(stubs.calls()) == sorted(
        line
        for run in runs
        for line in (
            f'train {run.name} new',
            f'test {run.name} dark_zurich_val',
            f'test {run.name} acdc_night_val',
        )
    )
    assert read_scores(runs[1], ACDC)['mIoU'] == 30.0
    facts = read_facts(runs[0])
    assert (facts['iterations'], facts['seed'], facts['environment']['git_commit']) == (
        4, 0, 'c0ffee1234',
    )  # fmt: skip
    assert all(inspect(run).finished for run in runs)
    do(stubs, runs)
    assert stubs.calls() == []


def test_only_what_is_missing_is_done(stubs, runs):
    do(stubs, runs)
    stubs.calls()
    runs[0].score_file(VAL).unlink()
    (runs[1].folder / 'iter_4.pth').rename(runs[1].folder / 'iter_2.pth')
    (runs[1].folder / 'last_checkpoint').write_text('iter_2.pth')
    (runs[1].folder / 'run.json').unlink()
    do(stubs, runs)
    assert stubs.calls() == [
        f'test {runs[0].name} dark_zurich_val',
        f'train {runs[1].name} resume',
    ]


def test_statistics_of_batch_norms_are_tests_of_the_same_checkpoint(stubs, runs):
    do(stubs, runs)
    stubs.calls()
    columns = (VAL, Column('dark_zurich_val', 'adabn'), Column('dark_zurich_val', 'precise'))
    runs = [replace(run, columns=columns) for run in runs]
    assert list(do(stubs, runs).values()) == [None, None]
    assert stubs.calls() == [
        f'test {run.name} dark_zurich_val {kind}' for run in runs for kind in ('adabn', 'precise')
    ]
    assert [read_scores(runs[1], column)['mIoU'] for column in columns] == [30, 35, 33]


def test_a_network_without_batch_norms_has_no_such_test(stubs, runs):
    stubs.prepare(runs, batch_norms=False)
    runs = [replace(run, columns=(VAL, Column('dark_zurich_val', 'adabn'))) for run in runs]
    assert list(do(stubs, runs).values()) == [None, None]
    assert not any('adabn' in call for call in stubs.calls())
    assert all(inspect(run).finished for run in runs)


def test_details_are_measured_of_runs_that_were_scored_without_them(stubs, runs):
    do(stubs, runs)
    stubs.calls()
    runs = [replace(run, columns=(replace(VAL, detailed=True), ACDC)) for run in runs]
    assert list(do(stubs, runs).values()) == [None, None]
    assert stubs.calls() == [f'test {run.name} dark_zurich_val' for run in runs]
    assert all(inspect(run).finished for run in runs)
    runs[0].score_file(VAL).write_text('{"dark_zurich_val/mIoU": 20.0}')
    stubs.behave(scores=SCORES, fail=['dark_zurich_val'])
    assert do(stubs, runs)[BANK].endswith('error: a broken label')
    (runs[0].folder / 'iter_4.pth').unlink()
    assert inspect(runs[0]).finished  # nothing more can be had


def test_a_test_that_ended_in_its_report_is_done_again(stubs, runs):
    runs = [replace(run, columns=(replace(VAL, detailed=True),)) for run in runs]
    stubs.behave(scores=SCORES, no_report=['dark_zurich_val'])
    assert 'dark_zurich_val' in do(stubs, runs)[DSR]
    assert not inspect(runs[0]).finished
    stubs.calls()
    stubs.behave(scores=SCORES)
    assert list(do(stubs, runs).values()) == [None, None]
    assert stubs.calls() == [f'test {run.name} dark_zurich_val' for run in runs]


def test_scores_of_another_file_of_the_same_name_are_none(stubs, runs):
    do(stubs, runs)
    checkpoint = runs[0].folder / 'iter_4.pth'
    scores = json.loads(runs[0].score_file(VAL).read_text())
    assert Path(scores['checkpoint']) == checkpoint
    scores['content'] = content_digest(checkpoint)
    runs[0].score_file(VAL).write_text(json.dumps(scores))
    assert not inspect(runs[0]).missing
    content = torch.load(checkpoint)
    content['state_dict']['student.norm.running_mean'] += 1
    content['meta']['environment']['git_commit'] = 'another'
    torch.save(content, checkpoint)
    assert inspect(runs[0]).missing == (VAL,)
    note(runs[0], checkpoint)
    assert read_facts(runs[0])['environment']['git_commit'] == 'another'


def test_what_a_first_try_saw_does_not_count(stubs, runs):
    """The data were not there when the first call failed, and are when the second one trains."""
    info = Path('data/nightscape/nightscape.json')
    text = info.read_text()
    info.unlink()
    stubs.behave(scores=SCORES, fail=['bank_hrda_nightscape', 'dsr_hrda_nightscape'])
    assert all(error for error in do(stubs, runs).values())
    assert read_facts(runs[0])['data'] == {}
    info.write_text(text)
    stubs.behave(scores=SCORES)
    assert list(do(stubs, runs).values()) == [None, None]
    assert read_facts(runs[0])['data'] == {str(info): {'seed': 0}}


def test_another_start_under_the_same_name_is_another_run(stubs, runs):
    runs = [replace(run, row=replace(run.row, options=(('+load_from', 'a.pth'),))) for run in runs]
    stubs.prepare(runs)
    Path('a.pth').write_bytes(b'the first start')
    assert list(do(stubs, runs).values()) == [None, None]
    Path('a.pth').write_bytes(b'another start')
    assert 'started from another file of the name a.pth: move' in inspect(runs[0]).problem
    Path('a.pth').unlink()  # nothing to compare with
    assert inspect(runs[0]).finished


def test_scores_of_an_older_checkpoint_are_none(stubs, runs):
    do(stubs, runs)
    (runs[0].folder / 'iter_4.pth').rename(runs[0].folder / 'iter_6.pth')
    assert inspect(runs[0]).missing == (VAL, ACDC) and not inspect(runs[1]).missing


def test_scores_are_enough_when_the_checkpoint_was_removed(stubs, runs):
    do(stubs, runs)
    stubs.calls()
    (runs[0].folder / 'iter_4.pth').unlink()
    assert inspect(runs[0]).finished
    runs[0].score_file(VAL).unlink()
    assert 'has no checkpoint any more' in do(stubs, runs)[BANK]
    assert stubs.calls() == []


def test_a_failing_run_says_why_and_the_others_go_on(stubs, runs):
    stubs.behave(scores=SCORES, fail=['bank_hrda_nightscape', 'acdc_night_val'])
    errors = do(stubs, runs)
    assert errors[BANK].startswith(f'status 1 of: python tools/train.py {BANK.config} --work-dir')
    assert errors[BANK].endswith('a line of the log\nerror: no memory left')
    assert errors[DSR].endswith('error: a broken label')
    assert read_scores(runs[1], VAL)['mIoU'] == 30.0  # the other set was tested


def test_other_settings_in_the_same_folder_are_refused(stubs, runs):
    do(stubs, runs)
    (written,) = runs[0].folder.glob('*.py')
    text = written.read_text()
    assert 'lr=0.004' in text
    written.write_text(text.replace('lr=0.004', 'lr=0.002'))
    state = inspect(runs[0])
    assert 'other settings (optim_wrapper.optimizer.lr: 0.002 -> 0.004): move out' in state.problem
    assert not state.finished
    assert state.problem in do(stubs, runs)[BANK]
    written.unlink()
    assert 'holds no config' in inspect(runs[0]).problem


def test_another_start_is_another_run(stubs, runs):
    do(stubs, runs)
    (written,) = runs[0].folder.glob('*.py')
    text = written.read_text()
    assert 'load_from' not in text and 'resume = False' in text
    written.write_text(f"{text}load_from = 'start.pth'\n")
    assert 'other settings (load_from: start.pth -> None): move' in inspect(runs[0]).problem
    resumed = written.read_text().replace('resume = False', 'resume = True')
    written.write_text(resumed)  # it names what it was resumed from, not where it started
    assert inspect(runs[0]).finished


def test_data_that_were_made_anew_are_noticed(stubs, runs):
    do(stubs, runs)
    info = Path('data/nightscape/nightscape.json')
    info.write_text('{"seed": 1}')
    assert 'the data have been made anew' in inspect(runs[0]).problem
    info.unlink()  # others, which do not say how they were made
    assert 'the data have been made anew' in inspect(runs[0]).problem


def test_a_finished_run_needs_no_data_any_more(stubs, runs):
    do(stubs, runs)
    shutil.rmtree('data/nightscape')
    assert inspect(runs[0]).finished


def test_ctrl_c_lets_trainings_save_and_the_next_call_goes_on(stubs, runs):
    stubs.behave(scores=SCORES, wait=['bank_hrda_nightscape'])

    def interrupt():
        deadline = time.monotonic() + 60
        while not ended.is_set() and time.monotonic() < deadline:
            if (stubs.tools / 'waiting').exists():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    ended = threading.Event()
    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    try:
        errors = do(stubs, runs)
    finally:
        ended.set()
        thread.join()
    assert list(errors.values()) == [STOPPED, STOPPED]
    assert signal.getsignal(signal.SIGINT) is before
    assert inspect(runs[0]).done == 2 and not runs[1].folder.exists()  # it was not begun
    assert stubs.calls() == [f'train {runs[0].name} new']
    stubs.behave(scores=SCORES)
    assert list(do(stubs, runs).values()) == [None, None]
    assert stubs.calls()[0] == f'train {runs[0].name} resume'


def test_threads_and_gpus_are_shared_out(stubs, runs, monkeypatch):
    (stubs.tools / 'train.py').write_text(
        'import json, os, pathlib, sys\n'
        "names = ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES')\n"
        "folder = sys.argv[sys.argv.index('--work-dir') + 1]\n"
        "pathlib.Path(folder, 'env.json').write_text(json.dumps({n: os.environ[n] for n in names}))"
    )
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '2,5')
    monkeypatch.setattr('dsr_nss.studies.tables.execute.usable_cores', lambda: 8)
    assert all('ends with' in error for error in do(stubs, runs, jobs=2).values())
    seen = [json.loads((run.folder / 'env.json').read_text()) for run in runs]
    assert {s['OMP_NUM_THREADS'] for s in seen} == {'4'}
    assert {s['CUDA_VISIBLE_DEVICES'] for s in seen} <= {'2', '5'}


def test_modules_beside_a_config_are_found_as_by_the_command(stubs, runs, monkeypatch):
    (stubs.tools / 'train.py').write_text('import beside_my_config')
    Path('beside_my_config.py').write_text("print('found')\nraise SystemExit(3)")
    monkeypatch.setenv('PYTHONPATH', 'elsewhere')
    assert 'No module named' in do(stubs, runs)[BANK]
    monkeypatch.syspath_prepend(os.getcwd())  # `dsr-nss` puts it there
    error = do(stubs, runs)[BANK]
    assert error.startswith('status 3 of') and error.endswith('found')
