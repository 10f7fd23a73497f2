"""Aligners: where in the day reference does each night pixel lie?

An aligner is a registered module with `forward(night, day) -> Alignment`. It is frozen, keeps no
graph, and takes RGB images in [0, 1].
"""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.warp import pixel_grid
from dsr_nss.values import Bounds, Positive, PositiveShare, Share, checked

#: Confidence of a match where an aligner knows nothing about it.
UNINFORMED = 0.5


@dataclass
class Alignment:
    """A dense correspondence night -> day.

    Attributes:
        flow: `(B, 2, H, W)` float32 in pixels, x first; exactly zero means "do not warp".
        confidence: `(B, 1, H, W)` float32, probability that the match is right.
        aligned: `(B,)` bool, False where no correspondence was found.
    """

    flow: Tensor
    confidence: Tensor
    aligned: Tensor


@checked
class WeightlessAligner(BaseModule):
    """An aligner without weights.

    Args:
        init_cfg: Accepted and without effect: there is nothing to load. A config, or an option of
            the command line, may so replace an aligner with weights by its type alone.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__()

    def init_weights(self) -> None:
        """Nothing."""


@MODELS.register_module()
@checked
class Identity(WeightlessAligner):
    """No warp: the day pixel at the same position.

    Args:
        confidence: Confidence of every match. With 0.5 the day has up to half of the say on all
            classes, those of moving and small things as well, even where the views do not match;
            with 0 it speaks only where both views show large static classes.
        **kwargs: Arguments of `WeightlessAligner`.
    """

    def __init__(self, *, confidence: Share = UNINFORMED, **kwargs) -> None:
        super().__init__(**kwargs)
        self.confidence = confidence

    @torch.no_grad()
    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        """Align two batches `(B, 3, H, W)` of RGB in [0, 1]."""
        batch, _, height, width = night.shape
        return Alignment(
            flow=night.new_zeros(batch, 2, height, width, dtype=torch.float32),
            confidence=night.new_full(
                (batch, 1, height, width), self.confidence, dtype=torch.float32
            ),
            aligned=torch.ones(batch, dtype=torch.bool, device=night.device),
        )


@MODELS.register_module()
@checked
class Homography(WeightlessAligner):
    """One homography for each image pair: SIFT features, ratio test, RANSAC (all from OpenCV).

    Runs on the CPU and therefore waits for the device; a dense network does not.

    Args:
        min_inliers: Fewer inliers than this count as "not aligned".
        ratio: Lowe's ratio of the best to the second-best match.
        threshold: Largest re-projection error of an inlier in pixels.
        **kwargs: Arguments of `WeightlessAligner`.
    """

    def __init__(
        self,
        *,
        min_inliers: Annotated[int, Bounds(4)] = 20,
        ratio: PositiveShare = 0.8,
        threshold: Positive = 3.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.min_inliers = min_inliers
        self.ratio = ratio
        self.threshold = threshold

    @torch.no_grad()
    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        """Align two batches `(B, 3, H, W)` of RGB in [0, 1]."""
        batch, _, height, width = night.shape
        pairs = zip(_grey_bytes(night), _grey_bytes(day), strict=True)
        matrices = [self.estimate(*pair) for pair in pairs]
        flow = np.zeros((batch, 2, height, width), dtype=np.float32)
        for i, matrix in enumerate(matrices):
            if matrix is not None:
                flow[i] = homography_flow(matrix, height, width)
        device = night.device
        return Alignment(
            flow=torch.from_numpy(flow).to(device),
            confidence=torch.full((batch, 1, height, width), UNINFORMED, device=device),
            aligned=torch.tensor([matrix is not None for matrix in matrices], device=device),
        )

    def estimate(self, night: np.ndarray, day: np.ndarray) -> np.ndarray | None:
        """Homography night -> day.

        Args:
            night: `(H, W)` uint8 grey.
            day: `(H, W)` uint8 grey.

        Returns:
            `(3, 3)` float64, positive in the third coordinate where the matches are; or None with
            fewer than `min_inliers` inliers.
        """
        # the night is dark: local equalisation gives the detector something to see
        equalise = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8))
        sift = cv2.SIFT.create()
        points_n, features_n = sift.detectAndCompute(equalise.apply(night), None)
        points_d, features_d = sift.detectAndCompute(equalise.apply(day), None)
        if features_n is None or features_d is None or min(len(points_n), len(points_d)) < 4:
            return None
        candidates = cv2.BFMatcher().knnMatch(features_n, features_d, k=2)
        good = [c[0] for c in candidates if c[0].distance < self.ratio * c[1].distance]
        if len(good) < self.min_inliers:
            return None
        from_night = np.array([points_n[m.queryIdx].pt for m in good])
        to_day = np.array([points_d[m.trainIdx].pt for m in good])
        cv2.setRNGSeed(0)  # RANSAC draws from OpenCV's own generator: same pair, same answer
        matrix, inliers = cv2.findHomography(from_night, to_day, cv2.RANSAC, self.threshold)
        if matrix is None or int(inliers.sum()) < self.min_inliers:
            return None
        # OpenCV scales so that the corner (0, 0) is in front, which may be beyond the horizon
        depth = from_night[inliers.ravel() == 1] @ matrix[2, :2] + matrix[2, 2]
        return matrix if np.median(depth) > 0 else -matrix


def _grey_bytes(image: Tensor) -> list[np.ndarray]:
    pixels = (image.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pixels.cpu().numpy()]


def homography_flow(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """Flow of a homography: `H p - p` for every pixel.

    Args:
        matrix: `(3, 3)`, maps (x, y, 1) of the night view to the day view.
        height: `H`, image height in pixels.
        width: `W`, image width in pixels.

    Returns:
        `(2, H, W)` float32 in pixels, x first. Points behind the camera flow out of the image.
    """
    grid = pixel_grid(height, width, torch.zeros((), dtype=torch.float64))[0].numpy()
    points = np.concatenate((grid, np.ones((1, height, width)))).reshape(3, -1)
    x, y, w = matrix @ points
    front = w > 1e-9
    mapped = np.stack((x, y)) / np.where(front, w, 1.0)
    mapped[:, ~front] = -1e6
    return (mapped.reshape(2, height, width) - grid).astype(np.float32)
