"""Inference by stage, in turns with mmsegmentation's own way through the same network and weights.

mmseg's way: one window a call of the network in float32, a padded map of the image's size for each,
all class maps resized to the size of the label, `argmax`, three histograms of `IoUMetric`. For what
happens outside of the network, the network is replaced by logits that are there already.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dsr_nss.engine.config import use_scope
from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.evaluate import evaluate_dataset
from dsr_nss.evaluation.metric import sample_confusion
from dsr_nss.evaluation.test_sets import CheckedDataset, folder_dataset
from dsr_nss.inference.load import dataset_meta, load_model, segmentor_config
from dsr_nss.inference.mosaic import Mosaic
from dsr_nss.inference.pictures import write_prediction
from dsr_nss.inference.predict import classes_of_views, compile_stages
from dsr_nss.studies.benchmark.device import heading, machine
from dsr_nss.studies.benchmark.step import forget_weights
from dsr_nss.studies.benchmark.timing import Row, measure, peak_memory, span
from dsr_nss.visualization.text_table import text_table

#: In the order in which an image goes through them.
STAGES = ('decode', 'transfer', 'windows', 'accumulate', 'argmax', 'metric', 'encode')
#: From the transferred image to its classes: windows, accumulate and argmax at a stretch.
INFERENCE = 'inference'
#: What is compared as a whole: everything but the network.
EVALUATION = 'evaluation'
OURS, MMSEG = 'dsr_nss', 'mmseg'


def report_infer(
    config: Config,
    device: torch.device,
    *,
    checkpoint: str | Path | None = None,
    size: tuple[int, int] = (1080, 1920),
    images: int = 8,
    amp: str | None = None,
    compiled: bool = False,
    workers: int = 0,
    warmup: int = 1,
    repeats: int = 5,
) -> dict[str, Any]:
    """Times every stage of one image, and the evaluation of a set without its network.

    Args:
        config: Config with the model; see `read_model_config`.
        device: Device to measure.
        checkpoint: Weight file; None: random weights, which take as long.
        size: (height, width) of the images, which are made.
        images: Number of images in the set.
        amp, compiled: Same meaning as in `dsr_nss.evaluation.evaluate`, for this package alone;
            mmseg has neither.
        workers: Processes that decode the set; 0 counts decoding in full.
        warmup, repeats: Same meaning as in `measure`.

    Returns:
        `stages`: stage -> `{'dsr_nss', 'mmseg'}` -> row of times; mmseg's windows include
        its accumulation, which `accumulate` has without the network; `inference` and `evaluation`:
        the same for one image with its network and one of the set without; `peak_memory`: bytes
        from the windows' logits to the classes; `differing`: share of pixels whose class differs
        from mmseg's with the same logits.

    Raises:
        ConfigError: The model is none of this package's.
    """
    model = _model(config, checkpoint, device)
    plain = copy.deepcopy(model) if compiled else model
    if compiled:
        compile_stages(model)

    def times(work: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Row]:
        rows = measure(list(work.values()), device, warmup=rounds, repeats=repeats)
        return dict(zip(work, rows, strict=True))

    with tempfile.TemporaryDirectory() as folder:
        dataset = _made_set(Path(folder), size, images, model.dataset_meta)
        bench = _Bench(model, plain, dataset, device, amp, Path(folder) / 'out', workers)
        stages = {name: times(work, warmup) for name, work in bench.stages().items()}
        inference = times(bench.inference(), warmup)
        whole = times(bench.evaluations(), min(warmup, 1))
        for row in whole.values():
            row |= {key: row[key] / images for key in ('median_s', 'min_s', 'max_s')}
        return {
            **machine(device),
            'size': list(size),
            'images': images,
            'amp': amp,
            'compiled': compiled,
            'stages': stages,
            INFERENCE: inference,
            EVALUATION: whole,
            'peak_memory': {
                OURS: peak_memory(bench.our_classes, device),
                MMSEG: peak_memory(bench.their_classes, device),
            },
            'differing': bench.differing(),
        }


class _Bench:
    """What is timed: functions without arguments, with their inputs prepared."""

    def __init__(
        self,
        model: nn.Module,
        plain: nn.Module,
        dataset: Dataset,
        device: torch.device,
        amp: str | None,
        out: Path,
        workers: int,
    ) -> None:
        self.model, self.plain = model, plain
        self.dataset, self.checked = dataset, CheckedDataset(dataset)
        self.device, self.amp, self.out, self.workers = device, amp, out, workers
        self.item = pseudo_collate([self.checked[0]])
        self.data = model.data_preprocessor(self.item, False)
        self.metas = [dict(sample.metainfo) for sample in self.data['data_samples']]
        self.logits, self.boxes = self._windows()
        self.sample = self.data['data_samples'][0]

    def stages(self) -> dict[str, dict[str, Callable[[], Any]]]:
        """Stage -> ours and mmseg's, where it has one."""
        mosaic, ids = self._mosaic(), self.our_classes()
        theirs, their_ids = self._slide_without_network(), self.their_classes()
        label = {'gt_sem_seg': dict(data=self.sample.gt_sem_seg.data)}
        predicted = {**label, 'pred_sem_seg': dict(data=ids)}
        their_sample = {**label, 'pred_sem_seg': dict(data=their_ids[None])}
        metric = self._metric()
        number = self.model.num_classes
        picture = (ids.cpu().numpy(), 'a', self.out, self.model.dataset_meta['palette'])
        return {
            'decode': {OURS: lambda: self.checked[0]},
            'transfer': {OURS: lambda: self.model.data_preprocessor(self.item, False)},
            'windows': {OURS: self._windows, MMSEG: self._slide},
            'accumulate': {OURS: self._mosaic, MMSEG: self._slide_without_network},
            'argmax': {
                OURS: lambda: classes_of_views([mosaic], None),
                MMSEG: lambda: self.plain.postprocess_result(theirs, [self.sample]),
            },
            'metric': {
                OURS: lambda: sample_confusion(predicted, number),
                MMSEG: lambda: metric.process({}, [their_sample]),
            },
            'encode': {OURS: lambda: write_prediction(*picture)},
        }

    def inference(self) -> dict[str, Callable[[], Any]]:
        """Ours and mmseg's, network and all, of one image on the device."""
        return {
            OURS: lambda: classes_of_views([self._mosaic(self._windows())], None),
            MMSEG: lambda: self.plain.postprocess_result(self._slide(), [self.sample.clone()]),
        }

    def evaluations(self) -> dict[str, Callable[[], Any]]:
        """Our evaluation of the set and mmseg's, both without the network."""
        return {OURS: self._our_evaluation, MMSEG: self._mmseg_evaluation}

    def our_classes(self) -> Tensor:
        """From the logits of the windows to the classes `(H, W)`."""
        return classes_of_views([self._mosaic()], None)[0][0]

    def their_classes(self) -> Tensor:
        """The same as mmseg does it."""
        logits = self._slide_without_network()
        sample = self.plain.postprocess_result(logits, [self.sample.clone()])[0]
        return sample.pred_sem_seg.data[0]

    def differing(self) -> float:
        """Share of pixels whose class differs."""
        return float((self.their_classes() != self.our_classes()).float().mean())

    @torch.no_grad()
    def _windows(self) -> tuple[list[Tensor], Any]:
        amp = AMP_TYPES.get(self.amp or '')
        with torch.autocast(self.device.type, amp, enabled=self.amp is not None):
            return self.model.window_logits(self.data['inputs'])

    @torch.no_grad()
    def _mosaic(self, windows: tuple[list[Tensor], Any] | None = None) -> Mosaic:
        height, width = self.data['inputs'].shape[-2:]
        logits, boxes = windows or (self.logits, self.boxes)
        return Mosaic(
            logits,
            boxes,
            content=(0, height, 0, width),
            size=self.metas[0]['ori_shape'],
            align_corners=self.model.align_corners,
        )

    @torch.no_grad()
    def _slide(self) -> Tensor:
        """mmseg's `inference` of our network."""
        with _mmseg_windows(self.plain):
            return self.plain.inference(self.data['inputs'], [dict(meta) for meta in self.metas])

    def _slide_without_network(self) -> Tensor:
        with self._no_network():
            return self._slide()

    def _our_evaluation(self) -> None:
        windows = (self.logits, self.boxes)
        with mock.patch.object(self.model, 'window_logits', lambda inputs: windows):
            evaluate_dataset(self.model, self.dataset, 'made', workers=self.workers, progress=False)

    @torch.no_grad()
    def _mmseg_evaluation(self) -> None:
        loader = DataLoader(
            self.dataset, batch_size=1, collate_fn=pseudo_collate, num_workers=self.workers
        )
        metric = self._metric()
        with self._no_network(), _mmseg_windows(self.plain):
            for item in loader:
                samples = self.plain.test_step(item)
                metric.process(item, [sample.to_dict() for sample in samples])
        with mock.patch('mmseg.evaluation.metrics.iou_metric.print_log'):  # a table of noise
            metric.evaluate(len(self.dataset))

    def _metric(self) -> IoUMetric:
        metric = IoUMetric(prefix='made')
        metric.dataset_meta = self.model.dataset_meta
        return metric

    @contextmanager
    def _no_network(self) -> Iterator[None]:
        """The logits of the windows, one after the other, in the place of the network."""
        calls = iter(range(2**62))
        logits = [window.float() for window in self.logits]

        def stub(inputs: Tensor, data_samples: Any = None) -> Tensor:
            return logits[next(calls) % len(logits)]

        with mock.patch.object(self.plain, '_forward', stub):
            yield


@contextmanager
def _mmseg_windows(model: nn.Module) -> Iterator[None]:
    def slide(inputs: Tensor, metas: list[dict]) -> Tensor:
        return EncoderDecoder.slide_inference(model, inputs, metas)

    with mock.patch.object(model, 'slide_inference', slide):
        yield


def _model(config: Config, checkpoint: str | Path | None, device: torch.device) -> nn.Module:
    if checkpoint is not None:
        model = load_model(config, checkpoint, device=device)
    else:
        use_scope(config)
        described = segmentor_config(config)
        forget_weights(described)
        model = MODELS.build(described).to(device).eval()
        model.dataset_meta = dataset_meta({}, model.num_classes)
    if not hasattr(model, 'window_logits'):
        raise ConfigError(
            f'{type(model).__name__} is none of this package: only AdaptableEncoderDecoder and '
            'HRDAEncoderDecoder have windows to be timed'
        )
    return model


def _made_set(folder: Path, size: tuple[int, int], images: int, meta: Mapping[str, Any]) -> Dataset:
    """Smooth images with noise and labels of rectangles: they compress as photographs do."""
    rng = np.random.default_rng(0)
    height, width = size
    for kind in ('images', 'labels'):
        (folder / kind).mkdir()
    for i in range(images):
        coarse = rng.integers(0, 256, (height // 32 + 1, width // 32 + 1, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 2, (height, width, 3)).astype(np.float32)
        image = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        blocks = rng.integers(0, len(meta['classes']), (8, 16), dtype=np.uint8)
        label = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'images/{i}.png'), image)
        cv2.imwrite(str(folder / f'labels/{i}.png'), label)
    return folder_dataset(folder / 'images', folder / 'labels', meta)


def format_infer(report: Mapping[str, Any], stages: bool) -> str:
    """The report as text.

    Args:
        report: The result of `report_infer`.
        stages: Also show the stages.
    """
    shown = report['stages'] if stages else {'windows': report['stages']['windows']}
    shown = {**shown, INFERENCE: report[INFERENCE], EVALUATION: report[EVALUATION]}
    fewest = min(row['repeats'] for rows in shown.values() for row in rows.values())
    rate = 1 / report['stages']['windows'][OURS]['median_s']
    memory = ', '.join(f'{k} {v / 2**20:.0f} MiB' for k, v in report['peak_memory'].items())
    return '\n'.join(
        [
            f'{heading(report)}; images of {"x".join(map(str, report["size"]))}'
            + (', compiled' if report['compiled'] else '')
            + ' (mmseg: float32)',
            text_table(
                ['an image', OURS, MMSEG, 'ratio'],
                [[name, *_cells(rows)] for name, rows in shown.items()],
            ),
            f'medians of at least {fewest} repeat(s)',
            f'network alone {rate:.3g} images/s; {INFERENCE}: from the image on the device to its '
            f'classes; {EVALUATION}: a set of {report["images"]} without the network',
            f'memory from the windows to the classes: {memory}',
            f'pixels of another class than with mmseg: {100 * report["differing"]:.4f} %',
        ]
    )


def _cells(rows: Mapping[str, Row]) -> list[str]:
    if MMSEG not in rows:
        return [span(rows[OURS])]
    ratio = rows[OURS]['median_s'] / rows[MMSEG]['median_s']
    return [span(rows[OURS]), span(rows[MMSEG]), f'{ratio:.3f}']
