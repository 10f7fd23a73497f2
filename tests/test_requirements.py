"""The bounds of what is installed: files and pages that repeat them agree."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

REQUIREMENT = re.compile(r"'([\w-]+[<>]=?[\d.,<>=]+)(?:;[^']*)?'")


def bounded(repo_root: Path) -> dict[str, Requirement]:
    """What has bounds in `requirements.txt` and in the extras, by name."""
    lines = (repo_root / 'requirements.txt').read_text().splitlines()
    extras = REQUIREMENT.findall((repo_root / 'setup.py').read_text())
    everything = [Requirement(line) for line in [*lines, *extras] if line and line[0] != '#']
    return {one.name: one for one in everything if one.specifier}


def lowest(requirement: Requirement) -> Version:
    return next(Version(one.version) for one in requirement.specifier if one.operator == '>=')


def pins(path: Path) -> dict[str, Version]:
    pairs = re.findall(r'^([\w-]+)==(\S+)$', path.read_text(), re.MULTILINE)
    return {name: Version(version) for name, version in pairs}


def table(repo_root: Path, header: str) -> list[list[str]]:
    """The rows of a table of docs/installation.md, which begins with a header."""
    text = (repo_root / 'docs/installation.md').read_text()
    lines = text[text.index(f'| {header} |') :].splitlines()
    rows = lines[2 : next(i for i, line in enumerate(lines) if not line.startswith('|'))]
    return [[cell.strip(' `') for cell in row.strip('|').split('|')] for row in rows]


def test_the_versions_that_are_tested_now_are_within_the_bounds(repo_root):
    tested = pins(repo_root / '.ci/constraints.txt')
    wanted = bounded(repo_root)
    assert {'torch', 'numpy', 'onnxruntime', 'ruff'} <= wanted.keys() & tested.keys()
    for name in wanted.keys() & tested.keys():
        assert wanted[name].specifier.contains(tested[name]), name


def test_the_oldest_versions_are_the_bounds(repo_root):
    oldest = pins(repo_root / '.ci/oldest.txt')
    wanted = {name: lowest(one) for name, one in bounded(repo_root).items()}
    # tools of developers, and what the tests skip without
    for name in ('ruff', 'setuptools', 'mkdocs', 'mkdocs-material', 'gradio', 'playwright'):
        del wanted[name]
    assert {name: version for name, version in oldest.items() if name != 'torchvision'} == wanted


def test_the_page_gives_a_reason_for_every_bound(repo_root):
    lines = (repo_root / 'requirements.txt').read_text().splitlines()
    python = re.search("python_requires='([^']+)'", (repo_root / 'setup.py').read_text())
    assert [row[0] for row in table(repo_root, 'bound')] == [
        f'Python{python.group(1)}',
        *(line for line in lines if '>=' in line and line[0] != '#'),
    ]


def test_the_page_tells_of_a_run_with_the_oldest_python_torch_and_numpy(repo_root):
    runs = table(repo_root, 'Python')
    wanted = bounded(repo_root)
    for column, name in ((1, 'torch'), (2, 'numpy')):
        assert min(Version(run[column]) for run in runs) == lowest(wanted[name])
    workflow = (repo_root / '.github/workflows/ci.yml').read_text()
    tried = {'.'.join(run[0].split('.')[:2]) for run in runs}
    assert set(re.findall(r"'(3\.\d+)'", workflow)) == tried
