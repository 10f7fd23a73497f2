"""Feature prototype alignment: source with mixed, and source with night [8] to [13].

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.prototypes import (
    alignment_loss,
    class_weights,
    label_shares,
    nearest_labels,
    prototypes,
)
from dsr_nss.models.named_classes import named_classes
from dsr_nss.values import Bounds, NotNegative, OneOf, Positive, checked


@MODELS.register_module()
@checked
class FPALoss(BaseModule):
    """Every feature is pulled to the prototype of its class in the *other* domain.

    Four terms: mixed -> source, source -> mixed, night -> source, source -> night.

    Args:
        class_names: Names of all classes; the position is the id.
        long_tail_classes: Names of the classes that [12] re-weights.
        start: First step (counted from 1) with this loss; the paper's runs begin after a quarter.
        feature_level: Encoder stage, an index into its maps; -1 is the last.
        tau: Temperature of the similarities.
        reweight: Form of `W^c`: `'ratio'` is `(s+1)/s`, `'literal'` is `s + 1/s`, `'none'` is 1.
        absent: What happens to a class that occurs in one domain only: `'drop'`, `'zero'` or
            `'kept'`; see `alignment_loss`.
        prototype_scope: `'batch'`: one prototype per class over the whole batch (per process under
            DDP); `'image'`: image `i` of one domain against image `i` of the other, as in the
            authors' code.
        prototype_labels: How a label says which cells form a prototype, and which classes occur:
            `'shares'` by its share of the cell, `'nearest'` by the one pixel that
            nearest-neighbour resizing picks, as in the authors' code.
        mixed_weight: Weight of the two terms of source and mixed; the authors' code has 0.01.
        night_gradient: Whether a gradient reaches the student through the night features; the
            authors' code cuts it.
        night_statistics: Whether the running statistics of the encoder's batch norms take in the
            night image: `'frozen'` or `'updated'`, as in the authors' code.

    Raises:
        ValueError: A field has none of the values above.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        long_tail_classes: Sequence[str],
        start: Annotated[int, Bounds(0)],
        feature_level: int = -1,
        tau: Positive = 0.1,
        reweight: Annotated[str, OneOf(('ratio', 'literal', 'none'))] = 'ratio',
        absent: Annotated[str, OneOf(('drop', 'zero', 'kept'))] = 'drop',
        prototype_scope: Annotated[str, OneOf(('batch', 'image'))] = 'batch',
        prototype_labels: Annotated[str, OneOf(('shares', 'nearest'))] = 'shares',
        mixed_weight: NotNegative = 1.0,
        night_gradient: bool = True,
        night_statistics: Annotated[str, OneOf(('frozen', 'updated'))] = 'frozen',
    ) -> None:
        super().__init__()
        self.num_classes = len(class_names)
        self.start = start
        self.feature_level = feature_level
        self.tau = tau
        self.reweight = reweight
        self.absent = absent
        self.prototype_scope = prototype_scope
        self.prototype_labels = prototype_labels
        self.mixed_weight = mixed_weight
        self.night_gradient = night_gradient
        self.night_statistics = night_statistics
        self.register_buffer(
            'long_tail', named_classes(long_tail_classes, class_names), persistent=False
        )

    def active(self, step: int) -> bool:
        """Whether step `step` (counted from 1) uses the loss."""
        return step >= self.start

    def forward(
        self,
        source: tuple[tuple[Tensor, ...], Tensor],
        mixed: tuple[tuple[Tensor, ...], Tensor],
        night: tuple[tuple[Tensor, ...], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Sum of the four terms.

        Args:
            source: Encoder maps of the source image, each `(B, D, h, w)`, and its label
                `(B, H, W)` int64.
            mixed: Encoder maps of the mixed image and its mixed label, in the shapes of `source`.
            night: Encoder maps of the night image and its pseudo-label, in the shapes of `source`.

        Returns:
            `L_proto`, 0-dimensional and finite, and the mean share of the labelled area that took
            part in the four terms.
        """
        domains = [self._at_level(*domain) for domain in (source, mixed, night)]
        total, shares = domains[0].feature.new_zeros(()), []
        for other, weight in ((domains[1], self.mixed_weight), (domains[2], 1.0)):
            groups = self._groups(domains[0], other)
            for a, b in groups:
                for here, there in ((b, a), (a, b)):
                    loss, share = self._term(here, there)
                    total = total + weight / len(groups) * loss
                    shares.append(share)
        return total, torch.stack(shares).mean()

    def _at_level(self, features: tuple[Tensor, ...], label: Tensor) -> '_Domain':
        feature = features[self.feature_level]
        size = (feature.shape[-2], feature.shape[-1])
        shares = label_shares(label, size, self.num_classes)
        nearest = self.prototype_labels == 'nearest'
        members = nearest_labels(label, size, self.num_classes) if nearest else shares
        return _Domain(feature, shares, members)

    def _groups(self, a: '_Domain', b: '_Domain') -> list[tuple['_Domain', '_Domain']]:
        """The pairs that prototypes are formed over: of the whole batch, or image by image."""
        if self.prototype_scope == 'batch':
            return [(a, b)]
        return [(a.of_image(i), b.of_image(i)) for i in range(len(a.feature))]

    def _term(self, here: '_Domain', there: '_Domain') -> tuple[Tensor, Tensor]:
        """Features of one domain against the prototypes of the other."""
        dtype = torch.promote_types(here.feature.dtype, torch.float32)
        with torch.autocast(here.feature.device.type, enabled=False):
            rho = prototypes(there.feature.to(dtype), there.members)
            weight, overlap = class_weights(
                here.members.sum(dim=(0, 2, 3)) > 0,
                there.members.sum(dim=(0, 2, 3)) > 0,
                self.long_tail,
                self.reweight,
            )
            return alignment_loss(
                here.feature.to(dtype), here.shares, rho, weight, overlap, self.tau, self.absent
            )


class _Domain(NamedTuple):
    """Features `(B, D, h, w)`, label shares `(B, C, h, w)`, and what forms prototypes, the same."""

    feature: Tensor
    shares: Tensor
    members: Tensor

    def of_image(self, i: int) -> '_Domain':
        return _Domain(*(tensor[i : i + 1] for tensor in self))
