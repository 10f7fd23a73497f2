"""tools/benchmark.py as a command line."""

import json
from functools import partial

import pytest
import torch
from PIL import Image

from dsr_nss.studies.benchmark.everything import EXIT_OUT_OF_MEMORY, Outcome


@pytest.fixture
def tool(run_tool):
    """The command line, as a function of its arguments."""
    return partial(run_tool, 'benchmark')


SHORT = ('--device', 'cpu', '--warmup', 0, '--repeats', 1)


def test_step(tool, repo_root, tmp_path, capsys):
    config = repo_root / 'configs/demo/source_only_hrda_nightscape.py'
    options = ('--cfg-options', 'train_dataloader.dataset.crop_size=(64,64)')
    json_file = tmp_path / 'a/step.json'
    arguments = (config, *SHORT, '--out', tmp_path, '--json', json_file, *options)
    assert tool('step', *arguments) == 0
    text = capsys.readouterr().out
    assert '2 + 2 crops of 64x64' in text and 'backward' in text
    report = json.loads(json_file.read_text())
    (step,) = report['steps'].values()
    assert step['median_s'] > 0 and step['flops'] == sum(step['flops_by_stage'].values())
    assert step['share_of_peak'] == pytest.approx(
        step['flops'] / step['median_s'] / report['matmul_flops_per_s']
    )
    with Image.open(tmp_path / 'stages.png') as picture:
        assert picture.width > 800 and len(picture.convert('RGB').getcolors(10**6)) > 10


def test_align(tool, repo_root, tmp_path, capsys):
    config = repo_root / 'configs/demo/dsr_hrda_nightscape.py'
    assert tool('align', config, *SHORT, '--size', '32x64', '--json', tmp_path / 'a.json') == 0
    text = capsys.readouterr().out
    assert 'image pair of 32x64' in text and 'local_correlation' in text
    assert json.loads((tmp_path / 'a.json').read_text())['Identity']['repeats'] == 1
    assert tool('align', 'configs/none.py', *SHORT) == 2
    assert 'none.py' in capsys.readouterr().err


def test_growth(tool, repo_root, tmp_path, capsys):
    config = repo_root / 'configs/demo/dsr_hrda_nightscape.py'
    sizes = ('--crops', 64, '--batches', '--banks')
    assert tool('growth', config, *SHORT, *sizes, '--json', tmp_path / 'a.json') == 0
    assert 'MiB of the bank' in capsys.readouterr().out
    (row,) = json.loads((tmp_path / 'a.json').read_text())['rows']['crop']
    assert (row['crop'], row['batch'], row['bank']) == (64, 2, 6)


def test_device(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        'dsr_nss.studies.benchmark.device.matmul_peak', lambda turns, precision: 3e12
    )
    monkeypatch.setattr('dsr_nss.studies.benchmark.device.copy_bandwidth', lambda turns: 2e9)
    assert tool('device', '--device', 'cpu', '--json', tmp_path / 'a.json') == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ['matrix', 'product,', 'bf16', '3'] in lines
    assert ['copy,', 'read', 'and', 'written', '2'] in lines
    report = json.loads((tmp_path / 'a.json').read_text())
    assert set(report['matmul_flops_per_s']) == {'float32', 'bf16'}


def test_too_little_memory_is_an_explained_end(tool, monkeypatch, capsys):
    def fail(turns, precision):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB\nmore')

    monkeypatch.setattr('dsr_nss.studies.benchmark.device.matmul_peak', fail)
    assert tool('device', '--device', 'cpu') == EXIT_OUT_OF_MEMORY
    assert 'error: out of memory: CUDA out of memory. Tried' in capsys.readouterr().err


@pytest.mark.parametrize(('status', 'expected'), [('failed', 1), ('skipped', 0), ('done', 0)])
def test_all_fails_if_a_part_does(tool, repo_root, monkeypatch, tmp_path, capsys, status, expected):
    seen = {}

    def run(command, limit):
        seen[command[1]] = limit
        outcome = status if command[1] == 'align' else 'done'
        return Outcome(outcome, 0.0, None if outcome == 'done' else 'why')

    monkeypatch.setattr('dsr_nss.studies.benchmark.everything._run', run)
    drawing = 'dsr_nss.studies.benchmark.everything.draw_missing'
    monkeypatch.setattr(drawing, lambda config, folder, size: None)
    arguments = ('--toy', '--budget-minutes', 1, '--json', tmp_path / 'a.json', '--device', 'cpu')
    assert tool('all', repo_root / 'configs/dsr_hrda_darkzurich.py', *arguments) == expected
    assert {'device', 'step', 'growth', 'align', 'infer'} <= set(seen) and max(seen.values()) <= 60
    parts = json.loads((tmp_path / 'a.json').read_text())['parts']
    assert parts['align']['status'] == status
    assert ('why' in capsys.readouterr().out) == (status != 'done')


@pytest.mark.parametrize(
    'arguments',
    [('--repeats', '0'), ('--warmup', '-1'), ('--repeats', 'a'), ('--size', '0x64')],
)
def test_numbers_that_measure_nothing(tool, repo_root, arguments, capsys):
    with pytest.raises(SystemExit):
        tool('align', repo_root / 'configs/demo/dsr_hrda_nightscape.py', *arguments)
    assert arguments[1] in capsys.readouterr().err
