"""Which network a file is converted for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dsr_nss.conversion.config import PREPROCESSOR, check_types, for_loading
from dsr_nss.conversion.config_text import parse_config
from dsr_nss.conversion.layouts import Layout
from dsr_nss.conversion.networks import describe_encoder, describe_segmentor, shapes_of
from dsr_nss.engine.config import use_scope
from dsr_nss.errors import ConfigError
from dsr_nss.inference.load import read_model_config, segmentor_config


@dataclass(frozen=True)
class Target:
    """The network, and what it is tested on.

    Attributes:
        config: Of a segmentor with its preprocessor, an encoder or an aligner.
        test_sets: Those of the config that it comes from; None if it comes from none.
        default_test_sets: Names of those that are tested when none is named.
        notes: What is to be said of how it was found.
    """

    config: dict[str, Any]
    test_sets: Mapping[str, Any] | None = None
    default_test_sets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_target(
    layout: Layout,
    name: str,
    state: Mapping[str, Tensor],
    content: Mapping[str, Any],
    source: Path,
    config: str | Path | None,
) -> Target:
    """The network, from the user's config, the checkpoint's own, or the names and shapes.

    Args:
        layout: Of the file.
        name: The most specific name of the layout.
        state: The entries of the network under this package's names.
        content: Of the file.
        source: The file, for messages.
        config: The user's, or None.

    Raises:
        ConfigError: The config cannot be used.
        CheckpointError: The names do not tell the network.
    """
    if config is not None:
        given = read_model_config(config)
        use_scope(given)
        return _of_config(given._cfg_dict.to_dict())
    if layout.kind == 'aligner':
        return Target(dict(type='MatchingNetwork'))
    if layout.kind == 'encoder':
        return Target(describe_encoder(state))
    notes = []
    try:
        saved = _saved_config(content, source)
        if saved is not None:
            return saved
    except ConfigError as error:
        if layout.name == 'run':
            raise
        notes = [f'the network was told from the names in the file: {error}']
    described = describe_segmentor(state, name)
    return Target({**described, 'data_preprocessor': dict(PREPROCESSOR)}, notes=notes)


def _saved_config(content: Mapping[str, Any], source: Path) -> Target | None:
    """The config that mmengine saves as text; it is parsed, not executed."""
    meta = content.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        return None
    origin = f'the config in {source}'
    config = parse_config(text, origin)
    if not isinstance(config.get('model'), dict) or 'type' not in config['model']:
        raise ConfigError(f'{origin} has no model; name a config of your own with --config')
    target = _of_config(config)
    check_types(target.config, origin)
    check_types(target.test_sets, origin)
    shapes_of(target.config)
    return target


def _of_config(config: dict[str, Any]) -> Target:
    model = segmentor_config(config)
    for unused in ('pretrained', 'train_cfg'):
        model.pop(unused, None)
    return Target(
        config=for_loading(model),
        test_sets=config.get('test_sets'),
        default_test_sets=list(config.get('default_test_sets') or []),
    )
