"""Paints a world's static part into a raster."""

from functools import partial

import numpy as np

from dsr_nss.classes import class_ids
from dsr_nss.nightscape.facades import Facade, paint_fence, paint_hedge, paint_side, paint_wall
from dsr_nss.nightscape.furniture import Prop
from dsr_nss.nightscape.ground import Grass, Paving, Road
from dsr_nss.nightscape.paint import scaled
from dsr_nss.nightscape.raster import Raster, Surface, quad
from dsr_nss.nightscape.world import FAR, KERB, Frontage, World

ROAD, SIDEWALK, BUILDING, WALL, FENCE, VEGETATION, TERRAIN = class_ids(
    ('road', 'sidewalk', 'building', 'wall', 'fence', 'vegetation', 'terrain')
)
_BEHIND = -6.0
_DEPTH = 12.0  # of a building, metres


def draw_static(raster: Raster, world: World, night: bool) -> None:
    """Paint ground, frontage, furniture and plants."""
    _draw_ground(raster, world)
    props = [prop for prop in world.props if _in_view(raster, prop)]
    for prop in props:
        corners = np.array([[prop.x - 0.6, 0, prop.z - 0.5], [prop.x + 0.6, 0, prop.z - 0.5]])
        corners = np.concatenate([corners, corners[::-1] + [0, 0, 1.0]]) + [0, prop.ground, 0]
        raster.darken(corners, 0.35)
    # Near things first: what is hidden is never painted.
    for front in sorted(world.frontage, key=lambda item: (abs(item.x) > 15, item.start)):
        if front.kind == 'building':
            _draw_building(raster, front, night)
        else:
            _draw_low_front(raster, front)
    for prop in sorted(props, key=lambda item: item.z):
        for surface in prop.surfaces(raster.density((prop.x, prop.ground + 1, prop.z)), night):
            raster.draw(surface)
    _draw_backdrop(raster, world, night)


def _in_view(raster: Raster, prop: Prop) -> bool:
    point = raster.camera.to_camera(np.array([prop.x, 1.0, prop.z]))
    reach = prop.size + abs(prop.reach)
    if prop.kind in ('sign', 'bollard', 'bin', 'bush') and point[2] > 90:
        return False
    return point[2] > 0.5 and abs(point[0]) < 0.62 / raster.camera.focal * point[2] + reach


def _flat(
    raster: Raster,
    x: tuple[float, float],
    z: tuple[float, float],
    y: float,
    label: int,
    shader: Road | Paving | Grass,
) -> None:
    corners = np.array(
        [[x[0], y, z[0]], [x[1], y, z[0]], [x[1], y, z[1]], [x[0], y, z[1]]], np.float64
    )
    frame = np.array([[0, y, 0], [1, 0, 0], [0, 0, 1]], np.float64)
    raster.draw(Surface(corners, label, shader=shader, frame=frame))


def _draw_ground(raster: Raster, world: World) -> None:
    left, right = world.road.kerbs
    _flat(raster, (left, right), (_BEHIND, FAR + 5), 0.0, ROAD, world.road)
    if world.gap is not None:
        cross = Road(world.road.base, (), (), (), (), (0, 0), (), (), False, world.road.offset)
        for x in ((-70.0, left), (right, 70.0)):
            _flat(raster, x, world.gap, 0.0, ROAD, cross)
    gap = world.gap
    spans = [(_BEHIND, FAR + 5)] if gap is None else [(_BEHIND, gap[0]), (gap[1], FAR + 5)]
    for side in (-1, 1):
        i = 0 if side < 0 else 1
        kerb = world.road.kerbs[i]
        walk = world.walk_range(side)
        for span in spans:
            if world.verges[i]:
                verge = sorted((kerb + side * 0.15, kerb + side * world.verges[i]))
                _flat(raster, (verge[0], verge[1]), span, KERB, TERRAIN, world.grass)
            _flat(raster, walk, span, KERB, SIDEWALK, world.paving)
            outer = walk[1] if side > 0 else walk[0]
            beyond = sorted((outer, outer + side * 60))
            _flat(raster, (beyond[0], beyond[1]), span, KERB, TERRAIN, world.grass)
            _draw_kerb(raster, kerb, side, span, world)


def _draw_kerb(
    raster: Raster, kerb: float, side: int, span: tuple[float, float], world: World
) -> None:
    stone = scaled(world.paving.base, 1.12)
    start, end = (span[1], span[0]) if side < 0 else (span[0], span[1])
    face = quad((kerb, 0, end), (0, 0, start - end), (0, KERB, 0))
    raster.draw(Surface(face, SIDEWALK, scaled(stone, 0.8), two_sided=True))
    x = sorted((kerb, kerb + side * 0.15))
    top = quad((x[0], KERB, span[0]), (x[1] - x[0], 0, 0), (0, 0, span[1] - span[0]))
    raster.draw(Surface(top, SIDEWALK, stone))
    if span[0] > 0:
        far = sorted((kerb, kerb + side * 30))
        edge = quad((far[0], 0, span[0]), (far[1] - far[0], 0, 0), (0, KERB, 0))
        raster.draw(Surface(edge, SIDEWALK, scaled(stone, 0.8)))


def _densities(raster: Raster, front: Frontage) -> tuple[float, float]:
    """Texture pixels per metre along and up a front that runs along the street."""
    camera = raster.camera
    offset = abs(front.x - camera.position[0])
    visible = 1.6 * offset * camera.focal
    near = max(front.start - camera.position[2], visible, 2.0)
    far = max(front.end - camera.position[2], near + 1)
    vertical = float(np.clip(0.8 * camera.focal_px / near, 3, 0.05 * camera.width))
    share = offset / min(far, 2 * near)
    along = float(np.clip(vertical * share, 2, vertical))
    return along, vertical


def _front_corners(front: Frontage, height: float) -> np.ndarray:
    """Corners of a front, seen from the street."""
    start, end = (front.start, front.end) if front.side < 0 else (front.end, front.start)
    return quad((front.x, 0, start), (0, 0, end - start), (0, height, 0))


def _hidden(raster: Raster, front: Frontage) -> bool:
    return front.end - raster.camera.position[2] < 0.5


def _draw_building(raster: Raster, front: Frontage, night: bool) -> None:
    if _hidden(raster, front):
        return
    assert front.facade is not None
    texture = partial(front.facade.paint, _densities(raster, front), night)
    raster.draw(Surface(_front_corners(front, front.height), BUILDING, texture=texture))
    side = float(front.side)
    colour = front.facade.wall
    density = min(raster.density((front.x, 3, front.start)), 0.02 * raster.camera.width)
    if front.start > raster.camera.position[2] + 1:
        inner, outer = sorted((front.x, front.x + side * _DEPTH))
        face = quad((inner, 0, front.start), (outer - inner, 0, 0), (0, front.height, 0))
        paint = partial(paint_side, front.seed, colour, _DEPTH, front.height, max(density, 3))
        raster.draw(Surface(face, BUILDING, texture=paint))
    if front.roof:
        eave, ridge = _front_corners(front, front.height)[2:], np.array([side * 5, front.roof, 0])
        corners = np.stack([eave[1], eave[0], eave[0] + ridge, eave[1] + ridge])
        raster.draw(Surface(corners, BUILDING, front.roof_colour))
        if front.start > raster.camera.position[2] + 1:
            base = np.array([front.x, front.height, front.start])
            gable = np.stack([base, base + [side * 10, 0, 0], base + ridge])
            if side < 0:
                gable = gable[[1, 0, 2]]
            frame = np.stack([gable[0], [1, 0, 0], [0, 1, 0]])
            raster.draw(Surface(gable, BUILDING, scaled(colour, 0.85), frame=frame))


def _draw_low_front(raster: Raster, front: Frontage) -> None:
    if _hidden(raster, front):
        return
    length = front.end - front.start
    along, vertical = _densities(raster, front)
    density = float(np.clip(max(along, 0.5 * vertical), 4, 60))
    painter = {'wall': paint_wall, 'fence': paint_fence, 'hedge': paint_hedge}[front.kind]
    label = {'wall': WALL, 'fence': FENCE, 'hedge': VEGETATION}[front.kind]
    texture = partial(painter, front.seed, length, front.height, density)
    raster.draw(
        Surface(_front_corners(front, front.height + KERB), label, texture=texture, two_sided=True)
    )
    if front.kind in ('wall', 'hedge') and front.start > raster.camera.position[2] + 1:
        deep = 0.3 if front.kind == 'wall' else 1.0
        inner, outer = sorted((front.x, front.x + front.side * deep))
        end = quad((inner, 0, front.start), (outer - inner, 0, 0), (0, front.height + KERB, 0))
        paint = partial(painter, front.seed, deep, front.height, density)
        raster.draw(Surface(end, label, texture=paint))
    if front.kind == 'hedge':
        top = _front_corners(front, front.height + KERB)[2:]
        corners = np.stack(
            [top[1], top[0], top[0] + [front.side, 0, 0], top[1] + [front.side, 0, 0]]
        )
        raster.draw(Surface(corners, label, (84, 106, 58)))


def _draw_backdrop(raster: Raster, world: World, night: bool) -> None:
    """Rows of houses and trees far to both sides and at the end of the street."""
    rng = np.random.default_rng((world.sky_seed, 50))
    scale = raster.camera.focal_px
    density = float(np.clip(scale / FAR, 2, 12))
    x = -66.0
    while x < 66:
        width, height = float(rng.uniform(9, 18)), float(rng.uniform(6, 15))
        facade = Facade.sample(rng, width, height, False)
        face = quad((x, 0, FAR + float(rng.uniform(0, 3))), (width, 0, 0), (0, height, 0))
        paint = partial(facade.paint, (density, density), night)
        raster.draw(Surface(face, BUILDING, texture=paint))
        x += width
    for side in (-1, 1):
        # These close the view through gardens, parks and the cross street.
        for z in np.arange(0, FAR, 16.0):
            height = float(rng.uniform(5, 11))
            facade = Facade.sample(rng, 16.0, height, False)
            start, step = (float(z), 16.0) if side < 0 else (float(z) + 16, -16.0)
            face = quad((side * 44.0, 0, start), (0, 0, step), (0, height, 0))
            close = float(np.clip(scale / 60, 2, 14))
            paint = partial(facade.paint, (close / 2, close), night)
            raster.draw(Surface(face, BUILDING, texture=paint))
