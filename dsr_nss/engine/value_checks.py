"""The values in a config, checked before anything is built: ranges and kinds, by field.

Our own constructors say what they take by the types of their arguments (`dsr_nss.values`). What
mmengine, mmseg and torch take is listed here.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from dsr_nss.errors import ConfigError
from dsr_nss.values import Bounds, Count, NotNegative, OneOf, Positive, Share, field_types, problems

Whole = Annotated[int, Bounds(0)]
_MOMENT = Annotated[float, Bounds(0, below=1)]
_OPTIMIZER: dict[str, Any] = dict(
    lr=Positive, weight_decay=NotNegative, eps=Positive, betas=tuple[_MOMENT, _MOMENT],
    momentum=_MOMENT,
)  # fmt: skip
#: Fields of foreign classes, by the class.
CLASSES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(('Adam', 'AdamW', 'SGD'), _OPTIMIZER),
    'IterBasedTrainLoop': dict(max_iters=Count, val_interval=Count, val_begin=Whole),
    'OptimWrapper': dict(accumulative_counts=Count),
    'AdaptiveAmpOptimWrapper': dict(accumulative_counts=Count, init_scale=Positive),
    'LoggerHook': dict(interval=Count, ignore_last=bool),
    'CheckpointHook': dict(interval=int, max_keep_ckpts=int),
    'AdaptationLogProcessor': dict(window_size=Count),
}
#: Fields of any part of a network.
NETWORK: dict[str, Any] = dict(
    num_classes=Count, dropout_ratio=Annotated[float, Bounds(0, below=1)], drop_path_rate=Share,
    with_cp=bool, align_corners=bool,
)  # fmt: skip
#: Fields of sections that are no components.
SECTIONS: dict[str, dict[str, Any]] = {
    'train_dataloader': dict(
        batch_size=Count, num_workers=Whole, persistent_workers=bool, pin_memory=bool,
        prefetch_factor=Count | None, timeout=NotNegative, dataset=dict,
    ),
    'val_dataloader': dict(batch_size=Count, num_workers=Whole, persistent_workers=bool),
    'test_dataloader': dict(batch_size=Count, num_workers=Whole, persistent_workers=bool),
    'randomness': dict(seed=Whole | None, deterministic=bool, diff_rank_seed=bool),
    'optim_wrapper': dict(optimizer=dict, paramwise_cfg=dict | None, clip_grad=dict | None),
    'optim_wrapper.paramwise_cfg': dict(backbone_lr_mult=NotNegative),
    'optim_wrapper.clip_grad': dict(max_norm=Positive, norm_type=Positive, clip_value=Positive),
}  # fmt: skip
#: Top-level fields.
WHOLE: dict[str, Any] = dict(
    model=dict, train_dataloader=dict, train_cfg=dict, optim_wrapper=dict, randomness=dict,
    default_hooks=dict, env_cfg=dict, resume=bool, work_dir=str | None, load_from=str | None,
    log_level=Annotated[str, OneOf(('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'))],
    custom_hooks=list[dict] | None,
    find_unused_parameters=bool,
)  # fmt: skip


def check_values(config: Mapping[str, Any]) -> None:
    """Checks what sections and foreign classes take.

    Raises:
        ConfigError: A value of another kind or out of its range; names its place.
    """
    for problem in _section_problems(config):
        raise ConfigError(problem)


def _section_problems(config: Mapping[str, Any]) -> Iterator[str]:
    yield from _fields(config, WHOLE, '')
    for path, hints in SECTIONS.items():
        section: Any = config
        for name in path.split('.'):
            section = section.get(name) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping):
            yield from _fields(section, hints, f'{path}.')


def check_component(path: str, component: Mapping[str, Any], target: type) -> None:
    """Checks the fields of one component.

    Args:
        path: Its place in the config.
        component: Its config.
        target: The registered class.

    Raises:
        ConfigError: A value of another kind or out of its range; names its place.
    """
    ours = target.__module__.startswith('dsr_nss.')
    hints = field_types(target) if ours else CLASSES.get(target.__name__, {})
    if ours or target.__module__.startswith(('mmseg.', 'mmengine.')):
        # of arguments that nobody annotated the name alone tells
        hints = NETWORK | {name: hint for name, hint in hints.items() if hint is not Any}
    for problem in _fields(component, hints, f'{path}.'):
        raise ConfigError(problem)


def _fields(given: Mapping[str, Any], hints: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in given.items():
        if name in hints:
            yield from problems(value, hints[name], f'{prefix}{name}')
