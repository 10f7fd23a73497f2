"""The aligner on kornia's LoFTR: with a matcher whose matches are known, and with kornia."""

import importlib.util
import sys

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.matching import loftr
from dsr_nss.matching.loftr import LoFTR

HAS_KORNIA = importlib.util.find_spec('kornia') is not None
needs_kornia = pytest.mark.skipif(not HAS_KORNIA, reason='kornia is not installed')


class ShiftMatcher(nn.Module):
    """Matches of a translation on the coarse grid, in LoFTR's frame; none in a black image."""

    def __init__(self, shift=(6.0, -3.0), score=0.8):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.shift = torch.tensor(shift)
        self.score = score

    def forward(self, data):
        self.sizes = [tuple(data[name].shape) for name in ('image0', 'image1')]
        _, _, height, width = data['image0'].shape
        start = torch.cartesian_prod(torch.arange(0, width, 8.0), torch.arange(0, height, 8.0))
        if data['image1'].max() == 0:
            start = start[:5]
        return {
            'keypoints0': start,
            'keypoints1': start + self.shift,
            'confidence': torch.full((len(start),), self.score),
        }


@pytest.fixture
def matcher(monkeypatch):
    matcher = ShiftMatcher()
    monkeypatch.setattr(loftr, '_build_matcher', lambda: matcher)
    return matcher


def test_flow_and_confidence_from_known_matches(matcher):
    aligner = LoFTR(sigma=8.0)
    night, day = torch.rand(2, 2, 3, 64, 96)
    day[1] = 0
    alignment = aligner(night, day)
    assert alignment.aligned.tolist() == [True, False]
    expected = torch.tensor([6.0, -3.0]).view(2, 1, 1).expand(2, 64, 96)
    torch.testing.assert_close(alignment.flow[0], expected, rtol=0, atol=1e-4)
    # 96 matches of score 0.8, one in 64 pixels: in the middle 0.8 * 2 pi 8^2 / 64 = 5.03
    inside = alignment.confidence[0, 0, 24:40, 32:64]
    assert (inside - (1 - torch.exp(torch.tensor(-5.03 / 3)))).abs().max() < 0.02
    assert alignment.confidence[0, 0, -1, -1] < inside.min()
    assert (alignment.flow[1] == 0).all() and (alignment.confidence[1] == 0).all()


def test_matches_of_a_smaller_copy_are_scaled_back(matcher):
    aligner = LoFTR(max_side=64)
    points, flows, scores = aligner.match(*torch.rand(2, 1, 3, 100, 256))
    assert matcher.sizes == [(1, 1, 24, 64)] * 2  # 25 rows, in whole cells
    scale = torch.tensor([4.0, 100 / 24])
    # LoFTR's (0, 0) is half a pixel left of and above the centre of the first pixel
    torch.testing.assert_close(points[0], torch.tensor([-0.5, -0.5]))
    torch.testing.assert_close(points[-1], torch.tensor([56.0, 16.0]) * scale - 0.5)
    torch.testing.assert_close(flows[0], torch.tensor([6.0, -3.0]) * scale)
    assert (scores == 0.8).all()


def test_frozen(matcher):
    aligner = LoFTR().train()
    assert not any(m.training for m in aligner.modules())
    assert not any(p.requires_grad for p in aligner.parameters())


def test_weights_of_a_file(matcher, tmp_path):
    path = tmp_path / 'loftr.ckpt'

    def aligner(path):
        return MODELS.build(
            dict(type='LoFTR', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
        )

    torch.save({'state_dict': {'weight': torch.arange(3.0)}}, path)
    aligner(path).init_weights()
    assert matcher.weight.tolist() == [0, 1, 2]
    for state in ({'other': torch.zeros(2)}, {'weight': torch.full((3,), torch.nan)}):
        torch.save({'state_dict': state}, path)
        with pytest.raises(CheckpointError, match='loftr.ckpt does not fit'):
            aligner(path).init_weights()
    with pytest.raises(FileNotFoundError, match=r'no\.ckpt.*loftr_outdoor.ckpt.*type=Identity'):
        aligner(tmp_path / 'no.ckpt').init_weights()
    with pytest.raises(CheckpointError, match='aligns with trained weights'):
        LoFTR().init_weights()


def test_values_that_make_no_sense(matcher):
    with pytest.raises(ValueError, match='max_side must be >= 8'):
        LoFTR(max_side=4)
    with pytest.raises(ValueError, match='min_matches must be >= 1'):
        LoFTR(min_matches=0)


def test_without_kornia_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'kornia', None)
    monkeypatch.setitem(sys.modules, 'kornia.feature', None)
    with pytest.raises(ConfigError, match=r"needs kornia: .*pip install -e '\.\[matching\]'"):
        LoFTR()


@needs_kornia
def test_kornias_matcher_loads_and_matches(tmp_path):
    """With random weights there are no right matches: all that pass no threshold are taken."""
    torch.manual_seed(0)
    source = loftr._build_matcher()
    path = tmp_path / 'loftr.ckpt'
    torch.save({'state_dict': source.state_dict()}, path)
    torch.manual_seed(1)
    aligner = LoFTR(init_cfg=dict(type='Pretrained', checkpoint=str(path)), min_matches=1)
    aligner.init_weights()
    for name, value in aligner.matcher.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name
    aligner.matcher.coarse_matching.thr = 0.0
    night = torch.rand(1, 3, 72, 104)
    points, flows, scores = aligner.match(night, night)
    assert len(points) > 0 and ((scores > 0) & (scores <= 1)).all()
    assert ((points >= -0.5) & (points <= torch.tensor([103.5, 71.5]))).all()
    assert aligner(night, night).flow.isfinite().all()
