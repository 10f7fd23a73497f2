"""What a benchmark of steps says: its figures, their text, and what the picture shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from dsr_nss.studies.benchmark.device import (
    copy_bandwidth,
    heading,
    machine,
    matmul_peak,
    step_precision,
)
from dsr_nss.studies.benchmark.flops import count_step
from dsr_nss.studies.benchmark.step import benchmark_step
from dsr_nss.studies.benchmark.timing import span
from dsr_nss.visualization.text_table import text_table

#: The length of the paper's run; what a step takes is projected to it.
PAPER_STEPS = 40_000


def report_steps(
    configs: Sequence[Config], device: torch.device, *, amp: str | None, **settings: Any
) -> dict[str, Any]:
    """Times and counts the steps of configs; everything that `format_steps` and a file need.

    Args:
        configs, device, amp: Same meaning as in `benchmark_step`.
        settings: Its further arguments.
    """
    precision = step_precision(device, amp)
    peak = matmul_peak(device, precision)
    report = {
        **machine(device),
        'amp': amp,
        'matmul_precision': precision,
        'matmul_flops_per_s': peak,
        'copy_bytes_per_s': copy_bandwidth(device),
        'steps': {},
    }
    steps = benchmark_step(configs, device, amp=amp, **settings)
    for config, step in zip(configs, steps, strict=True):
        flops = count_step(config)
        total, median = sum(flops.values()), step['median_s']
        report['steps'][str(config.filename)] = {
            **step,
            'images_per_s': step['batch_size'] / median,
            'flops': total,
            'flops_by_stage': flops,
            'floor_s': total / peak,
            'share_of_peak': total / median / peak,
        }
    return report


def format_steps(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        heading(report),
        f'matrix product ({report["matmul_precision"]}) '
        f'{report["matmul_flops_per_s"] / 1e12:.3g} TFLOP/s, '
        f'copy {report["copy_bytes_per_s"] / 1e9:.3g} GB/s',
    ]
    first: float | None = None
    for name, step in report['steps'].items():
        median = step['median_s']
        size = 'x'.join(map(str, step['crop_size']))
        lines += [
            '',
            f'{name}: {step["batch_size"]} + {step["batch_size"]} crops of {size}',
            f'  step    {span(step)}, median of {step["repeats"]}'
            + (f', {first / median:.2f} x as fast as the first' if first else ''),
            f'  images  {step["images_per_s"]:.2f} pairs/s; {PAPER_STEPS} such steps in '
            f'{PAPER_STEPS * median / 3600:.2f} h without the loader',
            f'  memory  {step["peak_memory"] / 2**30:.2f} GiB beyond weights and optimiser state',
            f'  work    {step["flops"] / 1e12:.3g} TFLOP, at least {step["floor_s"]:.3f} s; '
            f'{100 * step["share_of_peak"]:.1f} % of the matrix product',
        ]
        first = first or median
        if step['seconds_by_stage']:
            lines.append(_stage_table(step['seconds_by_stage'], step['flops_by_stage']))
    return '\n'.join(lines)


def _stage_table(seconds: Mapping[str, float], flops: Mapping[str, float]) -> str:
    total = sum(seconds.values())

    def row(stage: str, value: float, work: float) -> list[str]:
        return [stage, f'{1000 * value:.1f}', f'{100 * value / total:.1f}%', f'{work / 1e9:.1f}']

    rows = [row(stage, value, flops.get(stage, 0)) for stage, value in seconds.items()]
    together = [row('together', total, sum(flops.values()))]
    return text_table(['stage', 'ms', 'share', 'GFLOP'], rows, together)


def stage_seconds(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Config name -> stage -> seconds, for `stage_bars`."""
    return {Path(name).stem: step['seconds_by_stage'] for name, step in report['steps'].items()}
