"""What a file of `torch.export.save` may hold before `torch.export.load` is given it.

torch unpickles entries of such a file, evaluates its shapes and guards as Python, looks up what its
graph calls by any name below `torch`, and loads compiled libraries; it warns of untrusted files.
Files of this package need none of that: their entries are JSON and plain weights, their graphs call
a short list of operators. So everything that is not on the lists below is refused unread. torch
reads zip files by a reader of its own, which can find other entries in a file than Python's; so it
gets a copy of the entries that were checked, never the file.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from dsr_nss.checkpoints.allowed_kinds import shown
from dsr_nss.checkpoints.file_checks import archive_problem, is_zip
from dsr_nss.errors import CheckpointError

#: The entry with what is around the graph; `torch.export.save` puts `extra/` before it.
FACTS_ENTRY = 'dsr_nss.json'
#: Values of all weights together, at most.
MOST_VALUES = 500_000_000
#: Bytes of the graph's JSON, at most.
MOST_GRAPH_BYTES = 256 << 20
#: How torch writes down that a graph takes one tensor and gives one.
_LEAF = '{"type": null, "context": null, "children_spec": []}'
IN_SPEC = (
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": '
    f'"builtins.tuple", "context": "null", "children_spec": [{_LEAF}]}}, '
    '{"type": "builtins.dict", "context": "[]", "children_spec": []}]}]'
)
OUT_SPEC = f'[1, {_LEAF}]'

_WEIGHTS, _CONSTANTS = 'data/weights/', 'data/constants/'
_CONFIGS = {
    f'{_WEIGHTS}model_weights_config.json': re.compile(r'weight_\d+'),
    f'{_CONSTANTS}model_constants_config.json': re.compile(r'tensor_\d+'),
}
_GRAPH, _FACTS, _SAMPLES = (
    'models/model.json',
    f'extra/{FACTS_ENTRY}',
    'data/sample_inputs/model.pt',
)
_ENTRIES = re.compile(
    '|'.join(
        [
            *map(re.escape, (*_CONFIGS, _GRAPH, _FACTS, _SAMPLES)),
            rf'{_WEIGHTS}weight_\d+|{_CONSTANTS}tensor_\d+',
            r'archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id',
        ]
    )
)
_ROOT = re.compile(r'[\w. -]+')
#: Names of values and modules, versions, kinds of devices.
_NAME = re.compile(r'[\w.+:-]*')
#: Sizes in terms of the sizes of the input, as torch writes them for sympy.
_SYMBOL = r"Symbol\('[su]\d{1,4}', (?:positive=True, )?integer=True\)"
_SIZE = re.compile(
    rf'(?:{_SYMBOL}|Integer\(-?\d{{1,12}}\)|Pow\({_SYMBOL}, Integer\([2-4]\)\)'
    r'|(?:Add|Mul|FloorDiv|CeilDiv|Mod|PythonMod|Min|Max)\(|, |\)){1,4000}'
)
#: What operators are told by a word.
_WORDS = ('none', 'tanh', 'floor', 'trunc', 'ij', 'xy', 'constant')
#: Fields that must be empty: each of them is evaluated, imported or unpickled by torch.
_EMPTY = ('guards_code', 'metadata', 'custom_obj_values', 'treespec_namedtuple_fields')
#: Kinds of arguments that hold code, further graphs or objects.
_NEVER = ('as_graph', 'as_custom_obj', 'custom_obj', 'as_operator', 'as_complex', 'token')
#: What a graph may call: arithmetic of torch's own operators, without files and devices.
_ATEN = (
    'adaptive_avg_pool2d add add_ addmm alias arange avg_pool2d batch_norm bmm cat chunk clamp '
    'clone constant_pad_nd contiguous conv2d conv_transpose2d copy copy_ detach_ div dropout '
    'elu embedding eq exp expand expand_as feature_dropout fill_ flatten flip floor floor_divide '
    'gather ge gelu grid_sampler group_norm gt hardsigmoid hardswish hardtanh hardtanh_ index '
    'index_select instance_norm layer_norm le leaky_relu lerp lift_fresh_copy linear log lt '
    'matmul max_pool2d maximum mean meshgrid minimum mish movedim mul mul_ narrow ne neg '
    'new_full new_ones new_zeros ones pad permute pow prelu reciprocal relu relu_ relu6 relu6_ '
    'repeat reshape rms_norm roll rsqrt rsub scaled_dot_product_attention select sigmoid silu '
    'silu_ sin cos slice slice_scatter softmax softplus split split_with_sizes sqrt squeeze stack '
    'std sub sum sym_size t tanh to transpose type_as unbind unflatten unsqueeze '
    'upsample_bicubic2d upsample_bilinear2d upsample_nearest2d var view where zeros zeros_like '
    'ones_like full full_like _to_copy _assert_tensor_metadata _upsample_bicubic2d_aa '
    '_upsample_bilinear2d_aa'
).split()
_OPERATORS = re.compile(
    rf'torch\.ops\.aten\.(?:{"|".join(map(re.escape, _ATEN))})\.\w+'
    r'|_operator\.(?:add|sub|mul|floordiv|mod|neg|getitem|eq|ne|le|lt|ge|gt)'
    r'|torch\.sym_(?:max|min)'
)


class Pt2File(NamedTuple):
    """A file that torch may be given.

    Attributes:
        content: A copy of the file with the entries that were checked.
        facts: The text that it carries as `FACTS_ENTRY`.
    """

    content: io.BytesIO
    facts: str


def read_pt2(path: Path) -> Pt2File:
    """Reads a `.pt2` file that this package exported, before torch does.

    Raises:
        CheckpointError: The file is damaged, is not of this package, or holds what is never read.
    """
    problem = archive_problem(path) if is_zip(path) else 'is no file of torch.export.save'
    if problem is not None:
        raise CheckpointError(f'{path} {problem}')
    try:
        with zipfile.ZipFile(path) as archive:
            facts = _checked(archive)
            return Pt2File(_copied(archive), facts)
    except _Foreign as foreign:
        raise CheckpointError(f'{path} was refused: {foreign}') from None
    except (ValueError, KeyError, RecursionError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f'{path} is no file of tools/export.py ({type(error).__name__}: {error})'
        ) from error


class _Foreign(Exception):
    """What is never read, as the end of a sentence."""


def _checked(archive: zipfile.ZipFile) -> str:
    root = archive.namelist()[0].split('/', 1)[0]
    if not _ROOT.fullmatch(root):
        raise _Foreign(f'its first entry is {shown(archive.namelist()[0])}')
    for name in archive.namelist():
        if not name.startswith(f'{root}/') or not _ENTRIES.fullmatch(name[len(root) + 1 :]):
            raise _Foreign(f'it holds {shown(name)}, which no export of this package has')
    if f'{root}/{_FACTS}' not in archive.namelist():
        raise _Foreign(f'it has no {_FACTS}; tools/export.py makes such a file of a checkpoint')
    if archive.getinfo(f'{root}/{_SAMPLES}').file_size:
        raise _Foreign('it holds sample inputs, which torch unpickles')
    values = 0
    for name, entries in _CONFIGS.items():
        for weight in json.loads(archive.read(f'{root}/{name}'))['config'].values():
            values += _checked_weight(weight, entries)
    if values > MOST_VALUES:  # torch makes what an empty entry claims
        raise _Foreign(f'its weights have {values:,} values, more than {MOST_VALUES:,}')
    if archive.getinfo(f'{root}/{_GRAPH}').file_size > MOST_GRAPH_BYTES:
        raise _Foreign(f'its graph has more than {MOST_GRAPH_BYTES} bytes')
    _check(json.loads(archive.read(f'{root}/{_GRAPH}')), '')
    return archive.read(f'{root}/{_FACTS}').decode()


def _copied(archive: zipfile.ZipFile) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w', zipfile.ZIP_STORED) as copy:
        for entry in archive.infolist():
            copy.writestr(entry.filename, archive.read(entry))
    content.seek(0)
    return content


def _checked_weight(values: Mapping[str, Any], entries: re.Pattern[str]) -> int:
    """How many values a weight has."""
    if values['use_pickle'] is not False or not entries.fullmatch(values['path_name']):
        raise _Foreign(f'its weight {shown(values["path_name"])} is a pickle or lies elsewhere')
    sizes = [size['as_int'] for size in values['tensor_meta']['sizes']]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise _Foreign(f'it holds a weight of the sizes {shown(sizes)}')
    return prod(sizes)


def _check(node: Any, field: str) -> None:
    """Every text and every field of the graph, by what torch makes of it."""
    if isinstance(node, Mapping):
        for name, inner in node.items():
            if name in _NEVER or (name in _EMPTY and inner):
                raise _Foreign(f'its graph has the field {name!r}: {shown(inner)}')
            if not _NAME.fullmatch(name):
                raise _Foreign(f'its graph has the field {shown(name)}')
            _check(inner, name)
    elif isinstance(node, list):
        for inner in node:
            _check(inner, field)
    elif isinstance(node, str) and not _is_harmless(node, field):
        raise _Foreign(f'its graph has {shown(node)} as {field!r}, which is not on the list')


def _is_harmless(text: str, field: str) -> bool:
    if field == 'target':
        return _OPERATORS.fullmatch(text) is not None
    if field == 'expr_str':
        return _SIZE.fullmatch(text) is not None
    if field == 'as_string':
        return text in _WORDS
    if field in ('in_spec', 'out_spec'):
        return text == (IN_SPEC if field == 'in_spec' else OUT_SPEC)
    return _NAME.fullmatch(text) is not None
