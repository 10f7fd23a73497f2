"""A pyramid and the head: the whole matcher, for training and as an aligner."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.checkpoints.reading import start_file
from dsr_nss.matching.head import COPY, FlowEstimate, UAWarpCHead, ViewFeatures
from dsr_nss.matching.weights import load_uawarpc
from dsr_nss.values import checked

#: Smallest side of an image: two cells at 1/8.
MIN_SIDE = 16


@MODELS.register_module()
@checked
class MatchingNetwork(BaseModule):
    """Flow and log-variance between two images.

    Args:
        pyramid: Config of a `FeaturePyramid`: by default the `VGG16Pyramid` of published weights;
            any encoder fits in a `BackbonePyramid`.
        init_cfg: None for the pyramid's own weights and a random head, or
            `dict(type='Pretrained', checkpoint=PATH)` for a file in a layout of
            `dsr_nss.matching.weights`.
    """

    def __init__(self, pyramid: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.pyramid = MODELS.build(pyramid or dict(type='VGG16Pyramid'))
        self.head = UAWarpCHead()

    def init_weights(self) -> None:
        """The pyramid's own weights, then those of the file that `init_cfg` names.

        Raises:
            FileNotFoundError: No such file.
            CheckpointError: The file does not fit, or it holds a head alone and the pyramid is
                random.
        """
        self.pyramid.init_weights()
        if self.init_cfg is not None:
            load_uawarpc(self, *start_file(self.init_cfg, 'MatchingNetwork'))
        self.is_init = True

    def extract(self, image: Tensor) -> ViewFeatures:
        """Features of `(B, 3, H, W)` RGB in [0, 1], to be matched with those of other views.

        Raises:
            ValueError: An image too small for the levels.
        """
        if min(image.shape[2:]) < MIN_SIDE:
            raise ValueError(
                f'matching needs images of at least {MIN_SIDE} pixels a side, '
                f'got {image.shape[2]}x{image.shape[3]}'
            )
        quarter, eighth = self.pyramid(image, levels=2)
        copy = F.interpolate(image, (COPY, COPY), mode='area')
        _, middle, coarse = self.pyramid(copy, levels=3)
        return ViewFeatures(quarter, eighth, middle, coarse)

    def forward(self, target: Tensor, reference: Tensor) -> list[FlowEstimate]:
        """Match two batches of images.

        Args:
            target: `(B, 3, H, W)` RGB in [0, 1], where the flow lives (night).
            reference: `(B, 3, H, W)`, where it points to (day).

        Returns:
            Four estimates, coarse to fine: at 16x16, 32x32, 1/8 and 1/4 of the image.

        Raises:
            ValueError: Images of different sizes, or too small.
        """
        if target.shape != reference.shape:
            raise ValueError(
                'matching needs images of one size, got '
                f'{tuple(target.shape)} and {tuple(reference.shape)}'
            )
        size = (target.shape[2], target.shape[3])
        # one after the other: together their first maps would be the peak of the memory
        return self.head(self.extract(target), self.extract(reference), size)
