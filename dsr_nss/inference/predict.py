"""The predictions of a segmentor for images, each at the image's own size."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.inference.mosaic import Mosaic, class_map
from dsr_nss.pool import one_thread_each

#: Key of an item whose file cannot be used; its value says why.
UNUSABLE = 'unusable'
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
    amp: str | None = None,
    workers: int = 2,
    progress: bool = True,
    unusable: list[str] | None = None,
) -> Iterator[tuple[int, Tensor, dict[str, Any]]]:
    """Predicts images of a data set one after the other; nothing of an earlier one is kept.

    Args:
        model: A plain mmseg segmentor.
        dataset: Data set with an mmseg test pipeline.
        indices: Indices of the images to predict.
        title: Title of the progress bar.
        tta, with_confidence, amp: Same meaning as in `predict`.
        workers: Processes that load images; 0 loads in this one.
        progress: Show a bar with the time left, if there is a terminal.
        unusable: Takes what is wrong with items that say (`UNUSABLE`) that they cannot be used; the
            others are predicted. None: the first such item is an error.

    Raises:
        DataError: See `unusable`.

    Yields:
        The index of the image and what `predict` returns: `(H, W)` uint8 class ids and the
            sample.
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
        if UNUSABLE in data:
            if unusable is None:
                raise DataError(data[UNUSABLE][0])
            unusable += data[UNUSABLE]
            continue
        prediction, sample = predict(model, data, tta, with_confidence=with_confidence, amp=amp)
        yield index, prediction, sample


@torch.no_grad()
def predict(
    model: nn.Module,
    data: dict[str, Any],
    tta: bool = False,
    *,
    with_confidence: bool = False,
    amp: str | None = None,
) -> tuple[Tensor, dict]:
    """Class of each pixel: the argmax of logits that are upsampled bilinearly to native size.

    Args:
        model: A plain mmseg segmentor.
        data: One collated item of an mmseg test pipeline (a batch of one).
        tta: Average the class probabilities of six views: scales 0.75, 1 and 1.25, each as it is
            and mirrored.
        with_confidence: Also tell the probability of the predicted class.
        amp: Run the network in this precision, a key of `AMP_TYPES`; None: in float32. What is
            summed and compared afterwards is float32 in any case.

    Returns:
        `(H, W)` uint8 class ids at the size of the image file, and the item's sample as a dict
        (`gt_sem_seg` where a label was loaded, file names; `confidence`: `(H, W)` float32 in 0..1,
        if asked for).
    """
    return predict_batch(model, data, tta, with_confidence=with_confidence, amp=amp)[0]


@torch.no_grad()
def predict_batch(
    model: nn.Module,
    data: dict[str, Any],
    tta: bool = False,
    *,
    with_confidence: bool = False,
    amp: str | None = None,
) -> list[tuple[Tensor, dict]]:
    """`predict` for several images of one size.

    Args:
        model, tta, with_confidence, amp: Same meaning as in `predict`.
        data: A collated batch of an mmseg test pipeline.

    Returns:
        `(H, W)` uint8 class ids and the sample of each image, as from `predict`.

    Raises:
        ValueError: The images differ in size.
        DataError: The network gives scores of NaN or infinity.
    """
    data = model.data_preprocessor(data, False)
    metas = [dict(sample.metainfo) for sample in data['data_samples']]
    if len({tuple(meta['ori_shape'][:2]) for meta in metas}) > 1:
        raise ValueError('the images of a batch must have one size')
    views = network_views(model, data['inputs'], metas, tta, amp)
    ids, confidence = classes_of_views(views, binary_threshold(model), tta, with_confidence)
    _require_finite(views, metas, amp)  # last: it waits for the device
    results = []
    for i, sample in enumerate(data['data_samples']):
        content = sample.to_dict()
        if confidence is not None:
            content['confidence'] = confidence[i]
        results.append((ids[i], content))
    return results


def network_views(
    model: nn.Module, image: Tensor, metas: list[dict], tta: bool = False, amp: str | None = None
) -> list[Mosaic]:
    """The logits of the network for one batch, of one view or of the views of `predict`.

    Args:
        model, tta, amp: Same meaning as in `predict`.
        image: `(B, 3, H, W)`, preprocessed.
        metas: mmseg's meta data of each image.
    """
    if not tta:
        return [_mosaic(model, image, metas, amp, padding=_padding(metas[0]))]
    image = _without_padding(image, metas[0])
    views = []
    for size, mirrored in _views(image.shape[-2:]):
        view = F.interpolate(image, size, mode='bilinear', align_corners=False, antialias=True)
        view = view.flip(-1) if mirrored else view
        shapes = dict(img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0])
        metas_of_view = [{**meta, **shapes} for meta in metas]
        views.append(_mosaic(model, view, metas_of_view, amp, mirrored=mirrored))
    return views


def classes_of_views(
    views: Sequence[Mosaic],
    threshold: float | None,
    tta: bool = False,
    with_confidence: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Class of each pixel, and its probability, strip by strip.

    Args:
        views: Logits of each view, from `network_views`.
        threshold: Probability above which a head with one output channel predicts class 1, from
            `binary_threshold`; None for other heads.
        tta: Whether probabilities are averaged; with one view the logits are compared.
        with_confidence: Also return the probability of the predicted class.

    Returns:
        `(B, H, W)` uint8, and float32 or None.
    """
    first = views[0]
    shape = (first.batch, first.height, first.width)
    ids = torch.empty(shape, dtype=torch.uint8, device=first.device)
    confidence = torch.empty(shape, device=first.device) if with_confidence else None
    for strips in zip(*(view.strips() for view in views), strict=True):
        rows, scores = strips[0]
        binary = scores.shape[1] == 1  # mmseg's heads for two classes
        if tta or binary:
            scores = _mean_probability([logits for _, logits in strips])
        ids[:, rows] = scores[:, 0] > threshold if binary else class_map(scores)
        if confidence is not None:
            confidence[:, rows] = _confidence(scores, ids[:, rows], probable=tta or binary)
    return ids, confidence


def binary_threshold(model: nn.Module) -> float | None:
    """The probability above which mmseg's heads with one output channel predict class 1."""
    head = getattr(model, 'decode_head', model)  # an exported network has it itself
    return getattr(head, 'threshold', None)


def compile_stages(model: nn.Module) -> None:
    """Has `torch.compile` compile the encoder and the head, in place, for static shapes.

    Each new size of a window or number of windows at once costs one compilation. The state dict
    keeps its names.
    """
    if hasattr(model, 'compilable'):
        for stage in model.compilable():
            stage.compile(dynamic=False)
        return
    for stage in (model.backbone, model.decode_head):  # any segmentor of mmseg
        # its heads are asked by `forward` itself, past what `stage.compile` changes
        stage.forward = torch.compile(stage.forward, dynamic=False)


def _mosaic(
    model: nn.Module,
    image: Tensor,
    metas: list[dict],
    amp: str | None,
    *,
    padding: Sequence[int] = (0, 0, 0, 0),
    mirrored: bool = False,
) -> Mosaic:
    """One view's logits, without padding (left, right, top, bottom), at native size."""
    if any(meta.get('flip') for meta in metas):
        raise ConfigError('the test pipeline mirrors images; use --tta instead of RandomFlip')
    with torch.autocast(image.device.type, AMP_TYPES.get(amp or ''), enabled=amp is not None):
        if hasattr(model, 'window_logits'):
            windows, boxes = model.window_logits(image)
            height, width = image.shape[-2:]
        else:  # any segmentor of mmseg: its own windows, at input size
            windows = [model.inference(image, metas)]
            height, width = windows[0].shape[-2:]
            boxes = [(0, height, 0, width)]
    left, right, top, bottom = padding
    return Mosaic(
        windows,
        boxes,
        content=(top, height - bottom, left, width - right),
        size=metas[0]['ori_shape'][:2],
        align_corners=bool(model.align_corners),
        mirrored=mirrored,
    )


def _require_finite(views: Sequence[Mosaic], metas: list[dict], amp: str | None) -> None:
    """NaN would become class 0 without a word, and so would what infinity times zero makes."""
    if all(view.finite for view in views):
        return
    reason = (
        'float16 ends at 65504; take bf16, or leave amp out'
        if amp == 'fp16'
        else 'its weights or the image are not finite, or too large'
    )
    names = ', '.join(str(meta.get('img_path', 'the image')) for meta in metas)
    raise DataError(f'{names}: the network gives scores of NaN or infinity: {reason}')


def _mean_probability(views: Sequence[Tensor]) -> Tensor:
    """Mean over views of the class probabilities of logits `(B, K, rows, W)`."""
    total = torch.zeros_like(views[0])
    for logits in views:
        total += logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()
    return total / len(views)


def _confidence(scores: Tensor, ids: Tensor, probable: bool) -> Tensor:
    """Probability of the predicted class: `(B, H, W)` float32.

    Args:
        scores: `(B, K, rows, W)`, logits or probabilities.
        ids: `(B, rows, W)` the predicted classes.
        probable: Whether the scores are probabilities.
    """
    if not probable:
        scores = scores.softmax(dim=1)
    if scores.shape[1] == 1:
        scores = torch.cat([1 - scores, scores], dim=1)
    return scores.gather(1, ids[:, None].long())[:, 0]


def _views(size: torch.Size) -> Iterator[tuple[tuple[int, int], bool]]:
    height, width = (int(side) for side in size)
    for scale in TTA_SCALES:
        # the native size stays as it is: it is what the plain test feeds
        scaled = (height, width) if scale == 1 else (_scaled(height, scale), _scaled(width, scale))
        for mirrored in (False, True):
            yield scaled, mirrored


def _scaled(side: int, scale: float) -> int:
    return max(round(side * scale / TTA_MULTIPLE), 1) * TTA_MULTIPLE


def _padding(meta: dict[str, Any]) -> Sequence[int]:
    """(left, right, top, bottom), as mmseg's preprocessor tells it."""
    return meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))


def _without_padding(image: Tensor, meta: dict[str, Any]) -> Tensor:
    left, right, top, bottom = _padding(meta)
    height, width = image.shape[-2:]
    return image[..., top : height - bottom, left : width - right]


def _start_worker(_: int) -> None:
    one_thread_each()
