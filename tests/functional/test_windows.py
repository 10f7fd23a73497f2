"""Sliding windows: placement and averages."""

import pytest
import torch

from dsr_nss.functional.windows import average_windows, crop, sliding_boxes, stack_windows


def test_published_windows_of_a_full_hd_image():
    boxes = sliding_boxes((1080, 1920), (1080, 1080), (420, 420))
    assert boxes == [(0, 1080, 0, 1080), (0, 1080, 420, 1500), (0, 1080, 840, 1920)]


@pytest.mark.parametrize('size', [(7, 9), (5, 5), (6, 21), (3, 30)])
@pytest.mark.parametrize('stride', [(1, 1), (2, 3), (5, 5)])
def test_boxes_cover_the_image_and_stay_inside(size, stride):
    covered = torch.zeros(size)
    boxes = sliding_boxes(size, (5, 5), stride)
    for top, bottom, left, right in boxes:
        assert 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
        assert (bottom - top, right - left) == (min(5, size[0]), min(5, size[1]))
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    assert len(set(boxes)) == len(boxes)


@pytest.mark.parametrize('stride', [(0, 1), (6, 1), (1, 6)])
def test_strides_that_leave_gaps(stride):
    with pytest.raises(ValueError, match='stride'):
        sliding_boxes((20, 20), (5, 5), stride)


def test_average_of_windows_restores_the_image():
    image = torch.randn(2, 3, 23, 31, dtype=torch.float64)
    boxes = sliding_boxes((23, 31), (10, 12), (4, 5))
    windows = stack_windows(image, boxes).chunk(len(boxes))
    assert torch.equal(windows[3], crop(image, boxes[3]))
    torch.testing.assert_close(average_windows(windows, boxes), image)


def test_average_counts_overlaps():
    boxes = [(0, 2, 0, 2), (0, 2, 1, 3)]
    ones = torch.ones(1, 1, 2, 2)
    average = average_windows([ones, 3 * ones], boxes)
    assert average[0, 0].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_average_of_half_precision_is_float32():
    boxes = [(0, 1, 0, 1)] * 300
    windows = [torch.full((1, 1, 1, 1), 1.0, dtype=torch.bfloat16)] * 300
    average = average_windows(windows, boxes)
    assert average.dtype == torch.float32
    assert average.item() == 1  # a bfloat16 sum would stop at 256
