"""The 19 Cityscapes classes, their colours and the four groups of the method: the one table.

Every other module receives class ids or names from a config; none hard-codes them.
"""

from collections.abc import Iterable, Sequence

IGNORE_INDEX = 255

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
