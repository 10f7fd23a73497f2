"""A run of another length: every field that counts iterations changes with it."""

from typing import Any

from mmengine.config import Config

from dsr_nss.errors import ConfigError

#: Fields that are a number of iterations, and the smallest value that they may take.
_COUNTS = {
    'train_cfg.val_interval': 1,
    'param_scheduler.warmup': 0,
    'model.alignment.start': 1,
    'default_hooks.logger.interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.panel.interval': 1,
}


def scaled_options(config: Config, max_iters: int) -> dict[str, Any]:
    """`--cfg-options` that make the run `max_iters` long and keep its proportions.

    Intervals, warm-up and the start of the prototype loss keep their share of the run, and so does
    the memory of the teacher: `lambda = 1 - m / max_iters` with the `m` of the config. Fields that
    the config does not state, or that are None, stay as they are.

    Args:
        config: What `read_config` returned.
        max_iters: Length of the run in iterations, at least 2.

    Raises:
        ConfigError: Fewer than 2 iterations.
    """
    if max_iters < 2:
        raise ConfigError(f'--max-iters must be >= 2, got {max_iters}')
    before = config.train_cfg.max_iters
    options: dict[str, Any] = {'train_cfg.max_iters': max_iters}
    for field, smallest in _COUNTS.items():
        count = _get(config, field)
        if isinstance(count, int):
            options[field] = max(smallest, round(count * max_iters / before))
    momentum = _get(config, 'model.teacher.momentum')
    if momentum is not None:
        options['model.teacher.momentum'] = max(
            0.0, round(1 - (1 - momentum) * before / max_iters, 12)
        )
    return options


def _get(config: Config, field: str) -> Any:
    node: Any = config
    for part in field.split('.'):
        node = node.get(part) if isinstance(node, dict | Config) else None
    return node
