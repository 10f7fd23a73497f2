"""Which pixels come from the source."""

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
