"""What stands still in a scene: the street, its frontage and its furniture, sampled at random."""

from dataclasses import dataclass

import numpy as np

from dsr_nss.nightscape.facades import Facade
from dsr_nss.nightscape.furniture import Prop
from dsr_nss.nightscape.ground import Grass, Paving, Road
from dsr_nss.nightscape.paint import Colour, pick, vary

LANE = 3.3
KERB = 0.13
FAR = 150.0
_BEHIND = -6.0

#: Rare content that the scenes take in turns, so that every class occurs in every larger set.
FEATURES = (
    'train',
    'truck',
    'bicycle',
    'motorcycle',
    'bus',
    'wall',
    'rider',
    'fence',
    'motorcyclist',
    'terrain',
)


@dataclass(frozen=True)
class Frontage:
    """What borders the sidewalk along a part of one side.

    Attributes:
        side: -1 left, 1 right.
        start: First z, metres.
        end: Last z.
        x: World x of the front.
        kind: 'building', 'wall', 'fence', 'hedge'.
        height: Height of the front, metres.
        facade: The facade of a building.
        roof: Height of the pitched roof, 0 for none.
        roof_colour: Its colour.
        seed: Seed of the texture.
    """

    side: int
    start: float
    end: float
    x: float
    kind: str
    height: float
    facade: Facade | None
    roof: float
    roof_colour: Colour
    seed: int


@dataclass(frozen=True)
class World:
    """The static part of a scene; see the samplers below for the ranges.

    Attributes:
        road: Asphalt with markings; `road.kerbs` are the road's borders.
        paving: Sidewalk.
        grass: Terrain.
        left_lanes: x of the centres of the oncoming lanes.
        right_lanes: x of the centres of the lanes in our direction, ours (0) first.
        parking: x of the parking lane centres, left and right, None where there is none.
        verges: Width of the grass between kerb and sidewalk, left and right.
        walks: Width of the sidewalk, left and right.
        gap: z range of the cross street, or None.
        frontage: Fronts and what stands behind them.
        props: Street furniture and plants.
        lamp_colour: Linear RGB of the street lamps, brightest channel 1.
        lamp_power: Their strength.
        sun: Unit vector to the sun.
        overcast: 0 clear to 1 grey.
        sky_seed: Seed of the clouds.
    """

    road: Road
    paving: Paving
    grass: Grass
    left_lanes: tuple[float, ...]
    right_lanes: tuple[float, ...]
    parking: tuple[float | None, float | None]
    verges: tuple[float, float]
    walks: tuple[float, float]
    gap: tuple[float, float] | None
    frontage: tuple[Frontage, ...]
    props: tuple[Prop, ...]
    lamp_colour: tuple[float, float, float]
    lamp_power: float
    sun: tuple[float, float, float]
    overcast: float
    sky_seed: int

    @property
    def tram_lane(self) -> float | None:
        """x of the track, or None."""
        return self.road.rails[0] if self.road.rails else None

    def walk_range(self, side: int) -> tuple[float, float]:
        """Smallest and largest x of the sidewalk on a side (-1 or 1)."""
        i = 0 if side < 0 else 1
        inner = self.road.kerbs[i] + side * self.verges[i]
        outer = inner + side * self.walks[i]
        return min(inner, outer), max(inner, outer)


def sample_world(rng: np.random.Generator, feature: str | None) -> World:
    """A random street.

    Args:
        rng: Source of all randomness.
        feature: One of `FEATURES` that must be there, as far as it stands still, or None.
    """
    left_count = int(rng.choice([1, 2], p=[0.7, 0.3]))
    right_count = int(rng.choice([1, 2], p=[0.72, 0.28]))
    left_lanes = tuple(-LANE * (i + 1) for i in range(left_count))
    right_lanes = tuple(LANE * i for i in range(right_count))
    parked = rng.random(2) < (0.5, 0.42)
    left = left_lanes[-1] - LANE / 2 - 2.2 * parked[0]
    right = right_lanes[-1] + LANE / 2 + 2.2 * parked[1]
    parking = (float(left + 1.1) if parked[0] else None, float(right - 1.1) if parked[1] else None)
    tram = feature == 'train' or rng.random() < 0.08
    gap_start = float(rng.uniform(20, 60))
    gap = (gap_start, gap_start + float(rng.uniform(9, 13))) if rng.random() < 0.45 else None
    crossing: tuple[float, ...] = ()
    if gap is not None and rng.random() < 0.7:
        crossing = (gap[0] - 3.5,)
    elif rng.random() < 0.35:
        crossing = (float(rng.uniform(12, 34)),)
    walks = (float(rng.uniform(2.6, 5.0)), float(rng.uniform(2.4, 4.8)))
    verge_share = 1.0 if feature == 'terrain' else 0.25
    verges = tuple(float(rng.uniform(1.2, 3.0)) * (rng.random() < verge_share) for _ in range(2))
    edges = [lane + LANE / 2 for lane in left_lanes[1:]] + [x - LANE / 2 for x in right_lanes[1:]]
    solid = [-LANE / 2] if rng.random() < 0.35 else []
    if not solid:
        edges.append(-LANE / 2)
    if parked[1] and rng.random() < 0.7:
        solid.append(float(right - 2.2))
    if parked[0] and rng.random() < 0.7:
        solid.append(float(left + 2.2))
    grey = float(rng.uniform(72, 128))
    road = Road(
        base=vary(rng, (int(grey), int(grey), int(grey * 1.01)), 4),
        lane_edges=tuple(edges),
        solid_lines=tuple(solid),
        rails=(-LANE,) if tram else (),
        crossings=crossing,
        kerbs=(float(left), float(right)),
        patches=tuple(_patch(rng, left, right) for _ in range(int(rng.integers(0, 5)))),
        manholes=tuple(
            (float(rng.uniform(left, right)), float(rng.uniform(4, 30)))
            for _ in range(int(rng.integers(1, 5)))
        ),
        cobbles=bool(rng.random() < 0.1),
        offset=float(rng.uniform(0, 40)),
        lanes=left_lanes + right_lanes,
    )
    frontage: list[Frontage] = []
    plants: list[Prop] = []
    for i, side in enumerate((-1, 1)):
        front = road.kerbs[i] + side * (verges[i] + walks[i])
        _sample_side(rng, side, front, gap, feature, frontage, plants)
    props = plants + _sample_props(rng, road, verges, walks, gap, crossing)
    azimuth, elevation = float(rng.uniform(-2.4, 2.4)), float(rng.uniform(0.45, 1.0))
    sun = (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
    lamps = ((1.0, 0.62, 0.28), (1.0, 0.72, 0.4), (1.0, 0.9, 0.72), (0.95, 1.0, 0.96))
    return World(
        road=road,
        paving=Paving(
            pick(rng, ((150, 146, 140), (164, 156, 146), (134, 134, 136), (156, 134, 120)), 10),
            float(rng.uniform(0.4, 0.9)),
            float(rng.uniform(0, 40)),
        ),
        grass=Grass(
            pick(rng, ((104, 124, 62), (124, 130, 74), (92, 114, 64), (138, 130, 84)), 8),
            float(rng.uniform(0, 1)),
            float(rng.uniform(0, 40)),
        ),
        left_lanes=left_lanes,
        right_lanes=right_lanes,
        parking=parking,
        verges=(verges[0], verges[1]),
        walks=walks,
        gap=gap,
        frontage=tuple(frontage),
        props=tuple(props),
        lamp_colour=lamps[int(rng.choice(4, p=[0.35, 0.25, 0.25, 0.15]))],
        lamp_power=float(rng.uniform(13, 30)),
        sun=sun,
        overcast=float(rng.choice([0.0, 0.0, 0.3, 0.7, 1.0])),
        sky_seed=int(rng.integers(1 << 30)),
    )


def _patch(
    rng: np.random.Generator, left: float, right: float
) -> tuple[float, float, float, float, float]:
    x, z = float(rng.uniform(left, right - 1)), float(rng.uniform(3, 40))
    wide, deep = float(rng.uniform(0.6, 2.5)), float(rng.uniform(1, 9))
    return x, z, x + wide, z + deep, float(rng.choice([0.8, 0.88, 1.1]))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 40))


def _building(
    rng: np.random.Generator, side: int, span: tuple[float, float], x: float, urban: bool
) -> Frontage:
    height = float(rng.uniform(9, 21) if urban else rng.uniform(5.5, 9))
    shops = urban and rng.random() < 0.6
    return Frontage(
        side=side,
        start=span[0],
        end=span[1],
        x=x,
        kind='building',
        height=height,
        facade=Facade.sample(rng, span[1] - span[0], height, shops),
        roof=float(rng.uniform(1.5, 3.2)) if not urban or rng.random() < 0.4 else 0.0,
        roof_colour=pick(rng, ((120, 66, 50), (82, 76, 74), (96, 60, 52), (64, 66, 72)), 8),
        seed=_seed(rng),
    )


def _sample_side(
    rng: np.random.Generator,
    side: int,
    x: float,
    gap: tuple[float, float] | None,
    feature: str | None,
    frontage: list[Frontage],
    plants: list[Prop],
) -> None:
    """Fronts along one side, and what stands behind the low ones."""
    style = str(rng.choice(['urban', 'suburb', 'park'], p=[0.56, 0.28, 0.16]))
    if feature in ('wall', 'fence', 'terrain') and side > 0:
        style = 'suburb'
    z = _BEHIND
    while z < FAR - 5:
        if gap is not None and gap[0] - 1 <= z < gap[1]:
            z = gap[1]
        end = z + float(rng.uniform(10, 22))
        if gap is not None and z < gap[0] < end + 5:
            end = gap[0]
        end = min(end, FAR)
        span = (z, end)
        urban = style == 'urban'
        if urban and rng.random() < 0.92:
            frontage.append(_building(rng, side, span, x, True))
        else:
            kinds = ('wall', 'fence', 'hedge', 'open')
            odds = [0.18, 0.32, 0.26, 0.24] if style != 'park' else [0.05, 0.2, 0.3, 0.45]
            kind = str(rng.choice(kinds, p=odds))
            if feature in ('wall', 'fence') and side > 0 and 2 < end and z < 40:
                kind = feature
            elif feature == 'terrain' and side > 0 and 2 < end and z < 40:
                kind = 'open'
            _low_front(rng, side, span, x, kind, frontage)
            _garden(rng, side, span, x, style, kind == 'open', frontage, plants)
        z = end


def _low_front(
    rng: np.random.Generator,
    side: int,
    span: tuple[float, float],
    x: float,
    kind: str,
    frontage: list[Frontage],
) -> None:
    if kind == 'open':
        return
    low, high = {'wall': (1.4, 3.0), 'fence': (1.0, 2.0), 'hedge': (0.9, 2.0)}[kind]
    height = float(rng.uniform(low, high))
    frontage.append(Frontage(side, *span, x, kind, height, None, 0.0, (90, 90, 90), _seed(rng)))


def _garden(
    rng: np.random.Generator,
    side: int,
    span: tuple[float, float],
    x: float,
    style: str,
    open_front: bool,
    frontage: list[Frontage],
    plants: list[Prop],
) -> None:
    """Houses and plants behind a low front."""
    start, end = span
    setback = float(rng.uniform(4, 8))
    if style != 'park' and end - start > 9:
        house = (start + 1.0, end - float(rng.uniform(1, 3)))
        frontage.append(_building(rng, side, house, x + side * setback, style == 'urban'))
        count = int(rng.integers(0, 3))
    else:
        count = int((end - start) / 4) + 2
    for _ in range(count):
        deep = rng.uniform(1.5, 3.2) if style != 'park' else rng.uniform(2, 12)
        place = (float(x + side * deep), float(rng.uniform(start + 1, end - 1)))
        tree = rng.random() < 0.75
        size = float(rng.uniform(5, 11) if tree else rng.uniform(1, 2.2))
        plants.append(Prop('tree' if tree else 'bush', *place, KERB, size, 0.0, _seed(rng)))
    if open_front and rng.random() < 0.7:
        for _ in range(2):
            place = (float(x + side * rng.uniform(0.8, 2.5)), float(rng.uniform(start, end)))
            plants.append(Prop('bush', *place, KERB, float(rng.uniform(0.7, 1.5)), 0.0, _seed(rng)))


def _sample_props(
    rng: np.random.Generator,
    road: Road,
    verges: tuple[float, ...],
    walks: tuple[float, float],
    gap: tuple[float, float] | None,
    crossings: tuple[float, ...],
) -> list[Prop]:
    props: list[Prop] = []

    def free(z: float) -> bool:
        return gap is None or not gap[0] - 1.5 < z < gap[1] + 1.5

    spacing = float(rng.uniform(19, 28))
    phase = float(rng.uniform(0, spacing))
    both = rng.random() < 0.5
    for i, side in enumerate((-1, 1)):
        kerb = road.kerbs[i] + side * 0.45
        if both or side == (1 if rng.random() < 0.5 else -1) or not props:
            height, reach = float(rng.uniform(6.0, 8.5)), float(rng.uniform(1.0, 2.6))
            for z in np.arange(phase + (0 if side > 0 else spacing / 2) - 6, 120, spacing):
                if free(z):
                    props.append(
                        Prop('lamp', kerb, float(z), KERB, height, -side * reach, _seed(rng))
                    )
        if rng.random() < (0.8 if verges[i] > 0 else 0.4):
            row = road.kerbs[i] + side * (verges[i] / 2 if verges[i] else 0.75)
            step, size = float(rng.uniform(7, 13)), float(rng.uniform(5.0, 8.5))
            for z in np.arange(float(rng.uniform(6, 14)), 110, step):
                if free(z) and rng.random() < 0.85:
                    scale = size * float(rng.uniform(0.85, 1.15))
                    props.append(Prop('tree', row, float(z), KERB, scale, 0.0, _seed(rng)))
        for _ in range(int(rng.integers(1, 4))):
            z = float(rng.uniform(8, 42))
            if free(z):
                size = float(rng.uniform(2.3, 3.3))
                props.append(Prop('sign', kerb, z, KERB, size, 0.0, _seed(rng)))
        if rng.random() < 0.25:
            for z in np.arange(float(rng.uniform(5, 20)), 45, float(rng.uniform(1.6, 3))):
                if free(z):
                    props.append(Prop('bollard', kerb, float(z), KERB, 0.95, 0.0, _seed(rng)))
        if rng.random() < 0.5:
            outer = road.kerbs[i] + side * (verges[i] + walks[i] - 0.5)
            size = float(rng.choice([0.95, 1.3]))
            z = float(rng.uniform(9, 32))
            if free(z):
                props.append(Prop('bin', outer, z, KERB, size, 0.0, _seed(rng)))
    signal = gap[0] - 1.2 if gap is not None else (crossings[0] + 2.2 if crossings else None)
    if signal is not None and rng.random() < 0.9:
        right, left = road.kerbs[1] + 0.5, road.kerbs[0] - 0.5
        mast = rng.random() < 0.5
        kind, size = ('mast_light', 5.6) if mast else ('traffic_light', 3.5)
        reach = -float(right - 0.2)
        seed = _seed(rng)
        props.append(Prop(kind, right, signal, KERB, size, reach, seed))
        props.append(Prop('traffic_light', left, signal, KERB, 3.5, 0.0, seed))
        if gap is not None and rng.random() < 0.6:
            props.append(Prop('traffic_light', right, gap[1] + 1.0, KERB, 3.5, 0.0, seed))
    return props
