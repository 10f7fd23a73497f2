"""What the device can do: the floor under every figure."""

from typing import Any

import torch

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.studies.benchmark.timing import Report, Turns, number


def matmul_peak(turns: Turns, precision: str) -> float:
    """FLOP/s of a large square matrix product, 2 for a multiply-add, the best of several.

    Args:
        turns: The device, and when measurements should end.
        precision: `'float32'`, `'tf32'` (float32 tensors with 10 bits of mantissa, as cuDNN's
            convolutions take them by default), `'bf16'` or `'fp16'`.
    """
    side = 8192 if turns.device.type == 'cuda' else 2048
    a = torch.randn(side, side, device=turns.device)
    a = a.to(AMP_TYPES.get(precision, torch.float32))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high' if precision == 'tf32' else 'highest')
    try:
        row = turns._replace(warmup=3, repeats=10).row(lambda: a @ a)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * side**3 / row['min_s']


def copy_bandwidth(turns: Turns) -> float:
    """Bytes/s read plus bytes/s written of a large copy, the best of several."""
    source = torch.zeros(2**28 if turns.device.type == 'cuda' else 2**26, device=turns.device)
    target = torch.empty_like(source)
    row = turns._replace(warmup=2, repeats=8).row(lambda: target.copy_(source))
    return 2 * source.nbytes / row['min_s']


def benchmark_device(turns: Turns) -> Report:
    """Peak of matrix products in all precisions of training, and of copies; memory and versions."""
    facts: dict[str, Any] = {}
    precisions = ['float32', 'bf16']
    if turns.device.type == 'cuda':
        precisions = ['float32', 'tf32', 'fp16', 'bf16']
        facts = {
            'memory': torch.cuda.get_device_properties(turns.device).total_memory,
            'cuda': torch.version.cuda,
            'cudnn': torch.backends.cudnn.version(),
        }
    flops = {name: matmul_peak(turns, name) for name in precisions}
    copied = copy_bandwidth(turns)
    report = Report(turns.device, **facts, matmul_flops_per_s=flops, copy_bytes_per_s=copied)
    if facts:
        memory = f'{facts["memory"] / 2**30:.1f} GiB'
        report.say(f'{memory}, CUDA {facts["cuda"]}, cuDNN {facts["cudnn"]}')
    rows = {f'matrix product, {name}': {'flops': value} for name, value in flops.items()}
    rows['copy, read and written'] = {'bytes': copied}
    columns = {'TFLOP/s': number('flops', '.3g', 1e-12), 'GB/s': number('bytes', '.3g', 1e-9)}
    report.table('at most', columns, rows)
    return report
