"""From a config and a checkpoint to a segmentor that is ready to predict."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.checkpoints.adapters import merge_adapters
from dsr_nss.checkpoints.comparison import listing, printable
from dsr_nss.checkpoints.reading import (
    entries_at_random,
    entries_below,
    load_strictly,
    named_tensors,
)
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.classes import CLASSES, MOST_CLASSES, complete_palette, first_other_name
from dsr_nss.engine.class_block import ClassBlock, class_block
from dsr_nss.engine.config import apply_options, complete, open_config, use_scope
from dsr_nss.engine.devices import usable_device
from dsr_nss.engine.options import Options
from dsr_nss.engine.overlays import lay_over
from dsr_nss.engine.test_loop import add_test_loop
from dsr_nss.errors import CheckpointError, ConfigError

#: Where the state dict of a training run holds each network; see `dsr_nss.models.segmentors`.
PREFIXES = {'student': 'student.', 'teacher': 'teacher.model.'}
LONGEST_CLASS_NAME = 100


def read_model_config(
    path: str | Path,
    options: Options | None = None,
    overlays: Sequence[str | Path] = (),
) -> Config:
    """Reads a config of which only the model and the test sets are used.

    Unlike `dsr_nss.engine.config.read_config` it takes any mmseg config, also one that cannot
    train. mmsegmentation's `init_model` and `MMSegInferencer` take what it returns.

    Args:
        path: The config file.
        options: `--cfg-options`: dotted key -> value, or texts `KEY=VALUE`.
        overlays: `--with`: see `dsr_nss.engine.overlays.lay_over`.

    Raises:
        FileNotFoundError: The file, one of its bases or an overlay is not there.
        ConfigError: It cannot be read, or has no model.
    """
    return change_model_config(open_config(path), options, overlays)


def change_model_config(
    config: Config, options: Options | None = None, overlays: Sequence[str | Path] = ()
) -> Config:
    """A config with what the command line changes; see `read_model_config`.

    Args:
        config: It may change; its `filename` is what messages call it.

    Raises:
        ConfigError: What is changed does not fit, or there is no model.
    """
    config = lay_over(config, overlays)
    apply_options(config, options)
    complete(config)
    if not isinstance(config.get('model'), dict) or 'type' not in config.model:
        raise ConfigError(f'{config.filename} has no model')
    add_test_loop(config)
    return config


def load_model(
    config: Config | str | Path,
    checkpoint: str | Path,
    which: str = 'student',
    device: str | torch.device = 'cpu',
) -> nn.Module:
    """The plain segmentor of a training run, or of anybody's mmseg config and checkpoint.

    Args:
        config: A config with an adaptation model (`model.student` is what is built) or with an
            mmseg segmentor; or the path of one.
        checkpoint: A checkpoint of the run, of its student alone, or of the segmentor. It is read
            as data: nothing in it is executed.
        which: `'student'` or `'teacher'`.
        device: Device that the model is moved to.

    Returns:
        The segmentor in eval mode. As after mmseg's `init_model`, `dataset_meta` holds the class
        names and the palette, and `cfg` the config.

    Raises:
        FileNotFoundError: No such file.
        ConfigError: The config has no segmentor that can be built.
        CheckpointError: The file is damaged, could run code, is of another model or lacks `which`.
        ValueError: `which` is neither.
    """
    if not isinstance(config, Config):
        config = read_model_config(config)
    return model_of(load_checkpoint_file(checkpoint), config, checkpoint, which, device)


def model_of(
    content: Mapping[str, Any],
    config: Config,
    checkpoint: str | Path,
    which: str = 'student',
    device: str | torch.device = 'cpu',
) -> nn.Module:
    """`load_model` of a checkpoint that was read already.

    Args:
        content: What `load_checkpoint_file` returned.
        config, which, device: Same meaning as in `load_model`.
        checkpoint: What to call the checkpoint in a message.

    Raises:
        ConfigError, CheckpointError, ValueError: Same as in `load_model`.
    """
    if which not in PREFIXES:
        raise ValueError(f'which must be one of {sorted(PREFIXES)}, got {which!r}')
    device = usable_device(device)
    use_scope(config)
    state = network_state(content, which, checkpoint)
    model = _build(segmentor_config(config))
    try:
        load_strictly(model, state, checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f'{error} {_whose_config(content, config)}') from error
    _warn_of_random(content, checkpoint)
    if device.type == 'cpu':
        model = revert_sync_batchnorm(model)  # it works on GPUs only
    model.cfg = config
    model.dataset_meta = dataset_meta(content, int(model.num_classes), class_block(config))
    return model.to(device).eval()


def _whose_config(content: Mapping[str, Any], config: Config) -> str:
    """What to do about a checkpoint that does not fit, after the list of what does not."""
    meta = content.get('meta')
    carries = isinstance(meta, Mapping) and isinstance(meta.get('cfg'), str)
    if not config.filename:  # it was the checkpoint's own
        return 'Name the config that it was trained with'
    without = ', or none: this checkpoint carries its own' if carries else ''
    return f'Name the config that it was trained with instead of {config.filename}{without}'


def _warn_of_random(content: Mapping[str, Any], checkpoint: str | Path) -> None:
    if names := entries_at_random(content):
        warnings.warn(
            f'{checkpoint} has {len(names)} entries at random: {printable(listing(names))}',
            stacklevel=3,
        )


def network_state(content: Mapping[str, Any], which: str, origin: str | Path) -> dict[str, Tensor]:
    """Weights of the student or the teacher under the names of a plain segmentor.

    Args:
        content: What `load_checkpoint_file` returned.
        which: `'student'` or `'teacher'`.
        origin: What to call the checkpoint in a message.

    Raises:
        CheckpointError: It holds no such network.
    """
    state = merge_adapters(named_tensors(content, origin), origin)
    prefix = PREFIXES[which]
    network = entries_below(prefix, state)
    if network:
        return network
    if which == 'teacher':
        raise CheckpointError(
            f'{origin} holds no teacher ({prefix}*): it is of a method without one, or of a '
            'student alone. Use the student'
        )
    return state


def segmentor_config(config: Mapping[str, Any]) -> dict:
    """Config of the network itself: an adaptation's student, or the model as it stands.

    Adapters are not part of it: whoever reads weights merges them.

    Raises:
        ConfigError: It has no data preprocessor.
    """
    model = copy.deepcopy(dict(config['model']))  # mmseg's constructors write into their configs
    preprocessor = model.get('data_preprocessor') or config.get('data_preprocessor')
    if preprocessor is None:
        raise ConfigError('the config has no data_preprocessor, neither in model nor beside it')
    network = {**model.get('student', model), 'data_preprocessor': preprocessor}
    if isinstance(network.get('backbone'), dict):
        network['backbone'].pop('lora', None)
    return network


def _build(config: dict) -> nn.Module:
    try:
        model = MODELS.build(config)
    except (KeyError, TypeError) as error:
        raise ConfigError(f'the model of the config cannot be built: {error}') from error
    if not hasattr(model, 'num_classes'):
        raise ConfigError(f'the model {type(model).__name__} of the config is no segmentor')
    if model.num_classes > MOST_CLASSES:
        raise ConfigError(
            f'the network tells {model.num_classes} classes apart, and a class map here has room '
            f'for {MOST_CLASSES}'
        )
    return model


def dataset_meta(
    content: Mapping[str, Any], number: int, stated: ClassBlock | None = None
) -> dict[str, Any]:
    """Classes and palette, and groups where the file has them.

    They are the checkpoint's, else the config's, else those of Cityscapes if the number fits.

    Args:
        content: Content of a checkpoint of this package, of mmseg 1.x (`meta.dataset_meta`) or of
            mmseg 0.x (`meta.CLASSES`, `meta.PALETTE`).
        number: Classes of the model; saved names of another number are not used.
        stated: The classes of the config.

    Raises:
        CheckpointError: The names are no names, or the colours no colours.
        ConfigError: The config states other names than the file.
    """
    saved = content.get('meta')
    saved = saved if isinstance(saved, Mapping) else {}
    meta = saved.get('dataset_meta')
    if not isinstance(meta, Mapping):
        meta = dict(classes=saved.get('CLASSES'), palette=saved.get('PALETTE'))
    classes = meta.get('classes')
    if classes and (not isinstance(classes, (list, tuple)) or not all(map(_is_name, classes))):
        raise CheckpointError(
            f'the class names in the checkpoint are no short printable names: {classes!r:.80}'
        )
    if classes and len(classes) == number:
        _check_stated(classes, stated)
        groups = _groups(meta.get('groups'), classes)
        return dict(
            classes=tuple(classes), palette=_palette(meta.get('palette'), classes), **groups
        )
    if stated is not None and len(stated.names) == number:
        return dict(stated.meta)
    names = CLASSES if number == len(CLASSES) else tuple(f'class {i}' for i in range(number))
    return dict(classes=names, palette=complete_palette(names))


def _check_stated(classes: Sequence[str], stated: ClassBlock | None) -> None:
    """A config with the same classes in another order would name every pixel wrongly."""
    if stated is None or len(stated.names) != len(classes):
        return  # the number of outputs is compared when the weights are loaded
    other = first_other_name(classes, stated.names)
    if other is not None:
        raise ConfigError(
            f'{stated.place} of the config names class {other} {stated.names[other]!r}, but the '
            f'checkpoint was trained with {printable(classes[other])!r} there; take the names of '
            f'the checkpoint: {printable(", ".join(classes))}'
        )


def _groups(saved: Any, classes: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The saved groups, as far as they are lists of the saved names."""
    if not isinstance(saved, Mapping):
        return {}
    groups = {
        name: tuple(members)
        for name, members in saved.items()
        if _is_name(name)
        and isinstance(members, (list, tuple))
        and all(member in classes for member in members)
    }
    return {'groups': groups}


def _is_name(name: Any) -> bool:
    """Whether a class of that name can stand in a table, a file or a page."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_CLASS_NAME and name.isprintable()


def _palette(saved: Any, classes: Sequence[str]) -> list[list[int]]:
    number = len(classes)
    if saved is None or (isinstance(saved, (list, tuple)) and not saved):
        return complete_palette(classes)
    try:
        palette = [[int(value) for value in colour] for colour in saved]
    except (TypeError, ValueError):
        palette = []
    if len(palette) != number or any(
        len(colour) != 3 or not 0 <= min(colour) <= max(colour) <= 255 for colour in palette
    ):
        raise CheckpointError(
            f'the palette in the checkpoint does not hold {number} colours of three values in '
            f'0..255: {saved!r:.80}'
        )
    return palette
