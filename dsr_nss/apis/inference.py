"""The prediction of a segmentor for one image, at the image's own size."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from torch import Tensor, nn

#: Views of test-time augmentation: each scale as it is and mirrored.
TTA_SCALES = (0.75, 1.0, 1.25)
#: Scaled sizes are rounded to what encoders divide by.
TTA_MULTIPLE = 32


@torch.no_grad()
def predict(model: nn.Module, data: dict[str, Any], tta: bool = False) -> tuple[Tensor, dict]:
    """Class of each pixel: the argmax of logits that are upsampled bilinearly to native size.

    Args:
        model: A plain mmseg segmentor.
        data: One collated item of an mmseg test pipeline (a batch of one).
        tta: Average the class probabilities of six views: scales 0.75, 1 and 1.25, each as it is
            and mirrored.

    Returns:
        `(H, W)` uint8 class ids at the size of the image file, and the item's sample as a dict
        (`gt_sem_seg` where a label was loaded, file names).
    """
    sample = _average_views(model, data) if tta else model.test_step(data)[0]
    return sample.pred_sem_seg.data.squeeze(0).to(torch.uint8), sample.to_dict()


def _average_views(model: nn.Module, data: dict[str, Any]) -> SegDataSample:
    data = model.data_preprocessor(data, False)
    image, sample = data['inputs'], data['data_samples'][0]
    meta = sample.metainfo
    image = _without_padding(image, meta)
    total = torch.zeros((), device=image.device)
    for size, mirrored in _views(image.shape[-2:]):
        view = F.interpolate(image, size, mode='bilinear', align_corners=False, antialias=True)
        view = view.flip(-1) if mirrored else view
        shapes = dict(img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0])
        logits = model.inference(view, [{**meta, **shapes}]).float()
        logits = logits.flip(-1) if mirrored else logits
        logits = F.interpolate(
            logits, meta['ori_shape'], mode='bilinear', align_corners=model.align_corners
        )
        # one output channel: mmseg's heads for two classes
        total = total + (logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid())
    if total.shape[1] > 1:
        prediction = total.argmax(dim=1)
    else:
        views = 2 * len(TTA_SCALES)
        prediction = (total[:, 0] / views > model.decode_head.threshold).long()
    sample.set_data({'pred_sem_seg': _pixel_data(prediction)})
    return sample


def _views(size: torch.Size) -> Iterator[tuple[tuple[int, int], bool]]:
    height, width = (int(side) for side in size)
    for scale in TTA_SCALES:
        # the native size stays as it is: it is what the plain test feeds
        scaled = (height, width) if scale == 1 else (_scaled(height, scale), _scaled(width, scale))
        for mirrored in (False, True):
            yield scaled, mirrored


def _scaled(side: int, scale: float) -> int:
    return max(round(side * scale / TTA_MULTIPLE), 1) * TTA_MULTIPLE


def _without_padding(image: Tensor, meta: dict[str, Any]) -> Tensor:
    padding = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    left, right, top, bottom = padding
    height, width = image.shape[-2:]
    return image[..., top : height - bottom, left : width - right]


def _pixel_data(prediction: Tensor) -> Any:
    from mmengine.structures import PixelData

    return PixelData(data=prediction)
