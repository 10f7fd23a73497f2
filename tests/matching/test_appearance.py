"""The change of appearance: range, independence of the samples, what is switched off."""

import pytest
import torch
from mmseg.registry import MODELS


def change(**fields):
    return MODELS.build(dict(type='AppearanceChange', **fields))


@pytest.fixture
def image():
    return torch.rand(6, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def test_changes_every_image_in_its_own_way_within_the_range(image):
    before = image.clone()
    torch.manual_seed(0)
    changed = change()(image)
    assert torch.equal(image, before)
    assert changed.shape == image.shape and 0 <= changed.min() and changed.max() <= 1
    assert (changed - image).abs().mean(dim=(1, 2, 3)).min() > 0.01
    torch.manual_seed(0)
    assert torch.equal(changed, change()(image))


def test_without_any_change(image):
    still = change(jitter=0.0, shuffle_channels=False, blur_probability=0.0)
    torch.testing.assert_close(still(image), image)


def test_channels_are_put_in_another_order_and_kept(image):
    torch.manual_seed(1)
    shuffled = change(jitter=0.0, blur_probability=0.0)(image)
    torch.testing.assert_close(shuffled.sort(dim=1).values, image.sort(dim=1).values)
    assert not torch.allclose(shuffled, image)


def test_blur_is_drawn_an_image(image):
    torch.manual_seed(0)
    blurred = change(jitter=0.0, shuffle_channels=False, blur_probability=0.5)(image)
    changed = (blurred - image).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert changed.any() and not changed.all()


def test_a_wide_blur_is_as_wide_as_it_says():
    """The variance along a row of a line that is blurred."""
    line = torch.zeros(1, 3, 20, 61)
    line[..., 30] = 1
    blur = change(jitter=0.0, shuffle_channels=False, blur_probability=1.0, blur_sigma=(5.0, 5.0))
    row = blur(line)[0, 0, 4].double()
    variance = (row / row.sum() * (torch.arange(61) - 30) ** 2).sum()
    assert 3.5 < variance.sqrt() < 5.0  # its ends are cut at 1.5 deviations


def test_jitter_out_of_range():
    with pytest.raises(ValueError, match='jitter must lie in'):
        change(jitter=1.2)
