"""`tools/infer.py` on made files: mixed sizes, broken files, a video, and runs that go on."""

import errno
import json
import os

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dsr_nss.classes import PALETTE
from dsr_nss.datasets.images import read_image
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.inference import predictor as predictor_module
from dsr_nss.inference.inputs import Input, find_inputs
from dsr_nss.inference.load import read_model_config
from dsr_nss.inference.record import Results, describe_run

NAMES = ('a/0', 'b/0', 'b/1')


def read(path):
    return np.array(Image.open(path))


@pytest.fixture
def run_here(run_tool):
    return lambda *words: run_tool('infer', *words, '--device', 'cpu')


@pytest.mark.parametrize(('workers', 'batch_size', 'tta'), [(2, 2, False), (0, 1, True)])
def test_folder_gives_what_the_test_gives(
    predict, tmp_path, config_file, checkpoint, data_root, workers, batch_size, tta
):
    options = dict(workers=workers, tta=tta)
    report = predict(
        data_root / 'images', tmp_path / 'out', overlays=True, batch_size=batch_size, **options
    )
    assert (report.images, report.predicted, report.failed) == (3, 3, {})
    config = read_model_config(config_file)
    evaluate(
        config, checkpoint, out=tmp_path / 'test', device='cpu', progress=False, workers=0, tta=tta
    )
    for name in NAMES:
        ids = read(tmp_path / f'out/labelTrainIds/{name}.png')
        expected = read(tmp_path / f'test/night_val/labelTrainIds/{name}.png')
        assert np.mean(ids != expected) < 0.005  # batches round in another order: near-ties
        colours = np.array(PALETTE, np.uint8)[ids]
        assert np.array_equal(read(tmp_path / f'out/color/{name}.png'), colours)
        image = read_image(data_root / f'images/{name}.jpg')
        mixed = (image.astype(float) + colours) / 2
        assert np.abs(read(tmp_path / f'out/overlay/{name}.png') - mixed).max() <= 0.5


def test_images_of_one_size_share_a_batch(predict, tmp_path, data_root, seen):
    predict(data_root / 'images', tmp_path / 'out', batch_size=2)
    assert seen == [1, 1, 1]  # neighbours differ in size
    (data_root / 'images/b/0.jpg').unlink()
    seen.clear()
    predict(data_root / 'images', tmp_path / 'again', batch_size=2)
    assert seen == [2]


def test_a_stopped_run_goes_on(predict, tmp_path, data_root, seen):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    first = {path: path.read_bytes() for path in out.rglob('*.png')}
    (out / 'labelTrainIds/b/0.png').unlink()
    (out / 'color/a/0.png').unlink()
    seen.clear()
    report = predict(data_root / 'images', out)
    assert seen == [1] and report.predicted == 1 and report.images == 3  # colours need no network
    assert {path: path.read_bytes() for path in out.rglob('*.png')} == first
    assert not [path for path in out.rglob('.*')]  # nothing half-written
    assert predict(data_root / 'images', out).predicted == 0
    assert predict(data_root / 'images', out, overwrite=True).predicted == 3


def test_results_of_two_models_do_not_mix(predict, tmp_path, data_root):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    with pytest.raises(ConfigError, match=r'another run \(different: tta\).*--overwrite'):
        predict(data_root / 'images', out, tta=True)
    assert predict(data_root / 'images', out, tta=True, overwrite=True).predicted == 3


def test_a_result_of_another_file_is_not_taken(predict, tmp_path, data_root, seen):
    """Whatever its name; a copy of the file, of another time, is the same."""
    out, names = tmp_path / 'out', ('one', 'two', 'copy')
    for name, source in zip(names, ('a/0', 'b/0', 'a/0'), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x.jpg').write_bytes((data_root / f'images/{source}.jpg').read_bytes())
    os.utime(tmp_path / 'copy/x.jpg', (1, 1))
    predict(tmp_path / 'one', out)
    first = read(out / 'labelTrainIds/x.png')
    with pytest.raises(ConfigError, match=r'x was made of another file \(.*one/x.jpg.*two/x.jpg'):
        predict(tmp_path / 'two', out)
    assert np.array_equal(read(out / 'labelTrainIds/x.png'), first)
    assert predict(tmp_path / 'copy', out).kept == 1
    assert predict(tmp_path / 'two', out, overwrite=True).predicted == 1
    assert read(out / 'labelTrainIds/x.png').shape != first.shape


def test_overwriting_some_does_not_adopt_the_others(predict, tmp_path, data_root):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    predict(data_root / 'images/b', out, tta=True, overwrite=True)  # results 0 and 1
    assert predict(data_root / 'images/b', out, tta=True).kept == 2
    with pytest.raises(ConfigError, match='the result a/0 was made by another run'):
        predict(data_root / 'images', out, tta=True)


def test_what_no_line_tells_of_is_made_again(predict, tmp_path, data_root):
    """A program that is killed leaves a torn line; what it tells of is not trusted."""
    out = tmp_path / 'out'
    predict(data_root / 'images', out, workers=0)
    record = out / 'infer_results.jsonl'
    lines = record.read_text().splitlines(keepends=True)
    record.write_text(''.join(lines[:2]) + lines[2][:30])
    report = predict(data_root / 'images', out, workers=0)
    assert (report.kept, report.predicted) == (2, 1)
    assert predict(data_root / 'images', out).kept == 3
    assert record.read_text().startswith(''.join(lines[:2]))


@pytest.mark.parametrize('text', ['[1]', '"a"', '[' * 100_000, '{"result": [1]}'])
def test_records_that_are_none_are_no_traceback(predict, tmp_path, data_root, text):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    lines = (out / 'infer_results.jsonl').read_text()
    row = json.loads(lines.splitlines()[0])
    odd = [text, json.dumps({**row, 'result': [1]}), json.dumps({**row, 'frames': 'many'})]
    (out / 'infer_results.jsonl').write_text('\n'.join([lines, *odd]))
    assert predict(data_root / 'images', out).kept == 3
    (out / 'infer.json').write_text(text)
    with pytest.raises(ConfigError, match='holds results of another run'):
        predict(data_root / 'images', out)


def test_settings_that_change_no_result_may_change(config_file, checkpoint):
    """Fewer windows at once are what helps where memory was too small."""
    config = read_model_config(config_file)

    def digest(**test_cfg):
        config.model.test_cfg = test_cfg
        return describe_run(config, checkpoint, 'student', False, None)['network']

    slide = dict(mode='slide', crop_size=(16, 16), stride=(8, 8))
    assert digest(**slide, max_windows=1) == digest(**slide, max_windows=4) == digest(**slide)
    assert digest(**slide) != digest(mode='whole')


def test_an_image_that_the_pipeline_cannot_take(predict, tmp_path, data_root, monkeypatch):
    def resize(self, data):
        if data['ori_shape'] == (24, 40):
            raise cv2.error('inv_scale_x > 0')
        return real(self, data)

    real = predictor_module.Compose.__call__
    monkeypatch.setattr(predictor_module.Compose, '__call__', resize)
    report = predict(data_root / 'images', tmp_path / 'out')
    assert report.images == 3 - len(report.failed) and 0 < len(report.failed) < 3
    for path, message in report.failed.items():
        assert f'{path}: the test pipeline of the config cannot take this image of 24x40' in message


@pytest.mark.parametrize('fault', ['memory', 'image'])
def test_neighbours_of_a_batch_do_not_fail_with_it(predict, tmp_path, monkeypatch, fault):
    real, folder = predictor_module.predict_batch, tmp_path / 'photos'
    bad = folder / '1.png'
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((24, 40, 3), 80 * i, np.uint8))

    def fails(model, data, *args, **options):
        paths = [sample.img_path for sample in data['data_samples']]
        if fault == 'memory' and len(paths) > 1:
            raise MemoryError
        if fault == 'image' and str(bad) in paths:
            raise DataError(f'{", ".join(paths)}: scores of NaN')
        return real(model, data, *args, **options)

    monkeypatch.setattr(predictor_module, 'predict_batch', fails)
    report = predict(folder, tmp_path / 'out', batch_size=3)
    wanted = {} if fault == 'memory' else {bad: f'{bad}: scores of NaN'}
    assert report.failed == wanted and report.images == 3 - len(wanted)


def test_a_full_disk_is_named(
    run_here, monkeypatch, tmp_path, config_file, checkpoint, data_root, capfd
):
    def replace(source, target):
        raise OSError(errno.ENOSPC, 'No space left on device')

    out = tmp_path / 'out'
    assert run_here(config_file, checkpoint, data_root / 'images/a', '--out', out) == 0
    monkeypatch.setattr('dsr_nss.files.os.replace', replace)
    assert run_here(config_file, checkpoint, data_root / 'images', '--out', out) == 2
    error = capfd.readouterr().err
    assert error.startswith(f'error: cannot write {out}') and 'No space left on device' in error


def test_a_broken_input_does_not_stop_the_others(
    run_here, tmp_path, config_file, checkpoint, capfd
):
    folder = tmp_path / 'mixed'
    folder.mkdir()
    rng = np.random.default_rng(0)

    def pixels(*shape, dtype=np.uint8):
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)

    cv2.imwrite(str(folder / 'colour.png'), pixels(30, 41, 3))
    cv2.imwrite(str(folder / 'grey.png'), pixels(20, 33))
    cv2.imwrite(str(folder / 'alpha.png'), pixels(20, 33, 4))
    cv2.imwrite(str(folder / 'deep.png'), pixels(20, 33, 3, dtype=np.uint16))
    good = cv2.imencode('.jpg', pixels(24, 40, 3))[1].tobytes()
    (folder / 'cut.jpg').write_bytes(good[:-100])
    (folder / 'empty.png').write_bytes(b'')
    (folder / 'notes.txt').write_text('not an image')
    (folder / 'clip.mp4').write_bytes(b'not a video')
    code = run_here(config_file, checkpoint, folder, '--out', tmp_path / 'out')
    printed = capfd.readouterr()
    assert code == 1
    assert '2 images in ' in printed.out and '1 .txt' in printed.out
    assert 'error: 5 inputs could not be predicted:' in printed.err
    for message in (
        'alpha.png: a PNG with an alpha channel',
        'deep.png: a 16-bit PNG',
        'cut.jpg: the file is truncated',
        'empty.png: the file is empty',
        'clip.mp4: no frame can be decoded',
    ):
        assert message in printed.err
    done = sorted(p.name for p in (tmp_path / 'out').rglob('*') if p.is_file())
    assert done == [*['colour.png'] * 2, *['grey.png'] * 2, 'infer.json', 'infer_results.jsonl']
    assert read(tmp_path / 'out/labelTrainIds/colour.png').shape == (30, 41)


def test_inputs_of_one_name_are_refused(tmp_path):
    for name in ('x/a.png', 'x/a.jpg', 'y/a.png', 'z/a.avi', 'z/a/000000.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    out = tmp_path / 'out'
    assert len(find_inputs([tmp_path / 'z/a.avi', tmp_path / 'y'], out)[0]) == 2  # no clash
    for inputs in (['x'], ['x/a.png', 'y'], ['z']):
        with pytest.raises(ConfigError, match='would both write a: rename one'):
            find_inputs([tmp_path / name for name in inputs], out)
    frames, _ = find_inputs([tmp_path / 'x', tmp_path / 'y'], out, unique_names=False)
    assert len(frames) == 3  # as calibration images, of which nothing is written
    found, _ = find_inputs([tmp_path / 'y', tmp_path / 'y'], out)
    assert [one.name for one in found] == ['a']  # given twice, predicted once
    with pytest.raises(FileNotFoundError, match='nothing: no such file or folder'):
        find_inputs([tmp_path / 'nothing'], out)
    (tmp_path / 'void').mkdir()
    with pytest.raises(FileNotFoundError, match='void holds no image'):
        find_inputs([tmp_path / 'void'], out)


def test_results_are_no_inputs(predict, tmp_path, data_root):
    with pytest.raises(FileNotFoundError, match='where results go'):
        predict(data_root / 'images', data_root)
    out = data_root / 'images' / 'out'
    assert predict(data_root / 'images', out).images == 3
    assert predict(data_root / 'images', out).images == 3
    assert predict(data_root / 'images', tmp_path / 'other').images == 3


def test_pictures_of_others_are_left_alone(predict, tmp_path, data_root):
    """Data sets have folders named color too."""
    mine = tmp_path / 'set/color/0.png'
    mine.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(mine)
    before = mine.read_bytes()
    with pytest.raises(ConfigError, match='set/color was not made by a prediction'):
        predict(data_root / 'images/b', tmp_path / 'set')
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r'color/0\.png lies where results go'):
            predict(mine, tmp_path / 'set', overwrite=overwrite)
    assert mine.read_bytes() == before


def test_an_image_does_not_take_the_place_of_a_frame(predict, tmp_path, data_root):
    out = tmp_path / 'out'
    (tmp_path / 'x/drive').mkdir(parents=True)
    image = (data_root / 'images/a/0.jpg').read_bytes()
    (tmp_path / 'x/drive/000000.jpg').write_bytes(image)
    predict(tmp_path / 'x', out)
    with pytest.raises(ConfigError, match='drive.mp4 would be written over the results of'):
        Results(out, json.loads((out / 'infer.json').read_text()), False).check(
            [Input(tmp_path / 'drive.mp4', 'drive', True)]
        )
    record = out / 'infer_results.jsonl'
    row = json.loads(record.read_text())
    record.write_text(json.dumps({**row, 'result': 'video:drive', 'source': 'drive.mp4'}))
    with pytest.raises(ConfigError, match=r'000000\.jpg would be written over .* drive\.mp4'):
        predict(tmp_path / 'x', out)


def test_the_checkpoint_may_be_a_folder(predict, tmp_path, config_file, checkpoint, data_root):
    from dsr_nss.inference.files import infer

    config = read_model_config(config_file)
    report = infer(
        config, checkpoint.parent, [data_root / 'images/a'], tmp_path / 'out', device='cpu'
    )
    assert report.predicted == 1


def test_amp_and_compiled_stages(predict, tmp_path, data_root, monkeypatch):
    compiled = []

    def compile_(function, **options):
        compiled.append(options)
        return function

    monkeypatch.setattr(torch, 'compile', compile_)
    predict(data_root / 'images', tmp_path / 'half', amp='bf16', compiled=True)
    predict(data_root / 'images', tmp_path / 'full')
    assert compiled == [{'dynamic': False}] * 2
    pairs = [
        [read(tmp_path / kind / f'labelTrainIds/{name}.png').ravel() for name in NAMES]
        for kind in ('half', 'full')
    ]
    same = np.mean(np.concatenate(pairs[0]) == np.concatenate(pairs[1]))
    assert 0.9 < same < 1  # bfloat16 was really used, and only near-ties change
