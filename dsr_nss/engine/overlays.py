"""Overlays: a config file that says what differs from another one (`--with`)."""

import copy
import types
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from dsr_nss.engine.known_keys import is_read
from dsr_nss.engine.length import refuse_idle_length
from dsr_nss.errors import ConfigError
from dsr_nss.shipped import config_file


def lay_over(config: Config, overlays: Sequence[str | Path]) -> Config:
    """The config with overlays merged into it, one after the other.

    An overlay is a Python config without `_base_ = ...`. In it `_base_` is the config that it is
    laid over, so `_base_.max_iters` is a variable of that config. It is merged as a config is
    merged into its base: dicts field by field, `_delete_=True` replaces one, everything else is
    replaced.

    Args:
        config: Any config; it stays as it is.
        overlays: Files, or `dsr_nss::NAME` of files that come with the package, merged in this
            order.

    Returns:
        A whole config. Its name is `<config>-<overlay>-...`, and so is its work dir, whether by
        default or stated: two ablations do not overwrite each other.

    Raises:
        FileNotFoundError: There is no such overlay.
        ConfigError: An overlay is broken, has a base of its own, names a variable that the config
            does not have, does not fit the config, or changes nothing in it.
    """
    for path in map(config_file, overlays):
        config = _lay_over(config, path)
    return config


def _lay_over(config: Config, path: Path) -> Config:
    before, name = config._cfg_dict, Path(config.filename)
    changes = _variables(path, config)
    whole = Config(
        copy.deepcopy(before),
        cfg_text=config.text,
        filename=name.with_name(f'{name.stem}-{path.stem}.py'),
    )
    try:
        whole.merge_from_dict(changes, allow_list_keys=False)
        if 'custom_imports' in changes:
            import_modules_from_strings(**whole.custom_imports)
    except (TypeError, ImportError) as error:
        raise ConfigError(f'{path} does not fit {name}: {error}') from error
    if 'max_iters' in changes:
        refuse_idle_length(whole, path)
    idle = [name for name in changes if name in before and not is_read(name)]
    if idle:
        raise ConfigError(
            f'{path}: {idle[0]} is a variable that {name} has used already, so a new value changes '
            f'nothing by itself: state the fields, and call a variable of your own _{idle[0]}'
        )
    if whole._cfg_dict == before:
        raise ConfigError(f'{path} changes nothing in {name}: leave it out')
    if before.get('work_dir') and 'work_dir' not in changes:
        whole.work_dir = f'{before["work_dir"].rstrip("/")}-{path.stem}'
    return whole


def _variables(path: Path, config: Config) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f'overlay not found: {path}')
    variables: dict = {'_base_': copy.deepcopy(config._cfg_dict)}
    base = variables['_base_']
    try:
        exec(compile(path.read_bytes(), str(path), 'exec'), variables)
    except Exception as error:
        raise ConfigError(
            f'{path} cannot be laid over {config.filename}: {type(error).__name__}: {error}'
        ) from error
    if variables['_base_'] is base and base != config._cfg_dict:
        raise ConfigError(f'{path} changes _base_ in place, which is lost: state what differs')
    if variables['_base_'] is not base:
        raise ConfigError(
            f'{path} has a _base_ of its own: an overlay says only what differs from the config '
            'that it is laid over. Remove that line, or train it as a config'
        )
    skipped = (types.ModuleType, types.FunctionType, type)
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith('_') and not isinstance(value, skipped)
    }
