"""Mosaics of windows against upsampling, averaging, cutting and resizing one after the other."""

import pytest
import torch
import torch.nn.functional as F

from dsr_nss.functional.windows import average_windows, sliding_boxes
from dsr_nss.inference import mosaic
from dsr_nss.inference.mosaic import Mosaic, axis_matrices, class_map


def make_windows(boxes, stride, classes=5, batch=2, dtype=torch.float32):
    """Random logits of one cell each `stride` pixels, rounded up."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(-(-(b[1] - b[0]) // stride), -(-(b[3] - b[2]) // stride)) for b in boxes]
    return [torch.randn(batch, classes, *s, generator=generator).to(dtype) for s in sizes]


def plain(windows, boxes, content, size, align_corners=False, mirrored=False, dtype=torch.float32):
    """The definition, step by step."""
    upsampled = [
        F.interpolate(
            w.to(dtype), (b[1] - b[0], b[3] - b[2]), mode='bilinear', align_corners=align_corners
        )
        for w, b in zip(windows, boxes, strict=True)
    ]
    top, bottom, left, right = content
    image = average_windows(upsampled, boxes)[..., top:bottom, left:right]
    image = image.flip(-1) if mirrored else image
    return F.interpolate(image, size, mode='bilinear', align_corners=align_corners)


CASES = [
    # input, window, stride, cell, content, size of the file
    ((97, 131), (48, 64), (32, 40), 4, None, None),  # odd sizes, the last windows shifted
    ((96, 128), (48, 64), (48, 64), 4, None, None),  # without overlap
    ((97, 131), (48, 64), (32, 40), 8, (0, 95, 1, 120), None),  # padding cut off
    ((97, 131), (50, 61), (50, 20), 7, None, (200, 77)),  # larger one way, smaller the other
    ((30, 41), (64, 64), (32, 32), 4, None, None),  # smaller than a window
    ((30, 90), (64, 64), (32, 32), 4, None, (31, 91)),  # smaller one way
    ((40, 56), (40, 56), (40, 56), 1, (0, 33, 0, 50), None),  # logits at input size
    ((40, 56), (40, 56), (40, 56), 1, (2, 33, 3, 50), (62, 94)),
    ((64, 64), (1, 3), (1, 2), 1, None, None),
]


@pytest.mark.parametrize(('image', 'window', 'stride', 'cell', 'content', 'size'), CASES)
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('mirrored', [False, True])
def test_is_the_plain_path(
    monkeypatch, image, window, stride, cell, content, size, align_corners, mirrored
):
    monkeypatch.setitem(mosaic.STRIP_BYTES, 'cpu', 2 * 5 * 4 * 100 * 7)  # several strips
    boxes = sliding_boxes(image, window, stride)
    windows = make_windows(boxes, cell)
    content = content or (0, image[0], 0, image[1])
    size = size or (content[1] - content[0], content[3] - content[2])
    placed = dict(content=content, size=size, align_corners=align_corners, mirrored=mirrored)
    made = Mosaic(windows, boxes, **placed)
    expected = plain(windows, boxes, **placed)
    torch.testing.assert_close(made.whole(), expected, rtol=0, atol=1e-5)
    strips = list(made.strips())
    assert len(strips) > 1
    assert [rows.start for rows, _ in strips] == [0, *(rows.stop for rows, _ in strips)][:-1]
    assert strips[-1][0].stop == size[0]


def test_weights_by_hand():
    """Two windows of 4 pixels and 2 cells, overlapping by 2 pixels."""
    first, second = axis_matrices([(0, 4), (2, 6)], 2, (0, 6), 6, False, False)
    up = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    zero, half = torch.zeros(2, 2), 0.5
    assert torch.equal(first, torch.cat([up[:2], half * up[2:], zero]))
    assert torch.equal(second, torch.cat([zero, half * up[:2], up[2:]]))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_sums_are_float32_at_least(dtype):
    boxes = sliding_boxes((40, 40), (24, 24), (8, 8))
    windows = make_windows(boxes, 4, dtype=dtype)
    placed = dict(content=(0, 40, 0, 40), size=(40, 40))
    with torch.autocast('cpu', torch.bfloat16):
        made = Mosaic(windows, boxes, **placed).whole()
    assert made.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = plain(windows, boxes, **placed, dtype=torch.float64)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=1e-5)


def test_precision_may_be_set_by_torchs_newer_switches():
    """torch refuses to read the older ones then."""
    boxes = sliding_boxes((40, 40), (24, 24), (8, 8))
    windows = make_windows(boxes, 4)
    placed = dict(content=(0, 40, 0, 40), size=(40, 40))
    expected = Mosaic(windows, boxes, **placed).whole()
    switch = torch.backends.cuda.matmul
    before = switch.fp32_precision
    switch.fp32_precision = 'tf32'
    try:
        assert torch.equal(Mosaic(windows, boxes, **placed).whole(), expected)
        assert switch.fp32_precision == 'tf32'
    finally:
        switch.fp32_precision = before


def test_precision_switches_do_not_reach_it():
    boxes = sliding_boxes((40, 40), (24, 24), (8, 8))
    windows = make_windows(boxes, 4)
    placed = dict(content=(0, 40, 0, 40), size=(40, 40))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('medium')
    try:
        made = Mosaic(windows, boxes, **placed).whole()
        assert torch.get_float32_matmul_precision() == 'medium'
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(made, Mosaic(windows, boxes, **placed).whole())


def test_windows_must_be_a_grid():
    boxes = [(0, 4, 0, 4), (0, 4, 2, 6), (2, 6, 0, 4)]
    with pytest.raises(ValueError, match='no grid'):
        Mosaic(make_windows(boxes, 1), boxes, content=(0, 6, 0, 6), size=(6, 6))


@pytest.mark.parametrize('classes', [1, 2, 19, 255])
def test_class_map_is_argmax(classes):
    logits = torch.randn(2, classes, 9, 11, generator=torch.Generator().manual_seed(0))
    logits = (3 * logits).round()  # with equal values: the first counts
    ids = class_map(logits)
    assert ids.dtype == torch.uint8
    assert torch.equal(ids.long(), logits.argmax(dim=1))
    assert torch.equal(class_map(logits.transpose(2, 3)), ids.transpose(1, 2))
