"""Pinhole camera. World axes: X right, Y up, Z along the street; metres and radians."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: World position (x, y, z) in metres.
        yaw: Turn to the right, radians.
        pitch: Turn upwards, radians.
        roll: Clockwise roll, radians.
        focal: Focal length as a share of the image width.
        height: Image height in pixels.
        width: Image width in pixels.
    """

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    focal: float
    height: int
    width: int

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, rows right, down, forward: camera = rotation @ (world - position)."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        right = np.array([cy, 0.0, -sy])
        forward = np.array([sy * cp, sp, cy * cp])
        down = -np.array([-sy * sp, cp, -cy * sp])
        return np.stack([cr * right + sr * down, -sr * right + cr * down, forward])

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.focal * self.width

    def scaled(self, factor: int) -> 'Camera':
        """The same camera with `factor` times as many rows and columns."""
        return replace(self, height=self.height * factor, width=self.width * factor)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points `(..., 3)` to camera coordinates `(..., 3)`: right, down, forward."""
        return (np.asarray(points) - np.asarray(self.position)) @ self.rotation.T

    def project(self, camera_points: np.ndarray) -> np.ndarray:
        """Camera coordinates `(..., 3)` with positive depth to pixel coordinates `(..., 2)`.

        The centre of the top left pixel is (0.5, 0.5).
        """
        z = camera_points[..., 2:3]
        centre = np.array([self.width / 2, self.height / 2])
        return camera_points[..., :2] / z * self.focal_px + centre

    def rays(self) -> np.ndarray:
        """Directions in camera coordinates through the pixel centres, (H, W, 3) float32, z = 1."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal_px
        y = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal_px
        rays = np.ones((self.height, self.width, 3), np.float32)
        rays[..., 0] = x
        rays[..., 1] = y[:, None]
        return rays

    def world_points(self, inverse_depth: np.ndarray) -> np.ndarray:
        """World positions (H, W, 3) float32 of pixels with inverse depth (H, W), 1/m, above 0."""
        points = self.rays() / inverse_depth[..., None]
        rotation = self.rotation.astype(np.float32)
        return points @ rotation + np.asarray(self.position, np.float32)
