"""Reading an ONNX file as data: its bytes and its texts, after nothing in it was found to harm.

An ONNX file is a graph of operators, and onnxruntime runs no other code than its own. But a graph
may name further files, which onnxruntime would open wherever they lie, hold loops that never end,
and name operators of other libraries. Networks of this package need none of these.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dsr_nss.errors import CheckpointError, ConfigError

#: What the graph of an exported network takes and gives.
INPUT, OUTPUT = 'image', 'logits'
#: Key of the texts under which an exported network says what is around its graph.
FACTS = 'dsr_nss'
#: protobuf's limit.
MOST_BYTES = 2**31 - 1
#: Names of the domain of ONNX's own operators.
STANDARD = ('', 'ai.onnx')


class OnnxFile(NamedTuple):
    """A file that may be run.

    Attributes:
        content: The file.
        facts: The text that it carries under `FACTS`.
    """

    content: bytes
    facts: str


def optional_package(name: str) -> Any:
    """A package of the extra `export`.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"ONNX files need the package {name}: `pip install -e '.[export]'`"
        ) from error


def read_onnx(path: Path) -> OnnxFile:
    """Reads an ONNX file that this package exported.

    Raises:
        ConfigError: The package onnx is not installed.
        CheckpointError: The file is damaged, is not of this package, or holds what is never run.
    """
    onnx = optional_package('onnx')
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise CheckpointError(f'{path} has {size} bytes; an ONNX file has at most {MOST_BYTES}')
    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf has several kinds of errors for damage
        raise CheckpointError(f'{path} is damaged or no ONNX file ({error})') from error
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if FACTS not in texts:
        raise CheckpointError(
            f'{path} is no ONNX file of this package: it has no metadata {FACTS!r}. '
            'tools/export.py makes one from a checkpoint'
        )
    for problem in _problems(onnx, model):
        raise CheckpointError(f'{path} was refused: {problem}')
    return OnnxFile(content, texts[FACTS])


def _problems(onnx: Any, model: Any) -> Iterator[str]:
    """What is never run, each as the end of a sentence."""
    if model.functions or model.training_info:
        yield 'it holds functions or a training of its own'
    names = [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
    if names != [[INPUT], [OUTPUT]]:
        yield f'its graph does not take {INPUT!r} alone and give {OUTPUT!r} alone'
    graph = model.graph
    attributes = [one for node in graph.node for one in node.attribute]
    for node in graph.node:
        if node.domain not in STANDARD:
            yield f'it uses the operator {node.op_type!r} of {node.domain!r}, not of ONNX itself'
    for one in attributes:
        if one.HasField('g') or one.graphs:  # whatever its `type` says
            yield 'it holds a loop or a branch, which may never end'
    tensors = [*graph.initializer, *(one.t for one in attributes)]
    tensors += [tensor for one in attributes for tensor in one.tensors]
    sparse = [*graph.sparse_initializer, *(one.sparse_tensor for one in attributes)]
    sparse += [tensor for one in attributes for tensor in one.sparse_tensors]
    tensors += [part for one in sparse for part in (one.values, one.indices)]
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            place = {entry.key: entry.value for entry in tensor.external_data}.get('location')
            yield f'the weights {tensor.name!r} lie in another file, {place!r}, which is not opened'
