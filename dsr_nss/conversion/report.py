"""What a weight file holds and what came of converting it, as text."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dsr_nss.checkpoints.comparison import is_finite, listing, printable
from dsr_nss.checkpoints.reading import NESTED, named_tensors
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import sha256_of
from dsr_nss.conversion.convert import Conversion, network_title, specific_name
from dsr_nss.conversion.layouts import beginnings, detect_layout
from dsr_nss.errors import CheckpointError
from dsr_nss.shipped import shipped_file

#: Entries of `meta` and of Lightning files that say something in a line.
TELLING = (
    'iter', 'epoch', 'global_step', 'seed', 'time', 'experiment_name', 'mmseg_version',
    'mmengine_version', 'mmcv_version', 'pytorch-lightning_version', 'provenance',
)  # fmt: skip


def describe_conversion(result: Conversion) -> str:
    """The report of the command line."""
    fit = result.comparison
    shapes, kinds = (
        [f'{name} {a} for {b}' for name, (a, b) in differing.items()]
        for differing in (fit.mismatched, fit.other_kind)
    )
    network = f'{result.network}: ' if result.kind == 'segmentor' else ''
    lines = [
        f'{result.source}: {result.title}, layout {result.layout}',
        network + network_title(result.config),
        f'  matched           {len(fit.matched)}',
    ]
    for kind, names in (
        ('missing', fit.missing),
        ('unexpected', fit.unexpected),
        ('shape-mismatched', shapes),
        ('other kind', kinds),
        ('NaN or infinite', fit.not_finite),
    ):
        lines.append(f'  {kind:<17} {len(names)}' + (f': {listing(names)}' if names else ''))
    lines += [f'  left out: {part} ({number} entries)' for part, number in result.left_out.items()]
    lines += [f'  note: {note}' for note in result.notes]
    if result.written is None:
        lines.append('incomplete: nothing was written; --partial writes what fits')
        return printable('\n'.join(lines))
    if result.random:
        lines.append(
            f'  left at random: {len(result.random)} entries of the network: '
            + listing(result.random, len(result.random))
        )
    if fit.unexpected:
        lines.append(f'  dropped: {len(fit.unexpected)} unexpected entries')
    lines.append(f'checkpoint: {result.written}')
    if result.config_written is not None:
        lines.append(f'config: {result.config_written}')
    return printable('\n'.join(lines))


def inspect_checkpoint(path: str | Path, layout: str = 'auto') -> str:
    """What a file holds: layout, networks, dtypes, settings. Nothing in it is executed.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: Damaged, could run code, or without tensors.
    """
    path = shipped_file(path)
    content = load_checkpoint_file(path)
    state = named_tensors(content, path)
    dtypes = Counter(str(tensor.dtype).split('.')[-1] for tensor in state.values())
    lines = [
        f'{path}: {path.stat().st_size / 2**20:.1f} MiB, SHA-256 {sha256_of(path)}',
        f'{len(state)} tensors, {sum(t.numel() for t in state.values()):,} values: '
        + ', '.join(f'{number} {dtype}' for dtype, number in dtypes.items()),
    ]
    try:
        found = detect_layout(state, layout)
        lines.append(f'layout {specific_name(found, state, content)}: {found.title}')
        parts = Counter(found.part_of(name) or 'unknown entries' for name in state)
        lines += [f'  {part}: {number} entries' for part, number in parts.items()]
    except CheckpointError as error:
        lines.append(str(error))
    lines += _beginnings(state)
    broken = [name for name, tensor in state.items() if not is_finite(tensor)]
    if broken:
        lines.append(f'NaN or infinite values in {len(broken)} tensors: {listing(broken)}')
    return printable('\n'.join([*lines, *_settings(content)]))


def _beginnings(state: Mapping[str, Tensor]) -> list[str]:
    """What the names begin with, and how many entries and values follow."""
    depth = 1 if len(beginnings(state)) > 3 else 2
    entries: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for name, tensor in state.items():
        start = '.'.join(name.split('.')[:depth])
        entries[start] += 1
        values[start] += tensor.numel()
    lines = [f'  {start}: {entries[start]} entries, {values[start]:,} values' for start in entries]
    return ['entries by the beginning of their names:', *lines]


def _settings(content: Mapping[str, Any]) -> list[str]:
    """What lies beside the weights."""
    others = [str(key) for key in content if key not in NESTED]
    if not any(isinstance(content.get(key), Mapping) for key in NESTED):
        return []  # the file is a bare state dict
    meta = content.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    lines = [f'beside the weights: {", ".join(others) or "nothing"}']
    for key in TELLING:
        value = content.get(key, meta.get(key))
        if value is not None:
            lines.append(f'  {key}: {str(value)[:300]}')
    saved = meta.get('dataset_meta')
    classes = meta.get('CLASSES') or (saved.get('classes') if isinstance(saved, Mapping) else None)
    if isinstance(classes, (list, tuple)) and classes:
        lines.append(f'  {len(classes)} classes: {listing([str(name) for name in classes])}')
    return lines
