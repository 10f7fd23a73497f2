"""Configs that files carry, read without running them.

mmengine's `Config.fromstring` executes the text. The text in a foreign checkpoint must not be.
"""

import ast
from typing import Any

from dsr_nss.errors import ConfigError

#: Longest config that is read out of a file; those of whole training runs have some 20 kB.
LONGEST = 2_000_000


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
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
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
