"""The benchmark of inference: what it compares is equal, and what it reports is there."""

import json

import pytest
import torch

from dsr_nss.errors import ConfigError
from dsr_nss.inference.load import read_model_config
from dsr_nss.models.segmentors import HRDAEncoderDecoder
from dsr_nss.studies.benchmark.infer import (
    COLUMNS,
    EVALUATION,
    INFERENCE,
    MMSEG,
    OURS,
    STAGES,
    benchmark_infer,
)
from dsr_nss.studies.benchmark.timing import Turns, scaled, summarise

SETTINGS = (
    'model.student.test_cfg.mode=slide',
    'model.student.test_cfg.crop_size=(64,64)',
    'model.student.test_cfg.stride=(48,48)',
)


@pytest.mark.parametrize('tool', ['benchmark', 'test_align'])
def test_what_cannot_work_is_told_before_the_work(repo_root, run_tool, tmp_path, capsys, tool):
    config = repo_root / 'configs/demo/dsr_hrda_nightscape.py'
    words = ['infer', config] if tool == 'benchmark' else ['--aligner', 'identity']
    if not torch.cuda.is_available():
        assert run_tool(tool, *words, '--device', 'cuda', '--json', tmp_path / 'a.json') == 2
        assert "the device 'cuda' cannot be used here" in capsys.readouterr().err
    assert run_tool(tool, *words, '--device', 'cpu', '--json', tmp_path) == 2
    assert 'is a folder; name a file' in capsys.readouterr().err


def test_command_line(repo_root, run_tool, tmp_path, capsys):
    config = repo_root / 'configs/demo/dsr_hrda_nightscape.py'
    arguments = [
        'infer', config, '--device', 'cpu', '--warmup', 0, '--repeats', 2, '--size', '70x111',
        '--images', 2, '--stages', '--json', tmp_path / 'a.json',
        '--cfg-options', *(f'+{setting}' for setting in SETTINGS),
    ]  # fmt: skip
    assert run_tool('benchmark', *arguments) == 0
    text = capsys.readouterr().out
    report = json.loads((tmp_path / 'a.json').read_text())
    stages = report['stages']
    assert tuple(stages) == (*STAGES, INFERENCE, EVALUATION)
    for name, row in stages.items():
        assert f'\n{name} ' in text
        assert all(timing['median_s'] > 0 and timing['repeats'] == 2 for timing in row.values())
    compared = {name for name, row in stages.items() if MMSEG in row}
    assert compared == {'windows', 'accumulate', 'argmax', 'metric', INFERENCE, EVALUATION}
    # with the network
    windows = stages['windows'][OURS]['min_s']
    assert stages[INFERENCE][OURS]['median_s'] > 0.5 * windows
    assert min(report['peak_memory'].values()) > 0
    assert report['differing'] < 1e-3  # near-ties only
    assert 'images of 70x111 (mmseg: float32)' in text and 'float32, commit' in text


def test_other_models_have_no_windows(repo_root):
    config = read_model_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py')
    config.model.student.type = 'EncoderDecoder'
    config.model.student.decode_head = config.model.student.decode_head.head
    with pytest.raises(ConfigError, match='EncoderDecoder is none of this package'):
        benchmark_infer(config, Turns(torch.device('cpu')), size=(64, 64), images=1)


def test_cells_of_a_stage():
    double = {**summarise([0.1, 0.2, 0.4]), 'repeats': 3}
    row = {OURS: scaled(double, 0.5), MMSEG: double}
    assert [cell(row) for cell in COLUMNS.values()] == [
        '100 ms (50 to 200)', '200 ms (100 to 400)', '0.500', '3',
    ]  # fmt: skip
    assert [cell({OURS: double}) for cell in COLUMNS.values()][1:3] == ['', '']


def test_mmsegmentation_runs_as_its_own_tools_do(repo_root, monkeypatch):
    """Half precision and compiled parts are ours alone."""
    config = read_model_config(
        repo_root / 'configs/demo/dsr_hrda_nightscape.py',
        {
            '+model.student.test_cfg.mode': 'slide',
            '+model.student.test_cfg.crop_size': (64, 64),
            '+model.student.test_cfg.stride': (48, 48),
        },
    )
    compiled, autocast = [], {}

    def compile_stages(model):
        compiled.append(model)

    forward = HRDAEncoderDecoder._forward

    def watched(self, inputs, data_samples=None):
        autocast.setdefault(id(self), set()).add(torch.is_autocast_enabled('cpu'))
        return forward(self, inputs, data_samples)

    monkeypatch.setattr('dsr_nss.studies.benchmark.infer.compile_stages', compile_stages)
    monkeypatch.setattr(HRDAEncoderDecoder, '_forward', watched)
    turns = Turns(torch.device('cpu'), warmup=0, repeats=1)
    settings = dict(size=(64, 80), images=1, amp='bf16', compiled=True, stages=False)
    report = benchmark_infer(config, turns, **settings)
    assert 'encode' not in report.text and 'images of 64x80, compiled (mmseg' in report.text
    report = report.content
    ours = id(compiled[0])
    assert report['amp'] == 'bf16' and report['compiled'] and len(autocast) == 2
    seen = {key == ours: states for key, states in autocast.items()}
    assert seen == {True: {True}, False: {False}}
