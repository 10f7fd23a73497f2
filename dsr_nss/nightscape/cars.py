"""Cars and vans."""

from functools import partial

import numpy as np

from dsr_nss.classes import class_ids
from dsr_nss.nightscape.paint import Canvas, Texture, scaled
from dsr_nss.nightscape.raster import Surface
from dsr_nss.nightscape.vehicle_parts import (
    GLASS_DAY,
    GLASS_NIGHT,
    Vehicle,
    add_lamps,
    add_wheel,
    pane_texture,
    sides,
    strip,
    turned,
    underbody,
)

(CAR,) = class_ids(('car',))


def _rear_face(
    vehicle: Vehicle, width: float, height: float, density: float, night: bool
) -> Texture:
    canvas = Canvas(width, height, density, colour=vehicle.colour)
    canvas.rect(0, 0, width, 0.3 * height, scaled(vehicle.colour, 0.62))
    canvas.rect(0, 0.3 * height, width, 0.33 * height, (30, 30, 32))
    add_lamps(canvas, width, 0.58 * height, (0.3, 0.2), vehicle, night, front=False)
    canvas.rect(
        width / 2 - 0.26, 0.42 * height, width / 2 + 0.26, 0.42 * height + 0.12, (24, 24, 26)
    )
    plate = (width / 2 - 0.24, 0.42 * height + 0.01, width / 2 + 0.24, 0.42 * height + 0.11)
    canvas.rect(*plate, (226, 226, 218), emit=0.15 if night and vehicle.lights else 0.0)
    canvas.rect(width / 2 - 0.1, 0.8 * height, width / 2 + 0.1, 0.86 * height, (190, 190, 192))
    return canvas.texture()


def _front_face(
    vehicle: Vehicle, width: float, height: float, density: float, night: bool
) -> Texture:
    canvas = Canvas(width, height, density, colour=vehicle.colour)
    canvas.rect(0, 0, width, 0.28 * height, scaled(vehicle.colour, 0.55))
    canvas.rect(0.25 * width, 0.5 * height, 0.75 * width, 0.84 * height, (28, 29, 31))
    for y in (0.58, 0.66, 0.75):
        canvas.rect(0.27 * width, y * height, 0.73 * width, y * height + 0.02, (120, 122, 124))
    add_lamps(canvas, width, 0.6 * height, (0.32, 0.16), vehicle, night, front=True)
    canvas.rect(
        width / 2 - 0.25, 0.3 * height, width / 2 + 0.25, 0.3 * height + 0.11, (226, 226, 218)
    )
    return canvas.texture().turned()


def car_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    rng = np.random.default_rng((vehicle.seed, 21))
    length, width, height = vehicle.size
    half = width / 2
    sill, belt = 0.3, 0.64 * height
    shape = int(rng.integers(3))  # hatchback, saloon, estate / off-roader
    back = (0.12, 0.75, 0.06)[shape]
    roof0 = (0.75, 1.5, 0.4)[shape]
    roof1, screen, bonnet = 0.5 * length, 0.72 * length, 0.53 * height
    top = half * 0.8
    paint = vehicle.colour

    def flank() -> Texture:
        side = Canvas(length, belt, density, colour=paint, label=CAR)
        side.poly(
            [
                (0, sill), (length, sill), (length, bonnet), (screen, belt), (back, belt),
                (0, belt - 0.04),
            ],
            paint,
        )  # fmt: skip
        side.rect(0.1, sill, length - 0.1, sill + 0.12, scaled(paint, 0.5))
        side.rect(0.15, 0.62 * belt, length - 0.2, 0.65 * belt, scaled(paint, 1.22))
        for door in (0.36 * length, 0.55 * length, 0.72 * length):
            side.rect(door, sill + 0.1, door + 0.025, belt, scaled(paint, 0.6))
            side.rect(door - 0.24, 0.78 * belt, door - 0.06, 0.82 * belt, scaled(paint, 0.55))
        side.rect(
            0, 0.7 * belt, 0.16, 0.86 * belt, (150, 20, 22), emit=0.8 * (night and vehicle.lights)
        )
        side.rect(length - 0.3, 0.62 * belt, length, 0.74 * belt, (214, 216, 214))
        radius = 0.32
        add_wheel(side, 0.19 * length, radius, rng)
        add_wheel(side, 0.81 * length, radius, rng)
        return side.texture()

    rear = partial(_rear_face, vehicle, width, belt - sill, density, night)
    front = partial(_front_face, vehicle, width, bonnet - sill, density, night)
    window = partial(pane_texture, width, 0.6, density, night, False)
    windscreen = turned(partial(pane_texture, width, 0.6, density, night, vehicle.lights))
    surfaces = sides(vehicle, half, 0.0, belt, length, CAR, flank)
    surfaces += _cabin(vehicle, (back, roof0, roof1, screen), (belt, height), half, top, night)
    surfaces += [
        strip(vehicle, (0, half, sill), (0, half, belt - 0.05), CAR, paint, rear),
        strip(vehicle, (0, half, belt - 0.05), (back, half, belt), CAR, scaled(paint, 1.05)),
        strip(vehicle, (back, half, belt), (roof0, top, height - 0.03), CAR, GLASS_DAY, window),
        strip(vehicle, (roof0, top, height - 0.03), (roof1, top, height), CAR, scaled(paint, 1.05)),
        strip(vehicle, (roof1, top, height), (screen, half, belt), CAR, GLASS_DAY, windscreen),
        strip(vehicle, (screen, half, belt), (length, half, bonnet), CAR, scaled(paint, 1.08)),
        strip(vehicle, (length, half, bonnet), (length, half, sill), CAR, paint, front),
        underbody(vehicle, half * 0.96, 0.15, sill + 0.02, CAR),
        underbody(vehicle, half * 0.96, length - 0.15, sill + 0.02, CAR),
    ]
    return surfaces


def _cabin(
    vehicle: Vehicle,
    stations: tuple[float, float, float, float],
    levels: tuple[float, float],
    half: float,
    top: float,
    night: bool,
) -> list[Surface]:
    """Body-coloured pillars with side windows, leaning inwards."""
    back, roof0, roof1, screen = stations
    belt, height = levels
    glass = GLASS_NIGHT if night else scaled(GLASS_DAY, 1.1)
    rise = height - belt
    surfaces = []
    for side in (1, -1):
        base, crown = side * half, side * top

        def at(
            along: float, share: float, offset: float, base: float = base, crown: float = crown
        ) -> np.ndarray:
            across = base + (crown - base) * share
            return vehicle.point(along, across + np.sign(base) * offset, belt + rise * share)

        outline = [(back, 0.0), (screen, 0.0), (roof1, 0.99), (roof0, 0.96)]
        middle = 0.5 * (roof0 + roof1) + 0.12
        rear = [
            (back + 0.3, 0.08), (middle - 0.05, 0.08), (middle - 0.05, 0.86), (roof0 + 0.12, 0.84),
        ]  # fmt: skip
        front = [
            (middle + 0.05, 0.08), (screen - 0.2, 0.08), (roof1 - 0.04, 0.86),
            (middle + 0.05, 0.86),
        ]  # fmt: skip
        for points, colour, offset in (
            (outline, scaled(vehicle.colour, 0.92), 0.0),
            (rear, glass, 0.012),
            (front, glass, 0.012),
        ):
            corners = np.stack([at(along, share, offset) for along, share in points])
            if side < 0:
                corners = corners[[1, 0, 3, 2]]
            surfaces.append(Surface(corners, CAR, colour))
    return surfaces


def van_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    rng = np.random.default_rng((vehicle.seed, 22))
    length, width, height = vehicle.size
    paint, glass = vehicle.colour, GLASS_NIGHT if night else GLASS_DAY
    nose, half = 0.55 * height, width / 2

    def flank() -> Texture:
        side = Canvas(length, height, density, colour=paint, label=CAR)
        side.poly(
            [
                (0, 0.3), (length, 0.3), (length, nose), (0.86 * length, 0.62 * height),
                (0.74 * length, height), (0, height),
            ],
            paint,
        )  # fmt: skip
        side.rect(0.05, 0.3, length - 0.1, 0.45, scaled(paint, 0.55))
        windows = rng.random() < 0.5
        spans = ((0.06, 0.3), (0.33, 0.56), (0.6, 0.72)) if windows else ((0.6, 0.74),)
        for a, b in spans:
            side.rect(a * length, 0.62 * height, b * length, 0.9 * height, glass)
        side.poly(
            [
                (0.6 * length, 0.62 * height), (0.84 * length, 0.62 * height),
                (0.75 * length, 0.9 * height), (0.6 * length, 0.9 * height),
            ],
            glass,
        )  # fmt: skip
        side.rect(0.58 * length, 0.4, 0.585 * length, 0.92 * height, scaled(paint, 0.6))
        add_wheel(side, 0.18 * length, 0.34, rng)
        add_wheel(side, 0.83 * length, 0.34, rng)
        return side.texture()

    def back() -> Texture:
        rear = Canvas(width, height - 0.3, density, colour=paint)
        rear.rect(0.12, 0.6 * height, width - 0.12, 0.82 * height, glass)
        rear.rect(width / 2 - 0.02, 0.2, width / 2 + 0.02, height - 0.3, scaled(paint, 0.6))
        rear.rect(0, 0, width, 0.22, scaled(paint, 0.5))
        add_lamps(rear, width, 0.32 * height, (0.16, 0.34), vehicle, night, front=False)
        rear.rect(width / 2 - 0.25, 0.3, width / 2 + 0.25, 0.42, (226, 226, 218))
        return rear.texture()

    bonnet = (0.86 * length, half, 0.62 * height)
    front = partial(_front_face, vehicle, width, nose - 0.3, density, night)
    windscreen = turned(partial(pane_texture, width, 0.8, density, night, vehicle.lights))
    surfaces = sides(vehicle, half, 0, height, length, CAR, flank)
    surfaces += [
        strip(vehicle, (0, half, 0.3), (0, half, height), CAR, paint, back),
        strip(vehicle, (0, half, height), (0.74 * length, half, height), CAR, scaled(paint, 1.05)),
        strip(vehicle, (0.74 * length, half, height), bonnet, CAR, glass, windscreen),
        strip(vehicle, bonnet, (length, half, nose), CAR, scaled(paint, 1.08)),
        strip(vehicle, (length, half, nose), (length, half, 0.3), CAR, paint, front),
        underbody(vehicle, half * 0.96, 0.15, 0.32, CAR),
        underbody(vehicle, half * 0.96, length - 0.15, 0.32, CAR),
    ]
    return surfaces
