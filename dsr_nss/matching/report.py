"""What an alignment report looks like: a table, pictures of pairs, the sparsification curve."""

from pathlib import Path

import numpy as np
import torch

from dsr_nss.functional.warp import warp
from dsr_nss.matching.evaluate import AlignmentReport, Match
from dsr_nss.matching.figures import pair_figure, sparsification_figure
from dsr_nss.matching.measures import THRESHOLDS
from dsr_nss.visualization.scores import save_png
from dsr_nss.visualization.text_table import text_table

CURVE_FILE = 'sparsification.png'


def format_alignment(report: AlignmentReport, name: str, data: str) -> str:
    """The numbers as a table, one line for each region."""
    heads = ['', 'points', 'AEPE px', *(f'PCK-{t:g} %' for t in THRESHOLDS), 'AUSE']
    rows = []
    for region, scores in report.scores.items():
        curves = scores.sparsification
        pck = (f'{value:.1f}' for value in scores.pck.values())
        area = '-' if curves is None else f'{curves.ause:.3f}'
        rows.append([region, f'{scores.pixels}', f'{scores.aepe:.2f}', *pck, area])
    title = f'{name} on {data}: {report.aligned} of {report.pairs} pairs aligned'
    return f'{title}\n{text_table(heads, rows)}'


def write_pair(folder: Path, match: Match) -> Path:
    """`<folder>/<name>.png`, the picture of a pair."""
    day = torch.from_numpy(match.reference).permute(2, 0, 1)[None].float()
    warped = warp(day, torch.from_numpy(match.flow)[None])[0][0].permute(1, 2, 0)
    figure = pair_figure(match, warped.round().clamp(0, 255).numpy().astype(np.uint8))
    path = folder / f'{match.name}.png'
    save_png(figure, path)
    return path


def write_sparsification(folder: Path, report: AlignmentReport) -> Path | None:
    """`<folder>/sparsification.png`; nothing where no confidence tells points apart."""
    curves = {region: scores.sparsification for region, scores in report.scores.items()}
    known = {region: curve for region, curve in curves.items() if curve is not None}
    if not known:
        (folder / CURVE_FILE).unlink(missing_ok=True)  # of another aligner, from before
        return None
    save_png(sparsification_figure(known), folder / CURVE_FILE)
    return folder / CURVE_FILE
