"""Archives that are damaged or meant to do harm: a problem is named, nothing is unpacked."""

import stat
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from dsr_nss.evaluation.submission_check import check_submission
from tests.evaluation.test_submission import SIZE, tiny
from tests.evaluation.test_submission_check import LABEL, ZEROS, edit, png, problems


@pytest.mark.parametrize('damage', ['text', 'truncated', 'empty'])
def test_damaged_archives(archive, damage):
    content = archive.read_bytes()
    archive.write_bytes({'text': b'hello', 'truncated': content[:-60], 'empty': b''}[damage])
    ((what, text),) = problems(archive)
    assert what == 'archive' and 'dz.zip: not a zip archive' in text


def test_damaged_entry(archive):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(LABEL)
    content[info.header_offset + 30 + len(LABEL) + 50] ^= 0xFF
    archive.write_bytes(content)
    ((what, text),) = problems(archive)
    assert what == 'damaged' and f'{LABEL}: cannot be read (Bad CRC' in text


def test_any_damaged_byte_is_survived(archive):
    content = archive.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] ^= rng.integers(1, 256)
        archive.write_bytes(damaged)
        check_submission(archive, tiny('dark_zurich'))  # raises nothing


def test_encrypted_and_unusual_entries(archive):
    edit(archive, {LABEL: None})
    with zipfile.ZipFile(archive, 'a') as file:
        file.writestr(LABEL, png(ZEROS), compress_type=zipfile.ZIP_LZMA)
    ((what, text),) = problems(archive)
    assert what == 'archive' and 'neither stored nor deflated' in text
    edit(archive, {})
    content = archive.read_bytes()
    position = content.rindex(b'PK\x01\x02')  # the last entry of the directory
    archive.write_bytes(content[: position + 8] + b'\x01\x00' + content[position + 10 :])
    ((what, text),) = problems(archive)
    assert what == 'archive' and f'{LABEL}: encrypted' in text


def test_symbolic_link(archive):
    link = zipfile.ZipInfo(LABEL)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    found = problems(edit(archive, {LABEL: None}, [(link, b'/etc/passwd')]))
    assert [what for what, _ in found] == ['path', 'missing']
    assert 'a symbolic link' in found[0][1]


def bomb(chunks):
    """A PNG of the expected size whose data unpacks to 64 MiB."""
    header = struct.pack('>IIBBBBB', *SIZE[::-1], 8, 0, 0, 0, 0)
    parts = [(b'IHDR', header), *chunks, (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        for name, data in parts
    )


@pytest.mark.parametrize(
    ('kind', 'what'),
    # pixels beyond the size are never looked at, by no reader
    [('zip', ['size']), ('pixels', []), ('text', ['damaged'])],
)
def test_bombs_are_not_unpacked(archive, kind, what):
    packed = zlib.compress(bytes(2**26), 9)
    if kind == 'zip':
        edit(archive, {LABEL: None})
        with zipfile.ZipFile(archive, 'a') as file:
            file.writestr(LABEL, bytes(2**26), compress_type=zipfile.ZIP_DEFLATED)
    else:
        chunk = (b'IDAT', packed) if kind == 'pixels' else (b'zTXt', b'x\0\0' + packed)
        edit(archive, {LABEL: bomb([chunk])})
    assert archive.stat().st_size < 2**18
    tracemalloc.start()
    try:
        found = problems(archive)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert [problem[0] for problem in found] == what


def test_bomb_with_a_lie_about_its_size(archive):
    edit(archive, {LABEL: None})
    with zipfile.ZipFile(archive, 'a') as file:
        file.writestr(LABEL, bytes(2**26), compress_type=zipfile.ZIP_DEFLATED)
    content = archive.read_bytes()
    position = content.rindex(b'PK\x01\x02')
    lie = struct.pack('<I', 100)
    archive.write_bytes(content[: position + 24] + lie + content[position + 28 :])
    (listed, text), (what, other) = problems(archive)
    assert listed == 'archive' and 'before its content are not those in the list' in text
    assert what == 'damaged' and 'cannot be read' in other
