"""The values in a config, checked before anything is built: ranges and kinds, by field.

Our own constructors say what they take by the types of their arguments (`dsr_nss.values`). What
mmengine, mmseg and torch take is listed here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from dsr_nss.values import (
    Bounds,
    Count,
    NotNegative,
    OneOf,
    Positive,
    PositiveShare,
    Share,
    field_types,
    problems,
)

Whole = Annotated[int, Bounds(0)]
_MOMENT = Annotated[float, Bounds(0, below=1)]
_OPTIMIZER: dict[str, Any] = dict(
    lr=Positive, weight_decay=NotNegative, eps=Positive, betas=tuple[_MOMENT, _MOMENT],
    momentum=_MOMENT,
)  # fmt: skip
#: Fields of foreign classes and of those that inherit them, by the class.
CLASSES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(('Adam', 'AdamW', 'SGD'), _OPTIMIZER),
    'IterBasedTrainLoop': dict(max_iters=Count, val_interval=Count, val_begin=Whole),
    'OptimWrapper': dict(accumulative_counts=Count),
    'LoggerHook': dict(interval=Count, ignore_last=bool),
    'CheckpointHook': dict(interval=int, max_keep_ckpts=int),
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
    'optim_wrapper.paramwise_cfg': dict(
        backbone_lr_mult=NotNegative, layer_decay=PositiveShare | None, decay_all=bool
    ),
    'optim_wrapper.clip_grad': dict(max_norm=Positive, norm_type=Positive, clip_value=Positive),
}  # fmt: skip
#: Top-level fields.
WHOLE: dict[str, Any] = dict(
    model=dict, train_dataloader=dict, train_cfg=dict, optim_wrapper=dict, randomness=dict,
    default_hooks=dict, env_cfg=dict, resume=bool, work_dir=str | None, load_from=str | dict | None,
    log_level=Annotated[str, OneOf(('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'))],
    custom_hooks=list[dict] | None,
    find_unused_parameters=bool,
)  # fmt: skip


def section_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each value of a section that is of another kind or out of its range."""
    yield from _fields(config, WHOLE, '')
    for path, hints in SECTIONS.items():
        section: Any = config
        for name in path.split('.'):
            section = section.get(name) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping):
            yield from _fields(section, hints, f'{path}.')


def component_problems(path: str, component: Mapping[str, Any], target: Callable) -> Iterator[str]:
    """A sentence for each field of a component that is of another kind or out of its range.

    Args:
        path: Its place in the config.
        component: Its config.
        target: The registered class.
    """
    ours = target.__module__.startswith('dsr_nss.')
    hints = field_types(target) if ours else {}
    for base in getattr(target, '__mro__', ()):
        hints = hints | CLASSES.get(base.__name__, {})
    if ours or target.__module__.startswith(('mmseg.', 'mmengine.')):
        # of arguments that nobody annotated the name alone tells
        hints = NETWORK | {name: hint for name, hint in hints.items() if hint is not Any}
    yield from _fields(component, hints, f'{path}.')


def _fields(given: Mapping[str, Any], hints: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in given.items():
        if name in hints:
            yield from problems(value, hints[name], f'{prefix}{name}')
