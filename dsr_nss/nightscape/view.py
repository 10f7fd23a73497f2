"""Renders one view of a scene, and the flow between two views of one world."""

from dataclasses import dataclass

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX, class_ids
from dsr_nss.nightscape.camera import Camera
from dsr_nss.nightscape.light import Buffers, daylight, night_lamps, night_light
from dsr_nss.nightscape.raster import Raster
from dsr_nss.nightscape.sensor import Sensor, expose
from dsr_nss.nightscape.statics import draw_static
from dsr_nss.nightscape.traffic import Traffic, draw_traffic
from dsr_nss.nightscape.world import World

(SKY,) = class_ids(('sky',))
#: Larger images are rendered with one sample per pixel: their details are fine enough.
_OVERSAMPLED_PIXELS = 700_000


@dataclass(frozen=True)
class View:
    """A rendered view.

    Attributes:
        image: (H, W, 3) uint8 sRGB.
        label: (H, W) uint8 train ids, 255 unlabelled.
        inverse_depth: (H, W) float32, 1/m, 0 for the sky.
        static_inverse_depth: (H, W) float32, the same without the dynamic objects.
        dynamic: (H, W) bool, a dynamic object (or our own bonnet) is visible.
        camera: The camera.
    """

    image: np.ndarray
    label: np.ndarray
    inverse_depth: np.ndarray
    static_inverse_depth: np.ndarray
    dynamic: np.ndarray
    camera: Camera


def render_view(
    world: World,
    traffic: Traffic,
    camera: Camera,
    sensor: Sensor,
    *,
    night: bool,
    ambient: float = 0.012,
    bonnet: float = 0.0,
) -> View:
    """Render a world with its traffic.

    Args:
        world: The static part.
        traffic: The dynamic part.
        camera: Camera of the final size.
        sensor: Exposure settings.
        night: Night instead of day.
        ambient: Light of the night sky.
        bonnet: Height of our own unlabelled bonnet as a share of the image; 0 for none.

    Returns:
        The view at the size of `camera`.
    """
    samples = 2 if camera.height * camera.width <= _OVERSAMPLED_PIXELS else 1
    raster = Raster(camera.scaled(samples))
    raster.label[:] = SKY
    draw_static(raster, world, night)
    static = raster.inverse_depth.copy()
    draw_traffic(raster, traffic, night)
    # Surfaces only come nearer: a changed depth is a dynamic object.
    chosen = _nearest_sample(raster.inverse_depth, samples)
    depth = _take(raster.inverse_depth, chosen, samples)
    static_depth = _take(static, chosen, samples)
    surface = _take(raster.surface, chosen, samples)
    label = _take(raster.label, chosen, samples)
    dynamic = depth != static_depth
    size = (camera.width, camera.height)
    rgbe = raster.rgbe
    if samples > 1:
        rgbe = cv2.resize(rgbe, size, interpolation=cv2.INTER_AREA)
    normals = np.array(raster.normals, np.float32)
    buffers = Buffers(rgbe, label, depth, normals[surface], surface == 0)
    if night:
        lamps = night_lamps(world, traffic, camera)
        radiance = night_light(buffers, camera, world, lamps, ambient)
    else:
        radiance = daylight(buffers, camera, world)
    if bonnet:
        _add_bonnet(radiance, label, dynamic, bonnet)
    return View(expose(radiance, sensor, night), label, depth, static_depth, dynamic, camera)


def _nearest_sample(inverse_depth: np.ndarray, samples: int) -> np.ndarray | None:
    """Which of a pixel's two diagonal samples is nearer: it keeps thin things whole."""
    if samples == 1:
        return None
    return inverse_depth[1::2, 1::2] > inverse_depth[::2, ::2]


def _take(buffer: np.ndarray, chosen: np.ndarray | None, samples: int) -> np.ndarray:
    if chosen is None:
        return buffer.copy()
    assert samples == 2
    return np.where(chosen, buffer[1::2, 1::2], buffer[::2, ::2])


def _add_bonnet(radiance: np.ndarray, label: np.ndarray, dynamic: np.ndarray, share: float) -> None:
    height, width = label.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None] / height
    top = 1 - share * np.sqrt(np.maximum(1 - (x / 1.02) ** 2, 0)) ** 0.6
    inside = y > top
    shine = 0.03 + 0.25 * np.clip(1 - np.abs(y - top - 0.25 * share) / (0.4 * share), 0, 1) ** 2
    radiance[inside] = np.broadcast_to(shine[..., None], radiance.shape)[inside]
    label[inside] = IGNORE_INDEX
    dynamic[inside] = True


def flow_between(source: View, target: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the static world of `source` lies in `target`.

    Args:
        source: The view whose pixels are followed (night).
        target: The view they are followed to (day).

    Returns:
        flow: (2, H, W) float32, pixels, x first. Behind a dynamic object it is the flow of the
            static world that the object hides.
        valid: (H, W) bool, the point lies in front of the target camera and strictly inside its
            image.
        occluded: (H, W) bool, `source` shows a dynamic object there, or the point is hidden in
            `target`.
    """
    camera, other = source.camera, target.camera
    height, width = source.label.shape
    iz = source.static_inverse_depth
    # The sky lies at infinity: only the rotation moves it.
    rays = camera.rays().astype(np.float64) @ camera.rotation
    shift = np.asarray(camera.position) - np.asarray(other.position)
    points = (rays + shift * iz[..., None]) @ other.rotation.T
    front = points[..., 2] > 1e-6
    depth = np.where(front, points[..., 2], 1.0)
    place = points[..., :2] / depth[..., None] * other.focal_px
    place += (other.width / 2 - 0.5, other.height / 2 - 0.5)
    start = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    flow = np.where(front[..., None], place - start, 0).astype(np.float32).transpose(2, 0, 1)
    column, row = place[..., 0], place[..., 1]
    valid = front & (column > 0) & (column < other.width - 1)
    valid &= (row > 0) & (row < other.height - 1)
    c = np.where(valid, np.round(column), 0).astype(int)
    r = np.where(valid, np.round(row), 0).astype(int)
    expected = iz / depth
    seen = target.inverse_depth[r, c]
    hidden = seen > expected * 1.04 + 2e-4
    occluded = source.dynamic | (valid & (hidden | target.dynamic[r, c]))
    return flow, valid, occluded
