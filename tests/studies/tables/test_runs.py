"""Which trainings there are, and their command lines."""

from pathlib import Path

import pytest

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.runs import Run, Settings, plan, shown
from dsr_nss.studies.tables.tables import choose_rows, table

DEMO = 'configs/demo/dsr_hrda_nightscape.py'


def test_a_row_that_tables_share_is_one_run_with_the_sets_of_all():
    tables = [table(name, 'nightscape') for name in ('2', '3', '4', '6')]
    runs = plan(choose_rows(tables, ['dsr_hrda', 'bank_hrda']), (0, 2), Settings('nightscape'))
    assert [(Path(run.config).stem, run.seed) for run in runs] == [
        ('dsr_hrda_nightscape', 0), ('bank_hrda_nightscape', 0),
        ('dsr_hrda_nightscape', 2), ('bank_hrda_nightscape', 2),
    ]  # fmt: skip
    assert set(runs[0].test_sets) == {
        'nighttime_driving', 'dark_zurich_val', 'acdc_night_val', 'cityscapes_val',
    }  # fmt: skip
    assert runs[1].test_sets == ('dark_zurich_val',)


def test_what_must_not_be_mixed_lies_apart():
    folders = {
        str(Run(DEMO, 0, Settings(data, max_iters=n, amp=amp)).folder)
        for data in ('real', 'nightscape')
        for n in (None, 100)
        for amp in (None, 'bf16')
    }
    assert len(folders) == 8
    assert 'work_dirs/reproduce/runs/dsr_hrda_nightscape-seed0' in folders
    assert 'work_dirs/reproduce/nightscape/100iters-bf16/runs/dsr_hrda_nightscape-seed0' in folders


def test_command_lines():
    settings = Settings('nightscape', Path('out dir'), max_iters=60, amp='bf16')
    run = Run(DEMO, 3, settings)
    line = shown(run.train_command(resume=True))
    assert line.startswith(
        f"python tools/train.py {DEMO} --work-dir 'out dir/nightscape/60iters-bf16/runs/"
        "dsr_hrda_nightscape-seed3' --seed 3 --amp bf16 --resume auto --cfg-options "
        'train_cfg.max_iters=60 '
    )
    assert run.full_config().train_cfg.max_iters == 60
    plain = Run(DEMO, 3, Settings('nightscape'))
    assert '--cfg-options' not in plain.train_command() and '--resume' not in plain.train_command()
    assert shown(plain.test_command(Path('a.pth'), 'acdc_night_val')) == (
        f'python tools/test.py {DEMO} a.pth --dataset acdc_night_val --json '
        'work_dirs/reproduce/nightscape/runs/dsr_hrda_nightscape-seed3/scores/acdc_night_val.json'
    )


def test_the_options_are_read_as_they_are_written():
    from mmengine.config import DictAction

    run = Run(DEMO, 0, Settings('nightscape', max_iters=70))
    command = run.train_command()
    options = command[command.index('--cfg-options') + 1 :]
    parsed = {k: DictAction._parse_iterable(v) for k, v in (o.split('=') for o in options)}
    assert parsed == run.options()


@pytest.mark.parametrize('seeds', [(-1,), (1, 1)])
def test_impossible_seeds(seeds):
    with pytest.raises(ConfigError, match=r'--seeds must be different numbers >= 0, got -?1'):
        plan([table('3', 'nightscape')], seeds, Settings('nightscape'))
