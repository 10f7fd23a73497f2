"""Tables of one's own: files of rows, and what `tools/compare.py` names."""

import json
import os
from pathlib import Path

import pytest
import torch

from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import configure_run
from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.logged import logged_values
from dsr_nss.studies.tables.own_tables import compared_table, own_table
from dsr_nss.studies.tables.runs import Run, Settings, inspect, note, plan, read_facts
from dsr_nss.studies.tables.summary import compared_row, summarise
from dsr_nss.studies.tables.table import Row, choose_rows

DEMO = 'configs/demo/dsr_hrda_nightscape.py'


@pytest.fixture
def rows_file(tmp_path):
    def write(text):
        path = tmp_path / 'mine.py'
        path.write_text(text)
        return path

    return write


def test_a_table_of_ones_own(rows_file):
    path = rows_file("""
title = 'without the bank'
rows = [
    'dsr_hrda',
    dict(
        name='mine', label='My rule', config='mine/config.py',
        overlays=['configs/ablations/no_bank.py'], options={'model.alpha': 0.5},
    ),
]
""")
    one = own_table(path, 'nightscape')
    assert one.heading == 'Without the bank, on nightscape' and one.file_stem == 'mine'
    assert [column.test_set for column in one.columns] == ['dark_zurich_val']
    known, own = one.runnable()
    assert known == Row(
        'dsr_hrda', 'DSR-NSS-HRDA', config='configs/demo/dsr_hrda_nightscape.py'
    )  # without the paper's number, compared with any row
    assert own == Row(
        'mine', 'My rule', config='mine/config.py',
        overlays=('configs/ablations/no_bank.py',), options=(('model.alpha', 0.5),),
    )  # fmt: skip
    assert compared_row(one, own) == 'dsr_hrda'
    named = own_table(rows_file("rows = ['dsr_hrda']\ntest_sets = ['a', 'b']"), 'real')
    assert [column.test_set for column in named.columns] == ['a', 'b']


def test_differences_from_one_row(rows_file, tmp_path):
    rows = "rows = ['classmix_hrda', 'dsr_hrda', 'bank_hrda']\n"
    one = own_table(rows_file(f"{rows}reference = 'dsr_hrda'\nlogged = ['loss_source']"), 'real')
    assert one.logged == ('loss_source',) and not one.columns[0].detailed
    names = ('dsr_hrda', None, 'dsr_hrda')
    assert tuple(compared_row(one, row) for row in one.rows) == names
    summary = summarise(one, Settings('real', tmp_path))
    assert summary['differences_from'] == 'the row "DSR-NSS-HRDA"'


def test_only_the_first_statistics_of_batch_norms_are_detailed(rows_file):
    text = "rows = ['dsr_hrda']\ntest_sets = ['a', 'b']\ndetailed = True"
    one = own_table(rows_file(text), 'real').with_batch_norms(['adabn', 'plain'])
    assert [column.key for column in one.columns] == ['a-adabn', 'a', 'b-adabn', 'b']
    assert [column.detailed for column in one.columns] == [True, False, True, False]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', '`rows` must be a list of rows with different names'),
        ("rows = ['dsr_hrda', 'dsr_hrda']", 'different names'),
        ("rows = ['drs_hrda']", "'drs_hrda' is no row; a row is a name that --list has"),
        ("rows = [dict(name='a')]", r'is no row; .*dict\(name=..., config=...\)'),
        ("rows = [dict(name='a', config='a.py', overlay='b.py')]", 'any of config, group, label'),
        ("rows = [dict(name='dsr_hrda', config='a.py')]", 'needs another name'),
        ("rows = [dict(name='a', config='a.py', options={'x': [1]})]", 'use an overlay'),
        (
            "rows = ['dsr_hrda']; refrence = 'dsr_hrda'",
            'unknown field refrence; known are detailed',
        ),
        ("rows = ['dsr_hrda']; seeds = 3", 'seeds must be a list, got 3'),
        ("rows = ['dsr_hrda']; seeds = ['0']", "seeds.0 must be a whole number, got '0'"),
        (
            "rows = ['dsr_hrda']; test_sets = 'night'",
            "test_sets must be a list, got 'night'",
        ),
        ("rows = ['dsr_hrda']; logged = 'loss'", 'logged must be a list, got'),
        ("rows = ['dsr_hrda']; title = 3", 'title must be a text, got 3'),
        ("rows = [dict(name=3, config='a.py')]", 'row 3: name must be a text, got 3'),
        (
            "rows = [dict(name='a', config='a.py', options='b=1')]",
            "row 'a': options must be a dict",
        ),
        (
            "rows = [dict(name='a', config='a.py', overlays='b.py')]",
            'overlays must be a list, got',
        ),
        ("rows = ['dsr_hrda']; reference = 'bank_hrda'", "name of one of its rows: 'bank_hrda'"),
    ],
)
def test_a_row_that_means_nothing_is_an_error(rows_file, text, message):
    with pytest.raises(ConfigError, match=rf'mine\.py: .*{message}'):
        own_table(rows_file(text), 'nightscape')


# ---- tools/compare.py ----------------------------------------------------------------------------


@pytest.fixture
def checkout(repo_root, monkeypatch):
    monkeypatch.chdir(repo_root)


@pytest.mark.usefixtures('checkout')
def test_a_row_is_a_config_and_what_differs(tmp_path):
    mine = tmp_path / 'mine.py'
    mine.write_text('model = dict(beta=0.2)')
    one = compared_table(
        [DEMO, '+no_bank', f'+{mine}+model.alpha=0.5', f'{DEMO}+no_fpa'],
        overlays=['configs/ablations/jitter_torchvision.py'],
        options=['model.beta=0.3'],
        test_sets=['cityscapes_val'],
        name='parts',
    )
    stem = 'dsr_hrda_nightscape'
    labels = [stem, f'{stem} + no_bank', f'{stem} + mine + model.alpha=0.5', f'{stem} + no_fpa']
    assert [row.label for row in one.rows] == labels
    common = '-jitter_torchvision-model.beta=0.3'
    assert [row.name for row in one.rows] == [x.replace(' + ', '-') + common for x in labels]
    assert one.rows[2].command('train') == [
        'tools/train.py', DEMO, '--with', str(mine), 'configs/ablations/jitter_torchvision.py',
        '--cfg-options', 'model.alpha=0.5', 'model.beta=0.3',
    ]  # fmt: skip
    assert [compared_row(one, row) for row in one.rows] == [None, *[one.rows[0].name] * 3]
    assert [column.key for column in one.columns] == ['cityscapes_val']
    assert one.command == (
        'tools/compare.py', DEMO, '+no_bank', f'+{mine}+model.alpha=0.5', f'{DEMO}+no_fpa',
        '--with', 'configs/ablations/jitter_torchvision.py', '--cfg-options', 'model.beta=0.3',
        '--dataset', 'cityscapes_val', '--name', 'parts',
    )  # fmt: skip


def test_configs_of_the_package_are_named_as_everywhere():
    named = compared_table(
        ['dsr_nss::demo/dsr_hrda_nightscape', '+dsr_nss::ablations/no_bank'],
        overlays=['dsr_nss::ablations/no_fpa'],
    )
    stem = 'dsr_hrda_nightscape'
    assert [row.name for row in named.rows] == [f'{stem}-no_fpa', f'{stem}-no_bank-no_fpa']
    changed = Run(named.rows[1], 0, Settings('')).config()
    assert changed.model.bank is None and changed.model.alignment is None
    with pytest.raises(FileNotFoundError, match=r'no_bankk\.py; did you mean .*/no_bank'):
        compared_table(['dsr_nss::demo/dsr_hrda_nightscape', '+dsr_nss::ablations/no_bankk'])


@pytest.mark.usefixtures('checkout')
def test_rows_read_as_their_words_say():
    one = compared_table([f'{DEMO}+no_bank++model.teacher.teacher_bn=running', DEMO])
    changed, plain = (Run(row, 0, Settings('')).config() for row in one.rows)
    assert changed.model.bank is None and plain.model.bank
    assert changed.model.teacher.teacher_bn == 'running'
    assert [column.key for column in one.columns] == ['dark_zurich_val']  # the config's default


@pytest.mark.usefixtures('checkout')
def test_a_plus_of_a_number_parts_nothing():
    one = compared_table([f'{DEMO}+model.alpha=5e+0+no_bank', '+optim_wrapper.optimizer.lr=1E+3'])
    first, second = (Run(row, 0, Settings('')).config() for row in one.rows)
    assert first.model.alpha == 5.0 and first.model.bank is None
    assert second.optim_wrapper.optimizer.lr == 1000.0


@pytest.mark.usefixtures('checkout')
def test_drawn_sets_are_not_called_as_the_real_ones(tmp_path):
    (tmp_path / 'nightscape.json').write_text('{}')
    options = [
        f'test_sets.dark_zurich_val.data_root={tmp_path}/dark_zurich',
        f'test_sets.acdc_night_val.data_root={tmp_path}/real/acdc',
    ]
    drawn = compared_table([DEMO], options=options, test_sets=['dark_zurich_val', 'acdc_night_val'])
    assert [c.title for c in drawn.columns] == ['nightscape dark_zurich_val', 'acdc_night_val']


@pytest.mark.usefixtures('checkout')
def test_long_options_make_no_long_folders():
    options = [f'model.alpha=0.{"1" * 200}', f'model.alpha=0.{"1" * 200}2']
    names = {compared_table([DEMO], options=[option]).rows[0].name for option in options}
    assert len(names) == 2 and all(len(name) < 120 for name in names)


@pytest.mark.usefixtures('checkout')
@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['+no_bank'], r'\+no_bank is neither a config \(.py\) nor the folder of a run'),
        (['dsr_hrda'], 'dsr_hrda is neither a config'),
        ([DEMO, DEMO], 'name rows that differ'),
        ([DEMO, '+model.alpha=[1,2]'], 'use an overlay'),
        (['docs'], 'docs holds no config'),
    ],
)
def test_a_word_that_means_nothing_is_an_error(words, message):
    with pytest.raises(ConfigError, match=message):
        compared_table(words)


@pytest.mark.usefixtures('checkout')
def test_what_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match='overlay not found: .*no_bnk.py'):
        plan_of = plan(choose_rows([compared_table([DEMO, '+no_bnk'])]), [0], Settings(''))
        [run.config() for run in plan_of]


@pytest.fixture
def trained(tmp_path, repo_root, monkeypatch):
    """Folders of finished runs: what the trainer leaves, without the weights."""
    monkeypatch.chdir(repo_root)

    def write(name, seed, start=None, **options):
        folder = tmp_path / name
        config = read_config(DEMO, options)
        config.load_from = start
        configure_run(config, work_dir=str(folder), seed=seed)
        folder.mkdir()
        config.dump(folder / 'dsr_hrda_nightscape.py')
        (folder / 'iter_600.pth').touch()
        return str(folder)

    return write


def test_runs_that_differ_in_the_seed_are_one_row(trained):
    folders = [trained(f'dsr-seed{seed}', seed) for seed in (3, 1)]
    other = trained('half', 1, **{'model.alpha': 0.5})
    again, elsewhere = trained('again', 3), trained('elsewhere', 5, start='other.pth')
    one = compared_table([*folders, elsewhere])
    assert [row.label for row in one.rows] == [folders[0].removesuffix('-seed3'), elsewhere]
    one = compared_table([*folders, other, again])
    assert [row.label for row in one.rows] == [folders[0].removesuffix('-seed3'), other, again]
    assert one.rows[0].folders == ((3, folders[0]), (1, folders[1]))
    runs = plan(choose_rows([one]), [0, 1, 2], Settings('', Path('out')))
    assert [(run.seed, str(run.folder)) for run in runs] == [
        (1, folders[1]), (1, other), (3, folders[0]), (3, again),
    ]  # fmt: skip
    assert all(inspect(run).trained for run in runs)


def test_names_of_folders_tell_rows_of_one_config_apart(trained):
    """Before and after a change of the code the config is the same."""
    before = [trained(f'before-seed{seed}', seed) for seed in (0, 1)]
    after = [trained(f'after_{seed}', seed) for seed in (0, 1, 2)]
    stem = before[0].removesuffix('before-seed0')
    rows = compared_table([*before, *after]).rows
    assert [row.label for row in rows] == [f'{stem}before', f'{stem}after']
    assert [dict(row.folders).keys() for row in rows] == [{0, 1}, {0, 1, 2}]
    assert len(compared_table([before[0], after[1]]).rows) == 2


def test_runs_are_compared_as_they_are(trained):
    folder = trained('run', 0)
    for given in (dict(options=['model.alpha=0.5']), dict(overlays=['a.py'])):
        with pytest.raises(ConfigError, match='runs are compared as they are'):
            compared_table([folder], **given)


def test_other_data_under_one_name_are_told(trained):
    key = 'test_sets.dark_zurich_val.data_root'
    small, large = (trained(name, 0, **{key: f'data/{name}'}) for name in ('small', 'large'))
    assert compared_table([small]).notes == ()
    assert compared_table([small, large]).notes == (
        f'dark_zurich_val is not the same data in all rows: data/small ({small}); '
        f'data/large ({large}).',
    )


def test_a_converted_network_is_a_row_though_nothing_here_trained_it(tmp_path):
    config = (
        "model = dict(type='EncoderDecoder')\ntest_sets = dict(night=dict(type='DarkZurich'))\n"
    )
    (tmp_path / 'network.py').write_text(config)
    meta = dict(provenance=dict(model='teacher', source='run.pth'))
    state = {'weight': torch.zeros(1)}
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'iter_0.pth')
    starts = [dict(machine='1 core of X'), dict(machine='9 cores of X')]
    (tmp_path / 'run_info.json').write_text(json.dumps(dict(starts=starts)))
    one = compared_table([str(tmp_path)]).with_batch_norms(['plain', 'adabn'])
    (run,) = plan(choose_rows([one]), [0], Settings('', Path('out')))
    state = inspect(run)
    # there are no images to take new statistics of batch norms on
    assert state.trained and [column.key for column in state.missing] == ['night']
    note(run, state.checkpoint)
    facts = read_facts(run)
    assert (facts['data'], facts['iterations'], facts['network']) == ({}, 0, 'teacher of run.pth')
    assert facts['machine'] == '9 cores of X'  # where it was resumed last, not where it is compared
    assert logged_values([run.folder], one.logged) == {}


def test_the_config_of_a_run_is_parsed_and_never_run(trained, tmp_path):
    folder = trained('run', 0)
    (written,) = Path(folder).glob('*.py')
    written.write_text(f'import os\nos.mkdir({str(tmp_path / "canary")!r})\n')
    with pytest.raises(ConfigError, match='cannot be read as plain data'):
        compared_table([folder])
    assert not os.path.exists(tmp_path / 'canary')


@pytest.mark.usefixtures('checkout')
@pytest.mark.parametrize(
    ('words', 'status', 'expected'),
    [
        (
            ['+no_bank', '--seeds', '5', '--dry-run', '--max-iters', '60'],
            0,
            '/60iters/runs/dsr_hrda_nightscape-no_bank-seed5 --seed 5 --max-iters 60 '
            '--with configs/ablations/no_bank.py\n',
        ),
        (['+no_bnk'], 2, 'error: overlay not found: '),
        (['--dataset', 'no_such_set'], 2, 'has no test set no_such_set'),
        (['--seeds', '1', '1'], 2, 'error: --seeds must be different numbers >= 0, got 1 1'),
    ],
)
def test_command_line(run_tool, tmp_path, capsys, words, status, expected):
    assert run_tool('compare', DEMO, *words, '--out', tmp_path) == status
    assert expected in ''.join(capsys.readouterr())
    assert not list(tmp_path.iterdir())
