"""A table as files of its own, and inside a document."""

import re
from collections.abc import Sequence
from pathlib import Path

from dsr_nss.errors import ConfigError
from dsr_nss.files import write_bytes
from dsr_nss.studies.tables.logged import logged_figure
from dsr_nss.studies.tables.picture import table_figure
from dsr_nss.studies.tables.summary import Summary
from dsr_nss.studies.tables.writing import csv_text, json_text, latex, main_markdown, markdown
from dsr_nss.visualization.curves import to_png

_DPI = 150


def write_table(summary: Summary, base: Path) -> None:
    """Write `<base>.{md,csv,tex,json,png}` and, where there are logged values, `<base>_logged.png`.

    A file that has its content already stays as it is.
    """
    texts = {'csv': csv_text, 'tex': latex, 'json': json_text, 'md': markdown}
    for ending, text in texts.items():
        _write(base.with_name(f'{base.name}.{ending}'), text(summary).encode())
    _write(base.with_name(f'{base.name}.png'), to_png(table_figure(summary), _DPI))
    if any(row['logged'] for row in summary['rows']):
        figure = logged_figure(summary['rows'], summary['logged'], summary['title'])
        _write(base.with_name(f'{base.name}_logged.png'), to_png(figure, _DPI))


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def update_document(path: Path, summaries: Sequence[Summary]) -> list[str]:
    """Put tables into a document: between `<!-- table3 nightscape begin -->` and `... end -->`
    all of it, between `<!-- table3 nightscape main begin -->` and `... main end -->` its first
    table.

    Args:
        path: The document; only what stands between the two lines of a table changes.
        summaries: The tables; those that the document has no place for are left out.

    Returns:
        The names of the places that were filled.

    Raises:
        ConfigError: The document is not there or has no place for any of them.
    """
    if not path.is_file():
        raise ConfigError(f'document not found: {path}')
    text = path.read_bytes().decode('utf-8')  # its line ends stay
    filled = []
    for summary in summaries:
        contents = {'': markdown(summary), ' main': main_markdown(summary)}
        for part, content in contents.items():
            place = f'{summary["place"]}{part}'
            begin, end = (re.escape(f'<!-- {place} {edge} -->') for edge in ('begin', 'end'))
            found = re.search(rf'(?<={begin})(\r?\n).*?(?={end})', text, re.DOTALL)
            if found is not None:
                table = f'\n\n{content}\n'.replace('\n', found[1])
                text = text[: found.start()] + table + text[found.end() :]
                filled.append(place)
    if not filled:
        places = ', '.join(f'<!-- {s["place"]} begin --> ... end -->' for s in summaries)
        raise ConfigError(f'{path} has no place for these tables; it would be: {places}')
    _write(path, text.encode())
    return filled
