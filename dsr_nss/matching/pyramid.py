"""Feature pyramids for matching: maps at strides 4, 8 and 16 of an RGB image in [0, 1]."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torchvision.models import vgg

from dsr_nss.checkpoints.reading import start_file
from dsr_nss.matching.weights import load_vgg16
from dsr_nss.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD, from_pixels
from dsr_nss.values import checked

#: VGG-16 (configuration D) up to its fourth pooling.
VGG16_LAYERS = vgg.cfgs['D'][:14]
#: Poolings before the first map, whose stride is 4.
FIRST_MAP = 1


class FeaturePyramid(BaseModule):
    """`forward(image, levels)`: the first `levels` (1 to 3) maps of an image.

    Each pyramid normalises the image as its weights were trained with.

    Args:
        mean: Mean of R, G and B, in 0..255, with which the weights were trained.
        std: Standard deviation of R, G and B, in 0..255, with which the weights were trained.
        init_cfg: None, or `dict(type='Pretrained', checkpoint=PATH)`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalise(self, image: Tensor) -> Tensor:
        """`(B, 3, H, W)` RGB in [0, 1] -> normalised."""
        return from_pixels(image, self.mean, self.std)

    def forward(self, image: Tensor, levels: int = 3) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` RGB in [0, 1] -> maps at strides 4, 8, 16, fine to coarse."""
        raise NotImplementedError(f'{type(self).__name__} does not say how it encodes')


@MODELS.register_module()
@checked
class VGG16Pyramid(FeaturePyramid):
    """VGG-16 up to its fourth pooling: 128, 256 and 512 channels, after poolings 2, 3 and 4.

    The names are torchvision's, `features.N.*`. Its fifth block has no use here and is not kept.
    Sizes are rounded down at each pooling.

    Args:
        init_cfg: None for random weights, or `dict(type='Pretrained', checkpoint=PATH)` with
            torchvision's published VGG-16 (the entries of its classifier are left out).
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.features = vgg.make_layers(VGG16_LAYERS)

    def init_weights(self) -> None:
        """The file that `init_cfg` names, or random weights that keep the scale (He)."""
        if self.init_cfg is not None:
            load_vgg16(self, *start_file(self.init_cfg, 'VGG16Pyramid'))
        else:
            for module in self.features:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
                    nn.init.zeros_(module.bias)
        self.is_init = True

    def forward(self, image: Tensor, levels: int = 3) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` RGB in [0, 1] -> floating maps at strides 4, 8, 16, fine to coarse.

        The network stops after the last map asked for: the third costs a third of all.
        """
        maps: list[Tensor] = []
        x, poolings = self.normalise(image), 0
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                poolings += 1
                if poolings > FIRST_MAP:
                    maps.append(x)
                if len(maps) == levels:
                    break
        return tuple(maps)


@MODELS.register_module()
@checked
class BackbonePyramid(FeaturePyramid):
    """Any registered encoder whose first three maps have the strides 4, 8 and 16.

    The head compares features of one level with each other, so their number of channels is free.

    Args:
        backbone: Config of the encoder, with its own `init_cfg` or other source of weights.
        mean: Mean of R, G and B, in 0..255, with which the weights were trained.
        std: Standard deviation of R, G and B, in 0..255, with which the weights were trained.
    """

    def __init__(
        self,
        backbone: dict,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__(mean, std)
        self.backbone = MODELS.build(backbone)

    def forward(self, image: Tensor, levels: int = 3) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` RGB in [0, 1] -> the encoder's first `levels` maps, fine to coarse.

        Raises:
            ValueError: The encoder's maps have other strides.
        """
        maps = tuple(self.backbone(self.normalise(image)))[:levels]
        for level, features in enumerate(maps):
            stride = 4 * 2**level
            for side, full in zip(features.shape[2:], image.shape[2:], strict=True):
                if not full // stride <= side <= -(-full // stride):
                    raise ValueError(
                        f'{type(self.backbone).__name__}: map {level} of an image of '
                        f'{tuple(image.shape[2:])} is {tuple(features.shape[2:])}; matching needs '
                        'maps at strides 4, 8 and 16'
                    )
        if len(maps) < levels:
            raise ValueError(
                f'{type(self.backbone).__name__} gives {len(maps)} maps, matching needs {levels}'
            )
        return maps
