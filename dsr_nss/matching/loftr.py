"""Matches of a detector-free matcher from kornia (LoFTR), interpolated to a dense flow."""

import importlib
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import load_strictly, read_state_dict, start_file
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.matching.match_aligner import MatchAligner, enlargement
from dsr_nss.values import checked

HINT = (
    'It holds the LoFTR weights that kornia publishes (loftr_outdoor.ckpt, trained on MegaDepth); '
    'place it there, or run without alignment: '
    '`--cfg-options model.refinement.aligner.type=Identity`'
)
#: Without this package it cannot be built.
PACKAGE = 'kornia'
NEEDED = "the aligner LoFTR needs kornia: install it with `pip install -e '.[matching]'`"


@MODELS.register_module()
@checked
class LoFTR(MatchAligner):
    """Semi-dense matches of LoFTR, on whose number memory grows with the fourth power of a side.

    Source: Sun et al., "LoFTR: Detector-Free Local Feature Matching with Transformers", 2021, in
    kornia's implementation, an optional package.

    Args:
        **kwargs: Arguments of `MatchAligner`; `init_cfg` names kornia's file or a state dict, read
            when weights are initialised (training).

    Raises:
        ConfigError: kornia is not installed.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.matcher = _build_matcher()
        self.requires_grad_(False).train()

    def init_weights(self) -> None:
        """The weights of the file.

        Raises:
            FileNotFoundError: It is not there; the message says how to get it or do without.
            CheckpointError: It does not fit, or no file is named.
        """
        if self.init_cfg is None:
            raise CheckpointError(
                'LoFTR aligns with trained weights: set model.refinement.aligner.init_cfg='
                "dict(type='Pretrained', checkpoint=PATH)"
            )
        path, prefix = start_file(self.init_cfg, 'LoFTR')
        load_strictly(self.matcher, read_state_dict(path, HINT, prefix), path)
        self.is_init = True

    def match(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Matches of one pair `(1, 3, H, W)` of RGB in [0, 1]; see `MatchAligner`."""
        first, second = self.working_grey(night), self.working_grey(day)
        with torch.autocast(night.device.type, enabled=False):
            found = self.matcher({'image0': first, 'image1': second})
        scale = enlargement(night, first)
        start, end = (found[name].float() * scale for name in ('keypoints0', 'keypoints1'))
        # its positions have the centre of the first pixel at (0.5, 0.5)
        return start - 0.5, end - start, found['confidence'].float()


def _build_matcher() -> nn.Module:
    try:
        kornia: Any = importlib.import_module('kornia.feature')
    except ImportError as error:
        raise ConfigError(NEEDED) from error
    return kornia.LoFTR(pretrained=None)
