"""Records of published training steps: what they started from, and how they were thinned.

A record (`tests/reference/steps/*.npz`) was made by running the unmodified training step of a
public repository in float64 on the inputs and weights of this file, with every draw written down.

Its content: `meta` (JSON: the settings, and of each step the losses, `q` and the draws), and of
step N, as `sN.*`: `pseudo_label`, `mixed_label`, `scores`, `mixed_image`, `weight_is_one`, `lr`,
`grad`, `grad_norm`, `teacher`; after the last step `end.student`, `end.teacher`,
`end.student_running`.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIZE = 256
#: At most so many values of a tensor are kept.
POINTS = 48
#: Strides by which a committed record is thinner still (`meta.thinned`); a whole one has these.
WHOLE = dict(samples=1, scores=1, image=1)

#: Bands of rows (top, bottom, class) of the two source labels.
BANDS = (
    ((0, 60, 10), (60, 128, 2), (128, 170, 1), (170, 256, 0)),
    ((0, 70, 10), (70, 130, 8), (130, 160, 9), (160, 256, 0)),
)
#: Boxes (top, bottom, left, right, class) painted over them, in this order. The person of the first
#: label fills a whole cell of 64x64; the traffic sign covers 48 of the 64 columns of another one.
THINGS = (
    (
        (64, 128, 64, 128, 11),
        (128, 192, 128, 240, 13),
        (64, 128, 208, 256, 7),
        (200, 240, 8, 60, 18),
        (180, 200, 20, 50, 12),
        (240, 256, 0, 256, 255),
    ),
    (
        (64, 130, 0, 130, 14),
        (10, 200, 150, 158, 5),
        (128, 186, 192, 256, 15),
        (190, 230, 70, 110, 17),
        (170, 190, 75, 100, 12),
        (100, 150, 160, 190, 3),
        (0, 12, 0, 256, 255),
    ),
)


# --- inputs: integers only, so that every machine makes the same bytes ---------------------------


def batch(seed: int, step: int) -> dict[str, np.ndarray]:
    """uint8 batch of two: `source_image`, `source_label`, `night_image`, `reference_image`.

    The night is the day reference moved by (24, 8) pixels (x, y) and darkened, plus noise.
    """
    first = 1000 * seed + 10 * step
    world = np.stack([_picture(first + 4 + i, SIZE + 32) for i in range(2)]).astype(np.int64)
    moved = world[:, :, 8 : 8 + SIZE, 24 : 24 + SIZE]
    noise = np.random.RandomState(first + 8).randint(0, 12, moved.shape)
    return dict(
        source_image=np.stack([_picture(first + i) for i in range(2)]),
        source_label=np.stack([_label(i, step) for i in range(2)]),
        night_image=(moved * 2 // 5 + noise).astype(np.uint8),
        reference_image=world[:, :, :SIZE, :SIZE].astype(np.uint8),
    )


def _label(index: int, step: int) -> np.ndarray:
    """(SIZE, SIZE) uint8 label of image 0 or 1; later steps roll it along the columns."""
    label = np.zeros((SIZE, SIZE), np.uint8)
    for top, bottom, train_id in BANDS[index]:
        label[top:bottom] = train_id
    for top, bottom, left, right, train_id in THINGS[index]:
        label[top:bottom, left:right] = train_id
    return np.roll(label, 20 * step, axis=1)


def _picture(seed: int, size: int = SIZE) -> np.ndarray:
    """(3, size, size) uint8: coarse colour fields (knots 32 apart) and finer ones (8 apart)."""
    draw = np.random.RandomState(seed)
    coarse = _enlarge(draw.randint(0, 256, (3, size // 32 + 1, size // 32 + 1)), 32) // 1024
    fine = _enlarge(draw.randint(0, 256, (3, size // 8 + 1, size // 8 + 1)), 8) // 64
    return ((5 * coarse + 3 * fine) // 8).astype(np.uint8)


def _enlarge(grid: np.ndarray, factor: int) -> np.ndarray:
    """(..., n + 1, m + 1) integers -> (..., n * factor, m * factor), linear, times factor^2."""
    y, wy = np.divmod(np.arange((grid.shape[-2] - 1) * factor), factor)
    x, wx = np.divmod(np.arange((grid.shape[-1] - 1) * factor), factor)
    total = np.zeros((*grid.shape[:-2], len(y), len(x)), grid.dtype)
    for down, rows in ((0, factor - wy), (1, wy)):
        for right, columns in ((0, factor - wx), (1, wx)):
            knots = grid[..., (y + down)[:, None], (x + right)[None]]
            total += knots * rows[:, None] * columns[None]
    return total


# --- weights: a function of name and shape -------------------------------------------------------


def weights(keys: Path) -> dict[str, Tensor]:
    """The weights of a published network; `keys` is JSON, `{name: [shape, dtype]}`."""
    spec = json.loads(keys.read_text())
    return {
        name: _filled(name, shape)
        if dtype.removeprefix('torch.').startswith('float')
        else torch.zeros(shape, dtype=torch.int64)
        for name, (shape, dtype) in sorted(spec.items())
    }


def _filled(name: str, shape: list[int]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'little')
    generator = torch.Generator().manual_seed(seed)
    if len(shape) >= 2:
        deviation = 0.7 * math.sqrt(2 / math.prod(shape[1:]))
        return torch.randn(shape, generator=generator) * deviation
    if name.endswith('running_var'):
        return 1 + 0.1 * torch.rand(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    return 1 + 0.1 * noise if name.endswith('weight') else 0.05 * noise


def crafted_matcher(weights: dict[str, Tensor], bias_file: Path) -> dict[str, Tensor]:
    """Weights of a matcher whose flow is neither constant nor an accident.

    Its coarsest decoder reads the position of the largest correlation, later ones correct it a
    little, and three convolutions of its features have the biases of `bias_file`.

    Args:
        weights: As `weights` made them; not modified.
        bias_file: npz with tensors by published name.
    """
    result = {name: value.clone() for name, value in weights.items()}
    decoder = 'alignment_head.decoder4.'
    for name in (n for n in result if n.startswith(decoder) and result[n].is_floating_point()):
        value = 1.0 if name.endswith(('bn.weight', 'running_var')) else 0.0
        result[name] = torch.full_like(result[name], value)
    line = torch.linspace(-1, 1, 16)
    x, y = line.repeat(16), line.repeat_interleave(16)  # of source cell row * 16 + column
    for i, value in enumerate((x, -x, y, -y)):
        result[f'{decoder}conv_0.conv.weight'][i, :, 1, 1] = value
        for shortcut in ('conv0_skip', 'conv2_skip'):
            result[f'{decoder}{shortcut}.conv.weight'][i, i, 0, 0] = 1.0
    mapping = result[f'{decoder}predict_mapping.weight']
    for axis in range(2):  # leaky(v) - leaky(-v) = 1.1 v
        mapping[axis, 2 * axis, 1, 1], mapping[axis, 2 * axis + 1, 1, 1] = 1 / 1.1, -1 / 1.1
    for name in result:
        finer_mapping = 'predict_mapping' in name and 'decoder4' not in name
        if finer_mapping or '.dc_convs.6.' in name:
            result[name] = result[name] * 0.02
        if 'predict_uncertainty_final' in name:
            result[name] = result[name] * 0.1
    biases = np.load(bias_file)
    return result | {name: torch.from_numpy(biases[name]) for name in biases.files}


# --- what is kept of a tensor --------------------------------------------------------------------


def samples(named: dict[str, Tensor], every: int = 1) -> np.ndarray:
    """At most POINTS values of each tensor at equal distances, by sorted name; float32."""
    kept = []
    for _, tensor in sorted(named.items()):
        flat = tensor.detach().flatten()
        count = min(POINTS, flat.numel())
        index = torch.arange(count) * flat.numel() // count
        kept.append(flat[index[::every]].to(torch.float32).numpy())
    return np.concatenate(kept)


def norms(named: dict[str, Tensor]) -> np.ndarray:
    """(tensors,) L2 norms by sorted name, float64."""
    return np.array([float(tensor.double().norm()) for _, tensor in sorted(named.items())])


def thin_image(image: Tensor, every: int = 1) -> np.ndarray:
    """(B, C, H, W) -> every fifth pixel of every fifth row, float32."""
    return image[:, :, 2::5, 3::5][:, :, ::every, ::every].to(torch.float32).numpy()


def thin_scores(scores: Tensor, every: int = 1) -> np.ndarray:
    """(B, C, H, W) -> a sixteenth of the rows and columns, float32."""
    return scores[:, :, 3::16, 5::16][:, :, ::every, ::every].to(torch.float32).numpy()
