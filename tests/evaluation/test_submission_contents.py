"""Archives whose files are good one by one and wrong together."""

import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from dsr_nss.evaluation.submission_contents import names_of_both_kinds
from tests.evaluation.test_submission import SIZE
from tests.evaluation.test_submission_check import FIRST, LABEL, edit, png, problems

INVALID = f'labelTrainIds_invalid/{FIRST}.png'
CONFIDENCE = f'confidence/{FIRST}.png'


def change(path, name, pixels):
    return problems(edit(path, {name: png(pixels)}), contents=True)


def test_labels_that_abstain_everywhere(archive):
    ((what, text),) = change(archive, INVALID, np.full(SIZE, 255, np.uint8))
    assert what == 'contents' and text == f'{INVALID}: every pixel is 255, so nothing is predicted'


def test_confidences_of_nothing(archive):
    ((what, text),) = change(archive, CONFIDENCE, np.zeros(SIZE, np.uint16))
    assert what == 'contents' and text.startswith(f'{CONFIDENCE}: every confidence is 0')


def test_label_sets_that_contradict_each_other(archive):
    with zipfile.ZipFile(archive) as file:
        labels = np.array(Image.open(io.BytesIO(file.read(LABEL))))
    other = labels.copy()
    other[0, 0] = 255  # abstaining is no contradiction
    other[1, 2] = (other[1, 2] + 1) % 19
    ((what, text),) = change(archive, INVALID, other)
    assert what == 'contents'
    assert text == (
        f'{INVALID}: 1 pixels are of another class than in {LABEL}, the first in row 1, column 2 '
        f'({other[1, 2]} and {labels[1, 2]})'
    )


def test_a_file_and_a_folder_of_one_name(archive):
    entries = [(f'{LABEL}/a.png', b''), ('confidence', b'')]
    found = problems(edit(archive, {}, entries))
    texts = [text for what, text in found if what == 'path']
    assert texts == [
        f'{name}: a file and a folder of the same name' for name in ('confidence', LABEL)
    ]
    assert not list(names_of_both_kinds(['a/', 'a/b', 'a/c/d', 'e']))


def header_of(path, name):
    with zipfile.ZipFile(path) as file:
        return file.getinfo(name).header_offset


@pytest.mark.parametrize(
    'offset, value, words',
    [
        (14, struct.pack('<I', 1), 'checksum or packing before its content are not those'),
        (18, struct.pack('<I', 7), 'size, checksum or packing before its content'),
        (8, struct.pack('<H', 8), 'packing before its content are not those in the list'),
        (30, b'X', 'has another name before its content than in the list'),
        (0, b'PK\x07\x08', 'nothing begins where the list says'),
    ],
)
def test_headers_that_differ_from_the_list(archive, offset, value, words):
    edit(archive, {})
    content, start = bytearray(archive.read_bytes()), header_of(archive, LABEL)
    content[start + offset : start + offset + len(value)] = value
    archive.write_bytes(content)
    texts = [text for what, text in problems(archive) if what == 'archive']
    assert any(text.startswith(f'{LABEL}: ') and words in text for text in texts), texts


def test_files_that_are_not_in_the_list(archive):
    edit(archive, {})
    with zipfile.ZipFile(archive) as file:
        start = file.start_dir
    hidden = archive.parent / 'hidden.zip'
    with zipfile.ZipFile(hidden, 'w') as file:
        file.writestr('hidden.png', bytes(100))
    content, more = archive.read_bytes(), hidden.read_bytes()[:150]
    end = bytearray(content[start:])
    place = end.index(b'PK\x05\x06') + 16
    end[place : place + 4] = struct.pack('<I', start + len(more))
    archive.write_bytes(content[:start] + more + end)
    texts = [text for what, text in problems(archive) if what == 'archive']
    assert len(texts) == 1 and texts[0].startswith('150 bytes between ') and 'no entry' in texts[0]


def test_bytes_before_the_first_entry(archive):
    edit(archive, {})
    archive.write_bytes(bytes(1000) + archive.read_bytes())
    assert any('1000 bytes between the beginning' in text for _, text in problems(archive))
