"""`evaluate(report=...)`: the files, their figures, and two processes."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

from dsr_nss.classes import CLASSES
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.evaluation.iou import iou_scores
from dsr_nss.evaluation.report import read_matrices
from dsr_nss.evaluation.run_report import write_test_report
from dsr_nss.inference.load import read_model_config

SIZES = ((24, 40), (30, 26), (24, 40), (24, 40), (24, 40))


@pytest.fixture
def night_config(tmp_path, config_file):
    """The config's segmentor on five images in Dark Zurich's layout, with masks."""
    rng = np.random.default_rng(1)
    root = tmp_path / 'dark_zurich'
    for i, size in enumerate(SIZES):
        frame = f'night/GOPR0356/GOPR0356_frame_{i:06d}'
        label = rng.choice([0, 1, 2, 5, 11, 13, 255], size).astype(np.uint8)
        for path, array in (
            (f'rgb_anon/val/{frame}_rgb_anon.png', rng.integers(0, 256, (*size, 3), np.uint8)),
            (f'gt/val/{frame}_gt_labelTrainIds.png', label),
            (f'gt/val/{frame}_gt_invIds.png', rng.integers(0, 2, size, np.uint8)),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / path), array)
    config = read_model_config(config_file)
    pipeline = config.test_sets.night_val.pipeline
    config.test_sets = dict(
        dark_zurich_val=dict(
            type='DarkZurich', data_root=str(root), split='val', pipeline=pipeline
        ),
        night_test=config.test_sets.night_test,
    )
    config.default_test_sets = ['dark_zurich_val']
    return config


def options(folder):
    return dict(report=folder, device='cpu', workers=0, progress=False)


def comparable(result):
    return {key: value for key, value in result.items() if 'images_per_second' not in key}


def test_files_and_keys(night_config, checkpoint, tmp_path):
    stale = tmp_path / 'report/dark_zurich_val/worst/01_older.png'
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b'')
    result = evaluate(night_config, checkpoint, **options(tmp_path / 'report'))
    plain = evaluate(night_config, checkpoint, **options(None))
    for key, value in comparable(plain).items():
        assert result[key] == value
    assert not [key for key in plain if 'boundary' in key or 'small/' in key or 'UIoU' in key]

    folder = tmp_path / 'report/dark_zurich_val'
    measures = json.loads((folder / 'measures.json').read_text())
    confusion = np.array(measures['confusion'])
    assert confusion.shape == (19, 19)
    images = json.loads((folder / 'images.json').read_text())['images']
    assert [entry['mIoU'] for entry in images] == sorted(entry['mIoU'] for entry in images)
    matrices = read_matrices(folder)
    assert list(matrices) == [entry['image'] for entry in images]
    assert np.array_equal(sum(matrices.values()), confusion)
    for entry in images:
        assert iou_scores(matrices[entry['image']], CLASSES).mean == entry['mIoU']
    assert len(images) == 5 and all(os.path.isfile(entry['image_file']) for entry in images)
    for name in CLASSES:
        assert measures['boundary_IoU'][name] == result[f'dark_zurich_val/boundary_IoU/{name}']
    curve = measures['UIoU']
    assert curve['mean'][0] == pytest.approx(result['dark_zurich_val/mIoU'])
    assert (
        curve['average'] == result['dark_zurich_val/UIoU'] == pytest.approx(np.mean(curve['mean']))
    )
    assert curve['classes']['train'] is None and len(curve['classes']['road']) == 101
    objects = [measures['small_objects'][n]['tiny']['objects'] for n in ('pole', 'person')]
    assert sum(objects) == result['dark_zurich_val/objects_small/tiny'] > 0

    for name in ('confusion.png', 'uiou.png'):
        assert cv2.imread(str(folder / name)).std() > 1
    worst = sorted(path.name for path in (folder / 'worst').iterdir())
    assert worst == [f'{i:02d}_{entry["image"]}.png' for i, entry in enumerate(images, start=1)]


def test_without_masks_there_is_no_uiou(night_config, checkpoint, tmp_path):
    labels = tmp_path / 'dark_zurich/gt/val/night/GOPR0356'
    masks = sorted(labels.glob('*_gt_invIds.png'))
    masks[2].unlink()
    with pytest.raises(DataError, match=r'1 of 5 labels have no mask .*000002_gt_labelTrainIds'):
        evaluate(night_config, checkpoint, **options(tmp_path / 'report'))
    for mask in labels.glob('*_gt_invIds.png'):
        mask.unlink()
    result = evaluate(night_config, checkpoint, **options(tmp_path / 'report'))
    assert 'dark_zurich_val/boundary_IoU' in result and 'dark_zurich_val/UIoU' not in result
    assert not (tmp_path / 'report/dark_zurich_val/uiou.png').exists()


def test_bad_masks_are_named(night_config, checkpoint, tmp_path):
    mask = tmp_path / 'dark_zurich/gt/val/night/GOPR0356/GOPR0356_frame_000001_gt_invIds.png'
    cv2.imwrite(str(mask), np.zeros((3, 4), np.uint8))
    with pytest.raises(DataError, match=r'000001_gt_invIds\.png is 3x4 and its label 30x26'):
        evaluate(night_config, checkpoint, **options(tmp_path / 'report'))


def test_a_report_needs_labels(night_config, checkpoint, tmp_path):
    with pytest.raises(ConfigError, match='night_test: there are no labels .*--report needs them'):
        evaluate(night_config, checkpoint, names=['night_test'], **options(tmp_path / 'report'))


def _evaluate_share(rank, port, config, checkpoint, folder):
    os.environ |= dict(
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2'
    )
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    result = evaluate(
        config,
        checkpoint,
        out=folder / 'out',
        **options(folder / 'report' if rank == 0 else folder),
    )
    torch.save(result, folder / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(night_config, checkpoint, tmp_path):
    expected = evaluate(night_config, checkpoint, out=tmp_path / 'o', **options(tmp_path / 'r'))
    both = tmp_path / 'both'
    both.mkdir()
    context = multiprocessing.get_context('fork')
    port = 20000 + os.getpid() % 20000
    workers = [
        context.Process(target=_evaluate_share, args=(rank, port, night_config, checkpoint, both))
        for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    for rank in (0, 1):
        assert comparable(torch.load(both / f'{rank}.pth')) == comparable(expected)  # every bit
    for folder, other in (('r', 'report'), ('o', 'out')):
        files = sorted((tmp_path / folder).rglob('*.*'))
        assert len(files) > 8
        for file in files:
            same = both / other / file.relative_to(tmp_path / folder)
            assert same.read_bytes() == file.read_bytes(), same
    assert not (both / 'dark_zurich_val').exists()  # the second process writes no report


def test_names_of_any_bytes(night_config, checkpoint, tmp_path):
    """A file system holds names that are no text; reports show them as they are."""
    frame = tmp_path / 'dark_zurich/rgb_anon/val/night/GOPR0356/GOPR0356_frame_000000_rgb_anon.png'
    images, labels = tmp_path / 'any', tmp_path / 'their_labels'
    for folder, ending in ((images, ''), (labels, '_label')):
        folder.mkdir()
        source = frame if not ending else next((tmp_path / 'dark_zurich/gt').rglob('*0_gt_label*'))
        os.link(source, os.fsencode(folder) + b'/M\xfcnchen.png')
    options_ = options(tmp_path / 'report') | dict(images=images, labels=labels)
    evaluate(night_config, checkpoint, **options_)
    assert list(read_matrices(tmp_path / 'report/custom')) == ['M\udcfcnchen']
    page = write_test_report(tmp_path / 'report', ['custom'])
    assert b'M\xfcnchen' in page.read_bytes()
