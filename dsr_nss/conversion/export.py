"""From a checkpoint to a file that predicts without this package's networks: ONNX, torch.export.

The file holds one graph, from a normalised window to the logits of the head. Windows, their
joining, resizing and normalisation stay outside, in `dsr_nss.inference`; what they need is in the
metadata.
A file takes its name only after it was read back and gave what the checkpoint gives.
"""

import copy
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from mmseg.models import SegDataPreProcessor
from timm.layers import Conv2dSame
from torch import Tensor, nn

from dsr_nss.checkpoints.allowed_networks import allowed_steps
from dsr_nss.checkpoints.onnx_files import FACTS, INPUT, MOST_BYTES, OUTPUT, optional_package
from dsr_nss.checkpoints.pt2_files import FACTS_ENTRY
from dsr_nss.conversion.export_parity import Parity, compare
from dsr_nss.conversion.quantisation import check_windows, quantise
from dsr_nss.errors import ConfigError
from dsr_nss.files import make_folder, storage_error
from dsr_nss.inference.export_facts import LARGEST, SMALLEST, ExportFacts
from dsr_nss.inference.exported import SUFFIXES, load_exported
from dsr_nss.inference.predictor import Predictor
from dsr_nss.models.decode_heads import HRDAHead
from dsr_nss.models.preprocessor import AdaptationPreprocessor
from dsr_nss.models.segmentors.adaptable import AdaptableEncoderDecoder

DYNAMIC: Literal['dynamic'] = 'dynamic'
#: (height, width) that the graph takes, or `DYNAMIC`.
Size = tuple[int, int] | Literal['dynamic']
#: More than the context and the detail windows of HRDA.
MOST_WINDOWS = 1024
#: Size at which a graph for any size is traced: neither side divides the other or the patches.
_TRACED = (160, 224)


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: The file.
        facts: What it says of itself.
        parity: How it compares with the checkpoint.
    """

    path: Path
    facts: ExportFacts
    parity: list[Parity]


class _Logits(nn.Module):
    """The graph: `(1, 3, h, w)` float32, normalised -> `(1, K, h', w')` float32."""

    def __init__(self, model: AdaptableEncoderDecoder, half: bool = False) -> None:
        super().__init__()
        self.model, self.half_precision = model, half

    def forward(self, image: Tensor) -> Tensor:
        logits = self.model._forward(image.half() if self.half_precision else image)
        return logits.float()


def export_network(
    predictor: Predictor,
    destination: str | Path,
    *,
    form: str,
    network: str = 'student',
    size: Size | None = None,
    half: bool = False,
    calibration: Sequence[str | Path] = (),
) -> ExportReport:
    """Writes the network of a checkpoint as one file, and compares it with the checkpoint.

    Args:
        predictor: The network, on the CPU, from `dsr_nss.load`.
        destination: The file to write; it ends as `SUFFIXES` says.
        form: `'onnx'` or `'torch_export'`.
        network: Which network of its checkpoint it is, for the metadata.
        size: What the graph takes. None: the window of the network; where images pass as a whole,
            any size.
        half: Compute in float16; the graph still takes and gives float32.
        calibration: Images on which the ranges of an 8-bit network are measured (only ONNX); none:
            the network keeps its precision.

    Raises:
        ConfigError: A network or a combination that cannot be exported.
        CheckpointError: The file does not give what the checkpoint gives; it is not kept.
        FileNotFoundError, DataError: An image for the ranges cannot be read or has another size.
        StorageError: It cannot be written.
    """
    destination = Path(destination)
    if form not in SUFFIXES:
        raise ConfigError(f'the format must be one of {sorted(SUFFIXES)}, got {form!r}')
    if destination.suffix != SUFFIXES[form]:
        raise ConfigError(f'{destination}: a file of the format {form} ends in {SUFFIXES[form]}')
    if calibration and (form != 'onnx' or half):
        raise ConfigError('8 bits are for ONNX files in float32: without --half, --format onnx')
    model = _exportable(predictor.model)
    taken = _size(model, size)
    precision = 'int8' if calibration else 'float16' if half else 'float32'
    facts = _facts(predictor, network, precision, None if taken == DYNAMIC else taken)
    folder = make_folder(destination.parent)
    graph = _Logits(copy.deepcopy(model).half() if half else model, half)
    if calibration and taken != DYNAMIC:
        check_windows(predictor, calibration, taken)  # now, not after minutes of tracing
    program = _trace(graph, taken)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix='.export_') as partial:
            written = Path(partial) / destination.name
            _write(program, facts, written)
            del program
            if calibration:
                quantise(written, predictor, calibration)
            parity = compare(model, load_exported(written, 'cpu'), destination)
            written.replace(destination)
    except OSError as error:
        if error.errno is None:  # a sentence of ours
            raise
        raise storage_error(destination, error) from error
    return ExportReport(destination, facts, parity)


def _exportable(model: nn.Module) -> AdaptableEncoderDecoder:
    if not isinstance(model, AdaptableEncoderDecoder):
        raise ConfigError(
            f'{type(model).__name__} is not exported: only AdaptableEncoderDecoder and '
            'HRDAEncoderDecoder are'
        )
    if type(model.data_preprocessor) not in (SegDataPreProcessor, AdaptationPreprocessor):
        raise ConfigError(
            f'the preprocessor {type(model.data_preprocessor).__name__} of the network is not '
            'known: an exported file could not say what it does'
        )
    model = copy.deepcopy(model)
    # all windows of HRDA in one call: one by one, the graph would hold the encoder for each
    model.test_cfg.max_windows = MOST_WINDOWS
    return model


def _size(model: AdaptableEncoderDecoder, size: Size | None) -> Size:
    """The size that was asked for, or the one that suits the network."""
    window = model.test_cfg.crop_size if model.test_cfg.mode == 'slide' else None
    if size is None:
        size = DYNAMIC if window is None else (int(window[0]), int(window[1]))
    if size == DYNAMIC:
        if isinstance(model.decode_head, HRDAHead):
            raise ConfigError(
                'HRDA places its detail windows by the size of its input, so its graph takes one '
                'size: --size HxW, the size of the image after the test pipeline, or of its window'
            )
        if any(isinstance(module, Conv2dSame) for module in model.modules()):
            raise ConfigError(
                'the convolutions of the encoder pad by the size of their input, so its graph '
                'takes one size: --size HxW, the size of the image after the test pipeline'
            )
        return size
    if window is not None and tuple(window) != size:
        raise ConfigError(
            f'the network is tested in windows of {window[0]}x{window[1]}, so its graph takes this '
            f'size or any, not {size[0]}x{size[1]}'
        )
    if not SMALLEST <= min(size) <= max(size) <= LARGEST:
        raise ConfigError(f'a side must have {SMALLEST} to {LARGEST} pixels, got {size}')
    return size


def _facts(
    predictor: Predictor, network: str, precision: str, size: tuple[int, int] | None
) -> ExportFacts:
    model: Any = predictor.model
    images, test = model.data_preprocessor, model.test_cfg
    normalises = images._enable_normalize
    slides = test.mode == 'slide'
    padding = images.test_cfg and {**images.test_cfg, 'value': images.pad_val}
    head = model.decode_head
    return ExportFacts(
        network=network,
        precision=precision,
        size=size,
        window=_pair(test.crop_size) if slides else None,
        stride=_pair(test.stride) if slides else None,
        # the test pipeline gives BGR; what swaps it, whatever its name, makes it RGB
        channels='RGB' if images._channel_conversion else 'BGR',
        mean=_numbers(images.mean) if normalises else (0.0, 0.0, 0.0),
        std=_numbers(images.std) if normalises else (1.0, 1.0, 1.0),
        padding=padding or None,
        test_pipeline=allowed_steps(
            [dict(step) for step in predictor.transforms], 'the test pipeline of the config'
        ),
        align_corners=bool(model.align_corners),
        threshold=head.threshold if head.out_channels == 1 else None,
        classes=predictor.names,
        palette=[list(map(int, colour)) for colour in predictor.palette],
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _numbers(values: Tensor) -> tuple[float, ...]:
    """The shortest decimals that are these float32 values again."""
    return tuple(float(str(value)) for value in values.flatten().numpy())


def _trace(network: nn.Module, size: Size) -> torch.export.ExportedProgram:
    """The program of a network, without what a reader would have to evaluate or unpickle."""
    shapes = None
    if size == DYNAMIC:
        sides = {
            2 + i: torch.export.Dim(name, min=SMALLEST, max=LARGEST)
            for i, name in enumerate(('height', 'width'))
        }
        shapes = (sides,)
    traced = _TRACED if size == DYNAMIC else size
    image = torch.zeros(1, 3, *traced)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            program = torch.export.export(network.eval(), (image,), dynamic_shapes=shapes)
    except Exception as error:  # it fails in as many ways as there are networks
        if size != DYNAMIC:
            raise
        raise ConfigError(
            'this network cannot be exported for any size, because it decides by the size what it '
            f'computes; name one: --size HxW ({str(error).strip().splitlines()[0]})'
        ) from error
    for node in program.graph.nodes:  # traces of this machine's files
        node.meta = {key: value for key, value in node.meta.items() if key == 'val'}
    program._example_inputs = None
    # they repeat the range of the sizes and what holds for all sizes; read, they would be run
    program._guards_code = []
    return program


def _write(program: torch.export.ExportedProgram, facts: ExportFacts, path: Path) -> None:
    if path.suffix == SUFFIXES['torch_export']:
        torch.export.save(program, path, extra_files={FACTS_ENTRY: facts.text()})
        return
    for name in ('onnx', 'onnxruntime', 'onnxscript'):
        optional_package(name)
    values = sum(v.numel() * v.element_size() for v in program.state_dict.values())
    if values > MOST_BYTES:
        raise ConfigError(
            f'the weights have {values:,} bytes, an ONNX file at most {MOST_BYTES:,}: use --half '
            'or --format torch_export'
        )
    loggers = [logging.getLogger(name) for name in ('onnxscript', 'onnx_ir', 'torch.onnx')]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)  # a line for each operator that is not folded
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            exported = torch.onnx.export(
                program, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    exported.model.metadata_props[FACTS] = facts.text()
    exported.save(path, external_data=False)
