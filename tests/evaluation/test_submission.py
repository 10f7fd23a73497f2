"""Writing archives for test servers: what they hold, and that there is never half of one."""

import dataclasses
import fnmatch
import io
import stat
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.errors import DataError
from dsr_nss.evaluation.submission import SUBMISSION_FORMATS, SubmissionWriter

SIZE = (6, 10)
FRAMES = {
    'dark_zurich': ('GOPR0364_frame_000001', 'GP010364_frame_000009'),
    'acdc': ('GOPR0364_frame_000001', 'GP010364_frame_000009'),
    'cityscapes': ('berlin_000000_000019', 'munich_000000_000019'),
}
ENDING = {'dark_zurich': '_rgb_anon', 'acdc': '_rgb_anon', 'cityscapes': '_leftImg8bit'}
CITYSCAPES_IDS = {'road': 7, 'building': 11, 'pole': 17, 'sky': 23, 'car': 26, 'bicycle': 33}


def tiny(kind):
    """The format of a server with two images of 6x10 pixels."""
    return dataclasses.replace(SUBMISSION_FORMATS[kind], counts=(2,), size=SIZE)


def names(kind):
    """Paths of the images in the published layout, without suffix."""
    return [f'{frame.split("_")[0]}/{frame}{ENDING[kind]}' for frame in FRAMES[kind]]


def predictions(kind):
    """Name, train ids (all of them occur) and confidence (0 and 1 occur) of each image."""
    rng = np.random.default_rng(0)
    for name in names(kind):
        ids = rng.permutation(np.arange(60) % 19).reshape(SIZE).astype(np.uint8)
        confidence = rng.uniform(1 / 19, 1, SIZE).astype(np.float32)
        confidence[0, :2] = 0, 1
        yield name, ids, confidence


def write(kind, path, **options):
    """A whole archive."""
    with SubmissionWriter(tiny(kind), path, names(kind), **options) as writer:
        for prediction in predictions(kind):
            writer.add(*prediction)
    return path


def read(path):
    """Path in the archive -> pixels, and the mode in which pillow opens them."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        opened = {n: Image.open(io.BytesIO(archive.read(n))) for n in archive.namelist()}
        return {n: np.array(i) for n, i in opened.items()}, {i.mode for i in opened.values()}


def test_dark_zurich(tmp_path):
    pixels, modes = read(write('dark_zurich', tmp_path / 'a.zip', invalid_below=0.5))
    assert modes == {'L', 'I;16'}  # one channel, 8 and 16 bits
    folders = ('labelTrainIds', 'confidence', 'labelTrainIds_invalid')
    assert set(pixels) == {f'{d}/{f}.png' for d in folders for f in FRAMES['dark_zurich']}
    for frame, (_, ids, confidence) in zip(
        FRAMES['dark_zurich'], predictions('dark_zurich'), strict=True
    ):
        np.testing.assert_array_equal(pixels[f'labelTrainIds/{frame}.png'], ids)
        stored = pixels[f'confidence/{frame}.png']
        assert stored[0, 0] == 0 and stored[0, 1] == 65535
        np.testing.assert_array_less(abs(stored - confidence.astype(float) * 65535), 0.51)
        abstaining = [
            [255 if c < 0.5 else i for i, c in zip(*rows, strict=True)]
            for rows in zip(ids, confidence, strict=True)
        ]
        np.testing.assert_array_equal(pixels[f'labelTrainIds_invalid/{frame}.png'], abstaining)


def test_abstains_strictly_below_the_threshold_and_by_default_nowhere(tmp_path):
    ids = np.zeros((1, 3), np.uint8)
    confidence = np.array([[0.25, np.nextafter(0.25, 0, dtype=np.float32), 1]], np.float32)
    format = dataclasses.replace(tiny('dark_zurich'), counts=(1,), size=ids.shape)
    for threshold, expected in ((0.25, [[0, 255, 0]]), (None, [[0, 0, 0]])):
        with SubmissionWriter(format, tmp_path / 'a.zip', invalid_below=threshold) as writer:
            writer.add('GOPR0364_frame_000001', ids, confidence)
        pixels, _ = read(tmp_path / 'a.zip')
        written = pixels['labelTrainIds_invalid/GOPR0364_frame_000001.png']
        np.testing.assert_array_equal(written, expected)


def test_acdc(tmp_path):
    pixels, modes = read(write('acdc', tmp_path / 'a.zip'))
    assert modes == {'L'}
    assert set(pixels) == {f'labelTrainIds/{frame}.png' for frame in FRAMES['acdc']}
    for written, (_, ids, _) in zip(pixels.values(), predictions('acdc'), strict=True):
        np.testing.assert_array_equal(written, ids)


def test_cityscapes_gets_label_ids(tmp_path):
    pixels, modes = read(write('cityscapes', tmp_path / 'a.zip'))
    assert modes == {'L'}
    assert set(pixels) == {f'{frame}_pred_labelIds.png' for frame in FRAMES['cityscapes']}
    # the rule by which the official script finds the prediction of an image
    assert fnmatch.filter(pixels, 'berlin_000000_000019*.png') == [next(iter(pixels))]
    for written, (_, ids, _) in zip(pixels.values(), predictions('cityscapes'), strict=True):
        for name, label_id in CITYSCAPES_IDS.items():
            np.testing.assert_array_equal(written == label_id, ids == CLASSES.index(name))


def test_published_formats():
    kinds = SUBMISSION_FORMATS
    assert {name: (f.counts[0], f.size) for name, f in kinds.items()} == {
        'dark_zurich': (151, (1080, 1920)),
        'acdc': (2000, (1080, 1920)),
        'cityscapes': (1525, (1024, 2048)),
    }
    assert all(name == format.name for name, format in kinds.items())
    assert kinds['dark_zurich'].needs_confidence and kinds['dark_zurich'].abstains
    assert not kinds['acdc'].needs_confidence and not kinds['cityscapes'].needs_confidence


def test_same_predictions_give_the_same_readable_archive(tmp_path):
    first, second = (write('dark_zurich', tmp_path / name) for name in ('a.zip', 'b.zip'))
    assert first.read_bytes() == second.read_bytes()
    assert stat.S_IMODE(first.stat().st_mode) == 0o644
    with zipfile.ZipFile(first) as archive:
        assert {stat.S_IMODE(i.external_attr >> 16) for i in archive.infolist()} == {0o644}


@pytest.mark.parametrize('old', [None, b'older archive'])
def test_nothing_appears_if_something_fails(tmp_path, old):
    path = tmp_path / 'a.zip'
    if old:
        path.write_bytes(old)
    with suppress(KeyboardInterrupt), SubmissionWriter(tiny('acdc'), path, names('acdc')) as writer:
        writer.add(*next(predictions('acdc')))
        raise KeyboardInterrupt
    with pytest.raises(DataError, match='1 of 2 images were not predicted, .*GP010364_frame_0000'):
        with SubmissionWriter(tiny('acdc'), path, names('acdc')) as writer:
            writer.add(*next(predictions('acdc')))
    with pytest.raises(DataError, match='no image was predicted'):
        with SubmissionWriter(tiny('acdc'), path):
            pass
    assert [file.name for file in tmp_path.iterdir()] == (['a.zip'] if old else [])
    assert not old or path.read_bytes() == old


def test_other_numbers_and_sizes_are_written_with_a_warning(tmp_path):
    with pytest.warns(UserWarning) as caught:
        with SubmissionWriter('acdc', tmp_path / 'a.zip', names('acdc')) as writer:
            for prediction in predictions('acdc'):
                writer.add(*prediction)
    assert [str(warning.message).partition('; ')[2] for warning in caught] == [
        'the server of ACDC expects images of 1080x1920',  # once
        'the server of ACDC expects 2000 or 500 images',
    ]
    assert len(read(tmp_path / 'a.zip')[0]) == 2


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('dark_zurich', 'berlin_000000_000019_leftImg8bit'),
        ('dark_zurich', 'GOPR0364_frame_00001_rgb_anon'),
        ('dark_zurich', 'GOPR0364_frame_000001_rgb_ref_anon'),
        ('cityscapes', 'GOPR0364_frame_000001_rgb_anon'),
        ('cityscapes', 'berlin_000000_000019_gtFine_labelIds'),
    ],
)
def test_foreign_names_are_refused_before_any_prediction(tmp_path, kind, name):
    with pytest.raises(DataError, match=f'{name}: not a name of an image of'):
        SubmissionWriter(kind, tmp_path / 'a.zip', [name])


def test_names_that_would_meet_are_refused(tmp_path):
    twice = ['fog/GOPR0364_frame_000001_rgb_anon', 'night/GOPR0364_frame_000001_rgb_anon']
    with pytest.raises(DataError, match='fog/.* and night/.* would have the same name'):
        SubmissionWriter('acdc', tmp_path / 'a.zip', twice)


def test_options(tmp_path):
    with pytest.raises(ValueError, match="unknown server 'kitti'; known are dark_zurich, acdc"):
        SubmissionWriter('kitti', tmp_path / 'a.zip')
    with pytest.raises(ValueError, match='ACDC takes no labels with invalid pixels'):
        SubmissionWriter('acdc', tmp_path / 'a.zip', invalid_below=0.5)
    with pytest.raises(ValueError, match='invalid_below must lie in 0..1, got 50'):
        SubmissionWriter('dark_zurich', tmp_path / 'a.zip', invalid_below=50)
    with pytest.raises(DataError, match='is a folder'):
        SubmissionWriter('acdc', tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(name='x/GOPR0999_frame_000001_rgb_anon'), 'not one of the 2 expected'),
        (dict(ids=np.zeros(SIZE, np.int64)), r'must be \(H, W\) uint8'),
        (dict(ids=np.zeros((1, *SIZE), np.uint8)), r'must be \(H, W\) uint8'),
        (dict(ids=np.full(SIZE, 255, np.uint8)), r'train id 255; there are only 0\.\.18'),
        (dict(confidence=None), 'takes a confidence'),
        (dict(confidence=np.ones((3, 3), np.float32)), r'confidence must be \(6, 10\) float'),
        (dict(confidence=np.ones(SIZE, np.uint8)), r'confidence must be \(6, 10\) float'),
        (dict(confidence=np.full(SIZE, 1.5)), r'confidence must lie in 0\.\.1, got 1\.5'),
        (dict(confidence=np.full(SIZE, np.nan)), r'confidence must lie in 0\.\.1, got nan'),
    ],
)
def test_unusable_predictions(tmp_path, change, message):
    name, ids, confidence = next(predictions('dark_zurich'))
    prediction = {'name': name, 'ids': ids, 'confidence': confidence} | change
    with pytest.raises(ValueError, match=message):
        with SubmissionWriter(
            tiny('dark_zurich'), tmp_path / 'a.zip', names('dark_zurich')
        ) as writer:
            writer.add(*prediction.values())
    assert not list(tmp_path.iterdir())


def test_an_image_is_added_once(tmp_path):
    with pytest.raises(ValueError, match='are the same image, GOPR0364_frame_000001'):
        with SubmissionWriter(tiny('acdc'), tmp_path / 'a.zip') as writer:
            for _ in range(2):
                writer.add(*next(predictions('acdc')))


def test_rounding_beyond_one_is_no_overflow(tmp_path):
    name, ids, _ = next(predictions('dark_zurich'))
    format = dataclasses.replace(tiny('dark_zurich'), counts=(1,))
    with SubmissionWriter(format, tmp_path / 'a.zip') as writer:
        writer.add(name, ids, np.full(SIZE, np.nextafter(1, 2, dtype=np.float32)))
    pixels, _ = read(tmp_path / 'a.zip')
    assert (pixels[f'confidence/{FRAMES["dark_zurich"][0]}.png'] == 65535).all()
