"""The network that a weight file says it is of, taken out of its own config without running it."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dsr_nss.checkpoints.allowed_kinds import OWN_CONFIG
from dsr_nss.checkpoints.allowed_networks import allowed_segmentor, allowed_steps
from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.errors import ConfigError
from dsr_nss.models.initialise import loads_unasked

#: Values of the largest network that a config in a file may describe: five times MiT-B5 with HRDA.
MOST_VALUES = 500_000_000
#: Fields by which encoders name start weights, or adapters, which are merged into the weights.
START_FIELDS = ('init_cfg', 'pretrained', 'pretrained_cfg', 'checkpoint_path', 'lora')


def config_in_file(content: Mapping[str, Any], origin: str | Path) -> Config:
    """A config with the network of a checkpoint and what its test pipeline does to an image.

    Args:
        content: Content of the file.
        origin: The file, for messages.

    Raises:
        ConfigError: The file carries no config, or one that is refused.
    """
    config = saved_fields(content, origin)
    if config is None:
        raise ConfigError(f'{origin} carries no config (meta.cfg); give the config of its run')
    model, _ = saved_network(config, origin)
    steps = allowed_steps(config.get('test_pipeline') or [], f'the config in {origin}')
    return Config(dict(default_scope='mmseg', model=model, test_pipeline=steps))


def saved_fields(content: Mapping[str, Any], origin: str | Path) -> dict[str, Any] | None:
    """The config that mmengine saves as text, parsed as plain data; None where there is none.

    Raises:
        ConfigError: The text is no plain data.
    """
    meta = content.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    return parse_config(text, f'the config in {origin}') if isinstance(text, str) else None


def saved_network(
    config: Mapping[str, Any], origin: str | Path
) -> tuple[dict[str, Any], list[str]]:
    """The segmentor with its preprocessor in a saved config, as far as it may be built.

    Args:
        config: From `saved_fields`.
        origin: The file, for messages.

    Returns:
        The config of the network, and the paths of what was left out: start weights.

    Raises:
        ConfigError: There is none, it is not on the list of `allowed_networks`, it cannot be built,
            or it is too large.
    """
    origin = f'the config in {origin}'
    model, left_out = allowed_segmentor(_segmentor(config, origin), origin)
    model = for_loading(model)
    values = sum(shape.numel() for shape in shapes_of(model).values())
    if values > MOST_VALUES:
        raise ConfigError(
            f'{origin} was refused: it describes a network of {values:,} values, more than '
            f'{MOST_VALUES:,}. {OWN_CONFIG}'
        )
    return model, left_out


def _segmentor(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Nothing in it is checked yet."""
    model = config.get('model')
    if isinstance(model, dict):
        own = model.get('data_preprocessor') or config.get('data_preprocessor')
        segmentor = model.get('student', model)
        if isinstance(segmentor, dict) and own is not None:
            return {**segmentor, 'data_preprocessor': own}
    raise ConfigError(f'{origin} has no model with a data_preprocessor. {OWN_CONFIG}')


def for_loading(node: Any) -> Any:
    """A config of a network whose weights come from a checkpoint: nothing in it loads any.

    Fields that name start weights go. Batch norms that synchronise processes, which need a GPU,
    become plain ones with the same entries and the same values at test time.
    """
    if isinstance(node, Mapping):
        kept = {key: for_loading(value) for key, value in node.items() if key not in START_FIELDS}
        kind = kept.get('type')
        if loads_unasked(kind):
            return {**kept, 'pretrained': False}
        return {**kept, 'type': 'BN'} if kind in ('SyncBN', 'MMSyncBN') else kept
    if isinstance(node, (list, tuple)):
        return type(node)(map(for_loading, node))
    return node


def shapes_of(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """State dict of the network of a config; its values mean nothing and take no memory.

    Raises:
        ConfigError: The config does not build.
    """
    init_default_scope('mmseg')
    try:
        with torch.device('meta'), _RealRanges():
            return MODELS.build(copy.deepcopy(dict(config))).state_dict()
    except Exception as error:  # constructors fail in any way on values that do not fit together
        raise ConfigError(f'the network cannot be built: {error}') from error


class _RealRanges(TorchFunctionMode):
    """On the meta device, gives the short ranges whose values some constructors of mmseg read."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """torch calls it in place of each of its functions."""
        device = {'device': 'cpu'} if func in (torch.linspace, torch.arange) else {}
        return func(*args, **{**device, **(kwargs or {})})
