"""A segmentor that can be adapted: mmseg's, plus what the adaptation asks of its student."""

from typing import Any

import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dsr_nss.functional.cross_entropy import weighted_cross_entropy
from dsr_nss.functional.windows import (
    Box,
    at_least_float32,
    average_windows,
    sliding_boxes,
    stack_windows,
)
from dsr_nss.structures import StudentOutput
from dsr_nss.values import checked

TEST_FIELDS = ('mode', 'crop_size', 'stride', 'max_windows')


@MODELS.register_module()
@checked
class AdaptableEncoderDecoder(EncoderDecoder):
    """mmseg's `EncoderDecoder` with pixel-weighted loss, features, and batched sliding windows.

    A trained one is a plain mmseg segmentor: same parameters, same `loss`, `predict`, `inference`.

    Args:
        test_cfg: `mode` 'whole' or 'slide'; with 'slide' also `crop_size` (height, width) and
            `stride` (vertical, horizontal); `max_windows`: the most images that pass through the
            network at once at inference, None for one on a CPU and for all on other devices.
        **kwargs: Arguments of mmseg's `EncoderDecoder`.

    Raises:
        ValueError: Unknown or contradictory fields of `test_cfg`.
    """

    def __init__(self, *, test_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__(test_cfg=check_test_cfg(test_cfg), **kwargs)

    # ---- training -------------------------------------------------------------------------------

    def forward_train(self, image: Tensor, hidden: Tensor | None = None) -> StudentOutput:
        """Logits and features of normalised images, for a training loss.

        Args:
            image: `(B, 3, H, W)`.
            hidden: `(B, h, w)` bool, patches that the encoder does not see; a `TimmViT`'s alone.
        """
        features = tuple(self.extract_feat(image, hidden))
        return StudentOutput(logits=self.decode_head(features), features=features)

    def extract_feat(self, inputs: Tensor, hidden: Tensor | None = None) -> Any:
        """Encoder maps of `(B, 3, H, W)`, with patches `hidden` as in `forward_train`."""
        if hidden is None:
            return super().extract_feat(inputs)
        maps = self.backbone(inputs, hidden)
        return self.neck(maps) if self.with_neck else maps

    def segmentation_loss(
        self, output: StudentOutput, label: Tensor, pixel_weight: Tensor | None = None
    ) -> Tensor:
        """Pixel-weighted cross-entropy; see `dsr_nss.functional.cross_entropy`.

        Args:
            output: What `forward_train` returned.
            label: `(B, H, W)` int64, train ids or 255.
            pixel_weight: `(B, H, W)`, or None for 1 everywhere.

        Returns:
            0-dimensional.
        """
        return self._cross_entropy(output.logits, label, pixel_weight)

    def context_image(self, image: Tensor) -> Tensor:
        """What the encoder sees of the whole image `(B, 3, H, W)`: here the image itself."""
        return image

    def context_features(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encoder maps that prototypes and feature distances are computed on.

        Args:
            image: `(B, 3, H, W)`, floating, normalised.

        Returns:
            Maps `(B, D_i, h_i, w_i)`, fine to coarse.
        """
        return tuple(self.extract_feat(self.context_image(image)))

    def _cross_entropy(self, logits: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        logits = self._resize(logits, label.shape[-2:])
        return weighted_cross_entropy(logits, label, weight, self.decode_head.ignore_index)

    def compilable(self) -> list[nn.Module]:
        """The parts that `torch.compile` may turn into kernels: nearly all of the work."""
        return [self.backbone, self.decode_head]

    # ---- inference ------------------------------------------------------------------------------

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Logits as the head gives them; mmseg's own goes around what `compile` put on the head."""
        return self.decode_head(self.extract_feat(inputs))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict] | None = None) -> Tensor:
        """Logits `(B, K, H, W)`, float32 at least, at the size of the input; metas are not read."""
        return self._resize(self._forward(inputs), inputs.shape[2:])

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict] | None = None) -> Tensor:
        """Mean of the logits of sliding windows, several windows in each call of the network.

        mmseg's own runs one window in each call and pads a map of the image's size for each. An
        image that fits into one window gives exactly what `whole_inference` gives.

        Args:
            inputs: `(B, 3, H, W)`, floating, normalised.
            batch_img_metas: Not read.

        Returns:
            `(B, K, H, W)`, float32 at least.
        """
        windows, boxes = self.window_logits(inputs)
        top, bottom, left, right = boxes[0]
        size = (bottom - top, right - left)
        return average_windows([self._resize(window, size) for window in windows], boxes)

    def window_logits(self, inputs: Tensor) -> tuple[list[Tensor], list[Box]]:
        """Logits of each window as the head gives them; `inference` upsamples and averages them.

        Args:
            inputs: `(B, 3, H, W)`, normalised.

        Returns:
            `(B, K, h, w)` of each window, and the windows in pixels: a grid, row by row; with mode
            'whole' one window of the whole image.
        """
        height, width = (int(side) for side in inputs.shape[2:])
        if self.test_cfg.mode == 'whole':
            return [self._forward(inputs)], [(0, height, 0, width)]
        boxes = sliding_boxes((height, width), self.test_cfg.crop_size, self.test_cfg.stride)
        limit = self.windows_at_once(inputs) or len(boxes) * len(inputs)
        chunk = max(limit // len(inputs), 1)
        windows: list[Tensor] = []
        for start in range(0, len(boxes), chunk):
            part = boxes[start : start + chunk]
            windows += self._forward(stack_windows(inputs, part)).chunk(len(part))
        return windows, boxes

    def windows_at_once(self, inputs: Tensor) -> int | None:
        """How many windows of `inputs` `(B, 3, H, W)` pass through the network at once; None: all.

        By default one on a CPU, which is faster, unless batch norms take statistics of what passes:
        those must be of all windows together, on every device.
        """
        limit = self.test_cfg.get('max_windows')
        if limit or inputs.device.type != 'cpu':
            return limit
        norms = (module for module in self.modules() if isinstance(module, _BatchNorm))
        return None if any(n.training or getattr(n, 'follow_inputs', False) for n in norms) else 1

    def _resize(self, logits: Tensor, size: Any) -> Tensor:
        logits = at_least_float32(logits)
        return F.interpolate(logits, size, mode='bilinear', align_corners=self.align_corners)


def check_test_cfg(test_cfg: dict | None) -> ConfigDict:
    """Complete and check `test_cfg`; see `AdaptableEncoderDecoder`."""
    checked = ConfigDict(test_cfg or {})
    checked.setdefault('mode', 'whole')
    unknown = sorted(set(checked) - set(TEST_FIELDS))
    if unknown:
        raise ValueError(f'test_cfg: unknown fields {unknown}; available: {TEST_FIELDS}')
    if checked.mode not in ('whole', 'slide'):
        raise ValueError(f"test_cfg.mode must be 'whole' or 'slide', got {checked.mode!r}")
    if checked.mode == 'slide':
        for field in ('crop_size', 'stride'):
            pair = checked.get(field)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or min(pair) < 1:
                raise ValueError(
                    f"test_cfg.{field} must be two positive numbers for mode='slide', got {pair!r}"
                )
        if any(step > size for step, size in zip(checked.stride, checked.crop_size, strict=True)):
            raise ValueError(
                f'test_cfg.stride {checked.stride} is larger than crop_size {checked.crop_size}: '
                'pixels between the windows would get no prediction'
            )
    limit = checked.get('max_windows')
    if limit is not None and limit < 1:
        raise ValueError(f'test_cfg.max_windows must be at least 1 or None, got {limit}')
    return checked
