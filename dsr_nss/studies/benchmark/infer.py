"""Inference by stage, in turns with mmsegmentation's own way through the same network and weights.

mmseg's way: one window a call of the network in float32, a padded map of the image's size for each,
all class maps resized to the size of the label, `argmax`, three histograms of `IoUMetric`. For what
happens outside of the network, the network is replaced by logits that are there already.
"""

import copy
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
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
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dsr_nss.engine.config import use_scope
from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.engine.smoke import forget_weights
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.evaluate import evaluate_dataset
from dsr_nss.evaluation.metric import sample_confusion
from dsr_nss.evaluation.test_sets import folder_dataset
from dsr_nss.inference.load import dataset_meta, load_model, segmentor_config
from dsr_nss.inference.mosaic import Mosaic
from dsr_nss.inference.pictures import write_prediction
from dsr_nss.inference.predict import classes_of_views, compile_stages
from dsr_nss.studies.benchmark.timing import Report, Row, Turns, peak_memory, scaled, span

#: In the order in which an image goes through them.
STAGES = ('decode', 'transfer', 'windows', 'accumulate', 'argmax', 'metric', 'encode')
#: From the transferred image to its classes: windows, accumulate and argmax at a stretch.
INFERENCE = 'inference'
#: What is compared as a whole: everything but the network.
EVALUATION = 'evaluation'
OURS, MMSEG = 'dsr_nss', 'mmseg'
COLUMNS = {
    OURS: lambda row: span(row[OURS]),
    MMSEG: lambda row: span(row[MMSEG]) if MMSEG in row else '',
    'ratio': lambda row: f'{_ratio(row):.3f}' if MMSEG in row else '',
    'repeats': lambda row: f'{row[OURS]["repeats"]}',
}


@torch.no_grad()
def benchmark_infer(
    config: Config,
    turns: Turns,
    *,
    checkpoint: str | Path | None = None,
    size: tuple[int, int] = (1080, 1920),
    images: int = 8,
    amp: str | None = None,
    compiled: bool = False,
    workers: int = 0,
    stages: bool = True,
) -> Report:
    """Times every stage of one image, and the evaluation of a set without its network.

    Returns:
        `stages`: stage -> `{'dsr_nss', 'mmseg'}` -> row of times of an image; mmseg's windows
        include its accumulation, which `accumulate` has without the network; `peak_memory`: bytes
        from the windows' logits to the classes; `differing`: share of pixels whose class differs
        from mmseg's with the same logits.

    Raises:
        ConfigError: The model is none of this package's.
    """
    model = _model(config, checkpoint, turns.device)
    with tempfile.TemporaryDirectory() as folder:
        dataset = _made_set(Path(folder), size, images, model.dataset_meta)
        bench = _Bench(model, dataset, turns.device, amp, compiled)
        work = bench.work(Path(folder) / 'out')
        rows: dict[str, Row] = {name: turns.measure(both) for name, both in work.items()}
        few = turns._replace(warmup=min(turns.warmup, 1))
        sets = few.measure(bench.evaluations(workers))
        rows[EVALUATION] = {name: scaled(row, 1 / images) for name, row in sets.items()}
        ways = {OURS: bench.our_classes, MMSEG: bench.their_classes}
        memory = {name: peak_memory(way, turns.device) for name, way in ways.items()}
        differing = float((bench.our_classes() != bench.their_classes()).float().mean())
    facts = dict(images=images, amp=amp, compiled=compiled, peak_memory=memory, differing=differing)
    report = Report(turns.device, size=list(size), **facts, stages=rows)
    report.say(f'images of {size[0]}x{size[1]}{", compiled" * compiled} (mmseg: float32)')
    shown = [*(STAGES if stages else ['windows']), INFERENCE, EVALUATION]
    report.table('an image', COLUMNS, {name: rows[name] for name in shown})
    report.say(
        f'network alone {1 / rows["windows"][OURS]["median_s"]:.3g} images/s; {INFERENCE}: from '
        f'the image on the device to its classes; {EVALUATION}: a set of {images} without the '
        'network\nmemory from the windows to the classes: '
        + ', '.join(f'{name} {used / 2**20:.0f} MiB' for name, used in memory.items())
        + f'\npixels of another class than with mmseg: {100 * differing:.4f} %'
    )
    return report


def _ratio(row: Row) -> float:
    return row[OURS]['median_s'] / row[MMSEG]['median_s']


class _Bench:
    """One image on the device, its logits, and both ways through the network and without it."""

    def __init__(
        self, model: nn.Module, dataset: Dataset, device: torch.device, amp: str | None,
        compiled: bool,
    ) -> None:  # fmt: skip
        self.model, self.dataset = model, dataset
        self.autocast = torch.autocast(device.type, AMP_TYPES.get(amp or ''), enabled=bool(amp))
        self.theirs = copy.deepcopy(model) if compiled else copy.copy(model)
        if compiled:
            compile_stages(model)
        self.item = pseudo_collate([dataset[0]])
        data = model.data_preprocessor(self.item, False)
        self.inputs, (self.sample,) = data['inputs'], data['data_samples']
        self.ready = self._windows()
        # copies that share the weights, and whose network is these logits
        self.ours_idle, self.theirs_idle = copy.copy(model), copy.copy(self.theirs)
        self.ours_idle.window_logits = lambda inputs: self.ready
        logits = cycle([window.float() for window in self.ready[0]])
        self.theirs_idle._forward = lambda inputs, samples=None: next(logits)
        for plain in (self.theirs, self.theirs_idle):
            plain.slide_inference = partial(EncoderDecoder.slide_inference, plain)

    def work(self, out: Path) -> dict[str, dict[str, Callable[[], Any]]]:
        """Stage -> ours and mmseg's, where it has one; last the inference as a whole."""
        mosaic, logits = self._mosaic(), self._slide(self.theirs_idle)
        ids, their_ids = self.our_classes(), self.their_classes()
        label = {'gt_sem_seg': dict(data=self.sample.gt_sem_seg.data)}
        ours = {**label, 'pred_sem_seg': dict(data=ids)}
        theirs = {**label, 'pred_sem_seg': dict(data=their_ids[None])}
        metric, number = self._metric(), self.model.num_classes
        picture = (ids.cpu().numpy(), 'a', out, self.model.dataset_meta['palette'])
        return {
            'decode': {OURS: lambda: self.dataset[0]},
            'transfer': {OURS: lambda: self.model.data_preprocessor(self.item, False)},
            'windows': {OURS: self._windows, MMSEG: lambda: self._slide(self.theirs)},
            'accumulate': {OURS: self._mosaic, MMSEG: lambda: self._slide(self.theirs_idle)},
            'argmax': {OURS: lambda: _classes(mosaic), MMSEG: lambda: self._argmax(logits)},
            'metric': {
                OURS: lambda: sample_confusion(ours, number),
                MMSEG: lambda: metric.process({}, [theirs]),
            },
            'encode': {OURS: lambda: write_prediction(*picture)},
            INFERENCE: {
                OURS: lambda: _classes(self._mosaic(self._windows())),
                MMSEG: lambda: self._argmax(self._slide(self.theirs)),
            },
        }

    def evaluations(self, workers: int) -> dict[str, Callable[[], Any]]:
        """Our evaluation of the set and mmseg's, both without the network."""
        evaluate = partial(evaluate_dataset, self.ours_idle, self.dataset, 'made')
        return {
            OURS: partial(evaluate, workers=workers, progress=False),
            MMSEG: partial(self._mmseg_evaluation, workers),
        }

    def our_classes(self) -> Tensor:
        """From the logits of the windows to the classes `(H, W)`."""
        return _classes(self._mosaic())

    def their_classes(self) -> Tensor:
        """The same as mmseg does it."""
        return self._argmax(self._slide(self.theirs_idle))

    def _windows(self) -> tuple[list[Tensor], Any]:
        with self.autocast:
            return self.model.window_logits(self.inputs)

    def _mosaic(self, windows: tuple[list[Tensor], Any] | None = None) -> Mosaic:
        height, width = self.inputs.shape[-2:]
        whole = dict(content=(0, height, 0, width), size=self.sample.ori_shape)
        return Mosaic(*(windows or self.ready), **whole, align_corners=self.model.align_corners)

    def _slide(self, model: nn.Module) -> Tensor:
        return model.inference(self.inputs, [dict(self.sample.metainfo)])

    def _argmax(self, logits: Tensor) -> Tensor:
        sample = SegDataSample(metainfo=self.sample.metainfo)
        return self.theirs.postprocess_result(logits, [sample])[0].pred_sem_seg.data[0]

    def _mmseg_evaluation(self, workers: int) -> None:
        metric = self._metric()
        for item in DataLoader(self.dataset, collate_fn=pseudo_collate, num_workers=workers):
            samples = self.theirs_idle.test_step(item)
            metric.process(item, [sample.to_dict() for sample in samples])
        with mock.patch('mmseg.evaluation.metrics.iou_metric.print_log'):  # a table of noise
            metric.evaluate(len(self.dataset))

    def _metric(self) -> IoUMetric:
        metric = IoUMetric(prefix='made')
        metric.dataset_meta = self.model.dataset_meta
        return metric


def _classes(mosaic: Mosaic) -> Tensor:
    return classes_of_views([mosaic], None)[0][0]


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
        image = np.clip(rng.normal(smooth, 2), 0, 255).astype(np.uint8)
        blocks = rng.integers(0, len(meta['classes']), (8, 16), dtype=np.uint8)
        label = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'images/{i}.png'), image)
        cv2.imwrite(str(folder / f'labels/{i}.png'), label)
    return folder_dataset(folder / 'images', folder / 'labels', meta)
