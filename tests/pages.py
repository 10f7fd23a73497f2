"""Pages of the documentation that are run as they stand: what a fenced block is, and running it.

- `python` whose first line is `# NAME.py` is a file; any other is a program.
- `bash` is one command a line (a backslash continues it).
- `text` is what the block before it prints, line by line and in this order. Numbers may differ, and
  `...` stands for anything.

No page has blocks of other kinds.
"""

import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 600
# A process that has imported the package once, of which every command is a copy: to import it
# takes longer than what most commands do.
_PROCESSES = multiprocessing.get_context('forkserver')
_PROCESSES.set_forkserver_preload(['tests.pages', 'dsr_nss', 'mmseg.apis'])


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: `bash`, `python` or `text`.
        name: Name of the file that it is, or ''.
        content: What stands in it.
    """

    kind: str
    name: str
    content: str


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    fences = re.findall(r'^```([^\n]*)\n(.*?)^```$', text, re.M | re.S)
    assert text.count('```') == 2 * len(fences), 'a fence that is indented or not closed'
    for kind, content in fences:
        assert kind in ('bash', 'python', 'text'), f'a block of the kind {kind!r}'
        name = re.match(r'# ([\w/]+\.py)\n', content) if kind == 'python' else None
        yield Block(kind, name[1] if name else '', content)


def run_page(text: str, folder: Path) -> None:
    """Runs the blocks of a page in a folder; fails where a command or a promise does."""
    printed = ''
    for block in blocks_of(text):
        if block.kind == 'text':
            require_lines(block.content, printed)
        elif block.name:
            (folder / block.name).write_text(block.content)
        elif block.kind == 'python':
            printed = _fork(['-', block.content], folder)
        else:
            lines = block.content.replace('\\\n', ' ').splitlines()
            printed = ''.join(_command(line, folder) for line in lines)


def require_lines(expected: str, printed: str) -> None:
    """Each line of a `text` block stands in what was printed, after the one before it."""
    rest = _plain(printed)
    for line in filter(None, map(_plain, expected.splitlines())):
        pattern = '.*?'.join(map(re.escape, re.split(r' ?\.\.\. ?', line)))
        found = re.search(pattern, rest)
        if found is None:
            pytest.fail(f'the page promises this line:\n{line}\nleft of the output:\n{rest}')
        rest = rest[found.end() :]


def _plain(text: str) -> str:
    """Every number is 0, as are cells without one (`-`), and all white space within lines ' '."""
    lines = (' '.join(line.split()) for line in text.replace('\r', '\n').splitlines())
    text = re.sub(r'[+-]?\d+(\.\d+)?(e[+-]\d+)?', '0', '\n'.join(lines))
    return re.sub(r'(?<= )-(?= |$)', '0', text, flags=re.M)


def _command(line: str, folder: Path) -> str:
    words = shlex.split(line, comments=True)
    if words[:1] == ['dsr-nss']:
        return _fork(words, folder)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])  # its `python`
    done = subprocess.run(
        ['bash', '-c', line], cwd=folder, env={**os.environ, 'PATH': path},
        capture_output=True, text=True, timeout=_SECONDS,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f'{line}\nended with status {done.returncode}:\n{done.stdout}{done.stderr}')
    return done.stdout


def _fork(words: list[str], folder: Path) -> str:
    """What a command of the package, or a program (after `-`), prints."""
    log = folder / '.printed'
    process = _PROCESSES.Process(target=_run, args=(words, folder, log))
    process.start()
    process.join(_SECONDS)
    if process.is_alive():
        process.kill()
    printed = log.read_text(errors='replace') if log.exists() else ''
    if process.exitcode != 0:
        pytest.fail(f'{shlex.join(words)}\nended with status {process.exitcode}:\n{printed}')
    return printed


def _run(words: list[str], folder: Path, log: Path) -> None:
    """In the copy of the process; its exit status is that of the command."""
    import torch

    torch.set_num_threads(1)
    os.chdir(folder)
    # for what a command starts: the package of this checkout, on one core
    given = os.environ.get('PYTHONPATH')
    path = os.pathsep.join([str(ROOT), given] if given else [str(ROOT)])
    os.environ.update(PYTHONPATH=path, OMP_NUM_THREADS='1')
    with log.open('w') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if words[0] == '-':
        program = folder / '.program.py'
        program.write_text(words[1])
        sys.argv = [str(program)]
        sys.path.insert(0, str(folder))
        runpy.run_path(str(program), run_name='__main__')
        return
    from dsr_nss import commands

    sys.argv = words
    sys.exit(commands.main())
