"""What a training step saw and made, as one picture."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dsr_nss.visualization.colours import colourise, grey
from dsr_nss.visualization.tiles import fit, tile

#: Entry of the panel -> caption, in the order they are shown.
COLUMNS = {
    'source_image': 'source',
    'source_label': 'source label',
    'night_image': 'night',
    'reference_image': 'day reference',
    'mask': 'mask (white: source)',
    'mixed_image': 'mixed image',
    'bank_mask': 'from the bank (white)',
    'mixed_label': 'mixed label',
    'teacher_label': "teacher's prediction",
    'pseudo_label': 'pseudo-label',
    'target_image': 'target',
    'matched_image': 'reference',
    'synthetic_image': 'synthetic view of the target',
    'warped_image': 'reference, warped to it',
    'confidence': 'confidence',
}
#: Entries that are shares in 0..1.
_GREY = ('mask', 'bank_mask', 'confidence')
#: A tile is shrunk to this many pixels.
TILE_SIDE = 384


def training_panel(
    panel: Mapping[str, Tensor],
    mean: Tensor,
    std: Tensor,
    palette: Sequence[Sequence[int]],
) -> np.ndarray:
    """One row for each sample and one column for each entry of `COLUMNS` that the panel has.

    Args:
        panel: `*_image`: `(B, 3, H, W)` normalised float; `*_label`: `(B, H, W)` integer class
            ids; `mask`, `bank_mask`: `(B, 1, H, W)` bool, true where pixels of the source or the
            bank were pasted; `confidence`: `(B, 1, H, W)` float in [0, 1].
        mean: `(3, 1, 1)` mean of R, G and B that the normalisation subtracted, in 0..255.
        std: `(3, 1, 1)` standard deviation by which the normalisation divided, in 0..255.
        palette: RGB of each class.

    Returns:
        `(height, width, 3)` uint8 RGB.

    Raises:
        ValueError: The panel holds none of the entries.
    """
    shown = [name for name in COLUMNS if name in panel]
    if not shown:
        raise ValueError(f'nothing to show: the panel has {sorted(panel)}, not {sorted(COLUMNS)}')
    rows = []
    for sample in range(len(panel[shown[0]])):
        row = []
        for name in shown:
            tensor = panel[name][sample]
            if name.endswith('_label'):
                picture = colourise(tensor.cpu().numpy(), palette)
            elif name in _GREY:
                picture = grey(tensor[0].float().cpu().numpy())
            else:
                picture = _image_picture(tensor, mean, std)
            nearest = name.endswith(('mask', '_label'))
            row.append(fit(picture, TILE_SIDE, labels=nearest))
        rows.append(row)
    return tile(rows, [COLUMNS[name] for name in shown])


def _image_picture(image: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    pixels = (image.float() * std.to(image.device) + mean.to(image.device)).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
