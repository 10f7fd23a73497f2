"""The predictions of a segmentor for images, each at the image's own size."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from dsr_nss.datasets.class_statistics import one_thread_each

#: Views of test-time augmentation: each scale as it is and mirrored.
TTA_SCALES = (0.75, 1.0, 1.25)
#: Scaled sizes are rounded to what encoders divide by.
TTA_MULTIPLE = 32


def predict_set(
    model: nn.Module,
    dataset: Dataset,
    indices: Sequence[int],
    *,
    title: str,
    tta: bool = False,
    with_confidence: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> Iterator[tuple[int, Tensor, dict[str, Any]]]:
    """Predicts images of a data set one after the other; nothing of an earlier one is kept.

    Args:
        model: A plain mmseg segmentor.
        dataset: With an mmseg test pipeline.
        indices: Which images.
        title: Of the progress bar.
        tta, with_confidence: See `predict`.
        workers: Processes that load images; 0 loads in this one.
        progress: Show a bar with the time left, if there is a terminal.

    Yields:
        The index and what `predict` returns.
    """
    loader = DataLoader(
        Subset(dataset, indices),
        batch_size=1,  # images of one set may differ in size
        num_workers=min(workers, len(indices)),
        collate_fn=pseudo_collate,
        worker_init_fn=_start_worker,
        pin_memory=next(model.parameters()).is_cuda,
    )
    # without a terminal no bar: logs would fill with its lines
    bar = tqdm(loader, desc=title, unit='img', disable=None if progress else True)
    for index, data in zip(indices, bar, strict=True):
        prediction, sample = predict(model, data, tta, with_confidence=with_confidence)
        yield index, prediction, sample


@torch.no_grad()
def predict(
    model: nn.Module, data: dict[str, Any], tta: bool = False, *, with_confidence: bool = False
) -> tuple[Tensor, dict]:
    """Class of each pixel: the argmax of logits that are upsampled bilinearly to native size.

    Args:
        model: A plain mmseg segmentor.
        data: One collated item of an mmseg test pipeline (a batch of one).
        tta: Average the class probabilities of six views: scales 0.75, 1 and 1.25, each as it is
            and mirrored.
        with_confidence: Also tell the probability of the predicted class.

    Returns:
        `(H, W)` uint8 class ids at the size of the image file, and the item's sample as a dict
        (`gt_sem_seg` where a label was loaded, file names; `confidence`: `(H, W)` float32 in 0..1,
        if asked for).
    """
    sample = _average_views(model, data) if tta else model.test_step(data)[0]
    content = sample.to_dict()
    prediction = sample.pred_sem_seg.data
    if with_confidence:
        if tta:
            probabilities = sample.seg_probabilities.data
        else:
            logits = sample.seg_logits.data.float()
            # of one output channel, for two classes, mmseg has already taken the sigmoid
            probabilities = logits.softmax(dim=0) if len(logits) > 1 else logits
        content['confidence'] = _confidence(probabilities, prediction)
    return prediction.squeeze(0).to(torch.uint8), content


def _confidence(probabilities: Tensor, prediction: Tensor) -> Tensor:
    """Probabilities `(C, H, W)` at the predicted classes `(1, H, W)`: `(H, W)`."""
    if len(probabilities) == 1:
        probabilities = torch.cat([1 - probabilities, probabilities])
    return probabilities.gather(0, prediction.long())[0]


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
    mean = total / (2 * len(TTA_SCALES))
    if mean.shape[1] > 1:
        prediction = total.argmax(dim=1)
    else:
        prediction = (mean[:, 0] > model.decode_head.threshold).long()
    sample.set_data(
        {'pred_sem_seg': _pixel_data(prediction), 'seg_probabilities': _pixel_data(mean[0])}
    )
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


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    one_thread_each()
