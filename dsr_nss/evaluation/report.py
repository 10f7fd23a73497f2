"""What `tools/test.py --report` writes of a set: pictures and the figures behind them."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsr_nss.datasets.images import read_image
from dsr_nss.evaluation.detailed import DetailedMeasures
from dsr_nss.evaluation.picture_record import write_record
from dsr_nss.evaluation.small_objects import AREA_BINS
from dsr_nss.evaluation.uncertainty import UIoUCurve
from dsr_nss.evaluation.worst_cases import ImageScore, WorstCases
from dsr_nss.files import make_folder, write_bytes, write_json
from dsr_nss.inference.pictures import write_picture
from dsr_nss.visualization.comparison import error_picture

#: Files of a report; the pictures of the worst images are `<WORST>/<place>_<name>.png`.
MEASURES, IMAGES, MATRICES, CONFUSION, CURVE, WORST, PICTURES = (
    'measures.json', 'images.json', 'images.npz', 'confusion.png', 'uiou.png', 'worst', 'pictures',
)  # fmt: skip


def write_evaluation_report(
    folder: Path,
    *,
    title: str,
    measures: DetailedMeasures,
    confusion: np.ndarray,
    palette: Sequence[Sequence[int]],
    scores: Mapping[str, Any],
) -> None:
    """Writes the report of one set.

    `measures.json` (confusion matrix, boundary IoU, recall of small objects by class, UIoU curve),
    `images.json` (the scores of every image, the worst first), `images.npz` (see
    `read_matrices`), `confusion.png`, `uiou.png` (for a set with masks of invalid pixels),
    `worst/<place>_<name>.png`, and `pictures/` for the page.

    Args:
        folder: Folder of the report; pictures of an older report in `worst` are replaced.
        title: Name of the set.
        measures: What was measured.
        confusion: `(K, K)` counts, rows are targets.
        palette: RGB of each class.
        scores: All flat scores of the set, without its name.
    """
    # imported here: matplotlib takes its time, and an ordinary test draws nothing
    from dsr_nss.visualization.scores import confusion_figure, save_png, uiou_figure

    make_folder(folder)
    curve = None if measures.uncertainty is None else measures.uncertainty.result()
    write_json(folder / MEASURES, _measures(measures, confusion, curve))
    write_json(folder / IMAGES, {'images': [_entry(s) for s in measures.images.scores()]})
    _write_matrices(folder / MATRICES, measures.images.scores())
    save_png(confusion_figure(confusion, measures.classes, title), folder / CONFUSION)
    if curve is not None:
        save_png(uiou_figure(curve.thresholds, curve.mean, curve.average, title), folder / CURVE)
    _write_worst(folder / WORST, measures.images, measures.classes, palette)
    write_record(
        folder / PICTURES, title=title, images=measures.images, palette=palette, scores=scores
    )


def read_matrices(folder: Path) -> dict[str, np.ndarray]:
    """The confusion matrix of every image of a report, `(K, K)` int64, by the image's name.

    Args:
        folder: Folder of the report of one set.

    Raises:
        FileNotFoundError: There is no report, or it is of an older version.
    """
    with np.load(folder / MATRICES, allow_pickle=False) as content:
        return dict(zip(content['names'].tolist(), content['confusion'], strict=True))


def _write_matrices(path: Path, scores: Sequence[ImageScore]) -> None:
    names, matrices = [s.name for s in scores], [s.confusion for s in scores]
    content = io.BytesIO()
    np.savez_compressed(content, names=names, confusion=matrices)
    write_bytes(path, content.getvalue())


def _measures(
    measures: DetailedMeasures, confusion: np.ndarray, curve: UIoUCurve | None
) -> dict[str, Any]:
    content: dict[str, Any] = {
        'classes': list(measures.classes),
        'confusion': confusion.tolist(),
        'boundary_IoU': dict(zip(measures.classes, measures.boundary.result(), strict=True)),
        'small_objects': {
            'area_below': {name: None if limit == np.inf else limit for name, limit in AREA_BINS},
            **{
                class_name: {name: dataclasses.asdict(recall) for name, recall in bins.items()}
                for class_name, bins in measures.small_objects.by_class().items()
            },
        },
    }
    if curve is not None:
        content['UIoU'] = {
            'average': curve.average,
            'thresholds': curve.thresholds.tolist(),
            'mean': curve.mean.tolist(),
            'classes': {
                name: None if np.isnan(values).any() else values.tolist()
                for name, values in zip(measures.classes, curve.classes.T, strict=True)
            },
        }
    return content


def _entry(score: ImageScore) -> dict[str, Any]:
    return {
        'image': score.name,
        'mIoU': score.mean,
        'accuracy': score.accuracy,
        'image_file': score.image_file,
        'label_file': score.label_file,
        'IoU': score.classes,
    }


def _write_worst(
    folder: Path, images: WorstCases, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> None:
    make_folder(folder)
    for old in folder.glob('*.png'):
        old.unlink()
    for place, (score, label, prediction) in enumerate(images.worst(), start=1):
        image = read_image(score.image_file)
        caption = f'{score.name}: mIoU {score.mean:.1f} %, {score.accuracy:.1f} % of pixels right'
        picture = error_picture(image, label, prediction, classes, palette, caption)
        end = score.name.replace('/', '_')[-60:]  # a file name has room for 255 bytes
        file = folder / f'{place:02d}_{end}.png'
        write_picture(file, picture)
