"""Batches, random numbers and matches of three steps, in which every part has something to do."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from .step import Draws, Match

SIZE = (32, 48)
BATCH = 3
#: Neither the number nor the order of Cityscapes, so that an id written into the code is noticed.
NAMES = (
    'sky', 'person', 'road', 'bus', 'pole', 'building', 'bicycle', 'car', 'vegetation', 'train',
)  # fmt: skip
STATIC = ('sky', 'road', 'building', 'vegetation')
LONG_TAIL = ('bus', 'bicycle', 'train')
ALWAYS = ('person', 'pole', 'bicycle', 'train')
THINGS = ('person', 'car', 'train')


def ids(names) -> tuple[int, ...]:
    return tuple(NAMES.index(name) for name in names)


#: Of each step and sample; with both answers of the aligner where there is nothing to align.
HAS_REFERENCE = {1: [True, False, True], 2: [False, True, True], 3: [True, True, False]}
ALIGNED = {1: [True, False, False], 2: [True, True, True], 3: [True, True, True]}


def make_items(step: int) -> dict:
    """Images of coloured blocks."""
    rng = np.random.default_rng(step)

    def image() -> Tensor:
        blocks = rng.integers(20, 236, (BATCH, 3, 8, 12)).repeat(4, 2).repeat(4, 3)
        noise = rng.integers(-20, 20, (BATCH, 3, *SIZE))
        return torch.from_numpy(blocks + noise).to(torch.uint8)

    return dict(
        source_image=image(),
        source_label=torch.from_numpy(make_label(step)).to(torch.uint8),
        night_image=image(),
        reference_image=image(),
        has_reference=torch.tensor(HAS_REFERENCE[step]),
        source_file=[f'source_{i}.png' for i in range(BATCH)],
        night_file=[f'night_{i}.png' for i in range(BATCH)],
        reference_file=[f'day_{i}.png' for i in range(BATCH)],
    )


def make_label(step: int) -> np.ndarray:
    """The last encoder map has one cell for each half of an image; these are the left halves."""
    rng = np.random.default_rng(100 + step)
    # vegetation occurs in no source, but the teacher sees some
    # image 1 shows no long-tail class in the first step: it is not kept
    shown = [
        ids(('sky', 'road', 'bus', 'pole', 'bicycle', 'building')),
        ids(('sky', 'road', 'pole', 'building', 'car')),
        ids(('road', 'train', 'pole', 'building', 'bus')),
    ]
    label = np.stack([rng.choice(one, (8, 12)) for one in shown]).repeat(4, 1).repeat(4, 2)
    person, road, car, train = ids(('person', 'road', 'car', 'train'))
    label[0, :, :24] = person
    label[1, :20, :24] = car  # exactly the smallest share that counts
    label[2, :, :24] = road  # covers most of the cell, and is no thing
    label[2, :13, :24] = train  # a thing, but too little of it
    label[:, 4:10, 30:40] = 255
    label[1, 20:28, :24] = 255
    if step > 1:
        label[1, 20:28, 28:45] = ids(('bicycle',))[0]
    return label


DRAWS = (
    SimpleNamespace(target=0.6, offsets=(1, 3, 2, 1)),
    SimpleNamespace(target=0.9, offsets=(2, 0, 1, 2)),
    SimpleNamespace(target=0.1, offsets=(0, 2, 1, 3)),
)


def make_draws(step: int) -> Draws:
    draw = DRAWS[step - 1]
    scores = np.random.default_rng(200 + step).random((BATCH, len(NAMES)))
    # never drawn: a thing whose place shows the target, and objects that the bank alone pastes
    scores[:, ids(('car', 'bus'))] = 0
    boxes = [
        (8 * top, 8 * top + SIZE[0] // 2, 8 * left, 8 * left + SIZE[1] // 2)
        for top, left in (draw.offsets[:2], draw.offsets[2:])
    ]
    return Draws(target=draw.target, scores=scores, boxes=(boxes[0], boxes[1]))


def make_match(step: int) -> Match:
    """Fractional flows, also out of the image; in the second step one that is zero everywhere."""
    rng = np.random.default_rng(300 + step)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    flow = np.empty((BATCH, 2, *SIZE))
    for b in range(BATCH):
        flow[b, 0] = np.round(4 * (5.3 + 3 * np.sin(y / 9 + b))) / 4
        flow[b, 1] = np.round(4 * (2 - 4 * b + 2 * np.cos(x / 7))) / 4
    if step == 2:
        flow[1] = 0
    confidence = rng.integers(4, 16, (BATCH, 1, *SIZE)) / 16
    return Match(flow=flow, confidence=confidence, aligned=np.array(ALIGNED[step]))
