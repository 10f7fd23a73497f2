"""tools/benchmark.py as a command line."""

import importlib.util
import json
import sys

import pytest
from PIL import Image


@pytest.fixture
def tool(repo_root, monkeypatch):
    """The command line, as a function of its arguments."""
    path = repo_root / 'tools/benchmark.py'
    spec = importlib.util.spec_from_file_location('tools_benchmark', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, arguments)])
        return module.main()

    return main


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
