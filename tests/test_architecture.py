"""The house has one direction: a room imports from rooms below it, and nothing imports upward."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / 'dsr_nss'
#: From the ground up; rooms of one floor do not know each other (docs/architecture.md).
FLOORS = (
    {
        'version',
        '_quiet',
        'classes',
        'errors',
        'structures',
        'values',
        'files',
        'pool',
        'shipped',
        'commands',
        '__main__',
    },
    {'functional', 'checkpoints', 'visualization', 'datasets'},
    {'nightscape', 'models'},
    {'engine'},
    {'matching', 'inference'},
    {'evaluation'},
    {'conversion', 'inspection', 'web'},
    {'studies'},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions and for types included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}:{node.lineno}: relative import'
            module = node.module or ''
            names = (alias.name for alias in node.names)
            yield from (
                (node.lineno, f'{module}.{name}' if module == 'dsr_nss' else module)
                for name in names
            )


def files() -> list[Path]:
    return [path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py']


def test_every_room_is_on_a_floor():
    assert {room_of(path) for path in files()} == set(FLOOR)


def test_arrows_run_downward_only():
    wrong = []
    for path in files():
        here = room_of(path)
        for line, name in imports(path):
            parts = name.split('.')
            if parts[0] != 'dsr_nss' or len(parts) == 1:
                continue
            there = parts[1]
            # the files of the ground floor know each other
            allowed = there == here or FLOOR[there] < FLOOR[here] or FLOOR[here] == 0
            if not allowed:
                wrong.append(f'{path.relative_to(PACKAGE.parent)}:{line}: {here} -> {there}')
    assert not wrong, '\n'.join(['a room may import from lower floors only:', *wrong])


def test_functional_needs_torch_alone():
    allowed = {'torch', 'math', 'collections', 'dataclasses', 'typing', 'functools', 'contextlib'}
    for path in (PACKAGE / 'functional').glob('*.py'):
        for line, name in imports(path):
            root = name.split('.')[0]
            inside = name.startswith('dsr_nss.functional')
            assert inside or root in allowed, f'{path.name}:{line}: {name}'


def test_no_file_is_longer_than_it_can_be_read():
    long = {p.name: n for p in files() if (n := len(p.read_text().splitlines())) > 400}
    assert not long
