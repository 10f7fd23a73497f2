"""Reading a config strictly: a name that nothing reads is an error, not a silent default."""

import difflib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from dsr_nss.engine.class_block import apply_classes
from dsr_nss.engine.components import accepted_fields, components, registered
from dsr_nss.engine.config_fields import apply_config_fields
from dsr_nss.engine.encoder_widths import fill_widths
from dsr_nss.engine.known_keys import KNOWN_KEYS, is_read
from dsr_nss.engine.length import refuse_idle_length, scale_length
from dsr_nss.engine.options import Options, option_values
from dsr_nss.engine.overlays import lay_over
from dsr_nss.engine.preflight import complete_validation, impossible
from dsr_nss.engine.smoke import make_smoke
from dsr_nss.engine.trackers import use_tracker
from dsr_nss.engine.value_checks import component_problems, section_problems
from dsr_nss.errors import ConfigError
from dsr_nss.files import DISK_FULL, storage_error
from dsr_nss.shipped import ENDINGS, PREFIX, config_file

_REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')

#: Only classes of these packages are checked: of others a dict may hold more than arguments (as
#: `norm_cfg=dict(type='BN', requires_grad=True)` does).
_CHECKED_PACKAGES = ('dsr_nss', 'mmseg', 'mmengine')

#: mmengine takes these out of a dict before it calls the class, or puts them in.
_TAKEN_OUT = {'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg',
              'convert_to_iter_based', 'init_cfg', 'sampler', 'optimizer'}  # fmt: skip


def read_config(
    path: str | Path,
    options: Options | None = None,
    *,
    overlays: Sequence[str | Path] = (),
    max_iters: int | None = None,
    smoke: bool = False,
    log: str | None = None,
    problems: list[str] | None = None,
) -> Config:
    """Reads a config file, applies what the command line changes and checks the names in it.

    Args:
        path: The config file, or `dsr_nss::NAME` of one that comes with the package.
        options: `--cfg-options`: dotted key -> value, or texts `KEY=VALUE`. A key must exist in the
            config; `+key` adds one. They have the last word.
        overlays: `--with`: see `lay_over`.
        max_iters: `--max-iters`: see `scale_length`.
        smoke: `--smoke`: see `make_smoke`.
        log: `--log`: see `use_tracker`.
        problems: Receives what is wrong with the fields, a sentence each, where all problems of a
            run are told together; None: the first step that finds some raises them.

    Raises:
        FileNotFoundError: The file, one of its bases or an overlay is not there.
        ConfigError: A file is broken, or a key has no meaning.
    """
    return change_config(
        open_config(path),
        options,
        overlays=overlays,
        max_iters=max_iters,
        smoke=smoke,
        log=log,
        problems=problems,
    )


def change_config(
    config: Config,
    options: Options | None = None,
    *,
    overlays: Sequence[str | Path] = (),
    max_iters: int | None = None,
    smoke: bool = False,
    log: str | None = None,
    problems: list[str] | None = None,
) -> Config:
    """A config with what the command line changes, its names checked; see `read_config`.

    Args:
        config: What `open_config` returned; it may change.
    """
    config = lay_over(config, overlays)
    if smoke:
        make_smoke(config, max_iters)
    elif max_iters is not None:
        scale_length(config, max_iters)
    if log is not None:
        use_tracker(config, log)
    values = option_values(options)
    apply_options(config, values)
    _use_backends(config, values)
    # a section that is no dict, say, ends every other step
    broken = [p for p in section_problems(config._cfg_dict) if '.' not in p.split(' ', 1)[0]]
    found = broken or _complete_and_check(config)
    if problems is not None:
        problems += found
    elif found:
        raise ConfigError('\n'.join(found))
    return config


def open_config(path: str | Path) -> Config:
    """Reads a config file as it stands.

    Args:
        path: The file, or `dsr_nss::NAME` of one that comes with the package.

    Raises:
        FileNotFoundError: The file or one of its bases is not there.
        ConfigError: A file is broken.
        StorageError: The disk of temporary files is full, where mmengine puts a copy.
    """
    path = config_file(path)
    if path.is_dir():
        raise FileNotFoundError(f'{path} is a folder; name a config file')
    if not path.is_file():
        raise FileNotFoundError(f'config not found: {path}')
    if path.suffix not in ENDINGS:
        raise ConfigError(f'{path} is no config: the name of one ends in {", ".join(ENDINGS)}')
    if os.getcwd() not in sys.path:  # for modules beside a config of one's own (custom_imports)
        sys.path.append(os.getcwd())
    try:
        config = Config.fromfile(str(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: {error}') from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise storage_error(Path(tempfile.gettempdir(), path.name), error) from error
    except ImportError as error:
        raise ConfigError(f'{path} cannot be read: {_import_problem(error)}') from error
    except Exception as error:  # a config is a program
        raise ConfigError(f'{path} cannot be read: {type(error).__name__}: {error}') from error
    if {'_base_', 'max_iters'} <= _assigned(path):
        refuse_idle_length(config, path)
    return config


def _assigned(path: Path) -> set[str]:
    """Names at the beginning of a line of the file itself, without those of its bases."""
    return set(re.findall(r'^(\w+) *=', path.read_text(encoding='utf-8'), re.MULTILINE))


def _import_problem(error: ImportError) -> str:
    """What mmengine's message about `custom_imports` leaves out: why, and what to do."""
    reason: BaseException = error
    while (below := reason.__cause__ or reason.__context__) is not None:
        reason = below
    text = f'an import fails: {reason}'
    if not isinstance(reason, ModuleNotFoundError):
        return text
    return f'{text}; type the command in the folder of the module, or put it on PYTHONPATH'


def _base_path(
    base: str,
    filename: str,
    of_mmengine: Callable[[str, str], tuple[str, str | None]] = Config._get_cfg_path,
) -> tuple[str, str | None]:
    """`_base_ = 'dsr_nss::NAME'`, and mmengine's own answer to everything else.

    mmengine takes `PACKAGE::NAME` of a fixed list of packages only, and looks the names in such a
    base up in registries of that package, while ours are in mmseg's.
    """
    if base.startswith(PREFIX):
        return str(config_file(base)), None
    return of_mmengine(base, filename)


Config._get_cfg_path = staticmethod(_base_path)


def complete(config: Config) -> None:
    """Fills in the fields that follow from others, after everything is stated.

    Raises:
        ConfigError: Fields that must agree do not.
    """
    for step in (complete_validation, apply_classes, apply_config_fields, fill_widths):
        step(config)


def _complete_and_check(config: Config) -> list[str]:
    """What all steps find, a sentence each."""
    problems: list[str] = []
    for step in (complete, check_config):
        try:
            step(config)
        except ConfigError as error:
            problems += str(error).splitlines()
    return problems


def apply_options(config: Config, options: Options | None) -> None:
    """Sets dotted keys that exist, and top-level ones that the runner knows; `+key` sets any.

    Args:
        config: It changes.
        options: Dotted key -> value, or texts `KEY=VALUE`.

    Raises:
        ConfigError: A key that does not exist; names the nearest ones. One that nothing reads, or a
            text that is no option.
    """
    values, merged = option_values(options), {}
    for key, value in values.items():
        name = key.removeprefix('+')
        if not key.startswith('+') and name not in KNOWN_KEYS:
            _require_key(config._cfg_dict, name)
        if not is_read(top := name.partition('.')[0]):
            raise ConfigError(
                f'--cfg-options {name}: nothing reads {top}; a variable of the config has been '
                'used already, so change the fields that it went into'
            )
        merged[name] = value
    try:
        config.merge_from_dict(merged)
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f'--cfg-options {", ".join(values)}: {error}') from error


def _use_backends(config: Config, options: Options) -> None:
    """`vis_backends` on the command line are meant for the visualizer, which has copies of them."""
    changed = any(key.removeprefix('+').split('.')[0] == 'vis_backends' for key in options)
    if changed and config.get('visualizer') is not None:
        config.visualizer.vis_backends = config.vis_backends


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
        ConfigError: Every problem in a line of its own; names the path of a field and the nearest
            ones that exist.
    """
    problems = []
    for key in config:
        near = difflib.get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.8)  # modle, train_config
        if key not in KNOWN_KEYS and near:
            problems.append(f'unknown config key {key!r}; did you mean {near[0]!r}?')
    missing = [key for key in _REQUIRED if config.get(key) is None]
    if missing:
        problems.append(f'the config cannot train: it has no {", ".join(missing)}')
    problems += impossible(config)
    problems += section_problems(config._cfg_dict)
    for path, component in components(config._cfg_dict):
        problems += _check_component(path, component)
    if problems:
        first: dict[str, str] = {}
        for problem in problems:  # one sentence a field: what needs a value has no kind either
            place = problem.split(' ', 1)[0]
            first.setdefault(place if '.' in place else problem, problem)
        raise ConfigError('\n'.join(first.values()))


def _check_component(path: str, component: dict) -> Iterator[str]:
    name = component['type']
    classes = registered(name)
    if len(classes) == 1:
        yield from component_problems(path, component, classes[0])
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
        yield f'{path}.{field}: {name} has no field {field!r}; {hint}'


def hooks_of_type(config: Config, name: str) -> list[ConfigDict]:
    """The configs of all hooks of a type, wherever the config states them."""
    hooks = [*(config.get('default_hooks') or {}).values(), *(config.get('custom_hooks') or [])]
    return [hook for hook in hooks if isinstance(hook, dict) and hook.get('type') == name]


def use_scope(config: Config) -> None:
    """Names in the config are looked up in mmseg's registries, as the runner does it."""
    init_default_scope(config.get('default_scope') or 'mmseg')
