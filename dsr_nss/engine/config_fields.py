"""Fields of a component that are another field of the config, as the size of a bank is the crop's.

A component says so in a class attribute `config_fields`: field -> the dotted place of the other.
What is left out is filled in; what is stated and differs is an error that names both places.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from dsr_nss.engine.components import components, registered
from dsr_nss.errors import ConfigError


def apply_config_fields(config: Config) -> None:
    """Fills them in.

    Raises:
        ConfigError: Lists every field that differs from the other one.
    """
    problems = []
    for path, component in components(config._cfg_dict):
        for kind in registered(component['type']):
            for field, place in getattr(kind, 'config_fields', {}).items():
                other, stated = _at(config, place), component.get(field)
                if other is None:
                    continue
                if stated is None:
                    component[field] = other
                elif _plain(stated) != _plain(other):
                    problems.append(
                        f'{path}.{field} is {_plain(stated)}, but {place} is {_plain(other)}; they '
                        f'must agree. Leave {path}.{field} out: it follows'
                    )
    if problems:
        raise ConfigError('\n'.join(problems))


def _at(node: Any, place: str) -> Any:
    for part in place.split('.'):
        node = node.get(part) if isinstance(node, Mapping | Config) else None
    return node


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
