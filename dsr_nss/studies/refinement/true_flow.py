"""The true flow of nightscape as an aligner: what perfect alignment would give."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.commands import call
from dsr_nss.datasets.crops import CropBox
from dsr_nss.datasets.images import read_image
from dsr_nss.matching.truth import read_flow_arrays
from dsr_nss.models.refine.aligners import UNINFORMED, Alignment, WeightlessAligner

_SUFFIX = '_rgb_anon.png'
IMAGES = 'dark_zurich/rgb_anon/train/night'
FLOWS = 'truth/flow'


@MODELS.register_module()
class TrueFlow(WeightlessAligner):
    """Flow and confidence from the truth of nightscape's dark_zurich train pairs (an oracle).

    An aligner sees images alone, so each night image is looked up by its pixels: it must be a crop
    of a train image, mirrored or not, at its own size. The day image is not read; it must be the
    same crop of the reference. The match is of whole crops, byte by byte.

    Args:
        data_root: Folder of the nightscape, with `dark_zurich` and `truth`. It is read when the
            first image is aligned.
        informed: Confidence 1, and 0 where the truth says `occluded` (the point is hidden by day,
            or a dynamic object covers it in either view). False: 0.5 everywhere, as of aligners
            that know nothing, so that the flow alone is better than theirs.
        **kwargs: Arguments of `WeightlessAligner`.
    """

    def __init__(
        self, *, data_root: str = 'data/nightscape', informed: bool = True, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.data_root = Path(data_root)
        self.informed = informed

    @torch.no_grad()
    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        """Align two batches `(B, 3, H, W)` of RGB in [0, 1].

        Raises:
            FileNotFoundError: The folder is no nightscape, or an image has no flow.
            ValueError: A night image is no crop of the set, or a flow file is damaged.
        """
        pixels = (night.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        flows, occluded = zip(*(self._truth_of(image) for image in pixels), strict=True)
        flow = torch.from_numpy(np.stack(flows)).to(night.device)
        shown = torch.from_numpy(~np.stack(occluded)[:, None]).to(night.device, torch.float32)
        confidence = shown if self.informed else torch.full_like(shown, UNINFORMED)
        aligned = torch.ones(len(night), dtype=torch.bool, device=night.device)
        return Alignment(flow, confidence, aligned)

    @cached_property
    def _images(self) -> dict[str, np.ndarray]:
        """All train night images by the stem of their frame, `(H, W, 3)` uint8 RGB."""
        folder = self.data_root / IMAGES
        files = sorted(folder.rglob(f'*{_SUFFIX}'))
        if not files:
            raise FileNotFoundError(
                f'TrueFlow: no night images in {folder}; set data_root to a nightscape '
                f'(`{call("make_nightscape")} data/nightscape` makes one)'
            )
        return {path.name.removesuffix(_SUFFIX): read_image(path) for path in files}

    def _truth_of(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flow `(2, h, w)` float32 and occlusion `(h, w)` bool of a crop `(h, w, 3)` uint8."""
        for mirrored in (False, True):
            seen = np.ascontiguousarray(crop[:, ::-1]) if mirrored else crop
            for stem, image in self._images.items():
                box = find_crop(image, seen)
                if box is not None:
                    flow, masks = read_flow_arrays(self.data_root / FLOWS / f'{stem}.npz')
                    return cut_flow(flow, masks['occluded'], box, mirrored)
        raise ValueError(
            f'TrueFlow: a night image of {crop.shape[0]}x{crop.shape[1]} (height x width) is no '
            f'crop of an image in {self.data_root / IMAGES}. It aligns that set only, without '
            'target_scale; set aligner.data_root to the set that is trained on'
        )


def find_crop(image: np.ndarray, crop: np.ndarray) -> CropBox | None:
    """The first place in an image with exactly the pixels of a crop, None if there is none.

    Args:
        image: `(H, W, 3)` uint8.
        crop: `(h, w, 3)` uint8.
    """
    height, width = crop.shape[:2]
    if height > image.shape[0] or width > image.shape[1]:
        return None
    # the liveliest row: an even one would be found in too many places
    row = int(crop.std(axis=(1, 2)).argmax())
    needle, haystack = crop[row].tobytes(), image.tobytes()
    place = haystack.find(needle)
    while place >= 0:
        y, rest = divmod(place, 3 * image.shape[1])
        box = CropBox(y - row, rest // 3, height, width)
        # a needle that goes on in the next row gives a narrower cut, which is not equal
        if rest % 3 == 0 and box.top >= 0 and np.array_equal(box.cut(image), crop):
            return box
        place = haystack.find(needle, place + 1)
    return None


def cut_flow(
    flow: np.ndarray, occluded: np.ndarray, box: CropBox, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Truth of the same crop, mirrored after cutting or not, of both views.

    Cutting the same box out of both views leaves every flow as it is; mirroring both turns its x.

    Args:
        flow: `(2, H, W)` in pixels, x first.
        occluded: `(H, W)` bool.
        box: The crop.
        mirrored: Whether it was mirrored.

    Returns:
        `(2, h, w)` float32 and `(h, w)` bool.
    """
    steps, hidden = box.cut(np.moveaxis(flow, 0, -1)), box.cut(occluded)
    if mirrored:
        steps, hidden = steps[:, ::-1] * (-1, 1), hidden[:, ::-1]
    return np.moveaxis(steps, -1, 0).astype(np.float32), hidden.copy()
