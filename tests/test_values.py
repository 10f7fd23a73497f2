"""What the types of a constructor's arguments refuse, and in which words."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest

from dsr_nss.errors import ConfigError, DataError
from dsr_nss.values import (
    Bounds,
    Count,
    FieldsOf,
    NotNegative,
    OneOf,
    Positive,
    PositiveShare,
    Share,
    checked,
    field_types,
    problems,
)


class Inner:
    def __init__(self, *, own: Any, weight: Positive = 1.0) -> None:
        pass


@pytest.mark.parametrize(
    'hint, good, bad, words',
    [
        (float, [1, 0.5, -2], ['1', None, True, float('nan'), float('inf')], 'be a number'),
        (int, [1, -2], [1.0, '1', True, None], 'be a whole number'),
        (bool, [True, False], [1, 0, 'True', None], 'be True or False'),
        (str, ['a', '', Path('a')], [1, None, ['a']], 'be a text'),
        (dict, [{}, dict(a=1)], [[], 'a', None], 'be a dict'),
        (Share, [0, 1, 0.5], [-0.1, 1.5], r'lie in \[0, 1\]'),
        (PositiveShare, [1, 0.5], [0, 1.5], r'lie in \(0, 1\]'),
        (Annotated[float, Bounds(0, below=1)], [0, 0.9], [1, -1], r'lie in \[0, 1\)'),
        (Positive, [0.1], [0, -1], 'be > 0'),
        (NotNegative, [0, 3], [-1], 'be >= 0'),
        (Count, [1, 7], [0, -1], 'be >= 1'),
        (Annotated[str, OneOf(('a', 'b'))], ['a'], ['c'], "be one of 'a', 'b'"),
        (Count | None, [None, 1], [0], 'be >= 1'),
        (dict | None, [None, {}], ['a'], 'be a dict'),
        (tuple[Count, Count], [(1, 2), [1, 2]], [(1,), 5, '12'], 'be 2 values'),
        (tuple[Count, Count], [], [(1, 0)], 'be >= 1, got 0'),
        (tuple[int, ...], [(), (1, 2, 3)], [(1, 'a')], 'be a whole number'),
        (Sequence[str], [['a'], ()], ['abc', 5, {}], 'be a list'),
        (Sequence[Share], [[0, 1]], [[0, 2]], r'lie in \[0, 1\]'),
        (Annotated[Mapping, FieldsOf(Inner)], [{}, dict(weight=2)], [dict(weight=0)], 'be > 0'),
        (Annotated[Mapping, FieldsOf(Inner)], [], [dict(wieght=1)], "has no field 'wieght'"),
        (Any, [1, None, 'x'], [], ''),
    ],
)
def test_kinds(hint, good, bad, words):
    for value in good:
        assert not list(problems(value, hint, 'a.b')), value
    for value in bad:
        (text,) = problems(value, hint, 'a.b')
        assert text.startswith('a.b'), text
        assert re.search(words, text), text


def test_elements_are_named_by_their_place():
    assert list(problems([1, 'x', 2.5], Sequence[int], 'a')) == [
        "a.1 must be a whole number, got 'x'",
        'a.2 must be a whole number, got 2.5',
    ]


@checked
class Base:
    def __init__(self, *, share: Share = 0.5) -> None:
        self.share = share
        if share == 0.25:
            raise ValueError('share does not go with the others')


@checked
class Child(Base):
    def __init__(self, *, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if names == ['gone.png']:
            raise DataError('gone.png: no such file')


def test_a_constructor_refuses_by_class_and_field():
    assert Child(names=['a'], share=1).share == 1
    with pytest.raises(ConfigError, match=r'^Child\.names must be a list, got 3$'):
        Child(names=3)
    with pytest.raises(ConfigError, match=r'^Child\.share must lie in \[0, 1\], got 7$'):
        Child(names=['a'], share=7)


def test_fields_that_do_not_go_together_are_errors_of_the_config():
    with pytest.raises(ConfigError, match='^Child: share does not go with the others$'):
        Child(names=['a'], share=0.25)


def test_other_errors_of_a_constructor_keep_their_type():
    with pytest.raises(DataError, match='^gone.png: no such file$'):
        Child(names=['gone.png'])
    with pytest.raises(TypeError, match='names'):
        Child()


def test_types_are_found_behind_kwargs():
    assert field_types(Child) == dict(names=Sequence[str], share=Share)


class Narrower(Base):
    def __init__(self, *, share: PositiveShare, **kwargs: Any) -> None:
        super().__init__(share=share, **kwargs)


def test_a_class_that_states_a_field_again_has_the_last_word():
    assert field_types(Narrower) == dict(share=PositiveShare)
