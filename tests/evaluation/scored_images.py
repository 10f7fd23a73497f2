"""Images with labels, predictions, confidences and masks that look a little like real ones."""

import cv2
import numpy as np
import torch

from dsr_nss.evaluation.accumulator import ScoredImage
from dsr_nss.evaluation.iou import confusion_matrix


def make_images(count: int = 3, num_classes: int = 19) -> list[ScoredImage]:
    """Blobs of a few classes with ignored regions; predictions are right at about two thirds."""
    rng = np.random.default_rng(0)
    images = []
    for i in range(count):
        size = (28 + 4 * i, 40)
        label, noise = _blobs(rng, size), _blobs(rng, size)
        label[_blobs(rng, size) == 2] = 255
        prediction = np.where(_blobs(rng, size) < 9, label, noise)
        prediction[prediction == 255] = 3
        confidence = rng.uniform(1 / num_classes, 1, size).astype(np.float32)
        confusion = confusion_matrix(
            torch.from_numpy(prediction), torch.from_numpy(label), num_classes
        )
        images.append(
            ScoredImage(
                name=f'{i}',
                prediction=prediction,
                label=label,
                confusion=confusion.numpy(),
                confidence=confidence,
                invalid=_blobs(rng, size) < 4,
            )
        )
    return images


def _blobs(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    coarse = rng.choice([0, 2, 5, 6, 7, 8, 11, 12, 13], (size[0] // 4, size[1] // 4))
    return cv2.resize(coarse.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
