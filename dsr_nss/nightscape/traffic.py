"""What moves or is parked: sampled anew for every view of a world."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dsr_nss.nightscape.people import Figure
from dsr_nss.nightscape.raster import Raster, Surface
from dsr_nss.nightscape.vehicles import Vehicle, sample_colour, vehicle_surfaces
from dsr_nss.nightscape.world import KERB, LANE, World

_KINDS = ('car', 'van', 'truck', 'bus')
_SHARES = (0.83, 0.1, 0.04, 0.03)


@dataclass(frozen=True)
class Traffic:
    """All dynamic objects of one view."""

    vehicles: tuple[Vehicle, ...]
    figures: tuple[Figure, ...]


class _Street:
    """Collects objects that do not overlap."""

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        self.rng = rng
        self.world = world
        self.vehicles: list[Vehicle] = []
        self.figures: list[Figure] = []
        self.taken: list[tuple[float, float, float, float]] = []

    def seed(self) -> int:
        return int(self.rng.integers(1 << 40))

    def vehicle(
        self, kind: str, x: float, z: float, heading: float, moving: bool, margin: float = 0.8
    ) -> bool:
        """Add a vehicle whose nearest end is at z, unless the place is taken."""
        car = Vehicle(
            kind=kind,
            x=x,
            z=z,
            heading=heading,
            colour=sample_colour(self.rng, kind),
            seed=self.seed(),
            lights=moving,
            braking=moving and self.rng.random() < 0.35,
        )
        if np.cos(heading) < -0.5:
            car = replace(car, z=z + car.size[0])
        corners = car.footprint(0.0)
        box = (
            float(corners[:, 0].min()) - 0.1,
            float(corners[:, 0].max()) + 0.1,
            float(corners[:, 2].min()) - margin,
            float(corners[:, 2].max()) + margin,
        )
        if self._blocked(box):
            return False
        self.taken.append(box)
        self.vehicles.append(car)
        return True

    def figure(self, kind: str, x: float, z: float, ground: float, view: str) -> bool:
        """Add a person or two-wheeler, unless the place is taken."""
        figure = Figure(kind, x, z, ground, view, bool(self.rng.random() < 0.5), self.seed())
        half = 0.3 * figure.size[0] if kind == 'person' else 0.5 * figure.size[0]
        box = (x - half, x + half, z - 0.5, z + 0.5)
        if self._blocked(box):
            return False
        self.taken.append(box)
        self.figures.append(figure)
        return True

    def _blocked(self, box: tuple[float, float, float, float]) -> bool:
        return any(
            box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]
            for other in self.taken
        )


def sample_traffic(rng: np.random.Generator, world: World, feature: str | None) -> Traffic:
    """Random vehicles and people.

    Args:
        rng: Source of all randomness.
        world: The street.
        feature: One of `world.FEATURES` that must be there, as far as it moves, or None.
    """
    street = _Street(rng, world)
    if feature != 'train' and world.tram_lane is not None and rng.random() < 0.4:
        _place_feature(street, 'train')
    if feature is not None:
        _place_feature(street, feature)
    else:
        rare = rng.random(3)
        if rare[0] < 0.3:
            _place_feature(street, 'rider')
        if rare[1] < 0.12:
            _place_feature(street, 'motorcyclist')
        if rare[2] < 0.2:
            _place_feature(street, 'bicycle')
    _fill_lanes(street)
    _fill_parking(street)
    _fill_walks(street)
    return Traffic(tuple(street.vehicles), tuple(street.figures))


def _place_feature(street: _Street, feature: str) -> None:
    rng, world = street.rng, street.world
    right = world.road.kerbs[1] - (2.2 if world.parking[1] is not None else 0.0)
    if feature == 'train' and world.tram_lane is not None:
        ours = rng.random() < 0.35
        z = float(rng.uniform(9, 20))
        street.vehicle('tram', world.tram_lane, z, 0.0 if ours else np.pi, True)
    elif feature in ('truck', 'bus'):
        options = [(0.0, 0.0), (world.left_lanes[0], np.pi)]
        if len(world.right_lanes) > 1:
            options.append((world.right_lanes[1], 0.0))
        lane, heading = options[int(rng.integers(len(options)))]
        street.vehicle(feature, lane, float(rng.uniform(11, 22)), heading, True)
    elif feature in ('rider', 'motorcyclist'):
        kind = 'cyclist' if feature == 'rider' else 'motorcyclist'
        z = float(rng.uniform(6.5, 14))
        place = int(rng.integers(3))
        if place == 0:
            street.figure(kind, float(right - rng.uniform(0.5, 0.9)), z, 0.0, 'back')
        elif place == 1:
            lane = world.left_lanes[0] + float(rng.uniform(-0.8, 0.4))
            street.figure(kind, lane, z, 0.0, 'front')
        else:
            street.figure(kind, float(rng.uniform(-2.5, 2.5)), z + 3, 0.0, 'side')
    elif feature in ('bicycle', 'motorcycle'):
        side = int(rng.choice([-1, 1]))
        low, high = world.walk_range(side)
        inner = low if side > 0 else high
        start = float(rng.uniform(7, 13))
        for i in range(int(rng.integers(2, 5))):
            x = inner + side * float(rng.uniform(0.8, 1.3))
            view = 'side' if rng.random() < 0.6 else 'back'
            street.figure(feature, x, start + 1.3 * i, KERB, view)


def _fill_lanes(street: _Street) -> None:
    rng, world = street.rng, street.world
    busy = float(rng.uniform(0.15, 0.9))
    lanes = [(x, 0.0) for x in world.right_lanes] + [(x, np.pi) for x in world.left_lanes]
    for x, heading in lanes:
        z = float(rng.uniform(9, 22)) if x == 0 else float(rng.uniform(4, 20))
        while z < 110:
            if rng.random() < busy:
                kind = str(rng.choice(_KINDS, p=_SHARES))
                tilt = float(rng.normal(0, 0.015))
                shift = float(rng.normal(0, 0.15))
                street.vehicle(kind, x + shift, z, heading + tilt, True)
            z += float(rng.uniform(7, 26))
    if world.gap is not None and rng.random() < 0.5:
        middle = 0.5 * (world.gap[0] + world.gap[1])
        kind = str(rng.choice(_KINDS, p=_SHARES))
        heading = float(rng.choice([-np.pi / 2, np.pi / 2]))
        x = float(rng.uniform(-9, 9))
        street.vehicle(kind, x, middle - 1.8 * np.sign(heading), heading, True)


def _fill_parking(street: _Street) -> None:
    rng, world = street.rng, street.world
    for i, heading in ((0, np.pi), (1, 0.0)):
        x = world.parking[i]
        if x is None:
            continue
        full = float(rng.uniform(0.35, 0.95))
        z = float(rng.uniform(-2, 5))
        while z < 90:
            blocked = world.gap is not None and world.gap[0] - 6 < z < world.gap[1] + 1
            if rng.random() < full and not blocked:
                kind = 'van' if rng.random() < 0.12 else 'car'
                turn = heading if rng.random() < 0.9 else np.pi - heading
                tilt = float(rng.normal(0, 0.02))
                street.vehicle(
                    kind, x + float(rng.normal(0, 0.07)), z, turn + tilt, False, margin=0.3
                )
            z += float(rng.uniform(5.2, 6.4))


def _fill_walks(street: _Street) -> None:
    rng, world = street.rng, street.world
    crowd = float(rng.gamma(1.6, 3.2))
    for side in (-1, 1):
        low, high = world.walk_range(side)
        for _ in range(int(rng.poisson(crowd))):
            x = float(rng.uniform(low + 0.4, high - 0.4))
            z = float(rng.uniform(5.5, 17) if rng.random() < 0.4 else rng.uniform(14, 55))
            if world.gap is not None and world.gap[0] < z < world.gap[1]:
                continue
            view = str(rng.choice(['side', 'front', 'back'], p=[0.3, 0.35, 0.35]))
            if street.figure('person', x, z, KERB, view) and rng.random() < 0.35:
                street.figure('person', x + 0.65, z + 0.05, KERB, view)
        if rng.random() < 0.38:
            kind = 'bicycle' if rng.random() < 0.8 else 'motorcycle'
            inner = low if side > 0 else high
            z = float(rng.uniform(8, 25))
            for i in range(int(rng.integers(1, 4))):
                street.figure(kind, inner + side * 0.9, z + 1.4 * i, KERB, 'side')
    places = list(world.road.crossings)
    if rng.random() < 0.2:
        places.append(float(rng.uniform(10, 30)))
    for z in places:
        for _ in range(int(rng.integers(0, 4))):
            x = float(rng.uniform(world.road.kerbs[0] + 0.5, world.road.kerbs[1] - 0.5))
            street.figure('person', x, z + float(rng.uniform(-1.2, 1.2)), 0.0, 'side')
    if rng.random() < 0.18:
        street.figure(
            'cyclist',
            -LANE / 2 + float(rng.uniform(-0.3, 3)),
            float(rng.uniform(9, 35)),
            0.0,
            'back',
        )


def draw_traffic(raster: Raster, traffic: Traffic, night: bool) -> None:
    """Contact shadows first, then the objects."""
    for vehicle in traffic.vehicles:
        raster.darken(vehicle.footprint(0.35), 0.72)
    for figure in traffic.figures:
        x, y, z = figure.x, figure.ground, figure.z
        half = 0.35 * figure.size[0]
        corners = np.array(
            [
                [x - half, y, z - 0.4],
                [x + half, y, z - 0.4],
                [x + half, y, z + 0.4],
                [x - half, y, z + 0.4],
            ]
        )
        raster.darken(corners, 0.55)
    for vehicle in sorted(traffic.vehicles, key=lambda item: item.z):
        length = vehicle.size[0]
        middle = vehicle.point(0.3 * length, 0, 1.0)
        place = raster.camera.to_camera(vehicle.point(0.5 * length, 0, 1.0))
        if place[2] < -length or abs(place[0]) > 0.55 / raster.camera.focal * place[2] + length:
            continue
        for surface in vehicle_surfaces(vehicle, raster.density(middle) * 1.1, night):
            raster.draw(surface)
    yaw = raster.camera.yaw
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    for figure in sorted(traffic.figures, key=lambda item: item.z):
        width, height = figure.size
        centre = np.array([figure.x, figure.ground, figure.z])
        origin = centre - right * width / 2
        bottom = np.stack([origin, origin + right * width])
        corners = np.concatenate([bottom, bottom[::-1] + [0, height, 0]])
        paint = partial(figure.paint, raster.density(centre + [0, 1, 0]) * 1.1, night)
        raster.draw(Surface(corners, 0, texture=paint, two_sided=True))
