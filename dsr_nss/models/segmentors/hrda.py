"""HRDA: a coarse look at the whole image and a fine look at parts of it, by one network."""

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.losses import accuracy
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor, nn

from dsr_nss.functional.hrda_fusion import draw_detail_box, half_size
from dsr_nss.functional.windows import crop, stack_windows
from dsr_nss.models.decode_heads.hrda import HRDAHead
from dsr_nss.models.segmentors.adaptable import AdaptableEncoderDecoder
from dsr_nss.structures import StudentOutput
from dsr_nss.values import checked


@MODELS.register_module()
@checked
class HRDAEncoderDecoder(AdaptableEncoderDecoder):
    """Context at half size and detail windows at full size, fused by `HRDAHead`.

    Detail windows have the size of the context in pixels, so both go through the encoder in one
    batch. Training looks at one random window; inference at windows that cover the image.

    Args:
        decode_head: Config of an `HRDAHead`.
        **kwargs: Arguments of `AdaptableEncoderDecoder`; auxiliary heads are not supported.

    Raises:
        ValueError: Another head, or an auxiliary one.
    """

    decode_head: HRDAHead

    def __init__(self, *, decode_head: dict, **kwargs: Any) -> None:
        if kwargs.get('auxiliary_head') is not None:
            raise ValueError('HRDAEncoderDecoder has no use for auxiliary_head; remove the field')
        super().__init__(decode_head=decode_head, **kwargs)
        if not isinstance(self.decode_head, HRDAHead):
            raise ValueError(
                f'HRDAEncoderDecoder needs an HRDAHead, got {type(self.decode_head).__name__}; '
                'AdaptableEncoderDecoder takes any other head'
            )

    # ---- training -------------------------------------------------------------------------------

    def forward_train(self, image: Tensor) -> StudentOutput:
        """Fused logits, the logits of one random detail window for the whole batch, and its box.

        Args:
            image: `(B, 3, H, W)`, floating, normalised.

        Returns:
            The output with all its fields; the features are those of the context.
        """
        size = image.shape[2:]
        box = draw_detail_box(size)
        features = self.extract_feat(torch.cat([shrink(image), crop(image, box)]))
        logits, detail_logits = self.decode_head.forward_train(features, box, size)
        return StudentOutput(
            logits=logits,
            features=tuple(x[: len(image)] for x in features),
            detail_logits=detail_logits,
            detail_box=box,
        )

    def segmentation_loss(
        self, output: StudentOutput, label: Tensor, pixel_weight: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy of the fused logits and of the detail window, weighted by the head.

        Args:
            output: What `forward_train` returned.
            label: `(B, H, W)` int64, train ids or 255.
            pixel_weight: `(B, H, W)`, or None for 1 everywhere.

        Returns:
            0-dimensional.
        """
        assert output.detail_logits is not None and output.detail_box is not None
        detail_weight = None if pixel_weight is None else crop(pixel_weight, output.detail_box)
        fused = super().segmentation_loss(output, label, pixel_weight)
        detail = self._cross_entropy(
            output.detail_logits, crop(label, output.detail_box), detail_weight
        )
        share = self.decode_head.detail_loss_weight
        return (1 - share) * fused + share * detail

    def context_image(self, image: Tensor) -> Tensor:
        """The context: the image at half size, `(B, 3, H, W)` -> `(B, 3, ceil(H/2), ceil(W/2))`."""
        return shrink(image)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """mmseg's training entry: the loss above and the accuracy under mmseg's names.

        Args:
            inputs: `(B, 3, H, W)`, floating, normalised.
            data_samples: `B` samples, each with its label in `gt_sem_seg`.
        """
        output = self.forward_train(inputs)
        label = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        logits = self._resize(output.logits.detach(), label.shape[-2:])
        return {
            'decode.loss_ce': self.segmentation_loss(output, label),
            'decode.acc_seg': accuracy(logits, label, ignore_index=self.decode_head.ignore_index),
        }

    def compilable(self) -> list[nn.Module]:
        """Not the fusion, whose shapes follow a box that is drawn in every step."""
        return [self.backbone, self.decode_head.head, self.decode_head.scale_attention]

    # ---- inference ------------------------------------------------------------------------------

    def _forward(self, inputs: Tensor, data_samples: SampleList | None = None) -> Tensor:
        """Logits of the inference fusion at the resolution of the head."""
        boxes = self.decode_head.detail_boxes(inputs.shape[2:])
        images = torch.cat([shrink(inputs), stack_windows(inputs, boxes)])
        limit = self.windows_at_once(inputs)
        parts = [self.extract_feat(part) for part in images.split(limit or len(images))]
        features = [torch.cat(level) for level in zip(*parts, strict=True)]
        return self.decode_head(features, boxes, inputs.shape[2:], limit)


def shrink(image: Tensor) -> Tensor:
    """The context: `(B, 3, H, W)` -> `(B, 3, ceil(H / 2), ceil(W / 2))`, bilinear."""
    size = half_size(image.shape[2:])
    return F.interpolate(image, size, mode='bilinear', align_corners=False)
