"""The dataset classes on tiny published layouts, and what they say of missing files."""

import os
import shutil

import numpy as np
import pytest
from mmseg.registry import DATASETS

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.datasets import DataError, FolderDataset, NighttimeDriving
from dsr_nss.datasets.base import find_files
from tests.datasets.tiny_sets import (
    make_acdc,
    make_cityscapes,
    make_dark_zurich,
    make_folder,
    make_nighttime_driving,
    random_label,
    write_image,
    write_label,
)


def build(kind, root, **kwargs):
    return DATASETS.build(dict(type=kind, data_root=str(root), **kwargs))


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_cityscapes(tmp_path):
    dataset = build('Cityscapes', make_cityscapes(tmp_path, count=3), split='train')
    assert len(dataset) == 3
    info = dataset.get_data_info(1)
    assert info['key'] == 'train/aachen/aachen_000001_000019'
    name = 'train/aachen/aachen_000001_000019'
    assert info['img_path'] == str(tmp_path / f'leftImg8bit/{name}_leftImg8bit.png')
    assert info['seg_map_path'] == str(tmp_path / f'gtFine/{name}_gtFine_labelTrainIds.png')
    assert info['reference_path'] is None
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.metainfo['palette'] == [list(colour) for colour in PALETTE]
    assert len(build('Cityscapes', tmp_path, split='val')) == 2


def test_the_sets_feed_mmsegs_test_pipeline(tmp_path):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    root = make_acdc(tmp_path)
    dataset = build('ACDC', root, split='val', pipeline=pipeline, test_mode=True)
    item = dataset[0]
    assert item['inputs'].shape == (3, 24, 32)
    assert item['data_samples'].gt_sem_seg.data.shape == (1, 24, 32)


def test_dark_zurich_train_takes_pairs_from_the_correspondences(tmp_path):
    dataset = build('DarkZurich', make_dark_zurich(tmp_path), split='train')
    assert len(dataset) == 4
    for i, info in enumerate(infos(dataset)):
        assert info['img_path'].endswith(
            f'rgb_anon/train/night/GOPR1/GOPR1_frame_{i:06d}_rgb_anon.png'
        )
        assert info['reference_path'].endswith(f'GOPR2/GOPR2_frame_{9 - i:06d}_rgb_anon.png')
        assert 'seg_map_path' not in info


def test_dark_zurich_val_and_test(tmp_path):
    make_dark_zurich(tmp_path)
    val = build('DarkZurich', tmp_path, split='val')
    info = val.get_data_info(1)
    assert info['seg_map_path'].endswith(
        'gt/val/night/GOPR3/GOPR3_frame_000001_gt_labelTrainIds.png'
    )
    assert info['reference_path'].endswith(
        'val_ref/day/GOPR3_ref/GOPR3_frame_000001_ref_rgb_anon.png'
    )
    test = build('DarkZurich', tmp_path, split='test')
    assert len(test) == 1 and 'seg_map_path' not in test.get_data_info(0)
    assert 'test_ref' in test.get_data_info(0)['reference_path']


def test_dark_zurich_without_references_still_evaluates(tmp_path):
    shutil.rmtree(make_dark_zurich(tmp_path) / 'rgb_anon/val_ref')
    assert [i['reference_path'] for i in infos(build('DarkZurich', tmp_path, split='val'))] == [
        None
    ] * 2


def test_one_missing_reference_is_an_error(tmp_path):
    path = 'rgb_anon/val_ref/day/GOPR3_ref/GOPR3_frame_000001_ref_rgb_anon.png'
    (make_dark_zurich(tmp_path) / path).unlink()
    with pytest.raises(
        FileNotFoundError, match='1 of 2 day references are missing.*frame_000001_ref'
    ):
        build('DarkZurich', tmp_path, split='val')


def test_pair_list_names_a_missing_night_file(tmp_path):
    make_dark_zurich(tmp_path)
    (tmp_path / 'mine.txt').write_text(
        'train/night/GOPR1/GOPR1_frame_000000\ntrain/night/GOPR1/gone\n'
    )
    with pytest.raises(
        FileNotFoundError, match='names 1 files.*train/night/GOPR1/gone_rgb_anon.png'
    ):
        build('DarkZurich', tmp_path, split='train', pair_list='mine.txt')


def test_dark_zurich_without_any_pairs(tmp_path):
    make_dark_zurich(tmp_path, correspondences=False)
    with pytest.raises(FileNotFoundError, match=r'no day references.*Dark_Zurich_train_anon\.zip'):
        build('DarkZurich', tmp_path, split='train')


def test_pair_list_belongs_to_train(tmp_path):
    with pytest.raises(ValueError, match='pair_list belongs to the train split'):
        build('DarkZurich', tmp_path, split='val', pair_list='x')


def test_acdc_conditions(tmp_path):
    make_acdc(tmp_path)
    night = build('ACDC', tmp_path, split='train')
    assert len(night) == 2
    info = night.get_data_info(0)
    assert info['key'] == 'night/train/GOPR4/GOPR4_frame_000000'
    assert info['reference_path'].endswith(
        'night/train_ref/GOPR4/GOPR4_frame_000000_rgb_ref_anon.png'
    )
    assert info['seg_map_path'].endswith(
        'gt/night/train/GOPR4/GOPR4_frame_000000_gt_labelTrainIds.png'
    )
    both = build('ACDC', tmp_path, split='val', condition=['night', 'fog'])
    assert [i['key'].split('/')[0] for i in infos(both)] == ['night', 'night', 'fog', 'fog']
    assert 'seg_map_path' not in build('ACDC', tmp_path, split='test').get_data_info(0)
    target = build('ACDC', tmp_path, split='train', with_labels=False)
    assert 'seg_map_path' not in target.get_data_info(0)
    with pytest.raises(ValueError, match='night, fog, rain, snow'):
        build('ACDC', tmp_path, split='val', condition='dusk')


def test_other_sets_count_their_classes_at_the_first_start(tmp_path):
    dataset = build('ACDC', make_acdc(tmp_path), split='train')
    counts = dataset.class_counts()
    assert set(counts) == {f'night/train/GOPR4/GOPR4_frame_{i:06d}' for i in range(2)}
    assert (tmp_path / 'class_statistics_night_train.json').is_file()
    assert dataset.class_counts() == counts


def test_pair_list_of_night_images_alone(tmp_path):
    shutil.rmtree(make_dark_zurich(tmp_path) / 'rgb_anon/train/day')
    (tmp_path / 'night.txt').write_text('train/night/GOPR1/GOPR1_frame_000002\n')
    (info,) = infos(build('DarkZurich', tmp_path, split='train', pair_list='night.txt'))
    assert info['img_path'].endswith('GOPR1_frame_000002_rgb_anon.png')
    assert info['reference_path'] is None
    with pytest.raises(FileNotFoundError, match='train/day is missing'):
        build('DarkZurich', tmp_path, split='train')


def test_nightscape_is_made_not_downloaded(tmp_path):
    root = tmp_path / 'nightscape/cityscapes'
    with pytest.raises(
        FileNotFoundError, match=r'tools/make_nightscape\.py .*nightscape` makes it'
    ):
        build('Cityscapes', root, split='train')
    dataset = build('Cityscapes', make_cityscapes(root), split='train')
    assert dataset.published_count() is None
    assert build('Cityscapes', make_cityscapes(tmp_path), split='val').published_count() == 500
    (tmp_path / 'held_back').mkdir()
    (tmp_path / 'held_back/nightscape.json').touch()  # made under another name
    other = make_cityscapes(tmp_path / 'held_back/cityscapes')
    assert build('Cityscapes', other, split='train').published_count() is None
    real = make_cityscapes(tmp_path / 'nightscape/data/cityscapes')  # of a project of that name
    assert build('Cityscapes', real, split='train').published_count() == 2975


def test_nightscape_that_was_not_finished_is_refused(tmp_path):
    root = make_cityscapes(tmp_path / 'nightscape/cityscapes')
    info = root.parent / 'nightscape.json'
    info.write_text('{"complete": false}')
    with pytest.raises(DataError, match='not finished; .*tools/make_nightscape.py .*nightscape` '):
        build('Cityscapes', root, split='train')
    info.write_text('{"complete": true}')
    assert len(build('Cityscapes', root, split='train'))


def test_classes_of_published_sets_are_fixed(tmp_path):
    with pytest.raises(ValueError, match='use FolderDataset for other classes'):
        build('ACDC', make_acdc(tmp_path), split='val', metainfo=dict(classes=('road',)))


def test_nighttime_driving(tmp_path):
    dataset = build('NighttimeDriving', make_nighttime_driving(tmp_path), split='test')
    assert len(dataset) == 2
    assert dataset.get_data_info(0)['seg_map_path'].endswith('test_0_gtCoarse_labelTrainIds.png')
    with pytest.raises(ValueError, match='the splits are test'):
        build('NighttimeDriving', tmp_path, split='val')


@pytest.mark.parametrize(
    ('kind', 'name', 'archive'),
    [
        ('Cityscapes', 'cityscapes', 'leftImg8bit_trainvaltest.zip'),
        ('DarkZurich', 'dark_zurich', 'Dark_Zurich_val_anon.zip'),
        ('ACDC', 'acdc', 'rgb_anon_trainvaltest.zip'),
    ],
)
def test_missing_folder_names_the_archive_and_the_command(tmp_path, kind, name, archive):
    with pytest.raises(FileNotFoundError) as error:
        build(kind, tmp_path, split='val')
    assert archive in str(error.value)
    assert f'tools/prepare_data.py {name} {tmp_path}' in str(error.value)
    with pytest.raises(FileNotFoundError, match='the data root .*nowhere does not exist'):
        build(kind, tmp_path / 'nowhere', split='val')


def test_missing_labels_are_counted_and_listed(tmp_path):
    root = make_cityscapes(tmp_path, count=3)
    for i in (0, 2):
        (root / f'gtFine/train/aachen/aachen_{i:06d}_000019_gtFine_labelTrainIds.png').unlink()
    with pytest.raises(
        FileNotFoundError, match='2 of 3 images have no label.*aachen_000000_000019'
    ):
        build('Cityscapes', root, split='train')


def test_unlabelled_split_cannot_have_labels(tmp_path):
    with pytest.raises(ValueError, match='published without labels'):
        build('DarkZurich', tmp_path, split='train', with_labels=True)


class TestFolder:
    def test_pairs_by_stem_whatever_the_suffix(self, tmp_path):
        make_folder(tmp_path, references=True)
        dataset = build(
            'FolderDataset', tmp_path, images='images', labels='labels', references='references'
        )
        assert [i['key'] for i in infos(dataset)] == ['a/0', 'a/1', 'a/2']
        info = dataset.get_data_info(2)
        assert info['img_path'].endswith('images/a/2.jpg')
        assert info['seg_map_path'].endswith('labels/a/2.png')
        assert info['reference_path'].endswith('references/a/2.png')
        assert dataset.get_data_info(1)['reference_path'] is None

    def test_images_alone(self, tmp_path):
        dataset = DATASETS.build(
            dict(type='FolderDataset', images=str(make_folder(tmp_path, labels=False) / 'images'))
        )
        assert len(dataset) == 3 and 'seg_map_path' not in dataset.get_data_info(0)

    @pytest.mark.parametrize('below', ['', 'ref'])
    def test_references_below_the_images_are_none_of_them(self, tmp_path, rng, below):
        for name in 'ab':
            write_image(tmp_path / f'{name}.png', rng)
            write_image(tmp_path / below / f'{name}_day.png', rng)
        folders = dict(images='.', references=below or '.', reference_suffix='_day')
        dataset = build('FolderDataset', tmp_path, **folders)
        assert [info['key'] for info in infos(dataset)] == ['a', 'b']
        assert dataset.get_data_info(1)['reference_path'].endswith('b_day.png')
        assert len(build('FolderDataset', tmp_path, images='.', references='.')) == 4  # their own
        with pytest.raises(FileNotFoundError, match='every image below .* is a label'):
            build('FolderDataset', tmp_path, images='.', labels='.')

    def test_files_that_are_no_image_here(self, tmp_path, rng, monkeypatch):
        said = []
        monkeypatch.setattr('dsr_nss.datasets.folder.print_log', lambda text, *_: said.append(text))
        write_image(make_folder(tmp_path) / 'images/a/other.png', rng)
        (tmp_path / 'images/a/other.png').rename(tmp_path / 'images/a/other.TIF')
        (tmp_path / 'images/a/._0.png').write_bytes(b'of macOS')
        assert len(build('FolderDataset', tmp_path, images='images')) == 3
        assert len(said) == 1 and '1 images of other kinds are left out, the first: ' in said[0]
        assert 'images/a/other.TIF' in said[0]

    def test_missing_label(self, tmp_path):
        (make_folder(tmp_path) / 'labels/a/1.png').unlink()
        with pytest.raises(FileNotFoundError, match=r'1 of 3 images have no label.*a/1\.jpg'):
            build('FolderDataset', tmp_path, images='images', labels='labels')

    def test_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='images does not exist'):
            build('FolderDataset', tmp_path, images='images')

    def test_no_image(self, tmp_path):
        (tmp_path / 'images').mkdir()
        (tmp_path / 'images/a.jpg').touch()
        with pytest.raises(FileNotFoundError, match=r'below .*images \(looked for \*_x\.png'):
            build('FolderDataset', tmp_path, images='images', image_suffix='_x')

    def test_two_images_of_one_stem(self, tmp_path, rng):
        write_image(make_folder(tmp_path) / 'images/a/0.png', rng)
        with pytest.raises(DataError, match='the same stem'):
            build('FolderDataset', tmp_path, images='images')

    def test_references_of_other_images(self, tmp_path, rng):
        write_image(make_folder(tmp_path) / 'references/other.png', rng)
        with pytest.raises(FileNotFoundError, match='has the stem of an image'):
            build('FolderDataset', tmp_path, images='images', references='references')

    def test_references_that_none_is_found_among(self, tmp_path):
        make_folder(tmp_path, references=True)
        names = dict(images='images', references='references', reference_suffix='_day')
        with pytest.raises(FileNotFoundError, match="stem of an image, '_day' in the place of ''"):
            build('FolderDataset', tmp_path, **names)
        (tmp_path / 'empty').mkdir()
        with pytest.raises(FileNotFoundError, match='no file below .*empty has the stem'):
            build('FolderDataset', tmp_path, images='images', references='empty')

    def test_own_classes(self, tmp_path):
        classes = dict(classes=('sea', 'land'), palette=[[0, 0, 9], [9, 9, 0]])
        dataset = build('FolderDataset', make_folder(tmp_path), images='images', metainfo=classes)
        assert dataset.metainfo['classes'] == ('sea', 'land')
        assert dataset.label_map is None

    def test_class_statistics_are_cached_and_follow_the_labels(self, tmp_path, rng):
        make_folder(tmp_path)
        dataset = build('FolderDataset', tmp_path, images='images', labels='labels')
        first = dataset.class_counts()
        cache = tmp_path / 'labels/class_statistics.json'
        assert cache.is_file() and set(first) == {'a/0', 'a/1', 'a/2'}
        changed = random_label(rng) * 0 + 8
        write_label(tmp_path / 'labels/a/1.png', changed)
        newer = cache.stat().st_mtime + 5
        os.utime(tmp_path / 'labels/a/1.png', (newer, newer))
        assert dataset.class_counts()['a/1'] == {8: changed.size}

    def test_class_statistics_stay_out_of_a_read_only_folder(self, tmp_path):
        make_folder(tmp_path)
        (tmp_path / 'labels').chmod(0o555)
        dataset = build('FolderDataset', tmp_path, images='images', labels='labels')
        assert len(dataset.class_counts()) == 3
        (tmp_path / 'labels').chmod(0o755)
        assert not (tmp_path / 'labels/class_statistics.json').exists()


def test_camvid(shared_dir):
    root = shared_dir / 'camvid_dusk'
    day = build('FolderDataset', root, images='images/day/train', labels='labels/day/train')
    dusk = build('FolderDataset', root, images='images/dusk/val', labels='labels/dusk/val')
    assert (len(day), len(dusk)) == (406, 20)


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    (tmp_path / 'set/city').mkdir(parents=True)
    (tmp_path / 'elsewhere').mkdir()
    for path in ('set/b.png', 'set/city/a.PNG', 'set/a.txt', 'elsewhere/c.png'):
        (tmp_path / path).touch()
    (tmp_path / 'set/linked').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'set/again').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'set/city/loop').symlink_to(tmp_path / 'set')
    found = [
        str(path.relative_to(tmp_path / 'set')) for path in find_files(tmp_path / 'set', '.png')
    ]
    assert found == ['again/c.png', 'b.png', 'city/a.PNG', 'linked/c.png']
    assert find_files(tmp_path / 'nothing', '.png') == []


def test_names_that_end_differently(tmp_path, rng):
    """Images, labels and other forms of the labels in one folder, as NightCity has them."""
    for name in ('Dubai_0016', 'Dubai_0017'):
        write_image(tmp_path / f'val/{name}.png', rng)
        write_image(tmp_path / f'val/{name}_color.png', rng)
        write_label(tmp_path / f'val/{name}_labelTrainIds.png', np.zeros((24, 32)))
        write_image(tmp_path / f'day/{name}_day.jpg', rng)
    folders = dict(data_root=str(tmp_path), images='val', labels='val', references='day')
    endings = dict(label_suffix='_labelTrainIds', reference_suffix='_day')
    with pytest.raises(
        FileNotFoundError, match="2 of 4 images have no label.*_color.*'_labelTrain"
    ):
        FolderDataset(**folders, **endings)
    for path in (tmp_path / 'val').glob('*_color.png'):
        path.unlink()
    dataset = FolderDataset(**folders, **endings)
    assert [info['key'] for info in infos(dataset)] == ['Dubai_0016', 'Dubai_0017']
    for info in infos(dataset):
        assert info['seg_map_path'] == str(tmp_path / f'val/{info["key"]}_labelTrainIds.png')
        assert info['reference_path'] == str(tmp_path / f'day/{info["key"]}_day.jpg')
    for path in list((tmp_path / 'val').glob('Dubai_001?.png')):
        path.rename(path.with_stem(f'{path.stem}_rgb'))
    dataset = FolderDataset(**folders, **endings, image_suffix='_rgb')
    assert [info['key'] for info in infos(dataset)] == ['Dubai_0016', 'Dubai_0017']


def test_corrected_labels_of_nighttime_driving(tmp_path):
    """Beside the published ones, and told apart by name."""
    make_nighttime_driving(tmp_path)
    published = NighttimeDriving(data_root=str(tmp_path), split='test')
    shutil.copytree(tmp_path / 'gtCoarse_daytime_trainvaltest', tmp_path / 'gtCorrected')
    corrected = NighttimeDriving(data_root=str(tmp_path), split='test', labels='gtCorrected')
    assert 'gtCorrected' in infos(corrected)[0]['seg_map_path'] and len(corrected) == 2
    assert corrected.title.endswith('with gtCorrected') and 'with' not in published.title
    assert infos(published)[0]['img_path'] == infos(corrected)[0]['img_path']
