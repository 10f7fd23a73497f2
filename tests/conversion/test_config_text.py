"""Configs as text: what is written reads back, and nothing in it runs."""

import math

import pytest
from mmengine.config import Config

from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.conversion.config_text import format_config, format_value
from dsr_nss.errors import ConfigError

CONFIG = dict(
    model=dict(type='A', sizes=(1,), pair=(1, -2.5), names=["it's", 'a "b"', 'c\\d\n'], none=None),
    by_number={0: 'zero', 'not a name': True, 'class': 1},
    long=['a rather long string that fills the line'] * 4,
    small=1e-06,
    empty=dict(a=[], b={}, c=()),
)


def test_round_trip_through_mmengine_and_through_our_reader(tmp_path):
    text = format_config(CONFIG, 'What it is.\n\nMore of it.')
    (tmp_path / 'a.py').write_text(text)
    assert Config.fromfile(str(tmp_path / 'a.py'))._cfg_dict.to_dict() == CONFIG
    assert parse_config(text, 'text') == CONFIG
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize('path', ['dsr_hrda_darkzurich', 'demo/dsr_hrda_nightscape'])
def test_what_mmengine_writes_is_read(repo_root, path):
    config = Config.fromfile(str(repo_root / 'configs' / f'{path}.py'))
    assert parse_config(config.pretty_text, path) == config._cfg_dict.to_dict()


@pytest.mark.parametrize(
    'docstring', ['"""', 'ends with "', '\\', '"""\nimport os\nos.mkdir("x")\n"""', '\\"""+1+"']
)
def test_no_docstring_ends_early(tmp_path, docstring):
    text = format_config(dict(a=1), docstring)
    assert parse_config(text, 'text') == dict(a=1)
    (tmp_path / 'a.py').write_text(text)
    assert list(Config.fromfile(str(tmp_path / 'a.py'))) == ['a']


@pytest.mark.parametrize('key', ["a'+str(1)+'", 'b"', "c'): 1, **dict(d='"])
def test_no_key_becomes_code(key):
    text = format_config({'a': {key: 1}}, 'x')
    assert parse_config(text, 'text') == {'a': {key: 1}}


def test_what_is_no_plain_data_is_not_written():
    for value in (object(), math.inf, math.nan, {1, 2}, b'bytes'):
        with pytest.raises(TypeError, match='plain data'):
            format_value(value)
    with pytest.raises(TypeError, match='must be a name'):
        format_config({'not a name': 1}, 'x')


@pytest.mark.parametrize(
    'text, what',
    [
        ('a = __import__("os").getcwd()', 'holds code: __import__'),
        ('a = dict(type=open)', 'holds code: open'),
        ('a = [x for x in ()]', 'holds code'),
        ('a = dict(**b)', 'holds code'),
        ('a = f"{1}"', 'holds code'),
        ('a = b.c', 'holds code: b.c'),
        ('a = 2 ** 99999999', 'holds code'),
        ('import os', 'line 1 is no assignment'),
        ('a.b = 1', 'line 1 is no assignment'),
        ('a = b = 1', 'line 1 is no assignment'),
        ('a = (', 'cannot be read'),
        ('a = ' + '(' * 500 + ')' * 500, 'cannot be read'),
        ('a = 1\0', 'cannot be read'),
        ('a = {[1]: 2}', 'unhashable'),
    ],
)
def test_code_is_refused(text, what):
    with pytest.raises(ConfigError, match='the text cannot be read as plain data') as error:
        parse_config(text, 'the text')
    assert what in str(error.value)
