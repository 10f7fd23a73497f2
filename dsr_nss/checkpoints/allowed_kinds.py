"""Kinds of values that a field of foreign data may hold; there is none for free text."""

from dataclasses import dataclass
from typing import Any, Protocol

#: What to do where nothing can be taken out of a file.
OWN_CONFIG = 'Give a config of your own: --config, in Python config='
#: Fields that matter only while a network is trained: they are left out without a word.
TRAINING_FIELDS = (
    'train_cfg', 'loss_decode', 'sampler', 'ignore_index', 'with_cp', 'frozen_stages', 'norm_eval',
    'batch_augments', 'detail_loss_weight',
)  # fmt: skip
#: Fields that say where a network started from: left out too, since its weights are in the file.
#: Adapters are merged into them.
START_FIELDS = ('pretrained', 'init_cfg', 'lora')


class Refused(Exception):
    """A value that is not on the list: where it stands, and why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(reason)
        self.where, self.reason = where, reason


class Kind(Protocol):
    """What a field may hold."""

    def checked(self, value: Any, where: str, left_out: list[str]) -> Any:
        """The value, without what is left out of it; raises `Refused`."""


@dataclass(frozen=True)
class Integer:
    """A whole number in a range: none that is listed below lets a network fill the memory."""

    low: int
    high: int

    def checked(self, value: Any, where: str, left_out: list[str]) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            wanted = f'a whole number in {self.low}..{self.high}'
            raise Refused(where, f'is {shown(value)}, not {wanted}')
        return value


@dataclass(frozen=True)
class Number:
    """An integer or a finite float in a range."""

    low: float
    high: float

    def checked(self, value: Any, where: str, left_out: list[str]) -> float:
        if type(value) not in (int, float) or not self.low <= value <= self.high:
            raise Refused(where, f'is {shown(value)}, not a number in {self.low:g}..{self.high:g}')
        return value


class Choice:
    """One of the listed values, and of the same type: 1 is not True."""

    def __init__(self, *options: str | int | bool | None) -> None:
        self.options = options

    def checked(self, value: Any, where: str, left_out: list[str]) -> Any:
        if not any(type(value) is type(one) and value == one for one in self.options):
            listed = ', '.join(map(repr, self.options))
            raise Refused(where, f'is {shown(value)}, not one of {listed}')
        return value


@dataclass(frozen=True)
class Items:
    """A list or tuple of one kind; nesting ends where the table ends."""

    kind: Kind
    most: int = 16
    least: int = 0

    def checked(self, value: Any, where: str, left_out: list[str]) -> Any:
        if type(value) not in (list, tuple) or not self.least <= len(value) <= self.most:
            number = self.most if self.least == self.most else f'up to {self.most}'
            raise Refused(where, f'is {shown(value)}, not a list of {number} values')
        items = [self.kind.checked(v, f'{where}[{i}]', left_out) for i, v in enumerate(value)]
        return type(value)(items)


class Either:
    """The first of several kinds that fits."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    def checked(self, value: Any, where: str, left_out: list[str]) -> Any:
        refusals = []
        for kind in self.kinds:
            noted: list[str] = []
            try:
                found = kind.checked(value, where, noted)
            except Refused as refused:
                refusals.append(refused)
                continue
            left_out.extend(noted)
            return found
        # the one that came farthest says best what is wrong, and None is never meant
        raise max(reversed(refusals), key=lambda refused: len(refused.where))


class Fields:
    """A dict of listed fields without a type."""

    def __init__(self, **fields: Kind) -> None:
        self.fields = fields

    def checked(self, value: Any, where: str, left_out: list[str]) -> dict[str, Any]:
        if type(value) is not dict:
            raise Refused(where, f'is {shown(value)}, not a dict')
        kept = {}
        for name, inner in value.items():
            if name in START_FIELDS:
                left_out += [f'{where}.{name}'] if inner else []
            elif name in TRAINING_FIELDS:
                continue
            elif name not in self.fields:
                raise Refused(where, f'has the field {shown(name)}, which is never taken')
            else:
                kept[name] = self.fields[name].checked(inner, f'{where}.{name}', left_out)
        return kept


def shown(value: Any) -> str:
    text = repr(value)  # it escapes what a terminal would obey
    return text if len(text) <= 60 else f'{text[:57]}...'


def or_none(kind: Kind) -> Either:
    return Either(Choice(None), kind)
