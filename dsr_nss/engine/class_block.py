"""The classes of a config, stated once: `classes = dict(names=..., palette=..., groups=dict(...))`.

What depends on them and is left out is filled in; what is stated and disagrees is an error that
names both places. Which fields these are is said by the components themselves, in a class attribute
`class_fields`: field -> where its value comes from, which is

- `'names'` or `'number'`: all class names, or how many they are;
- `'metainfo'`: names, palette and groups, as a data set carries them;
- a group, or several in a tuple: their names. A config may state other names of classes, or the
  name of a group;
- None: nothing is filled in, but names that are stated must be classes.

mmseg's heads and data sets, which say nothing, get `num_classes` and `metainfo`; any component with
an argument `class_names` gets the names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from dsr_nss.classes import CLASSES, MOST_CLASSES, metainfo
from dsr_nss.datasets.base import RoadSceneDataset
from dsr_nss.engine.components import accepted_fields, components, registered
from dsr_nss.errors import ConfigError

BLOCK = 'classes'
_BLOCK_FIELDS = ('names', 'palette', 'groups')
#: Of fields of components; and `mIoU_official` is a score of its own.
_RESERVED = ('names', 'number', 'metainfo', 'official')


@dataclass(frozen=True)
class ClassBlock:
    """The classes of a config.

    Attributes:
        place: Where the config states them, for messages.
        meta: `classes`, `palette` and `groups`, complete; see `dsr_nss.classes.metainfo`.
        own_palette: Whether the palette is stated.
    """

    place: str
    meta: dict[str, Any]
    own_palette: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All class names; the position is the id."""
        return self.meta['classes']

    def __str__(self) -> str:
        return f'{self.place} states {_classes(self.names)}'


def class_block(config: Mapping[str, Any]) -> ClassBlock | None:
    """The block of a config or, without one, the classes of its labelled training set.

    Raises:
        ConfigError: The block is none; the message says which of its fields is wrong.
    """
    block = config.get(BLOCK)
    if block is not None:
        return _read_block(block)
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    source = dataset.get('source') if isinstance(dataset, Mapping) else None
    if not isinstance(source, Mapping):
        return None
    place = 'train_dataloader.dataset.source'
    stated = source.get('metainfo') or {}
    if stated.get('classes'):
        palette = stated.get('palette')
        meta = metainfo(tuple(stated['classes']), palette, stated.get('groups'))
        return ClassBlock(f'{place}.metainfo.classes', meta, palette is not None)
    kinds = [kind for kind in registered(str(source.get('type'))) if _is(kind, BaseSegDataset)]
    names = next((_fixed_classes(kind) for kind in kinds), None)
    return ClassBlock(f'{place}.type {source["type"]}', metainfo(names)) if names else None


def apply_classes(config: Config) -> None:
    """Fills in what depends on the classes; refuses what disagrees with them.

    Raises:
        ConfigError: Lists everything that disagrees, each with both places.
    """
    block = class_block(config)
    if block is None:
        return
    problems: list[str] = []
    for path, component in components(config._cfg_dict):
        for kind in registered(component['type']):
            if _is(kind, BaseSegDataset):
                problems += _data_set(config, path, component, kind, block)
            else:
                for field, origin in _class_fields(kind).items():
                    problems += _field(path, component, field, origin, block)
    problems += _student(config, block)
    if problems:
        raise ConfigError('\n'.join(problems))


def unfilled_groups(config: Config) -> Iterator[str]:
    """Says of each component that takes a group without a class that it has nothing to do there."""
    block = class_block(config)
    if block is None:
        return
    for path, component in components(config.get('model'), 'model'):
        for kind in registered(component['type']):
            for field, origin in getattr(kind, 'class_fields', {}).items():
                groups = (origin,) if isinstance(origin, str) else origin or ()
                own = [group for group in groups if group in block.meta['groups']]
                filled = component.get(field) or any(block.meta['groups'][g] for g in own)
                if own and not filled:
                    yield (
                        f'{path}.{field} is empty: {block.place} has no class in '
                        f'{" or ".join(own)}. State the group in {BLOCK}.groups, or leave '
                        f'{path} out'
                    )


def check_outputs(model: nn.Module, dataset: Any) -> None:
    """Compares what was built: the student's outputs with the classes of the training set.

    Raises:
        ConfigError: They differ in number, so that a label would have no output.
    """
    student = getattr(model, 'student', None)
    outputs = getattr(student, 'out_channels', None)
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if outputs is not None and names and outputs != len(names):
        raise ConfigError(
            f'model.student has {outputs} outputs, but train_dataloader.dataset has '
            f'{_classes(names)}; training needs one output for each'
        )


def _class_fields(kind: Any) -> Mapping[str, Any]:
    declared = getattr(kind, 'class_fields', None)
    if declared is not None:
        return declared
    for field, origin, base in (
        ('num_classes', 'number', BaseDecodeHead),
        ('class_names', 'names', object),
    ):
        if _is(kind, base) and field in (accepted_fields(kind) or ()):
            return {field: origin}
    return {}


def _field(path: str, component: dict, field: str, origin: Any, block: ClassBlock) -> Iterator[str]:
    """Fills in one field, or says what is wrong with it."""
    where, stated = f'{path}.{field}', component.get(field)
    if origin in ('number', 'names'):
        own = block.names if origin == 'names' else len(block.names)
        if stated is None:
            component[field] = own
        elif (tuple(stated) if origin == 'names' else stated) != own:
            said = _classes(stated) if origin == 'names' else stated
            yield f'{where} is {said}, but {block}. Leave the field out: it follows'
        return
    groups = block.meta['groups']
    if isinstance(stated, str):
        if stated not in groups:
            yield f'{where}: {stated!r} is no group of classes; the groups: {", ".join(groups)}'
            return
        component[field] = groups[stated]
    elif field not in component and origin is not None:
        wanted = (origin,) if isinstance(origin, str) else origin
        component[field] = tuple(name for group in wanted for name in groups.get(group, ()))
    else:
        unknown = [name for name in _flat(stated) if name not in block.names]
        if unknown:
            yield f'{where}: {_unknown(unknown, block)}'


def _data_set(
    config: Config, path: str, component: dict, kind: Any, block: ClassBlock
) -> Iterator[str]:
    """Gives a set its classes, or says that it has others."""
    stated, fixed = component.get('metainfo') or {}, _fixed_classes(kind)
    given = stated.get('classes')
    if given is not None and tuple(given) != block.names:
        yield f'{path}.metainfo.classes states {_classes(given)}, but {block}'
    elif given is None and fixed is not None and fixed != block.names and not _is_free(kind):
        if _labels_are_read(config, path):
            yield f'{path} is a {kind.__name__}, which has {_classes(fixed)}, but {block}'
    elif stated.get('palette') and block.own_palette and not _same(stated, block.meta):
        yield f'{path}.metainfo.palette differs from the palette of {block.place}'
    elif given is not None or not (fixed and block.meta == metainfo(fixed)):
        component['metainfo'] = {**block.meta, **stated}


def _student(config: Config, block: ClassBlock) -> Iterator[str]:
    """Fields by which a head that is trained would have other outputs than there are classes."""
    student = (config.get('model') or {}).get('student')
    number = len(block.names)
    for path, component in components(student, 'model.student'):
        outputs, weights = component.get('out_channels'), component.get('class_weight')
        is_head = any(_is(kind, BaseDecodeHead) for kind in registered(component['type']))
        if is_head and outputs not in (None, number):
            yield (
                f'{path}.out_channels is {outputs}, but {block}, and training needs one output '
                'for each, also for two: leave the field out'
            )
        if isinstance(weights, (list, tuple)) and len(weights) != number:
            yield f'{path}.class_weight has {len(weights)} numbers, but {block}'


def _labels_are_read(config: Config, path: str) -> bool:
    """Whether the labels of the set at this place are used before somebody names it."""
    place = path.split('.')
    if place[0] == 'test_sets':
        return place[1] in (config.get('default_test_sets') or list(config.test_sets)[:1])
    return 'target' not in place


def _fixed_classes(kind: Any) -> tuple[str, ...] | None:
    """The classes that a set has where its config states none."""
    names = kind.METAINFO.get('classes')
    return CLASSES if names is None and _is_free(kind) else names and tuple(names)


def _is_free(kind: Any) -> bool:
    """Whether it is one of ours that takes any classes."""
    return issubclass(kind, RoadSceneDataset) and not kind.METAINFO


def _is(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _same(stated: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    return [list(colour) for colour in stated['palette']] == meta['palette']


def _flat(names: Any) -> Iterator[str]:
    if isinstance(names, (list, tuple)):
        for name in names:
            yield from _flat(name)
    elif names is not None:
        yield names


def _classes(names: Sequence[str], shown: int = 6) -> str:
    more = ', ...' if len(names) > shown else ''
    return f'{len(names)} classes ({", ".join(map(str, names[:shown]))}{more})'


def _unknown(names: Sequence[str], block: ClassBlock) -> str:
    return (
        f'{", ".join(map(repr, names))} is none of the classes of {block.place}, which are: '
        f'{", ".join(block.names)}'
    )


def _read_block(block: Any) -> ClassBlock:
    """Checks the block and completes it."""
    if not isinstance(block, Mapping) or not block.get('names'):
        raise ConfigError(f"{BLOCK} must be dict(names=('road', ...)), got {block!r:.80}")
    other = [field for field in block if field not in _BLOCK_FIELDS]
    if other:
        raise ConfigError(f'{BLOCK}.{other[0]}: its fields are {", ".join(_BLOCK_FIELDS)}')
    names, palette, groups = block['names'], block.get('palette'), block.get('groups') or {}
    _check_names(names)
    colours = palette if palette is None else [list(colour) for colour in palette]
    if colours is not None and (
        len(colours) != len(names)
        or any(len(c) != 3 or not 0 <= min(c) <= max(c) <= 255 for c in colours)
    ):
        raise ConfigError(
            f'{BLOCK}.palette has {len(colours)} colours for {len(names)} classes; it needs one '
            'for each, three values in 0..255. Leave it out: colours are found'
        )
    read = ClassBlock(f'{BLOCK}.names', metainfo(tuple(names)))
    for group, members in groups.items():
        if group in _RESERVED:
            raise ConfigError(
                f'{BLOCK}.groups.{group}: the name means something else; take another'
            )
        if isinstance(members, str):
            raise ConfigError(f'{BLOCK}.groups.{group}: a group is a list of class names')
        unknown = [name for name in members if name not in names]
        if unknown:
            raise ConfigError(f'{BLOCK}.groups.{group}: {_unknown(unknown, read)}')
    return ClassBlock(read.place, metainfo(tuple(names), colours, groups), colours is not None)


def _check_names(names: Any) -> None:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f'{BLOCK}.names must be a list of names, got {names!r:.80}')
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigError(f'{BLOCK}.names has {", ".join(map(repr, twice))} twice')
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ConfigError(
            f'{BLOCK}.names has {len(names)} names; there must be 2 to {MOST_CLASSES}: labels have '
            '8 bits, and 255 is ignored'
        )
