"""The numbers that the paper prints (arXiv 2310.04747, tables I to VI), percent."""

import functools
import json
from pathlib import Path

#: Row of the paper -> column -> percent; None where the paper has a dash.
PaperTable = dict[str, dict[str, float | None]]

_FILE = Path(__file__).with_name('paper_tables.json')


@functools.cache
def paper_tables() -> dict[str, PaperTable]:
    """The six tables in one form: table -> row -> column -> percent.

    Columns are `mIoU` (tables I, III, IV, V and VI), the short class names as printed (table I),
    and the names of the sets (table II). The rows of table V are named `alpha1.0 beta0.100`.
    """
    printed = json.loads(_FILE.read_text(encoding='utf-8'))
    weights = printed['table5_loss_weights_dark_zurich_test']
    return {
        '1': printed['table1_dark_zurich_test'],
        '2': printed['table2_other_sets'],
        '3': _listed(printed['table3_components_dark_zurich_test']),
        '4': _listed(printed['table4_selected_classes_dark_zurich_test']),
        '5': {
            f'alpha{alpha} beta{beta}': {'mIoU': value}
            for beta, values in weights['beta'].items()
            for alpha, value in zip(weights['alpha'], values, strict=True)
        },
        '6': {row: {'mIoU': value} for row, value in printed['table6_cityscapes_val'].items()},
    }


def _listed(rows: list[dict]) -> PaperTable:
    return {row['row']: {'mIoU': row['mIoU']} for row in rows}
