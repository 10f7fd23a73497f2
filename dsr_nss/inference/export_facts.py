"""What an exported network says of itself: all that a prediction needs beside the graph."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dsr_nss.checkpoints.allowed_kinds import (
    Choice,
    Fields,
    Integer,
    Items,
    Kind,
    Number,
    Refused,
    or_none,
)
from dsr_nss.checkpoints.allowed_networks import allowed_steps
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.inference.load import dataset_meta

FORMAT = 1
PRECISIONS = ('float32', 'float16', 'int8')
#: Sides of what a graph for any size takes, in pixels: MiT has two cells at its coarsest stride.
SMALLEST, LARGEST = 64, 8192

_PIXELS = Integer(16, LARGEST)
_PAIR = Items(_PIXELS, most=2, least=2)
_NUMBERS = Number(-1e4, 1e4)
#: What each field may hold; classes, colours and the pipeline have checks of their own.
KINDS: dict[str, Kind] = dict(
    format=Choice(FORMAT),
    network=Choice('student', 'teacher'),
    precision=Choice(*PRECISIONS),
    size=or_none(_PAIR),
    window=or_none(_PAIR),
    stride=or_none(Items(Integer(8, LARGEST), most=2, least=2)),
    channels=Choice('RGB', 'BGR'),
    mean=Items(_NUMBERS, most=3, least=3),
    std=Items(Number(1e-4, 1e4), most=3, least=3),
    padding=or_none(
        Fields(size=or_none(_PAIR), size_divisor=or_none(Integer(1, 1024)), value=_NUMBERS)
    ),
    align_corners=Choice(True, False),
    threshold=or_none(Number(0, 1)),
)


@dataclass(frozen=True)
class ExportFacts:
    """All that is not in the graph of an exported network.

    Attributes:
        network: `'student'` or `'teacher'`, the network of the checkpoint.
        precision: One of `PRECISIONS`, of the graph's inside; it takes and gives float32.
        size: (height, width) that the graph takes, in pixels; None: any from `SMALLEST` to
            `LARGEST`.
        window: (height, width) of the sliding windows; None: the image passes as a whole.
        stride: (vertical, horizontal) step of the windows; None without windows.
        channels: Order of the colours that the graph takes, `'RGB'` or `'BGR'`.
        mean, std: The graph takes `(pixel - mean) / std` of pixels in 0..255, in that order.
        padding: `size` or `size_divisor` to which normalised images are padded on the right and
            below with `value`, as mmseg does; None: they are not.
        test_pipeline: How an image is resized first: mmseg's transforms, as plain data.
        align_corners: How logits are upsampled; see `torch.nn.functional.interpolate`.
        threshold: Probability above which a graph with one output channel means class 1.
        classes: Name of each class; the position is the id.
        palette: RGB of each class.
    """

    network: str
    precision: str
    size: tuple[int, int] | None
    window: tuple[int, int] | None
    stride: tuple[int, int] | None
    channels: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: dict[str, Any] | None
    test_pipeline: list[dict[str, Any]]
    align_corners: bool
    threshold: float | None
    classes: tuple[str, ...]
    palette: list[list[int]]

    def text(self) -> str:
        """As JSON, which `read_facts` takes."""
        return json.dumps({'format': FORMAT, **asdict(self)}, indent=1)


def read_facts(text: str, origin: str | Path) -> ExportFacts:
    """Reads the metadata of an exported network as data, and checks every field.

    Args:
        text: JSON from `ExportFacts.text`, or from a stranger.
        origin: The file, for messages.

    Raises:
        CheckpointError: Something that no export writes; names the field.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f'{origin}: its metadata are no JSON') from None
    if not isinstance(values, dict):
        raise CheckpointError(f'{origin}: its metadata are no JSON object')
    missing = {'format', *(field.name for field in fields(ExportFacts))} - set(values)
    if missing:
        raise CheckpointError(f'{origin}: its metadata lack {", ".join(sorted(missing))}')
    classes, palette = values.pop('classes'), values.pop('palette')
    steps = values.pop('test_pipeline')
    try:
        checked = Fields(**KINDS).checked(values, 'metadata', [])
        steps = [_with_tuples(step) for step in allowed_steps(steps, 'metadata')]
    except Refused as refused:
        raise CheckpointError(f'{origin} was refused: {refused.where} {refused.reason}') from None
    except ConfigError as error:
        raise CheckpointError(f'{origin}: {error}') from None
    names = _names(classes, palette, origin)
    checked = _with_tuples({name: value for name, value in checked.items() if name != 'format'})
    facts = ExportFacts(test_pipeline=steps, **names, **checked)
    _check_windows(facts, origin)
    return facts


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists alone; mmseg's transforms ask for tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _names(classes: Any, palette: Any, origin: str | Path) -> Mapping[str, Any]:
    if not isinstance(classes, list) or not 2 <= len(classes) <= 255:
        raise CheckpointError(f'{origin}: its classes are no list of 2..255 names')
    try:
        content = dict(meta=dict(dataset_meta=dict(classes=classes, palette=palette)))
        meta = dataset_meta(content, len(classes))
    except CheckpointError as error:
        raise CheckpointError(f'{origin}: {error}') from None
    return dict(classes=meta['classes'], palette=meta['palette'])


def _check_windows(facts: ExportFacts, origin: str | Path) -> None:
    if (facts.window is None) != (facts.stride is None):
        raise CheckpointError(f'{origin}: its metadata have a window without stride, or reverse')
    if facts.window is None or facts.stride is None:
        return
    if any(step > side for step, side in zip(facts.stride, facts.window, strict=True)):
        raise CheckpointError(
            f'{origin}: its stride {facts.stride} is larger than its window {facts.window}'
        )
