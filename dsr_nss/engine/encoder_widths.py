"""Widths of heads that follow from the encoder: `in_channels` that a config leaves out."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

from dsr_nss.engine.components import components, registered
from dsr_nss.errors import ConfigError
from dsr_nss.models.initialise import loads_unasked

#: Side of the image that an encoder is asked with.
_SIDE = 128


def fill_widths(config: Config) -> None:
    """Fills them in, for the student of an adaptation and for any segmentor.

    Raises:
        ConfigError: The encoder cannot be asked for its widths.
    """
    widths = None
    for path, head, kind in _heads(config):
        if head.get('in_channels') is None:
            widths = widths or encoder_widths(_segmentor(config))
            head['in_channels'] = _of_head(path, head, kind, widths)


def check_widths(config: Config) -> None:
    """Compares the widths that are stated with the encoder's, where that can be asked.

    Raises:
        ConfigError: A head states other widths, or the prototypes are on a map that is not there.
    """
    heads = list(_heads(config))
    try:
        widths = encoder_widths(_segmentor(config)) if heads else []
    except ConfigError:
        return
    problems = []
    for path, head, kind in heads:
        wanted = _of_head(path, head, kind, widths)
        stated: Any = head.get('in_channels')
        if isinstance(stated, (list, tuple)) != isinstance(wanted, list):
            continue  # a head that reads its maps in a way of its own
        if (list(stated) if isinstance(wanted, list) else stated) != wanted:
            problems.append(
                f'{path}.in_channels is {stated}, but the maps of the encoder have {wanted} '
                'channels. Leave it out: it follows'
            )
    alignment = config.model.get('alignment')
    level = alignment.get('feature_level', -1) if isinstance(alignment, Mapping) else -1
    if widths and not -len(widths) <= level < len(widths):
        problems.append(
            f'model.alignment.feature_level is {level}, but the encoder gives {len(widths)} map(s)'
        )
    if problems:
        raise ConfigError('\n'.join(problems))


def _segmentor(config: Config) -> Mapping[str, Any]:
    model = config.get('model') or {}
    return model.get('student', model)


def _heads(config: Config) -> Iterator[tuple[str, dict, Any]]:
    """Place, config and class of every head that has a width, where there is an encoder."""
    segmentor = _segmentor(config)
    if not isinstance(segmentor, Mapping) or not isinstance(segmentor.get('backbone'), Mapping):
        return
    place = 'model.student' if 'student' in config.model else 'model'
    for path, component in components(segmentor, place):
        for kind in registered(component['type']):
            if not (isinstance(kind, type) and issubclass(kind, BaseDecodeHead)):
                continue
            # some of mmseg's heads give their base a width of their own, and `channels` as well
            own = 'in_channels' in inspect.signature(kind).parameters
            if own or 'channels' in component:
                yield path, component, kind


def encoder_widths(segmentor: Mapping[str, Any]) -> list[int]:
    """Channels of the maps that a segmentor's heads get, fine to coarse; nothing is computed.

    Raises:
        ConfigError: Encoder or neck cannot be built or run by their configs.
    """
    try:
        with torch.device('meta'), torch.no_grad():
            backbone = _without_weights(segmentor['backbone'])
            maps = MODELS.build(backbone).eval()(torch.zeros(1, 3, _SIDE, _SIDE))
            if segmentor.get('neck') is not None:
                maps = MODELS.build(segmentor['neck']).eval()(maps)
    except Exception as error:  # whatever an encoder from outside may raise
        raise ConfigError(
            f'in_channels of the heads cannot be told from the encoder '
            f'{segmentor["backbone"].get("type")} ({type(error).__name__}: {error}); state them'
        ) from error
    return [each.shape[1] for each in maps]


def _without_weights(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder's config without start weights and adapters."""
    plain = {k: v for k, v in backbone.items() if k not in ('init_cfg', 'pretrained', 'lora')}
    if any(map(loads_unasked, registered(backbone['type']))):
        plain['pretrained'] = False
    return plain


def _of_head(path: str, component: Mapping[str, Any], kind: Any, widths: list[int]) -> Any:
    index = component.get('in_index', getattr(kind, 'default_in_index', -1))
    if index is None:
        return widths
    try:
        several = isinstance(index, (list, tuple))
        return [widths[i] for i in index] if several else widths[index]
    except IndexError:
        raise ConfigError(
            f'{path}.in_index is {index}, but the encoder gives {len(widths)} maps ({widths})'
        ) from None
