"""The network that comes with the package: `dsr_nss::protocol/source_nightscape.safetensors`."""

import argparse
import runpy
import sys

import numpy as np
import pytest
import shared_options
import torch
from safetensors.torch import load_file

import dsr_nss
from dsr_nss.checkpoints.mmengine_loading import local_file
from dsr_nss.checkpoints.reading import read_state_dict
from dsr_nss.classes import CLASSES
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.report import inspect_checkpoint
from dsr_nss.engine.config import read_config
from dsr_nss.inference.load import load_model
from dsr_nss.inspection.doctor import Report, check_weights

NAME = 'dsr_nss::protocol/source_nightscape.safetensors'


def test_it_predicts_from_any_folder_without_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = dsr_nss.load(NAME, device='cpu')
    result = model.predict(np.full((64, 96, 3), 128, np.uint8))
    assert result.labels.shape == (64, 96) and result.names == CLASSES
    assert {value.dtype for value in model.model.state_dict().values()} == {
        torch.float32,
        torch.int64,
    }


@pytest.mark.parametrize('config', [None, 'dsr_nss::protocol/source_nightscape'])
def test_commands_tell_it_from_a_config(config, monkeypatch):
    parser = argparse.ArgumentParser()
    shared_options.add_checkpoint_arguments(parser)
    monkeypatch.setattr(sys, 'argv', ['dsr-nss', *filter(None, [config, NAME])])
    args = shared_options.parse_checkpoint_arguments(parser)
    assert (args.config, args.checkpoint) == (config, NAME)


def test_it_is_half_precision_and_under_8_mb(repo_root):
    path = local_file(NAME)
    assert path == repo_root / 'configs/protocol/source_nightscape.safetensors'
    assert path.stat().st_size < 8e6
    state = load_file(path)
    assert {value.dtype for value in state.values()} == {torch.float16, torch.int64}
    assert read_state_dict(NAME).keys() == state.keys()
    assert load_model(repo_root / 'configs/protocol/source_nightscape.py', NAME)


@pytest.mark.parametrize('name', ['dsr_from_source_nightscape', 'continued_source_nightscape'])
def test_the_doctor_finds_it_as_the_start_of_the_protocol(name, repo_root):
    config = read_config(repo_root / f'configs/protocol/{name}.py')
    report = Report()
    check_weights(report, config)
    assert any(line.startswith(f'  load_from: {NAME} (6 MiB)') for line in report.lines)
    config.load_from = NAME.replace('source', 'sorce')
    report = Report()
    check_weights(report, config)
    assert any(f'load_from: file not found: {config.load_from}; did you mean {NAME}?' in problem
               for problem in report.problems)  # fmt: skip


def test_it_is_converted_as_any_other_file(tmp_path):
    assert 'source_nightscape.safetensors: 6.' in inspect_checkpoint(NAME)
    written = convert_checkpoint(NAME, tmp_path / 'plain.pth', layout='mmseg').written
    state = read_state_dict(written)
    for name, value in read_state_dict(NAME).items():
        assert torch.equal(state[name], value.float() if value.is_floating_point() else value)


def test_an_export_of_it_is_not_written_into_the_package(tmp_path, repo_root):
    default_out = runpy.run_path(str(repo_root / 'tools/export.py'))['default_out']
    args = argparse.Namespace(
        checkpoint=NAME, format='onnx', model='student', half=False, int8=None
    )
    assert default_out(args) == 'source_nightscape.onnx'
    args.checkpoint = str(tmp_path / 'iter_4.pth')
    (tmp_path / 'iter_4.pth').touch()
    assert default_out(args) == str(tmp_path / 'iter_4.onnx')
    args.model, args.half = 'teacher', True
    assert default_out(args) == str(tmp_path / 'iter_4_teacher_half.onnx')
