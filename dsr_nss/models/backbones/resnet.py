"""mmseg's ResNet with start weights from a local file."""

from typing import Any

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS

from dsr_nss.checkpoints.reading import start_file
from dsr_nss.checkpoints.resnet import load_resnet
from dsr_nss.values import checked


@MODELS.register_module()
@checked
class ResNetEncoder(ResNet):
    """mmseg's `ResNet`, which reads its start weights as data and takes all of them or none.

    mmseg's own goes through mmengine's loader, which can run code from the file and leaves entries
    that do not fit at random with a line in the log.

    Args:
        depth: 18, 34, 50, 101 or 152.
        init_cfg: None for mmseg's random weights, or `dict(type='Pretrained', checkpoint=PATH)` for
            a file in torchvision's or mmseg's format (see `dsr_nss.checkpoints.resnet`); with
            `prefix` where the file holds several encoders, as this package's checkpoints do.
        **kwargs: Further arguments of mmseg's `ResNet`, among them `deep_stem` (True: v1c, three
            3x3 convolutions; False: v1, one 7x7), `strides` and `dilations` of the four stages.

    Raises:
        ValueError: Another depth, or an `init_cfg` of another type.
    """

    def __init__(self, depth: int, *, init_cfg: dict | None = None, **kwargs: Any) -> None:
        if depth not in self.arch_settings:
            raise ValueError(
                f'ResNetEncoder: unknown depth {depth!r}; available: '
                f'{", ".join(map(str, self.arch_settings))}'
            )
        self.start = None if init_cfg is None else start_file(init_cfg, 'ResNetEncoder')
        super().__init__(depth=depth, init_cfg=init_cfg, **kwargs)

    def init_weights(self) -> None:
        """mmseg's random weights, or those of the file that `init_cfg` names."""
        if self.start is None:
            super().init_weights()
        else:
            load_resnet(self, *self.start)
            self.is_init = True

    def train(self, mode: bool = True) -> 'ResNetEncoder':
        """As mmseg's, and returns itself as torch's `eval` and `train` promise."""
        super().train(mode)
        return self
