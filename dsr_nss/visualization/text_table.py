"""Tables of text, for a terminal."""

from collections.abc import Sequence
from itertools import chain, zip_longest


def text_table(headings: Sequence[str], *blocks: Sequence[Sequence[str]]) -> str:
    """Columns side by side: the first is aligned to the left, the others to the right.

    Args:
        headings: Title of each column.
        blocks: Rows of cells, which may end early; a rule stands before each block. Empty blocks
            are left out.
    """
    columns = zip_longest(headings, *chain(*blocks), fillvalue='')
    widths = [max(map(len, column)) for column in columns]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        return '  '.join([row[0].ljust(widths[0]), *cells]).rstrip()

    rule = '-' * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(headings)]
    for block in filter(None, blocks):
        lines += [rule, *map(line, block)]
    return '\n'.join(lines)
