"""The report stands alone and shows the figures of the summary."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsr_nss.apis.report import write_demo_report, write_summary
from dsr_nss.classes import CLASSES

SET = 'dark_zurich_val'
FRAME = 'GOPR0356/GOPR0356_frame_000001'


@dataclass
class FakeRun:
    name: str
    folder: Path
    predictions: Path
    scores: dict[str, Any]
    train_seconds: float = 90.0
    commands: list[str] = field(default_factory=lambda: ['python tools/train.py <config>'])


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def fake_run(tmp_path: Path, name: str, miou: float) -> FakeRun:
    folder = tmp_path / name
    predictions = folder / 'predictions' / SET
    save(predictions / 'labelTrainIds' / f'{FRAME}.png', np.zeros((32, 64), np.uint8))
    log = folder / '1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({'step': 1, 'loss_source': 1.0, f'{SET}/mIoU': miou}))
    scores = {f'{SET}/IoU/{c}': miou for c in CLASSES}
    scores |= {f'{SET}/mIoU': miou, f'{SET}/IoU/bus': None, 'model': 'student', 'other/mIoU': 1.0}
    return FakeRun(name, folder, predictions, scores)


@pytest.fixture
def data(tmp_path):
    root = tmp_path / 'nightscape'
    image, label = np.zeros((32, 64, 3), np.uint8), np.zeros((32, 64), np.uint8)
    city = 'train/ulm/ulm_000000_000019'
    save(root / f'cityscapes/leftImg8bit/{city}_leftImg8bit.png', image)
    save(root / f'cityscapes/gtFine/{city}_gtFine_labelTrainIds.png', label)
    save(root / f'dark_zurich/rgb_anon/val/night/{FRAME}_rgb_anon.png', image)
    save(root / f'dark_zurich/gt/val/night/{FRAME}_gt_labelTrainIds.png', label)
    save(root / 'dark_zurich/rgb_anon/val_ref/day/GOPR0356_ref/a_ref_rgb_anon.png', image)
    return root


def test_summary_and_report(tmp_path, data):
    runs = [fake_run(tmp_path, 'source_only', 20.25), fake_run(tmp_path, 'dsr_nss', 31.5)]
    summary = write_summary(tmp_path / 'summary.json', runs, seed=3, seconds=60.0, test_set=SET)
    stored = json.loads((tmp_path / 'summary.json').read_text())
    assert stored['source_only']['mIoU'] == 20.25 and stored['dsr_nss']['mIoU'] == 31.5
    assert stored['gain'] == 11.25 and stored['seed'] == 3
    assert stored['dsr_nss']['IoU/road'] == 31.5 and stored['dsr_nss']['IoU/bus'] is None

    write_demo_report(tmp_path / 'report.html', runs, summary, data, 'python tools/make_x.py')
    page = (tmp_path / 'report.html').read_text()
    assert '<b>20.2</b>' in page and '<b>31.5</b>' in page and '<b>+11.2</b>' in page
    assert 'python tools/train.py &lt;config&gt;' in page and 'python tools/make_x.py' in page
    assert page.count('src="data:image/') == 4
    outside = re.findall(r'(?:src|href)="(?!data:)[^"]*"', page)
    assert outside == [] and '<script' not in page
    assert '<td>road</td>' in page and '<td>bus</td>' not in page


def test_a_missing_prediction_is_named(tmp_path, data):
    runs = [fake_run(tmp_path, 'source_only', 20.0), fake_run(tmp_path, 'dsr_nss', 30.0)]
    next(runs[1].predictions.rglob('*.png')).unlink()
    summary = write_summary(tmp_path / 's.json', runs, seed=0, seconds=1.0, test_set=SET)
    with pytest.raises(FileNotFoundError, match='GOPR0356_frame_000001'):
        write_demo_report(tmp_path / 'report.html', runs, summary, data, '')
