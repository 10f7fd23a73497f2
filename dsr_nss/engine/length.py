"""A run of another length: every field that counts iterations changes with it (`--max-iters`)."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.errors import ConfigError

#: Fields that count iterations, `*` is any part of the path, and the smallest value they may take.
_COUNTS = {
    'train_cfg.val_interval': 1,
    'train_cfg.val_begin': 1,
    'param_scheduler*.warmup': 0,
    'param_scheduler*.begin': 0,
    'param_scheduler*.end': 1,
    'param_scheduler*.milestones.*': 1,
    'param_scheduler*.T_max': 1,
    'param_scheduler*.step_size': 1,
    'param_scheduler*.total_steps': 1,
    'model.alignment.start': 1,
    'model.bipath_start': 1,
    'default_hooks.*.interval': 1,
    'custom_hooks.*.interval': 1,
}


def scale_length(config: Config, max_iters: int) -> None:
    """Make the run `max_iters` long, in place, and keep its proportions.

    Intervals of hooks and of the validation, warm-up, milestones and the starts of losses keep
    their share of the run (the bank's interval stays), and so does the memory of the teacher:
    `lambda = 1 - m / max_iters` with the `m` of the config. Fields that the config does not state,
    or that are None, stay as they are.

    Args:
        config: A config whose loop counts iterations.
        max_iters: Length of the run in iterations, at least 2.

    Raises:
        ConfigError: Fewer than 2 iterations, or a config that does not count them.
    """
    if max_iters < 2:
        raise ConfigError(f'--max-iters must be >= 2, got {max_iters}')
    before = (config.get('train_cfg') or {}).get('max_iters')
    if not isinstance(before, int) or before < 1:
        raise ConfigError(
            f'--max-iters: {config.filename} has no train_cfg.max_iters to change, got {before!r}'
        )
    for node, key, field in _numbers(config._cfg_dict):
        if field in ('train_cfg.max_iters', 'max_iters'):  # the latter: a variable of the config
            node[key] = max_iters
        elif field == 'model.teacher.momentum':
            node[key] = max(0.0, round(1 - (1 - node[key]) * before / max_iters, 12))
        for pattern, smallest in _COUNTS.items():
            # 0 and -1 mean never; test images are no iterations
            of_images = isinstance(node, dict) and node.get('type') == 'SegVisualizationHook'
            if fnmatch(field, pattern) and node[key] > 0 and not of_images:
                node[key] = max(smallest, round(node[key] * max_iters / before))


def refuse_idle_length(config: Config, origin: str | Path) -> None:
    """Refuse a file that sets the variable `max_iters` after its base has used it.

    Args:
        config: What the file makes of its base.
        origin: The file, which assigns `max_iters`.

    Raises:
        ConfigError: The run has another length than the file seems to say.
    """
    stated, length = config.get('max_iters'), (config.get('train_cfg') or {}).get('max_iters')
    if isinstance(stated, int) and isinstance(length, int) and stated != length:
        raise ConfigError(
            f'{origin}: max_iters = {stated} changes nothing, for the base has used its {length} '
            f'already. `--max-iters {stated}` makes the whole run so long, '
            f'train_cfg = dict(max_iters={stated}) the loop alone'
        )


def _numbers(node: Any, path: str = '') -> Iterator[tuple[Any, Any, str]]:
    """Every number below a node: its container, its key there, and its dotted path."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            yield from _numbers(value, f'{path}{key}.')
        elif isinstance(value, tuple):
            parts = list(value)
            yield from _numbers(parts, f'{path}{key}.')
            node[key] = tuple(parts)  # with what was assigned meanwhile
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield node, key, f'{path}{key}'
