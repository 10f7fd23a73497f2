"""The published archives: unpacked where the set has its files, and nowhere else."""

import stat
import zipfile
from pathlib import Path

import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.preparation.prepare import Options, prepare
from dsr_nss.datasets.preparation.unpack import unpack_archives
from tests.datasets.tiny_sets import make_acdc, make_dark_zurich


def pack(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def content_of(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.mark.parametrize('wrapper', ['', 'Dark_Zurich_train_anon/', 'a/b/'])
def test_dark_zurich(tmp_path, wrapper):
    """Images, labels and correspondences, also within folders of the archive's own."""
    files = content_of(make_dark_zurich(tmp_path / 'published'))
    root = tmp_path / 'data'
    extra = [('README.txt', b'x')]
    for path in map(Path, files):  # what macOS adds
        extra += [
            (f'{place}{path.with_name(f"._{path.name}")}', b'x') for place in (wrapper, '__MACOSX/')
        ]
    entries = [(wrapper + name, data) for name, data in files.items()]
    pack(root / 'Dark_Zurich.zip', [*entries, *extra])
    assert unpack_archives('dark_zurich', root) == [
        f'Dark_Zurich.zip: {len(files)} files unpacked, 0 were there'
    ]
    made = content_of(root)
    made.pop('Dark_Zurich.zip')
    assert made == files
    assert f'0 files unpacked, {len(files)} were there' in unpack_archives('dark_zurich', root)[0]
    lines = prepare('dark_zurich', Options(root), True)
    assert any('4 with a day reference' in line for line in lines)


def test_an_archive_of_each_condition(tmp_path):
    files = content_of(make_acdc(tmp_path / 'published'))
    root = tmp_path / 'data'
    for condition in ('night', 'fog'):
        own = [item for item in files.items() if f'/{condition}/' in item[0]]
        pack(root / f'rgb_anon_{condition}.zip', own)
    lines = unpack_archives('acdc', root)
    assert [line.split(':')[0] for line in lines] == ['rgb_anon_fog.zip', 'rgb_anon_night.zip']
    assert {name: data for name, data in content_of(root).items() if '.zip' not in name} == files


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('rgb_anon/train/night/../../../../secret.png', 'leads out'),
        ('../rgb_anon/train/night/../../../../../secret.png', 'leads out'),
        ('rgb_anon/train/night/..\\\\..\\\\secret.png', 'leads out'),
        ('rgb_anon/train/night/a\x1b.png', 'no file name'),
    ],
)
def test_entries_that_lead_elsewhere(tmp_path, name, said):
    root = tmp_path / 'a/b/data'
    pack(root / 'a.zip', [(name, b'x')])
    with pytest.raises(DataError, match=said):
        unpack_archives('dark_zurich', root)
    assert content_of(tmp_path).keys() == {'a/b/data/a.zip'}


def test_an_absolute_name_is_taken_below_the_root(tmp_path):
    root = tmp_path / 'data'
    pack(root / 'a.zip', [('/rgb_anon/train/night/a_rgb_anon.png', b'x')])
    unpack_archives('dark_zurich', root)
    assert (root / 'rgb_anon/train/night/a_rgb_anon.png').read_bytes() == b'x'


def test_links_and_damage(tmp_path):
    root = tmp_path / 'data'
    link = zipfile.ZipInfo('rgb_anon/train/night/a.png')
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = pack(root / 'a.zip', [(link, b'/etc/passwd')])
    with pytest.raises(DataError, match=r'a\.zip, rgb_anon/train/night/a\.png: a link'):
        unpack_archives('dark_zurich', root)
    pack(path, [('rgb_anon/train/night/a.png', b'many bytes')])
    path.write_bytes(path.read_bytes().replace(b'many bytes', b'other byte'))
    with pytest.raises(DataError, match=r'a\.zip: a damaged archive'):
        unpack_archives('dark_zurich', root)
    assert not list(root.rglob('*.png'))
    path.write_bytes(b'no archive')
    with pytest.raises(DataError, match=r'a\.zip: a damaged archive'):
        unpack_archives('dark_zurich', root)
    pack(path, [('other/a.png', b'x')])
    with pytest.raises(DataError, match=r'a\.zip: holds no file of Dark Zurich'):
        unpack_archives('dark_zurich', root)
    path.unlink()
    with pytest.raises(DataError, match=r'no \*\.zip lies in'):
        unpack_archives('dark_zurich', root)


def test_attributes_of_bdd100k(tmp_path):
    """They tell the night images, and are published in an archive of their own."""
    pack(tmp_path / 'labels.zip', [('bdd100k/labels/det_20/det_val.json', b'[]')])
    assert unpack_archives('bdd100k_night', tmp_path) == [
        'labels.zip: 1 files unpacked, 0 were there'
    ]
    assert (tmp_path / 'labels/det_20/det_val.json').read_bytes() == b'[]'
