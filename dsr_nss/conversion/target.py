"""Which network a file is converted for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dsr_nss.checkpoints.allowed_networks import allowed_steps
from dsr_nss.checkpoints.comparison import listing
from dsr_nss.conversion.config import PREPROCESSOR
from dsr_nss.conversion.foundation import told_by_no_name
from dsr_nss.conversion.layouts import Layout
from dsr_nss.conversion.networks import describe_encoder, describe_segmentor
from dsr_nss.engine.class_block import ClassBlock, class_block
from dsr_nss.engine.config import use_scope
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.inference.load import read_model_config, segmentor_config
from dsr_nss.inference.saved_network import for_loading, saved_fields, saved_network

#: Top-level keys of a saved config that are never taken out of a file.
DATA_KEYS = ('test_sets', 'test_dataloader', 'test_evaluator')


@dataclass(frozen=True)
class Target:
    """The network, and what it is tested on.

    Attributes:
        config: Config of a segmentor with its preprocessor, of an encoder or of an aligner.
        test_sets: Those of the user's config; None if there is none.
        default_test_sets: Names of those that are tested when none is named.
        test_pipeline: What the user's config, or the checkpoint's own, does to an image; None if it
            does not say.
        classes: The classes of the user's config; None if it does not say.
        notes: Remarks for the user on how the network was found.
    """

    config: dict[str, Any]
    test_sets: Mapping[str, Any] | None = None
    default_test_sets: list[str] = field(default_factory=list)
    test_pipeline: list[dict[str, Any]] | None = None
    classes: ClassBlock | None = None
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

    The user's config is trusted and may bring test sets. Of the checkpoint's own, which whoever
    made the file has written, the network and how a test image is resized are taken, as far as
    `allowed_networks` lists them.

    Args:
        layout: Layout of the file.
        name: The most specific name of the layout.
        state: Weights `(...)` of the network under this package's names.
        content: Content of the file.
        source: The file, for messages.
        config: The user's, or None.

    Raises:
        ConfigError: The config cannot be used.
        CheckpointError: The names do not tell the network.
    """
    if config is not None:
        return _given_target(config)
    if layout.kind == 'aligner':
        return Target(dict(type='MatchingNetwork'))
    if layout.kind == 'encoder':
        encoder = describe_encoder(state)
        if layout.name == 'dinov2' and 'timm_model.reg_token' not in state:
            encoder['positions'] = 'hub'  # as the code that the file belongs to
        return Target(encoder)
    notes = []
    refused = None
    try:
        saved = _saved_target(content, source)
        if saved is not None:
            return saved
    except ConfigError as error:
        if layout.name == 'run':
            raise
        refused = error
        notes = [f'the network was told from the names in the file: {error}']
    try:
        described = describe_segmentor(state, name)
    except CheckpointError:
        if refused is not None:
            raise refused from None
        raise
    notes += told_by_no_name(described['backbone'], name)
    return Target({**described, 'data_preprocessor': dict(PREPROCESSOR)}, notes=notes)


def _given_target(path: str | Path) -> Target:
    """The network and the test sets of the user's own config."""
    given = read_model_config(path)
    use_scope(given)
    config = given._cfg_dict.to_dict()
    model = segmentor_config(config)
    model.pop('train_cfg', None)
    return Target(
        config=for_loading(model),
        test_sets=config.get('test_sets'),
        default_test_sets=list(config.get('default_test_sets') or []),
        test_pipeline=config.get('test_pipeline'),
        classes=class_block(given),
    )


def _saved_target(content: Mapping[str, Any], source: Path) -> Target | None:
    """The network of the config that mmengine saves as text, which is parsed, not executed."""
    config = saved_fields(content, source)
    if config is None:
        return None
    model, left_out = saved_network(config, source)
    notes = []
    if left_out:
        notes.append(f'left out, as the weights are in the file: {listing(left_out)}')
    if any(key in config for key in DATA_KEYS):
        notes.append(
            'data sets, training pipelines and hooks are never taken out of a file; --config takes '
            'those of a config of your own'
        )
    steps = None
    try:
        if config.get('test_pipeline'):
            steps = allowed_steps(config['test_pipeline'], f'the config in {source}')
    except ConfigError as error:
        notes.append(f'what is done to a test image was not taken: {error}')
    return Target(model, test_pipeline=steps, notes=notes)
