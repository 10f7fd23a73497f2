"""Configurations that cannot work, found before anything is built."""

import difflib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import FUNCTIONS, WEIGHT_INITIALIZERS
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import LOOPS

from dsr_nss.engine.components import REGISTRIES, components, registered

#: Backends of the log -> the package that they need; mmengine asks for it when the run starts.
_PACKAGES = {
    'TensorboardVisBackend': 'tensorboard', 'WandbVisBackend': 'wandb',
    'MLflowVisBackend': 'mlflow', 'ClearMLVisBackend': 'clearml', 'NeptuneVisBackend': 'neptune',
    'DVCLiveVisBackend': 'dvclive', 'AimVisBackend': 'aim',
}  # fmt: skip


def complete_validation(config: Config) -> None:
    """`val_dataloader=None` (or `test_dataloader=None`) alone switches all of it off."""
    for name in ('val', 'test'):
        if f'{name}_dataloader' in config and config[f'{name}_dataloader'] is None:
            config[f'{name}_cfg'] = config[f'{name}_evaluator'] = None


def impossible(config: Config) -> Iterator[str]:
    """One sentence for each thing that would stop the run, or keep it from ending."""
    yield from _loop(config.get('train_cfg') or {})
    yield from _validation(config)
    yield from _passes(config)
    yield from _starts(config)
    yield from _backends((config.get('visualizer') or {}).get('vis_backends') or ())
    for path, component in components(config._cfg_dict):
        name = component['type']
        package = _PACKAGES.get(name)
        if package is not None and importlib.util.find_spec(package) is None:
            yield f'{path}: {name} needs the package {package}: `pip install {package}`'
        kinds = registered(name)
        if not kinds:
            yield from _unknown(path, name)
        for kind in kinds:
            if kind.__module__.startswith('dsr_nss'):
                yield from _needed(path, component, kind)
                yield from _unread(path, component.get('student'))


def _loop(settings: Mapping[str, Any]) -> Iterator[str]:
    kind = LOOPS.get(settings['type']) if settings.get('type') else None
    by_epoch = settings.get('by_epoch', False) or 'max_epochs' in settings
    if by_epoch or (isinstance(kind, type) and issubclass(kind, EpochBasedTrainLoop)):
        yield (
            'train_cfg: epochs have no end here, as the samples are drawn without one; count '
            "iterations: train_cfg=dict(type='IterBasedTrainLoop', max_iters=40000)"
        )


def _validation(config: Config) -> Iterator[str]:
    parts = [f'val_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    missing = [part for part in parts if config.get(part) is None]
    if 0 < len(missing) < len(parts):
        yield (
            f'{" and ".join(missing)} is missing: {", ".join(parts)} belong together; to train '
            'without validation set val_dataloader=None'
        )
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('save_best') and missing:
        yield 'default_hooks.checkpoint.save_best: there is no validation to tell the best by'


def _passes(config: Config) -> Iterator[str]:
    model = config.get('model')
    teacher = model.get('teacher') if isinstance(model, Mapping) else None
    apart = isinstance(teacher, Mapping) and teacher.get('teacher_bn') == 'batch_apart'
    if apart and model.get('refinement') and config.get('sync_bn'):
        yield (
            "model.teacher.teacher_bn='batch_apart' and sync_bn cannot go together: a process "
            'whose batch has no day reference makes one pass where others make two, and they '
            'would wait for each other; leave one of them out'
        )


def _starts(config: Config) -> Iterator[str]:
    """Losses that would begin behind the end: the run would be one without them."""
    length, model = (config.get('train_cfg') or {}).get('max_iters'), config.get('model')
    if not isinstance(length, int) or length < 1 or not isinstance(model, Mapping):
        return
    alignment = model.get('alignment')
    starts = {
        'model.alignment.start': alignment.get('start') if isinstance(alignment, Mapping) else None,
        'model.bipath_start': model.get('bipath_start'),
    }
    for place, start in starts.items():
        if isinstance(start, int) and start > length:
            yield (
                f'{place} is {start}, and the run ends after {length} steps, without that loss; '
                'state a smaller one (--max-iters changes it with the length), or leave that out'
            )


def _backends(backends: Any) -> Iterator[str]:
    if not isinstance(backends, (list, tuple)):
        return
    names = [b.get('name') or b.get('type') for b in backends if isinstance(b, Mapping)]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f'visualizer.vis_backends: {name} is there {names.count(name)} times; keep one'


def _unknown(path: str, name: str) -> Iterator[str]:
    """The nearest names for a type that is registered nowhere; without any, building it will say.

    Some components (functions, initial values) are in registries of mmengine's own.
    """
    own = (FUNCTIONS, WEIGHT_INITIALIZERS)
    if any(each.get(name) is not None for each in own):
        return
    # what is registered for all packages of the family stands in the parents
    kinds = {id(r): r for each in REGISTRIES for r in (each, each.parent) if r is not None}
    known = {entry for each in kinds.values() for entry in each.module_dict}
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
    if near:
        yield f'{path}.type: no {name!r} is registered; did you mean {" or ".join(near)}?'


def _needed(path: str, component: Mapping[str, Any], kind: Any) -> Iterator[str]:
    """Parts that are None and that a component cannot do without."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return
    for field, parameter in parameters.items():
        absent = field in component and component[field] is None
        # a class alone as the annotation: neither `| None` nor no annotation at all
        stated = parameter.annotation is not parameter.empty
        if (
            absent
            and stated
            and isinstance(parameter.annotation, type)
            and parameter.default is not None
        ):
            instead = getattr(kind, 'instead_of_none', {}).get(field, '')
            yield f'{path}.{field} must not be None: {kind.__name__} needs it{instead}'


def _unread(path: str, student: Any) -> Iterator[str]:
    """Fields of mmseg's heads by which our steps, with a loss of their own, would not train."""
    if not isinstance(student, Mapping):
        return
    if student.get('auxiliary_head') is not None:
        yield f'{path}.student.auxiliary_head would not be trained: leave it out'
    for place, head in components(student.get('decode_head'), f'{path}.student.decode_head'):
        loss, sampler = head.get('loss_decode'), head.get('sampler')
        if loss is not None and not (isinstance(loss, Mapping) and _is_plain(loss)):
            yield f'{place}.loss_decode would not be used: the step has its own cross-entropy'
        if sampler is not None:
            yield f'{place}.sampler would not be used: the loss is a mean over all pixels'


def _is_plain(loss: Mapping[str, Any]) -> bool:
    """Whether it is the cross-entropy that most of mmseg's configs state."""
    plain = dict(type='CrossEntropyLoss', reduction='mean', loss_weight=1.0, loss_name='loss_ce')
    return {**plain, **{k: v for k, v in loss.items() if v}} == plain
