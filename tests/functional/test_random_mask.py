"""Block masks of masked image consistency."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.random_mask import block_grid, block_mask, kept_cells
from tests.reference import random_mask as reference


@pytest.mark.parametrize(
    'size, block', [((64, 96), 16), ((50, 75), 16), ((24, 40), 16), ((9, 5), 4)]
)
@pytest.mark.parametrize('ratio', [0.0, 0.3, 0.7, 1.0])
def test_mask_equals_the_reference_for_given_noise(size, block, ratio):
    grid = block_grid(size, block)
    assert grid == reference.block_grid(size, block)
    noise = torch.rand(3, 1, *grid)
    noise[0, 0, 0, 0] = 0.0
    expected = reference.block_mask(noise.numpy(), size, np.float32(ratio))
    assert np.array_equal(block_mask(noise, size, ratio).numpy(), expected)


def test_grid_is_rounded_and_never_empty():
    assert block_grid((1024, 512), 64) == (16, 8)
    assert block_grid((1120, 1120), 64) == (18, 18)  # 17.5, to the even one
    assert block_grid((1056, 1088), 64) == (16, 17)  # 16.5 and 17
    assert block_grid((10, 200), 64) == (1, 3)


def test_share_of_hidden_cells_is_the_ratio():
    noise = torch.rand(400, 400, generator=torch.Generator().manual_seed(0))
    assert abs(kept_cells(noise, 0.7).float().mean() - 0.3) < 0.005  # 4 standard deviations
    assert kept_cells(noise, 0.0).all() and not kept_cells(noise, 1.0).any()
