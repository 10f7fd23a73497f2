"""Reading images and labels, good and bad."""

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dsr_nss.datasets import DataError, images
from dsr_nss.datasets.images import (
    check_label_ids,
    count_ids,
    image_size,
    read_image,
    read_label,
    size_by_start,
)
from dsr_nss.datasets.pixels import resize_image


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_is_read_as_rgb(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), rgb)


def test_jpeg_is_read_as_rgb(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / 'a.jpg', quality=95)
    assert np.abs(read_image(tmp_path / 'a.jpg').astype(int) - red).max() < 5


def test_grey_image_becomes_three_equal_channels(tmp_path, rgb):
    Image.fromarray(rgb[..., 0]).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), np.stack([rgb[..., 0]] * 3, -1))


def test_label_is_read_unchanged_with_and_without_palette(tmp_path):
    label = (np.arange(600).reshape(20, 30) % 19).astype(np.uint8)
    label[0] = 255
    Image.fromarray(label).save(tmp_path / 'grey.png')
    palette = Image.fromarray(label, mode='P')
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / 'palette.png')
    for name in ('grey.png', 'palette.png'):
        result = read_label(tmp_path / name)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, label)


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('keep', [0.5, 0.95])
def test_truncated_files(tmp_path, rgb, suffix, keep):
    path = tmp_path / f'night.{suffix}'
    Image.fromarray(rgb).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError, match=rf'night\.{suffix}: the file is truncated'):
        read_image(path)


@pytest.mark.parametrize('damage', ['seven components', 'an empty scan header'])
def test_a_jpeg_whose_header_breaks_off(tmp_path, rgb, damage):
    path = tmp_path / 'night.jpg'
    Image.fromarray(rgb).save(path)
    data = bytearray(path.read_bytes())
    if damage == 'seven components':
        data[data.index(b'\xff\xc0') + 9] = 7
    else:
        data[data.index(b'\xff\xda') + 2 :] = b'\0\2' + bytes(100)
    path.write_bytes(data)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=r'night\.jpg'):
            read(path)


def test_truncated_label(tmp_path, rgb):
    path = tmp_path / 'label.png'
    Image.fromarray(rgb[..., 0]).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r'label\.png: the file is truncated'):
        read_label(path)


def test_16_bit_files(tmp_path):
    path = tmp_path / 'deep.png'
    cv2.imwrite(str(path), np.full((8, 8, 3), 3000, np.uint16))
    with pytest.raises(DataError, match=r'deep\.png: a 16-bit PNG'):
        read_image(path)
    cv2.imwrite(str(path), np.full((8, 8), 13, np.uint16))
    with pytest.raises(DataError, match=r'deep\.png: a 16-bit PNG; a label has 8 bits'):
        read_label(path)


def test_alpha_channel(tmp_path, rgb):
    path = tmp_path / 'clear.png'
    Image.fromarray(np.dstack([rgb, rgb[..., :1]]), mode='RGBA').save(path)
    with pytest.raises(DataError, match=r'clear\.png: a PNG with an alpha channel'):
        read_image(path)
    with pytest.raises(DataError, match=r'clear\.png: a PNG with colours, not a label'):
        read_label(path)


def test_colour_label_and_jpeg_label(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / 'a.png')
    Image.fromarray(rgb).save(tmp_path / 'a.jpg')
    with pytest.raises(DataError, match='colours'):
        read_label(tmp_path / 'a.png')
    with pytest.raises(DataError, match='must be a PNG'):
        read_label(tmp_path / 'a.jpg')


def test_other_content(tmp_path):
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'page.png').write_text('<html>login</html>')
    with pytest.raises(DataError, match=r'empty\.png: the file is empty'):
        read_image(tmp_path / 'empty.png')
    with pytest.raises(DataError, match=r'page\.png: neither a PNG nor a JPEG'):
        read_image(tmp_path / 'page.png')
    with pytest.raises(FileNotFoundError, match=r'gone\.png: no such file'):
        read_image(tmp_path / 'gone.png')


def test_count_ids_and_check(rng):
    label = rng.choice([0, 3, 255], (50, 60)).astype(np.uint8)
    counts = count_ids(label)
    np.testing.assert_array_equal(counts, np.bincount(label.ravel(), minlength=256))
    np.testing.assert_array_equal(
        count_ids(label[5:20, 7:9]), np.bincount(label[5:20, 7:9].ravel(), minlength=256)
    )
    check_label_ids(counts, 'a.png', 4)
    with pytest.raises(DataError, match=r'a\.png: the label has the ids \[3\]; valid are 0\.\.2'):
        check_label_ids(counts, 'a.png', 3)


def test_damaged_in_the_middle(tmp_path, rgb):
    path = tmp_path / 'a.png'
    Image.fromarray(rgb).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r'a\.png: cannot be decoded'):
        read_image(path)


def test_a_shrunken_image_is_averaged(rgb):
    small = resize_image(rgb, (4, 6))
    averages = rgb.reshape(4, 5, 6, 5, 3).mean((1, 3))
    np.testing.assert_allclose(small, averages, atol=0.5 + 1e-6)
    assert resize_image(rgb, (20, 30)) is rgb
    stripes = np.repeat(np.uint8([[[0], [100]]]), 3, axis=2)  # 1x2: black, grey
    np.testing.assert_array_equal(resize_image(stripes, (1, 4))[0, :, 0], [0, 25, 75, 100])


def test_a_jpeg_with_something_behind_it(tmp_path):
    """As phones append a video to a picture; the picture itself must be whole."""
    path = tmp_path / 'a.jpg'
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    thumbnail = io.BytesIO()
    Image.fromarray(noise[:8, :8]).save(thumbnail, 'JPEG')
    tags = b'Exif\x00\x00' + thumbnail.getvalue()  # has an end marker of its own
    for progressive in (False, True):
        Image.fromarray(noise).save(path, exif=tags, progressive=progressive, quality=95)
        whole, expected = path.read_bytes(), read_image(path)
        path.write_bytes(whole + bytes(5000))
        assert np.array_equal(read_image(path), expected)
        for kept in (len(whole) // 2, len(whole) - 2):
            path.write_bytes(whole[:kept] + bytes(5000))
            with pytest.raises(DataError, match='a.jpg: .*(the file is truncated|hole of zeros)'):
                read_image(path)


def huge_png(size: int) -> bytes:
    """A PNG of `size` x `size` black pixels; the first rows are there."""
    header = struct.pack('>IIBBBBB', size, size, 8, 0, 0, 0, 0)
    content = zlib.compress(bytes(4 * (size + 1)))
    parts = (b'IHDR', header), (b'IDAT', content), (b'IEND', b'')
    body = b''.join(
        struct.pack('>I', len(part)) + kind + part + struct.pack('>I', zlib.crc32(kind + part))
        for kind, part in parts
    )
    return b'\x89PNG\r\n\x1a\n' + body


def test_more_pixels_than_memory_should_hold(tmp_path):
    path = tmp_path / 'huge.png'
    path.write_bytes(huge_png(24_500))  # 600 megapixels
    for read in (read_image, read_label, image_size, size_by_start):
        with pytest.raises(DataError, match=r'huge\.png: 24500x24500 pixels .*scale it down'):
            read(path)


@pytest.mark.parametrize('kind', ['pipe', 'socket', 'device', 'loop', 'folder'])
def test_what_only_looks_like_a_file(tmp_path, monkeypatch, kind):
    """None of them may block: a pipe would wait for a writer."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = Path('odd.png')
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'socket':
        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'loop':
        path.symlink_to(path)
    else:
        path.mkdir()
    expected = {'loop': 'Too many levels of symbolic links'}.get(kind, f'a {kind}, not a file')
    for read in (read_image, read_label, image_size, size_by_start):
        with pytest.raises(DataError, match=rf'odd\.png: .*{expected}'):
            read(path)


def test_a_file_that_does_not_fit_into_the_memory(tmp_path, monkeypatch, rgb):
    def too_much(*_):
        raise MemoryError

    path = tmp_path / 'a.png'
    Image.fromarray(rgb).save(path)
    monkeypatch.setattr(images, '_image_of_png', too_much)
    with pytest.raises(DataError, match=r'a\.png: its 20x30 pixels do not fit into the memory'):
        read_image(path)
    path.write_bytes(b'x')
    os.truncate(path, 2**31)  # sparse: takes no space
    with pytest.raises(DataError, match=r'a\.png: 2\.1 GB, more than an image has'):
        read_image(path)


def test_a_size_behind_large_tags(tmp_path, rgb):
    """The frame of a JPEG may stand behind thumbnails and profiles."""
    Image.fromarray(rgb).save(tmp_path / 'a.jpg', icc_profile=bytes(200_000))
    assert size_by_start(tmp_path / 'a.jpg') == (20, 30)
    assert image_size(tmp_path / 'a.jpg') == (20, 30)
