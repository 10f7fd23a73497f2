"""Which trainings there are, and their command lines."""

from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import DictAction

from dsr_nss.commands import typed
from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.rows import table
from dsr_nss.studies.tables.runs import Run, Settings, plan
from dsr_nss.studies.tables.table import Column, Row, choose_rows

DEMO = 'configs/demo/dsr_hrda_nightscape.py'
DSR = Row('dsr_hrda', 'ours', config=DEMO)
GRID = Row(
    'other_hrda', 'other', config=DEMO, overlays=('configs/ablations/no_bank.py',),
    options=(('model.alpha', 0.75),),
)  # fmt: skip


def test_a_row_that_tables_share_is_one_run_with_the_sets_of_all():
    tables = [table(name, 'nightscape') for name in ('2', '3', '4', '6')]
    runs = plan(choose_rows(tables, ['dsr_hrda', 'bank_hrda']), (0, 2), Settings('nightscape'))
    assert [run.name for run in runs] == [
        'dsr_hrda_nightscape-seed0', 'bank_hrda_nightscape-seed0',
        'dsr_hrda_nightscape-seed2', 'bank_hrda_nightscape-seed2',
    ]  # fmt: skip
    assert {column.key for column in runs[0].columns} == {
        'nighttime_driving', 'dark_zurich_val', 'acdc_night_val', 'cityscapes_val',
    }  # fmt: skip
    assert [column.key for column in runs[1].columns] == ['dark_zurich_val']


def test_of_a_column_that_two_tables_share_the_detailed_one_counts():
    plain = table('3', 'nightscape')
    detailed = replace(plain, columns=tuple(replace(c, detailed=True) for c in plain.columns))
    for tables in ([plain, detailed], [detailed, plain]):
        (run,) = plan(choose_rows(tables, ['dsr_hrda']), (0,), Settings('nightscape'))
        assert [(c.key, c.detailed) for c in run.columns] == [('dark_zurich_val', True)]


def test_what_must_not_be_mixed_lies_apart():
    folders = {
        str(Run(DSR, 0, Settings(data, max_iters=n, amp=amp)).folder)
        for data in ('real', 'nightscape')
        for n in (None, 100)
        for amp in (None, 'bf16')
    }
    assert len(folders) == 8
    assert 'work_dirs/reproduce/runs/dsr_hrda_real-seed0' in folders
    assert 'work_dirs/reproduce/nightscape/100iters-bf16/runs/dsr_hrda_nightscape-seed0' in folders


def test_command_lines():
    settings = Settings('nightscape', Path('out dir'), max_iters=60, amp='bf16')
    run = Run(GRID, 3, settings)
    assert typed(run.train_command(resume=True)) == (
        f"python tools/train.py {DEMO} --work-dir 'out dir/nightscape/60iters-bf16/runs/"
        "other_hrda_nightscape-seed3' --seed 3 --max-iters 60 --amp bf16 --resume "
        '--with configs/ablations/no_bank.py --cfg-options model.alpha=0.75'
    )
    config = run.config()
    assert (config.train_cfg.max_iters, config.model.alpha, config.model.bank) == (60, 0.75, None)
    plain = Run(DSR, 3, Settings('nightscape'))
    assert plain.train_command() == [
        'tools/train.py', DEMO, '--work-dir', str(plain.folder), '--seed', '3',
    ]  # fmt: skip
    assert typed(run.test_command(Path('a.pth'), Column('acdc_night_val', 'adabn'))) == (
        f'python tools/test.py {DEMO} a.pth --dataset acdc_night_val --json '
        f"'{run.folder}/scores/acdc_night_val-adabn.json' --batch-norms adabn "
        '--with configs/ablations/no_bank.py --cfg-options model.alpha=0.75'
    )
    folder = f"'{run.folder}"
    assert typed(run.test_command(Path('a.pth'), Column('acdc_night_val', detailed=True))) == (
        f'python tools/test.py {DEMO} a.pth --dataset acdc_night_val --json '
        f"{folder}/scores/acdc_night_val.json' --report {folder}/report/acdc_night_val' --out "
        f"{folder}/predictions/acdc_night_val' --with configs/ablations/no_bank.py "
        '--cfg-options model.alpha=0.75'
    )


def test_the_tools_read_what_the_command_lines_say():
    row = replace(GRID, options=(('+model.teacher.teacher_bn', 'running'), ('model.beta', 0.2)))
    command = row.command('train')
    options = command[command.index('--cfg-options') + 1 :]
    parsed = {k: DictAction._parse_iterable(v) for k, v in (o.split('=') for o in options)}
    assert parsed == dict(row.options)


@pytest.mark.parametrize('seeds', [(-1,), (1, 1)])
def test_impossible_seeds(seeds):
    with pytest.raises(ConfigError, match=r'--seeds must be different numbers >= 0, got -?1'):
        plan(choose_rows([table('3', 'nightscape')]), seeds, Settings('nightscape'))


def test_impossible_seeds_of_a_table():
    one = replace(table('3', 'nightscape'), seeds=(1, 1))
    with pytest.raises(ConfigError, match='the seeds of 3 must be different numbers >= 0, got 1 1'):
        plan(choose_rows([one]), None, Settings('nightscape'))


def test_a_table_may_be_of_certain_seeds():
    settings = Settings('nightscape')

    def seeds(asked, of=()):
        rows = choose_rows([replace(table('3', 'nightscape'), seeds=of)], ['dsr_hrda'])
        return [run.seed for run in plan(rows, asked, settings)]

    assert seeds(None) == [0, 1, 2] and seeds((7,)) == [7]
    assert seeds(None, (5, 4)) == [4, 5] and seeds((4,), (5, 4)) == [4]
    with pytest.raises(ConfigError, match='the table 3 is of the seeds 5, 4, got --seeds 0 4'):
        seeds((0, 4), (5, 4))
