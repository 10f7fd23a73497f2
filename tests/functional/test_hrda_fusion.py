"""Fusion of context and detail: placement of windows, equations, gradients."""

import pytest
import torch
import torch.nn.functional as F

from dsr_nss.functional.hrda_fusion import (
    detail_boxes,
    draw_detail_box,
    fuse_train,
    fuse_windows,
    half_size,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def random(*shape):
    return torch.rand(*shape, dtype=torch.float64)


def ramp(box, cells):
    """Logits of a window that equal the pixel coordinates of their cells' centres: (y, x)."""
    top, bottom, left, right = box
    y = top + (torch.arange(cells[0], dtype=torch.float64) + 0.5) * (bottom - top) / cells[0]
    x = left + (torch.arange(cells[1], dtype=torch.float64) + 0.5) * (right - left) / cells[1]
    return torch.stack(torch.meshgrid(y, x, indexing='ij'))[None]


def test_boxes_lie_on_the_grid_and_reach_both_ends():
    boxes = [draw_detail_box((64, 96)) for _ in range(300)]
    assert {box[0] for box in boxes} == {0, 8, 16, 24, 32}
    assert {box[2] for box in boxes} == {0, 8, 16, 24, 32, 40, 48}
    assert {(box[1] - box[0], box[3] - box[2]) for box in boxes} == {(32, 48)}


@pytest.mark.parametrize('size, ratio, count', [
    ((256, 512), 0.5, 9), ((256, 512), 1.0, 4), ((135, 241), 0.5, 9), ((135, 241), 1.0, 4),
    ((1080, 1080), 0.5, 9), ((270, 270), 0.5, 9),
])  # fmt: skip
def test_number_of_detail_boxes(size, ratio, count):
    boxes = detail_boxes(size, ratio)
    assert len(boxes) == count
    assert max(box[1] for box in boxes) == size[0] and max(box[3] for box in boxes) == size[1]


@pytest.mark.parametrize('ratio', [0, 1.5])
def test_bad_ratio(ratio):
    with pytest.raises(ValueError, match='detail windows'):
        detail_boxes((64, 64), ratio)


@pytest.mark.parametrize('size', [(64, 96), (216, 216), (1080, 1080), (67, 95), (106, 130)])
def test_windows_stand_where_they_were_cut_out(size):
    """A linear ramp over the image survives cutting, placing and averaging.

    Only the outermost half cell of a window has nothing to interpolate with; there a value may be
    off by that half cell.
    """
    cells = tuple(-(-half // 4) for half in half_size(size))
    boxes = detail_boxes(size)
    windows = torch.cat([ramp(box, cells) for box in boxes])
    zeros = torch.zeros(1, 2, *cells, dtype=torch.float64)
    fused = fuse_windows(zeros, zeros + 1, windows, boxes, size)
    expected = ramp((0, size[0], 0, size[1]), (2 * cells[0], 2 * cells[1]))
    error = (fused - expected).abs()
    pixels_a_cell = max(size[i] / (2 * cells[i]) for i in (0, 1))
    assert error.max() <= 0.55 * pixels_a_cell
    # Rows and columns on a window's rim are few; everywhere else the ramp is exact.
    assert (error < 1e-9).double().mean() > (0.8 if min(size) < 100 else 0.9)
    if all(length % 16 == 0 for length in size):
        assert error.max() < 1e-9


def test_truncated_windows_are_half_a_cell_off():
    size, cells = (216, 216), (27, 27)
    boxes = detail_boxes(size)
    windows = torch.cat([ramp(box, cells) for box in boxes])
    zeros = torch.zeros(1, 2, *cells, dtype=torch.float64)
    fused = fuse_windows(zeros, zeros + 1, windows, boxes, size, truncate=True)
    error = (fused - ramp((0, 216, 0, 216), (54, 54))).abs()
    # Half of the windows there start at 54 = 13.5 cells and are off by 2 pixels, half a cell.
    assert error[0, 0, 20, 27] == 1


def test_windows_that_do_not_truncate_to_whole_ones_are_resampled():
    """Of 67 pixels, some windows truncate to 10 cells and others to 9, which is what they have."""
    size = (67, 67)
    context, attention, windows = random(1, 2, 9, 9), random(1, 2, 9, 9), random(9, 2, 9, 9)
    parts = (context, attention, windows, detail_boxes(size), size)
    assert torch.equal(fuse_windows(*parts, truncate=True), fuse_windows(*parts))


def test_inference_equation():
    """9 aligned windows, written out."""
    size, boxes = (64, 64), detail_boxes((64, 64))
    context, attention = random(2, 3, 8, 8), random(2, 3, 8, 8)
    windows = random(18, 3, 8, 8)
    total, count = torch.zeros(2, 3, 16, 16).double(), torch.zeros(16, 16).double()
    for i, (top, bottom, left, right) in enumerate(boxes):
        place = (..., slice(top // 4, bottom // 4), slice(left // 4, right // 4))
        total[place] += windows[2 * i : 2 * i + 2]
        count[place] += 1

    def up(x):
        return F.interpolate(x, (16, 16), mode='bilinear')

    expected = up(attention) * (total / count) + up((1 - attention) * context)
    torch.testing.assert_close(fuse_windows(context, attention, windows, boxes, size), expected)


def test_training_equation():
    size, box = (64, 96), (24, 56, 8, 56)
    context, attention, detail = random(2, 3, 8, 12), random(2, 3, 8, 12), random(2, 3, 8, 12)
    masked = attention.clone()
    masked[:, :, :3] = 0
    masked[:, :, 7:] = 0
    masked[..., :1] = 0
    masked[..., 7:] = 0
    canvas = F.pad(detail, (2, 10, 6, 2))

    def up(x):
        return F.interpolate(x, (16, 24), mode='bilinear')

    expected = up(masked) * canvas + up((1 - masked) * context)
    torch.testing.assert_close(fuse_train(context, attention, detail, box, size), expected)


def test_gradients():
    shape = (1, 2, 2, 3)
    inputs = [random(*shape).requires_grad_() for _ in range(3)]
    torch.autograd.gradcheck(lambda a, b, c: fuse_train(a, b, c, (8, 24, 0, 24), (32, 48)), inputs)
    # 17 x 27 pixels: windows off the grid, so the resampling takes part.
    boxes = detail_boxes((17, 27))
    windows = random(len(boxes), 2, 2, 3).requires_grad_()
    torch.autograd.gradcheck(
        lambda a, b, c: fuse_windows(a, b, c, boxes, (17, 27)), [*inputs[:2], windows]
    )


def test_half_precision_is_fused_in_float32():
    context = torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16)
    boxes = detail_boxes((32, 32))
    windows = torch.full((9, 1, 4, 4), 1 / 3, dtype=torch.bfloat16)
    fused = fuse_windows(context, context + 1, windows, boxes, (32, 32))
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused, windows.float().mean().expand_as(fused))
