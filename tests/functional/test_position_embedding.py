"""Position embeddings on another grid, and maps of padded images brought back to the image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsr_nss.functional.position_embedding import covering, hub_positions
from tests.reference import position_embedding as reference


@pytest.mark.parametrize('grid', [(80, 80), (37, 37), (16, 33), (74, 37), (5, 1)])
def test_hub_positions_equal_the_reference(grid):
    table = torch.randn(1, 37 * 37, 3)
    expected = reference.hub_positions(table.numpy(), grid)
    found = hub_positions(table, grid)
    assert found.shape == expected.shape and found.dtype == table.dtype
    # float32 places a cell of the largest grid to 1e-5 of a cell; the table is white noise
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
    found = hub_positions(table.double(), grid)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_half_precision_is_resampled_in_single():
    table = torch.randn(1, 16, 4)
    found = hub_positions(table.bfloat16(), (7, 5))
    expected = hub_positions(table.bfloat16().float(), (7, 5)).bfloat16()
    assert torch.equal(found, expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_a_map_in_half_precision_is_moved_in_single(dtype):
    """Places on a fine grid are not told apart by half precision: errors of half a cell."""
    feature_map = torch.randn(1, 4, 64, 64).to(dtype)
    found = covering(feature_map, (1024, 1024), (1020, 1010))
    expected = covering(feature_map.double(), (1024, 1024), (1020, 1010))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=0, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize('size', [(64, 96), (60, 90), (49, 81), (17, 33), (3, 16)])
def test_a_map_of_a_padded_image_lies_on_the_image(size):
    """What a cell shows, its own place in the image, it shows after the cropping and resizing."""
    padded = tuple(-(-side // 16) * 16 for side in size)
    rows, columns = (side // 16 for side in padded)
    y = (torch.arange(rows).double() + 0.5) * 16
    x = (torch.arange(columns).double() + 0.5) * 16
    ramp = torch.stack(torch.meshgrid(y, x, indexing='ij'))[None]
    found = covering(ramp, padded, size)
    assert found.shape == ramp.shape
    for axis, (side, cells) in enumerate(zip(size, (rows, columns), strict=True)):
        places = (torch.arange(cells).double() + 0.5) * side / cells
        line = found[0, axis].select(1 - axis, 0)
        inside = places >= 8  # the centre of the first cell: before it nothing is known
        torch.testing.assert_close(line[inside], places[inside])


def test_an_image_that_fits_the_grid_keeps_its_map():
    feature_map = torch.randn(1, 4, 3, 5)
    assert covering(feature_map, (48, 80), (48, 80)) is feature_map
    assert not torch.equal(covering(feature_map, (48, 80), (48, 70)), feature_map)


def test_cropping_a_half_equals_enlarging_twice():
    feature_map = torch.randn(2, 3, 4, 6, dtype=torch.double)
    enlarged = F.interpolate(feature_map, scale_factor=2, mode='bilinear', align_corners=False)
    torch.testing.assert_close(covering(feature_map, (64, 96), (32, 48)), enlarged[..., :4, :6])
