"""Aligners find what was done to the image."""

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError
from dsr_nss.functional.refinement import refine
from dsr_nss.functional.warp import warp
from dsr_nss.models.refine import Homography, Identity
from dsr_nss.models.refine.aligners import homography_flow


def textured_image(seed: int = 0, size: tuple[int, int] = (160, 240)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 90, np.uint8)
    for _ in range(120):
        x, y = rng.integers(0, size[1]), rng.integers(0, size[0])
        w, h = rng.integers(5, 25, 2)
        colour = tuple(int(v) for v in rng.integers(0, 255, 3))
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return image


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def test_homography_recovers_a_known_one():
    night = textured_image()
    true = np.array([[1.02, 0.03, -6.0], [-0.02, 0.99, 4.0], [5e-5, -3e-5, 1.0]])
    # day(H p) = night(p)
    day = cv2.warpPerspective(night, true, (240, 160))
    alignment = Homography()(as_tensor(night), as_tensor(day))
    assert alignment.aligned.tolist() == [True]
    assert (alignment.confidence == 0.5).all()
    expected = torch.from_numpy(homography_flow(true, 160, 240))[None]
    error = (alignment.flow - expected).norm(dim=1)
    assert error.median() < 0.5
    warped, valid = warp(as_tensor(day), alignment.flow)
    difference = (warped - as_tensor(night)).abs().mean(dim=1)[valid]
    assert difference.mean() < 0.05 < (as_tensor(day) - as_tensor(night)).abs().mean()


def test_homography_gives_up_without_matches_per_sample():
    night = textured_image()
    blank = np.full_like(night, 128)
    batch_night = torch.cat([as_tensor(night), as_tensor(night)])
    batch_day = torch.cat([as_tensor(night), as_tensor(blank)])
    alignment = Homography()(batch_night, batch_day)
    assert alignment.aligned.tolist() == [True, False]
    assert (alignment.flow[1] == 0).all()


def test_homography_is_deterministic():
    night, day = as_tensor(textured_image(1)), as_tensor(textured_image(1)[:, ::1])
    first, second = Homography()(night, day), Homography()(night, day)
    assert torch.equal(first.flow, second.flow)


def test_matches_are_in_front_where_the_corner_of_the_image_is_not(monkeypatch):
    """OpenCV scales to 1 at (3, 3): where the corner (0, 0) is beyond the horizon, all turns."""

    def horizon_left_of_the_matches(night, day, *args):
        slope = 1 / (night[:, 0].min() - 1)
        matrix = np.array([[-slope, 0, 1], [0, -slope, 0], [-slope, 0, 1]])
        return matrix, np.ones((len(night), 1), np.uint8)

    monkeypatch.setattr(cv2, 'findHomography', horizon_left_of_the_matches)
    image = as_tensor(textured_image())
    flow = Homography()(image, image).flow[0]
    mapped = flow[0, 80] + torch.arange(240.0)  # to x = 1, right of the horizon
    in_front = (mapped - 1).abs() < 1e-3
    horizon = 240 - int(in_front.sum())
    assert 0 < horizon < 30 and in_front[horizon:].all() and (mapped[:horizon] < -1e5).all()


def test_flow_of_a_translation_by_hand():
    flow = homography_flow(np.array([[1, 0, 2.0], [0, 1, -3.0], [0, 0, 1]]), 4, 5)
    assert (flow[0] == 2).all() and (flow[1] == -3).all()


def test_identity_does_not_warp():
    image = torch.rand(2, 3, 6, 8)
    alignment = Identity()(image, image)
    assert (alignment.flow == 0).all() and (alignment.confidence == 0.5).all()
    assert warp(image, alignment.flow)[1].all()


@pytest.mark.parametrize('confidence', [0.0, 0.5, 1.0])
def test_without_confidence_an_unaligned_day_speaks_where_both_see_static_classes_alone(confidence):
    """Class 0 is static. Pixels (night, day): (0, 0), (0, 1), (1, 0), (1, 1)."""
    image = torch.rand(1, 3, 1, 4)
    sure = 2 * torch.eye(2)
    night, day = (sure[classes].T.reshape(1, 2, 1, 4) for classes in ([0, 0, 1, 1], [0, 1, 0, 1]))
    day = 3 * day
    alignment = Identity(confidence=confidence)(image, image)
    valid = warp(day, alignment.flow)[1]
    scores = refine(night, day, alignment.confidence, valid, torch.tensor([True, False]), gamma=0)
    moved = (scores - night.softmax(dim=1)) / (day.softmax(dim=1) - night.softmax(dim=1))
    expected = torch.full((2, 4), confidence)
    expected[0, 0] = 1
    torch.testing.assert_close(moved[0, :, 0], expected, rtol=0, atol=1e-5)


def test_a_confidence_is_a_share():
    with pytest.raises(ConfigError, match=r'Identity\.confidence must .* 1'):
        Identity(confidence=1.5)


@pytest.mark.parametrize('kind', ['Identity', 'Homography'])
def test_an_aligner_with_weights_is_replaced_by_its_type_alone(kind):
    left = dict(type='Pretrained', checkpoint='no/such/file.pth')
    aligner = MODELS.build(dict(type=kind, init_cfg=left))
    aligner.init_weights()
    assert not aligner.state_dict()
