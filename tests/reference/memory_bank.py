"""The long-tail memory bank [5]: remembered objects pasted on every mixed image.

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections import deque

import numpy as np


class MemoryBank:
    """FIFO of (image, mask, label) of source images that show a long-tail class.

    ``images`` are (3, H, W), ``labels`` (H, W). Capacity counts images.
    """

    def __init__(self, long_tail_ids, capacity: int = 6, interval: int = 5):
        self.ids = tuple(long_tail_ids)
        self.interval = interval
        self.entries: deque = deque(maxlen=capacity)

    def push(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Store each image that has a long-tail pixel; the oldest leaves when the bank is full."""
        for image, label in zip(images, labels, strict=True):
            mask = np.isin(label, self.ids)
            if mask.any():
                self.entries.append((image.copy(), mask, label.copy()))

    def paste(self, images, labels, weights):
        """X' = B_m B_i + (1 - B_m) X for every stored image, oldest first; pasted weight is 1."""
        images, labels, weights = images.copy(), labels.copy(), weights.copy()
        for b in range(len(images)):
            for image, mask, label in self.entries:
                for y, x in np.argwhere(mask):
                    images[b, :, y, x] = image[:, y, x]
                    labels[b, y, x] = label[y, x]
                    weights[b, y, x] = 1.0
        return images, labels, weights

    def step(self, iteration: int, mixed, source):
        """One iteration: paste if it is its turn, then remember the current source batch.

        ``mixed`` is (images, labels, weights), ``source`` (images, labels).
        """
        if iteration % self.interval == 0:
            mixed = self.paste(*mixed)
        self.push(*source)
        return mixed
