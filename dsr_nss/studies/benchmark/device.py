"""What the device can do: the floor under every figure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.engine.environment import describe_environment
from dsr_nss.studies.benchmark.timing import measure


def matmul_peak(device: torch.device, amp: str | None) -> float:
    """FLOP/s of a large square matrix product, 2 for a multiply-add, the best of several.

    Args:
        device: Device to measure.
        amp: `'bf16'`, `'fp16'`, or None for float32.
    """
    side = 8192 if device.type == 'cuda' else 2048
    a = torch.randn(side, side, device=device).to(AMP_TYPES.get(amp or '', torch.float32))
    (timing,) = measure([lambda: a @ a], device, warmup=3, repeats=10)
    return 2 * side**3 / timing.spread[0]


def step_peak(device: torch.device, amp: str | None) -> tuple[str, float]:
    """Name and FLOP/s of the fastest matrix product that a training step may use.

    In float32 on a GPU that is TF32: cuDNN's convolutions use it by default.
    """
    if amp is None and device.type == 'cuda':
        with _tf32():
            return 'tf32', matmul_peak(device, None)
    return amp or 'float32', matmul_peak(device, amp)


def copy_bandwidth(device: torch.device) -> float:
    """Bytes/s read plus bytes/s written of a large copy, the best of several."""
    source = torch.zeros(2**28 if device.type == 'cuda' else 2**26, device=device)
    target = torch.empty_like(source)
    (timing,) = measure([lambda: target.copy_(source)], device, warmup=2, repeats=8)
    return 2 * source.numel() * source.element_size() / timing.spread[0]


def report_device(device: torch.device) -> dict[str, Any]:
    """Peak of matrix products in all precisions of training, and of copies; memory and versions."""
    report: dict[str, Any] = {**describe_device(device), 'matmul_flops_per_s': {}}
    peaks = report['matmul_flops_per_s']
    peaks['float32'] = matmul_peak(device, None)
    if device.type == 'cuda':
        with _tf32():
            peaks['tf32'] = matmul_peak(device, None)
        peaks['fp16'] = matmul_peak(device, 'fp16')
        report['memory'] = torch.cuda.get_device_properties(device).total_memory
        report['cuda'] = torch.version.cuda
        report['cudnn'] = torch.backends.cudnn.version()
    peaks['bf16'] = matmul_peak(device, 'bf16')
    report['copy_bytes_per_s'] = copy_bandwidth(device)
    return report


@contextmanager
def _tf32() -> Iterator[None]:
    """Matrix products of float32 tensors with 10 bits of mantissa, as cuDNN's convolutions have."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def format_device(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        f'{report["device"]}, {report["threads"]} thread(s), torch {report["torch"]}, '
        f'commit {report["commit"]}'
    ]
    if 'memory' in report:
        lines.append(
            f'  memory   {report["memory"] / 2**30:.1f} GiB; CUDA {report["cuda"]}, '
            f'cuDNN {report["cudnn"]}'
        )
    lines += [
        f'  {name:8s} matrix product {value / 1e12:.3g} TFLOP/s'
        for name, value in report['matmul_flops_per_s'].items()
    ]
    lines.append(f'  copy     {report["copy_bytes_per_s"] / 1e9:.3g} GB/s, read and written')
    return '\n'.join(lines)


def describe_device(device: torch.device) -> Mapping[str, Any]:
    """What stands beside every figure: device, threads, versions, commit."""
    environment = describe_environment()
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else _cpu_name()
    return {
        'device': name,
        'threads': torch.get_num_threads(),
        'torch': environment['torch'],
        'commit': environment['git_commit'],
    }


def _cpu_name() -> str:
    try:
        with open('/proc/cpuinfo') as file:
            return next(line.split(':')[1].strip() for line in file if 'model name' in line)
    except (OSError, StopIteration):
        return 'CPU'
