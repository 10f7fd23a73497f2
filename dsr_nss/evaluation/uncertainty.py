"""Uncertainty-aware IoU (UIoU): a prediction may abstain, and should where a human cannot tell.

Sakaridis et al., Guided Curriculum Model Adaptation and Uncertainty-Aware Evaluation for Semantic
Nighttime Image Segmentation (ICCV 2019, section 4; MGCDA, TPAMI 2022). A pixel whose confidence
lies below a threshold is predicted as invalid. With `H` the label, `P` the prediction and `J` the
ground truth's mask of invalid pixels, for a class `c`

    TP: H = c, P = c                    FP: H != c, P = c
    FN: H = c, P neither c nor invalid  TI: H = c, P invalid, J true
                                        FI: H = c, P invalid, J false
    UIoU = (TP + TI) / (TP + TI + FP + FN + FI)

so that every pixel of the class is in the union, and abstaining is right where `J` says so. At the
lowest threshold, 1 / (number of classes), nothing is invalid and UIoU is IoU. Pixels whose label is
ignored are not counted.
"""

from dataclasses import dataclass

import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.evaluation.accumulator import CountAccumulator, ScoredImage

#: Points of the curve.
THRESHOLDS = 101


@dataclass(frozen=True)
class UIoUCurve:
    """UIoU of a set over confidence thresholds, percent.

    Attributes:
        thresholds: `(T,)`, evenly spaced from 1 / (number of classes) to 1.
        classes: `(T, K)`; nan for a class that does not occur in the labels.
        mean: `(T,)`, over the classes that occur.
        average: Mean of `mean` over the thresholds.
    """

    thresholds: np.ndarray
    classes: np.ndarray
    mean: np.ndarray
    average: float


def confidence_thresholds(num_classes: int) -> np.ndarray:
    """`(THRESHOLDS,)` float64, evenly spaced from `1 / num_classes`: no confidence is below it."""
    return np.linspace(1 / num_classes, 1, THRESHOLDS)


def uiou_counts(
    prediction: np.ndarray,
    label: np.ndarray,
    confidence: np.ndarray,
    invalid: np.ndarray,
    thresholds: np.ndarray,
    num_classes: int,
) -> dict[str, np.ndarray]:
    """Pixels of one image by class and by the number of thresholds that their confidence reaches.

    Args:
        prediction: `(H, W)` uint8 class ids, before abstaining.
        label: `(H, W)` uint8 class ids, 255 = ignore.
        confidence: `(H, W)` float in 0..1, of the predicted class.
        invalid: `(H, W)` bool, the ground truth's invalid pixels.
        thresholds: `(T,)`, rising.
        num_classes: `K`.

    Returns:
        `(K, T + 1)` int64 each: `'correct'` (`H = P = c`), `'predicted'` (`P = c`), `'valid'`
        (`H = c`, `J` false) and `'invalid'` (`H = c`, `J` true).
    """
    counted = label != IGNORE_INDEX
    # rounding must not put a confidence below the lowest possible one
    values = np.maximum(confidence[counted], thresholds[0])
    reached = np.searchsorted(thresholds, values, side='right')
    # one count of all combinations is faster than four of some
    shape = (num_classes, num_classes, 2, len(thresholds) + 1)
    index = np.ravel_multi_index(
        (label[counted], prediction[counted], invalid[counted].astype(np.uint8), reached), shape
    )
    joint = np.bincount(index, minlength=int(np.prod(shape))).reshape(shape)
    return {
        'correct': joint.sum(axis=2).diagonal().T,
        'predicted': joint.sum(axis=(0, 2)),
        'valid': joint[:, :, 0].sum(axis=1),
        'invalid': joint[:, :, 1].sum(axis=1),
    }


def uiou_curve(counts: dict[str, np.ndarray], thresholds: np.ndarray) -> UIoUCurve:
    """UIoU from the counts of `uiou_counts`, summed over the images of a set.

    Args:
        counts: `(K, T + 1)` int64 each, under the names that `uiou_counts` gives them.
        thresholds: `(T,)` thresholds of the confidence, rising.

    Raises:
        ValueError: No pixel is labelled.
    """
    below = {name: array.cumsum(axis=1)[:, :-1] for name, array in counts.items()}
    total = {name: array.sum(axis=1, keepdims=True) for name, array in counts.items()}
    # a pixel that reaches k thresholds is valid at the first k of them
    correct = total['correct'] - below['correct']
    false = total['predicted'] - below['predicted'] - correct
    in_class = total['valid'] + total['invalid']  # TP + FN + TI + FI
    occurs = in_class[:, 0] > 0
    if not occurs.any():
        raise ValueError('the labels hold no pixel of any class, only ignored ones')
    with np.errstate(invalid='ignore', divide='ignore'):
        uiou = 100 * (correct + below['invalid']) / (in_class + false)
    uiou[~occurs] = np.nan
    mean = uiou[occurs].mean(axis=0)
    return UIoUCurve(thresholds, uiou.T, mean, float(mean.mean()))


class UncertaintyAwareIoU(CountAccumulator):
    """UIoU of a set over confidence thresholds.

    Args:
        num_classes: `K`.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.thresholds = confidence_thresholds(num_classes)
        shape = (num_classes, len(self.thresholds) + 1)
        super().__init__(correct=shape, predicted=shape, valid=shape, invalid=shape)

    def update(self, image: ScoredImage) -> None:
        """Counts one image.

        Raises:
            ValueError: It has no confidence or no mask of invalid pixels, or one of another size.
        """
        if image.confidence is None or image.invalid is None:
            raise ValueError(f'{image.name}: UIoU needs a confidence and a mask of invalid pixels')
        if image.invalid.shape != image.label.shape:
            sizes = ' and '.join('x'.join(map(str, a.shape)) for a in (image.invalid, image.label))
            raise ValueError(f'{image.name}: mask of invalid pixels and label differ: {sizes}')
        self.add(
            **uiou_counts(
                image.prediction,
                image.label,
                image.confidence,
                image.invalid,
                self.thresholds,
                self.num_classes,
            )
        )

    def result(self) -> UIoUCurve:
        """The curve."""
        return uiou_curve(self.counts, self.thresholds)
