"""Feature prototype alignment: source with mixed, and source with night (equations 8 to 13)."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.prototypes import (
    alignment_loss,
    class_weights,
    label_shares,
    prototypes,
)
from dsr_nss.models.named_classes import named_classes


@MODELS.register_module()
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
        absent: What happens to a class that occurs in one domain only: `'drop'` or `'zero'`; see
            `alignment_loss`.
        prototype_scope: `'batch'`: one prototype a class over the whole batch (per process under
            DDP); `'image'`: image `i` of one domain against image `i` of the other, as in the
            authors' code.
        night_gradient: Whether a gradient reaches the student through the night features; the
            authors' code cuts it.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        long_tail_classes: Sequence[str],
        start: int,
        feature_level: int = -1,
        tau: float = 0.1,
        reweight: str = 'ratio',
        absent: str = 'drop',
        prototype_scope: str = 'batch',
        night_gradient: bool = True,
    ) -> None:
        super().__init__()
        if prototype_scope not in ('batch', 'image'):
            raise ValueError(f"prototype_scope must be 'batch' or 'image', got {prototype_scope!r}")
        self.num_classes = len(class_names)
        self.start = start
        self.feature_level = feature_level
        self.tau = tau
        self.reweight = reweight
        self.absent = absent
        self.prototype_scope = prototype_scope
        self.night_gradient = night_gradient
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
            mixed: The same of the mixed image and its mixed label.
            night: The same of the night image and its pseudo-label.

        Returns:
            `L_proto`, 0-dimensional and finite, and the mean share of the labelled area that took
            part in the four terms.
        """
        domains = [self._at_level(*domain) for domain in (source, mixed, night)]
        terms = []
        for other in domains[1:]:
            for a, b in self._groups(domains[0], other):
                terms += [self._term(*b, *a), self._term(*a, *b)]
        groups = len(terms) // 4
        losses, shares = zip(*terms, strict=True)
        return torch.stack(losses).sum() / groups, torch.stack(shares).mean()

    def _at_level(self, features: tuple[Tensor, ...], label: Tensor) -> tuple[Tensor, Tensor]:
        feature = features[self.feature_level]
        return feature, label_shares(label, feature.shape[-2:], self.num_classes)

    def _groups(self, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]):
        if self.prototype_scope == 'batch':
            return [(a, b)]
        slices = [slice(i, i + 1) for i in range(len(a[0]))]
        return [((a[0][s], a[1][s]), (b[0][s], b[1][s])) for s in slices]

    def _term(
        self, features: Tensor, shares: Tensor, other_features: Tensor, other_shares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features of one domain against the prototypes of the other."""
        dtype = torch.promote_types(features.dtype, torch.float32)
        with torch.autocast(features.device.type, enabled=False):
            rho = prototypes(other_features.to(dtype), other_shares)
            weight, overlap = class_weights(
                shares.sum(dim=(0, 2, 3)) > 0,
                other_shares.sum(dim=(0, 2, 3)) > 0,
                self.long_tail,
                self.reweight,
            )
            return alignment_loss(
                features.to(dtype), shares, rho, weight, overlap, self.tau, self.absent
            )
