"""What a run ran with: written into every checkpoint."""

import functools
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from dsr_nss.engine.devices import default_device
from dsr_nss.pool import usable_cores
from dsr_nss.version import __version__

_DISTRIBUTIONS = (
    'torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'timm',
    'numpy', 'opencv-python', 'pillow',
)  # fmt: skip


@functools.cache
def git_commit() -> str | None:
    """The commit of this checkout, with `+changes` when files differ; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / '.git').exists():
        return None
    try:
        commit = _git(root, 'rev-parse', 'HEAD')
        changed = _git(root, 'status', '--porcelain', '--untracked-files=no')
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ('+changes' if changed else '')


def _git(root: Path, *command: str) -> str:
    result = subprocess.run(
        ['git', '-C', str(root), *command], capture_output=True, text=True, timeout=20, check=True
    )
    return result.stdout.strip()


@functools.cache
def describe_environment() -> dict[str, str]:
    """Versions, commit and device by name; everything is a string."""
    versions = {'dsr_nss': __version__}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        **versions,
        'python': sys.version.split()[0],
        'platform': platform.platform(),
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        'git_commit': git_commit() or 'unknown',
    }


def describe_machine(device: str | None = None) -> str:
    """`NVIDIA H100`, or `2 cores of AMD EPYC`; of the default device if none is named."""
    if (device or default_device()) == 'cuda':
        return torch.cuda.get_device_name()
    return f'{usable_cores()} cores of {_cpu_name()}'


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():  # platform.processor() is empty on Linux
        name = re.search(r'^model name\s*:\s*(.+)$', info.read_text(), re.MULTILINE)
        if name is not None:
            return name[1]
    return platform.processor() or platform.machine()
