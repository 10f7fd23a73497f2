"""Which pixels come from the source."""

import pytest
import torch

from dsr_nss.classes import CLASSES, GROUPS, class_ids
from dsr_nss.models.dsr import DSRMixup

ALWAYS = (*GROUPS['small'], *GROUPS['dynamic'])


def mix(label: torch.Tensor, **kwargs):
    options = dict(class_names=CLASSES, always_classes=ALWAYS)
    mixup = DSRMixup(**{**options, **kwargs})
    shape = (label.shape[0], 3, *label.shape[1:])
    return mixup(
        torch.ones(shape), label, torch.zeros(shape), torch.full_like(label, 10), torch.tensor(0.5)
    )


def all_classes_label(batch: int = 4) -> torch.Tensor:
    row = torch.tensor([*range(19), 255])
    return row.repeat(batch, 3, 1)


def test_small_and_dynamic_classes_are_always_there_and_ignore_never():
    torch.manual_seed(0)
    label = all_classes_label()
    mixed = mix(label)
    taken = mixed.mask[:, 0]
    for c in class_ids(ALWAYS):
        assert taken[label == c].all()
    assert not taken[label == 255].any()


def test_half_of_the_present_classes_rounded_up_are_drawn():
    torch.manual_seed(0)
    label = torch.tensor([[[0, 1, 2, 255]], [[8, 8, 10, 255]]])
    counts = set()
    seen = set()
    for _ in range(50):
        taken = mix(label, always_classes=()).mask[:, 0]
        counts.add((len(label[0][taken[0]].unique()), len(label[1][taken[1]].unique())))
        seen |= set(label[taken].tolist())
    assert counts == {(2, 1)}
    assert seen == {0, 1, 2, 8, 10}


def test_empty_mask_is_the_night_image():
    mixed = mix(all_classes_label(), always_classes=(), random_half=False)
    assert not mixed.mask.any()
    assert (mixed.image == 0).all() and (mixed.label == 10).all() and (mixed.weight == 0.5).all()


def test_image_label_and_weight_follow_one_mask():
    torch.manual_seed(1)
    label = all_classes_label()
    mixed = mix(label)
    taken = mixed.mask[:, 0]
    assert torch.equal(mixed.image.bool().all(dim=1), taken)
    assert torch.equal(mixed.label, torch.where(taken, label, 10))
    assert torch.equal(mixed.weight, torch.where(taken, 1.0, 0.5))


def test_images_of_a_batch_draw_independently():
    torch.manual_seed(2)
    masks = mix(all_classes_label(8), always_classes=()).mask
    assert len({tuple(m.flatten().tolist()) for m in masks}) > 1


def test_classes_of_the_whole_batch_may_be_drawn():
    """Images of classes {0, 1} and {8, 10}: half of four are two, all of an image's or none."""
    torch.manual_seed(0)
    label = torch.tensor([[[0, 0, 1, 1]], [[8, 8, 10, 10]]])
    counts = set()
    for _ in range(100):
        taken = mix(label, always_classes=(), class_pool='batch').mask[:, 0]
        counts.add(len(label[0][taken[0]].unique()))
    assert counts == {0, 1, 2}
    with pytest.raises(ValueError, match='class_pool'):
        mix(label, class_pool='set')


def test_ignored_pixels_may_be_drawn_and_stay_ignored():
    torch.manual_seed(0)
    label = torch.tensor([[[255, 255, 3, 3]]])
    seen = set()
    for _ in range(40):
        mixed = mix(label, always_classes=(), draw_ignore=True)
        seen.add(tuple(mixed.label.flatten().tolist()))
        assert torch.equal(mixed.weight == 1, mixed.mask[:, 0])
    assert seen == {(255, 255, 10, 10), (10, 10, 3, 3)}  # ceil(2 / 2) = 1 of the two


def test_companions_come_with_a_drawn_class():
    """Class names, in the order of the authors' code: a sign brings the pole."""
    label = all_classes_label(1)
    companions = [(('traffic sign',), ('pole',)), (('rider',), ('motorcycle', 'bicycle'))]
    sign, pole, rider, motorcycle, bicycle = class_ids(
        ('traffic sign', 'pole', 'rider', 'motorcycle', 'bicycle')
    )
    for seed in range(20):
        torch.manual_seed(seed)
        plain = set(label[mix(label, always_classes=()).mask[:, 0]].tolist())
        torch.manual_seed(seed)
        more = set(label[mix(label, always_classes=(), companions=companions).mask[:, 0]].tolist())
        expected = plain | ({pole} if sign in plain else set())
        assert more == expected | ({motorcycle, bicycle} if rider in plain else set())
