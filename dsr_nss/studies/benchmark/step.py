"""Training steps as training makes them, on random images and with random weights: their time,
stages, memory and work.

Times do not depend on what the weights and images are, but for aligners that match points: these
have their trained weights, since random ones find no points, and noise instead of photographs.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.engine.components import components
from dsr_nss.engine.launch import use_amp
from dsr_nss.engine.smoke import forget_weights
from dsr_nss.errors import ConfigError
from dsr_nss.matching.match_aligner import MatchAligner
from dsr_nss.models.initialise import initialise_quietly
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.studies.benchmark.device import copy_bandwidth, matmul_peak
from dsr_nss.studies.benchmark.flops import count
from dsr_nss.studies.benchmark.stages import StageMeter, by_stage, step_parts
from dsr_nss.studies.benchmark.timing import (
    Report,
    Row,
    Turns,
    now,
    number,
    peak_memory,
    short_names,
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
#: Random labels are rectangles of one class; so many of them along a side of the crop.
_LABEL_CELLS = 8


def build_step(
    config: Config, device: torch.device, *, amp: str | None
) -> tuple[Adaptation, OptimWrapper]:
    """The model and the optimiser of a training, as the config says compiled or not.

    The step is one after the start of prototype alignment, with the night image as its target, so
    that it has all of its parts.

    Raises:
        ConfigError: Not the config of an adaptation.
    """
    config = copy.deepcopy(config)
    forget_weights(config.model, keep=(MatchAligner,))
    if config.model.get('alignment'):
        config.model.alignment.start = 1
    if config.model.get('adapt_to_reference'):
        config.model.adapt_to_reference = 0.0
    if amp is not None:
        use_amp(config, amp)
    model = MODELS.build(config.model)
    load_matcher(model)
    if not isinstance(model, Adaptation):
        raise ConfigError(
            f'{config.filename} trains a {type(model).__name__}; `step` measures adaptations '
            '(DSRNSS, SourceOnly)'
        )
    model.to(device).train()
    if compiled := config.get('compile'):
        model.compile_networks(**({} if compiled is True else compiled))
    torch.backends.cudnn.benchmark = bool(config.get('env_cfg', {}).get('cudnn_benchmark'))
    return model, build_optim_wrapper(model, config.optim_wrapper)


def load_matcher(model: nn.Module) -> None:
    """Trained weights for an aligner that matches points: with random ones it has nothing to do."""
    for module in model.modules():
        if isinstance(module, MatchAligner):
            initialise_quietly(module)


def without_matches(config: Config) -> Config:
    """A copy that can run on the `meta` device, where images hold nothing: not compiled, and of the
    aligners with UAWarpC alone, since the matches of all others depend on what images hold.
    """
    config = copy.deepcopy(config)
    config.pop('compile', None)
    aligner = (config.model.get('refinement') or {}).get('aligner')
    if aligner and aligner['type'] != 'UAWarpC':
        aligner.clear()
        aligner['type'] = 'Identity'
    return config


def crop_size(config: Config) -> tuple[int, int]:
    """(height, width) of the training crops."""
    height, width = config.train_dataloader.dataset.crop_size
    return height, width


def random_items(config: Config) -> dict[str, Any]:
    """A collated batch as the loader would give it: noise, and labels of random rectangles."""
    generator = torch.Generator().manual_seed(0)
    size, batch = crop_size(config), config.train_dataloader.batch_size

    def noise() -> torch.Tensor:
        shape = (batch, 3, *size)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    stated = [part['num_classes'] for _, part in components(config.model) if 'num_classes' in part]
    cells = torch.randint(
        0, min(stated, default=19), (batch, 1, _LABEL_CELLS, _LABEL_CELLS), generator=generator
    )
    label = F.interpolate(cells.float(), size, mode='nearest')[:, 0]
    items: dict[str, Any] = {'source_image': noise(), 'source_label': label.to(torch.uint8)}
    if config.train_dataloader.dataset.get('target') is not None:
        items |= {'night_image': noise(), 'reference_image': noise()}
        items['has_reference'] = torch.ones(batch, dtype=torch.bool)
    return items | {
        key.replace('image', 'file'): ['random'] * batch for key in items if key.endswith('_image')
    }


def pinned(items: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """As the loader's `pin_memory=True` hands them to a GPU."""
    if device.type != 'cuda':
        return items
    return {k: v.pin_memory() if torch.is_tensor(v) else v for k, v in items.items()}


def count_step(config: Config) -> dict[str, float]:
    """FLOPs of one step by stage, counted without computing anything.

    The step runs on torch's `meta` device, where tensors have shapes and no content; so nothing in
    it may depend on what a tensor holds, and a step that waits for the device fails here. The
    backward pass is one stage. Of the aligners UAWarpC is counted, see `without_matches`.
    """
    config = without_matches(config)
    with torch.device('meta'):
        model, optim_wrapper = build_step(config, torch.device('meta'), amp=None)
    with without_autocast(), count() as counter:
        meter = StageMeter(lambda: float(counter.get_total_flops()))
        with meter.attached(step_parts(model, optim_wrapper)):
            model.train_step(random_items(config), optim_wrapper)
    return meter.take()


@contextmanager
def without_autocast() -> Iterator[None]:
    """`meta` is a device that `torch.autocast` does not know; it changes no count."""
    with (
        mock.patch.object(torch, 'autocast', lambda *args, **kwargs: nullcontext()),
        mock.patch.object(torch, 'is_autocast_enabled', lambda *args: False),
    ):
        yield


def benchmark_steps(
    configs: Sequence[Config], turns: Turns, *, amp: str | None = None, stages: bool = True
) -> Report:
    """Times and counts training steps; stages are measured in as many further steps.

    The bank pastes as often as in training, so repeats should be a multiple of its interval. In the
    content, `steps` has the row of undisturbed steps of each config.
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
    """One horizontal bar for each of the `steps`: the seconds of its stages one after the other."""
    bars = {n: steps[whole]['seconds_by_stage'] for n, whole in short_names(steps).items()}
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
