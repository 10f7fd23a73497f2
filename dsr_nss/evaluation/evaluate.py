"""Evaluation of one model on several sets: scores, predictions as PNGs, one flat result."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_dist_info, is_main_process
from torch import Tensor, nn
from torch.utils.data import Dataset

from dsr_nss.checkpoints.writing import content_digest
from dsr_nss.classes import first_other_name
from dsr_nss.datasets.invalid_masks import read_invalid_mask
from dsr_nss.engine.devices import default_device
from dsr_nss.errors import ConfigError, DataError, listing
from dsr_nss.evaluation.accumulator import Confusion, ScoredImage
from dsr_nss.evaluation.detailed import DetailedMeasures
from dsr_nss.evaluation.iou import IoUScores, flat_scores, iou_scores
from dsr_nss.evaluation.metric import sample_confusion
from dsr_nss.evaluation.report import write_evaluation_report
from dsr_nss.evaluation.test_sets import (
    CheckedDataset,
    folder_dataset,
    has_labels,
    invalid_masks,
    prediction_names,
    select_datasets,
)
from dsr_nss.inference.adapt_batch_norm import renew_statistics
from dsr_nss.inference.background import Writer
from dsr_nss.inference.load import load_model
from dsr_nss.inference.pictures import write_prediction
from dsr_nss.inference.predict import compile_stages, predict_set
from dsr_nss.inference.transforms import image_transforms
from dsr_nss.shipped import shipped_file

#: Name of the set that `--images` and `--labels` make.
CUSTOM_SET = 'custom'


@dataclass(frozen=True)
class SetResult:
    """What the evaluation of one set gave.

    Attributes:
        images: Number of images.
        seconds: Time in seconds that predicting them took, with loading and writing.
        scores: IoU scores; None for a set without labels.
        measures: Measures beyond the IoU, if asked for.
        confusion: `(K, K)` int64, rows are targets.
    """

    images: int
    seconds: float
    scores: IoUScores | None
    measures: DetailedMeasures | None
    confusion: np.ndarray


def evaluate(
    config: Config,
    checkpoint: str | Path,
    *,
    names: Sequence[str] | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    which: str = 'student',
    batch_norms: str = 'plain',
    out: str | Path | None = None,
    report: str | Path | None = None,
    tta: bool = False,
    amp: str | None = None,
    compiled: bool = False,
    device: str | None = None,
    workers: int = 2,
    progress: bool = True,
    finished: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Loads a model once and evaluates it on one or several sets.

    Where several processes have joined (`torch.distributed`), they share the images of each set
    and all return the result of the whole.

    Args:
        config: Config with the model and `test_sets`; see `read_model_config`.
        checkpoint: Weight file, in one of the forms that `load_model` reads.
        names: Sets of `config.test_sets`; None: `config.default_test_sets`, or none when `images`
            is given.
        images: A folder of images that becomes the set `custom`.
        labels: Its labels (train id PNGs with the same stems); None predicts only.
        which: `'student'` or `'teacher'`.
        batch_norms: `'plain'`, or what `renew_statistics` first does to the network.
        out: Folder of the predictions, `<out>/<set>/labelTrainIds/<stem>.png` and
            `<out>/<set>/color/<stem>.png`; None writes none.
        report: Folder of the reports of `write_evaluation_report`, `<report>/<set>`; None measures
            the IoU only.
        tta: Test-time augmentation; see `predict`.
        amp: Precision of the network, `'bf16'`, `'fp16'` or None for float32.
        compiled: Compile the network; see `compile_stages`.
        device: None: the GPU if there is one.
        workers: Processes that load images; 0 loads in this one.
        progress: Show a bar with the time left.
        finished: Function that is called after each set with what would be returned if that set
            were the last: so no finished set is lost if a later one has a bad file.

    Returns:
        A flat dict: `<set>/mIoU`, `<set>/mIoU_official`, `<set>/mIoU_<group>`,
        `<set>/IoU/<class>` in percent, unrounded, None where nothing of it occurs in the labels;
        with `report` also the keys of `DetailedMeasures.flat`; `<set>/images`,
        `<set>/images_per_second`; `model`, `batch_norms`, `tta`, `amp`, `checkpoint`, and
        `content`, the `content_digest` of the latter.

    Raises:
        ConfigError, CheckpointError, DataError, FileNotFoundError: What is missing or wrong.
    """
    if labels is not None and images is None:
        raise ConfigError('labels were given without images: name the folder of images as well')
    for option, folder in (('--out', out), ('--report', report)):
        if images and folder and Path(folder).resolve().is_relative_to(Path(images).resolve()):
            raise ConfigError(
                f'{option} {folder} lies in {images}, whose images are predicted: the next run '
                'would take the results for images; choose another folder'
            )
    chosen: dict[str, Dataset] = {}
    if names is not None or images is None:
        chosen = select_datasets(config, names)
    model = load_model(config, checkpoint, which, device or default_device())
    if batch_norms != 'plain':
        renew_statistics(model, config, batch_norms)
    if compiled:
        compile_stages(model)
    if images is not None:
        transforms = image_transforms(config)
        chosen[CUSTOM_SET] = folder_dataset(images, labels, model.dataset_meta, transforms)
    unlabelled = [name for name, dataset in chosen.items() if not has_labels(dataset)]
    if unlabelled and (out is None or report is not None):
        raise ConfigError(
            f'{", ".join(unlabelled)}: there are no labels to score with; '
            + ('--report needs them' if report else 'say where the predictions go with --out')
        )
    flat: dict[str, Any] = {}
    run = {'model': which, 'batch_norms': batch_norms, 'tta': tta, 'amp': amp}
    run |= {'checkpoint': str(checkpoint), 'content': content_digest(shipped_file(checkpoint))}
    for name, dataset in chosen.items():
        result = evaluate_dataset(
            model,
            dataset,
            name,
            out=None if out is None else Path(out) / name,
            detailed=report is not None,
            tta=tta,
            amp=amp,
            workers=workers,
            progress=progress,
        )
        own: dict[str, Any] = {} if result.scores is None else flat_scores(result.scores)
        if result.measures is not None and report is not None:
            own |= result.measures.flat()
        flat |= {f'{name}/{key}': value for key, value in own.items()}
        flat[f'{name}/images'] = result.images
        flat[f'{name}/images_per_second'] = result.images / result.seconds
        if finished is not None:
            finished({**flat, **run})  # before the report, which a full disk would end
        if result.measures is not None and report is not None and is_main_process():
            write_evaluation_report(
                Path(report) / name,
                title=name,
                measures=result.measures,
                confusion=result.confusion,
                palette=dataset.metainfo['palette'],
                scores=own,
            )
    return {**flat, **run}


def evaluate_dataset(
    model: nn.Module,
    dataset: Dataset,
    name: str,
    *,
    out: Path | None = None,
    detailed: bool = False,
    tta: bool = False,
    amp: str | None = None,
    workers: int = 2,
    progress: bool = True,
) -> SetResult:
    """Predicts all images of an mmseg data set, scores them if it has labels, writes them if asked.

    Several processes share the images: of `n` processes each takes every `n`-th image. The result
    is that of all images.

    Args:
        model: The segmentor that `load_model` returns.
        dataset: A built data set with a test pipeline.
        name: What to call it.
        out: Folder of its predictions.
        detailed: Measure more than the IoU.
        tta, amp, workers, progress: Same meaning as in `evaluate`.

    Raises:
        ConfigError: The model has other classes than the set, or another order of them.
        DataError: Images or labels cannot be used; names all of them, when the others are done.
    """
    classes, groups = dataset.metainfo['classes'], dataset.metainfo.get('groups')
    check_classes(model, dataset, name)
    labelled = has_labels(dataset)
    files = prediction_names(dataset)
    masks = invalid_masks(dataset) if detailed else None
    measures = DetailedMeasures(classes, masks is not None, groups) if detailed else None
    confusion = Confusion(len(classes))
    rank, processes = get_dist_info()
    start = time.perf_counter()
    unusable: list[str] = []
    predictions = predict_set(
        model,
        CheckedDataset(dataset),
        range(rank, len(files), processes),
        title=name,
        tta=tta,
        with_confidence=masks is not None,
        amp=amp,
        workers=workers,
        progress=progress and rank == 0,
        unusable=unusable,
    )
    with Writer() as writer:
        for index, prediction, sample in predictions:
            if labelled:
                mask = None if masks is None else masks[index]
                try:
                    image = _scored_image(files[index], prediction, sample, len(classes), mask)
                except DataError as error:
                    unusable.append(str(error))
                    continue
                confusion.update(image)
                if measures is not None:
                    measures.update(image)
            if out is not None:
                ids = prediction.cpu().numpy()
                palette = dataset.metainfo['palette']
                writer.submit(write_prediction, ids, files[index], out, palette)
    require_usable(name, [text for part in all_gather_object(unusable) for text in part], files)
    confusion.merge(all_gather_object(confusion.state()))
    if measures is not None:
        measures.merge(all_gather_object(measures.state()))
    seconds = max(all_gather_object(time.perf_counter() - start))
    scores = None
    if labelled:
        try:
            scores = iou_scores(confusion.result(), classes, groups)
        except ValueError as error:
            raise DataError(f'{name}: {error}') from error
    return SetResult(len(files), seconds, scores, measures, confusion.result())


def require_usable(name: str, unusable: Sequence[str], files: Sequence[str]) -> None:
    """Raises `DataError` where items could not be used: a score of the others is another score."""
    if unusable:
        raise DataError(
            f'{name}: {len(unusable)} of {len(files)} images cannot be used:\n'
            + listing(sorted(unusable))
        )


def check_classes(model: nn.Module, dataset: Dataset, name: str) -> None:
    """Raises `ConfigError` where the model has other classes than the set, or another order."""
    classes = dataset.metainfo['classes']
    if len(classes) != model.num_classes:
        raise ConfigError(
            f'{name} has {len(classes)} classes, the model predicts {model.num_classes}'
        )
    known = tuple(model.dataset_meta['classes'])
    other = first_other_name(known, classes)
    if other is not None and known[other] != f'class {other}':  # else its names are not known
        raise ConfigError(
            f'class {other} is {classes[other]!r} in {name}, and {known[other]!r} in the network: '
            'by the names in the checkpoint, else those that the config states, else those of '
            'Cityscapes. The data set needs the classes of the network in their order'
        )


def _scored_image(
    name: str, prediction: Tensor, sample: dict[str, Any], num_classes: int, mask: Path | None
) -> ScoredImage:
    sample['pred_sem_seg'] = {'data': prediction}
    confusion = sample_confusion(sample, num_classes)
    label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy().astype(np.uint8)
    invalid = None if mask is None else read_invalid_mask(mask)
    if invalid is not None and invalid.shape != label.shape:
        sizes = ' and its label '.join('x'.join(map(str, a.shape)) for a in (invalid, label))
        raise DataError(f'{mask} is {sizes} (height x width)')
    return ScoredImage(
        name=name,
        prediction=prediction.cpu().numpy(),
        label=label,
        confusion=confusion.cpu().numpy(),
        confidence=sample['confidence'].cpu().numpy() if 'confidence' in sample else None,
        invalid=invalid,
        image_file=sample.get('img_path', ''),
        label_file=sample.get('seg_map_path') or '',
    )
