"""Scoring PNG files: pairing, numbers, errors, and the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.iou import confusion_matrix, flat_scores, iou_scores
from dsr_nss.evaluation.score import pair_files, read_classes, score
from tests.evaluation.scored_images import make_images


def save(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)


@pytest.fixture
def folders(tmp_path):
    """Predictions in one folder; labels of the same frames in a folder a city."""
    for image, city in zip(make_images(3), ('aachen', 'bonn', 'bonn'), strict=True):
        save(tmp_path / f'pred/{city}_{image.name}_leftImg8bit.png', image.prediction)
        save(tmp_path / f'gt/{city}/{city}_{image.name}_gtFine_labelTrainIds.png', image.label)
    return tmp_path / 'pred', tmp_path / 'gt'


def test_numbers_are_those_of_the_summed_confusion(folders):
    total = sum(
        confusion_matrix(torch.from_numpy(i.prediction), torch.from_numpy(i.label), 19)
        for i in make_images(3)
    )
    expected = flat_scores(iou_scores(total, CLASSES))
    for workers in (1, 2):
        result = score(*folders, workers=workers, progress=False)
        assert {key: result[key] for key in expected} == expected  # to the last bit
        assert result['images'] == 3 and result['no_prediction'] == 0
    assert None in expected.values()  # a class that does not occur


@pytest.mark.parametrize(
    ('prediction', 'label'),
    [
        ('a/x.png', 'a/x.png'),
        ('a/x_rgb_anon.png', 'a/x_gt_labelTrainIds.png'),
        ('x_rgb_anon.png', 'GOPR0356/x_gt_labelTrainIds.png'),
        ('city/x_leftImg8bit.png', 'x_gtFine_labelTrainIds.png'),
        ('x_leftImg8bit.png', 'night/x_gtCoarse_labelTrainIds.png'),
        ('x_rgb_anon_labelTrainIds.png', 'GOPR0356/x_gt_labelTrainIds.png'),
        ('x_rgb_anon.png', 'x_rgb_anon_gt_labelTrainIds.png'),
        ('x.png', 'val/x_train_id.png'),
        ('labelTrainIds/x.PNG', 'x_labelTrainIds.png'),
    ],
)
def test_pairs(tmp_path, prediction, label):
    ids = np.zeros((2, 2), np.uint8)
    save(tmp_path / 'pred' / prediction, ids)
    save(tmp_path / 'gt' / label, ids)
    pairs = pair_files(tmp_path / 'pred', tmp_path / 'gt')
    assert pairs == [(tmp_path / 'pred' / prediction, tmp_path / 'gt' / label)]


def test_equal_stems_pair_by_their_folders(tmp_path):
    for folder in ('pred', 'gt'):
        for name in ('a/0.png', 'b/0.png'):
            save(tmp_path / folder / name, np.zeros((2, 2), np.uint8))
    pairs = pair_files(tmp_path / 'pred', tmp_path / 'gt')
    assert [(p.parent.name, t.parent.name) for p, t in pairs] == [('a', 'a'), ('b', 'b')]


def test_other_forms_of_the_label_are_left_alone(folders):
    predictions, labels = folders
    for kind in ('labelIds', 'color', 'instanceIds'):
        save(labels / f'bonn/bonn_1_gtFine_{kind}.png', np.zeros((4, 4), np.uint8))
    assert len(pair_files(predictions, labels)) == 3


def test_files_without_a_partner_are_named(folders):
    predictions, labels = folders
    (predictions / 'bonn_1_leftImg8bit.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'1 of 3 labels below .* no prediction: bonn/bonn_1_gtF'
    ):
        score(predictions, labels)
    save(predictions / 'ulm_7.png', np.zeros((2, 2), np.uint8))
    with pytest.raises(
        FileNotFoundError, match=r'1 of 3 predictions .* no label: ulm_7\.png\n1 of'
    ):
        score(predictions, labels)


def test_two_files_of_a_frame(folders):
    predictions, labels = folders
    save(predictions / 'bonn_1.png', np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r'bonn_1\.png and .*bonn_1_leftImg8bit\.png are of the'):
        score(predictions, labels)


@pytest.mark.parametrize('workers', [1, 2])
def test_bad_pairs_are_named(folders, workers):
    predictions, labels = folders
    file = predictions / 'bonn_1_leftImg8bit.png'
    save(file, np.zeros((5, 6), np.uint8))
    with pytest.raises(DataError, match=r'bonn_1_left.*label .*bonn_1_gtF.*is 5x6 and the label 3'):
        score(predictions, labels, workers=workers, progress=False)
    save(file, np.full((32, 40), 20, np.uint8))
    with pytest.raises(DataError, match=r'bonn_1.* the prediction holds the ids 20; .* and 255'):
        score(predictions, labels, workers=workers, progress=False)


def test_no_prediction_counts_as_missed(tmp_path):
    save(tmp_path / 'pred/0.png', np.array([[0, 255, 255, 1]], np.uint8))
    save(tmp_path / 'gt/0.png', np.array([[0, 0, 255, 1]], np.uint8))
    result = score(tmp_path / 'pred', tmp_path / 'gt', progress=False)
    assert (result['IoU/road'], result['IoU/sidewalk']) == (50.0, 100.0)
    assert result['mIoU'] == result['mIoU_official'] == 75.0
    assert result['no_prediction'] == pytest.approx(100 / 3)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='folder .*pred does not exist'):
        score(tmp_path / 'pred', tmp_path)
    (tmp_path / 'pred').mkdir()
    with pytest.raises(FileNotFoundError, match='no PNG files below .*pred'):
        score(tmp_path / 'pred', tmp_path)


def test_command_line(run_tool, capsys, folders, tmp_path):
    file = tmp_path / 'new/scores.json'
    words = ('score', *folders, '--json', file, '--workers', 1)
    assert run_tool(*words) == 0
    result = json.loads(file.read_text())
    assert result == score(*folders, workers=1, progress=False)
    assert f'{result["mIoU"]:.2f}' in capsys.readouterr().out
    assert run_tool('score', *folders, '--json', tmp_path) == 2
    assert 'is a folder; name a file' in capsys.readouterr().err
    (folders[0] / 'aachen_0_leftImg8bit.png').unlink()
    assert run_tool(*words) == 2
    assert 'error: 1 of 3 labels' in capsys.readouterr().err


def test_other_classes(tmp_path):
    ids = np.array([[0, 1], [2, 255]], np.uint8)
    for folder in ('pred', 'gt'):
        save(tmp_path / folder / 'a.png', ids)
    named = read_classes('ground, thing,sky')
    result = score(tmp_path / 'pred', tmp_path / 'gt', workers=1, progress=False, **named)
    assert [key for key in result if key.startswith('IoU/')] == [
        'IoU/ground', 'IoU/thing', 'IoU/sky',
    ]  # fmt: skip
    config = tmp_path / 'city.py'
    config.write_text("classes = dict(names=('a', 'b', 'c'), groups=dict(mine=('b',)))")
    result = score(tmp_path / 'pred', tmp_path / 'gt', workers=1, **read_classes(str(config)))
    assert result['mIoU_mine'] == 100.0
    other = tmp_path / 'city.yaml'
    other.write_text('classes: {names: [a, b, c]}')
    assert read_classes(str(other))['classes'] == ('a', 'b', 'c')
    assert read_classes('dsr_nss::dsr_hrda_darkzurich')['classes'] == CLASSES
    two = read_classes('ground,thing')
    with pytest.raises(DataError, match=r'holds the ids 2; valid are 0\.\.1'):
        score(tmp_path / 'pred', tmp_path / 'gt', workers=1, **two)
    config.write_text('a = 1')
    with pytest.raises(ConfigError, match='city.py states no classes'):
        read_classes(str(config))
