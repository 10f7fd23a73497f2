"""How far a row's difference goes back to the test images."""

from dataclasses import replace

import numpy as np
import pytest

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.bootstrap import paired_bootstrap
from dsr_nss.evaluation.report import MATRICES
from dsr_nss.studies.tables.over_images import intervals, rates
from dsr_nss.studies.tables.rows import table
from dsr_nss.studies.tables.runs import Run, Settings
from dsr_nss.studies.tables.table import Column

COLUMN = Column('dark_zurich_val', 'adabn', detailed=True)
IMAGES = 12


def matrices(right, generator):
    """Roads and cars, of which about so many percent are right, in every image others."""
    found = np.zeros((IMAGES, len(CLASSES), len(CLASSES)), np.int64)
    road, car = CLASSES.index('road'), CLASSES.index('car')
    for ids in ((road, car), (car, road)):
        hits = (1000 * right + generator.integers(-200, 200, IMAGES)).astype(np.int64)
        found[:, ids[0], ids[0]] = hits
        found[:, ids[0], ids[1]] = 1000 - hits
    return found


@pytest.fixture
def rows(tmp_path):
    """Two rows with seeds 0 and 1 and 1 and 2; the images of a report are in any order."""
    generator, settings = np.random.default_rng(0), Settings('nightscape', tmp_path)
    one = table('3', 'nightscape')
    found, content = [], []
    for row, right, seeds in ((one.rows[0], 0.7, (1, 2)), (one.rows[1], 0.5, (0, 1))):
        runs, of_seed = {}, {}
        for seed in seeds:
            run = runs[seed] = Run(row, seed, settings)
            folder = run.folder / 'report/dark_zurich_val-adabn/dark_zurich_val'
            folder.mkdir(parents=True)
            of_seed[seed] = matrices(right, generator)
            order = generator.permutation(IMAGES)
            names = np.array([f'image_{i:02d}' for i in range(IMAGES)])
            np.savez(folder / MATRICES, names=names[order], confusion=of_seed[seed][order])
        found.append(runs)
        content.append(of_seed)
    return found, content


def test_images_are_paired_by_name_and_rows_by_seed(rows):
    (runs, others), (first, second) = rows
    found = intervals(runs, others, COLUMN)
    expected = paired_bootstrap([first[1]], [second[1]], CLASSES)
    for name in ('mIoU', 'mIoU_large_static', 'mIoU_dynamic'):
        low, high = expected[f'difference_low/{name}'], expected[f'difference_high/{name}']
        assert found[name] == pytest.approx((low, high))
        assert 10 < low < high
    assert 'mIoU_small' not in found  # nothing of it occurs


def test_without_a_common_seed_or_a_report_there_is_none(rows):
    (runs, others), _ = rows
    assert intervals(runs, {0: others[0]}, COLUMN) == {}
    assert intervals(runs, others, replace(COLUMN, detailed=False)) == {}
    for file in others[1].folder.rglob(MATRICES):
        with np.load(file) as content:
            np.savez(file, names=content['names'][1:], confusion=content['confusion'][1:])
        assert intervals(runs, others, COLUMN) == {}  # not of the same images
        file.unlink()
    assert intervals(runs, others, COLUMN) == {}


def test_precision_and_recall_are_over_all_images(rows):
    runs, (content, _) = rows[0][0], rows[1]
    found, total = rates(runs[1], COLUMN), content[1].sum(0)
    road, car = CLASSES.index('road'), CLASSES.index('car')
    assert found == {
        'precision/large_static': pytest.approx(100 * total[road, road] / total[:, road].sum()),
        'recall/large_static': pytest.approx(100 * total[road, road] / total[road].sum()),
        'precision/dynamic': pytest.approx(100 * total[car, car] / total[:, car].sum()),
        'recall/dynamic': pytest.approx(100 * total[car, car] / total[car].sum()),
        'precision/small': None,
        'recall/small': None,
    }
    assert rates(runs[1], replace(COLUMN, detailed=False)) == {}
    for file in runs[1].folder.rglob(MATRICES):
        file.unlink()
    assert rates(runs[1], COLUMN) == {}
