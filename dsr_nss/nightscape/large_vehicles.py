"""Trucks, buses and trams."""

from dataclasses import replace
from functools import partial

import numpy as np

from dsr_nss.classes import class_ids
from dsr_nss.nightscape.paint import Canvas, Colour, Texture, pick, scaled, vary
from dsr_nss.nightscape.raster import Surface
from dsr_nss.nightscape.vehicle_parts import (
    GLASS_DAY,
    GLASS_NIGHT,
    Vehicle,
    add_lamps,
    add_wheel,
    box,
    sides,
    strip,
    turned,
    underbody,
)

TRUCK, BUS, TRAIN = class_ids(('truck', 'bus', 'train'))

LIVERIES: tuple[Colour, ...] = (
    (190, 30, 36), (30, 70, 150), (228, 226, 220), (34, 112, 74), (226, 170, 40), (70, 120, 170),
    (236, 236, 238), (120, 124, 128),
)  # fmt: skip


def _cab_front(
    vehicle: Vehicle, width: float, height: float, density: float, night: bool, lit: bool
) -> Texture:
    """Flat front of a truck, bus or tram: windscreen, destination board, lights."""
    canvas = Canvas(width, height, density, colour=vehicle.colour)
    glass = GLASS_NIGHT if night else GLASS_DAY
    canvas.rect(0, 0, width, 0.16 * height, (36, 37, 40))
    canvas.rect(0.08, 0.4 * height, width - 0.08, 0.82 * height, (20, 20, 22))
    canvas.rect(0.14, 0.42 * height, width - 0.14, 0.8 * height, glass, emit=0.5 * (night and lit))
    canvas.poly(
        [
            (0.14, 0.42 * height), (0.5 * width, 0.42 * height), (0.3 * width, 0.8 * height),
            (0.14, 0.8 * height),
        ],
        scaled(glass, 1.25),
    )  # fmt: skip
    canvas.rect(width / 2 - 0.03, 0.42 * height, width / 2 + 0.03, 0.8 * height, (20, 20, 22))
    if lit:
        canvas.rect(0.2 * width, 0.85 * height, 0.8 * width, 0.95 * height, (24, 22, 18))
        canvas.rect(
            0.3 * width,
            0.87 * height,
            0.7 * width,
            0.93 * height,
            (255, 176, 50) if night else (206, 150, 60),
            emit=1.6 if night else 0.0,
        )
    else:
        canvas.rect(0.2 * width, 0.2 * height, 0.8 * width, 0.34 * height, (34, 35, 38))
    add_lamps(canvas, width, 0.18 * height, (0.34, 0.2), vehicle, night, front=True)
    return canvas.texture()


def _cab_rear(
    vehicle: Vehicle, width: float, height: float, density: float, night: bool, window: bool
) -> Texture:
    canvas = Canvas(width, height, density, colour=vehicle.colour)
    canvas.rect(0, 0, width, 0.1 * height, (36, 37, 40))
    if window:
        glass = (232, 222, 190) if night else GLASS_DAY
        canvas.rect(0.2, 0.55 * height, width - 0.2, 0.86 * height, (24, 24, 26))
        canvas.rect(
            0.26, 0.57 * height, width - 0.26, 0.84 * height, glass, emit=0.45 * float(night)
        )
        canvas.rect(0.3, 0.25 * height, width - 0.3, 0.42 * height, scaled(vehicle.colour, 0.75))
    else:
        canvas.rect(
            0.06, 0.14 * height, width / 2 - 0.03, 0.97 * height, scaled(vehicle.colour, 0.9)
        )
        canvas.rect(
            width / 2 + 0.03,
            0.14 * height,
            width - 0.06,
            0.97 * height,
            scaled(vehicle.colour, 0.9),
        )
        for x in (0.2, 0.42, 0.58, 0.8):
            canvas.rect(
                x * width - 0.02, 0.14 * height, x * width + 0.02, 0.97 * height, (90, 90, 92)
            )
        for i in range(6):
            stripe: Colour = (200, 40, 30) if i % 2 else (228, 226, 220)
            canvas.rect(i * width / 6, 0.07 * height, (i + 1) * width / 6, 0.12 * height, stripe)
    add_lamps(canvas, width, 0.12 * height, (0.24, 0.2), vehicle, night, front=False)
    canvas.rect(width / 2 - 0.26, 0.05, width / 2 + 0.26, 0.17, (226, 226, 218))
    return canvas.texture()


def plain(colour: Colour) -> Texture:
    return Canvas(1, 1, 2, colour=colour).texture()


def truck_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    rng = np.random.default_rng((vehicle.seed, 23))
    length, width, height = vehicle.size
    half, cab = width / 2, 2.1
    cab_height = 2.75
    cargo_colour = pick(rng, ((226, 226, 224), vehicle.colour, (150, 154, 158), (60, 90, 140)), 8)
    cargo_end = length - cab - 0.35
    glass = GLASS_NIGHT if night else GLASS_DAY
    cargo = replace(vehicle, colour=cargo_colour)

    def flank() -> Texture:
        side = Canvas(cargo_end, height, density, colour=cargo_colour, label=TRUCK)
        side.rect(0, 0.95, cargo_end, height, cargo_colour)
        for x in np.arange(0.0, cargo_end, 0.55):
            side.rect(float(x), 0.95, float(x) + 0.03, height, scaled(cargo_colour, 0.85))
        if rng.random() < 0.7:
            logo = pick(rng, LIVERIES, 14)
            side.rect(0.2 * cargo_end, 0.5 * height, 0.8 * cargo_end, 0.75 * height, logo)
            side.ellipse(0.3 * cargo_end, 0.62 * height, 0.3, 0.3, scaled(logo, 0.5))
        side.rect(0, 0.75, cargo_end, 0.95, (38, 38, 40))
        side.rect(0.32 * cargo_end, 0.42, 0.95 * cargo_end, 0.75, (54, 54, 56))
        add_wheel(side, 0.16 * cargo_end, 0.48, rng)
        add_wheel(side, 0.16 * cargo_end + 1.05, 0.48, rng)
        return side.texture()

    wall = partial(plain, cargo_colour)
    rear = partial(_cab_rear, cargo, width, height - 0.55, density, night, window=False)
    paints, roof = (wall, rear, wall), scaled(cargo_colour, 1.02)
    surfaces = sides(vehicle, half, 0, height, cargo_end, TRUCK, flank)
    surfaces += box(vehicle, (0, cargo_end), (0.55, height), half - 0.01, TRUCK, paints, roof)[2:]
    surfaces.append(underbody(vehicle, half * 0.95, 0.3, 0.8, TRUCK))

    def door() -> Texture:
        panel = Canvas(cab, cab_height, density, colour=vehicle.colour, label=TRUCK)
        panel.poly(
            [(0, 0.5), (cab, 0.5), (cab, 1.5), (cab - 0.12, cab_height), (0, cab_height)],
            vehicle.colour,
        )
        panel.rect(0.75, 1.5, cab - 0.15, 2.35, glass)
        panel.rect(0.6, 0.6, 0.63, 2.5, scaled(vehicle.colour, 0.6))
        panel.rect(0, 0.4, cab, 0.6, (40, 40, 42))
        add_wheel(panel, 1.15, 0.48, rng)
        return panel.texture()

    back = partial(plain, scaled(vehicle.colour, 0.5))
    front = partial(_cab_front, vehicle, width, cab_height - 0.4, density, night, lit=False)
    start, paints = length - cab, (back, back, front)
    cabin = box(
        vehicle, (start, length), (0.4, cab_height), half - 0.04, TRUCK, paints, vehicle.colour
    )[2:]
    x, _, z = vehicle.point(start, 0, 0)
    moved = replace(vehicle, x=x, z=z)
    cabin += sides(moved, half - 0.04, 0, cab_height, cab, TRUCK, door)
    cabin.append(underbody(vehicle, half * 0.95, length - 0.2, 0.45, TRUCK))
    return surfaces + cabin


def _coach_side(
    vehicle: Vehicle,
    length: float,
    height: float,
    density: float,
    night: bool,
    label: int,
    wheels: tuple[float, ...],
) -> Texture:
    """Side of a bus or tram with a band of windows, doors and a stripe."""
    rng = np.random.default_rng((vehicle.seed, 24))
    base = 0.32
    side = Canvas(length, height, density, colour=vehicle.colour, label=label)
    side.rect(0, base, length, height, vehicle.colour)
    stripe = pick(rng, LIVERIES, 12)
    side.rect(0, 0.3 * height, length, 0.36 * height, stripe)
    if rng.random() < 0.6:
        side.rect(0, base, length, 0.22 * height, stripe)
    side.rect(0, base, length, base + 0.1, (40, 40, 42))
    glass: Colour = vary(rng, (240, 226, 186), 8) if night else GLASS_DAY
    emit = float(rng.uniform(0.45, 0.8)) if night else 0.0
    side.rect(0.25, 0.46 * height, length - 0.2, 0.84 * height, (26, 26, 28))
    pane = 1.45
    for x in np.arange(0.35, length - 1.2, pane):
        x0, x1 = float(x), float(x) + pane - 0.1
        side.rect(x0, 0.48 * height, x1, 0.82 * height, glass, emit=emit)
        if not night:
            side.poly(
                [(x0, 0.48 * height), (x0 + 0.6, 0.48 * height), (x0, 0.75 * height)],
                scaled(glass, 1.3),
            )
        if rng.random() < 0.5:
            centre = x0 + float(rng.uniform(0.3, pane - 0.4))
            side.ellipse(centre, 0.56 * height, 0.13, 0.16, (70, 56, 48))
            side.rect(centre - 0.2, 0.48 * height, centre + 0.2, 0.515 * height, (60, 60, 70))
    for door in (0.22, 0.55, 0.88):
        x0 = door * length - 0.6
        side.rect(x0, base + 0.08, x0 + 1.2, 0.84 * height, (30, 30, 32))
        for leaf in (0.05, 0.63):
            side.rect(x0 + leaf, base + 0.2, x0 + leaf + 0.52, 0.8 * height, glass, emit=0.8 * emit)
    for wheel in wheels:
        add_wheel(side, wheel * length, 0.48, rng)
    if not wheels:  # the joint between two cars of a tram
        side.rect(0.485 * length, base, 0.515 * length, height, (40, 40, 42))
    return side.texture()


def bus_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    length, width, height = vehicle.size
    side = partial(_coach_side, vehicle, length, height, density, night, BUS, (0.2, 0.76))
    rear = partial(_cab_rear, vehicle, width, height - 0.32, density, night, window=True)
    front = partial(_cab_front, vehicle, width, height - 0.32, density, night, lit=True)
    half, roof = width / 2, scaled(vehicle.colour, 1.02)
    faces = box(vehicle, (0, length), (0.32, height), half, BUS, (side, rear, front), roof)[2:]
    return [
        *sides(vehicle, half, 0, height, length, BUS, side),
        *faces,
        underbody(vehicle, half * 0.95, 0.2, 0.36, BUS),
        underbody(vehicle, half * 0.95, length - 0.2, 0.36, BUS),
    ]


def tram_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    length, width, height = vehicle.size
    nose = 0.9
    half = width / 2
    side = partial(_coach_side, vehicle, length, height, density, night, TRAIN, ())
    rear = partial(_cab_rear, vehicle, width * 0.84, height - 0.3, density, night, window=True)
    front = partial(_cab_front, vehicle, width * 0.84, height - 0.3, density, night, lit=True)
    paint = vehicle.colour
    narrow = half * 0.84
    bow = (length + nose * 0.5, narrow, height)
    surfaces = sides(vehicle, half, 0, height, length, TRAIN, side)
    surfaces += [
        strip(vehicle, (-nose, narrow, 0.3), (-nose * 0.5, narrow, height), TRAIN, paint, rear),
        strip(vehicle, bow, (length + nose, narrow, 0.3), TRAIN, paint, turned(front)),
        strip(vehicle, (0, half, height), (length, half, height), TRAIN, scaled(paint, 0.9)),
    ]
    for sign in (1, -1):
        for outer, inner in (
            ((-nose, -nose * 0.5), 0.0),
            ((length + nose, length + nose * 0.5), length),
        ):
            corners = vehicle.corners(
                (outer[0], sign * narrow, 0.3), (inner, sign * half, 0.3),
                (inner, sign * half, height), (outer[1], sign * narrow, height),
            )  # fmt: skip
            surfaces.append(Surface(corners, TRAIN, scaled(paint, 0.85), two_sided=True))
    middle = vehicle.point(0.3 * length, 0, height)
    collector = np.stack(
        [
            middle + vehicle.forward * 0.0,
            middle + vehicle.forward * 0.12,
            middle + vehicle.forward * 1.0 + [0, 1.2, 0],
            middle + vehicle.forward * 0.88 + [0, 1.2, 0],
        ]
    )
    surfaces.append(Surface(collector, TRAIN, (50, 50, 52), two_sided=True))
    return surfaces
