"""Textures of buildings, walls, fences and hedges."""

from dataclasses import dataclass

import cv2
import numpy as np

from dsr_nss.nightscape.paint import Canvas, Colour, Texture, noise_patch, pick, scaled, vary

WALL_COLOURS: tuple[Colour, ...] = (
    (196, 184, 160), (214, 208, 196), (178, 150, 112), (190, 152, 132), (150, 148, 146),
    (146, 88, 70), (168, 118, 92), (172, 168, 150), (158, 168, 178), (120, 112, 106),
    (222, 206, 164), (132, 72, 60), (182, 186, 176), (104, 106, 112),
)  # fmt: skip
_SIGN_COLOURS: tuple[Colour, ...] = (
    (170, 30, 34), (24, 70, 140), (26, 110, 60), (230, 180, 40), (40, 40, 44), (225, 225, 220),
    (120, 40, 110), (225, 110, 30),
)  # fmt: skip
_WARM: tuple[Colour, ...] = ((255, 206, 130), (255, 224, 170), (246, 236, 210), (220, 230, 245))


def _noise_patch(
    rows: int, columns: int, density: float | tuple[float, float], seed: int, detail: float
) -> np.ndarray:
    """(rows, columns) noise with details of `detail` metres; `density` in pixels per metre,
    horizontal and vertical."""
    across, upward = density if isinstance(density, tuple) else (density, density)
    start = np.random.default_rng(seed).uniform(0, 400, 2)
    scale = (1 / (across * detail), 1 / (upward * detail))
    return noise_patch((rows, columns), scale, (float(start[0]), float(start[1])))


@dataclass(frozen=True)
class Facade:
    """What a facade looks like; the same at every resolution and time of day.

    Attributes:
        width: Metres.
        height: Metres, without the roof.
        wall: Colour of the wall.
        brick: Draw courses of bricks.
        trim: Colour of window frames and ledges.
        storey: Height of an upper storey in metres.
        ground: Height of the ground floor in metres.
        bay: Width of a window bay in metres.
        window: Window width and height as shares of bay and storey.
        shops: Ground floor with shop windows instead of ordinary ones.
        lit_share: Share of the windows lit at night.
        seed: Seed of everything else.
    """

    width: float
    height: float
    wall: Colour
    brick: bool
    trim: Colour
    storey: float
    ground: float
    bay: float
    window: tuple[float, float]
    shops: bool
    lit_share: float
    seed: int

    @classmethod
    def sample(cls, rng: np.random.Generator, width: float, height: float, shops: bool) -> 'Facade':
        """A random facade of that size."""
        wall = pick(rng, WALL_COLOURS, 12)
        return cls(
            width=width,
            height=height,
            wall=wall,
            brick=wall[0] - wall[2] > 45 and rng.random() < 0.7,
            trim=pick(rng, ((232, 230, 224), (90, 84, 80), scaled(wall, 0.72), scaled(wall, 1.2))),
            storey=float(rng.uniform(2.9, 3.5)),
            ground=float(rng.uniform(3.6, 4.4) if shops else rng.uniform(2.9, 3.5)),
            bay=float(rng.uniform(2.1, 3.6)),
            window=(float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.46, 0.66))),
            shops=shops,
            lit_share=float(rng.choice([0.08, 0.2, 0.35, 0.5])),
            seed=int(rng.integers(1 << 40)),
        )

    def paint(self, density: tuple[float, float], night: bool) -> Texture:
        """The texture, with `density` (horizontal, vertical) pixels per metre."""
        # Twice the horizontal density, halved at the end: the bars of the windows stay smooth.
        painted = (min(2 * density[0], density[1]), density[1])
        canvas = Canvas(self.width, self.height, painted, colour=self.wall)
        rows, columns = canvas.rgbe.shape[:2]
        factor = 1 + 0.035 * _noise_patch(rows, columns, painted, self.seed, 0.05)
        factor += 0.06 * _noise_patch(rows, columns, painted, self.seed + 1, 0.6)
        if self.brick and density[1] > 10:
            factor *= np.where((np.arange(rows) / density[1]) % 0.16 < 0.03, 0.88, 1.0)[:, None]
        canvas.shade(factor)
        self._upper_floors(canvas, night)
        self._ground_floor(canvas, night)
        canvas.rect(0, self.height - 0.35, self.width, self.height, scaled(self.trim, 0.95))
        canvas.rect(0, self.height - 0.45, self.width, self.height - 0.35, scaled(self.wall, 0.6))
        canvas.rect(0, 0, self.width, 0.45, scaled(self.wall, 0.66))
        drain = 0.25
        canvas.rect(drain, 0, drain + 0.12, self.height - 0.3, scaled(self.wall, 0.75))
        if density[0] < painted[0] * 0.8:
            size = (max(2, int(self.width * density[0])), rows)
            return Texture(cv2.resize(canvas.rgbe, size, interpolation=cv2.INTER_AREA))
        return canvas.texture()

    def _upper_floors(self, canvas: Canvas, night: bool) -> None:
        rng = np.random.default_rng((self.seed, 1))
        floors = int((self.height - self.ground - 0.5) / self.storey)
        bays = max(1, int(self.width / self.bay))
        if floors < 1:
            return
        balcony = rng.random() < 0.3
        kinds = rng.integers(0, 3, (floors, bays))
        lit = rng.random((floors, bays)) < self.lit_share
        glow = rng.integers(0, 2, (floors, bays))
        kinds = np.where(lit & night, 3 + glow, kinds)
        step_x = self.width / bays
        warm = [vary(rng, _WARM[int(rng.integers(len(_WARM)))], 6) for _ in range(2)]
        cells = {
            kind: self._window(canvas, step_x, kind, night, warm, balcony)
            for kind in np.unique(kinds).tolist()
        }
        cell_rows, cell_columns = next(iter(cells.values()))[0].shape[:2]
        for floor in range(floors):
            bottom = self.ground + floor * self.storey
            top_row = canvas.rows - int((bottom + self.storey) * canvas.scale[1])
            for bay in range(bays):
                left = int(bay * step_x * canvas.scale[0])
                colour, mask = cells[kinds[floor, bay]]
                target = canvas.rgbe[top_row : top_row + cell_rows, left : left + cell_columns]
                part = mask[: target.shape[0], : target.shape[1]]
                np.copyto(target, colour[: target.shape[0], : target.shape[1]], where=part)

    def _window(
        self, canvas: Canvas, step: float, kind: int, night: bool, warm: list[Colour], balcony: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """One bay of an upper storey: colours (h, w, 4), and where they replace the wall."""
        cell = Canvas(step, self.storey, canvas.density, colour=self.wall, label=0)
        width, height = self.window[0] * step, self.window[1] * self.storey
        x0, y0 = (step - width) / 2, 0.28 * self.storey
        x1, y1 = x0 + width, y0 + height
        cell.rect(x0 - 0.1, y0 - 0.1, x1 + 0.1, y1 + 0.1, self.trim)
        if kind >= 3:
            emit = 0.85 if kind == 3 else 0.4
            cell.rect(x0, y0, x1, y1, warm[kind - 3], emit=emit)
            cell.rect(x0, y0, x0 + 0.2 * width, y1, scaled(warm[kind - 3], 0.75), emit=emit / 2)
        else:
            glass: Colour = ((58, 68, 80), (84, 98, 112), (112, 124, 134))[kind]
            if night:
                glass = ((26, 28, 32), (32, 34, 40), (40, 42, 46))[kind]
            cell.rect(x0, y0, x1, y1, glass)
            cell.poly(
                [(x0, y0), (x0 + 0.6 * width, y0), (x0, y0 + 0.7 * height)], scaled(glass, 0.8)
            )
            if kind == 2:
                cell.rect(x0, y1 - 0.4 * height, x1, y1, scaled(self.trim, 0.85))
        cell.rect((x0 + x1) / 2 - 0.04, y0, (x0 + x1) / 2 + 0.04, y1, self.trim)
        cell.rect(x0, y0 + 0.62 * height, x1, y0 + 0.66 * height, self.trim)
        cell.rect(x0 - 0.18, y0 - 0.2, x1 + 0.18, y0 - 0.08, scaled(self.trim, 0.9))
        cell.rect(x0 - 0.12, y0 - 0.3, x1 + 0.12, y0 - 0.2, scaled(self.wall, 0.7))
        if balcony:
            cell.rect(x0 - 0.35, 0.1, x1 + 0.35, 0.25, scaled(self.wall, 0.6))
            for x in np.arange(x0 - 0.35, x1 + 0.35, 0.16):
                cell.rect(float(x), 0.25, float(x) + 0.05, 1.0, (60, 60, 62))
            cell.rect(x0 - 0.35, 1.0, x1 + 0.35, 1.08, (52, 52, 54))
        assert cell.label is not None
        return cell.rgbe, (cell.label == 0)[..., None]

    def _ground_floor(self, canvas: Canvas, night: bool) -> None:
        rng = np.random.default_rng((self.seed, 2))
        bays = max(1, int(self.width / rng.uniform(3.4, 4.8)))
        step = self.width / bays
        canvas.rect(0, self.ground - 0.3, self.width, self.ground - 0.12, scaled(self.trim, 0.85))
        for bay in range(bays):
            x = bay * step
            if self.shops:
                self._shop(canvas, rng, x, step, night)
            elif rng.random() < 0.3:
                self._door(canvas, rng, x + step / 2, night)
            else:
                lit = rng.random() < self.lit_share
                glass: Colour = (28, 30, 36) if night else (70, 82, 94)
                x0, x1 = x + 0.25 * step, x + 0.75 * step
                canvas.rect(x0 - 0.12, 0.95, x1 + 0.12, 2.45, self.trim)
                warm = vary(rng, _WARM[0], 8)
                if lit and night:
                    canvas.rect(x0, 1.05, x1, 2.35, warm, emit=0.7)
                else:
                    canvas.rect(x0, 1.05, x1, 2.35, glass)
                canvas.rect((x0 + x1) / 2 - 0.05, 1.05, (x0 + x1) / 2 + 0.05, 2.35, self.trim)

    def _shop(
        self, canvas: Canvas, rng: np.random.Generator, x: float, step: float, night: bool
    ) -> None:
        sign = pick(rng, _SIGN_COLOURS, 14)
        open_late = rng.random() < 0.6
        glow = vary(rng, _WARM[int(rng.integers(len(_WARM)))], 8)
        emit = float(rng.uniform(0.5, 1.3)) if night and open_late else 0.0
        glass: Colour = glow if emit else ((24, 26, 30) if night else (62, 72, 80))
        x0, x1, top = x + 0.2, x + step - 0.2, self.ground - 1.0
        canvas.rect(x0 - 0.1, 0.15, x1 + 0.1, top + 0.1, scaled(sign, 0.45))
        canvas.rect(x0, 0.5, x1, top, glass, emit=emit)
        for _ in range(7):
            gx, width = rng.uniform(x0, x1 - 0.4), rng.uniform(0.2, 0.5)
            height = rng.uniform(0.3, 1.3)
            colour = pick(rng, _SIGN_COLOURS, 40)
            dim = scaled(colour, 1.0 if emit else (0.22 if night else 0.6))
            right = min(gx + width, x1)
            canvas.rect(gx, 0.5, right, 0.5 + height, dim, emit=emit * 0.6)
        if rng.random() < 0.5:
            door = x1 - 0.95
            canvas.rect(door, 0.1, x1, top, scaled(sign, 0.35))
            canvas.rect(door + 0.12, 0.3, x1 - 0.12, top - 0.1, glass, emit=emit * 0.8)
        else:
            canvas.rect((x0 + x1) / 2 - 0.04, 0.5, (x0 + x1) / 2 + 0.04, top, scaled(sign, 0.5))
        board = top + 0.15
        canvas.rect(x0, board, x1, board + 0.6, sign, emit=emit * 0.7)
        letters = x0 + 0.3
        ink: Colour = (235, 235, 230) if sum(sign) < 380 else (30, 30, 34)
        while letters < x1 - 0.5:
            wide = float(rng.uniform(0.12, 0.32))
            tall = float(rng.uniform(0.22, 0.36))
            canvas.rect(
                letters, board + 0.14, letters + wide, board + 0.14 + tall, ink, emit=emit * 0.9
            )
            letters += wide + float(rng.uniform(0.06, 0.16))
        if rng.random() < 0.35:
            stripe = pick(rng, _SIGN_COLOURS, 10)
            for i, left in enumerate(np.arange(x0 - 0.1, x1, 0.4)):
                colour = stripe if i % 2 else (226, 222, 212)
                canvas.rect(
                    float(left), top - 0.45, min(float(left) + 0.4, x1 + 0.1), top + 0.12, colour
                )

    def _door(self, canvas: Canvas, rng: np.random.Generator, x: float, night: bool) -> None:
        colour = pick(rng, ((92, 60, 40), (40, 60, 52), (60, 64, 74), (120, 30, 30)), 10)
        canvas.rect(x - 0.75, 0, x + 0.75, 2.5, self.trim)
        canvas.rect(x - 0.6, 0, x + 0.6, 2.1, colour)
        canvas.rect(x - 0.42, 1.1, x + 0.42, 1.9, scaled(colour, 0.6))
        lit = night and rng.random() < 0.5
        canvas.rect(
            x - 0.6,
            2.15,
            x + 0.6,
            2.4,
            (255, 214, 150) if lit else (60, 66, 72),
            emit=0.8 if lit else 0.0,
        )


def paint_wall(seed: int, width: float, height: float, density: float) -> Texture:
    """Masonry or concrete wall."""
    rng = np.random.default_rng((seed, 3))
    base = pick(rng, ((150, 146, 138), (128, 118, 106), (164, 156, 142), (138, 92, 76)), 12)
    canvas = Canvas(width, height, density, colour=base)
    rows, columns = canvas.rgbe.shape[:2]
    canvas.shade(
        1
        + 0.06 * _noise_patch(rows, columns, density, seed, 0.04)
        + 0.09 * _noise_patch(rows, columns, density, seed + 1, 0.5)
    )
    course = float(rng.uniform(0.22, 0.5))
    if density > 8:
        up = np.arange(rows)[:, None] / density
        right = np.arange(columns)[None] / density
        joint = (up % course < 0.03) | ((right + (up // course) % 2 * course) % (2 * course) < 0.03)
        canvas.shade(np.where(joint, 0.8, 1.0))
    canvas.rect(0, height - 0.16, width, height, scaled(base, 1.15))
    canvas.rect(0, height - 0.2, width, height - 0.16, scaled(base, 0.6))
    if rng.random() < 0.3:
        for _ in range(6):
            x, y = rng.uniform(0, width), rng.uniform(0.5, height * 0.7)
            colour = pick(rng, _SIGN_COLOURS, 30)
            canvas.line((x, y), (x + rng.uniform(-1, 1), y + rng.uniform(-0.4, 0.4)), 0.09, colour)
    return canvas.texture()


def paint_fence(seed: int, width: float, height: float, density: float) -> Texture:
    """Railing, mesh or planks; see-through parts show dark greenery."""
    rng = np.random.default_rng((seed, 4))
    kind = int(rng.integers(3))
    back = pick(rng, ((70, 82, 58), (88, 92, 76), (104, 100, 90)), 8)
    canvas = Canvas(width, height, density, colour=back)
    rows, columns = canvas.rgbe.shape[:2]
    canvas.shade(1 + 0.3 * _noise_patch(rows, columns, density, seed, 0.05))
    if kind == 2:
        wood = pick(rng, ((136, 104, 72), (110, 92, 76), (160, 140, 112), (86, 98, 84)), 12)
        for x in np.arange(0, width, 0.16):
            tone = scaled(wood, float(rng.uniform(0.82, 1.12)))
            canvas.rect(float(x), 0.04, float(x) + 0.135, height, tone)
    else:
        metal = pick(rng, ((52, 56, 54), (150, 152, 150), (60, 84, 64), (196, 194, 188)), 10)
        gap = 0.13 if kind == 0 else 0.2
        for x in np.arange(0, width, gap):
            canvas.rect(float(x), 0.05, float(x) + 0.042, height, metal)
        if kind == 1:
            for y in np.arange(0.1, height, 0.2):
                canvas.rect(0, float(y), width, float(y) + 0.04, metal)
        canvas.rect(0, height - 0.09, width, height - 0.02, scaled(metal, 0.9))
        canvas.rect(0, 0.1, width, 0.18, scaled(metal, 0.9))
    post = scaled(back, 0.7) if kind == 2 else scaled(metal, 0.85)
    for x in np.arange(0, width, 2.4):
        canvas.rect(float(x), 0, float(x) + 0.1, height, post)
    return canvas.texture()


def paint_hedge(seed: int, width: float, height: float, density: float) -> Texture:
    """Trimmed leaves."""
    rng = np.random.default_rng((seed, 5))
    base = pick(rng, ((66, 92, 48), (80, 104, 54), (58, 82, 52)), 10)
    canvas = Canvas(width, height, density, colour=base)
    rows, columns = canvas.rgbe.shape[:2]
    canvas.shade(
        np.clip(
            1
            + 0.24 * _noise_patch(rows, columns, density, seed, 0.014)
            + 0.12 * _noise_patch(rows, columns, density, seed + 1, 0.12),
            0.25,
            1.8,
        )
    )
    canvas.shade(np.linspace(1.1, 0.6, rows)[:, None])
    return canvas.texture()


def paint_side(seed: int, colour: Colour, width: float, height: float, density: float) -> Texture:
    """A building's windowless end, with a few small windows."""
    rng = np.random.default_rng((seed, 6))
    base = scaled(colour, 0.92)
    canvas = Canvas(width, height, density, colour=base)
    rows, columns = canvas.rgbe.shape[:2]
    canvas.shade(
        1
        + 0.05 * _noise_patch(rows, columns, density, seed, 0.05)
        + 0.08 * _noise_patch(rows, columns, density, seed + 1, 0.7)
    )
    for y in np.arange(3.6, height - 2.2, 3.2):
        for x in (0.25 * width, 0.65 * width):
            if rng.random() < 0.6:
                canvas.rect(x - 0.5, float(y), x + 0.5, float(y) + 1.4, (210, 206, 198))
                canvas.rect(x - 0.42, float(y) + 0.08, x + 0.42, float(y) + 1.32, (66, 74, 82))
    return canvas.texture()
