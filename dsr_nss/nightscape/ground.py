"""Colours of the ground: asphalt with markings and rails, paving, grass."""

from dataclasses import dataclass, field

import numpy as np

from dsr_nss.nightscape.paint import Colour, noise_tile, sample_noise


def _coverage(distance: np.ndarray, half_width: float, footprint: np.ndarray) -> np.ndarray:
    """Share of a sample that a line covers; `distance` to its centre, all in metres."""
    reach = half_width + footprint / 2 - np.abs(distance)
    return np.clip(reach / footprint, 0, np.minimum(1, 2 * half_width / footprint))


def _grain(
    u: np.ndarray, v: np.ndarray, along: np.ndarray, size: float, seed: int, offset: float
) -> np.ndarray:
    """Noise with details of `size` metres, faded where a sample covers more than that."""
    tile = noise_tile(seed=seed)
    fade = np.clip(size * 6 / along, 0, 1)
    return sample_noise(tile, (u + offset) / size, (v + offset) / size) * fade


def _colours(base: Colour, brightness: np.ndarray) -> np.ndarray:
    return np.clip(brightness[..., None] * np.array(base, np.float32), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Road:
    """Asphalt.

    Attributes:
        base: Colour of the asphalt.
        lane_edges: x of the dashed lines between lanes.
        solid_lines: x of continuous lines.
        rails: x of tram track centres.
        crossings: z of zebra crossings.
        kerbs: x of the left and right end of the road.
        patches: Repairs as (x0, z0, x1, z1, brightness).
        manholes: Covers as (x, z).
        cobbles: Paved with small stones instead of asphalt.
        offset: Shifts the noise; metres.
        lanes: x of the lane centres, for tyre tracks.
    """

    base: Colour
    lane_edges: tuple[float, ...]
    solid_lines: tuple[float, ...]
    rails: tuple[float, ...]
    crossings: tuple[float, ...]
    kerbs: tuple[float, float]
    patches: tuple[tuple[float, float, float, float, float], ...]
    manholes: tuple[tuple[float, float], ...]
    cobbles: bool
    offset: float
    lanes: tuple[float, ...] = field(default=())

    def __call__(self, u: np.ndarray, v: np.ndarray, depth: np.ndarray, focal: float) -> np.ndarray:
        across = depth / focal
        along = depth * depth / (1.3 * focal)
        value = 1 + 0.075 * _grain(u, v, along, 0.012, 1, self.offset)
        value += 0.07 * _grain(u, v * 0.35, along, 0.07, 2, self.offset)
        crack = _grain(u, v, along, 0.05, 3, self.offset)
        value -= 0.18 * np.clip(1 - np.abs(crack) * 22, 0, 1) * np.clip(0.25 / along, 0, 1)
        if self.cobbles:
            joints = np.maximum(
                _coverage(np.mod(u, 0.24) - 0.12, 0.015, across),
                _coverage(np.mod(v + 0.12 * np.floor(u / 0.24), 0.24) - 0.12, 0.015, along),
            )
            value -= 0.2 * joints
        for lane in self.lanes:
            for side in (-0.8, 0.8):
                value -= 0.07 * np.exp(-(((u - lane - side) / 0.28) ** 2))
        for x0, z0, x1, z1, brightness in self.patches:
            inside = (u > x0) & (u < x1) & (v > z0) & (v < z1)
            value = np.where(inside, value * brightness, value)
        for x, z in self.manholes:
            value = np.where((u - x) ** 2 + (v - z) ** 2 < 0.12, value * 0.62, value)
        colour = _colours(self.base, value)
        paint = self._markings(u, v, across, along) * np.clip(
            0.85 + 0.18 * _grain(u, v, along, 0.03, 4, self.offset), 0.3, 1
        )
        white = np.array([225, 224, 216], np.float32)
        colour = colour + paint[..., None] * (white - colour)
        for rail in self.rails:
            for side in (-0.72, 0.72):
                steel = _coverage(u - rail - side, 0.05, across)[..., None]
                groove = _coverage(u - rail - side - 0.07, 0.03, across)[..., None]
                colour = colour + steel * (np.array([150, 146, 140], np.float32) - colour)
                colour = colour * (1 - 0.6 * groove)
        return np.clip(colour, 0, 255).astype(np.uint8)

    def _markings(
        self, u: np.ndarray, v: np.ndarray, across: np.ndarray, along: np.ndarray
    ) -> np.ndarray:
        paint = np.zeros(u.shape, np.float32)
        near_crossing = np.zeros(u.shape, bool)
        for z in self.crossings:
            near_crossing |= np.abs(v - z) < 3.6
        dash = _coverage(np.mod(v, 9.0) - 4.5, 1.5, along)
        for x in self.lane_edges:
            line = _coverage(u - x, 0.07, across) * dash
            paint = np.maximum(paint, np.where(near_crossing, 0, line))
        for x in self.solid_lines:
            line = _coverage(u - x, 0.07, across)
            paint = np.maximum(paint, np.where(near_crossing, 0, line))
        left, right = self.kerbs
        on_road = (u > left + 0.3) & (u < right - 0.3)
        for z in self.crossings:
            bars = _coverage(np.mod(u, 1.0) - 0.5, 0.25, across)
            zebra = bars * _coverage(v - z, 1.7, along)
            stop = _coverage(v - z + 3.2, 0.2, along) * (u > -1.6)
            paint = np.maximum(paint, np.where(on_road, np.maximum(zebra, stop), 0))
        return paint


@dataclass(frozen=True)
class Paving:
    """Sidewalk slabs: colour, slab size in metres, shift of the noise."""

    base: Colour
    slab: float
    offset: float

    def __call__(self, u: np.ndarray, v: np.ndarray, depth: np.ndarray, focal: float) -> np.ndarray:
        across = depth / focal
        along = depth * depth / (1.3 * focal)
        row = np.floor(v / self.slab)
        shifted = u + np.mod(row, 2) * self.slab / 2
        value = 1 + 0.06 * _grain(u, v, along, 0.012, 5, self.offset)
        value += 0.07 * _grain(u, v, along, 0.09, 6, self.offset)
        cell = np.sin(np.floor(shifted / self.slab) * 12.9898 + row * 78.233) * 43758.5453
        value += 0.07 * (cell - np.floor(cell) - 0.5) * np.clip(self.slab / along, 0, 1)
        joints = np.maximum(
            _coverage(np.mod(shifted, self.slab) - self.slab / 2, 0.012, across),
            _coverage(np.mod(v, self.slab) - self.slab / 2, 0.012, along),
        )
        return _colours(self.base, value - 0.28 * joints)


@dataclass(frozen=True)
class Grass:
    """Terrain: colour, share of bare earth (0 to 1), shift of the noise."""

    base: Colour
    bare: float
    offset: float

    def __call__(self, u: np.ndarray, v: np.ndarray, depth: np.ndarray, focal: float) -> np.ndarray:
        along = depth * depth / (1.3 * focal)
        value = 1 + 0.16 * _grain(u, v, along, 0.01, 7, self.offset)
        value += 0.12 * _grain(u, v, along, 0.06, 8, self.offset)
        earth = np.clip(_grain(u, v, along, 0.12, 9, self.offset) - 2 + 3 * self.bare, 0, 1)
        green = np.array(self.base, np.float32)
        brown = np.array([128, 106, 78], np.float32)
        colour = green + earth[..., None] * (brown - green)
        return np.clip(colour * value[..., None], 0, 255).astype(np.uint8)
