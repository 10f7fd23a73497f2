"""Configs as text: written so that nothing in a value can become code, read without running them.

mmengine's `Config.fromstring` executes the text. The text in a foreign checkpoint must not be. And
before mmengine reads a config file it replaces `{{...}}` anywhere in it, within strings too, by
file names, environment variables or defaults, unquoted: such text must not be written.
"""

import ast
import keyword
import math
from collections.abc import Mapping
from typing import Any

from dsr_nss.errors import ConfigError

WIDTH = 100
#: Longest config that is read out of a file; those of whole training runs have some 20 kB.
LONGEST = 2_000_000
#: What mmengine takes for the beginning of a template.
TEMPLATE = '{{'


def format_config(config: Mapping[str, Any], docstring: str) -> str:
    """A config file: a docstring and one assignment for each key, in their order.

    Args:
        config: Plain data: numbers, strings, None, and lists, tuples and dicts of these.
        docstring: What the config is; anything is escaped that would end it.

    Raises:
        TypeError: A value of another type, or a top-level key that is no name.
        ConfigError: A string that mmengine would take for a template.
    """
    text = docstring.replace('\\', '\\\\').replace('"""', "'''").rstrip()
    while TEMPLATE in text:
        text = text.replace(TEMPLATE, '{ {')
    lines = [f'"""{text}\n"""', '']  # on a line of its own, so that no quote stands before the end
    for key, value in config.items():
        if not _is_name(key):
            raise TypeError(f'a config key must be a name, got {key!r}')
        lines.append(f'{key} = {format_value(value)}')
    return '\n'.join(lines) + '\n'


def format_value(value: Any, indent: int = 0, used: int = 0) -> str:
    """A Python expression for plain data, broken into lines where it would be too long.

    Args:
        value: The data.
        indent: Columns that broken lines are indented by.
        used: Columns that stand before the expression.
    """
    flat = _flat(value)
    if indent + used + len(flat) < WIDTH - 8 or not isinstance(value, (Mapping, list, tuple)):
        return flat
    inner = ' ' * (indent + 4)
    named = isinstance(value, Mapping) and all(_is_name(key) for key in value)
    lines = []
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        start = ''
        if isinstance(value, Mapping):
            start = f'{key}=' if named else f'{_flat(key)}: '
        lines.append(f'{inner}{start}{format_value(item, indent + 4, len(start))},\n')
    left, right = ('dict(', ')') if named else _brackets(value)
    return f'{left}\n{"".join(lines)}{" " * indent}{right}'


def _flat(value: Any) -> str:
    if isinstance(value, str) and TEMPLATE in value:
        raise ConfigError(
            f'a config cannot hold {value[:60]!r}: mmengine would replace what stands in braces'
        )
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        if all(_is_name(key) for key in value):
            return f'dict({", ".join(f"{key}={_flat(item)}" for key, item in value.items())})'
        return f'{{{", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items())}}}'
    if isinstance(value, (list, tuple)):
        left, right = _brackets(value)
        comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
        return f'{left}{", ".join(map(_flat, value))}{comma}{right}'
    raise TypeError(f'a config holds plain data, got a {type(value).__name__}: {value!r}')


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return '{', '}'
    return ('(', ')') if isinstance(value, tuple) else ('[', ']')


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def parse_config(text: str, origin: str) -> dict[str, Any]:
    """The values of a config that consists of plain data, as mmengine writes a resolved one.

    Args:
        text: Assignments of numbers, strings, None, lists, tuples, `dict(...)` and `{...}`.
        origin: What to call the text in the message.

    Raises:
        ConfigError: Anything else stands in it; it is named and not executed.
    """
    if len(text) > LONGEST:
        raise ConfigError(f'{origin} cannot be read as plain data: it has {len(text):,} characters')
    try:
        module = ast.parse(text)
        return {target: value for target, value in map(_assignment, module.body) if target}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f'{origin} cannot be read as plain data: {error}') from error


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return '', None  # a docstring
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(statement.value)
    raise ValueError(f'line {statement.lineno} is no assignment of a value')


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        fields = [(keyword.arg, keyword.value) for keyword in node.keywords]
        if not node.args and all(name is not None for name, _ in fields):
            return {name: _value(value) for name, value in fields}
    raise ValueError(f'line {node.lineno} holds code: {ast.unparse(node)[:60]}')
