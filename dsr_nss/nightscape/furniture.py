"""Static street furniture and trees: lamps, traffic lights, signs, bollards, bins, plants."""

from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX, class_ids
from dsr_nss.nightscape.paint import TRANSPARENT, Canvas, Colour, Texture, noise_tile, pick, scaled
from dsr_nss.nightscape.raster import Surface, quad

POLE, LIGHT, SIGN, VEGETATION = class_ids(('pole', 'traffic light', 'traffic sign', 'vegetation'))

_METAL: tuple[Colour, ...] = ((96, 100, 100), (62, 66, 66), (136, 138, 136), (70, 82, 74))
_LEAVES: tuple[Colour, ...] = (
    (78, 106, 50), (96, 122, 58), (62, 92, 52), (112, 126, 62), (86, 100, 64), (132, 120, 58),
)  # fmt: skip


@dataclass(frozen=True)
class Prop:
    """A static object that stands on the ground.

    Attributes:
        kind: 'lamp', 'traffic_light', 'mast_light', 'sign', 'bollard', 'bin', 'tree' or 'bush'.
        x: World x, metres.
        z: World z, metres.
        ground: Height of the ground there.
        size: Total height in metres.
        reach: Signed length of an arm along x (lamp, mast), metres.
        seed: Seed of the look.
    """

    kind: str
    x: float
    z: float
    ground: float
    size: float
    reach: float
    seed: int

    @property
    def lamp_head(self) -> np.ndarray:
        """World position `(3,)` of a lamp's light source, in metres."""
        return np.array([self.x + self.reach, self.ground + self.size - 0.1, self.z])

    def surfaces(self, density: float, night: bool) -> list[Surface]:
        """The visible faces, painted with `density` pixels per metre."""
        density = float(np.clip(density, 8, 120))
        if self.kind in ('tree', 'bush'):
            return _plant(self, density)
        if self.kind == 'lamp':
            return _lamp(self, night)
        if self.kind in ('traffic_light', 'mast_light'):
            return _traffic_light(self, density, night)
        if self.kind == 'sign':
            return _sign(self, density)
        if self.kind == 'bin':
            return _bin(self, density)
        return _bollard(self, density)


def _post(x: float, z: float, bottom: float, top: float, width: float, colour: Colour) -> Surface:
    """Round post: an upright strip, lighter in its middle."""
    strip = np.zeros((2, 5, 4), np.uint8)
    for i, tone in enumerate((0.7, 1.05, 1.2, 0.95, 0.6)):
        strip[:, i, :3] = scaled(colour, tone)
    corners = quad((x - width / 2, bottom, z), (width, 0, 0), (0, top - bottom, 0))
    return Surface(corners, POLE, colour, texture=Texture(strip), two_sided=True)


def _beam(x0: float, x1: float, y: float, z: float, width: float, colour: Colour) -> Surface:
    low, high = min(x0, x1), max(x0, x1)
    corners = quad((low, y - width / 2, z), (high - low, 0, 0), (0, width, 0))
    return Surface(corners, POLE, colour, two_sided=True)


def _lamp(prop: Prop, night: bool) -> list[Surface]:
    rng = np.random.default_rng((prop.seed, 40))
    colour = pick(rng, _METAL, 8)
    top = prop.ground + prop.size
    x, z, head = prop.x, prop.z, prop.x + prop.reach
    glow = (255, 240, 214) if night else (206, 206, 200)
    emit = 26.0 if night else 0.0
    size = 0.8 if prop.reach > 0 else -0.8
    return [
        _post(x, z, prop.ground, top, 0.17, colour),
        _post(x, z, prop.ground, prop.ground + 1.1, 0.24, colour),
        _beam(x, head, top - 0.05, z, 0.1, colour),
        Surface(
            quad((min(head, head - size), top - 0.1, z - 0.02), (abs(size), 0, 0), (0, 0.16, 0)),
            POLE,
            scaled(colour, 0.9),
            two_sided=True,
        ),
        Surface(
            quad((min(head, head - size) + 0.08, top - 0.19, z - 0.03), (0.64, 0, 0), (0, 0.1, 0)),
            POLE,
            glow,
            emit=emit,
            two_sided=True,
        ),
    ]


def _signal_box(seed: int, density: float, night: bool) -> Texture:
    rng = np.random.default_rng((seed, 41))
    canvas = Canvas(0.42, 1.05, density, colour=(26, 28, 28))
    state = int(rng.integers(3))
    colours: tuple[Colour, ...] = ((60, 230, 130), (255, 190, 50), (255, 50, 36))
    for i, colour in enumerate(colours):
        y = 0.2 + 0.325 * i
        canvas.ellipse(0.21, y, 0.15, 0.15, (14, 14, 14))
        on = i == (0, 2, 2)[state]
        canvas.ellipse(
            0.21,
            y,
            0.125,
            0.125,
            colour if on else scaled(colour, 0.24),
            emit=(9.0 if night else 1.2) if on else 0.0,
        )
    return canvas.texture()


def _traffic_light(prop: Prop, density: float, night: bool) -> list[Surface]:
    rng = np.random.default_rng((prop.seed, 42))
    colour = pick(rng, _METAL, 8)
    box = _signal_box(prop.seed, density, night)
    x, z, ground = prop.x, prop.z, prop.ground
    top = ground + prop.size
    surfaces = [_post(x, z, ground, top, 0.15, colour)]

    def head(cx: float, cy: float) -> Surface:
        corners = quad((cx - 0.21, cy, z - 0.12), (0.42, 0, 0), (0, 1.05, 0))
        return Surface(corners, LIGHT, texture=box)

    surfaces.append(head(x, ground + 2.3))
    if prop.kind == 'mast_light':
        surfaces.append(_beam(x, x + prop.reach, top - 0.1, z, 0.13, colour))
        surfaces.append(head(x + prop.reach, top - 0.85))
        surfaces.append(head(x + 0.45 * prop.reach, top - 0.85))
    if rng.random() < 0.4:
        corners = quad((x - 0.3, ground + 3.5, z - 0.1), (0.6, 0, 0), (0, 0.6, 0))
        surfaces.append(Surface(corners, SIGN, texture=_sign_face(prop.seed, density)[0]))
    return surfaces


def _sign_face(seed: int, density: float) -> tuple[Texture, float, float]:
    """A sign's painting with its width and height in metres."""
    rng = np.random.default_rng((seed, 43))
    kind = int(rng.integers(7))
    red: Colour = (196, 26, 34)
    white: Colour = (232, 232, 228)
    if kind == 5:
        width, height = float(rng.uniform(1.4, 2.4)), float(rng.uniform(0.7, 1.2))
        back = pick(rng, ((24, 74, 150), (236, 236, 230), (30, 100, 64), (236, 190, 40)), 6)
        ink: Colour = (30, 30, 34) if sum(back) > 420 else white
        canvas = Canvas(width, height, density, colour=ink)
        canvas.rect(0.04, 0.04, width - 0.04, height - 0.04, back)
        for row in np.arange(0.14, height - 0.2, 0.3):
            x = 0.15
            while x < width - 0.5:
                wide = float(rng.uniform(0.06, 0.14))
                canvas.rect(x, float(row), x + wide, float(row) + 0.15, ink)
                x += wide + 0.05
        canvas.poly(
            [(width - 0.35, 0.2), (width - 0.12, height / 2), (width - 0.35, height - 0.2)], ink
        )
        return canvas.texture(), width, height
    canvas = Canvas(0.75, 0.75, density, colour=(150, 150, 150), label=SIGN)
    c = 0.375
    if kind in (0, 1):
        canvas.ellipse(c, c, 0.37, 0.37, red)
        if kind == 0:
            canvas.ellipse(c, c, 0.27, 0.27, white)
            canvas.rect(c - 0.15, c - 0.12, c - 0.02, c + 0.12, (26, 26, 28))
            canvas.rect(c + 0.03, c - 0.12, c + 0.15, c + 0.12, (26, 26, 28))
        else:
            canvas.rect(c - 0.24, c - 0.06, c + 0.24, c + 0.06, white)
    elif kind == 2:
        canvas.poly([(c, 0.74), (0.0, 0.06), (0.75, 0.06)], red)
        canvas.poly([(c, 0.57), (0.14, 0.14), (0.61, 0.14)], white)
        canvas.rect(c - 0.03, 0.22, c + 0.03, 0.42, (26, 26, 28))
    elif kind == 3:
        canvas.rect(0.03, 0.03, 0.72, 0.72, (26, 84, 170))
        canvas.poly([(c, 0.6), (0.16, 0.16), (0.59, 0.16)], white)
        canvas.rect(c - 0.04, 0.2, c + 0.04, 0.4, (26, 26, 28))
    elif kind == 4:
        canvas.ellipse(c, c, 0.37, 0.37, (28, 90, 176))
        canvas.rect(c - 0.05, 0.16, c + 0.05, 0.46, white)
        canvas.poly([(c - 0.15, 0.42), (c + 0.15, 0.42), (c, 0.62)], white)
    else:
        canvas.poly([(c, 0.74), (0.0, c), (c, 0.0), (0.75, c)], white)
        canvas.poly([(c, 0.62), (0.12, c), (c, 0.12), (0.63, c)], (240, 196, 36))
    return canvas.texture(), 0.75, 0.75


def _sign(prop: Prop, density: float) -> list[Surface]:
    rng = np.random.default_rng((prop.seed, 44))
    face, width, height = _sign_face(prop.seed, density)
    top = prop.ground + prop.size
    x, z = prop.x, prop.z
    surfaces = [_post(x, z, prop.ground, top, 0.09, (134, 136, 136))]
    if width > 1:
        surfaces.append(_post(x + 0.35 * width, z, prop.ground, top, 0.09, (134, 136, 136)))
        x = x + 0.17 * width
    corners = quad((x - width / 2, top - height, z - 0.06), (width, 0, 0), (0, height, 0))
    surfaces.append(Surface(corners, SIGN, texture=face))
    if width < 1 and rng.random() < 0.35:
        second, wide, tall = _sign_face(prop.seed + 17, density)
        if wide < 1:
            corners = quad(
                (x - wide / 2, top - height - tall - 0.05, z - 0.06), (wide, 0, 0), (0, tall, 0)
            )
            surfaces.append(Surface(corners, SIGN, texture=second))
    return surfaces


def _bollard(prop: Prop, density: float) -> list[Surface]:
    rng = np.random.default_rng((prop.seed, 45))
    colour = pick(rng, _METAL, 8)
    canvas = Canvas(0.18, prop.size, density, colour=colour)
    canvas.rect(0, 0, 0.05, prop.size, scaled(colour, 0.7))
    canvas.rect(0, 0.75 * prop.size, 0.18, 0.88 * prop.size, (214, 210, 204))
    corners = quad((prop.x - 0.09, prop.ground, prop.z), (0.18, 0, 0), (0, prop.size, 0))
    return [Surface(corners, POLE, texture=canvas.texture(), two_sided=True)]


def _bin(prop: Prop, density: float) -> list[Surface]:
    """Litter bin or switch box: has no train id."""
    rng = np.random.default_rng((prop.seed, 46))
    colour = pick(rng, ((70, 96, 80), (120, 122, 120), (150, 90, 40), (54, 58, 62)), 12)
    wide = 0.5 if prop.size < 1.05 else 0.9
    canvas = Canvas(wide, prop.size, density, colour=colour)
    canvas.rect(0.05, 0.7 * prop.size, wide - 0.05, 0.82 * prop.size, scaled(colour, 0.45))
    canvas.rect(0, 0.92 * prop.size, wide, prop.size, scaled(colour, 0.8))
    x, y, z, half = prop.x, prop.ground, prop.z, wide / 2
    face = Surface(
        quad((x - half, y, z - half), (wide, 0, 0), (0, prop.size, 0)),
        IGNORE_INDEX,
        texture=canvas.texture(),
    )
    dark = scaled(colour, 0.8)
    right = quad((x + half, y, z - half), (0, 0, wide), (0, prop.size, 0))
    left = quad((x - half, y, z + half), (0, 0, -wide), (0, prop.size, 0))
    return [face, Surface(right, IGNORE_INDEX, dark), Surface(left, IGNORE_INDEX, dark)]


@cache
def _crown(index: int) -> tuple[np.ndarray, np.ndarray]:
    """One of some crown shapes: brightness (n, n) float32 and presence (n, n) bool."""
    rng = np.random.default_rng((4999, index))
    n = 256
    y, x = np.mgrid[0:n, 0:n].astype(np.float32) / n - 0.5
    field = np.full((n, n), -1.0, np.float32)
    light = np.zeros((n, n), np.float32)
    for i in range(16):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.27)
        cx, cy = reach * np.cos(angle), 0.9 * reach * np.sin(angle)
        radius = rng.uniform(0.11, 0.2) if i else 0.27
        bump = 1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2
        nearer = bump > field
        light = np.where(nearer, 0.55 * bump - 1.5 * (y - cy) / radius * 0.3, light)
        field = np.maximum(field, bump)
    tile = noise_tile(seed=20)
    start = rng.integers(0, 200, 2)
    rough = tile[start[0] : start[0] + n, start[1] : start[1] + n]
    fine = noise_tile(octaves=4, base=64, seed=21)[:n, :n]
    present = field + 0.16 * rough + 0.16 * fine > 0.12
    brightness = np.clip(0.68 + 0.38 * light + 0.1 * rough + 0.2 * fine - 0.45 * y, 0.2, 1.7)
    return brightness.astype(np.float32), present


@cache
def _crown_level(index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A crown's brightness (n, n) uint8, 128 for 1, and its label plane, n = `size`."""
    brightness, present = _crown(index)
    if size < brightness.shape[0]:
        brightness = cv2.resize(brightness, (size, size), interpolation=cv2.INTER_AREA)
        share = cv2.resize(present.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        present = share > 0.5
    label = np.where(present, VEGETATION, TRANSPARENT).astype(np.uint8)
    return np.clip(brightness * 128, 0, 255).astype(np.uint8), label


def _leaves(seed: int, colour: Colour, pixels: float) -> Texture:
    """A crown about `pixels` wide on the screen."""
    size = next((n for n in (32, 64, 128) if n >= 0.8 * pixels), 256)
    brightness, label = _crown_level(seed % 12, size)
    levels = np.arange(256, dtype=np.float32)[:, None] / 128 * np.array(colour, np.float32)
    table = np.zeros((256, 4), np.uint8)
    table[:, :3] = np.clip(levels, 0, 255)
    return Texture(table[brightness], label)


def _plant(prop: Prop, density: float) -> list[Surface]:
    rng = np.random.default_rng((prop.seed, 47))
    colour = pick(rng, _LEAVES, 8)
    x, z, ground, size = prop.x, prop.z, prop.ground, prop.size
    layers: list[tuple[float, float, float, float, float]] = []
    surfaces = []
    if prop.kind == 'tree':
        trunk = 0.3 * size
        crown = 0.8 * size
        bark = pick(rng, ((84, 72, 60), (70, 62, 54), (104, 96, 84)), 8)
        post = _post(x, z, ground, ground + trunk + 0.3 * crown, 0.04 * size + 0.06, bark)
        surfaces.append(
            Surface(post.corners, VEGETATION, bark, texture=post.texture, two_sided=True)
        )
        base = ground + trunk
        width = crown * float(rng.uniform(0.85, 1.1))
        layers = [
            (x - 0.5 * width, base - 0.1 * crown, z + 0.25 * width, width, crown),
            (x - 0.55 * width, base - 0.05 * crown, z, width * 0.8, crown * 0.75),
            (x - 0.3 * width, base + 0.0 * crown, z - 0.2 * width, width * 0.85, crown * 0.8),
        ]
    else:
        width = size * float(rng.uniform(1.2, 1.9))
        layers = [
            (x - 0.5 * width, ground - 0.12 * size, z, width, size * 1.15),
            (x - 0.3 * width, ground - 0.14 * size, z - 0.3, width * 0.8, size * 0.9),
        ]
    for i, (left, bottom, depth, wide, tall) in enumerate(layers):
        tone = scaled(colour, (0.82, 0.94, 1.06)[i])
        corners = quad((left, bottom, depth), (wide, 0, 0), (0, tall, 0))
        surfaces.append(
            Surface(
                corners,
                VEGETATION,
                texture=partial(_leaves, prop.seed + i * 5, tone, wide * density),
                two_sided=True,
            )
        )
    return surfaces
