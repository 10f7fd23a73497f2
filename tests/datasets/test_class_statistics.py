"""Class statistics: counting, the file, and what is said when it is missing or wrong."""

import json
import os

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS

from dsr_nss.datasets import DataError
from dsr_nss.datasets.cityscapes import write_class_statistics
from dsr_nss.datasets.class_statistics import (
    class_counts,
    count_label,
    load_class_counts,
    save_class_counts,
)
from tests.datasets.tiny_sets import make_cityscapes, write_label


def test_count_of_a_label_by_hand(tmp_path):
    write_label(tmp_path / 'a.png', np.array([[0, 0, 13], [255, 0, 18]]))
    assert count_label(str(tmp_path / 'a.png')) == {0: 3, 13: 1, 18: 1}


def test_bad_ids_name_the_file(tmp_path):
    write_label(tmp_path / 'a.png', np.array([[0, 33], [255, 19]]))
    with pytest.raises(DataError, match=r'a\.png: the label has the ids \[19, 33\]'):
        count_label(str(tmp_path / 'a.png'))


def test_file_format_and_workers(tmp_path):
    root = make_cityscapes(tmp_path, statistics=False)
    path = write_class_statistics(root, workers=2)
    assert path == root / 'class_statistics.json'
    content = json.loads(path.read_text())
    assert content['version'] == 1
    name = 'train/aachen/aachen_000002_000019'
    label = root / f'gtFine/{name}_gtFine_labelTrainIds.png'
    assert content['checksums'].keys() == content['files'].keys()
    assert content['files'][name] == {str(i): n for i, n in count_label(str(label)).items()}
    assert len(content['files']) == 4  # val is not in it
    assert [p.name for p in root.iterdir() if p.name.startswith('.')] == []
    one = path.read_bytes()
    assert write_class_statistics(root).read_bytes() == one


def test_round_trip(tmp_path):
    counts, checksums = {'a/b': {0: 5, 18: 2}, 'c': {}}, {'a/b': 7, 'c': 2**32 - 1}
    path = save_class_counts(tmp_path / 'class_statistics.json', counts, checksums)
    assert load_class_counts(path) == (counts, checksums)


def test_missing_labels_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no \*_gtFine_labelTrainIds\.png below'):
        write_class_statistics(tmp_path)


@pytest.mark.parametrize('kept', ['prepared', 'by an earlier release'])
def test_prepared_counts_follow_a_replaced_label(tmp_path, kept):
    """Cityscapes' file as well, and one that holds no checksums."""
    root = make_cityscapes(tmp_path)
    if kept != 'prepared':
        path = root / 'class_statistics.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), 'checksums': {}}))
    dataset = DATASETS.build(dict(type='Cityscapes', data_root=str(root), split='train'))
    counts = dataset.class_counts()
    key = 'train/aachen/aachen_000002_000019'
    label = root / f'gtFine/{key}_gtFine_labelTrainIds.png'
    status = label.stat()
    replaced = np.full_like(cv2.imread(str(label), cv2.IMREAD_UNCHANGED), 7)
    write_label(label, replaced)
    os.utime(label, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert dataset.class_counts() == {**counts, key: {7: replaced.size}}


@pytest.mark.parametrize('text', ['', '[]', '{"version": 1}', '{"version": 1, "files": {"a": 3}}'])
def test_damaged_file(tmp_path, text):
    path = tmp_path / 'class_statistics.json'
    path.write_text(text)
    with pytest.raises(DataError, match='no class statistics'):
        load_class_counts(path)


def test_other_version(tmp_path):
    path = tmp_path / 'class_statistics.json'
    path.write_text('{"version": 2, "files": {}}')
    with pytest.raises(DataError, match='version 2, expected 1'):
        load_class_counts(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_class_counts(tmp_path / 'class_statistics.json', {'a': {0: 1}}, {})
    old = path.read_bytes()

    def fail(*_):
        raise OSError('no space')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='no space'):
        save_class_counts(path, {'a': {0: 2}}, {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_kept_counts_follow_a_replaced_label(tmp_path):
    """A file that is older than what it replaces, as `cp -p` and `unzip` make them, counts too."""
    labels = {}
    for name in 'ab':
        labels[name] = str(tmp_path / f'{name}.png')
        cv2.imwrite(labels[name], np.full((8, 8), 0, np.uint8))
    cache = tmp_path / 'cache.json'
    assert class_counts(cache, labels) == {'a': {0: 64}, 'b': {0: 64}}
    before = cache.stat().st_mtime_ns
    assert class_counts(cache, {'a': labels['a']}) == {'a': {0: 64}}
    assert cache.stat().st_mtime_ns == before  # a part of them needs no counting
    cv2.imwrite(labels['a'], np.full((8, 8), 7, np.uint8))
    os.utime(labels['a'], (1, 1))
    assert class_counts(cache, labels) == {'a': {7: 64}, 'b': {0: 64}}
    assert class_counts(cache, labels) == {'a': {7: 64}, 'b': {0: 64}}
