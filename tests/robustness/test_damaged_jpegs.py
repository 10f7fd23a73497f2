"""Damage to JPEG files, as disks and transfers make it: 700 made files, how many are found.

The format has no checksum, so single bits that flip cannot all be found: what they change may be
another picture, written correctly. What is lost, overwritten or displaced breaks the sequence of
blocks, and a strict decoder stumbles over it.
"""

import io
from collections import Counter

import numpy as np
from PIL import Image

from dsr_nss.datasets.images import read_image
from dsr_nss.errors import DataError

NUMBER = 700
#: Disks and file systems lose whole sectors.
SECTOR = 512
KINDS = ('hole', 'missing', 'cut', 'cut with an end', 'foreign', 'twice', 'swapped')


def picture(rng: np.random.Generator, height: int = 240, width: int = 320) -> np.ndarray:
    """Shapes with grain, as cameras make them."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7), 100 + x / 8 + y / 9,
             90 + 50 * np.sin((x + y) / 11)]  # fmt: skip
    noisy = np.stack(waves, -1) + rng.normal(0, 8, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def forms(image: np.ndarray) -> list[bytes]:
    """The picture as cameras, phones and programs write it."""
    options = (
        dict(quality=90),
        dict(quality=90, subsampling=0),
        dict(quality=90, progressive=True),
        dict(quality=80, optimize=True),
        dict(quality=85, restart_marker_rows=1),
    )
    files = []
    for one, settings in [*((image, s) for s in options), (image[..., 0], options[0])]:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, 'JPEG', **settings)
        files.append(buffer.getvalue())
    return files


def damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One to four sectors of the compressed data are lost or wrong."""
    start = data.index(b'\xff\xda') + 14
    length = SECTOR * int(rng.integers(1, 5))
    place = int(rng.integers(start, len(data) - length))
    part = data[place : place + length]
    before, after = data[:place], data[place + length :]
    if kind == 'hole':
        return before + bytes(length) + after
    if kind == 'missing':
        return before + after
    if kind == 'cut':
        return before
    if kind == 'cut with an end':
        return before + b'\xff\xd9'
    if kind == 'foreign':
        return before + rng.bytes(length) + after
    if kind == 'twice':
        return before + part + part + after
    other = int(rng.integers(0, len(after) - length)) if len(after) > length else 0
    return before + after[other : other + length] + after[:other] + part + after[other + length :]


def test_of_700_damaged_files_nearly_all_are_found(tmp_path):
    rng = np.random.default_rng(0)
    whole = forms(picture(rng))
    path = tmp_path / 'a.jpg'
    originals = []
    for data in whole:
        path.write_bytes(data)
        originals.append(read_image(path))
    found, unseen = Counter(), []
    for number in range(NUMBER):
        form, kind = number // len(KINDS) % len(whole), KINDS[number % len(KINDS)]
        path.write_bytes(damaged(whole[form], kind, rng))
        try:
            pixels = read_image(path)
        except DataError as error:
            assert 'a.jpg: ' in str(error)
            found[kind] += 1
        else:
            apart = np.abs(pixels.astype(int) - originals[form])
            unseen.append((apart.mean(), apart.max(), (apart.max(-1) > 0).mean()))
    print(dict(found), 'not found; mean and largest difference, share of pixels:')
    print(np.round(unseen, 2).tolist())
    assert found.total() >= 0.95 * NUMBER
    assert all(found[kind] >= 0.9 * NUMBER / len(KINDS) for kind in KINDS)
    assert all(mean < 10 and share < 0.3 for mean, _, share in unseen)  # a part of the picture
