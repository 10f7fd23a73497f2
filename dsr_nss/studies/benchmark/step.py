"""A training step as training makes it, on random images and with random weights.

Times do not depend on what the weights and images are.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS

from dsr_nss.engine.launch import use_amp
from dsr_nss.errors import ConfigError
from dsr_nss.models.segmentors.adaptation import Adaptation

#: Random labels are rectangles of one class; so many of them along a side of the crop.
_LABEL_CELLS = 8


def build_step(
    config: Config, device: torch.device, *, amp: str | None
) -> tuple[Adaptation, OptimWrapper]:
    """The model and the optimiser of a training.

    The networks are compiled if the config says so (`compile`), and cuDNN tries its algorithms if
    `env_cfg` says so. The step is one after the start of prototype alignment, with the night image
    as its target, so that it has all of its parts.

    Raises:
        ConfigError: Not the config of an adaptation.
    """
    config = copy.deepcopy(config)
    forget_weights(config.model)
    if config.model.get('alignment'):
        config.model.alignment.start = 1
    if config.model.get('adapt_to_reference'):
        config.model.adapt_to_reference = 0.0
    if amp is not None:
        use_amp(config, amp)
    model = MODELS.build(config.model)
    if not isinstance(model, Adaptation):
        raise ConfigError(
            f'{config.filename} trains a {type(model).__name__}; `step` measures adaptations '
            '(DSRNSS, SourceOnly)'
        )
    model.to(device).train()
    if compiled := config.get('compile'):
        model.compile_networks(**({} if compiled is True else compiled))
    torch.backends.cudnn.benchmark = bool(config.get('env_cfg', {}).get('cudnn_benchmark'))
    return model, build_optim_wrapper(model, config.optim_wrapper)


def forget_weights(node: Any) -> None:
    """Drops the names of weight files from a config of a model, in place."""
    if isinstance(node, Mapping):
        if node.get('init_cfg') is not None:
            node['init_cfg'] = None  # type: ignore[index]
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            forget_weights(value)


def crop_size(config: Config) -> tuple[int, int]:
    """(height, width) of the training crops."""
    height, width = config.train_dataloader.dataset.crop_size
    return height, width


def random_items(config: Config, seed: int = 0) -> dict[str, Any]:
    """A collated batch as the loader would give it: noise, and labels of random rectangles."""
    generator = torch.Generator().manual_seed(seed)
    size, batch = crop_size(config), config.train_dataloader.batch_size

    def noise() -> torch.Tensor:
        shape = (batch, 3, *size)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    cells = torch.randint(0, 19, (batch, 1, _LABEL_CELLS, _LABEL_CELLS), generator=generator)
    label = F.interpolate(cells.float(), size, mode='nearest')[:, 0]
    items: dict[str, Any] = {'source_image': noise(), 'source_label': label.to(torch.uint8)}
    if config.train_dataloader.dataset.get('target') is not None:
        items |= {'night_image': noise(), 'reference_image': noise()}
        items['has_reference'] = torch.ones(batch, dtype=torch.bool)
    return items | {
        key.replace('image', 'file'): ['random'] * batch for key in items if key.endswith('_image')
    }


def pinned(items: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """As the loader's `pin_memory=True` hands them to a GPU."""
    if device.type != 'cuda':
        return items
    return {k: v.pin_memory() if torch.is_tensor(v) else v for k, v in items.items()}
