"""An exported network in 8 bits: ranges of its maps, measured on images of the user."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate

from dsr_nss.checkpoints.onnx_files import FACTS, INPUT, optional_package
from dsr_nss.datasets.images import read_image
from dsr_nss.errors import DataError
from dsr_nss.functional.windows import crop, sliding_boxes
from dsr_nss.inference.predictor import Predictor

#: Most of the work of every network here; the rest stays in float32.
QUANTISED = ['Conv', 'ConvTranspose', 'MatMul', 'Gemm']


def quantise(path: Path, predictor: Predictor, images: Sequence[str | Path]) -> None:
    """Replaces an ONNX file in float32 by one whose convolutions and products have 8 bits.

    Static, with a scale for each channel of the weights: onnxruntime has fast kernels for it, and
    for convolutions with dynamic ranges it has none.

    Args:
        path: The file.
        predictor: The network that it is of; its reading and its windows feed the calibration.
        images: Image files, as varied as those that will be predicted.

    Raises:
        ConfigError: onnxruntime is not installed.
        FileNotFoundError, DataError: An image cannot be read.
    """
    onnx = optional_package('onnx')
    optional_package('onnxruntime')
    tools = importlib.import_module('onnxruntime.quantization')
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}[FACTS]
    prepared = path.with_name(f'prepared_{path.name}')
    importlib.import_module('onnxruntime.quantization.shape_inference').quant_pre_process(
        str(path), str(prepared), skip_symbolic_shape=True
    )
    path.unlink()
    tools.quantize_static(
        str(prepared),
        str(path),
        _Windows(predictor, images),
        quant_format=tools.QuantFormat.QDQ,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        op_types_to_quantize=QUANTISED,
        per_channel=True,
        reduce_range=True,  # without it, sums overflow on CPUs without VNNI
    )
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {FACTS: facts})
    onnx.save(model, path)


def check_windows(
    predictor: Predictor, images: Sequence[str | Path], size: tuple[int, int]
) -> None:
    """Raises `DataError` where a window of an image has another size than the graph takes."""
    for path in images:
        for window in _windows(predictor, [path]):
            height, width = window[INPUT].shape[2:]
            if (height, width) != size:
                raise DataError(
                    f'{path}: the network is given {height}x{width}, and the graph takes '
                    f'{size[0]}x{size[1]}; leave this image out of --int8, or name another --size'
                )


class _Windows:
    """What onnxruntime's calibration reads: the windows of the images, one by one."""

    def __init__(self, predictor: Predictor, images: Sequence[str | Path]) -> None:
        self._windows = _windows(predictor, images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._windows, None)


def _windows(predictor: Predictor, images: Sequence[str | Path]) -> Iterator[dict[str, np.ndarray]]:
    model: Any = predictor.model
    for path in images:
        item = predictor.prepare(read_image(Path(path)), str(path))
        inputs = model.data_preprocessor(pseudo_collate([item]), False)['inputs']
        height, width = inputs.shape[2:]
        boxes = [(0, height, 0, width)]
        if model.test_cfg.mode == 'slide':
            boxes = sliding_boxes((height, width), model.test_cfg.crop_size, model.test_cfg.stride)
        for box in boxes:
            yield {INPUT: crop(inputs, box).contiguous().numpy()}
