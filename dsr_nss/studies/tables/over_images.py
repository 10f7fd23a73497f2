"""How far the difference of two rows may go back to the choice of test images."""

from collections.abc import Mapping

import numpy as np

from dsr_nss.classes import CLASSES
from dsr_nss.engine.class_block import class_block
from dsr_nss.evaluation.bootstrap import paired_bootstrap
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
        or where their tests left no report of the images.
    """
    common = sorted(runs.keys() & others.keys())
    if not common or not column.detailed:
        return {}
    try:
        rows = [[_report(row[seed], column) for seed in common] for row in (runs, others)]
    except FileNotFoundError:
        return {}
    names = sorted(set.intersection(*(set(report) for row in rows for report in row)))
    first, second = ([[report[n] for n in names] for report in row] for row in rows)
    block = class_block(runs[common[0]].config())
    classes = CLASSES if block is None else block.names
    groups = None if block is None else block.meta['groups']
    found = paired_bootstrap(first, second, classes, groups)
    keys = [key.removeprefix(_LOW) for key in found if key.startswith(_LOW)]
    return {key: (found[_LOW + key], found[_HIGH + key]) for key in keys}


def _report(run: Run, column: Column) -> dict[str, np.ndarray]:
    return read_matrices(run.folder / 'report' / column.key / column.test_set)
