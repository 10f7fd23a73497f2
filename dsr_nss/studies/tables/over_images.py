"""What the confusion matrices of the test images tell of a table's rows beside their IoU."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsr_nss.classes import CLASSES
from dsr_nss.engine.class_block import class_block
from dsr_nss.evaluation.bootstrap import paired_bootstrap
from dsr_nss.evaluation.iou import mean_rates
from dsr_nss.evaluation.report import read_matrices
from dsr_nss.studies.tables.runs import Run
from dsr_nss.studies.tables.table import Column

_LOW, _HIGH = 'difference_low/', 'difference_high/'


def intervals(
    runs: Mapping[int, Run], others: Mapping[int, Run], column: Column
) -> dict[str, tuple[float, float]]:
    """Between which values 95 % of the draws of test images lie, of the difference of two rows.

    A difference is the mean over the seeds that both rows have, and the images of a draw are the
    same ones for all of them; see `paired_bootstrap`.

    Args:
        runs: A tested run of the row for each seed.
        others: Those of the row that is subtracted.
        column: What the tests measured.

    Returns:
        `{'mIoU', 'mIoU_<group>'}` -> lower and upper end in percent; empty where no seed is common,
        or where their tests left no report of the images or reports of other images.
    """
    common = sorted(runs.keys() & others.keys())
    rows = [[_report(row[seed], column) for seed in common] for row in (runs, others)]
    if not common or not all(map(all, rows)):
        return {}
    names = sorted(rows[0][0])
    if any(sorted(report) != names for row in rows for report in row):
        return {}
    first, second = ([[report[n] for n in names] for report in row] for row in rows)
    found = paired_bootstrap(first, second, *_classes(runs[common[0]]))
    keys = [key.removeprefix(_LOW) for key in found if key.startswith(_LOW)]
    return {key: (found[_LOW + key], found[_HIGH + key]) for key in keys}


def rates(run: Run, column: Column) -> dict[str, float | None]:
    """Precision and recall of the class groups of one run; see `mean_rates`.

    Returns:
        Percent; empty where its test left no report of the images.
    """
    matrices = list(_report(run, column).values())
    return mean_rates(np.sum(matrices, axis=0), *_classes(run)) if matrices else {}


def _classes(run: Run) -> tuple[Sequence[str], Mapping[str, Sequence[str]] | None]:
    """Names of the classes and their groups."""
    block = class_block(run.config())
    return (CLASSES, None) if block is None else (block.names, block.meta['groups'])


def _report(run: Run, column: Column) -> dict[str, np.ndarray]:
    """The matrix of each image by its name; empty where the test wrote no report of them."""
    folder = run.folder / 'report' / column.key / column.test_set
    try:
        return read_matrices(folder) if column.detailed else {}
    except FileNotFoundError:
        return {}
