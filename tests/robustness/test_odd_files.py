"""The same file gives the same pixels, or the same refusal, wherever it is read."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.datasets.class_statistics import count_label
from dsr_nss.datasets.images import image_size, read_image, read_label, size_by_start
from dsr_nss.datasets.invalid_masks import read_invalid_mask
from dsr_nss.datasets.pixel_cache import CachedFiles, write_entry
from dsr_nss.datasets.pixels import PixelFile
from dsr_nss.datasets.preparation.cityscapes_labels import train_id_table, train_ids_of_label_ids
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.evaluation.score import score
from dsr_nss.evaluation.submission_formats import expected_images, submission_format
from dsr_nss.evaluation.test_sets import CheckedDataset, select_datasets
from dsr_nss.inference import predictor as predictor_module
from dsr_nss.inference.predict import UNUSABLE
from dsr_nss.inspection.browse import browse
from dsr_nss.inspection.doctor import Report, check_set
from tests.robustness.odd_files import SIZE, OddFile, encode, odd_images, odd_labels

IMAGES = {file.name: file for file in odd_images()}
LABELS = {file.name: file for file in odd_labels()}
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
LABELLED = [PIPELINE[0], dict(type='LoadAnnotations'), PIPELINE[1]]


def place(folder: Path, file: OddFile) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    path.write_bytes(file.data)
    return path


def plain(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def pixels_of(item: dict) -> np.ndarray:
    """`(H, W, 3)` RGB of an mmseg item, which is BGR."""
    return item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]


# --- images ---------------------------------------------------------------------------------------


def by_reader(path: Path) -> np.ndarray:
    return read_image(path)


def by_cache(path: Path) -> np.ndarray:
    file = PixelFile(str(path), False, None)
    write_entry(path.parent / 'cache', file)
    return CachedFiles(path.parent / 'cache', [file]).read(file).array


def _item(path: Path, size: tuple[int, int]) -> dict:
    """A training item of which every image is this file."""
    root = path.parent / 'set'
    for folder in ('images', 'references'):
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / folder)
    plain(np.zeros(size, np.uint8), root / f'labels/{path.stem}.png')
    folder = dict(type='FolderDataset', data_root=str(root), images='images')
    settings = dict(
        type='SourceTargetDataset',
        source=dict(folder, labels='labels'),
        target=dict(folder, references='references'),
        crop_size=size,
        max_class_share=1.0,
        flip=0.0,
    )
    return DATASETS.build(settings)[0]


def by_training(path: Path) -> np.ndarray:
    known = IMAGES[path.name].pixels
    item = _item(path, SIZE if known is None else known.shape[:2])
    views = [item[key].permute(1, 2, 0).numpy() for key in ('source_image', 'night_image')]
    views.append(item['reference_image'].permute(1, 2, 0).numpy())
    assert all(np.array_equal(view, views[0]) for view in views)
    return views[0]


def by_validation(path: Path) -> np.ndarray:
    """A set as the loop of the training builds it."""
    settings = dict(type='FolderDataset', images=str(path.parent), pipeline=PIPELINE)
    return pixels_of(DATASETS.build(settings)[0])


def by_a_set_of_mmseg(path: Path) -> np.ndarray:
    settings = dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path=str(path.parent)),
        img_suffix=path.suffix,
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        pipeline=PIPELINE,
    )
    dataset = select_datasets(Config(dict(test_sets=dict(a=settings))))['a']
    return pixels_of(dataset[0])


def by_test(path: Path) -> np.ndarray:
    settings = dict(type='FolderDataset', images=str(path.parent), pipeline=PIPELINE)
    item = CheckedDataset(DATASETS.build(settings))[0]
    if UNUSABLE in item:
        raise DataError(item[UNUSABLE])
    return pixels_of(item)


def by_alignment(path: Path) -> np.ndarray:
    known = IMAGES[path.name].pixels
    settings = dict(
        type='ReferencePairs',
        images=dict(type='FolderDataset', images=str(path.parent)),
        size=SIZE if known is None else known.shape[:2],
    )
    return DATASETS.build(settings)[0]['target'].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    'entry',
    [by_reader, by_cache, by_training, by_validation, by_a_set_of_mmseg, by_test, by_alignment],
)
@pytest.mark.parametrize('name', IMAGES)
def test_an_image_gives_the_same_pixels_everywhere(tmp_path, name, entry):
    file = IMAGES[name]
    path = place(tmp_path / 'images', file)
    if file.pixels is None:
        with pytest.raises(DataError, match=f'{re.escape(name)}.*{file.refusal}'):
            entry(path)
    else:
        pixels = entry(path)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, file.pixels)


def test_prediction_sees_the_same_pixels(tmp_path, predict, monkeypatch):
    """All files at once: those that are refused are named, the others are predicted."""
    fed = {}
    real = predictor_module.predict_batch

    def listen(model, data, *arguments, **options):
        for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
            fed[Path(sample.img_path).parent.name] = image.permute(1, 2, 0).numpy()[..., ::-1]
        return real(model, data, *arguments, **options)

    monkeypatch.setattr(predictor_module, 'predict_batch', listen)
    for file in IMAGES.values():
        place(tmp_path / 'odd' / file.name.replace('.', '_'), file)
    report = predict(tmp_path / 'odd', tmp_path / 'out')
    failed = {path.name: text for path, text in report.failed.items()}
    for name, file in IMAGES.items():
        if file.pixels is None:
            assert re.search(file.refusal, failed.pop(name)), name
        else:
            np.testing.assert_array_equal(fed[name.replace('.', '_')], file.pixels, name)
            made = f'out/labelTrainIds/{name.replace(".", "_")}/{Path(name).stem}.png'
            assert read_label(tmp_path / made).shape == file.pixels.shape[:2]
    assert not failed


@pytest.mark.parametrize('name', [name for name, file in IMAGES.items() if not file.refusal])
def test_sizes_without_decoding(tmp_path, name):
    path = place(tmp_path, IMAGES[name])
    height, width = IMAGES[name].pixels.shape[:2]
    assert image_size(path) == (height, width)
    assert size_by_start(path) == (height, width)
    frame = path.with_stem('GOPR0356_frame_000321_rgb_anon')
    path.rename(frame)
    sizes = expected_images([tmp_path], submission_format('acdc'))
    assert list(sizes.values()) == [(height, width)]


def test_browsing_shows_upright_pictures(tmp_path):
    place(tmp_path / 'images', IMAGES['6.jpg'])
    settings = dict(type='FolderDataset', images=str(tmp_path / 'images'), pipeline=PIPELINE)
    config = Config(dict(test_sets=dict(a=settings)))
    (picture,) = browse(config, 'a', 1, tmp_path / 'out')
    turned = read_image(picture)
    place(tmp_path / 'images', IMAGES['8.jpg']).replace(tmp_path / 'images/6.jpg')
    (picture,) = browse(config, 'a', 1, tmp_path / 'out')
    assert not np.array_equal(read_image(picture), turned)


# --- labels ---------------------------------------------------------------------------------------


def label_by_reader(path: Path) -> np.ndarray:
    return read_label(path)


def label_by_cache(path: Path) -> np.ndarray:
    file = PixelFile(str(path), True, None)
    write_entry(path.parent / 'cache', file)
    return CachedFiles(path.parent / 'cache', [file]).read(file).array


def _labelled_folder(path: Path) -> dict:
    known = LABELS[path.name].pixels
    size = SIZE if known is None else known.shape
    plain(np.zeros((*size, 3), np.uint8), path.parents[1] / f'images/{path.stem}.png')
    return dict(
        type='FolderDataset',
        data_root=str(path.parents[1]),
        images='images',
        labels=path.parent.name,
        pipeline=LABELLED,
    )


def label_by_training(path: Path) -> np.ndarray:
    source = _labelled_folder(path)
    size = read_image(path.parents[1] / f'images/{path.stem}.png').shape[:2]
    settings = dict(
        type='SourceTargetDataset', source=source, crop_size=size, max_class_share=1.0, flip=0.0
    )
    return DATASETS.build(settings)[0]['source_label'].numpy()


def label_by_validation(path: Path) -> np.ndarray:
    return DATASETS.build(_labelled_folder(path))[0]['data_samples'].gt_sem_seg.data[0].numpy()


def label_by_test(path: Path) -> np.ndarray:
    item = CheckedDataset(DATASETS.build(_labelled_folder(path)))[0]
    if UNUSABLE in item:
        raise DataError(item[UNUSABLE])
    return item['data_samples'].gt_sem_seg.data[0].numpy()


@pytest.mark.parametrize(
    'entry',
    [label_by_reader, label_by_cache, label_by_training, label_by_validation, label_by_test],
)
@pytest.mark.parametrize('name', LABELS)
def test_a_label_gives_the_same_ids_everywhere(tmp_path, name, entry):
    file = LABELS[name]
    path = place(tmp_path / 'labels', file)
    if file.pixels is None:
        with pytest.raises(DataError, match=f'{re.escape(name)}.*{file.refusal}'):
            entry(path)
    else:
        np.testing.assert_array_equal(entry(path), file.pixels)


@pytest.mark.parametrize('name', LABELS)
def test_what_is_made_of_a_label(tmp_path, name):
    """Statistics, scores, masks, train ids and the doctor read it in the same way."""
    file = LABELS[name]
    path = place(tmp_path / 'labels', file)
    mask = path.with_name('a_gt_invGray.png')
    settings = dict(_labelled_folder(path), type='FolderDataset')
    report = Report()
    if file.pixels is None:
        for read in (count_label, train_ids_of_label_ids, read_label):
            with pytest.raises(DataError, match=file.refusal):
                read(path)
        with pytest.raises(DataError, match=file.refusal):
            score(path.parent, path.parent, workers=1)
        assert not check_set(report, settings, fatal=True)
        assert re.search(file.refusal, report.problems[0])
        path.rename(mask)
        with pytest.raises(DataError, match=file.refusal):
            read_invalid_mask(mask)
        return
    ids, counts = np.unique(file.pixels, return_counts=True)
    assert count_label(path) == dict(zip(ids.tolist(), counts.tolist(), strict=True))
    np.testing.assert_array_equal(train_ids_of_label_ids(path), train_id_table()[file.pixels])
    plain(file.pixels, tmp_path / 'predicted' / name)
    assert score(tmp_path / 'predicted', path.parent, workers=1)['mIoU'] == 100
    assert check_set(report, settings, fatal=True), report.lines


def test_a_turned_image_and_an_upright_label_score_as_without_the_tag(
    tmp_path, config_file, checkpoint, data_root
):
    """A phone's picture, and its label as labelling tools draw it."""
    config = Config.fromfile(str(config_file))
    plainly = evaluate(config, checkpoint, names=['night_val'], device='cpu', workers=0)
    for path in (data_root / 'images').rglob('*.jpg'):
        upright = read_image(path)
        path.unlink()
        exif = Image.Exif()
        exif[0x0112] = 6  # stored turned by 90 degrees to the left
        stored = np.rot90(upright)
        path.with_suffix('.png').write_bytes(encode(stored, exif=exif))
        np.testing.assert_array_equal(read_image(path.with_suffix('.png')), upright)
    turned = evaluate(config, checkpoint, names=['night_val'], device='cpu', workers=0)
    keys = [key for key in plainly if 'IoU' in key]
    assert keys and {k: turned[k] for k in keys} == {k: plainly[k] for k in keys}


@pytest.mark.parametrize('scope', ['mmengine.LoadImageFromFile'])
def test_another_reader_in_a_pipeline_is_refused(tmp_path, scope):
    place(tmp_path, IMAGES['1.png'])
    pipeline = [dict(type=scope), PIPELINE[1]]
    settings = dict(type='FolderDataset', images=str(tmp_path), pipeline=pipeline)
    with pytest.raises(ConfigError, match="a: its pipeline has .*; write type='LoadImageFromFile'"):
        select_datasets(Config(dict(test_sets=dict(a=settings))))


@pytest.mark.parametrize(
    'settings',
    [
        dict(type='LoadImageFromFile', color_type='unchanged'),
        dict(type='LoadImageFromFile', ignore_empty=True),
        dict(type='LoadImageFromFile', backend_args=dict(backend='petrel')),
        dict(type='LoadAnnotations', backend_args=dict(backend='petrel')),
    ],
)
def test_settings_of_other_readers_are_refused(tmp_path, settings):
    place(tmp_path, IMAGES['1.png'])
    with pytest.raises(ConfigError, match=settings['type']):
        DATASETS.build(dict(type='FolderDataset', images=str(tmp_path), pipeline=[settings]))


#: What decodes files that are none of a user's images: bytes of its own making, and archives.
DECODERS = ('datasets/images.py', 'datasets/jpeg.py', 'datasets/png.py',
            'evaluation/worst_cases.py', 'evaluation/submission_check.py')  # fmt: skip


def test_no_other_module_decodes_images(repo_root):
    """So there is one way to read a pixel."""
    package = repo_root / 'dsr_nss'
    found = re.compile(r'(imread|imdecode|Image\.open|imfrombytes|decode_jpeg|pyspng\.load)\(')
    others = [
        path.relative_to(package).as_posix()
        for path in package.rglob('*.py')
        if found.search(re.sub(r'#.*', '', path.read_text()))
    ]
    assert sorted(others) == sorted(DECODERS)
