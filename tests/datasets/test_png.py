"""Every decoder path gives the pixels that Pillow gives, or leaves the file to OpenCV."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dsr_nss.datasets import DataError, png
from dsr_nss.datasets.images import read_image, read_label

SIZES = [(1, 1), (1, 7), (5, 1), (37, 53), (300, 301)]


@pytest.fixture(params=['OpenCV', 'fast'])
def decoder(request):
    """Each decoder in turn; the faster one where it is installed."""
    if request.param == 'fast':
        pytest.importorskip('pyspng')
        pytest.importorskip('deflate')
        assert png.available()
        yield
    else:
        with png.not_in_use():
            assert not png.available()
            yield


def picture(rng, size, channels=3):
    """Smooth and noisy parts, so that a writer chooses different row filters."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    ramp = np.stack([rows * 3 + columns * (c + 1) for c in range(channels)], -1)
    ramp[:, size[1] // 2 :] += rng.integers(0, 256, ramp[:, size[1] // 2 :].shape)
    return ramp.astype(np.uint8)


def pillow(path, mode):
    with Image.open(path) as image:
        return np.array(image.convert(mode) if mode else image)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('level', [0, 1, 9])
def test_rgb(tmp_path, rng, decoder, size, level):
    path, image = tmp_path / 'a.png', picture(rng, size)
    Image.fromarray(image).save(path, compress_level=level)
    result = read_image(path)
    assert result.shape == image.shape and result.dtype == np.uint8 and result.flags.c_contiguous
    np.testing.assert_array_equal(result, pillow(path, 'RGB'))


@pytest.mark.parametrize('strategy', [cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_FILTER_SUB,
                                      cv2.IMWRITE_PNG_FILTER_UP, cv2.IMWRITE_PNG_FILTER_AVG,
                                      cv2.IMWRITE_PNG_FILTER_PAETH])  # fmt: skip
def test_every_row_filter(tmp_path, rng, decoder, strategy):
    path = tmp_path / 'a.png'
    assert cv2.imwrite(str(path), picture(rng, (40, 50)), [cv2.IMWRITE_PNG_FILTER, strategy])
    np.testing.assert_array_equal(read_image(path), pillow(path, 'RGB'))


@pytest.mark.parametrize('size', SIZES)
def test_grey_images_and_labels(tmp_path, rng, decoder, size):
    path = tmp_path / 'a.png'
    Image.fromarray(picture(rng, size, 1)[..., 0]).save(path)
    np.testing.assert_array_equal(read_image(path), pillow(path, 'RGB'))
    np.testing.assert_array_equal(read_label(path), pillow(path, None))


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_palette(tmp_path, rng, decoder, bits):
    """An image shows the colours, a label the indices."""
    path = tmp_path / 'a.png'
    indices = rng.integers(0, 2**bits, (21, 33), dtype=np.uint8)
    image = Image.fromarray(indices, mode='P')
    image.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path, bits=bits)
    np.testing.assert_array_equal(read_label(path), indices)
    np.testing.assert_array_equal(read_image(path), pillow(path, 'RGB'))


@pytest.mark.parametrize('subsampling', [0, 2])
@pytest.mark.parametrize('options', [{}, {'progressive': True}])
def test_jpeg(tmp_path, rng, decoder, subsampling, options):
    path = tmp_path / 'a.jpg'
    Image.fromarray(picture(rng, (45, 67))).save(path, subsampling=subsampling, **options)
    np.testing.assert_array_equal(read_image(path), pillow(path, 'RGB'))
    Image.fromarray(picture(rng, (45, 67), 1)[..., 0]).save(path)
    np.testing.assert_array_equal(read_image(path), pillow(path, 'RGB'))


def test_several_data_chunks_and_other_chunks(tmp_path, rng, decoder):
    image = picture(rng, (60, 80))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'PNG', dpi=(72, 72))
    path = tmp_path / 'a.png'
    path.write_bytes(split_data(buffer.getvalue()) + b'appended')
    np.testing.assert_array_equal(read_image(path), image)


def split_data(data):
    """The same PNG with its pixels in chunks of 100 bytes."""
    out, position = [data[:8]], 8
    while position < len(data):
        (length,) = struct.unpack_from('>I', data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        parts = [body[i : i + 100] for i in range(0, length, 100)] if kind == b'IDAT' else [body]
        for part in parts:
            out.append(struct.pack('>I4s', len(part), kind) + part)
            out.append(struct.pack('>I', zlib.crc32(kind + part)))
        position += 12 + length
    return b''.join(out)


def test_transparent_colours_and_alpha_are_refused(tmp_path, rng, decoder):
    image = picture(rng, (9, 9))
    Image.fromarray(np.dstack([image, image[..., :1]])).save(tmp_path / 'alpha.png')
    with pytest.raises(DataError, match='alpha channel'):
        read_image(tmp_path / 'alpha.png')
    Image.fromarray(image).save(tmp_path / 'key.png', transparency=(1, 2, 3))
    with pytest.raises(DataError, match='transparent colour; save it as plain RGB'):
        read_image(tmp_path / 'key.png')


def test_16_bits_are_refused(tmp_path, decoder):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((8, 8, 3), 3000, np.uint16))
    with pytest.raises(DataError, match='16-bit PNG'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize('keep', [0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, rng, decoder, keep):
    path, image = tmp_path / 'a.png', picture(rng, (40, 40))
    for content, read in ((image, read_image), (image[..., 0], read_label)):
        Image.fromarray(content).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(keep * len(data))])
        with pytest.raises(DataError, match=r'a\.png: the file is truncated'):
            read(path)
        path.write_bytes(data[: int(keep * len(data))] + b'\0\0\0\0IEND\xaeB`\x82')
        with pytest.raises(DataError, match=r'a\.png: (the file is truncated|cannot be decoded)'):
            read(path)


def test_damage_anywhere_is_refused_or_without_effect(tmp_path, rng, decoder):
    image = picture(rng, (12, 14))
    path = tmp_path / 'a.png'
    Image.fromarray(image).save(path)
    data = path.read_bytes()
    refused = 0
    for position in range(8, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            result = read_image(path)
        except DataError as error:
            assert 'a.png: ' in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(result, image)
    assert refused > len(data) / 3 * 0.9
