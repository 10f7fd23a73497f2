"""The class masks and the mix of image and label."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.class_mix import (
    add_companions,
    class_mask,
    draw_half,
    mix,
    present_classes,
)
from tests.reference import class_mix as reference


def _labels(seed=0, batch=3, classes=6, height=5, width=7):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, size=(batch, height, width))
    label[rng.uniform(size=label.shape) < 0.2] = 255
    label[0][label[0] == 2] = 0  # class 2 is missing in the first image
    label[1][label[1] < 5] = 4  # the second has two classes
    return label


def test_present_classes_matches_reference():
    label = _labels()
    actual = present_classes(torch.tensor(label), 6)
    assert actual.dtype == torch.bool
    np.testing.assert_array_equal(actual.numpy(), reference.present_classes(label, 6))
    assert not actual.all()


def test_ignore_is_no_class():
    label = torch.tensor([[[255, 255], [255, 3]], [[255, 255], [255, 255]]])
    assert present_classes(label, 4).tolist() == [[False] * 3 + [True], [False] * 4]


@pytest.mark.parametrize('classes', [1, 2, 5, 6])
def test_draw_half_counts_by_hand(classes):
    # ceil(1/2) = 1, ceil(2/2) = 1, ceil(5/2) = 3, ceil(6/2) = 3 of the present classes.
    present = torch.zeros(1, 19, dtype=torch.bool)
    present[0, 3 : 3 + classes] = True
    drawn = draw_half(present, torch.rand(1, 19))
    assert int(drawn.sum()) == {1: 1, 2: 1, 5: 3, 6: 3}[classes]
    assert not (drawn & ~present).any()


def test_draw_half_takes_the_highest_scores():
    # Present 0, 2, 3: two of them, with scores 0.9 and 0.5; 1 scores highest but is absent.
    present = torch.tensor([[True, False, True, True]])
    scores = torch.tensor([[0.5, 1.0, 0.1, 0.9]])
    assert draw_half(present, scores).tolist() == [[True, False, False, True]]


def test_draw_half_matches_reference():
    rng = np.random.default_rng(1)
    present = rng.uniform(size=(20, 19)) < rng.uniform(size=(20, 1))
    scores = rng.uniform(size=(20, 19))
    actual = draw_half(torch.tensor(present), torch.tensor(scores))
    assert actual.dtype == torch.bool
    np.testing.assert_array_equal(actual.numpy(), reference.draw_half(present, scores))


def test_draw_half_with_zero_scores():
    # A uniform draw may return exactly 0: such a class still beats an absent one.
    present = torch.tensor([[False, True, False, True]])
    assert int((draw_half(present, torch.zeros(1, 4)) & present).sum()) == 1


def test_draw_half_of_nothing_is_nothing():
    assert not draw_half(torch.zeros(2, 5, dtype=torch.bool), torch.rand(2, 5)).any()


def test_draw_half_is_uniform():
    # 2 of 4 classes: each is drawn in half of the cases; 4,000 draws, six standard errors = 0.047.
    present = torch.tensor([[True, False, True, True, True]]).expand(4000, 5)
    scores = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0))
    share = draw_half(present, scores).double().mean(0)
    assert share[1] == 0
    assert (share[[0, 2, 3, 4]] - 0.5).abs().max() < 0.047


def test_class_mask_by_hand():
    label = torch.tensor([[[0, 1], [255, 2]], [[0, 1], [2, 2]]])
    selected = torch.tensor([[False, True, True], [True, False, False]])
    mask = class_mask(label, selected)
    assert mask.shape == (2, 1, 2, 2)
    assert mask.dtype == torch.bool
    assert mask[:, 0].tolist() == [[[False, True], [False, True]], [[True, False], [False, False]]]


def test_ignore_is_never_in_the_mask():
    label = torch.full((1, 2, 2), 255)
    assert not class_mask(label, torch.ones(1, 19, dtype=torch.bool)).any()


def test_class_mask_matches_reference():
    label, rng = _labels(), np.random.default_rng(2)
    selected = rng.uniform(size=(3, 6)) < 0.5
    actual = class_mask(torch.tensor(label), torch.tensor(selected))
    np.testing.assert_array_equal(actual.numpy(), reference.class_mask(label, selected))


def test_label_is_left_alone():
    label = torch.tensor([[[0, 255]]])
    class_mask(label, torch.ones(1, 2, dtype=torch.bool))
    present_classes(label, 2)
    assert label.tolist() == [[[0, 255]]]


def test_mix_by_hand():
    # True takes the source, false the target, for images and for labels.
    mask = torch.tensor([[[[True, False]]]])
    source, target = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    image = mix(mask, source.expand(1, 3, 1, 2), target.expand(1, 3, 1, 2))
    assert image.tolist() == [[[[1.0, 4.0]]] * 3]
    label = mix(mask, torch.tensor([[[5, 6]]]), torch.tensor([[[7, 255]]]))
    assert label.tolist() == [[[5, 255]]]
    assert label.dtype == torch.int64


def test_mix_matches_reference_in_a_batch():
    rng = np.random.default_rng(3)
    mask = rng.uniform(size=(3, 1, 4, 5)) < 0.4
    for shape in ((3, 3, 4, 5), (3, 4, 5)):
        source, target = rng.normal(size=shape), rng.normal(size=shape)
        actual = mix(torch.tensor(mask), torch.tensor(source), torch.tensor(target))
        assert tuple(actual.shape) == shape
        np.testing.assert_array_equal(actual.numpy(), reference.mix(mask, source, target))


def test_empty_and_full_mask():
    source, target = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    mask = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    assert torch.equal(mix(mask, source, target), target)
    assert torch.equal(mix(~mask, source, target), source)


def test_mix_survives_nan_on_the_other_side():
    # 0 x NaN is NaN: a mix by multiplication would let a bad target pixel into source pixels.
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    mixed = mix(mask, torch.ones(1, 3, 1, 1), torch.full((1, 3, 1, 1), float('nan')))
    assert mixed.eq(1).all()


def test_ignore_may_count_as_one_more_class():
    label = torch.tensor([[[255, 0], [200, 3]], [[1, 1], [2, 2]]])
    present = present_classes(label, 4, with_ignore=True)
    assert present.tolist() == [[True, False, False, True, True], [False, True, True, False, False]]
    selected = torch.tensor([[False, False, False, True, True], [False, False, True, False, True]])
    taken = class_mask(label, selected, with_ignore=True)[:, 0]
    assert taken.tolist() == [[[True, False], [True, True]], [[False, False], [True, True]]]


def test_companions_by_hand():
    # 0 brings 1, 1 brings 2, 4 brings 3: rules apply in order, to present classes only.
    rules = torch.zeros(3, 2, 5, dtype=torch.bool)
    for r, (trigger, added) in enumerate(((0, 1), (1, 2), (4, 3))):
        rules[r, 0, trigger] = rules[r, 1, added] = True
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=torch.bool)
    selected = torch.tensor([[1, 0, 0, 0, 0], [1, 0, 0, 0, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    expected = [[1, 1, 1, 0, 0], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0]]
    assert add_companions(selected, present, rules).int().tolist() == expected
    backwards = add_companions(selected, present, rules.flip(0))
    assert backwards[0].int().tolist() == [1, 1, 0, 0, 0], '1 comes after its own rule'
