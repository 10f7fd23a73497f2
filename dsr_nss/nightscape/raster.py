"""Rasteriser: planar surfaces into colour, emission, label, inverse depth and surface number."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.nightscape.camera import Camera
from dsr_nss.nightscape.paint import EMISSION_STEPS, TRANSPARENT, Colour, Texture

_NEAR = 0.4
_SHIFT = 4

#: (surface coordinates u, v in units of the frame's edges, depth in metres, focal length in
#: pixels), arrays (h, w) float32 -> (h, w, 3) uint8 colours.
Shader = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


@dataclass
class Surface:
    """A planar convex polygon with one colour, a texture or a shader.

    Attributes:
        corners: (n, 3) world positions. Seen from outside: bottom left, bottom right, top right,
            top left; the texture's frame is spanned by the first, second and last corner unless
            `frame` (origin, right edge, upward edge; (3, 3)) says otherwise.
        label: Train id; a texture with labels of its own overrides it.
        colour: sRGB colour of a plain surface.
        texture: Painted rectangle, or a function that paints it, called only if some of the
            surface is visible; None for none.
        shader: Colour from metric surface coordinates, or None.
        emit: Emitted radiance of a plain surface, relative to its albedo.
        two_sided: Visible from both sides; its normal is turned to the camera.
        frame: (3, 3) origin, right edge and upward edge of the texture's frame; None takes it from
            `corners`.
    """

    corners: np.ndarray
    label: int
    colour: Colour = (128, 128, 128)
    texture: Texture | Callable[[], Texture] | None = None
    shader: Shader | None = None
    emit: float = 0.0
    two_sided: bool = False
    frame: np.ndarray | None = None


@dataclass
class Raster:
    """Image-sized buffers of one view and the painter that fills them.

    Attributes:
        camera: The camera; its size is the size of the buffers.
        rgbe: (H, W, 4) uint8, sRGB albedo and emission.
        label: (H, W) uint8 train ids; sky's id is set by the caller before painting.
        inverse_depth: (H, W) float32, 1/m along the camera axis, 0 for the sky.
        surface: (H, W) int32 number of the visible surface, 0 for the sky.
        normals: World normals by surface number.
    """

    camera: Camera
    rgbe: np.ndarray = field(init=False)
    label: np.ndarray = field(init=False)
    inverse_depth: np.ndarray = field(init=False)
    surface: np.ndarray = field(init=False)
    normals: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width)
        self.rgbe = np.zeros((*shape, 4), np.uint8)
        self.label = np.full(shape, IGNORE_INDEX, np.uint8)
        self.inverse_depth = np.zeros(shape, np.float32)
        self.surface = np.zeros(shape, np.int32)
        self.normals = [np.zeros(3)]

    def density(self, point: np.ndarray | tuple[float, float, float]) -> float:
        """Samples per metre at a world position `(3,)` (at most those at 1.5 m)."""
        distance = np.linalg.norm(np.asarray(point, float) - np.asarray(self.camera.position))
        return self.camera.focal_px / max(float(distance), 1.5)

    def draw(self, surface: Surface) -> None:
        """Paint one surface where it is nearer than what is there."""
        window = self._window(surface)
        if window is None:
            return
        box, polygon, inverse, normal = window
        x0, y0, x1, y1 = box
        u, v, iz = self._coordinates(box, inverse)
        view = (slice(y0, y1), slice(x0, x1))
        mask = iz > self.inverse_depth[view]
        if surface.frame is None and len(surface.corners) == 4 and surface.texture is not None:
            # Exact edges, so that neighbouring textured rectangles meet without a seam.
            slack = 1e-4
            mask &= (u >= -slack) & (u <= 1 + slack) & (v >= -slack) & (v <= 1 + slack)
        else:
            inside = np.zeros(mask.shape, np.uint8)
            points = np.round((polygon - (x0 + 0.5, y0 + 0.5)) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillConvexPoly(inside, points, 1, shift=_SHIFT)
            mask &= inside.astype(bool)
        rows = mask.any(1).nonzero()[0]
        if not rows.size:
            return
        columns = mask.any(0).nonzero()[0]
        # Go on with the visible part only.
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        view = (
            slice(y0 + int(rows[0]), y0 + int(rows[-1]) + 1),
            slice(x0 + int(columns[0]), x0 + int(columns[-1]) + 1),
        )
        mask, u, v, iz = mask[part], u[part], v[part], iz[part]
        self._write(surface, view, mask, u, v, iz)
        np.copyto(self.inverse_depth[view], iz, where=mask)
        np.copyto(self.surface[view], len(self.normals), where=mask)
        self.normals.append(normal)

    def darken(self, corners: np.ndarray, strength: float) -> None:
        """Soft dark patch (a contact shadow) on surfaces in the plane of `corners`, `(4, 3)`."""
        window = self._window(Surface(corners, 0, two_sided=True))
        if window is None:
            return
        box, _, inverse, _ = window
        u, v, iz = self._coordinates(box, inverse)
        x0, y0, x1, y1 = box
        view = (slice(y0, y1), slice(x0, x1))
        there = np.abs(self.inverse_depth[view] - iz) < 0.03 * iz + 1e-6
        weight = np.clip(u * (1 - u) * 12, 0, 1) * np.clip(v * (1 - v) * 12, 0, 1)
        weight = np.where(there & (u > 0) & (u < 1) & (v > 0) & (v < 1), weight, 0) * strength
        rgb = self.rgbe[view][..., :3]
        rgb[:] = (rgb * (1 - weight[..., None])).astype(np.uint8)

    def _window(
        self, surface: Surface
    ) -> tuple[tuple[int, int, int, int], np.ndarray, np.ndarray, np.ndarray] | None:
        corners = np.asarray(surface.corners, np.float64)
        if surface.frame is not None:
            origin, right, up = surface.frame
        else:
            origin, right, up = corners[0], corners[1] - corners[0], corners[-1] - corners[0]
        normal = _unit_normal(up, right)
        facing = float(normal @ (np.asarray(self.camera.position) - origin))
        if facing <= 1e-3:
            if not surface.two_sided or facing >= -1e-3:
                return None
            normal = -normal
        polygon = _clip_near(self.camera.to_camera(corners))
        if len(polygon) < 3:
            return None
        pixels = self.camera.project(polygon)
        pixels = np.clip(pixels, -1e6, 1e6)
        x0, y0 = np.maximum(np.floor(pixels.min(0)).astype(int), 0)
        x1 = min(int(np.ceil(pixels[:, 0].max())) + 1, self.camera.width)
        y1 = min(int(np.ceil(pixels[:, 1].max())) + 1, self.camera.height)
        if x0 >= x1 or y0 >= y1:
            return None
        rotation = self.camera.rotation
        basis = np.stack([rotation @ right, rotation @ up, self.camera.to_camera(origin)], axis=1)
        return (int(x0), int(y0), x1, y1), pixels, np.linalg.inv(basis), normal

    def _coordinates(
        self, box: tuple[int, int, int, int], inverse: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Surface coordinates and inverse depth of the samples in `box`: the plane's point on a
        ray r is z * r = basis @ (u, v, 1), hence inverse @ r = (u, v, 1) / z."""
        x0, y0, x1, y1 = box
        focal = self.camera.focal_px
        x = (np.arange(x0, x1) + 0.5 - self.camera.width / 2) / focal
        y = (np.arange(y0, y1) + 0.5 - self.camera.height / 2) / focal
        planes = [
            (row[0] * x).astype(np.float32)[None]
            + (row[1] * y + row[2]).astype(np.float32)[:, None]
            for row in inverse
        ]
        iz = np.where(np.abs(planes[2]) < 1e-6, np.float32(-1), planes[2])
        return planes[0] / iz, planes[1] / iz, iz

    def _write(
        self,
        surface: Surface,
        view: tuple[slice, slice],
        mask: np.ndarray,
        u: np.ndarray,
        v: np.ndarray,
        iz: np.ndarray,
    ) -> None:
        target = self.rgbe[view].view(np.uint32)[..., 0]
        if surface.texture is not None:
            texture = surface.texture
            if not isinstance(texture, Texture):
                texture = texture()
            rgbe, label = texture.rgbe, texture.label
            map_x = np.clip(u, -1, 2) * rgbe.shape[1] - np.float32(0.5)
            map_y = (1 - np.clip(v, -1, 2)) * rgbe.shape[0] - np.float32(0.5)
            if label is not None:
                found = cv2.remap(
                    label, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
                )
                mask &= found != TRANSPARENT
                np.copyto(self.label[view], found, where=mask)
            colour = cv2.remap(
                rgbe, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            np.copyto(target, colour.view(np.uint32)[..., 0], where=mask)
            if label is not None:
                return
        elif surface.shader is not None:
            depth = 1 / np.maximum(iz, np.float32(1e-3))
            colour = np.zeros((*mask.shape, 4), np.uint8)
            colour[..., :3] = surface.shader(u, v, depth, self.camera.focal_px)
            np.copyto(target, colour.view(np.uint32)[..., 0], where=mask)
        else:
            emit = min(255, int(surface.emit * EMISSION_STEPS))
            value = np.array([*surface.colour, emit], np.uint8).view(np.uint32)[0]
            np.copyto(target, value, where=mask)
        np.copyto(self.label[view], np.uint8(surface.label), where=mask)


def _unit_normal(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Normalised cross product up x right; numpy's is slow for single vectors."""
    (a, b, c), (p, q, r) = up.tolist(), right.tolist()
    x, y, z = b * r - c * q, c * p - a * r, a * q - b * p
    length = max((x * x + y * y + z * z) ** 0.5, 1e-12)
    return np.array([x / length, y / length, z / length])


def _clip_near(polygon: np.ndarray) -> np.ndarray:
    """The part of a polygon (n, 3) in front of the near plane, camera coordinates."""
    inside = polygon[:, 2] >= _NEAR
    if inside.all():
        return polygon
    kept = []
    for i, point in enumerate(polygon):
        following = polygon[(i + 1) % len(polygon)]
        if inside[i]:
            kept.append(point)
        if inside[i] != inside[(i + 1) % len(polygon)]:
            share = (_NEAR - point[2]) / (following[2] - point[2])
            kept.append(point + share * (following - point))
    return np.array(kept).reshape(-1, 3)


def quad(
    origin: tuple[float, float, float] | np.ndarray,
    right: tuple[float, float, float] | np.ndarray,
    up: tuple[float, float, float] | np.ndarray,
) -> np.ndarray:
    """Corners (4, 3) of a parallelogram in the order of `Surface.corners`."""
    o, r, t = (np.asarray(value, np.float64) for value in (origin, right, up))
    return np.stack([o, o + r, o + r + t, o + t])
