"""Boundary IoU (Cheng et al. 2021) class by class, with SciPy's erosion."""

import numpy as np
from scipy.ndimage import binary_erosion


def mask_boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """What `distance` erosions with a 3x3 square take away; outside of the image is no mask."""
    eroded = binary_erosion(mask, np.ones((3, 3)), iterations=distance, border_value=0)
    return mask & ~eroded


def boundary_iou(
    images: list[tuple[np.ndarray, np.ndarray]], distance: int, num_classes: int
) -> list[float | None]:
    """Of each class over `(prediction, label)` images; ignored pixels belong to no mask."""
    result: list[float | None] = []
    for c in range(num_classes):
        both = either = in_label = 0
        for prediction, label in images:
            of_label = mask_boundary(label == c, distance)
            of_prediction = mask_boundary((prediction == c) & (label != 255), distance)
            both += int((of_label & of_prediction).sum())
            either += int((of_label | of_prediction).sum())
            in_label += int(of_label.sum())
        result.append(both / either if in_label else None)
    return result
