"""The report stands alone and shows the figures of the summary."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.studies.demo.report import write_demo_report, write_summary

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
    save(predictions / f'labelTrainIds/{FRAME}_rgb_anon.png', np.zeros((32, 64), np.uint8))
    save(folder / 'vis/iter_000004.png', np.zeros((32, 64, 3), np.uint8))
    log = folder / '1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = [{'step': 2, 'loss_source': 1.0}, {'step': 4, f'{SET}/mIoU': miou}]
    log.write_text('\n'.join(map(json.dumps, lines)))
    scores = {f'{SET}/IoU/{c}': miou for c in CLASSES}
    scores |= {f'{SET}/mIoU': miou, f'{SET}/mIoU_official': miou - 1, f'{SET}/IoU/bus': None}
    scores |= {f'{SET}/mIoU_{group}': miou for group in ('large_static', 'dynamic', 'small')}
    scores |= {'model': 'student', 'other/mIoU': 1.0}
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
    reference = 'GOPR0356_ref/GOPR0356_frame_000001_ref_rgb_anon.png'
    save(root / f'dark_zurich/rgb_anon/val_ref/day/{reference}', image)
    return root


def test_summary_and_report(tmp_path, data):
    runs = [fake_run(tmp_path, 'source_only', 20.25), fake_run(tmp_path, 'dsr_nss', 31.5)]
    summary = write_summary(tmp_path / 'summary.json', runs, seed=3, seconds=60.0, test_set=SET)
    stored = json.loads((tmp_path / 'summary.json').read_text())
    assert stored['source_only']['mIoU'] == 20.25 and stored['dsr_nss']['mIoU'] == 31.5
    assert stored['gain'] == 11.25 and stored['seed'] == 3 and stored['seconds'] == 60.0
    assert stored['iterations'] == stored['source_only']['iterations'] == 4
    assert 'other/mIoU' not in stored['dsr_nss']
    assert stored['dsr_nss']['IoU/road'] == 31.5 and stored['dsr_nss']['IoU/bus'] is None

    write_demo_report(tmp_path / 'report.html', runs, summary, data, 'python tools/make_x.py')
    page = (tmp_path / 'report.html').read_text()
    assert 'source only 20.2, DSR-NSS 31.5; seed 3' in page
    assert 'python tools/train.py &lt;config&gt;' in page and 'python tools/make_x.py' in page
    assert 'Inside a training step' in page and 'DSR-NSS, iteration 4' in page
    # a training step of each; four pictures of the data, one of them a label; charts in two themes
    assert page.count('data:image/jpeg') == 2 + 3
    assert page.count('data:image/png') == 1
    assert page.count('data:image/svg+xml') == 2 * 2


def test_the_report_needs_nothing_else(tmp_path, data):
    runs = [fake_run(tmp_path, 'source_only', 20.0), fake_run(tmp_path, 'dsr_nss', 30.0)]
    summary = write_summary(tmp_path / 's.json', runs, seed=0, seconds=1.0, test_set=SET)
    write_demo_report(tmp_path / 'report.html', runs, summary, data, '')
    page = (tmp_path / 'report.html').read_text()
    assert re.findall(r'(?:src|href|srcset)="(?!data:)[^"]*"', page) == []
    assert '<script' not in page and '@import' not in page and 'url(' not in page


def test_a_run_without_panels_has_no_empty_section(tmp_path, data):
    runs = [fake_run(tmp_path, 'source_only', 20.0), fake_run(tmp_path, 'dsr_nss', 30.0)]
    for run in runs:
        next((run.folder / 'vis').iterdir()).unlink()
    summary = write_summary(tmp_path / 's.json', runs, seed=0, seconds=1.0, test_set=SET)
    write_demo_report(tmp_path / 'report.html', runs, summary, data, '')
    assert 'Inside a training step' not in (tmp_path / 'report.html').read_text()
