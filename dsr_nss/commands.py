"""The command `dsr-nss`, which is also `python -m dsr_nss`: a short name for every tool.

It answers `--help` and mistyped names at once. `dsr_nss/__init__.py` therefore leaves everything
out while the command is looked up, and the tool imports the package anew, after its own parsing.
"""

import difflib
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dsr_nss.shipped import PREFIX, ROOT
from dsr_nss.version import __version__

#: Name -> file in `tools/`, in the order of `--help`.
COMMANDS = {
    'train': 'train',
    'test': 'test',
    'predict': 'infer',
    'web': 'web',
    'score': 'score',
    'export': 'export',
    'report': 'report',
    'compare': 'compare',
    'prepare': 'prepare_data',
    'doctor': 'check_data',
    'browse': 'browse_dataset',
    'convert': 'convert_checkpoint',
    'check-submission': 'check_submission',
    'tables': 'reproduce',
    'adabn': 'adapt_batch_norm',
    'test-align': 'test_align',
    'test-refinement': 'test_refinement',
    'nightscape': 'make_nightscape',
    'demo': 'demo',
    'benchmark': 'benchmark',
}
_NAMES = {tool: name for name, tool in COMMANDS.items()}


def main() -> int:
    """Runs the tool that the command line names; returns the exit status."""
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(_help())
    elif name == '--version':
        print(f'dsr_nss {__version__}')
    elif name in COMMANDS:
        sys.argv = [f'dsr-nss {name}', *arguments]
        return _main_of(COMMANDS[name])()
    else:
        names = _NAMES | {n: n for n in COMMANDS}
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f'did you mean {names[near[0]]}?' if near else '`dsr-nss --help` lists all'
        print(f'error: dsr-nss has no command {name!r}; {hint}', file=sys.stderr)
        return 2
    return 0


def typed(words: Sequence[str]) -> str:
    """A command line to copy, as it is typed here.

    Args:
        words: Those of a checkout, `('tools/train.py', 'configs/dsr_hrda_acdc.py', '--amp')`.

    Returns:
        `python tools/train.py configs/...`; without a checkout, or from `dsr-nss`, the same as
        `dsr-nss train dsr_nss::...`, unless the current folder has a file of that name.
    """
    program, *rest = words
    if ROOT.name != '.mim' and not sys.argv[0].startswith('dsr-nss '):
        return shlex.join(['python', *words] if program.endswith('.py') else words)
    rest = [_named(word) for word in rest]
    names = {f'tools/{tool}.py': ['dsr-nss', name] for name, tool in COMMANDS.items()}
    return shlex.join([*names.get(program, [str(ROOT / program)]), *rest])


def _named(word: str) -> str:
    """`dsr_nss::NAME` for a config of the package that is not below the current folder."""
    ours = word.startswith('configs/') and (ROOT / word).is_file() and not Path(word).exists()
    return PREFIX + word.removeprefix('configs/') if ours else word


def call(tool: str) -> str:
    """How a tool is called here: `python tools/train.py`, or `dsr-nss train`."""
    return typed([f'tools/{tool}.py'])


def _main_of(tool: str) -> Callable[[], int]:
    """The entry of a tool, loaded as `python tools/TOOL.py` would load it."""
    if not hasattr(sys.modules['dsr_nss'], '__all__'):  # it left everything out until now
        for name in [name for name in sys.modules if name.partition('.')[0] == 'dsr_nss']:
            del sys.modules[name]
    sys.path.insert(0, str(ROOT / 'tools'))  # for what tools share
    path = ROOT / 'tools' / f'{tool}.py'
    spec = importlib.util.spec_from_file_location(f'dsr_nss_tool_{tool}', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__doc__ = _spelled(module.__doc__ or '')  # its examples, which `--help` prints
    return module.main


def _spelled(text: str) -> str:
    """Examples of a checkout as they are typed without one."""
    text = re.sub(r'python tools/(\w+)\.py', lambda found: f'dsr-nss {_NAMES[found[1]]}', text)
    return re.sub(r'\bconfigs/([\w/]+)\.py', rf'{PREFIX}\1', text)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f'  {name:{width}}  {_summary(tool)}' for name, tool in COMMANDS.items()]
    return '\n'.join(
        [
            'usage: dsr-nss COMMAND ...',
            '       dsr-nss COMMAND --help',
            '',
            *lines,
            '',
            'Configs of the package are named dsr_nss::NAME, as dsr_nss::dsr_hrda_darkzurich; they',
            f'lie in {ROOT / "configs"}.',
        ]
    )


def _summary(tool: str) -> str:
    """The first line of a tool's docstring."""
    with Path(ROOT / 'tools' / f'{tool}.py').open(encoding='utf-8') as file:
        return file.readline().strip().strip('"')
