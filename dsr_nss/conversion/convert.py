"""Published checkpoints to ours, and ours to plain mmseg ones."""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.checkpoints.adapters import merge_adapters
from dsr_nss.checkpoints.comparison import Comparison, compare, listing
from dsr_nss.checkpoints.reading import entries_at_random, named_tensors
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import save_checkpoint_file, sha256_of
from dsr_nss.commands import call
from dsr_nss.conversion.config import (
    number_of_classes,
    part_config,
    stock_model,
    whole_config,
)
from dsr_nss.conversion.config_text import format_config
from dsr_nss.conversion.layouts import NETWORKS, Layout, detect_layout
from dsr_nss.conversion.target import Target, find_target
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.files import require_other_files, write_text
from dsr_nss.inference.load import dataset_meta
from dsr_nss.inference.saved_network import shapes_of
from dsr_nss.shipped import shipped_file
from dsr_nss.version import __version__

#: Buffers that count batches; only batch norms without a momentum read them.
COUNTER = 'num_batches_tracked'
#: What is done to random values of entries that a partial file lacks: always the same ones.
RANDOM_SEED = 0


@dataclass(frozen=True)
class Conversion:
    """What came of a file.

    Attributes:
        source: The file.
        layout: Its layout, by the most specific name that its entries allow.
        title: The layout for people.
        network: 'student' or 'teacher'.
        config: Config of the network: a segmentor without its test data, an encoder or an aligner.
        kind: 'segmentor', 'encoder' or 'aligner'.
        comparison: How the file's entries fit the network.
        left_out: Other parts of the file -> number of entries.
        notes: What was changed on the way, such as a dtype.
        random: Entries of the network that were left at random, with `partial`.
        written: The checkpoint; None if it was incomplete and not `partial`.
        config_written: The config; None if none was asked for.
    """

    source: Path
    layout: str
    title: str
    network: str
    config: dict[str, Any]
    kind: str
    comparison: Comparison
    left_out: dict[str, int]
    notes: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    written: Path | None = None
    config_written: Path | None = None


def convert_checkpoint(
    source: str | Path,
    destination: str | Path,
    *,
    layout: str = 'auto',
    network: str = 'student',
    partial: bool = False,
    half: bool = False,
    config: str | Path | None = None,
    config_out: str | Path | None = None,
) -> Conversion:
    """Writes one network of a published file under the names of this package.

    Args:
        source: The file, or `dsr_nss::NAME`; it is read as data, nothing in it is executed.
        destination: The checkpoint to write: `state_dict`, and `meta` with the classes,
            the config of the network and, under `provenance`, where it comes from.
        layout: 'auto', or one of `dsr_nss.conversion.layouts.LAYOUT_NAMES` to insist on it;
            'mmseg' writes mmseg's own classes wherever they hold the network.
        network: 'student' or 'teacher'.
        partial: Write an incomplete network too; what the file lacks gets fixed random values.
        half: Write float16 instead of float32: half the size, for files that are handed on.
        config: A config with the network to convert for. By default it is told from the names and
            shapes, or for a training run from the config that the checkpoint holds.
        config_out: The config file to write with it.

    Returns:
        What fits and what does not. Nothing was written where `written` is None.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: The file is damaged, could run code, has no known layout or lacks
            `network`; or a value is too large for `half`.
        ConfigError: The network cannot be built, the source would be overwritten, `config` states
            other class names than the file, or `config_out` is no name of a config.
        ValueError: An unknown `layout` or `network`.
    """
    source, destination = shipped_file(source), Path(destination)
    if network not in NETWORKS:
        raise ValueError(f'network must be one of {NETWORKS}, got {network!r}')
    content = load_checkpoint_file(source)
    require_other_files([source, config], [destination, config_out])
    if config_out is not None and Path(config_out).suffix != '.py':
        raise ConfigError(f'the config is a Python file: {config_out} must end in .py')
    state = merge_adapters(named_tensors(content, source), source)
    try:
        found = detect_layout(state, layout)
        converted, left_out = _take(found, state, network)
    except CheckpointError as error:
        raise CheckpointError(f'{source}: {error}') from error
    name = layout if layout in found.names else specific_name(found, state, content)
    target = find_target(found, name, converted, content, source, config)
    if layout == 'mmseg' and found.kind == 'segmentor':
        target = replace(target, config=stock_model(target.config))
    shapes, notes = _wanted(target, found, converted)
    converted, changes = _normalise(converted, shapes)
    result = Conversion(
        source=source,
        layout=name,
        title=found.title,
        network=network,
        config=target.config,
        kind=found.kind,
        comparison=compare(shapes, converted),
        left_out=left_out,
        notes=[*target.notes, *notes, *changes, *(['written in float16'] if half else [])],
    )
    if not result.comparison.complete and not partial:
        return result
    random = [*result.comparison.unfilled, *entries_at_random(content)]  # it may be converted too
    result = replace(result, random=list(dict.fromkeys(random)), written=destination)
    result = replace(result, config_written=None if config_out is None else Path(config_out))
    weights = _fill(result, converted, shapes)
    _write(result, target, _in_half(weights, source) if half else weights, content)
    return result


def specific_name(layout: Layout, state: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """The name of a layout that fits named weights `(...)`; its own where nothing tells."""
    if layout.name != 'hrda':
        return layout.name
    meta = content.get('meta')
    settings = meta.get('config') if isinstance(meta, Mapping) else None
    masked = isinstance(settings, str) and "mask_mode='" in settings.replace(' ', '')
    if masked or any(name.startswith('mic.') for name in state):
        return 'mic'
    return 'hrda' if any('.scale_attention.' in name for name in state) else 'daformer'


# --- steps --------------------------------------------------------------------------------------


def _take(
    layout: Layout, state: Mapping[str, Tensor], network: str
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The entries of one network under this package's names, and the counts of all others."""
    parts = {name: layout.part_of(name) for name in state}
    chosen = {name: state[name] for name, part in parts.items() if part == network}
    if not chosen:
        held = ', '.join(dict.fromkeys(part for part in parts.values() if part)) or 'nothing known'
        raise CheckpointError(f'holds no {network}; it holds: {held}')
    converted = layout.convert(chosen, network)
    others = Counter(part for part in parts.values() if part not in (None, network))
    if len(converted) < len(chosen) and not layout.joins:
        others['layers that this network does not run'] = len(chosen) - len(converted)
    unknown = {name: state[name] for name, part in parts.items() if part is None}
    return {**unknown, **converted}, {str(part): number for part, number in others.items()}


def _wanted(
    target: Target, layout: Layout, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """What the file should hold: the whole network, or a matching head alone."""
    shapes = shapes_of(target.config)
    if layout.kind != 'aligner' or any(name.startswith('pyramid.') for name in state):
        return shapes, []
    note = 'the matching head alone: its features are those of VGG-16, a file of their own'
    return {name: v for name, v in shapes.items() if name.startswith('head.')}, [note]


def _normalise(
    state: Mapping[str, Tensor], shapes: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """float32 for every other float, and counters that files from before torch 0.4.1 lack."""
    notes = []
    dtypes = Counter(t.dtype for t in state.values() if t.is_floating_point())
    for dtype, number in dtypes.items():
        if dtype != torch.float32:
            notes.append(f'{number} tensors converted from {str(dtype).split(".")[-1]} to float32')
    result = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in state.items()
    }
    counters = [name for name in shapes if name.endswith(COUNTER) and name not in result]
    if counters:
        notes.append(f'{len(counters)} counters of batches ({COUNTER}) were missing and set to 0')
        result |= {name: torch.zeros((), dtype=torch.int64) for name in counters}
    return result, notes


def _fill(
    result: Conversion, state: Mapping[str, Tensor], shapes: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The whole network in its own order: what fits from the file, the rest as it starts."""
    values = {name: state[name] for name in result.comparison.matched}
    if result.comparison.unfilled:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            model = MODELS.build(copy.deepcopy(result.config))
            model.init_weights()
        values = {**model.state_dict(), **values}
    return {name: values[name] for name in shapes}


def _in_half(weights: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    halves = {n: w.half() if w.is_floating_point() else w for n, w in weights.items()}
    large = [name for name, weight in halves.items() if not weight.isfinite().all()]
    if large:
        raise CheckpointError(f'{source}: too large for float16 (65504): {listing(large)}')
    return halves


def _write(
    result: Conversion, target: Target, weights: Mapping[str, Tensor], content: Mapping[str, Any]
) -> None:
    """The checkpoint, and the config if one is asked for."""
    assert result.written is not None
    whole = _whole_config(result, target)
    provenance = _provenance(result)
    meta: dict[str, Any] = dict(provenance=provenance)
    if result.kind == 'segmentor':
        meta['cfg'] = format_config(whole, provenance['network'])
        number = number_of_classes(result.config)
        meta['dataset_meta'] = dataset_meta(content, number, target.classes)
    path = result.config_written
    text = None if path is None else format_config(whole, _docstring(result, path, provenance))
    save_checkpoint_file(result.written, dict(meta=meta, state_dict=dict(weights)))
    if path is not None and text is not None:
        write_text(path, text)


def _provenance(result: Conversion) -> dict[str, Any]:
    return dict(
        source=result.source.name,
        sha256=sha256_of(result.source),
        layout=result.layout,
        model=result.network,
        network=network_title(result.config),
        converted_by=f'dsr_nss {__version__}',
        notes=list(result.notes),
        left_at_random=list(result.random),
    )


def _whole_config(result: Conversion, target: Target) -> dict[str, Any]:
    if result.kind != 'segmentor':
        assert result.written is not None
        return part_config(result.config, result.written)
    return whole_config(
        result.config,
        test_sets=target.test_sets,
        default_test_sets=target.default_test_sets,
        test_pipeline=target.test_pipeline,
    )


def _docstring(result: Conversion, path: Path, provenance: Mapping[str, Any]) -> str:
    origin = (
        f'Converted from the layout {result.layout} by {provenance["converted_by"]}.\n'
        f'SHA-256 of the file: {provenance["sha256"]}'
    )
    if result.kind != 'segmentor':
        return (
            f'{provenance["network"]} from {result.source.name}: `init_cfg` of the field below '
            f'loads it.\n\n{origin}'
        )
    text = (
        f'{provenance["network"]}: the {result.network} of {result.source.name}.\n\n'
        f'    {call("test")} {path} {result.written}\n\n{origin}'
    )
    if not result.config['decode_head'].get('truncate_boxes'):
        return text
    return (
        f'{text}\n\n`truncate_boxes=True` places detail windows on whole cells, as the published '
        'code; without it\nthey stand where they were cut out.'
    )


def network_title(config: Mapping[str, Any]) -> str:
    """The parts of a network in a few words."""
    encoder = config.get('backbone', config)
    size = next(
        (encoder[k] for k in ('arch', 'depth', 'embed_dims', 'model_name') if encoder.get(k)), None
    )
    encoder_title = encoder['type'] + (f' {size}' if size else '')
    if 'backbone' not in config:
        return encoder_title
    head = config['decode_head']
    head = head[-1] if isinstance(head, (list, tuple)) else head
    return f'{head["type"]} on {encoder_title}, {number_of_classes(config)} classes'
