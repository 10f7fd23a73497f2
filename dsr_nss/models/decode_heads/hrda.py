"""HRDA's head: one head for both scales, a scale attention, and how their logits are fused."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.hrda_fusion import detail_boxes, fuse_train, fuse_windows
from dsr_nss.functional.windows import Box, at_least_float32
from dsr_nss.values import PositiveShare, Share, checked


@MODELS.register_module()
@checked
class HRDAHead(BaseDecodeHead):
    """Works with `HRDAEncoderDecoder`, which encodes the context and the detail windows.

    Source: Hoyer et al., "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic
    Segmentation", 2022.

    Args:
        head: Config of the head that both scales share, usually a `DAFormerHead`.
        scale_attention: Config of the head that predicts, a class and a position, how far to trust
            the detail; usually `DAFormerHead(fusion='conv1x1')`.
        detail_loss_weight: Share of the loss on the detail window, in [0, 1]; the fused logits get
            the rest.
        detail_stride: Step of the detail windows at inference as a share of their size: 0.5 gives
            9 overlapping windows, 1 gives 4 without overlap (for CPUs).
        truncate_boxes: Place detail windows on whole cells of the logits, rounding down, as
            published code does; only window sizes that 16 does not divide are concerned, and of
            these only multiples of 8, for at others published code stops.
        init_cfg: mmengine's config of the initialisation, or None.

    Raises:
        ValueError: Fields out of range, or heads of different classes.
    """

    def __init__(
        self,
        *,
        head: dict,
        scale_attention: dict,
        detail_loss_weight: Share = 0.1,
        detail_stride: PositiveShare = 0.5,
        truncate_boxes: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        shared, attention = MODELS.build(head), MODELS.build(scale_attention)
        if shared.num_classes != attention.num_classes:
            raise ValueError(
                f'HRDAHead: head has {shared.num_classes} classes, scale_attention '
                f'{attention.num_classes}; they must agree'
            )
        super().__init__(
            in_channels=shared.in_channels,
            channels=shared.channels,
            num_classes=shared.num_classes,
            in_index=shared.in_index,
            input_transform=shared.input_transform,
            dropout_ratio=0,
            ignore_index=shared.ignore_index,
            align_corners=shared.align_corners,
            init_cfg=init_cfg,
        )
        # The classifiers are those of the two heads.
        self.conv_seg = None
        self.head = shared
        self.scale_attention = attention
        self.detail_loss_weight = detail_loss_weight
        self.detail_stride = detail_stride
        self.truncate_boxes = truncate_boxes

    def detail_boxes(self, image_size: Sequence[int]) -> list[Box]:
        """The detail windows of an image at inference, in pixels."""
        return detail_boxes(image_size, self.detail_stride)

    def attend(self, context: Sequence[Tensor]) -> Tensor:
        """Features of the context -> attention `(B, K, h, w)` in [0, 1], float32 at least."""
        return at_least_float32(self.scale_attention(context)).sigmoid()

    def forward_train(
        self, features: Sequence[Tensor], box: Box, image_size: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Logits for training: the context and one detail window.

        Args:
            features: Encoder maps of a joined batch, the B contexts first, then the B windows; one
                pass through the head, so that both scales share the statistics of its norms.
            box: The window in pixels of the image.
            image_size: (height, width) of the image.

        Returns:
            Fused logits `(B, K, 2h, 2w)` and logits of the window `(B, K, h, w)`.
        """
        context_logits, detail_logits = self.head(features).chunk(2)
        attention = self.attend([x[: len(x) // 2] for x in features])
        fused = fuse_train(context_logits, attention, detail_logits, box, image_size)
        return fused, detail_logits

    def forward(
        self,
        features: Sequence[Tensor],
        boxes: Sequence[Box],
        image_size: Sequence[int],
        max_windows: int | None = None,
    ) -> Tensor:
        """Logits at inference: the context and detail windows that cover the image.

        Args:
            features: Encoder maps of a joined batch: the B contexts, then the windows, ordered as
                by `stack_windows`.
            boxes: The N windows in pixels of the image.
            image_size: (height, width) of the image.
            max_windows: The most images of the joined batch in one call of the head; None: all.

        Returns:
            Fused logits `(B, K, 2h, 2w)`.
        """
        joined = len(features[0])
        batch = joined // (1 + len(boxes))
        chunk = max_windows or joined
        logits = torch.cat(
            [
                self.head([x[start : start + chunk] for x in features])
                for start in range(0, joined, chunk)
            ]
        )
        return fuse_windows(
            logits[:batch],
            self.attend([x[:batch] for x in features]),
            logits[batch:],
            boxes,
            image_size,
            self.truncate_boxes,
        )
