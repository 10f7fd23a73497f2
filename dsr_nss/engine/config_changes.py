"""What a resumed run would do otherwise than the run that it continues.

The config in the checkpoint is compared with the one that is given. The former is text in a file:
it is parsed as plain data and never run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dsr_nss.checkpoints.comparison import printable
from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.errors import CheckpointError, ConfigError

#: Sections of a config that decide what a run computes; others log, test or are variables.
DECIDING = (
    'model', 'data_preprocessor', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
    'train_cfg', 'randomness', 'default_hooks', 'custom_hooks', 'model_wrapper_cfg', 'sync_bn',
    'compile',
)  # fmt: skip
#: Fields within them that do not: how samples are loaded, and when the run is tested.
UNDECIDING = (
    'train_dataloader.num_workers', 'train_dataloader.persistent_workers',
    'train_dataloader.pin_memory', 'train_dataloader.prefetch_factor', 'train_dataloader.timeout',
    'train_dataloader.dataset.cache', 'train_cfg.val_interval', 'train_cfg.val_begin',
)  # fmt: skip
#: Hooks that look on, save or stop; what others do is part of the run.
ONLOOKERS = (
    'LoggerHook', 'IterTimerHook', 'RuntimeInfoHook', 'TrainingInfoHook', 'SafeCheckpointHook',
    'CheckpointHook', 'FiniteLossGuard', 'GracefulStop', 'PanelHook', 'SegVisualizationHook',
    'GradientShare', 'PseudoLabelAccuracy',
    'ValidationRecordHook',
)  # fmt: skip
_ABSENT = object()


def config_changes(saved: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """One line for every field that decides something and differs: `model.alpha: 1.0 -> 0.5`."""
    return [
        f'{printable(path)}: {_shown(old)} -> {_shown(new)}'
        for key in DECIDING
        for path, old, new in _differences(_of(saved, key), _of(given, key), key)
    ]


def _of(config: Mapping[str, Any], key: str) -> Any:
    section = config.get(key) or {}
    if key not in ('default_hooks', 'custom_hooks'):
        return section
    if not isinstance(section, Mapping):
        return dict(enumerate(hook for hook in section if _acts(hook)))
    return {name: hook for name, hook in section.items() if _acts(hook)}


def _acts(hook: Any) -> bool:
    return bool(hook) and not (isinstance(hook, Mapping) and hook.get('type') in ONLOOKERS)


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if path in UNDECIDING:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key, _ABSENT), new.get(key, _ABSENT), f'{path}.{key}')
    elif _is_list(old) and _is_list(new):
        if len(old) == len(new) and any(isinstance(item, Mapping) for item in old):
            for i, items in enumerate(zip(old, new, strict=True)):
                yield from _differences(*items, f'{path}.{i}')
        elif list(old) != list(new):
            yield path, old, new
    elif old != new:
        yield path, old, new


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _shown(value: Any) -> str:
    return 'not stated' if value is _ABSENT else f'{value!r:.100}'


def changes_since(filename: str, meta: Mapping[str, Any], config_text: str) -> list[str]:
    """What differs between the config that a checkpoint carries and a given one.

    Args:
        filename: Name of the checkpoint, for messages.
        meta: Its `meta`; `meta['cfg']` is the config as text.
        config_text: The given config, as mmengine writes it.
    """
    text = meta.get('cfg')
    if not isinstance(text, str):
        return ['the config it was trained with is unknown: it carries none']
    try:
        saved = parse_config(text, f'the config in {filename}')
        given = parse_config(config_text, 'the config')
    except ConfigError as error:
        return [f'the config it was trained with cannot be compared: {error}']
    return config_changes(saved, given)


def refuse_changes(filename: str, changes: list[str]) -> None:
    """Ends a resume that nobody allowed to differ.

    Raises:
        CheckpointError: There are changes; names each on a line.
    """
    if changes:
        lines = ''.join(f'\n    {change}' for change in changes)
        raise CheckpointError(
            f'cannot resume from {filename}: this run would not be the one that it continues. '
            f'Changed since then:{lines}\n'
            'Resume with the former values, or add --allow-changes to go on with the new ones'
        )
