"""Light on the resolved view: daylight with building shadows, and the lamps of the night."""

from dataclasses import dataclass

import numpy as np

from dsr_nss.nightscape.camera import Camera
from dsr_nss.nightscape.paint import EMISSION_STEPS, noise_tile, sample_noise
from dsr_nss.nightscape.traffic import Traffic
from dsr_nss.nightscape.world import World

_GAMMA = 2.2
_LINEAR = ((np.arange(256) / 255.0) ** _GAMMA).astype(np.float32)
_FLOOR = 0.12  # least cosine: stands for light that bounces


@dataclass
class Buffers:
    """One view at its final size.

    Attributes:
        rgbe: (H, W, 4) uint8 albedo and emission, averaged over the samples of a pixel.
        label: (H, W) uint8.
        inverse_depth: (H, W) float32.
        normal: (H, W, 3) float32 world normals, 0 for the sky.
        sky: (H, W) bool.
    """

    rgbe: np.ndarray
    label: np.ndarray
    inverse_depth: np.ndarray
    normal: np.ndarray
    sky: np.ndarray


@dataclass(frozen=True)
class Lamp:
    """A light source: world position, linear RGB power, and for a beam its unit direction and
    the cosine where it ends."""

    position: np.ndarray
    power: np.ndarray
    direction: np.ndarray | None = None
    edge: float = -1.0


def sky_colour(camera: Camera, world: World, night: bool) -> np.ndarray:
    """Linear radiance of the sky in every pixel, (H, W, 3) float32."""
    directions = camera.rays() @ camera.rotation.astype(np.float32)
    up = directions[..., 1] / np.linalg.norm(directions, axis=-1)
    height = np.clip(up, 0, 1)[..., None]
    rise = np.maximum(directions[..., 1], 0.04)
    u, v = directions[..., 0] / rise * 40, directions[..., 2] / rise * 40
    seed = world.sky_seed % 391
    cloud = sample_noise(noise_tile(seed=30), u + seed, v + seed)
    cover = np.clip(0.45 * cloud + 1.5 * world.overcast - 0.45, 0, 1)[..., None]
    if night:
        glow = np.array(world.lamp_colour, np.float32) * 0.02
        base = np.array([0.004, 0.005, 0.009], np.float32) + glow * (1 - height) ** 6
        return base * (1 + 0.8 * cover)
    zenith = np.array([0.16, 0.33, 0.72], np.float32)
    horizon = np.array([0.70, 0.80, 0.92], np.float32)
    blue = horizon + (zenith - horizon) * np.sqrt(height)
    white = np.array([0.86, 0.88, 0.92], np.float32) * (0.9 + 0.1 * cloud[..., None])
    return np.maximum(blue + cover * (white - blue), 0)


def daylight(buffers: Buffers, camera: Camera, world: World) -> np.ndarray:
    """Linear radiance by day, (H, W, 3) float32, about 1 for sunlit white."""
    points = camera.world_points(np.maximum(buffers.inverse_depth, 1e-3))
    normal = buffers.normal
    sun = np.array(world.sun, np.float32)
    clear = 1 - 0.92 * world.overcast
    direct = np.maximum(normal @ sun, 0) * _sunlit(points, world)
    warm = np.array([1.0, 0.95, 0.86], np.float32)
    ambient = 0.44 + 0.3 * world.overcast + (0.12 + 0.14 * world.overcast) * normal[..., 1]
    side = 0.05 * np.abs(normal[..., 0])
    cool = np.array([0.94, 0.99, 1.08], np.float32)
    light = (ambient - side)[..., None] * cool + (0.95 * clear) * direct[..., None] * warm
    albedo = _LINEAR[buffers.rgbe[..., :3]]
    emitted = buffers.rgbe[..., 3:].astype(np.float32) / EMISSION_STEPS
    radiance = albedo * (light + emitted)
    distance = 1 / np.maximum(buffers.inverse_depth, 1e-3)
    haze = (1 - np.exp(-distance / 520))[..., None] * np.array([0.72, 0.8, 0.9], np.float32)
    radiance = radiance * np.exp(-distance / 520)[..., None] + haze
    return np.where(buffers.sky[..., None], sky_colour(camera, world, False), radiance)


def _sunlit(points: np.ndarray, world: World) -> np.ndarray:
    """Share of the sun that passes the fronts on its side of the street, (H, W) float32."""
    sun = world.sun
    if abs(sun[0]) < 0.05:
        return np.ones(points.shape[:2], np.float32)
    side = 1 if sun[0] > 0 else -1
    i = 0 if side < 0 else 1
    front = world.road.kerbs[i] + side * (world.verges[i] + world.walks[i])
    step = np.maximum((front - points[..., 0]) / sun[0], 0)
    z = points[..., 2] + step * sun[2]
    y = points[..., 1] + step * sun[1]
    heights = np.zeros(220, np.float32)
    for item in world.frontage:
        if item.side == side and abs(item.x - front) < 1:
            heights[max(0, int(item.start) + 30) : max(0, int(item.end) + 30)] = item.height
    limit = heights[np.clip(z + 30, 0, 219).astype(int)]
    return np.where(step > 0.3, np.clip((y - limit) * 2 + 0.5, 0, 1), 1).astype(np.float32)


def night_lamps(world: World, traffic: Traffic, camera: Camera) -> list[Lamp]:
    """Everything that lights a night scene: street lamps, shops, vehicles and ourselves."""
    lamps = []
    colour = np.array(world.lamp_colour, np.float32)
    for prop in world.props:
        if (
            prop.kind == 'lamp'
            and -8 < prop.z < 75
            and np.random.default_rng(prop.seed).random() < 0.92
        ):
            lamps.append(Lamp(prop.lamp_head, colour * world.lamp_power, _DOWN, -0.25))
    for front in world.frontage:
        if front.facade is not None and front.facade.shops and front.start < 60 and front.end > -2:
            middle = 0.5 * (max(front.start, -2) + front.end)
            place = np.array([front.x - front.side * 1.2, 2.2, middle])
            lamps.append(Lamp(place, np.array([1.0, 0.82, 0.58]) * 2.2))
    white = np.array([1.0, 0.95, 0.86])
    ahead = camera.rotation[2]
    for x in (-0.6, 0.6):
        place = np.asarray(camera.position) + camera.rotation[0] * x + [0, -0.65, 0]
        lamps.append(Lamp(place, white * 24, _unit(ahead + [0, -0.045, 0]), 0.88))
    for vehicle in traffic.vehicles:
        if not vehicle.lights or not 0 < vehicle.z < 60:
            continue
        beam = _unit(vehicle.forward + np.array([0, -0.06, 0]))
        left, right = vehicle.headlights()
        lamps.append(Lamp((left + right) / 2, white * 16, beam, 0.85))
        if vehicle.z < 30 and vehicle.forward[2] > 0.5:
            red = np.array([1.0, 0.09, 0.05]) * (1.6 if vehicle.braking else 0.5)
            left, right = vehicle.taillights()
            lamps.append(Lamp((left + right) / 2, red))
    return lamps


_DOWN = np.array([0.0, -1.0, 0.0])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def night_light(
    buffers: Buffers, camera: Camera, world: World, lamps: list[Lamp], ambient: float
) -> np.ndarray:
    """Linear radiance at night, (H, W, 3) float32.

    Every lamp adds power * cosine / (1 + distance squared) within its beam; `ambient` is the
    light of the sky, the same everywhere.
    """
    points = camera.world_points(np.maximum(buffers.inverse_depth, 1e-3))
    # Separate planes: several times faster than (H, W, 3) arrays.
    px, py, pz = (np.ascontiguousarray(points[..., i]) for i in range(3))
    nx, ny, nz = (np.ascontiguousarray(buffers.normal[..., i]) for i in range(3))
    glow = 0.5 * np.array([0.8, 0.85, 1.0]) + 0.5 * np.array(world.lamp_colour)
    planes = [np.full(px.shape, ambient * value, np.float32) for value in glow]
    for lamp in lamps:
        x, y, z = (np.float32(value) for value in lamp.position)
        dx, dy, dz = x - px, y - py, z - pz
        square = dx * dx + dy * dy + dz * dz
        inverse = 1 / np.sqrt(square)
        strength = np.maximum((dx * nx + dy * ny + dz * nz) * inverse, _FLOOR) / (1 + square)
        if lamp.direction is not None:
            a, b, c = (np.float32(-value / (1 - lamp.edge)) for value in lamp.direction)
            beam = (dx * a + dy * b + dz * c) * inverse - np.float32(lamp.edge / (1 - lamp.edge))
            beam = np.clip(beam, 0, 1)
            strength *= beam * beam * (3 - 2 * beam)
        for plane, power in zip(planes, lamp.power, strict=True):
            plane += strength * np.float32(power)
    light = np.stack(planes, -1)
    albedo = _LINEAR[buffers.rgbe[..., :3]]
    emitted = buffers.rgbe[..., 3:].astype(np.float32) / EMISSION_STEPS
    radiance = albedo * (light + emitted)
    sky = sky_colour(camera, world, True) * (0.5 + 40 * ambient)
    return np.where(buffers.sky[..., None], sky, radiance)
