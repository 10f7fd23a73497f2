"""EXIF's orientation in all its forms."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from dsr_nss.datasets.orientation import orientation, swaps_sides, upright

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def tags(*entries, order='<'):
    """EXIF data with (tag, type, value) of one number each."""
    formats = {1: 'B3x', 3: 'H2x', 4: 'I'}
    body = b''.join(
        struct.pack(f'{order}HHI{formats[kind]}', tag, kind, 1, value)
        for tag, kind, value in entries
    )
    mark = b'II' if order == '<' else b'MM'
    return mark + struct.pack(f'{order}HIH', 42, 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize('turn', range(1, 9))
def test_upright_as_pillow_turns(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, 'PNG', exif=exif)
    assert orientation(exif.tobytes().removeprefix(b'Exif\0\0')) == turn
    expected = np.array(ImageOps.exif_transpose(Image.open(buffer)))
    result = upright(PIXELS, turn)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(upright(PIXELS[..., 0], turn), expected[..., 0])
    assert swaps_sides(turn) == (result.shape[:2] == (3, 2))


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('kind', [1, 3, 4])
def test_byte_orders_and_types(order, kind):
    assert orientation(tags((0x0100, 4, 9), (0x0112, kind, 6), order=order)) == 6


def test_nothing_is_said():
    assert orientation(None) == 1
    assert orientation(tags((0x0100, 4, 9))) == 1
    assert orientation(tags()) == 1
    assert orientation(b'') == orientation(b'JFXX' + bytes(30)) == 1
    assert [orientation(tags((0x0112, 3, value))) for value in (0, 9, 65535)] == [1, 1, 1]


@pytest.mark.parametrize('data', [b'II', tags((0x0112, 3, 6))[:12]])
def test_data_that_cannot_be_read(data):
    with pytest.raises(ValueError, match='EXIF data'):
        orientation(data)
