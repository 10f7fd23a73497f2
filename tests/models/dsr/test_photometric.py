"""Decisions and draws of the augmentation of the mixed image."""

import torch

from dsr_nss.models.dsr import PhotometricAugmentation


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
