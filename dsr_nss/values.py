"""What a field of a config may hold: said once, by the type of the constructor's argument.

    def __init__(self, *, momentum: Share = 0.999, interval: Count = 5) -> None:

`checked` has a constructor refuse anything else; reading a config asks the same types before
anything is built, and names the field's place.
"""

import functools
import inspect
import math
import numbers
import os
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from dsr_nss.errors import ConfigError

T = TypeVar('T', bound=type)


@dataclass(frozen=True)
class Bounds:
    """Bounds of a number; `above` and `below` do not belong to the range."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number lies within."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        low = f'[{self.least}' if self.least is not None else f'({self.above}'
        high = f'{self.most}]' if self.most is not None else f'{self.below})'
        if 'None' not in low + high:
            return f'lie in {low}, {high}'
        if self.least is not None:
            return f'be >= {self.least}'
        return f'be > {self.above}'


@dataclass(frozen=True)
class OneOf:
    """One of a few words or numbers."""

    values: Collection[Any]

    def __str__(self) -> str:
        return f'be one of {", ".join(repr(value) for value in self.values)}'


@dataclass(frozen=True)
class FieldsOf:
    """A dict with arguments of another constructor."""

    target: type


#: A share or a probability.
Share = Annotated[float, Bounds(0, 1)]
PositiveShare = Annotated[float, Bounds(above=0, most=1)]
Positive = Annotated[float, Bounds(above=0)]
NotNegative = Annotated[float, Bounds(0)]
#: A number of things, at least one.
Count = Annotated[int, Bounds(1)]


_NAMES = {
    float: 'a number', int: 'a whole number', bool: 'True or False', str: 'a text', dict: 'a dict',
    type(None): 'None',
}  # fmt: skip


def problems(value: Any, hint: Any, path: str) -> Iterator[str]:
    """What is wrong with a value, one sentence each: `model.beta must be >= 0, got -1`.

    Args:
        value: What a config or a caller gives.
        hint: The annotation of the argument; one of an unknown kind allows everything.
        path: What to call the value.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = list(problems(value, arguments[0], path))
        yield from found
        if not found:
            for rule in arguments[1:]:
                yield from _breaks(value, rule, path)
    elif origin in (Union, types.UnionType):
        each = [list(problems(value, member, path)) for member in arguments]
        if all(each):
            yield each[0][0]
    elif origin is tuple:
        yield from _tuple(value, arguments, path)
    elif origin in (Sequence, list):
        yield from _sequence(value, arguments[0], path)
    elif origin in (Mapping, dict) or hint in (Mapping, dict):
        if not isinstance(value, Mapping):
            yield f'{path} must be a dict, got {_shown(value)}'
    elif hint in (float, int, bool, str, None, type(None)) and not _is(value, hint):
        yield f'{path} must be {_NAMES[hint or type(None)]}, got {_shown(value)}'


def _is(value: Any, kind: Any) -> bool:
    if kind in (None, type(None)):
        return value is None
    if kind is str:
        return isinstance(value, (str, os.PathLike))
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is int:
        return isinstance(value, numbers.Integral)
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _breaks(value: Any, rule: Any, path: str) -> Iterator[str]:
    if isinstance(rule, FieldsOf):
        hints = field_types(rule.target)
        for name, item in value.items():
            if name not in hints:
                yield f'{path} has no field {name!r}; its fields: {", ".join(sorted(hints))}'
            else:
                yield from problems(item, hints[name], f'{path}.{name}')
    elif isinstance(rule, Bounds) and not rule.holds(value):
        yield f'{path} must {rule}, got {_shown(value)}'
    elif isinstance(rule, OneOf) and value not in rule.values:
        yield f'{path} must {rule}, got {_shown(value)}'


def _tuple(value: Any, members: tuple, path: str) -> Iterator[str]:
    if len(members) == 2 and members[1] is Ellipsis:
        yield from _sequence(value, members[0], path)
    elif not isinstance(value, (list, tuple)) or len(value) != len(members):
        yield f'{path} must be {len(members)} values, got {_shown(value)}'
    else:
        for i, (item, member) in enumerate(zip(value, members, strict=True)):
            yield from problems(item, member, f'{path}.{i}')


def _sequence(value: Any, member: Any, path: str) -> Iterator[str]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        yield f'{path} must be a list, got {_shown(value)}'
    else:
        for i, item in enumerate(value):
            yield from problems(item, member, f'{path}.{i}')


def _shown(value: Any) -> str:
    return f'{value!r:.80}'


def field_types(target: Callable) -> dict[str, Any]:
    """The annotations of a constructor's arguments, those of the bases behind `**kwargs` included.

    Empty where they cannot be told.
    """
    found: dict[str, Any] = {}
    for base in inspect.getmro(target) if inspect.isclass(target) else (target,):
        constructor = base.__dict__.get('__init__') if inspect.isclass(base) else base
        if constructor is None:
            continue
        plain = inspect.unwrap(constructor)
        try:
            hints = get_type_hints(plain, include_extras=True)
            parameters = inspect.signature(plain).parameters.values()
        except (NameError, TypeError, ValueError):
            return found
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    found.pop('self', None)
    return found


def checked(target: T) -> T:
    """Class decorator: the constructor refuses what the types of its arguments do not allow.

    Its own `ValueError`s, of fields that do not go together, become errors of the config as well.

    Raises:
        ConfigError: When the class is made with such an argument; names class and field.
    """
    constructor = target.__init__  # type: ignore[misc]
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        name, hints = type(self).__name__, field_types(target)
        for field, value in signature.bind(self, *args, **kwargs).arguments.items():
            for problem in problems(value, hints.get(field, Any), f'{name}.{field}'):
                raise ConfigError(problem)
        try:
            constructor(self, *args, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ConfigError(
                f'{name}: {error}'.replace(f'{name}: {name}: ', f'{name}: ')
            ) from error

    target.__init__ = init  # type: ignore[misc]
    return target
