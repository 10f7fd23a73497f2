"""What the device can do: the floor under every figure."""

from collections.abc import Mapping
from typing import Any

import torch

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.studies.benchmark.timing import measure


def machine(device: torch.device) -> dict[str, Any]:
    """What stands beside every figure: device, threads, versions, commit."""
    environment = describe_environment()
    return {
        'device': describe_machine(device.type),
        'threads': torch.get_num_threads(),
        'torch': environment['torch'],
        'commit': environment['git_commit'],
    }


def heading(report: Mapping[str, Any]) -> str:
    """The first line of every text: the machine, and the precision where the report has one."""
    precision = f'{report["amp"] or "float32"}, ' if 'amp' in report else ''
    return (
        f'{report["device"]}, {report["threads"]} thread(s), torch {report["torch"]}, '
        f'{precision}commit {report["commit"]}'
    )


def matmul_peak(device: torch.device, precision: str) -> float:
    """FLOP/s of a large square matrix product, 2 for a multiply-add, the best of several.

    Args:
        device: Device to measure.
        precision: `'float32'`, `'tf32'` (float32 tensors with 10 bits of mantissa, as cuDNN's
            convolutions take them), `'bf16'` or `'fp16'`.
    """
    side = 8192 if device.type == 'cuda' else 2048
    a = torch.randn(side, side, device=device).to(AMP_TYPES.get(precision, torch.float32))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high' if precision == 'tf32' else 'highest')
    try:
        (row,) = measure([lambda: a @ a], device, warmup=3, repeats=10)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * side**3 / row['min_s']


def step_precision(device: torch.device, amp: str | None) -> str:
    """The fastest matrix product that a training step may use.

    In float32 on a GPU that is TF32: cuDNN's convolutions use it by default.
    """
    return amp or ('tf32' if device.type == 'cuda' else 'float32')


def copy_bandwidth(device: torch.device) -> float:
    """Bytes/s read plus bytes/s written of a large copy, the best of several."""
    source = torch.zeros(2**28 if device.type == 'cuda' else 2**26, device=device)
    target = torch.empty_like(source)
    (row,) = measure([lambda: target.copy_(source)], device, warmup=2, repeats=8)
    return 2 * source.numel() * source.element_size() / row['min_s']


def report_device(device: torch.device) -> dict[str, Any]:
    """Peak of matrix products in all precisions of training, and of copies; memory and versions."""
    on_gpu = device.type == 'cuda'
    report = machine(device)
    if on_gpu:
        report['memory'] = torch.cuda.get_device_properties(device).total_memory
        report['cuda'] = torch.version.cuda
        report['cudnn'] = torch.backends.cudnn.version()
    precisions = ('float32', 'tf32', 'fp16', 'bf16') if on_gpu else ('float32', 'bf16')
    report['matmul_flops_per_s'] = {name: matmul_peak(device, name) for name in precisions}
    report['copy_bytes_per_s'] = copy_bandwidth(device)
    return report


def format_device(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [heading(report)]
    if 'memory' in report:
        memory = f'{report["memory"] / 2**30:.1f} GiB'
        lines.append(f'  memory   {memory}; CUDA {report["cuda"]}, cuDNN {report["cudnn"]}')
    for name, value in report['matmul_flops_per_s'].items():
        lines.append(f'  {name:8s} matrix product {value / 1e12:.3g} TFLOP/s')
    lines.append(f'  copy     {report["copy_bytes_per_s"] / 1e9:.3g} GB/s, read and written')
    return '\n'.join(lines)
