"""`tools/train.py` from the outside: what it writes, how it stops, resumes and fails."""

import errno
import os
import re
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from toy_runs import assert_same_state, start

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.config import read_config
from dsr_nss.engine.run_lock import RunLock

pytestmark = pytest.mark.usefixtures('one_thread')


def options(**fields):
    return ['--cfg-options', *(f'{k.replace("__", ".")}={v}' for k, v in fields.items())]


def test_a_run_from_start_to_end(train, tmp_path):
    code, printed = train('--work-dir', 'out', '--seed', 3)
    assert code == 0
    out = tmp_path / 'out'
    assert (out / 'last_checkpoint').read_text() == str(out / 'iter_6.pth')
    assert [path.name for path in out.glob('.*')] == ['.train.lock']
    line = next(line for line in printed.splitlines() if 'Iter 4/6' in line)
    for part in ('eta 0:', 'lr ', 'loss_source ', 'loss_mixed ', 'samples/s', 's/iter', 'memory '):
        assert part in line, part
    (whole,) = out.glob('*.py')
    assert f'python tools/test.py {whole} {out / "iter_6.pth"}' in printed
    assert list(out.rglob('events.out.tfevents.*'))
    page = (out / 'report.html').read_text()
    assert f'report: {out}/report.html' in printed and 'loss_mixed over iterations' in page
    meta = load_checkpoint_file(out / 'iter_6.pth')['meta']
    assert meta['environment']['torch'] == torch.__version__.split('+')[0]
    assert meta['seed'] == 3 and "type='ToyAdaptation'" in meta['cfg']
    assert torch.load(out / 'iter_3.pth', weights_only=False)['meta']['iter'] == 3


def test_a_run_with_an_overlay_and_another_length_leaves_its_whole_config(train, tmp_path):
    (tmp_path / 'slow.py').write_text('optim_wrapper = dict(optimizer=dict(lr=1e-4))')
    code, printed = train('--with', 'slow.py', '--max-iters', 3)
    assert code == 0
    (out,) = (tmp_path / 'work_dirs').iterdir()
    assert out.name == f'toy_{tmp_path.name}-slow' and (out / 'iter_3.pth').is_file()
    whole = read_config(out / f'{out.name}.py')  # it needs no overlay any more
    assert whole.optim_wrapper.optimizer.lr == 1e-4
    assert (whole.train_cfg.max_iters, whole.param_scheduler.warmup) == (3, 1)
    assert f'tools/test.py {whole.filename} ' in printed


def test_resumed_run_equals_the_unbroken_one_to_the_last_bit(train, tmp_path):
    assert train('--work-dir', 'whole')[0] == 0
    (tmp_path / 'parts').mkdir()
    shutil.copy('whole/iter_3.pth', 'parts/iter_3.pth')
    (tmp_path / 'parts/last_checkpoint').write_text('/gone/iter_3.pth')
    loaders = options(train_dataloader__num_workers=2)  # how data is loaded changes nothing
    assert train('--work-dir', 'parts', '--resume', *loaders)[0] == 0
    assert_same_state(tmp_path / 'whole/iter_6.pth', tmp_path / 'parts/iter_6.pth')


def test_a_resumed_run_has_lost_no_accumulated_gradients(train, tmp_path):
    """The checkpoint that is due after the third iteration waits for the step of the fourth."""
    twice = ['--cfg-options', '+optim_wrapper.accumulative_counts=2']
    assert train('--work-dir', 'whole', *twice)[0] == 0
    (tmp_path / 'parts').mkdir()
    shutil.copy('whole/iter_4.pth', 'parts/iter_4.pth')
    assert train('--work-dir', 'parts', '--resume', *twice)[0] == 0
    assert_same_state(tmp_path / 'whole/iter_6.pth', tmp_path / 'parts/iter_6.pth')


@pytest.mark.slow
def test_seed_changes_the_run(train, tmp_path):
    states = []
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        assert train('--work-dir', name, '--seed', seed, *options(train_cfg__max_iters=3))[0] == 0
        states.append(load_checkpoint_file(tmp_path / name / 'iter_3.pth')['state_dict'])
    weight = 'student.decode_head.weight'
    assert torch.equal(states[0][weight], states[1][weight])
    assert not torch.equal(states[0][weight], states[2][weight])


def test_mixed_precision_on_the_cpu(train, tmp_path):
    assert train('--work-dir', 'out', '--amp')[0] == 0
    state = load_checkpoint_file(tmp_path / 'out/iter_6.pth')['state_dict']
    assert state['student.decode_head.weight'].dtype is torch.float32
    if not torch.cuda.is_available():
        code, printed = train('--work-dir', 'other', '--amp', 'fp16')
        assert code == 2 and 'float16 needs a CUDA GPU' in printed


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(train, tmp_path):
    broken = options(**{'+model__break_at': 5})
    before = signal.getsignal(signal.SIGINT)
    code, printed = train('--work-dir', 'out', *broken)
    assert signal.getsignal(signal.SIGINT) is before
    assert code == 2
    assert 'error: loss_mixed is nan in iteration 5 ' in printed
    assert 'source_8.png' in printed and 'night_9.png' in printed
    assert 'Traceback' not in printed
    assert sorted(path.name for path in (tmp_path / 'out').glob('*.pth')) == ['iter_3.pth']
    code, printed = train('--work-dir', 'out', '--resume')
    assert code == 2 and '\n    model.break_at: 5 -> not stated\n' in printed
    assert train('--work-dir', 'out', '--resume', '--allow-changes')[0] == 0


def test_nan_in_the_iteration_of_a_checkpoint_is_not_saved(train, tmp_path):
    assert train('--work-dir', 'out', *options(**{'+model__break_at': 6}))[0] == 2
    assert sorted(path.name for path in (tmp_path / 'out').glob('*.pth')) == ['iter_3.pth']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cfg-options', 'model.widht=3'], 'model has no .widht'),
        (['--cfg-options', '+model.widht=3'], "gives ToyAdaptation the field 'widht'"),
        (['--cfg-options', 'model.type=Toy'], "names 'Toy', but no model of that name"),
        (['--work-dir', 'file/out'], 'cannot write to file/out'),
        (['--resume', 'gone.pth'], 'checkpoint not found: gone.pth'),
        (['--cfg-options', '+load_from=other.pth'], 'other.pth is a checkpoint of another model'),
        (['--cfg-options', '+load_from=file'], 'file is cut off'),
        (['--resume', 'other.pth'], 'it holds no message_hub, meta, optimizer'),
    ],
)
def test_bad_input_is_one_clear_line(train, tmp_path, arguments, message):
    (tmp_path / 'file').touch()
    torch.save({'state_dict': {'fc.weight': torch.zeros(3)}}, 'other.pth')
    code, printed = train(*arguments)
    assert code == 2
    errors = [line for line in printed.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1
    assert re.search(message, errors[0]), errors[0]
    assert 'Traceback' not in printed


def test_a_new_run_does_not_overwrite_an_earlier_one(train, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/iter_3.pth').write_text('the work of days')
    code, printed = train('--work-dir', 'out')
    assert code == 2 and 'error: out holds the checkpoints of an earlier run, up to' in printed
    code, printed = train('--work-dir', 'out', '--resume')
    assert code == 2 and '1 checkpoint(s), but none to continue from: ' in printed
    assert (tmp_path / 'out/iter_3.pth').read_text() == 'the work of days'


def test_another_config_or_seed_is_refused_or_goes_to_a_numbered_folder(train, tmp_path):
    short = options(train_cfg__max_iters=3, default_hooks__checkpoint__interval=9)
    assert train('--work-dir', 'my runs/a', *short)[0] == 0
    (tmp_path / 'my runs/a/iter_3.pth').unlink()  # as of a run that ended before its first one
    (config,) = (tmp_path / 'my runs/a').glob('*.py')
    written = config.read_text()
    code, printed = train('--work-dir', 'my runs/a', '--seed', 1, *short)
    assert code == 2 and '\n    randomness.seed: 0 -> 1\n' in printed
    assert printed.count('seed: ') == printed.count(' -> ') == 3  # of weights, data and steps
    assert config.read_text() == written
    code, printed = train('--work-dir', 'my runs/a', '--new', '--seed', 1, *short)
    assert code == 0 and (tmp_path / 'my runs/a-2/iter_3.pth').is_file()
    command = shlex.split(printed[printed.index('Test it with:\n') :].splitlines()[1])
    whole, checkpoint = map(Path, command[2:])
    assert checkpoint == tmp_path / 'my runs/a-2/iter_3.pth'
    assert read_config(whole).randomness.seed == 1


def test_nothing_is_written_by_a_run_that_cannot_start(train, tmp_path):
    before = sorted(tmp_path.rglob('*'))
    assert train('--work-dir', 'out', '--cfg-options', 'optim_wrapper.optimizer.lr=-1')[0] == 2
    assert sorted(tmp_path.rglob('*')) == before


def test_a_refused_resume_leaves_the_config_of_the_run(train, tmp_path):
    short = options(train_cfg__max_iters=3)
    assert train('--work-dir', 'out', *short)[0] == 0
    (config,) = (tmp_path / 'out').glob('*.py')
    written = config.read_text()
    assert train('--work-dir', 'out', '--resume', '--seed', 8, *short)[0] == 2
    assert config.read_text() == written


def test_a_second_run_in_the_work_dir_is_refused(train, tmp_path):
    (tmp_path / 'out').mkdir()
    with RunLock(tmp_path / 'out'):
        code, printed = train('--work-dir', 'out')
    assert code == 2 and f'error: out is in use: process {os.getpid()} on' in printed
    assert not list((tmp_path / 'out').glob('*.pth'))


@pytest.mark.parametrize('workers', [0, 1])
def test_bad_file_is_one_clear_line_from_a_worker_too(train, workers):
    broken = {'+train_dataloader__dataset__broken': 3, 'train_dataloader__num_workers': workers}
    code, printed = train(*options(**broken))
    assert code == 2
    assert 'error: source_3.png is cut off: fetch it again\n' in printed
    assert 'Traceback' not in printed


def test_resume_refuses_what_would_not_continue_the_run(train):
    assert train('--work-dir', 'out', *options(train_cfg__max_iters=3))[0] == 0
    resume = ['--work-dir', 'out', '--resume']
    code, printed = train(*resume, '--seed', 8, *options(**{'+model__width': 5}))
    assert code == 2 and 'add --allow-changes to go on with the new ones' in printed
    for line in (
        'model.width: not stated -> 5',
        'train_cfg.max_iters: 3 -> 6',
        'randomness.seed: 0 -> 8',
        'train_dataloader.dataset.seed: 0 -> 8',
    ):
        assert f'\n    {line}\n' in printed
    resume.append('--allow-changes')
    code, printed = train(*resume, *options(**{'+model__bank_size': 16}))
    assert code == 2 and 'memory bank has another size (bank.images: (3, 8, 8) saved' in printed
    code, printed = train(*resume, *options(**{'+model__width': 5}))
    assert code == 2 and 'checkpoint of another model' in printed


def test_allowed_changes_are_honoured_and_saved(train, tmp_path):
    assert train('--work-dir', 'out', *options(train_cfg__max_iters=3))[0] == 0
    changed = options(optim_wrapper__optimizer__lr=0.5, optim_wrapper__optimizer__weight_decay=0.3)
    code, printed = train('--work-dir', 'out', '--resume', '--allow-changes', '--seed', 8, *changed)
    assert code == 0 and 'optim_wrapper.optimizer.lr: 0.01 -> 0.5' in printed
    # the rates of the last iteration: warm-up 2, decay over 4, of which 3 are done
    rate = 0.5 * (1 - 3 / 4) ** 0.9
    assert f'lr {rate:.2e}' in next(line for line in printed.splitlines() if 'Iter 6/6' in line)
    content = load_checkpoint_file(tmp_path / 'out/iter_6.pth')
    head = content['optimizer']['param_groups'][0]
    assert head['initial_lr'] == 0.5 and head['weight_decay'] == 0.3
    assert content['meta']['seed'] == 8 and 'lr=0.5' in content['meta']['cfg']


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(train, tmp_path, monkeypatch):
    sync = os.fsync

    def full(handle):
        if '.iter_6.pth.' in os.readlink(f'/proc/self/fd/{handle}'):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        code, printed = train('--work-dir', 'out')
    out = tmp_path / 'out'
    assert code == 2 and 'Traceback' not in printed
    assert f'error: cannot write {out}/iter_6.pth: No space left on device (' in printed
    assert f'--resume continues from {out}/iter_3.pth' in printed
    assert [path.name for path in out.glob('*iter_*')] == ['iter_3.pth']
    assert train('--work-dir', 'out', '--resume')[0] == 0


def test_new_run_from_a_checkpoint_takes_the_student_and_an_empty_bank(train, tmp_path):
    assert train('--work-dir', 'first')[0] == 0
    start = options(**{'+load_from': 'first/iter_6.pth', '+model__bank_size': 16})
    code, printed = train('--work-dir', 'second', *start, 'train_cfg.max_iters=3')
    assert code == 0 and 'loaded first/iter_6.pth' in printed
    meta = load_checkpoint_file(tmp_path / 'second/iter_3.pth')['meta']
    assert meta['iter'] == 3


# --- from another process ------------------------------------------------------------------------


def test_sigterm_to_all_processes_saves_and_the_printed_command_continues(
    train, repo_root, tmp_path
):
    slow = ['--cfg-options', '+model.sleep=0.3', 'train_dataloader.num_workers=1']
    process = start(
        repo_root, tmp_path,
        sys.executable, str(repo_root / 'tools' / 'train.py'), 'toy.py', '--work-dir', 'out', *slow,
    )  # fmt: skip
    printed = ''
    for line in process.stdout:
        printed += line
        if 'Iter 2/6' in line:
            time.sleep(0.1)
            os.killpg(process.pid, signal.SIGTERM)  # the loader's worker gets it too
    assert process.wait(timeout=60) == 128 + signal.SIGTERM, printed
    saved = re.search(r'saved (\S+/iter_(\d)\.pth)', printed)
    assert saved is not None, printed
    assert int(saved[2]) in (3, 4, 5)
    command = shlex.split(printed[printed.index('Resume with:\n') :].splitlines()[1])
    assert command[:2] == ['python', 'tools/train.py'] and command[-1] == '--resume'
    assert train(*command[3:])[0] == 0  # the fixture adds its config: the same text
    assert train('--work-dir', 'whole')[0] == 0
    assert_same_state(tmp_path / 'whole/iter_6.pth', tmp_path / 'out/iter_6.pth')


@pytest.mark.slow
def test_two_processes_on_the_cpu(repo_root, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/iter_1.pth').touch()  # of an earlier run: both take the numbered folder
    process = start(
        repo_root, tmp_path,
        str(repo_root / 'tools' / 'dist_train.sh'), 'toy.py', '2', '--work-dir', 'out', '--new',
    )  # fmt: skip
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert 'processes: 2' in printed
    assert load_checkpoint_file(tmp_path / 'out-2/iter_6.pth')['state_dict']['teacher.step'] == 6
