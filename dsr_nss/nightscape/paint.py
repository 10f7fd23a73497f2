"""Painting of textures: a canvas in metres, tileable noise, colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

#: Value in a texture's label plane for "nothing here".
TRANSPARENT = 254
#: The emission byte is this many times the emitted radiance (relative to the albedo).
EMISSION_STEPS = 8

Colour = tuple[int, int, int]
_SHIFT = 4


@dataclass
class Texture:
    """A painted rectangle.

    Attributes:
        rgbe: (h, w, 4) uint8, sRGB colour and emission (`EMISSION_STEPS` steps per unit).
        label: (h, w) uint8 train ids, `TRANSPARENT` where there is nothing; None: opaque, with
            the one label of the surface that carries the texture.
    """

    rgbe: np.ndarray
    label: np.ndarray | None = None

    def mirrored(self) -> 'Texture':
        """Left and right exchanged."""
        label = None if self.label is None else np.ascontiguousarray(self.label[:, ::-1])
        return Texture(np.ascontiguousarray(self.rgbe[:, ::-1]), label)

    def turned(self) -> 'Texture':
        """Turned by half a turn."""
        label = None if self.label is None else np.ascontiguousarray(self.label[::-1, ::-1])
        return Texture(np.ascontiguousarray(self.rgbe[::-1, ::-1]), label)


class Canvas:
    """Paints coloured, labelled shapes; coordinates in metres, x right, y up from the bottom left.

    Args:
        width: Width in metres.
        height: Height in metres.
        density: Pixels per metre, or horizontal and vertical ones.
        colour: Background colour (also under transparent parts, so that edges blend with it).
        label: Label of all shapes unless a shape has its own; None: everything is opaque.
    """

    def __init__(
        self,
        width: float,
        height: float,
        density: float | tuple[float, float],
        *,
        colour: Colour = (90, 90, 90),
        label: int | None = None,
    ) -> None:
        self.density = density
        across, upward = density if isinstance(density, tuple) else (density, density)
        rows = max(2, int(np.ceil(height * upward)))
        columns = max(2, int(np.ceil(width * across)))
        self.scale = (columns / width, rows / height)
        self.rows = rows
        self.rgbe = np.empty((rows, columns, 4), np.uint8)
        self.rgbe[:] = (*colour, 0)
        self.default = label
        self.label: np.ndarray | None = None
        if label is not None:
            self.label = np.full((rows, columns), TRANSPARENT, np.uint8)

    def _pixels(self, points: Sequence[tuple[float, float]] | np.ndarray) -> np.ndarray:
        unit = 1 << _SHIFT
        array = np.array(points, np.float64)
        array *= (self.scale[0] * unit, -self.scale[1] * unit)
        array += (-0.5 * unit, (self.rows - 0.5) * unit)
        return np.rint(array).astype(np.int32)

    def poly(
        self,
        points: Sequence[tuple[float, float]] | np.ndarray,
        colour: Colour,
        *,
        label: int | None = None,
        emit: float = 0.0,
    ) -> None:
        """Fill a polygon of `(N, 2)` points."""
        pixels = self._pixels(points)
        value = (*(int(c) for c in colour), min(255, int(emit * EMISSION_STEPS)))
        cv2.fillPoly(self.rgbe, [pixels], value, shift=_SHIFT)
        if self.label is not None:
            own = self.default if label is None else label
            assert own is not None
            cv2.fillPoly(self.label, [pixels], own, shift=_SHIFT)

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        *,
        label: int | None = None,
        emit: float = 0.0,
    ) -> None:
        """Fill an axis-aligned rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label=label, emit=emit)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        label: int | None = None,
        emit: float = 0.0,
    ) -> None:
        """Fill an ellipse whose axes are those of the canvas."""
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        points = np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)
        self.poly(points, colour, label=label, emit=emit)

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Colour,
        *,
        label: int | None = None,
        emit: float = 0.0,
        end_width: float | None = None,
    ) -> None:
        """A straight bar from `start` to `end` that may taper to `end_width`."""
        (x0, y0), (x1, y1) = start, end
        length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
        nx, ny = (y0 - y1) / length / 2, (x1 - x0) / length / 2
        a, b = width, width if end_width is None else end_width
        self.poly(
            [
                (x0 + nx * a, y0 + ny * a), (x1 + nx * b, y1 + ny * b), (x1 - nx * b, y1 - ny * b),
                (x0 - nx * a, y0 - ny * a),
            ],
            colour,
            label=label,
            emit=emit,
        )  # fmt: skip

    def ring(
        self, x: float, y: float, radius: float, width: float, colour: Colour, steps: int = 14
    ) -> None:
        """A circle line."""
        angle = np.linspace(0, 2 * np.pi, steps + 1)
        points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        for first, last in zip(points[:-1], points[1:], strict=True):
            self.line(tuple(first), tuple(last), width, colour)

    def shade(self, factor: np.ndarray) -> None:
        """Multiply the colours with `factor`, broadcastable to (rows, columns)."""
        factor = np.broadcast_to(np.asarray(factor, np.float32), self.rgbe.shape[:2])
        whole = cv2.merge([factor, factor, factor, np.ones_like(factor)])
        self.rgbe = cv2.multiply(self.rgbe, whole, dtype=cv2.CV_8U)

    def texture(self) -> Texture:
        """What was painted."""
        return Texture(self.rgbe, self.label)


@cache
def noise_tile(size: int = 512, octaves: int = 6, base: int = 4, seed: int = 0) -> np.ndarray:
    """Tileable value noise, (size, size) float32, mean 0 and standard deviation 1.

    Args:
        size: Edge in pixels; a multiple of `base * 2 ** (octaves - 1)`.
        octaves: Number of frequencies, each with 0.62 times the amplitude of the one before.
        base: Cells along an edge in the lowest frequency.
        seed: Seed of the noise.
    """
    rng = np.random.default_rng((7919, seed))
    total = np.zeros((size, size), np.float32)
    amplitude, cells = 1.0, base
    for _ in range(octaves):
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        padded = np.pad(grid, 2, mode='wrap')
        step = size / cells
        position = (np.arange(size, dtype=np.float32) + 0.5) / step + 1.5
        map_x, map_y = np.meshgrid(position, position)
        total += amplitude * cv2.remap(padded, map_x, map_y, cv2.INTER_CUBIC)
        amplitude *= 0.62
        cells = min(cells * 2, size)
    total -= total.mean()
    total /= total.std()
    total.setflags(write=False)
    return total


def sample_noise(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples of repeated noise at tile pixels x, y: (H, W) float32 within +-30000."""
    return cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def noise_patch(
    shape: tuple[int, int], scale: tuple[float, float], start: tuple[float, float]
) -> np.ndarray:
    """Noise (h, w) float32 on a regular grid: tile pixels per pixel (x, y) and a first position."""
    grid = np.array([[scale[0], 0, start[0]], [0, scale[1], start[1]]], np.float64)
    return cv2.warpAffine(
        noise_tile(seed=11),
        grid,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )


def vary(rng: np.random.Generator, colour: Colour, amount: float = 12.0) -> Colour:
    """A colour near `colour`: a common brightness change and a smaller change per channel."""
    common, *own = (rng.standard_normal(4) * amount).tolist()
    r, g, b = (
        min(255, max(0, int(value + common + change / 3)))
        for value, change in zip(colour, own, strict=True)
    )
    return r, g, b


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour, brighter or darker; `factor` is not negative."""
    r, g, b = colour
    return min(255, int(r * factor)), min(255, int(g * factor)), min(255, int(b * factor))


def pick(rng: np.random.Generator, colours: Sequence[Colour], amount: float = 10.0) -> Colour:
    """One of `colours`, varied."""
    return vary(rng, colours[int(rng.integers(len(colours)))], amount)
