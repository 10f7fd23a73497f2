"""The pages: their links lead somewhere, and the site is built from them without a warning."""

import ast
import posixpath
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob('*.md')),
    *sorted((ROOT / 'docs').rglob('*.md')),
    *(ROOT / name for name in ('.github/CONTRIBUTING.md', 'data/README.md')),
]
CODE = re.compile(r'^ *(```|~~~).*?^ *\1|`[^`\n]+`', re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives the headings of a page."""
    text = re.sub(r'^ *(```|~~~).*?^ *\1', '', page.read_text(), flags=re.M | re.S)
    headings = re.findall(r'^#+ +(.+?) *$', text, re.M)
    plain = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
    found: list[str] = []
    for name in (heading.replace(' ', '-') for heading in plain):
        found.append(f'{name}-{found.count(name)}' if name in found else name)
    return set(found)


def dead_links(page: Path) -> Iterator[str]:
    # a link's text may be code, its target never is
    for target in re.findall(r'\]\(([^)\s]+)\)', CODE.sub('', page.read_text())):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield f'{page.relative_to(ROOT)}: {target}'


def test_links_and_anchors_of_all_pages_lead_somewhere():
    assert [link for page in PAGES for link in dead_links(page)] == []
    assert len(PAGES) > 20 and 'a-table-row' in anchors(ROOT / 'docs' / 'architecture.md')


@pytest.mark.parametrize('link', ['gone.md', '#gone', 'there.md#gone', 'there.md#code', '../gone'])
def test_a_dead_link_is_found(link, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], 'ROOT', tmp_path)
    (tmp_path / 'there.md').write_text('# The `first`, and\n\n```\n# code\n```\n# The `first`, and')
    (tmp_path / 'page.md').write_text(
        f'`[no](link)` [`yes`](there.md#the-first-and) [two](there.md#the-first-and-1) [x]({link})'
    )
    assert list(dead_links(tmp_path / 'page.md')) == [f'page.md: {link}']


def test_lists_and_tables_begin_after_an_empty_line():
    """GitHub needs none, the site does."""
    wrong = [
        f'{page.relative_to(ROOT)}: {line}'
        for page in PAGES
        for block in re.split(r'\n\s*\n', CODE.sub('', page.read_text()))
        for begin in ('- ', '|', '1. ')
        for line in block.strip('\n').split('\n')
        if line.startswith(begin) and not block.strip('\n').startswith((begin, ' ', '#'))
    ]
    assert wrong == []


def test_cards_and_hours_follow_from_what_is_counted():
    text = (ROOT / 'docs' / 'cards.md').read_text()
    rows = re.findall(
        r'^\| (\d+) \| `(\w+\.py)`.*\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$', text, re.M
    )
    cards = sorted({int(row[0]) for row in rows})
    assert len(rows) == text.count('\n| ') - 1 and {8, 11, 16, 24, 40, 80} <= set(cards)
    for card, config, memory, work, hours in rows:
        assert (ROOT / 'configs' / config).is_file()
        assert int(card) == next(size for size in cards if float(memory) <= 0.9 * size), config
        assert float(hours) == pytest.approx(float(work) * 40000 / 3600 / 50, abs=0.051), config


def figures_of_the_pages() -> dict[str, tuple[float, float]]:
    """TFLOP and GiB of configs as they are, by the names of their files."""
    rows = re.findall(
        r'^\| \d+ \| `(\w+)\.py`[^|]*\| +\| ([\d.]+) \| ([\d.]+) \|',
        (ROOT / 'docs' / 'cards.md').read_text(),
        re.M,
    )
    found = {name: (float(work), float(memory)) for name, memory, work in rows}
    for name in list(found):
        if name.startswith('dsr_dinov'):
            found[name.replace('darkzurich', 'acdc')] = found[name]
    for encoder, *cells in encoders_of_vfm():
        name = encoder.lower().replace('-', '_')
        found[f'source_only_{name}_cityscapes'] = cells[-1][:2]
    return found


def encoders_of_vfm() -> Iterator[tuple]:
    """Rows of the table of docs/vfm.md: the encoder; TFLOP or None, GiB and card of each cell."""
    text = (ROOT / 'docs' / 'vfm.md').read_text()
    for row in re.findall(r'^\| (DINOv.*) \|$', text, re.M):
        encoder, *cells = (cell.strip() for cell in row.split('|'))
        kinds = [
            re.fullmatch(r'(?:([\d.]+)(?: TFLOP)?, )?([\d.]+)(?: GiB)?: (\d+)(?: GB)?', cell)
            for cell in cells
        ]
        assert all(found or not cell for found, cell in zip(kinds, cells, strict=True)), row
        yield encoder, *(k and (k[1] and float(k[1]), float(k[2]), int(k[3])) for k in kinds)


def test_heads_of_configs_have_the_figures_of_the_pages():
    known, said = figures_of_the_pages(), {}
    for path in (ROOT / 'configs').glob('*.py'):
        head = ast.get_docstring(ast.parse(path.read_text())) or ''
        if 'TFLOP' in head or 'GiB' in head:
            (pair,) = re.findall(r'One step: ([\d.]+) TFLOP; with --amp ([\d.]+) GiB', head)
            said[path.stem] = tuple(map(float, pair))
    assert said == {name: known.get(name) for name in said}
    foundation = [p.stem for p in (ROOT / 'configs').glob('*.py') if re.search('dinov|mic', p.stem)]
    assert said.keys() == set(foundation)


def test_both_pages_have_the_same_cards_and_figures():
    cards = re.findall(r'^\| (\d+) \| `', (ROOT / 'docs' / 'cards.md').read_text(), re.M)
    sizes = sorted(set(map(int, cards)))
    known = figures_of_the_pages()
    rows = list(encoders_of_vfm())
    assert len(rows) == 6
    for encoder, *cells in rows:
        name = encoder.lower().replace('-', '_')
        assert cells[0][:2] == known[f'dsr_{name}_darkzurich']
        for cell in filter(None, cells):
            assert cell[2] == next(size for size in sizes if cell[1] <= 0.9 * size), encoder
        if encoder == 'DINOv3-L':
            assert cells[1][1] == known['dsr_dinov3_l_darkzurich_24gb'][1]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The built site; `docs/site/mkdocs.yml` turns every warning into an error."""
    if not all(map(find_spec, ('mkdocs', 'material', 'mkdocstrings_handlers'))):
        pytest.skip("needs mkdocs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp('site')
    # not --quiet: it keeps the warnings from being counted
    words = ['mkdocs', 'build', '-f', 'docs/site/mkdocs.yml', '-d', str(folder)]
    done = subprocess.run(
        [sys.executable, '-m', *words], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there_and_loads_nothing_from_a_network(site):
    pages = {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob('*.html')}
    written = {path.relative_to(ROOT / 'docs') for path in (ROOT / 'docs').rglob('*.md')}
    assert {path.with_suffix('.html').as_posix() for path in written} <= set(pages)
    loads = r'<(?:script|img|iframe|link(?! rel="canonical"))\b[^>]+(?:src|href)="(?:https?:)?//'
    assert {name for name, text in pages.items() if re.search(loads, text)} == set()


def test_links_to_code_lead_to_its_pages(site):
    for page, path in (
        ('index.html', 'dsr_nss/models/segmentors/dsr_nss.py'),
        ('index.html', 'configs'),
        ('installation.html', 'docs/docker/Dockerfile.cpu'),
    ):
        target = f'source/{path}.html'
        assert f'href="{target}"' in (site / page).read_text()
        assert f'{posixpath.basename(path)}</code>' in (site / target).read_text()
    assert 'max_iters' in (site / 'source/configs/_base_/schedule.py.html').read_text()


def test_the_reference_has_whatever_configs_and_programs_name(site):
    raw = (site / 'objects.inv').read_bytes().split(b'\n', 4)[4]
    described = {line.split()[0] for line in zlib.decompress(raw).decode().splitlines()}
    names = {name.rpartition('.')[2] for name in described}
    missing = {name for name in (*exported(), *registered()) if name not in names}
    assert not missing, f'no page in docs/reference/ has {sorted(missing)}'
    assert 'dsr_nss.models.segmentors.DSRNSS' in described


def exported() -> Iterator[str]:
    """Classes and functions in `__all__` of the rooms."""
    for init in (ROOT / 'dsr_nss').rglob('__init__.py'):
        for node in ast.walk(ast.parse(init.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__':
                for name in ast.literal_eval(node.value):
                    rooms = (init.parent / name).is_dir()
                    if not (rooms or name.isupper() or name.startswith('__')):
                        yield name


def registered() -> Iterator[str]:
    for path in (ROOT / 'dsr_nss').rglob('*.py'):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                if any('register_module' in ast.unparse(word) for word in node.decorator_list):
                    yield node.name
