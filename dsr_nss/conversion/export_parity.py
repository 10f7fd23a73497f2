"""Whether an exported network gives what the network of the checkpoint gives."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsr_nss.errors import CheckpointError
from dsr_nss.inference.exported import ExportedNetwork

#: Sizes at which a graph for any size is compared; the second is no square.
SIZES = ((192, 192), (135, 240))


@dataclass(frozen=True)
class Parity:
    """One comparison.

    Attributes:
        size: (height, width) of the input in pixels.
        cells: Number of cells of the logits.
        different: Number of cells with another class.
        difference: The largest difference of a logit.
        largest: The largest absolute value of a logit of the checkpoint.
    """

    size: tuple[int, int]
    cells: int
    different: int
    difference: float
    largest: float


def compare(model: nn.Module, exported: ExportedNetwork, name: Path) -> list[Parity]:
    """Compares the logits of two inputs: of two sizes, or with two contents of the one size.

    Args:
        model: The network of the checkpoint, in float32.
        exported: The file, read back.
        name: What to call it in the message.

    Raises:
        CheckpointError: In float32 a single cell has another class; in other precisions the logits
            are not finite.
    """
    sizes = SIZES if exported.facts.size is None else (exported.facts.size,) * 2
    exact = exported.facts.precision == 'float32'
    results = []
    for seed, size in enumerate(sizes):
        image = content(size, seed)
        with torch.no_grad():
            wanted, got = model._forward(image).float(), exported.graph(image)
        if got.shape != wanted.shape:
            raise CheckpointError(
                f'{name} was not written: at {size[0]}x{size[1]} the exported network gives '
                f'{tuple(got.shape)}, the checkpoint {tuple(wanted.shape)}'
            )
        if not bool(torch.isfinite(got).all()):
            raise CheckpointError(
                f'{name} was not written: at {size[0]}x{size[1]} the exported network gives values '
                f'that are not finite in {exported.facts.precision}; in float32 its largest logit '
                f'is {wanted.abs().max():.2g}'
            )
        different = classes(got) != classes(wanted)
        result = Parity(
            size=size,
            cells=different.numel(),
            different=int(different.sum()),
            difference=float((got - wanted).abs().max()),
            largest=float(wanted.abs().max()),
        )
        if exact and result.different:
            raise CheckpointError(
                f'{name} was not written: at {size[0]}x{size[1]} the exported network has another '
                f'class than the checkpoint in {result.different} of {result.cells} cells (largest '
                f'difference of a logit {result.difference:.2g})'
            )
        results.append(result)
    return results


def content(size: tuple[int, int], seed: int) -> Tensor:
    """A normalised image of smooth spots and noise, `(1, 3, h, w)` float32."""
    generator = torch.Generator().manual_seed(seed)
    spots = torch.randn(1, 3, 6, 6, generator=generator)
    noise = torch.randn(1, 3, *size, generator=generator)
    return F.interpolate(spots, size, mode='bicubic') + 0.3 * noise


def classes(logits: Tensor) -> Tensor:
    """Class of each cell of `(1, K, h, w)`; of one channel, whether it is positive."""
    return logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1)
