"""The components of a config: every dict with a `type`, and the classes that these name."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from mmengine.registry import Registry
from mmseg import registry

REGISTRIES = [
    getattr(registry, name)
    for name in (
        'MODELS', 'DATASETS', 'TRANSFORMS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS',
        'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'OPTIMIZERS', 'PARAM_SCHEDULERS',
        'LOG_PROCESSORS', 'VISUALIZERS', 'VISBACKENDS', 'MODEL_WRAPPERS', 'EVALUATOR',
    )
]  # fmt: skip


def components(node: Any, path: str = '') -> Iterator[tuple[str, dict]]:
    """All dicts with a `type` under a node of a config, with their dotted paths."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield path, node
        for key, value in node.items():
            yield from components(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from components(value, f'{path}.{i}')


def registered(name: str) -> list[Callable]:
    """What is registered under a name, in all registries; usually one class."""
    found = [entry for entry in (_find(each, name) for each in REGISTRIES) if entry is not None]
    return list({id(entry): entry for entry in found}.values())


def _find(registry: Registry | None, name: str) -> Callable | None:
    """As `registry.get`, which looks for a Python module of every name that it does not know."""
    if registry is None or '.' in name:
        return registry and registry.get(name)
    registry.import_from_location()
    return registry.module_dict.get(name) or _find(registry.parent, name)


@cache
def accepted_fields(target: Callable) -> frozenset[str] | None:
    """Names that a class's constructor takes; None if that cannot be told.

    `**kwargs` are followed to the constructors of the bases, unless the constructor hands them to
    something else: then any name may be right.
    """
    fields: set[str] = set()
    bases = inspect.getmro(target) if inspect.isclass(target) else (target,)
    for base in bases:
        constructor = base.__dict__.get('__init__') if inspect.isclass(base) else base
        if constructor is None:
            continue
        try:
            parameters = inspect.signature(constructor).parameters.values()
        except (TypeError, ValueError):
            return None
        fields.update(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        rest = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest:
            return frozenset(fields - {'self'})
        if _leave_the_class(constructor, rest[0]):
            return None
    return None


def _leave_the_class(constructor: Callable, kwargs: str) -> bool:
    """Whether `**kwargs` go to another call than that of a base's constructor."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    except (OSError, TypeError, SyntaxError):
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    handed_on = [
        call
        for call in calls
        if any(
            k.arg is None and isinstance(k.value, ast.Name) and k.value.id == kwargs
            for k in call.keywords
        )
    ]
    return any(
        not (isinstance(call.func, ast.Attribute) and call.func.attr == '__init__')
        for call in handed_on
    )
