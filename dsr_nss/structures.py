"""The named containers that travel between the data loader, the networks and the training step."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class AdaptationBatch:
    """One training batch on the device.

    Attributes:
        source_image: `(B, 3, H, W)` float32, normalised RGB.
        source_label: `(B, H, W)` int64, train ids, 255 = ignore.
        night_image: `(B, 3, H, W)` float32, normalised RGB; None when no target set is configured.
        reference_image: `(B, 3, H, W)` float32, the day reference of `night_image`; None as
            above, and when no sample of the batch has one.
        has_reference: `(B,)` bool; False where the night image stands in for `reference_image`.
    """

    source_image: Tensor
    source_label: Tensor
    night_image: Tensor | None
    reference_image: Tensor | None
    has_reference: Tensor | None


@dataclass
class StudentOutput:
    """What a segmentor returns in training.

    Attributes:
        logits: `(B, K, h, w)`, at the resolution of the head; HRDA: context and detail fused.
        features: Encoder maps, fine to coarse, each `(B, D_i, h_i, w_i)`; HRDA: of the context.
        detail_logits: HRDA only: `(B, K, h_d, w_d)` of the high-resolution crop.
        detail_box: HRDA only: (top, bottom, left, right) of that crop in pixels of the image.
    """

    logits: Tensor
    features: tuple[Tensor, ...]
    detail_logits: Tensor | None = None
    detail_box: tuple[int, int, int, int] | None = None
