"""The head: units of flow and log-variance, what its decoders see, known flows, precision."""

import math

import pytest
import torch
from torch import nn

from dsr_nss.functional.warp import pixel_grid, sample_along
from dsr_nss.matching.head import COARSE, COPY, MIDDLE, UAWarpCHead, ViewFeatures
from dsr_nss.matching.weights import convert_uawarpc

SIZES = [(256, 512), (180, 300), (97, 131)]


class Recorder(nn.Module):
    """In a decoder's place: keeps its input, returns a fixed flow."""

    def __init__(self, flow=None):
        super().__init__()
        self.flow = flow

    def forward(self, x):
        self.seen = x
        flow = self.flow if self.flow is not None else torch.zeros_like(x[:, :2])
        return flow.expand(len(x), 2, *x.shape[2:]), x.new_zeros(len(x), 32, *x.shape[2:])


class Constant(nn.Module):
    """In the place of a log-variance module."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, correlation, features, coarser=None):
        self.coarser = coarser
        return torch.full_like(correlation[:, :1], self.value)


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x[:, :2])


def pyramid_sizes(size):
    return [(size[0] // 4, size[1] // 4), (size[0] // 8, size[1] // 8), (MIDDLE, MIDDLE),
            (COARSE, COARSE)]  # fmt: skip


def views(size, shift, seed=0):
    """Reference features, and those of a target that shows them moved by `shift` pixels."""
    generator = torch.Generator().manual_seed(seed)
    target, reference = [], []
    for (h, w), channels in zip(pyramid_sizes(size), (24, 40, 40, 56), strict=True):
        day = torch.randn(2, channels, h, w, generator=generator)
        flow = torch.tensor([shift[0] * w / size[1], shift[1] * h / size[0]]).view(1, 2, 1, 1)
        target.append(sample_along(day, flow.expand(2, 2, h, w)))
        reference.append(day)
    return ViewFeatures(*target), ViewFeatures(*reference)


def recording_head(size, shift):
    """Its coarsest level knows the flow, the others add nothing to it."""
    head = UAWarpCHead().eval()
    in_coarse = torch.tensor([shift[0] * COARSE / size[1], shift[1] * COARSE / size[0]])
    position = pixel_grid(COARSE, COARSE, torch.zeros(())) + in_coarse.view(1, 2, 1, 1)
    head.decoder4 = Recorder(position * 2 / (COARSE - 1) - 1)
    for level in (3, 2, 1):
        setattr(head, f'decoder{level}', Recorder())
        setattr(head, f'log_variance{level}', Constant(float(level)))
    head.log_variance4 = Constant(0.0)
    head.refinement3 = head.refinement1 = Zero()
    return head


@pytest.mark.parametrize('size', SIZES)
def test_every_level_looks_where_the_coarser_flow_points(size):
    """With the true flow from above, the correlation peaks in the middle of the neighbourhood."""
    shift = (size[1] / 10, -size[0] / 8)
    head = recording_head(size, shift)
    with torch.no_grad():
        estimates = head(*views(size, shift), size)
    for estimate in estimates:
        assert estimate.flow.dtype == torch.float32
        error = estimate.flow - torch.tensor(shift).view(1, 2, 1, 1)
        assert error.abs().max() < 1e-3, 'pixels of the full image at all levels'
    for level in (3, 2, 1):
        correlation = getattr(head, f'decoder{level}').seen[:, :81]
        _, _, h, w = correlation.shape
        best = correlation.argmax(dim=1)[:, h // 4 : -h // 4, w // 4 : -w // 4]
        assert (best == 40).float().mean() > 0.99, level


def test_what_decoders_read_besides_the_correlation():
    size, shift = (180, 300), (30.0, -20.0)
    head = recording_head(size, shift)
    with torch.no_grad():
        head.reduce.weight.zero_()
        head.reduce.bias.copy_(torch.tensor([5.0, 6.0]))
        head(*views(size, shift), size)
    in_copy = [shift[0] * COPY / size[1], shift[1] * COPY / size[0]]
    from_coarse = 2 * math.log(COPY / COARSE)  # level 4 says 0 in squared cells
    to_full = 2 * math.log(math.hypot(*size) / math.hypot(COPY, COPY))
    expected = {  # flow x, flow y, reduced features, log-variance
        3: [*in_copy, from_coarse],
        2: [*shift, 3.0 + to_full],
        1: [*shift, 5.0, 6.0, 2.0],
    }
    for level, values in expected.items():
        seen = getattr(head, f'decoder{level}').seen
        assert seen.shape[1] == 81 + len(values)
        mean = seen[:, 81:].mean(dim=(0, 2, 3)).tolist()
        assert mean == pytest.approx(values, abs=1e-3), level
        coarser = getattr(head, f'log_variance{level}').coarser.mean(dim=(0, 2, 3)).tolist()
        assert coarser == pytest.approx([values[-1], *values[:2]], abs=1e-3), level


def test_log_variances_are_in_pixels_of_the_full_image():
    size = (180, 300)
    head = recording_head(size, (1.0, 1.0))
    with torch.no_grad():
        estimates = head(*views(size, (1.0, 1.0)), size)
    to_full = 2 * math.log(math.hypot(*size) / math.hypot(COPY, COPY))
    expected = [2 * math.log(COPY / COARSE) + to_full, 3.0 + to_full, 2.0, 1.0]
    for estimate, value in zip(estimates, expected, strict=True):
        assert estimate.log_variance.mean().item() == pytest.approx(value, abs=1e-4)


@pytest.fixture
def crafted(published):
    """Weights whose coarsest level reads the best match off the correlation."""
    head = UAWarpCHead().eval().requires_grad_(False)
    state_dict = convert_uawarpc(published.fill.craft_alignment(published.state_dict))
    named = {k.removeprefix('head.'): v for k, v in state_dict.items() if k.startswith('head.')}
    head.load_state_dict(named)
    return head


@pytest.mark.parametrize('size, shift', [((256, 512), (64, 32)), ((512, 256), (16, 64))])
def test_known_flow_is_found(published, crafted, size, shift):
    target, day, target_copy, day_copy = published.fill.shifted_pyramids(1, size, shift)
    estimates = crafted(ViewFeatures(*target, *target_copy), ViewFeatures(*day, *day_copy), size)
    for estimate in estimates:
        h, w = estimate.flow.shape[2:]
        inside = estimate.flow[:, :, h // 8 : h - h // 4, w // 8 : w - w // 4]
        error = (inside - torch.tensor(shift).view(1, 2, 1, 1)).norm(dim=1)
        # the coarse cell is 16 to 32 pixels wide, and the later levels add small random flows
        assert error.median() < 5, estimate.flow.shape


def test_autocast_does_not_reach_the_head(published, crafted):
    size = (128, 256)
    target, day, target_copy, day_copy = published.fill.shifted_pyramids(1, size, (32, 16))
    pair = ViewFeatures(*target, *target_copy), ViewFeatures(*day, *day_copy)
    expected = crafted(*pair, size)
    with torch.autocast('cpu', torch.bfloat16):
        same = crafted(*pair, size)
        halved = crafted(*[ViewFeatures(*[f.bfloat16() for f in view]) for view in pair], size)
    for a, b, c in zip(expected, same, halved, strict=True):
        assert torch.equal(a.flow, b.flow) and torch.equal(a.log_variance, b.log_variance)
        # features that were computed in bfloat16, which an aligner under autocast gets
        assert c.flow.dtype == torch.float32
        assert (a.flow - c.flow).norm(dim=1).mean() < 0.5
        assert (a.log_variance - c.log_variance).abs().max() < 0.05
