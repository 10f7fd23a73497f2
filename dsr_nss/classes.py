"""The 19 Cityscapes classes, their colours and the four groups of the method: the one table.

Every other module receives class ids or names from a config; none hard-codes them. A config with
classes of its own states their names; colours and groups that it leaves out follow from this table.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

IGNORE_INDEX = 255
#: Ids are 8-bit and 255 is ignored.
MOST_CLASSES = 255

#: (train id is the position) name, RGB colour - both from the public Cityscapes definition.
_TABLE: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ('road', (128, 64, 128)),
    ('sidewalk', (244, 35, 232)),
    ('building', (70, 70, 70)),
    ('wall', (102, 102, 156)),
    ('fence', (190, 153, 153)),
    ('pole', (153, 153, 153)),
    ('traffic light', (250, 170, 30)),
    ('traffic sign', (220, 220, 0)),
    ('vegetation', (107, 142, 35)),
    ('terrain', (152, 251, 152)),
    ('sky', (70, 130, 180)),
    ('person', (220, 20, 60)),
    ('rider', (255, 0, 0)),
    ('car', (0, 0, 142)),
    ('truck', (0, 0, 70)),
    ('bus', (0, 60, 100)),
    ('train', (0, 80, 100)),
    ('motorcycle', (0, 0, 230)),
    ('bicycle', (119, 11, 32)),
)

CLASSES: tuple[str, ...] = tuple(name for name, _ in _TABLE)
PALETTE: tuple[tuple[int, int, int], ...] = tuple(colour for _, colour in _TABLE)

#: The groups of the method, by class name. `dynamic` contains `long_tail`.
GROUPS: dict[str, tuple[str, ...]] = {
    'large_static': (
        'road',
        'sidewalk',
        'building',
        'wall',
        'fence',
        'vegetation',
        'terrain',
        'sky',
    ),
    'small': ('pole', 'traffic light', 'traffic sign'),
    'dynamic': (
        'person',
        'rider',
        'car',
        'truck',
        'bus',
        'train',
        'motorcycle',
        'bicycle',
    ),
    'long_tail': ('rider', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'),
}

#: Those whose means are figures; classes of one's own may have more.
REPORTED_GROUPS = ('large_static', 'dynamic', 'small')
#: Groups that are no figure of their own: what loses and measures count.
_UNREPORTED = ('long_tail', 'things', 'small_objects')


def complete_groups(
    classes: Sequence[str], stated: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[str, ...]]:
    """All groups of a list of classes, by name.

    Groups that are not stated are those of Cityscapes as far as their classes exist. Two more
    follow from the others: `things`, the dynamic and small classes without poles (what the base
    methods' feature distance counts), and `small_objects`, the small classes and people on foot or
    on two wheels (whose recall is measured).

    Args:
        classes: All class names.
        stated: Groups of a config, by name; other names than those of `GROUPS` are allowed.
    """
    stated = stated or {}
    groups = {group: tuple(n for n in names if n in classes) for group, names in GROUPS.items()}
    groups |= {group: tuple(names) for group, names in stated.items()}
    small, dynamic = groups['small'], groups['dynamic']
    people = tuple(n for n in ('person', 'rider') if n in classes and n not in small)
    groups.setdefault('things', tuple(n for n in (*small, *dynamic) if n != 'pole'))
    groups.setdefault('small_objects', (*small, *people))
    return groups


def reported_groups(
    classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[str, ...]]:
    """The groups whose mean IoU is reported, without empty ones.

    Args:
        classes: All class names.
        groups: The complete groups of a set; None: those that follow from the names.
    """
    complete = groups or complete_groups(classes)
    own = [group for group in complete if group not in (*REPORTED_GROUPS, *_UNREPORTED)]
    ordered = (*REPORTED_GROUPS, *own)
    return {group: tuple(complete[group]) for group in ordered if complete.get(group)}


def first_other_name(names: Sequence[str], others: Sequence[str]) -> int | None:
    """The first position at which two lists of one length name different classes, if any.

    Case, `_` and `-` do not count: `traffic_light` is `traffic light`.
    """
    pairs = zip(map(_plain, names), map(_plain, others), strict=True)
    return next((i for i, (name, other) in enumerate(pairs) if name != other), None)


def _plain(name: str) -> str:
    return name.lower().replace('_', ' ').replace('-', ' ')


def complete_palette(classes: Sequence[str]) -> list[list[int]]:
    """A colour for each class: Cityscapes' where it has that class, else one that is still free.

    The free ones are spread over the cube: three bits a channel by the bits of a running number.
    """
    known = dict(_TABLE)
    taken = {known[name] for name in classes if name in known}
    spread = (colour for colour in map(_spread_colour, count(1)) if colour not in taken)
    return [list(known[name] if name in known else next(spread)) for name in classes]


def _spread_colour(number: int) -> tuple[int, int, int]:
    colour = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= (number >> channel & 1) << shift
        number >>= 3
    return colour[0], colour[1], colour[2]


def metainfo(
    classes: Sequence[str] = CLASSES,
    palette: Sequence[Sequence[int]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict:
    """`classes`, `palette` and `groups` as data sets and checkpoints carry them."""
    if isinstance(classes, str):
        raise TypeError(f'expected a list of class names, got the single string {classes!r}')
    colours = complete_palette(classes) if palette is None else palette
    return dict(
        classes=tuple(classes),
        palette=[list(colour) for colour in colours],
        groups=complete_groups(classes, groups),
    )


def class_ids(names: Iterable[str], classes: Sequence[str] = CLASSES) -> tuple[int, ...]:
    """Train ids of class names.

    Args:
        names: Class names, each one of `classes`.
        classes: All class names; the position is the id.

    Returns:
        The ids in the order of `names`.

    Raises:
        ValueError: A name is not one of `classes`; the message lists the valid names.
        TypeError: `names` is a single string instead of a list of names.
    """
    if isinstance(names, str):
        raise TypeError(f'expected a list of class names, got the single string {names!r}')
    index = {name: i for i, name in enumerate(classes)}
    names = list(names)
    unknown = [name for name in names if name not in index]
    if unknown:
        raise ValueError(
            f'unknown class name(s) {unknown}; the valid names are: {", ".join(classes)}'
        )
    return tuple(index[name] for name in names)
