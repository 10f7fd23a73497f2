"""Decisions and draws of the augmentation of the mixed image."""

import numpy as np
import pytest
import torch

from dsr_nss.models.dsr import PhotometricAugmentation
from tests.reference import photometric as reference


def identity(x: torch.Tensor) -> torch.Tensor:
    return x


def augment(image: torch.Tensor, **kwargs) -> torch.Tensor:
    return PhotometricAugmentation(**kwargs)(image, identity, identity)


def changed(image: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    return (image - result).abs().flatten(1).amax(dim=1) > 1e-4


def test_probabilities_hold_per_image():
    torch.manual_seed(0)
    image = torch.rand(400, 3, 12, 12) * 0.8 + 0.1
    jitter = changed(image, augment(image, blur_probability=0.0)).float().mean()
    blur = (
        changed(image, augment(image, jitter_probability=0.0, blur_sigma=(0.8, 1.15)))
        .float()
        .mean()
    )
    assert abs(jitter - 0.8) < 0.06  # three standard errors
    assert abs(blur - 0.5) < 0.075


def test_nothing_drawn_means_unchanged_to_the_last_bit():
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(augment(image, jitter_probability=0.0, blur_probability=0.0), image)


def test_same_seed_same_result_and_input_untouched():
    image = torch.rand(2, 3, 16, 16)
    before = image.clone()
    torch.manual_seed(3)
    first = augment(image)
    torch.manual_seed(3)
    assert torch.equal(first, augment(image))
    assert torch.equal(image, before)


def test_jitter_is_the_published_one_in_the_order_that_was_drawn():
    """Kornia's four operations one by one, each image in its own order."""
    image = np.random.default_rng(0).uniform(size=(3, 3, 6, 7)) * 0.3  # a night image
    names = ('add_brightness', 'adjust_brightness', 'scale_saturation', 'turn_hue')
    augmentation = PhotometricAugmentation(blur_probability=0.0, jitter_probability=1.0)
    torch.manual_seed(0)
    draws = augmentation.draw(3)
    assert len({tuple(order) for order in draws.orders.tolist()}) == 3
    assert ((draws.factors[:, :3] - 1).abs() <= 0.2).all()
    assert (draws.factors[:, 3].abs() <= 0.2).all() and draws.factors[:, 3].min() < 0
    augmentation.draw = lambda batch: draws
    actual = augmentation(torch.from_numpy(image), identity, identity)
    for i, order in enumerate(draws.orders.tolist()):
        expected = image[i : i + 1]
        for which in order:
            operation = getattr(reference, names[which])
            expected = operation(expected, draws.factors[i : i + 1, which].double().numpy())
        np.testing.assert_allclose(actual[i].numpy(), expected[0], atol=1e-12)


def test_torchvisions_jitter_is_a_choice():
    image = torch.rand(2, 3, 8, 8) * 0.3
    results = []
    for definition in ('kornia', 'torchvision'):
        torch.manual_seed(5)
        kwargs = dict(jitter_probability=1.0, blur_probability=0.0)
        results.append(augment(image, definition=definition, **kwargs))
    draws = (torch.manual_seed(5), PhotometricAugmentation(**kwargs).draw(2))[1]
    expected = image.double().numpy()
    for which, name in enumerate(('brightness', 'contrast', 'saturation', 'hue')):
        expected = getattr(reference, f'adjust_{name}')(expected, draws.factors[:, which].numpy())
    np.testing.assert_allclose(results[1].numpy(), expected, atol=1e-5)
    assert (results[0] - results[1]).abs().max() > 0.02


def test_one_decision_a_batch_is_a_choice():
    shared, apart = (PhotometricAugmentation(decide=decide) for decide in ('batch', 'image'))
    torch.manual_seed(0)
    for kind in ('jittered', 'blurred'):
        assert {len(set(getattr(shared.draw(4), kind).tolist())) for _ in range(20)} == {1}
        assert 2 in {len(set(getattr(apart.draw(4), kind).tolist())) for _ in range(20)}
    share = torch.stack([shared.draw(1).jittered for _ in range(400)]).float().mean()
    assert abs(share - 0.8) < 0.06  # three standard errors


@pytest.mark.parametrize('field', ['definition', 'decide'])
def test_a_bad_value_is_named(field):
    with pytest.raises(ValueError, match=field):
        PhotometricAugmentation(**{field: 'other'})


def test_a_hue_that_torchvision_cannot_turn_is_told_at_once():
    """Its own error would come in the first step that draws such a turn."""
    PhotometricAugmentation(jitter_strength=0.6)
    with pytest.raises(ValueError, match='jitter_strength is 0.6, but the hue'):
        PhotometricAugmentation(jitter_strength=0.6, definition='torchvision')


def test_a_wider_blur_keeps_its_width():
    """The variance of a blurred point is that of the Gaussian, as for the published sigma."""
    image = torch.zeros(1, 1, 41, 41).expand(1, 3, 41, 41).clone()
    image[..., 20, 20] = 1
    place = torch.arange(41) - 20.0
    for sigma in (1.15, 4.0):
        blurred = augment(
            image, jitter_probability=0.0, blur_probability=1.0, blur_sigma=(sigma, sigma)
        )
        variance = (blurred[0, 0].sum(dim=0) * place**2).sum()
        assert variance.item() == pytest.approx(sigma**2, rel=1e-2)
