"""The sampler of warps: reproducible, within its ranges, of the kinds it is told."""

import pytest
import torch
from mmseg.registry import MODELS

SIZE = (40, 60)


def sampler(**fields):
    return MODELS.build(dict(type='SyntheticWarps', **fields))


def flows(seed=0, batch=8, **fields):
    generator = torch.Generator().manual_seed(seed)
    return sampler(**fields)(batch, SIZE, generator=generator)


def curvature(flow):
    """Largest second difference along the rows of each sample, in pixels."""
    return (flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]).abs().flatten(1).amax(dim=1)


def test_a_seed_gives_the_same_warps_on_its_own_and_from_the_global_generator():
    first = flows(elastic_probability=0.5)
    assert first.shape == (8, 2, *SIZE) and first.dtype == torch.float32
    assert torch.equal(first, flows(elastic_probability=0.5))
    assert not torch.equal(first, flows(seed=1, elastic_probability=0.5))
    torch.manual_seed(0)
    assert torch.equal(first, sampler(elastic_probability=0.5)(8, SIZE))
    assert len({flow.sum().item() for flow in first}) == 8


def test_homographies_move_corners_at_most_as_far_as_told():
    flow = flows(batch=64, kinds=['homography'], corner_shift=0.3)
    corners = flow[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].abs().amax(dim=(0, 2))
    limit = 0.3 * torch.tensor([59 / 2, 39 / 2])
    assert (corners <= limit + 1e-4).all() and (corners > 0.9 * limit).all()


def test_each_kind_can_be_drawn_alone_and_zero_ranges_are_the_identity():
    still = dict(
        corner_shift=0, control_shift=0, affine_control_shift=0, rotation=0, scale=0, translation=0
    )
    for kind in ('homography', 'thin_plate', 'affine_thin_plate'):
        assert flows(kinds=[kind], **still).abs().max() < 1e-4
    # what belongs to the other kinds does not act
    turned = {**still, 'rotation': 0.3}
    assert flows(kinds=['homography', 'thin_plate'], **turned).abs().max() < 1e-4
    assert flows(kinds=['affine_thin_plate'], **turned).abs().amax(dim=(1, 2, 3)).min() > 0.05
    moved = {**still, 'affine_control_shift': 0.2}
    assert flows(kinds=['thin_plate'], **moved).abs().max() < 1e-4
    assert flows(kinds=['affine_thin_plate'], **moved).abs().max() > 1


def test_all_kinds_are_drawn():
    """A third of the samples stays where only one kind acts, and so does the mix."""
    flow = flows(batch=300, control_shift=0, affine_control_shift=0, rotation=0, scale=0,
                 translation=0)  # fmt: skip
    share = (flow.abs().amax(dim=(1, 2, 3)) > 0.01).float().mean().item()
    assert abs(share - 1 / 3) < 0.08


def test_elastic_deformations_are_local_and_as_frequent_as_told():
    still = dict(kinds=['homography'], corner_shift=0.0)
    flow = flows(batch=100, elastic_probability=0.3, **still)
    moved = flow.abs().amax(dim=(1, 2, 3))
    assert abs((moved > 0.01).float().mean().item() - 0.3) < 0.12
    border = torch.cat([flow[..., 0, :], flow[..., -1, :]], dim=-1).abs().amax()
    assert border < 0.1 < moved.max()
    assert not flows(elastic_probability=0.0, **still).abs().gt(1e-4).any()


def test_elastic_deformations_come_on_top_of_the_global_warp():
    plain = flows(batch=20, kinds=['thin_plate'])
    elastic = flows(batch=20, kinds=['thin_plate'], elastic_probability=1.0)
    assert curvature(elastic).median() > 2 * curvature(plain).median()


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(kinds=['shear']), "kinds.0 must be one of 'homography'"),
        (dict(kinds=[]), 'kinds must be some of'),
        (dict(corner_shift=0.5), 'corner_shift must lie in'),
        (dict(scale=1.0), 'scale must lie in'),
        (dict(elastic_probability=1.5), 'elastic_probability must lie in'),
    ],
)
def test_fields_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        sampler(**fields)
