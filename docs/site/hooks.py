"""What the site shows besides `docs/*.md`: pages and code that lie elsewhere in the repository.

Pages link to files of the repository by relative paths, as GitHub follows them. On the site such a
file is a page of its own below `source/`, made from the file when the site is built.
"""

import ast
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
#: Page of the site -> file of the repository, where that is not `docs/<page>`.
ELSEWHERE = {
    'index.md': 'README.md',
    'contributing.md': '.github/CONTRIBUTING.md',
    'changelog.md': 'CHANGELOG.md',
}
#: Code, in which nothing is a link, or what a link and a picture point to.
CODE_OR_TARGET = re.compile(r'^(?:```|~~~).*?^(?:```|~~~)|`[^`\n]+`|\]\(([^)\s]+)\)', re.M | re.S)
LANGUAGES = {'.py': 'python', '.sh': 'bash', '.yml': 'yaml', '.cff': 'yaml', '.json': 'json'}


def on_config(config):
    """A folder in the navigation stands for its pages."""
    for section in config.nav:
        for title, entries in section.items():
            section[title] = [page for entry in entries for page in _pages(entry, config.docs_dir)]
    return config


def on_files(files, config):
    """Adds the pages that lie elsewhere, and a page for every file that one of them links to."""
    for page, path in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    files.append(File.generated(config, 'reference/commands.md', content=_commands()))
    wanted = [
        (file.src_uri, target)
        for file in files.documentation_pages()
        for target in CODE_OR_TARGET.findall(file.content_string)
        if target
    ]
    for page, target in wanted:
        path = _repository_path(page, target)
        if path is not None and _page_of(path).startswith('source/'):
            _add_source(ROOT / path, files, config)
    return files


def on_page_markdown(markdown, page, config, files):
    """Links to files of the repository become links to their pages."""

    def replaced(match):
        path = match[1] and _repository_path(page.file.src_uri, match[1])
        if not path:
            return match[0]
        anchor = match[1].partition('#')[1:]
        here = posixpath.dirname(page.file.src_uri)
        return f']({posixpath.relpath(_page_of(path), here)}{"".join(anchor)})'

    return CODE_OR_TARGET.sub(replaced, markdown)


def _pages(entry, docs):
    """The pages of `folder/`, its index first; any other entry is itself."""
    if isinstance(entry, dict) or not entry.endswith('/'):
        return [entry]
    names = (page.name for page in Path(docs, entry).glob('*.md'))
    return [entry + name for name in sorted(names, key=lambda name: (name != 'index.md', name))]


def _repository_path(page, target):
    """The file that a link of a page means, from the root; None: it leaves the repository."""
    if page.startswith('source/') or re.match(r'[a-z]+:|#|/', target):
        return None
    here = posixpath.dirname(ELSEWHERE.get(page, f'docs/{page}'))
    return posixpath.normpath(posixpath.join(here, target.partition('#')[0]))


def _page_of(path):
    """Page or picture of the site that shows a file of the repository."""
    for page, elsewhere in ELSEWHERE.items():
        if path == elsewhere:
            return page
    inside = path.removeprefix('docs/')
    if path != inside and Path(inside).suffix in ('.md', '.png'):
        return inside
    return f'source/{path}.md'


def _add_source(path, files, config):
    """Adds the page of a file, or of a folder and all code below it."""
    page = f'source/{path.relative_to(ROOT)}.md'
    if files.get_file_from_path(page) or not path.exists():
        return
    text = f'---\nsearch: {{exclude: true}}\n---\n\n# `{path.relative_to(ROOT)}`\n\n'
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix in LANGUAGES or _has_code(p))
        text += ''.join(f'- [`{p.name}`]({path.name}/{p.name}.md)\n' for p in inside)
        for below in inside:
            _add_source(below, files, config)
    else:
        text += f'~~~~~~ {LANGUAGES.get(path.suffix, "text")}\n{path.read_text()}\n~~~~~~\n'
    files.append(File.generated(config, page, content=text))


def _has_code(path):
    return path.is_dir() and any(p.suffix in LANGUAGES for p in path.rglob('*'))


def _commands():
    """What `dsr-nss` and each of its commands print when they are asked for help."""
    tree = ast.parse((ROOT / 'dsr_nss' / 'commands.py').read_text())
    commands = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'COMMANDS'
    )
    text = '# Command line\n\nIn a checkout `dsr-nss NAME` is `python tools/FILE.py`.\n'
    for name, tool in commands.items():
        asked = subprocess.run(
            [sys.executable, ROOT / 'tools' / f'{tool}.py', '--help'],
            env={**os.environ, 'COLUMNS': '88', 'NO_COLOR': '1'},
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        text += f'\n## {name}\n\n`tools/{tool}.py`\n\n~~~~~~ text\n{asked.stdout}\n~~~~~~\n'
    return text
