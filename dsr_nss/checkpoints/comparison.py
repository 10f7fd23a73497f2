"""How well named tensors fit a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

#: How many names of each kind a message lists.
LISTED = 8


@dataclass(frozen=True)
class Comparison:
    """Which entries of a file fit a network and which do not, by the network's names.

    Attributes:
        matched: Entries in both, of the same shape, all values finite.
        missing: Entries in the network alone.
        unexpected: Entries in the file alone.
        mismatched: Entries in both, of different shapes; name -> (shape in the file, in the
            network).
        other_kind: Entries in both, of the same shape, but whole, complex or boolean numbers for
            floating ones or the other way round; name -> (kind in the file, in the network).
        not_finite: Entries in both, of the same shape and kind, but with NaN or infinite values.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    other_kind: dict[str, tuple[str, str]] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every entry of the network is filled and none is left over."""
        return not (self.unfilled or self.unexpected)

    @property
    def unfilled(self) -> list[str]:
        """Entries of the network that the file gives no value."""
        return [*self.missing, *self.mismatched, *self.other_kind, *self.not_finite]

    def problems(self) -> list[str]:
        """One text for each kind of misfit that occurs."""
        shapes, types = (
            [f'{name} {a} for {b}' for name, (a, b) in differing.items()]
            for differing in (self.mismatched, self.other_kind)
        )
        kinds = {
            'missing': self.missing,
            'unknown': self.unexpected,
            'of another shape': shapes,
            'of another kind of number': types,
            'with NaN or infinite values': self.not_finite,
        }
        return [f'{len(names)} {kind}: {listing(names)}' for kind, names in kinds.items() if names]


def compare(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Comparison:
    """Compare a network's state dict with named tensors.

    Args:
        own: Entries of the network; values are not read, so they may be on the meta device.
        given: Entries of the file.
    """
    result = Comparison(
        missing=[name for name in own if name not in given],
        unexpected=[name for name in given if name not in own],
    )
    for name, tensor in own.items():
        if name not in given:
            continue
        if given[name].shape != tensor.shape:
            result.mismatched[name] = (tuple(given[name].shape), tuple(tensor.shape))
        elif _kind(given[name]) != _kind(tensor):
            result.other_kind[name] = (_kind(given[name]), _kind(tensor))
        elif not is_finite(given[name]):
            result.not_finite.append(name)
        else:
            result.matched.append(name)
    return result


def _kind(tensor: Tensor) -> str:
    """What numbers a tensor holds; precision does not matter."""
    if tensor.is_floating_point():
        return 'floating'
    if tensor.is_complex():
        return 'complex'
    return 'boolean' if tensor.dtype is torch.bool else 'whole'


def is_finite(tensor: Tensor) -> bool:
    """Whether it holds neither NaN nor infinities."""
    if _kind(tensor) not in ('floating', 'complex'):
        return True
    if tensor.itemsize == 1:  # torch cannot ask it of 8-bit floats
        tensor = tensor.float()
    return bool(torch.isfinite(tensor).all())


def printable(text: str) -> str:
    """Text with the escapes of what a terminal would obey or hide, all but line breaks."""
    return ''.join(
        c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode() for c in text
    )


def listing(names: Sequence[str], shown: int = LISTED) -> str:
    """The first names and how many follow."""
    rest = len(names) - shown
    return ', '.join(names[:shown]) + (f' and {rest} more' if rest > 0 else '')
