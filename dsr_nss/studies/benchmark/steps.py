"""Training steps of configs in turns: time, stages, memory and work."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.config import Config

from dsr_nss.studies.benchmark.device import copy_bandwidth, matmul_peak
from dsr_nss.studies.benchmark.flops import count_step
from dsr_nss.studies.benchmark.stages import StageMeter, by_stage, step_parts
from dsr_nss.studies.benchmark.step import build_step, crop_size, pinned, random_items
from dsr_nss.studies.benchmark.timing import (
    Report,
    Row,
    Turns,
    now,
    number,
    peak_memory,
    span,
)

#: The length of the paper's run; what a step takes is projected to it.
PAPER_STEPS = 40_000
COLUMNS = {
    'step': span,
    'x first': number('times_first'),
    'repeats': number('repeats', '.0f'),
    'pairs/s': number('images_per_s'),
    f'h for {PAPER_STEPS}': number('median_s', scale=PAPER_STEPS / 3600),
    'GiB*': number('peak_memory', scale=2**-30),
    'TFLOP': number('flops', '.3g', 1e-12),
    'at least s': number('floor_s', '.3f'),
    '% of peak': number('share_of_peak', '.1f', 100),
}
FOOTNOTE = '* beyond weights and optimiser state'
_STAGE_COLUMNS = {
    'ms': number('seconds', '.1f', 1000),
    'share': number('share', '.1%'),
    'GFLOP': number('flops', '.1f', 1e-9),
}


def benchmark_steps(
    configs: Sequence[Config], turns: Turns, *, amp: str | None = None, stages: bool = True
) -> Report:
    """Times and counts training steps; stages are measured in as many further steps.

    The bank pastes as often as in training, so repeats should be a multiple of its interval.

    Returns:
        The peak of the fastest matrix product that a step may use, and `steps`: config -> the
        row of undisturbed steps with `peak_memory`, bytes beyond weights and optimiser state,
        `seconds_by_stage` (medians), `flops`, `flops_by_stage`, and what follows from these.
    """
    device = turns.device
    # in float32 on a GPU, cuDNN's convolutions use TF32 by default
    precision = amp or ('tf32' if device.type == 'cuda' else 'float32')
    peak, copied = matmul_peak(turns, precision), copy_bandwidth(turns)
    facts = {'matmul_precision': precision, 'matmul_flops_per_s': peak, 'copy_bytes_per_s': copied}
    report = Report(device, amp=amp, **facts)
    report.say(
        f'matrix product ({precision}) {peak / 1e12:.3g} TFLOP/s, copy {copied / 1e9:.3g} GB/s'
    )
    names = [str(config.filename) for config in configs]
    built = [build_step(config, device, amp=amp) for config in configs]
    batches = [pinned(random_items(config), device) for config in configs]
    work = {
        name: partial(model.train_step, items, optim_wrapper)
        for name, (model, optim_wrapper), items in zip(names, built, batches, strict=True)
    }
    rows = turns.measure(work)
    for name, config, parts, items in zip(names, configs, built, batches, strict=True):
        row, flops = rows[name], count_step(config)
        row |= {
            'peak_memory': peak_memory(work[name], device),
            'seconds_by_stage': _stages(*parts, items, turns) if stages else {},
            'batch_size': config.train_dataloader.batch_size,
            'crop_size': crop_size(config),
            'times_first': rows[names[0]]['median_s'] / row['median_s'],
            'images_per_s': config.train_dataloader.batch_size / row['median_s'],
            'flops': sum(flops.values()),
            'flops_by_stage': flops,
            'floor_s': sum(flops.values()) / peak,
        }
        row['share_of_peak'] = row['floor_s'] / row['median_s']
        batch, size = row['batch_size'], 'x'.join(map(str, row['crop_size']))
        report.table(f'{batch} + {batch} crops of {size}', COLUMNS, {name: row})
        if stages:
            report.table('stage', _STAGE_COLUMNS, _stage_rows(row))
    report.say(FOOTNOTE)
    report.content['steps'] = rows
    return report


def _stages(model: Any, optim_wrapper: Any, items: dict, turns: Turns) -> dict[str, float]:
    meter, samples = StageMeter(partial(now, turns.device)), []
    with meter.attached(step_parts(model, optim_wrapper)):
        for _ in turns.rounds(turns.repeats):
            model.train_step(items, optim_wrapper)
            samples.append(meter.take())
    return {name: row['median_s'] for name, row in by_stage(samples).items()}


def _stage_rows(row: Row) -> dict[str, Row]:
    seconds, flops = row['seconds_by_stage'], row['flops_by_stage']
    together = sum(seconds.values())
    rows = {
        name: {'seconds': value, 'share': value / together, 'flops': flops.get(name, 0)}
        for name, value in seconds.items()
    }
    return rows | {'together': {'seconds': together, 'share': 1, 'flops': row['flops']}}


def stage_figure(steps: Mapping[str, Row]) -> Figure:
    """One horizontal bar a config: the seconds of its stages, one after the other.

    Args:
        steps: Config -> row, from `benchmark_steps`.
    """
    bars = {Path(name).stem: row['seconds_by_stage'] for name, row in steps.items()}
    figure = Figure(figsize=(10, 1.6 + 0.7 * len(bars)), layout='constrained')
    axes = figure.subplots()
    stages = dict.fromkeys(stage for bar in bars.values() for stage in bar)
    left = [0.0] * len(bars)
    # strong to pale within a hue, so that neighbours differ for any colour vision
    for i, stage in enumerate(stages):
        widths = [bar.get(stage, 0.0) for bar in bars.values()]
        axes.barh(
            list(bars), widths, left=left, height=0.6, color=colormaps['tab20c'](i), label=stage
        )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel('seconds a step')
    figure.legend(loc='outside lower center', ncols=6, frameon=False, fontsize=8)
    return figure
