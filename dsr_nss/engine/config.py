"""Reading a config strictly: a name that nothing reads is an error, not a silent default."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg import registry

from dsr_nss.engine.value_checks import check_component, check_values
from dsr_nss.errors import ConfigError

#: Top-level keys that the runner or a tool reads. Others are a config's own variables.
KNOWN_KEYS = (
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg',
    'val_cfg', 'test_cfg', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator',
    'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher',
    'env_cfg', 'log_processor', 'log_level', 'visualizer', 'default_scope', 'randomness',
    'experiment_name', 'custom_imports', 'runner_type', 'model_wrapper_cfg', 'test_sets',
    'tta_model', 'vis_backends', 'compile', 'activation_checkpointing', 'sync_bn',
    'find_unused_parameters',
)  # fmt: skip

_REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')

_REGISTRIES = [
    getattr(registry, name)
    for name in (
        'MODELS', 'DATASETS', 'TRANSFORMS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS',
        'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'OPTIMIZERS', 'PARAM_SCHEDULERS',
        'LOG_PROCESSORS', 'VISUALIZERS', 'VISBACKENDS', 'MODEL_WRAPPERS', 'EVALUATOR',
    )
]  # fmt: skip

#: Only classes of these packages are checked: of others a dict may hold more than arguments (as
#: `norm_cfg=dict(type='BN', requires_grad=True)` does).
_CHECKED_PACKAGES = ('dsr_nss', 'mmseg', 'mmengine')

#: mmengine takes these out of a dict before it calls the class, or puts them in.
_TAKEN_OUT = {'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg',
              'convert_to_iter_based', 'init_cfg', 'sampler', 'optimizer'}  # fmt: skip


def read_config(path: str | Path, options: dict[str, Any] | None = None) -> Config:
    """Reads a config file, applies `--cfg-options` and checks the names in it.

    Args:
        path: The config file.
        options: Dotted key -> value. A key must exist in the config; `+key` adds one.

    Raises:
        FileNotFoundError: The file or one of its bases is not there.
        ConfigError: The file is broken, or a key has no meaning.
    """
    config = open_config(path)
    apply_options(config, options or {})
    check_config(config)
    return config


def open_config(path: str | Path) -> Config:
    """Reads a config file as it stands.

    Raises:
        FileNotFoundError: The file or one of its bases is not there.
        ConfigError: The file is broken.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'config not found: {path}')
    try:
        return Config.fromfile(str(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: {error}') from error
    except (SyntaxError, NameError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f'{path} cannot be read: {type(error).__name__}: {error}') from error


def apply_options(config: Config, options: dict[str, Any]) -> None:
    """Sets dotted keys that exist; `+key` also sets new ones.

    Raises:
        ConfigError: A key that does not exist; names the nearest ones.
    """
    merged = {}
    for key, value in options.items():
        name = key.removeprefix('+')
        if not key.startswith('+'):
            _require_key(config._cfg_dict, name)
        merged[name] = value
    try:
        config.merge_from_dict(merged)
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f'--cfg-options {", ".join(options)}: {error}') from error


def _require_key(node: Any, dotted: str) -> None:
    here, known = node, ''
    for part in dotted.split('.'):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, (list, tuple)) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            near = difflib.get_close_matches(dotted, list(_paths(node)), n=2, cutoff=0.8)
            hint = f'; did you mean {" or ".join(near)}?' if near else '.'
            where = f'{known} has no {part!r}' if known else f'the config has no {part!r}'
            raise ConfigError(
                f'--cfg-options {dotted}: {where}{hint} '
                f'To add a field that the config leaves at its default, write +{dotted}=...'
            )
        known = f'{known}.{part}' if known else part


def _paths(node: Any, prefix: str = '') -> Iterator[str]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    for key, value in items:
        path = f'{prefix}.{key}' if prefix else str(key)
        yield path
        yield from _paths(value, path)


def check_config(config: Config) -> None:
    """Checks that the config can train and that every field of its components exists.

    Raises:
        ConfigError: Names the path of the field and the nearest ones that exist.
    """
    for key in config:
        near = difflib.get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.88)
        if key not in KNOWN_KEYS and near:
            raise ConfigError(f'unknown config key {key!r}; did you mean {near[0]!r}?')
    missing = [key for key in _REQUIRED if config.get(key) is None]
    if missing:
        raise ConfigError(f'the config cannot train: it has no {", ".join(missing)}')
    check_values(config._cfg_dict)
    for path, component in components(config._cfg_dict, ''):
        _check_component(path, component)


def components(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    """All dicts with a `type` under a node, with their dotted paths."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield path, node
        for key, value in node.items():
            yield from components(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from components(value, f'{path}.{i}')


def _check_component(path: str, component: dict) -> None:
    name = component['type']
    classes = [found for found in map(lambda r: r.get(name), _REGISTRIES) if found is not None]
    classes = list({id(found): found for found in classes}.values())
    if len(classes) == 1:
        check_component(path, component, classes[0])
    checked = [c for c in classes if c.__module__.split('.')[0] in _CHECKED_PACKAGES]
    if not checked or len(checked) < len(classes):
        return  # not ours to judge: building it will say what is wrong
    accepted = [accepted_fields(found) for found in checked]
    if any(fields is None for fields in accepted):
        return
    known = set().union(*(fields for fields in accepted if fields is not None))
    for field in component:
        if field in known or field in _TAKEN_OUT:
            continue
        near = difflib.get_close_matches(field, known, n=3)
        fields = ', '.join(sorted(known))
        hint = f'did you mean {" or ".join(near)}?' if near else f'its fields: {fields}'
        raise ConfigError(f'{path}.{field}: {name} has no field {field!r}; {hint}')


def accepted_fields(target: Callable) -> set[str] | None:
    """Names that a class's constructor takes; None if that cannot be told.

    `**kwargs` are followed to the constructors of the bases.
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
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return fields - {'self'}
    return None


def hooks_of_type(config: Config, name: str) -> list[ConfigDict]:
    """The configs of all hooks of a type, wherever the config states them."""
    hooks = [*(config.get('default_hooks') or {}).values(), *(config.get('custom_hooks') or [])]
    return [hook for hook in hooks if isinstance(hook, dict) and hook.get('type') == name]


def use_scope(config: Config) -> None:
    """Names in the config are looked up in mmseg's registries, as the runner does it."""
    init_default_scope(config.get('default_scope') or 'mmseg')
