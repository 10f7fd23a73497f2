"""Uncertainty-aware IoU (Sakaridis et al. 2019, section 4) by its five sets of pixels."""

import numpy as np


def uncertainty_aware_iou(
    images: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    threshold: float,
    num_classes: int,
) -> list[float | None]:
    """UIoU of each class over `(prediction, label, confidence, invalid)` images at a threshold.

    A pixel of the label 255 is not counted; None for a class that does not occur in the labels.
    """
    result: list[float | None] = []
    for c in range(num_classes):
        tp = fp = fn = ti = fi = 0
        for prediction, label, confidence, invalid in images:
            for p in np.ndindex(label.shape):
                if label[p] == 255:
                    continue
                abstains = float(confidence[p]) < threshold
                if label[p] == c and abstains:
                    if invalid[p]:
                        ti += 1
                    else:
                        fi += 1
                elif abstains:
                    continue
                elif label[p] == c and prediction[p] == c:
                    tp += 1
                elif label[p] == c:
                    fn += 1
                elif prediction[p] == c:
                    fp += 1
        occurs = tp + fn + ti + fi > 0
        result.append((tp + ti) / (tp + ti + fp + fn + fi) if occurs else None)
    return result
