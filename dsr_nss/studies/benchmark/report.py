"""What a benchmark of steps says: a table, a JSON file and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from dsr_nss.studies.benchmark.align import Cost
from dsr_nss.studies.benchmark.device import copy_bandwidth, describe_device, step_peak
from dsr_nss.studies.benchmark.flops import count_step
from dsr_nss.studies.benchmark.step import StepTiming, benchmark_step
from dsr_nss.studies.benchmark.timing import OUT_OF_MEMORY

#: The length of the paper's run; what a step takes is projected to it.
PAPER_STEPS = 40_000


def report_steps(
    configs: Sequence[Config],
    device: torch.device,
    *,
    amp: str | None,
    warmup: int,
    repeats: int,
    stages: bool,
) -> dict[str, Any]:
    """Times and counts the steps of configs; everything that `format_steps` and a file need."""
    precision, peak = step_peak(device, amp)
    timings = benchmark_step(
        configs, device, amp=amp, warmup=warmup, repeats=repeats, stages=stages
    )
    return {
        **describe_device(device),
        'amp': amp,
        'matmul_precision': precision,
        'matmul_flops_per_s': peak,
        'copy_bytes_per_s': copy_bandwidth(device),
        'steps': {
            str(config.filename): _describe(timing, count_step(config), peak)
            for config, timing in zip(configs, timings, strict=True)
        },
    }


def _describe(timing: StepTiming, flops: Mapping[str, float], peak: float) -> dict[str, Any]:
    total, median = sum(flops.values()), timing.timing.median
    return {
        **timing.timing.as_dict(),
        'batch_size': timing.batch_size,
        'crop_size': list(timing.crop_size),
        'images_per_s': timing.batch_size / median,
        'peak_memory': timing.peak_memory,
        'flops': total,
        'flops_by_stage': dict(flops),
        'floor_s': total / peak,
        'share_of_peak': total / median / peak,
        'seconds_by_stage': dict(timing.stages),
    }


def format_steps(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        f'{report["device"]}, {report["threads"]} thread(s), torch {report["torch"]}, '
        f'{report["amp"] or "float32"}, commit {report["commit"]}',
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
            f'  step    {median:.3f} s, median of {step["repeats"]} '
            f'({step["min_s"]:.3f} to {step["max_s"]:.3f})'
            + (f', {first / median:.2f} x as fast as the first' if first else ''),
            f'  images  {step["images_per_s"]:.2f} pairs/s; {PAPER_STEPS} such steps in '
            f'{PAPER_STEPS * median / 3600:.2f} h without the loader',
            f'  memory  {step["peak_memory"] / 2**30:.2f} GiB beyond weights and optimiser state',
            f'  work    {step["flops"] / 1e12:.3g} TFLOP, at least {step["floor_s"]:.3f} s; '
            f'{100 * step["share_of_peak"]:.1f} % of the matrix product',
        ]
        first = first or median
        lines += _stage_lines(step)
    return '\n'.join(lines)


def _stage_lines(step: Mapping[str, Any]) -> list[str]:
    seconds, flops = step['seconds_by_stage'], step['flops_by_stage']
    if not seconds:
        return []
    total = sum(seconds.values())
    lines = [f'  {"stage":18s} {"ms":>9s} {"share":>7s} {"GFLOP":>9s}']
    for stage, value in seconds.items():
        lines.append(
            f'  {stage:18s} {1000 * value:9.1f} {100 * value / total:6.1f}% '
            f'{flops.get(stage, 0) / 1e9:9.1f}'
        )
    lines.append(f'  {"together":18s} {1000 * total:9.1f}         {sum(flops.values()) / 1e9:9.1f}')
    return lines


def stage_table(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Config name -> stage -> seconds, for `stage_bars`."""
    return {Path(name).stem: step['seconds_by_stage'] for name, step in report['steps'].items()}


def format_costs(costs: Mapping[str, Cost], device: Mapping[str, Any], title: str) -> str:
    """Time and memory of several things.

    Args:
        costs: Name -> cost.
        device: The result of `describe_device`.
        title: What was measured.
    """
    width = max(map(len, costs))
    return '\n'.join(
        [
            f'{title}; {device["device"]}, {device["threads"]} thread(s), torch '
            f'{device["torch"]}, commit {device["commit"]}',
            *(f'  {name:{width}s}  {_cost(cost)}' for name, cost in costs.items()),
        ]
    )


def _cost(cost: Cost) -> str:
    if cost.timing is None:
        return OUT_OF_MEMORY
    return (
        f'{cost.timing!s:32s} {cost.peak_memory / 2**20:8.0f} MiB  '
        f'{len(cost.timing.samples)} repeat(s)'
    )
