"""Exported networks (`tools/export.py`) where a segmentor of torch stands otherwise.

Reading, windows, joining and writing are those of a checkpoint; a graph alone computes the logits.
Nothing is built from a config here.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from torch import Tensor
from torch.export.passes import move_to_device_pass

from dsr_nss.checkpoints.onnx_files import INPUT, optional_package, read_onnx
from dsr_nss.checkpoints.pt2_files import read_pt2
from dsr_nss.engine.devices import default_device, usable_device
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.functional.windows import Box, crop, sliding_boxes
from dsr_nss.inference.export_facts import LARGEST, SMALLEST, ExportFacts, read_facts

#: How the files of each format end.
SUFFIXES = {'onnx': '.onnx', 'torch_export': '.pt2'}
#: `(1, 3, h, w)` float32, normalised -> logits `(1, K, h', w')` float32.
Graph = Callable[[Tensor], Tensor]


def is_exported(path: str | Path) -> bool:
    """Whether a file is called as an exported network."""
    return Path(path).suffix.lower() in SUFFIXES.values()


class ExportedNetwork:
    """What `dsr_nss.inference.predict` asks of a segmentor, around a graph.

    Args:
        graph: Computes the logits of one window.
        facts: What the file says of itself.
        origin: The file, for messages.
        device: Device on which images are normalised and logits are joined.
    """

    def __init__(
        self, graph: Graph, facts: ExportFacts, origin: Path, device: str | torch.device
    ) -> None:
        self.graph, self.facts, self.origin = graph, facts, origin
        padding = facts.padding or {}
        self.data_preprocessor = SegDataPreProcessor(
            mean=facts.mean,
            std=facts.std,
            bgr_to_rgb=facts.channels == 'RGB',
            pad_val=padding.get('value', 0),
            test_cfg={k: v for k, v in padding.items() if k != 'value'} or None,
        ).to(device)
        self.align_corners, self.threshold = facts.align_corners, facts.threshold
        self.dataset_meta: dict[str, Any] = dict(classes=facts.classes, palette=facts.palette)

    @property
    def config(self) -> Config:
        """The config of its test pipeline."""
        return Config(dict(default_scope='mmseg', test_pipeline=self.facts.test_pipeline))

    def window_logits(self, inputs: Tensor) -> tuple[list[Tensor], list[Box]]:
        """Logits of each window; see `AdaptableEncoderDecoder.window_logits`.

        Args:
            inputs: `(B, 3, H, W)`, normalised.

        Returns:
            `(B, K, h, w)` of each window, float32, and the windows in pixels.

        Raises:
            DataError: Windows of another size than the graph takes.
            CheckpointError: The graph gives something else than logits of the classes.
        """
        facts = self.facts
        height, width = (int(side) for side in inputs.shape[2:])
        boxes = [(0, height, 0, width)]
        if facts.window is not None and facts.stride is not None:
            boxes = sliding_boxes((height, width), facts.window, facts.stride)
        self._check_size((boxes[0][1] - boxes[0][0], boxes[0][3] - boxes[0][2]))
        images = inputs.split(1)
        windows = [torch.cat([self._run(crop(image, box)) for image in images]) for box in boxes]
        return windows, boxes

    def _check_size(self, size: tuple[int, int]) -> None:
        wanted = self.facts.size
        if wanted == size or (wanted is None and SMALLEST <= min(size) <= max(size) <= LARGEST):
            return
        taken = (
            f'sides of {SMALLEST} to {LARGEST} pixels'
            if wanted is None
            else f'{wanted[0]}x{wanted[1]} pixels alone'
        )
        what = 'the image' if self.facts.window is None else 'its window'
        raise DataError(
            f'{self.origin} takes {taken}, and {what} has {size[0]}x{size[1]}; use the checkpoint, '
            'or export it once more with --size dynamic or this size'
        )

    def _run(self, window: Tensor) -> Tensor:
        logits = self.graph(window)
        channels = 1 if self.threshold is not None else len(self.facts.classes)
        if logits.ndim != 4 or logits.shape[:2] != (1, channels) or logits.dtype != torch.float32:
            raise CheckpointError(
                f'{self.origin} gives {tuple(logits.shape)} {logits.dtype}, no logits of '
                f'{len(self.facts.classes)} classes'
            )
        return logits


def load_exported(path: Path, device: str | torch.device = 'auto') -> ExportedNetwork:
    """An exported network, read as data: see `read_onnx` and `read_pt2` for what is refused.

    Args:
        path: A `.onnx` file for onnxruntime, or a `.pt2` file of `torch.export`.
        device: `'auto'` is a GPU if there is one that the file can run on.

    Raises:
        ConfigError: A package is missing, or onnxruntime cannot use the device.
        CheckpointError: The file is damaged, foreign, or holds what is never run.
    """
    if path.suffix.lower() == SUFFIXES['onnx']:
        content, text = read_onnx(path)
        facts = read_facts(text, path)
        graph, device = _onnx_graph(content, path, device)
    else:
        archive, text = read_pt2(path)
        facts = read_facts(text, path)
        device = default_device() if device == 'auto' else device
        device = usable_device(device)
        graph = _torch_graph(archive, path, device)
    return ExportedNetwork(graph, facts, path, device)


def _onnx_graph(
    content: bytes, path: Path, device: str | torch.device
) -> tuple[Graph, str | torch.device]:
    runtime = optional_package('onnxruntime')
    has_cuda = 'CUDAExecutionProvider' in runtime.get_available_providers()
    if device == 'auto':
        device = default_device() if has_cuda else 'cpu'
    if str(device).startswith('cuda') and not has_cuda:
        raise ConfigError(
            f'{path}: the installed onnxruntime has no CUDA provider; install onnxruntime-gpu in '
            'its place, or use --device cpu'
        )
    place = usable_device(device)
    if place.type not in ('cpu', 'cuda'):
        raise ConfigError(f'{path}: onnxruntime runs on cpu or cuda here, not on {place.type}')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # bytes can be a file of onnxruntime's own format as well, in which nothing was checked
    options.add_session_config_entry('session.load_model_format', 'ONNX')
    provider = (
        'CPUExecutionProvider'
        if place.type == 'cpu'
        else ('CUDAExecutionProvider', {'device_id': place.index or 0})
    )
    try:
        session = runtime.InferenceSession(content, options, providers=[provider])
    except Exception as error:  # each kind of failure of onnxruntime has a class of its own
        raise CheckpointError(f'{path} cannot be loaded by onnxruntime: {error}') from error

    def run(window: Tensor) -> Tensor:
        try:
            (logits,) = session.run(None, {INPUT: window.contiguous().cpu().numpy()})
        except Exception as error:
            raise CheckpointError(f'{path} cannot be run by onnxruntime: {error}') from error
        return torch.from_numpy(logits).to(place)

    return run, device


def _torch_graph(content: io.BytesIO, path: Path, device: torch.device) -> Graph:
    try:
        program = torch.export.load(content)
        if device.type != 'cpu':
            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as error:  # files of other versions of torch fail in any way
        raise CheckpointError(
            f'{path} cannot be loaded by torch {torch.__version__} ({error}); export the '
            'checkpoint once more with this version'
        ) from error
    return lambda window: module(window.contiguous())
