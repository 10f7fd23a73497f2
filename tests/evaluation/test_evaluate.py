"""`tools/test.py` from end to end on a tiny segmentor, and what it calls."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dsr_nss.classes import CLASSES, GROUPS, PALETTE
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.evaluation.test_sets import select_datasets
from dsr_nss.inference.load import load_model, read_model_config
from tests.tiny_segmentor import make_segmentor

FILES = ('a/0', 'b/0', 'b/1')


def run(repo_root, *arguments):
    command = [sys.executable, repo_root / 'tools/test.py', *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture
def run_here(run_tool):
    return partial(run_tool, 'test')


def read(path):
    return np.array(Image.open(path))


def expected_prediction(model, image):
    """Argmax at native size, without mmseg's data pipeline: pad to 8, predict, cut."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    height, width = image.shape[:2]
    padded = F.pad((pixels - 120) / 60, (0, -width % 8, 0, -height % 8))
    with torch.no_grad():
        logits = model.encode_decode(padded, [dict(img_shape=padded.shape[2:])])
    return logits[0, :, :height, :width].argmax(0).numpy().astype(np.uint8)


def iou_by_definition(predictions, labels):
    result = {}
    for k, name in enumerate(CLASSES):
        counted = [label != 255 for label in labels]
        both = sum(
            ((p == k) & (t == k) & c).sum()
            for p, t, c in zip(predictions, labels, counted, strict=True)
        )
        either = sum(
            (((p == k) | (t == k)) & c).sum()
            for p, t, c in zip(predictions, labels, counted, strict=True)
        )
        occurs = any((t == k).any() for t in labels)
        result[name] = (100 * both / either if either else None, occurs)
    return result


def test_command_line(repo_root, tmp_path, config_file, checkpoint, data_root):
    out, scores = tmp_path / 'out', tmp_path / 'scores' / 'test.json'
    done = run(
        repo_root, config_file, checkpoint, '--dataset', 'night_val,other_val', '--out', out,
        '--json', scores, '--device', 'cpu', '--workers', '1',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(scores.read_text())
    assert result['model'] == 'student'
    assert f'student of {checkpoint}' in done.stdout
    assert f'{result["night_val/mIoU"]:.2f}' in done.stdout
    assert result['night_val/images'] == 3 and result['other_val/images'] == 2

    model = make_segmentor(config_file)
    labels = [read(data_root / f'labels/{file}.png') for file in FILES]
    predictions = []
    for file in FILES:
        prediction = read(out / f'night_val/labelTrainIds/{file}.png')
        image = np.array(Image.open(data_root / f'images/{file}.jpg'))
        # JPEG decoders may differ by a grey level: only near-ties may change
        assert (prediction == expected_prediction(model, image)).mean() > 0.98
        colours = read(out / f'night_val/color/{file}.png')
        assert (colours == np.array(PALETTE, np.uint8)[prediction]).all()
        predictions.append(prediction)
    assert len({int(i) for p in predictions for i in np.unique(p)}) > 1

    iou = iou_by_definition(predictions, labels)
    occurring = {name: value for name, (value, occurs) in iou.items() if occurs}
    union = [value for value, _ in iou.values() if value is not None]
    for name, (value, occurs) in iou.items():
        expected = pytest.approx(value, abs=1e-12) if occurs else None
        assert result[f'night_val/IoU/{name}'] == expected
    assert result['night_val/mIoU'] == pytest.approx(np.mean(list(occurring.values())), abs=1e-12)
    assert result['night_val/mIoU_official'] == pytest.approx(np.mean(union), abs=1e-12)
    for group in ('large_static', 'dynamic', 'small'):
        members = [occurring[name] for name in GROUPS[group] if name in occurring]
        assert result[f'night_val/mIoU_{group}'] == pytest.approx(np.mean(members), abs=1e-12)


def test_folder_pair_equals_the_named_set(run_here, tmp_path, config_file, checkpoint, data_root):
    code = run_here(
        config_file, checkpoint, '--images', data_root / 'images',
        '--labels', data_root / 'labels', '--json', tmp_path / 'custom.json', '--device', 'cpu',
    )  # fmt: skip
    assert code == 0
    custom = json.loads((tmp_path / 'custom.json').read_text())
    named = evaluate(read_model_config(config_file), checkpoint, device='cpu', progress=False)
    scores = {k: v for k, v in named.items() if k.startswith('night_val/') and 'images' not in k}
    assert len(scores) == 2 + 3 + 19
    for key, value in scores.items():
        assert custom[key.replace('night_val', 'custom')] == value
    assert not [key for key in custom if key.startswith('night_val')]


def test_images_alone_are_predicted(tmp_path, config_file, checkpoint, data_root):
    result = evaluate(
        read_model_config(config_file),
        checkpoint,
        images=data_root / 'images' / 'b',
        out=tmp_path / 'out',
        device='cpu',
        workers=0,
        progress=False,
    )
    files = sorted(p.name for p in (tmp_path / 'out/custom/labelTrainIds').iterdir())
    assert files == ['0.png', '1.png']
    assert not [key for key in result if 'IoU' in key]


@pytest.mark.parametrize('option', ['out', 'report'])
def test_results_among_the_images_are_refused(tmp_path, config_file, checkpoint, option):
    with pytest.raises(ConfigError, match=f'--{option} .* the next run would take the results'):
        evaluate(
            read_model_config(config_file),
            checkpoint,
            images=tmp_path / 'photos',
            device='cpu',
            **{option: tmp_path / 'photos' / 'pred'},
        )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--dataset', 'night_val,dusk_val'], 'unknown data set(s) dusk_val; the config has: '),
        (['--dataset', 'night_test'], 'night_test: there are no labels to score with'),
        (['--model', 'teacher'], 'holds no teacher'),
        (['--cfg-options', 'model.nothing=1'], "has no 'nothing'"),
        (['--json', '/dev/null/scores.json'], 'cannot write to /dev/null'),
    ],
)
def test_command_line_errors(run_here, capsys, config_file, checkpoint, arguments, message):
    assert run_here(config_file, checkpoint, '--device', 'cpu', *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith('error: ')


def test_sets_that_are_done_survive_a_bad_one(
    run_here, capsys, monkeypatch, tmp_path, config_file, checkpoint
):
    module = sys.modules['dsr_nss.evaluation.evaluate']
    real = module.evaluate_dataset

    def evaluate_dataset(model, dataset, name, **options):
        if name == 'other_val':
            raise DataError('x.png: the file is empty')
        return real(model, dataset, name, **options)

    monkeypatch.setattr(module, 'evaluate_dataset', evaluate_dataset)
    scores = tmp_path / 'scores.json'
    arguments = ('--dataset', 'night_val,other_val', '--workers', '0', '--json', scores)
    assert run_here(config_file, checkpoint, '--device', 'cpu', *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.endswith('error: x.png: the file is empty\n')
    assert 'night_val: 3 images' in printed.out and 'mIoU' in printed.out
    assert json.loads(scores.read_text())['night_val/images'] == 3


def test_a_folder_for_the_scores_is_refused_first(
    run_here, capsys, tmp_path, config_file, checkpoint
):
    assert run_here(config_file, checkpoint, '--json', tmp_path) == 2
    assert 'is a folder; name a file' in capsys.readouterr().err


def test_set_without_labels_writes_predictions(tmp_path, config_file, checkpoint):
    config = read_model_config(config_file)
    options = dict(names=['night_test'], device='cpu', workers=0, progress=False)
    result = evaluate(config, checkpoint, out=tmp_path / 'out', **options)
    assert not [key for key in result if 'IoU' in key]
    assert len(list((tmp_path / 'out/night_test/labelTrainIds').rglob('*.png'))) == 3


@pytest.mark.parametrize('workers', [0, 1])
def test_bad_files_are_named(config_file, checkpoint, data_root, workers):
    config = read_model_config(config_file)
    image, label = data_root / 'images/b/1.jpg', data_root / 'labels/b/1.png'
    good_image, good_label = image.read_bytes(), label.read_bytes()

    def check(message):
        with pytest.raises(DataError, match=message):
            evaluate(config, checkpoint, device='cpu', workers=workers, progress=False)

    image.write_bytes(good_image[:-200])
    check(r'1\.jpg: the file is truncated')
    image.write_bytes(good_image)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(label)
    check(r'1\.jpg is 24x40 .* label .*1\.png is 5x5')
    Image.fromarray(np.full((24, 40), 33, np.uint8)).save(label)
    check(r'1\.png: the label holds the ids 33')
    label.write_bytes(good_label)


def test_labels_of_ignored_pixels_only(config_file, checkpoint, data_root):
    for path in (data_root / 'labels').rglob('*.png'):
        Image.fromarray(np.full_like(read(path), 255)).save(path)
    with pytest.raises(DataError, match='night_val: .*only ignored'):
        evaluate(
            read_model_config(config_file), checkpoint, device='cpu', workers=0, progress=False
        )


def test_model_and_set_must_agree_on_the_classes(config_file, checkpoint):
    config = read_model_config(config_file)
    config.test_sets.night_val.metainfo = dict(classes=('a', 'b'), palette=[[0] * 3, [1] * 3])
    with pytest.raises(ConfigError, match='night_val has 2 classes, the model predicts 19'):
        evaluate(config, checkpoint, device='cpu', workers=0, progress=False)


@pytest.mark.parametrize('names', [CLASSES[::-1], ('thing', *CLASSES[1:])])
def test_model_and_set_must_agree_on_the_names(config_file, tmp_path, names):
    """As many classes in another order would be scored under wrong names."""
    state = make_segmentor(config_file).state_dict()
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=names))), path)
    config = read_model_config(config_file)
    message = f"class 0 is 'road' in night_val, and '{names[0]}' in the network"
    with pytest.raises(ConfigError, match=message):
        evaluate(config, path, device='cpu', workers=0, progress=False)
    config.test_sets.night_val.metainfo = dict(classes=[name.upper() for name in names])
    scores = evaluate(config, path, device='cpu', workers=0, progress=False)
    assert f'night_val/IoU/{names[0].upper()}' in scores


def test_scores_are_not_lost_with_their_report(run_here, config_file, checkpoint, tmp_path, capsys):
    (tmp_path / 'rep').mkdir()
    (tmp_path / 'rep/night_val').touch()  # in the way of the report
    scores = tmp_path / 's.json'
    words = (config_file, checkpoint, '--report', tmp_path / 'rep', '--json', scores)
    assert run_here(*words, '--device', 'cpu', '--workers', 0) == 2
    printed = capsys.readouterr()
    assert f'{json.loads(scores.read_text())["night_val/mIoU"]:.2f}' in printed.out
    assert 'rep/night_val' in printed.err


def test_no_report_into_the_work_dir_of_a_run(run_here, config_file, checkpoint, tmp_path, capsys):
    (tmp_path / 'run/20260101_000000/vis_data').mkdir(parents=True)
    (tmp_path / 'run/20260101_000000/vis_data/scalars.json').touch()
    assert run_here(config_file, checkpoint, '--report', tmp_path / 'run', '--device', 'cpu') == 2
    assert f'name a folder in it: {tmp_path}/run/test' in capsys.readouterr().err


def test_tta_averages_views(config_file, checkpoint, data_root):
    """Mirrored input, mirrored prediction; and scale 1 alone would not give the same."""
    import mmengine.dataset

    from dsr_nss.inference.predict import predict

    model = load_model(config_file, checkpoint)
    config = read_model_config(config_file)
    dataset = select_datasets(config)['night_val']
    data = mmengine.dataset.pseudo_collate([dataset[0]])
    plain, _ = predict(model, data)
    averaged, sample = predict(model, data, tta=True)
    assert averaged.shape == plain.shape == sample['gt_sem_seg']['data'].shape[1:]
    assert (averaged != plain).any()
    mirrored = {**data, 'inputs': [image.flip(-1) for image in data['inputs']]}
    again, _ = predict(model, mirrored, tta=True)
    assert (again.flip(-1) == averaged).float().mean() > 0.99
