"""`--report`: the text that a bug report begins with."""

import torch

from dsr_nss.engine.environment import describe_environment
from dsr_nss.inspection import doctor, machine_report
from dsr_nss.version import __version__


def test_versions_hardware_and_settings_are_told(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    facts = dict(line.split(None, 1) for line in machine_report.machine_report().splitlines())
    assert facts['dsr_nss'] == __version__ and facts['OMP_NUM_THREADS'] == '3'
    assert facts['torch'] == describe_environment()['torch']
    assert ' cores of ' in facts['machine'] and facts['machine'].endswith(' GiB')
    assert facts['installation'] == 'a checkout'


def test_a_gpu_and_distributions_that_exclude_each_other_are_told(monkeypatch):
    class Properties:
        name, total_memory, major, minor = 'NVIDIA H100', 80 * 2**30, 9, 0

    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda i: Properties)
    monkeypatch.setattr(doctor, 'version_of', lambda name: '1.0')
    lines = machine_report.machine_report().splitlines()
    gpu = 'NVIDIA H100, 80 GiB, compute capability 9.0'
    assert next(line for line in lines if line.startswith('GPU 0')).split(None, 2)[2] == gpu
    assert any(line.startswith('problem: onedl-mmcv and mmcv ') for line in lines)


def test_the_tool_prints_it_and_looks_no_further(run_tool, capsys):
    assert run_tool('check_data', '--report') == 0
    said = capsys.readouterr().out
    assert said == machine_report.machine_report() + '\n' and 'Cityscapes' not in said
