"""The check of an archive: what the writer makes passes, and every kind of defect is named."""

import dataclasses
import io
import re
import warnings
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from dsr_nss.errors import DataError
from dsr_nss.evaluation.submission import SUBMISSION_FORMATS, SubmissionWriter
from dsr_nss.evaluation.submission_check import check_submission, detect_format
from tests.evaluation.test_submission import FRAMES, SIZE, names, tiny, write

FIRST, SECOND = FRAMES['dark_zurich']
LABEL = f'labelTrainIds/{FIRST}.png'


def png(pixels, mode=None, **options):
    """The bytes of a PNG."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, 'PNG', **options)
    return file.getvalue()


ZEROS = np.zeros(SIZE, np.uint8)


def edit(path, changes, entries=()):
    """Replaces, adds (bytes) or drops (None) files of an archive; `entries` come at the end."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files.update(changes)
    with warnings.catch_warnings(), zipfile.ZipFile(path, 'w') as archive:
        warnings.simplefilter('ignore', UserWarning)  # duplicate names are meant
        for name, data in [*files.items(), *entries]:
            if data is not None:
                archive.writestr(name, data)
    return path


def problems(path, kind='dark_zurich', contents=False, **options):
    """Kinds and texts of what is found.

    A file that is replaced also contradicts the other label set: only `contents` asks for that.
    """
    check = check_submission(path, tiny(kind) if isinstance(kind, str) else kind, **options)
    found = [(problem.what, problem.text) for problem in check.problems]
    return [one for one in found if contents or one[0] != 'contents']


@pytest.mark.parametrize('kind', SUBMISSION_FORMATS)
def test_what_the_writer_makes_passes(tmp_path, kind):
    check = check_submission(write(kind, tmp_path / 'a.zip'), tiny(kind))
    assert check.problems == []
    assert check.images == 2 and check.by_form and check.format == tiny(kind)


@pytest.mark.parametrize('kind', SUBMISSION_FORMATS)
def test_kind_is_told_from_the_names(tmp_path, kind):
    found = check_submission(write(kind, tmp_path / 'a.zip'))
    assert found.format is SUBMISSION_FORMATS[kind]
    assert {problem.what for problem in found.problems} == {'count', 'size'}


def test_kind_of_wrong_names():
    dark_zurich = [f'GOPR0364_frame_{i:06d}_rgb_anon.png' for i in range(151)]
    assert detect_format(dark_zurich).name == 'dark_zurich'
    assert detect_format(dark_zurich[:100]).name == 'acdc'
    assert detect_format(['x/confidence/1.png']).name == 'dark_zurich'
    assert detect_format(['x/labelTrainIds/1.png']).name == 'acdc'
    assert detect_format(['results/bonn_000001_000019.png']).name == 'cityscapes'
    assert detect_format(['a.png', 'confidence']) is None


def test_unknown_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('a.txt', 'a')
    ((what, text),) = problems(tmp_path / 'a.zip', None)
    assert what == 'archive' and 'of no known server' in text


DEFECTS = {
    'train id 19': ({LABEL: png(ZEROS + 19)}, 'ids', r'holds \[19\]; allowed are 0-18$'),
    'nothing predicted in labelTrainIds': ({LABEL: png(ZEROS + 255)}, 'ids', r'holds \[255\]'),
    'train id 254 where 255 may be': (
        {f'labelTrainIds_invalid/{FIRST}.png': png(ZEROS + 254)},
        'ids',
        r'holds \[254\]; allowed are 0-18, 255',
    ),
    'half the size': (
        {LABEL: png(ZEROS[:3, :5].copy())},
        'size',
        r'3x5 pixels \(height x width\), not 6x10',
    ),
    'width and height swapped': ({LABEL: png(ZEROS.T.copy())}, 'size', '10x6 pixels'),
    'colours': ({LABEL: png(ZEROS, 'RGB')}, 'channels', 'RGB instead of a single channel'),
    'palette': ({LABEL: png(ZEROS, 'P')}, 'channels', 'a palette instead'),
    'grey and alpha': ({LABEL: png(ZEROS, 'LA')}, 'channels', 'grey and alpha instead'),
    'one bit': ({LABEL: png(ZEROS, '1')}, 'depth', '1 bits a pixel, not 8'),
    '16-bit labels': ({LABEL: png(ZEROS.astype(np.uint16))}, 'depth', '16 bits a pixel, not 8'),
    '8-bit confidence': (
        {f'confidence/{FIRST}.png': png(ZEROS)},
        'depth',
        f'confidence/{FIRST}.png: 8 bits a pixel, not 16',
    ),
    'no PNG': ({LABEL: b'GIF89a' + bytes(100)}, 'png', 'not a PNG file'),
    'empty file': ({LABEL: b''}, 'png', 'not a PNG file'),
    'truncated PNG': ({LABEL: png(ZEROS)[:-20]}, 'damaged', 'cannot be decoded'),
    'missing file': ({LABEL: None}, 'missing', f'{LABEL} is missing'),
    'suffix of the image kept': (
        {LABEL: None, f'labelTrainIds/{FIRST}_rgb_anon.png': png(ZEROS)},
        'name',
        f'{FIRST}_rgb_anon.png: should be {LABEL}',
    ),
    'folder of the sequence kept': (
        {LABEL: None, f'labelTrainIds/GOPR0364/{FIRST}.png': png(ZEROS)},
        'name',
        f'labelTrainIds/GOPR0364/{FIRST}.png: should be {LABEL}',
    ),
    'image predicted twice': (
        {f'labelTrainIds/{FIRST}_b.png': png(ZEROS)},
        'duplicate',
        'predictions of the same image',
    ),
    'system file': ({'labelTrainIds/.DS_Store': b'x'}, 'extra', r'labelTrainIds/\.DS_Store'),
    'file beside the folders': ({'README.txt': b'x'}, 'extra', 'README.txt: not one of'),
    'folder beside the folders': ({'color/': b''}, 'extra', 'color/: a folder'),
    'label as JPEG': ({f'labelTrainIds/{FIRST}.jpg': b'x'}, 'extra', 'not one of the files'),
    'number with seven digits': (
        {'labelTrainIds/GOPR0364_frame_0000011.png': png(ZEROS)},
        'extra',
        'GOPR0364_frame_0000011.png: not one of',
    ),
    'absolute path': ({'/etc/passwd': b'x'}, 'path', "'/etc/passwd': an absolute path"),
    'path upwards': ({'labelTrainIds/../../x.png': b'x'}, 'path', 'absolute path, or one that'),
    'path of Windows': ({f'labelTrainIds\\{FIRST}.png': b'x'}, 'path', 'absolute path, or'),
    'drive': ({'C:/x.png': b'x'}, 'path', 'absolute path, or'),
    'same entry twice': ({}, 'duplicate', f'{LABEL}: several entries'),
}


@pytest.mark.parametrize('defect', DEFECTS)
def test_each_defect_is_named_and_nothing_else(archive, defect):
    changes, what, text = DEFECTS[defect]
    entries = [(LABEL, png(ZEROS))] if defect == 'same entry twice' else []
    ((found_what, found_text),) = problems(edit(archive, changes, entries))
    assert found_what == what
    assert re.search(text, found_text), found_text


def test_all_problems_are_found_at_once(archive):
    edit(archive, {LABEL: None, 'x.txt': b'', f'labelTrainIds/{SECOND}.png': png(ZEROS + 200)})
    assert sorted(what for what, _ in problems(archive)) == ['extra', 'ids', 'missing']


def test_folder_without_predictions_is_one_problem(archive):
    edit(archive, {f'confidence/{frame}.png': None for frame in (FIRST, SECOND)})
    assert problems(archive) == [('folder', 'confidence/ holds no prediction')]


def test_folders_as_zip_r_packs_them_are_fine(archive):
    folders = {'labelTrainIds/': b'', 'confidence/': b'', 'labelTrainIds_invalid/': b''}
    assert problems(edit(archive, folders)) == []


def test_what_lies_in_a_folder_around_everything_is_checked_too(archive):
    with zipfile.ZipFile(archive) as file:
        files = {name: file.read(name) for name in file.namelist()}
    moved = {'submit/': b''} | {f'submit/{name}': data for name, data in files.items()}
    moved[f'submit/{LABEL}'] = png(ZEROS + 50)
    edit(archive, dict.fromkeys(files) | moved)
    (wrapper, ids) = problems(archive)
    assert wrapper[0] == 'folder' and 'everything lies in a folder submit/: pack' in wrapper[1]
    assert ids[0] == 'ids'


def test_number_of_images(archive, tmp_path):
    three = dataclasses.replace(tiny('dark_zurich'), counts=(3,))
    assert problems(archive, three) == [('count', 'predictions of 2 images, not of 3')]
    one = dataclasses.replace(tiny('dark_zurich'), counts=(1,))
    assert ('count', 'labelTrainIds: only 1 of the files were opened') in problems(archive, one)
    either = dataclasses.replace(tiny('dark_zurich'), counts=(5, 2))
    assert problems(archive, either) == []


def test_cityscapes_files_may_lie_anywhere_but_once(tmp_path):
    path = write('cityscapes', tmp_path / 'a.zip')
    frame = FRAMES['cityscapes'][0]
    changes = {
        f'{frame}_pred_labelIds.png': None,
        f'results/berlin/{frame}_leftImg8bit.png': png(ZEROS + 7),
    }
    assert problems(edit(path, changes), 'cityscapes') == []
    (problem,) = problems(edit(path, {f'{frame}.png': png(ZEROS + 7)}), 'cityscapes')
    assert problem[0] == 'duplicate'


def test_train_ids_for_cityscapes(tmp_path):
    path = write('cityscapes', tmp_path / 'a.zip')
    train_ids = np.arange(60, dtype=np.uint8).reshape(SIZE) % 19
    name = f'{FRAMES["cityscapes"][0]}_pred_labelIds.png'
    ((what, text),) = problems(edit(path, {name: png(train_ids)}), 'cityscapes')
    assert what == 'ids' and 'holds [0, 1, 2, 3, 4, 5, 6, 9, 10,' in text
    assert text.endswith('allowed are 7-8, 11-13, 17, 19-28, 31-33')


@pytest.fixture
def images(tmp_path):
    """The images that `archive` has predictions of."""
    for name in names('dark_zurich'):
        file = tmp_path / f'test/night/{name}.png'
        file.parent.mkdir(parents=True)
        Image.new('RGB', SIZE[::-1]).save(file)
    return tmp_path / 'test'


def test_names_and_sizes_of_the_images(archive, images, tmp_path):
    check = check_submission(archive, images=images)  # the published format: any number is right
    assert check.problems == [] and not check.by_form
    edit(archive, {LABEL.replace(FIRST, 'GOPR0356_frame_000001'): png(ZEROS)})
    ((what, text),) = problems(archive, images=images)
    assert what == 'extra' and 'GOPR0356_frame_000001.png: there is no such image' in text
    Image.new('RGB', (3, 4)).save(images / f'night/GOPR0364/{FIRST}_rgb_anon.png')
    sizes = [text for what, text in problems(archive, images=images) if what == 'size']
    assert len(sizes) == 3 and '6x10 pixels (height x width), not 4x3' in sizes[0]


def test_images_of_several_folders(archive, images, tmp_path):
    """ACDC's conditions, which training and reference images stand between."""
    (moved,) = images.rglob(f'{SECOND}_rgb_anon.png')
    (tmp_path / 'fog').mkdir()
    moved.rename(tmp_path / 'fog' / moved.name)
    assert problems(archive, images=images) != []
    assert problems(archive, images=[images, tmp_path / 'fog']) == []
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        check_submission(archive, images=[images, tmp_path / 'nowhere'])


def test_unusable_arguments(archive, images, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.zip: no such file'):
        check_submission(tmp_path / 'nowhere.zip')
    with pytest.raises(DataError, match='is a folder'):
        check_submission(tmp_path)
    with pytest.raises(ValueError, match="unknown server 'kitti'"):
        check_submission(archive, 'kitti')
    with pytest.raises(FileNotFoundError, match='no images in it'):
        check_submission(archive, images=tmp_path / 'nowhere')
    (images / 'x.png').write_bytes(b'x')
    with pytest.raises(DataError, match='x.png: neither a PNG nor a JPEG'):
        check_submission(archive, images=images)
    Image.new('L', (3, 4)).save(images / 'x.png')
    with pytest.raises(DataError, match='x: not a name of an image of Dark Zurich'):
        check_submission(archive, images=images)


@pytest.fixture
def tool(run_tool):
    """The command line, as a function of its arguments."""
    return partial(run_tool, 'check_submission')


def test_command_line_success_is_one_line(tool, capsys, archive, images):
    assert tool(archive, '--images', images) == 0
    out = capsys.readouterr().out
    assert out == f'{archive} for Dark Zurich: OK, 2 images, 0.0 MB\n'


def test_command_line_counts_what_it_does_not_print(tool, capsys, archive, images):
    extra = {f'labelTrainIds/{i}.txt': b'' for i in range(12)}
    edit(archive, extra | {LABEL: png(ZEROS + 99)})
    assert tool(archive, '--kind', 'dark_zurich', '--images', images) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{archive} for Dark Zurich: 14 problem(s)'
    assert len(lines) == 1 + 5 + 1 + 1 + 1
    assert lines[6] == '  extra: ... and 7 more'
    assert lines[7].startswith(f'  ids: {LABEL}: holds [99]')
    assert lines[8].startswith(f'  contents: labelTrainIds_invalid/{FIRST}.png: ')


def test_command_line_without_an_archive(tool, capsys, tmp_path):
    assert tool(tmp_path / 'a.zip') == 2
    assert f'error: {tmp_path}/a.zip: no such file' in capsys.readouterr().err


@pytest.mark.slow
def test_archive_of_the_published_size(tool, capsys, tmp_path):
    rng = np.random.default_rng(0)
    format = SUBMISSION_FORMATS['dark_zurich']
    ids = np.kron(rng.integers(0, 19, (27, 48)), np.ones((40, 40))).astype(np.uint8)
    confidence = np.kron(rng.uniform(0, 1, (27, 48)), np.ones((40, 40))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with SubmissionWriter(format, tmp_path / 'a.zip', invalid_below=0.3) as writer:
            for i in range(151):
                writer.add(f'GOPR0364_frame_{i:06d}_rgb_anon', ids, confidence)
    assert tool(tmp_path / 'a.zip') == 0
    assert 'for Dark Zurich: OK, 151 images' in capsys.readouterr().out


def test_a_prediction_that_viewers_would_turn(archive):
    """The server takes the pixels as they are stored."""
    exif = Image.Exif()
    exif[0x0112] = 3
    found = problems(edit(archive, {LABEL: png(ZEROS, exif=exif)}))
    assert found == [('png', f'{LABEL}: has an EXIF orientation; store it upright, without one')]
    exif[0x0112] = 1
    assert problems(edit(archive, {LABEL: png(ZEROS, exif=exif)})) == []
