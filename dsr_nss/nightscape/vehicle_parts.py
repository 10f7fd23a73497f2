"""The vehicle and the parts that all vehicles are built of: faces, wheels, lights, panes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dsr_nss.nightscape.paint import Canvas, Colour, Texture, scaled
from dsr_nss.nightscape.raster import Surface

#: Textures are painted when a face turns out to be visible.
Painter = Callable[[], Texture]
TYRE: Colour = (26, 26, 28)
GLASS_DAY: Colour = (56, 66, 76)
GLASS_NIGHT: Colour = (24, 27, 32)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle on the ground.

    Attributes:
        kind: 'car', 'van', 'truck', 'bus' or 'tram'.
        x: World x of the middle of the rear end, metres.
        z: World z of the middle of the rear end, metres.
        heading: Direction of travel, radians from +z towards +x.
        colour: Paint.
        seed: Seed of the details.
        lights: Head and tail lights are on (at night).
        braking: Brake lights are on.
    """

    kind: str
    x: float
    z: float
    heading: float
    colour: Colour
    seed: int
    lights: bool
    braking: bool

    @property
    def size(self) -> tuple[float, float, float]:
        """Length, width and height in metres."""
        rng = np.random.default_rng((self.seed, 20))
        k = float(rng.uniform(0.94, 1.08))
        sizes = {
            'car': (4.2 * k, 1.78 * k**0.5, 1.47 * k),
            'van': (5.2 * k, 1.95, 2.25 * k),
            'truck': (8.2 * k, 2.45, 3.4 * k),
            'bus': (11.5 * k, 2.5, 3.05 * k),
            'tram': (22.0 * k, 2.4, 3.4),
        }
        return sizes[self.kind]

    def point(self, along: float, across: float, up: float) -> np.ndarray:
        """World position of local coordinates (forward, right, up)."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return np.array(
            [self.x + along * sin + across * cos, up, self.z + along * cos - across * sin]
        )

    def corners(self, *places: tuple[float, float, float]) -> np.ndarray:
        """World positions `(N, 3)` of several local coordinates (forward, right, up)."""
        return np.stack([self.point(*place) for place in places])

    def footprint(self, margin: float = 0.0) -> np.ndarray:
        """Corners `(4, 3)` of the ground rectangle, larger by `margin` on every side."""
        length, width, _ = self.size
        a, b = -margin, length + margin
        half = width / 2 + margin
        return self.corners((a, -half, 0), (a, half, 0), (b, half, 0), (b, -half, 0))

    def headlights(self) -> list[np.ndarray]:
        """World positions `(3,)` of the two headlights."""
        length, width, _ = self.size
        return [self.point(length + 0.1, side * 0.36 * width, 0.68) for side in (-1, 1)]

    def taillights(self) -> list[np.ndarray]:
        """World positions `(3,)` of the two tail lights."""
        _, width, _ = self.size
        return [self.point(-0.1, side * 0.4 * width, 0.85) for side in (-1, 1)]

    @property
    def forward(self) -> np.ndarray:
        """World direction of travel, a unit vector `(3,)`."""
        return np.array([np.sin(self.heading), 0.0, np.cos(self.heading)])


def strip(
    vehicle: Vehicle,
    lower: tuple[float, float, float],
    upper: tuple[float, float, float],
    label: int,
    colour: Colour,
    texture: Painter | None = None,
) -> Surface:
    """Face across the vehicle between two profile points (along, half width, up)."""
    (a, p, y), (b, q, t) = lower, upper
    corners = vehicle.corners((a, -p, y), (a, p, y), (b, q, t), (b, -q, t))
    return Surface(corners, label, colour, texture=texture)


def sides(
    vehicle: Vehicle,
    half: float,
    low: float,
    high: float,
    length: float,
    label: int,
    paint: Painter,
) -> list[Surface]:
    """The two vertical sides with one painting (rear at its left)."""

    def wall(start: float, end: float, across: float) -> np.ndarray:
        places = ((start, low), (end, low), (end, high), (start, high))
        return vehicle.corners(*((along, across, up) for along, up in places))

    return [
        Surface(wall(0, length, half), label, texture=paint),
        Surface(wall(length, 0, -half), label, texture=lambda: paint().mirrored()),
    ]


def turned(paint: Painter) -> Painter:
    """For faces that run down the vehicle's front: their painting stands on its head."""
    return lambda: paint().turned()


def add_wheel(canvas: Canvas, x: float, radius: float, rng: np.random.Generator) -> None:
    rim = int(rng.integers(110, 190))
    canvas.ellipse(x, radius + 0.03, radius * 1.18, radius * 1.18, (14, 14, 15))
    canvas.ellipse(x, radius, radius, radius, TYRE)
    canvas.ellipse(x, radius, radius * 0.64, radius * 0.64, (rim, rim, rim + 4))
    for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
        end = (x + 0.6 * radius * np.cos(angle), radius + 0.6 * radius * np.sin(angle))
        canvas.line((x, radius), end, radius * 0.16, (50, 50, 54))


def underbody(vehicle: Vehicle, half: float, along: float, height: float, label: int) -> Surface:
    """Dark gap with two tyres, below a bumper."""
    front = along > 0.5

    def paint() -> Texture:
        canvas = Canvas(2 * half, height, 40, colour=(20, 20, 22), label=label)
        for side in (0.0, 2 * half - 0.24):
            canvas.rect(side, 0, side + 0.24, height, TYRE)
        canvas.rect(0, height * 0.45, 2 * half, height, (20, 20, 22))
        return canvas.texture().turned() if front else canvas.texture()

    lower, upper = (along, half, 0.0), (along, half, height)
    if front:
        lower, upper = upper, lower
    return strip(vehicle, lower, upper, label, (20, 20, 22), paint)


def add_lamps(
    canvas: Canvas,
    width: float,
    y: float,
    size: tuple[float, float],
    vehicle: Vehicle,
    night: bool,
    front: bool,
) -> None:
    """Two head or tail lights on a front or rear face of `width` metres."""
    on = night and vehicle.lights
    if front:
        colour: Colour = (255, 250, 236) if on else (206, 212, 216)
        emit = 30.0 if on else 0.0
    else:
        colour = (230, 24, 20) if on or vehicle.braking else (140, 18, 20)
        emit = (7.0 if vehicle.braking else 2.4) if on else (1.0 if vehicle.braking else 0.0)
    sx, sy = size
    for x in (0.09 * width, 0.91 * width - sx):
        canvas.rect(x - 0.03, y - 0.03, x + sx + 0.03, y + sy + 0.03, (34, 34, 36))
        canvas.rect(x, y, x + sx, y + sy, colour, emit=0.25 * emit)
        canvas.ellipse(x + sx / 2, y + sy / 2, 0.32 * sx, 0.42 * sy, colour, emit=emit)


def pane_texture(width: float, height: float, density: float, night: bool, person: bool) -> Texture:
    """Rear window or windscreen, seen from outside."""
    glass = GLASS_NIGHT if night else GLASS_DAY
    canvas = Canvas(width, height, density, colour=scaled(glass, 0.6))
    canvas.rect(0.05, 0.05, width - 0.05, height - 0.04, glass)
    if not night:
        canvas.poly(
            [(0.1, height), (0.1 + 0.5 * width, height), (0.1 + 0.25 * width, 0.05), (0.08, 0.05)],
            scaled(glass, 1.35),
        )
    for x in (0.28, 0.72):
        canvas.rect(x * width - 0.13, 0, x * width + 0.13, 0.42 * height, scaled(glass, 0.55))
    if person:
        canvas.ellipse(0.72 * width, 0.5 * height, 0.1, 0.13, scaled((150, 120, 100), 0.6))
    return canvas.texture()


def box(
    vehicle: Vehicle,
    span: tuple[float, float],
    levels: tuple[float, float],
    half: float,
    label: int,
    paints: tuple[Painter, Painter, Painter],
    roof: Colour,
) -> list[Surface]:
    """A block between two stations: painted sides, rear and front, plain roof."""
    (start, end), (low, high) = span, levels
    side, rear, front = paints
    x, _, z = vehicle.point(start, 0, 0)
    shifted = replace(vehicle, x=x, z=z)
    length = end - start
    return [
        *sides(shifted, half, low, high, length, label, side),
        strip(shifted, (0, half, low), (0, half, high), label, roof, rear),
        strip(shifted, (0, half, high), (length, half, high), label, roof),
        strip(shifted, (length, half, high), (length, half, low), label, roof, turned(front)),
    ]
