"""What a bug report needs to know of a machine, as text to paste."""

import os
from collections.abc import Iterator

import torch

from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.inspection.doctor import Report, check_environment, version_of
from dsr_nss.shipped import ROOT

#: Packages that change what the code does, where they are installed.
OPTIONAL = ('deflate', 'pyspng', 'kornia', 'safetensors', 'setuptools')
#: Settings that change speed, devices or processes.
VARIABLES = ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES', 'PYTORCH_CUDA_ALLOC_CONF', 'WORLD_SIZE')


def machine_report() -> str:
    """Versions, hardware and settings, one fact a line; no path and no name of a user is in it."""
    facts = [*describe_environment().items(), *_facts()]
    width = max(len(name) for name, _ in facts)
    lines = [f'{name:{width}}  {value}' for name, value in facts if name != 'device']
    report = Report()
    check_environment(report)
    return '\n'.join([*lines, *(f'problem: {problem}' for problem in report.problems)])


def _facts() -> Iterator[tuple[str, str]]:
    yield 'installation', 'a wheel' if ROOT.name == '.mim' else 'a checkout'
    for name in OPTIONAL:
        yield name, version_of(name) or 'not installed'
    pages, size = os.sysconf('SC_PHYS_PAGES'), os.sysconf('SC_PAGE_SIZE')
    yield 'machine', f'{describe_machine("cpu")}, {pages * size / 2**30:.0f} GiB'
    yield 'CUDA', f'{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        memory = f'{gpu.total_memory / 2**30:.0f} GiB'
        yield f'GPU {i}', f'{gpu.name}, {memory}, compute capability {gpu.major}.{gpu.minor}'
    if not torch.cuda.is_available():
        yield 'GPU', 'none that torch can use'
    for name in VARIABLES:
        if name in os.environ:
            yield name, os.environ[name]
