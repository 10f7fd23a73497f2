"""Samples scenes: a day scene of the source, or a pair of night and day views of one place."""

from dataclasses import dataclass, replace

import numpy as np

from dsr_nss.nightscape.camera import Camera
from dsr_nss.nightscape.sensor import sample_sensor
from dsr_nss.nightscape.traffic import sample_traffic
from dsr_nss.nightscape.version import NIGHTSCAPE_VERSION
from dsr_nss.nightscape.view import View, render_view
from dsr_nss.nightscape.world import FEATURES, sample_world

Size = tuple[int, int]

#: First part of a scene's seed; the numbers never change meaning.
SPLITS = {
    'cityscapes/train': 1,
    'cityscapes/val': 2,
    'dark_zurich/train': 3,
    'dark_zurich/val': 4,
    'dark_zurich/test': 5,
    'acdc/train': 6,
    'acdc/val': 7,
    'acdc/test': 8,
    'nighttime_driving/test': 9,
    'preview': 10,
}


@dataclass(frozen=True)
class Pair:
    """Night and day view of one place."""

    night: View
    day: View


def scene_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """The generator from which a scene draws everything."""
    return np.random.default_rng((NIGHTSCAPE_VERSION, seed, SPLITS[split], index))


def scene_feature(index: int) -> str | None:
    """Rare content of a scene: ten of every twelve scenes take turns, so that small sets have
    every class as well."""
    turn = index % 12
    return FEATURES[turn] if turn < len(FEATURES) else None


def _camera(rng: np.random.Generator, size: Size, focal: tuple[float, float]) -> Camera:
    return Camera(
        position=(float(rng.normal(0, 0.2)), float(rng.uniform(1.25, 1.6)), 0.0),
        yaw=float(rng.normal(0, 0.025)),
        pitch=float(rng.normal(-0.01, 0.012)),
        roll=float(rng.normal(0, 0.006)),
        focal=float(rng.uniform(*focal)),
        height=size[0],
        width=size[1],
    )


def render_source(seed: int, split: str, index: int, size: Size) -> View:
    """A labelled day view of the source.

    Args:
        seed: Seed of the set.
        split: Key of `SPLITS`.
        index: Number of the scene in its split.
        size: Height and width in pixels.
    """
    rng = scene_rng(seed, split, index)
    feature = scene_feature(index)
    world = sample_world(rng, feature)
    traffic = sample_traffic(rng, world, feature)
    camera = _camera(rng, size, (0.88, 1.02))
    sensor = sample_sensor(rng, night=False)
    bonnet = float(rng.uniform(0.05, 0.1))
    return render_view(world, traffic, camera, sensor, night=False, bonnet=bonnet)


def render_pair(seed: int, split: str, index: int, size: Size) -> Pair:
    """Night and day views of one place: common static world, own traffic, displaced cameras.

    Arguments as in `render_source`.
    """
    rng = scene_rng(seed, split, index)
    feature = scene_feature(index)
    world = sample_world(rng, feature)
    night_traffic = sample_traffic(rng, world, feature)
    day_traffic = sample_traffic(rng, world, feature)
    night_camera = _camera(rng, size, (0.78, 0.9))
    x, y, _ = night_camera.position
    step = np.array([rng.uniform(0.15, 0.55), 0.0, rng.uniform(0.4, 1.8)])
    signs = rng.choice([-1.0, 1.0], 3)
    turn = float(signs[2] * rng.uniform(0.012, 0.05))
    day_camera = replace(
        night_camera,
        position=(
            float(x + signs[0] * step[0]),
            float(y + rng.normal(0, 0.05)),
            float(signs[1] * step[2]),
        ),
        yaw=night_camera.yaw + turn,
        pitch=night_camera.pitch + float(rng.normal(0, 0.008)),
        roll=night_camera.roll + float(rng.normal(0, 0.006)),
    )
    night_sensor, day_sensor = sample_sensor(rng, night=True), sample_sensor(rng, night=False)
    ambient = float(rng.uniform(0.007, 0.022))
    return Pair(
        night=render_view(
            world, night_traffic, night_camera, night_sensor, night=True, ambient=ambient
        ),
        day=render_view(world, day_traffic, day_camera, day_sensor, night=False),
    )
