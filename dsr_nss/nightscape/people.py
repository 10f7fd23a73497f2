"""People, riders, bicycles and motorcycles as painted upright cut-outs."""

from dataclasses import dataclass

import numpy as np

from dsr_nss.classes import class_ids
from dsr_nss.nightscape.paint import Canvas, Colour, Texture, pick, scaled

PERSON, RIDER, MOTORCYCLE, BICYCLE = class_ids(('person', 'rider', 'motorcycle', 'bicycle'))

_SKIN: tuple[Colour, ...] = ((226, 182, 152), (198, 150, 118), (150, 104, 76), (96, 66, 50))
_HAIR: tuple[Colour, ...] = ((30, 24, 22), (72, 48, 32), (150, 112, 66), (130, 128, 126))
_TOPS: tuple[Colour, ...] = (
    (32, 34, 40), (70, 74, 84), (170, 30, 36), (40, 74, 130), (60, 104, 72), (222, 220, 212),
    (206, 160, 60), (120, 64, 110), (130, 110, 90), (230, 120, 50), (90, 140, 170),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (30, 32, 38), (48, 58, 84), (70, 82, 110), (110, 98, 82), (60, 60, 62), (150, 140, 122),
)  # fmt: skip
_FRAMES: tuple[Colour, ...] = (
    (30, 30, 32), (160, 30, 30), (40, 80, 140), (190, 190, 194), (50, 110, 70), (220, 170, 50),
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A person, a parked two-wheeler or a rider on one; a cut-out that faces the camera.

    Attributes:
        kind: 'person', 'cyclist', 'motorcyclist', 'bicycle' or 'motorcycle'.
        x: World x of the middle, metres.
        z: World z, metres.
        ground: Height of the ground there, metres.
        view: 'side', 'front' or 'back' (what the camera sees).
        mirrored: Side view with the front at the left.
        seed: Seed of the look.
    """

    kind: str
    x: float
    z: float
    ground: float
    view: str
    mirrored: bool
    seed: int

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the cut-out in metres."""
        if self.kind == 'person':
            return 1.1, 2.0
        wide = self.view == 'side'
        if self.kind in ('cyclist', 'motorcyclist'):
            return (2.2 if wide else 1.0), 2.0
        return (2.1 if wide else 0.9), 1.3

    def paint(self, density: float, night: bool) -> Texture:
        """The cut-out with `density` pixels per metre."""
        density = float(np.clip(density, 12, 130))
        rng = np.random.default_rng((self.seed, 30))
        width, height = self.size
        if self.kind == 'person':
            texture = _person(rng, width, height, density, self.view)
        elif self.view == 'side':
            texture = _two_wheeler_side(rng, self.kind, (width, height), density, night)
        else:
            texture = _two_wheeler_end(rng, self.kind, (width, height), density, self.view, night)
        return texture.mirrored() if self.mirrored else texture


def _person(
    rng: np.random.Generator, width: float, height: float, density: float, view: str
) -> Texture:
    tall = float(np.clip(rng.normal(1.72, 0.09), 1.3, 1.95))
    if rng.random() < 0.08:
        tall = float(rng.uniform(1.05, 1.3))
    skin, hair = pick(rng, _SKIN, 8), pick(rng, _HAIR, 8)
    top, legs = pick(rng, _TOPS, 16), pick(rng, _TROUSERS, 12)
    canvas = Canvas(width, height, density, colour=scaled(top, 0.9), label=PERSON)
    x = width / 2
    stride = float(rng.uniform(0.1, 0.3)) * tall if view == 'side' else 0.07 * tall
    hip, shoulder = 0.5 * tall, 0.81 * tall
    girth = float(rng.uniform(0.1, 0.13)) * tall
    coat = rng.random() < 0.3
    skirt = rng.random() < 0.15
    leg_colour = skin if skirt else legs
    for side, shade in ((-1, 0.78), (1, 1.0)):
        foot = (x + side * stride * 0.5, 0.03)
        knee = (x + side * stride * 0.3 + 0.02, 0.27 * tall)
        start = (x + side * 0.045 * tall, hip)
        tone = scaled(leg_colour, shade)
        canvas.line(start, knee, 0.095 * tall, tone, end_width=0.075 * tall)
        canvas.line(knee, foot, 0.075 * tall, tone, end_width=0.05 * tall)
        toe = 0.12 if view == 'side' else 0.05
        canvas.poly(
            [
                (foot[0] - 0.05, 0), (foot[0] + toe, 0), (foot[0] + toe, 0.05),
                (foot[0] - 0.04, 0.09),
            ],
            (34, 30, 28),
        )  # fmt: skip
    if skirt:
        canvas.poly(
            [
                (x - 0.07 * tall, hip + 0.02), (x + 0.07 * tall, hip + 0.02),
                (x + 0.12 * tall, 0.3 * tall), (x - 0.12 * tall, 0.3 * tall),
            ],
            legs,
        )  # fmt: skip
    swing = float(rng.uniform(-0.14, 0.14)) * tall
    arm = 0.055 * tall
    hand_y = 0.47 * tall
    for side in (-1, 1):
        offset = side * (girth * 0.95 if view != 'side' else 0.02)
        elbow = (x + offset * 1.15 + side * swing * 0.5, 0.64 * tall)
        hand = (x + offset * 1.1 + side * swing, hand_y)
        canvas.line((x + offset, shoulder - 0.03), elbow, arm, scaled(top, 0.8))
        canvas.line(elbow, hand, arm * 0.9, scaled(top, 0.8), end_width=arm * 0.7)
        canvas.ellipse(*hand, 0.035, 0.045, skin)
    bottom = hip - (0.2 * tall if coat else 0.02)
    slim = girth * (0.78 if view == 'side' else 1.0)
    canvas.poly(
        [
            (x - slim * 0.9, bottom), (x + slim * 0.9, bottom), (x + slim * 0.82, 0.63 * tall),
            (x + slim, shoulder - 0.03), (x + 0.45 * slim, shoulder + 0.02),
            (x - 0.45 * slim, shoulder + 0.02), (x - slim, shoulder - 0.03),
            (x - slim * 0.82, 0.63 * tall),
        ],
        top,
    )  # fmt: skip
    canvas.rect(x - slim * 0.8, bottom, x - slim * 0.3, shoulder - 0.06, scaled(top, 0.85))
    canvas.rect(x - 0.03, shoulder - 0.01, x + 0.03, 0.87 * tall, scaled(skin, 0.85))
    head = 0.925 * tall
    canvas.ellipse(x, head, 0.058 * tall, 0.072 * tall, skin)
    if view == 'back':
        canvas.ellipse(x, head + 0.01, 0.062 * tall, 0.074 * tall, hair)
    else:
        canvas.poly(
            [
                (x - 0.062 * tall, head), (x - 0.03 * tall, head + 0.02 * tall),
                (x + 0.06 * tall, head + 0.025 * tall), (x + 0.045 * tall, head + 0.07 * tall),
                (x - 0.03 * tall, head + 0.078 * tall), (x - 0.066 * tall, head + 0.04 * tall),
            ],
            hair,
        )  # fmt: skip
    if rng.random() < 0.35:
        bag = pick(rng, _TOPS, 14)
        if view == 'back':
            canvas.rect(x - girth * 0.6, 0.58 * tall, x + girth * 0.6, 0.78 * tall, bag)
        else:
            canvas.rect(x + girth * 0.8, 0.4 * tall, x + girth * 0.8 + 0.22, 0.52 * tall, bag)
    return canvas.texture()


def _rider_body(
    canvas: Canvas,
    rng: np.random.Generator,
    seat: tuple[float, float],
    grip: tuple[float, float],
    pedal: tuple[float, float],
    helmet: bool,
) -> None:
    """A seated person in side view, front at the right."""
    skin, top, legs = pick(rng, _SKIN, 8), pick(rng, _TOPS, 16), pick(rng, _TROUSERS, 12)
    sx, sy = seat
    neck = (sx + 0.28 * (grip[0] - sx) + 0.06, sy + 0.56)
    knee = (sx + 0.42, sy - 0.14)
    for shade, shift in ((0.75, 0.06), (1.0, -0.02)):
        foot = (pedal[0] + shift, pedal[1] + shift)
        bent = (knee[0] + shift, knee[1] - shift)
        canvas.line(seat, bent, 0.17, scaled(legs, shade), label=RIDER, end_width=0.13)
        canvas.line(bent, foot, 0.13, scaled(legs, shade), label=RIDER, end_width=0.09)
        canvas.rect(
            foot[0] - 0.07,
            foot[1] - 0.06,
            foot[0] + 0.16,
            foot[1] + 0.02,
            (30, 28, 28),
            label=RIDER,
        )
    canvas.line((sx - 0.04, sy - 0.04), neck, 0.3, top, label=RIDER, end_width=0.32)
    elbow = ((neck[0] + grip[0]) / 2 + 0.02, (neck[1] + grip[1]) / 2 - 0.1)
    canvas.line((neck[0], neck[1] - 0.08), elbow, 0.12, scaled(top, 0.82), label=RIDER)
    canvas.line(elbow, grip, 0.1, scaled(top, 0.82), label=RIDER, end_width=0.08)
    head = (neck[0] + 0.08, neck[1] + 0.2)
    canvas.line(neck, head, 0.12, scaled(skin, 0.85), label=RIDER)
    canvas.ellipse(*head, 0.115, 0.14, skin, label=RIDER)
    if helmet:
        shell = pick(rng, _TOPS, 20)
        canvas.ellipse(head[0] - 0.015, head[1] + 0.05, 0.14, 0.115, shell, label=RIDER)
    else:
        canvas.ellipse(head[0] - 0.03, head[1] + 0.05, 0.12, 0.11, pick(rng, _HAIR), label=RIDER)


def _two_wheeler_side(
    rng: np.random.Generator, kind: str, size: tuple[float, float], density: float, night: bool
) -> Texture:
    width, height = size
    ridden = kind in ('cyclist', 'motorcyclist')
    motor = kind in ('motorcyclist', 'motorcycle')
    label = MOTORCYCLE if motor else BICYCLE
    paint = pick(rng, _FRAMES, 14)
    canvas = Canvas(width, height, density, colour=scaled(paint, 0.6), label=label)
    x = width / 2
    helmet = bool(motor or rng.random() < 0.5)
    lights = night and ridden
    if motor:
        _motorcycle_side(canvas, x, paint, lights)
        if ridden:
            _rider_body(canvas, rng, (x - 0.22, 0.86), (x + 0.42, 1.05), (x + 0.02, 0.36), helmet)
    else:
        _bicycle_side(canvas, x, paint, lights)
        if ridden:
            _rider_body(canvas, rng, (x - 0.2, 0.98), (x + 0.38, 1.04), (x + 0.02, 0.24), helmet)
    return canvas.texture()


def _bicycle_side(canvas: Canvas, x: float, paint: Colour, lights: bool) -> None:
    for wheel in (x - 0.52, x + 0.52):
        canvas.ellipse(wheel, 0.34, 0.34, 0.34, (126, 126, 124))
        for angle in np.linspace(0, np.pi, 7)[:-1]:
            dx, dy = 0.31 * np.cos(angle), 0.31 * np.sin(angle)
            canvas.line((wheel - dx, 0.34 - dy), (wheel + dx, 0.34 + dy), 0.016, (60, 60, 62))
        canvas.ring(wheel, 0.34, 0.325, 0.05, (24, 24, 26))
    hub, crank, saddle, head = (x - 0.52, 0.34), (x - 0.05, 0.3), (x - 0.2, 0.84), (x + 0.36, 0.84)
    for a, b in ((hub, crank), (hub, saddle), (crank, saddle), (crank, head), (saddle, head)):
        canvas.line(a, b, 0.055, paint)
    canvas.line(head, (x + 0.52, 0.34), 0.05, scaled(paint, 0.85))
    canvas.line(saddle, (x - 0.22, 0.96), 0.045, (40, 40, 42))
    canvas.rect(x - 0.36, 0.94, x - 0.1, 1.0, (30, 26, 24))
    canvas.line(head, (x + 0.33, 1.04), 0.045, (60, 60, 62))
    canvas.line((x + 0.33, 1.04), (x + 0.46, 1.03), 0.05, (36, 36, 38))
    canvas.ellipse(*crank, 0.09, 0.09, (70, 70, 72))
    if lights:
        canvas.ellipse(x + 0.48, 0.88, 0.05, 0.05, (255, 250, 230), emit=9.0)
        canvas.ellipse(x - 0.52, 0.72, 0.04, 0.04, (240, 30, 24), emit=4.0)


def _motorcycle_side(canvas: Canvas, x: float, paint: Colour, lights: bool) -> None:
    for wheel in (x - 0.66, x + 0.68):
        canvas.ellipse(wheel, 0.32, 0.32, 0.32, (24, 24, 26))
        canvas.ellipse(wheel, 0.32, 0.19, 0.19, (130, 132, 134))
        canvas.ellipse(wheel, 0.32, 0.06, 0.06, (50, 50, 52))
    canvas.poly(
        [(x - 0.36, 0.28), (x + 0.3, 0.26), (x + 0.36, 0.6), (x + 0.1, 0.72), (x - 0.4, 0.6)],
        (62, 64, 68),
    )
    canvas.poly(
        [(x - 0.1, 0.7), (x + 0.36, 0.66), (x + 0.44, 0.86), (x + 0.2, 0.98), (x - 0.06, 0.86)],
        paint,
    )
    canvas.poly(
        [(x - 0.86, 0.78), (x - 0.1, 0.72), (x - 0.06, 0.86), (x - 0.5, 0.86), (x - 0.84, 0.92)],
        (34, 32, 32),
    )
    canvas.poly([(x - 0.9, 0.56), (x - 0.5, 0.6), (x - 0.5, 0.74), (x - 0.86, 0.78)], paint)
    canvas.line((x + 0.36, 0.98), (x + 0.68, 0.32), 0.075, (150, 152, 154))
    canvas.poly(
        [(x + 0.4, 0.6), (x + 0.95, 0.62), (x + 0.86, 0.72), (x + 0.46, 0.74)], scaled(paint, 0.9)
    )
    canvas.line((x + 0.36, 0.98), (x + 0.3, 1.14), 0.05, (50, 50, 52))
    canvas.line((x + 0.3, 1.14), (x + 0.46, 1.08), 0.06, (34, 34, 36))
    canvas.line((x - 0.7, 0.32), (x - 0.1, 0.3), 0.1, (150, 150, 152))
    on = 14.0 if lights else 0.0
    canvas.ellipse(x + 0.54, 0.9, 0.1, 0.1, (250, 246, 230) if lights else (200, 204, 206), emit=on)
    canvas.ellipse(x - 0.9, 0.72, 0.06, 0.05, (210, 24, 22), emit=4.0 if lights else 0.0)


def _two_wheeler_end(
    rng: np.random.Generator,
    kind: str,
    size: tuple[float, float],
    density: float,
    view: str,
    night: bool,
) -> Texture:
    width, height = size
    ridden = kind in ('cyclist', 'motorcyclist')
    motor = kind in ('motorcyclist', 'motorcycle')
    label = MOTORCYCLE if motor else BICYCLE
    paint = pick(rng, _FRAMES, 14)
    helmet = bool(motor or rng.random() < 0.5)
    canvas = Canvas(width, height, density, colour=scaled(paint, 0.6), label=label)
    x, lights = width / 2, night and ridden
    tyre = 0.085 if motor else 0.04
    canvas.poly(
        [(x - tyre, 0.03), (x + tyre, 0.03), (x + tyre, 0.66), (x - tyre, 0.66)], (24, 24, 26)
    )
    bar = 1.08 if motor else 1.04
    canvas.line((x, 0.5), (x, bar), 0.07, scaled(paint, 0.9))
    if motor:
        canvas.ellipse(x, 0.72, 0.2, 0.26, paint)
        canvas.rect(x - 0.3, 0.36, x + 0.3, 0.5, (70, 70, 74))
        canvas.rect(x - 0.09, 0.44, x + 0.09, 0.58, (220, 220, 214))
    else:
        canvas.rect(x - 0.17, 0.26, x + 0.17, 0.31, (50, 50, 52))
        canvas.rect(x - 0.1, 0.9, x + 0.1, 0.99, (34, 30, 28))
    canvas.line((x - 0.32, bar), (x + 0.32, bar), 0.055, (40, 40, 42))
    if ridden:
        skin, top, legs = pick(rng, _SKIN, 8), pick(rng, _TOPS, 16), pick(rng, _TROUSERS, 12)
        seat = 0.9 if motor else 1.0
        for side, foot in ((-1, 0.4 if motor else 0.5), (1, 0.4 if motor else 0.22)):
            knee = (x + side * (0.24 if motor else 0.15), 0.68 if motor else 0.66)
            canvas.line((x + side * 0.08, seat), knee, 0.16, legs, label=RIDER, end_width=0.13)
            end = (x + side * (0.22 if motor else 0.13), foot)
            canvas.line(knee, end, 0.12, scaled(legs, 0.85), label=RIDER, end_width=0.09)
            canvas.ellipse(end[0], foot - 0.03, 0.06, 0.05, (30, 28, 28), label=RIDER)
        for side in (-1, 1):
            elbow = (x + side * 0.3, seat + 0.28)
            canvas.line((x + side * 0.17, seat + 0.5), elbow, 0.11, scaled(top, 0.8), label=RIDER)
            canvas.line(elbow, (x + side * 0.3, bar), 0.1, scaled(top, 0.8), label=RIDER)
        canvas.poly(
            [
                (x - 0.16, seat - 0.04), (x + 0.16, seat - 0.04), (x + 0.23, seat + 0.5),
                (x + 0.1, seat + 0.6), (x - 0.1, seat + 0.6), (x - 0.23, seat + 0.5),
            ],
            top,
            label=RIDER,
        )  # fmt: skip
        head = seat + 0.74
        canvas.ellipse(x, head, 0.105, 0.14, skin, label=RIDER)
        cover = pick(rng, _TOPS, 20) if helmet else pick(rng, _HAIR)
        lift = 0.0 if view == 'back' else 0.055
        canvas.ellipse(x, head + lift, 0.13, 0.13 - lift * 0.6, cover, label=RIDER)
    if view == 'back':
        canvas.ellipse(x, 0.74, 0.05, 0.04, (220, 26, 22), emit=5.0 if lights else 0.0)
    else:
        glow = (14.0 if motor else 9.0) if lights else 0.0
        radius = 0.1 if motor else 0.05
        colour = (255, 250, 232) if lights else (206, 208, 208)
        canvas.ellipse(x, 0.88, radius, radius, colour, emit=glow)
    return canvas.texture()
