"""The look of the demo's report: one HTML page that needs nothing else, light or dark."""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dsr_nss.visualization.curves import to_svg

#: Scores: (title, one value for each run; None where nothing of it occurs).
Row = tuple[str, Sequence[float | None]]

STYLE = """
:root { color-scheme: light dark; --ink: #202124; --soft: #5f6368; --line: #dfe1e5;
  --paper: #fff; --card: #f5f6f8; --first: #8a8f98; --second: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a3a8ae; --line: #3c4043;
  --paper: #17181a; --card: #222427; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
  color: var(--ink); background: var(--paper); max-width: 1240px; margin: 0 auto;
  padding: 2.6rem 1.4rem 4rem; }
header, .text { max-width: 46rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; letter-spacing: -.005em; margin: 3rem 0 .5rem; }
p { margin: .3rem 0 1rem; } .soft, figcaption { color: var(--soft); font-size: .9rem; }
img { display: block; width: 100%; height: auto; border-radius: 4px; } figure { margin: 0; }
.figures { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1.8rem 0 0; }
.figures div { background: var(--card); border-radius: 10px; padding: 1rem 1.4rem 1.1rem;
  flex: 1 1 12rem; }
.figures b { display: block; font-size: 2.7rem; line-height: 1.15; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(4, 1fr); gap: .6rem; }
@media (max-width: 700px) { .grid { grid-template-columns: repeat(2, 1fr); } }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: .8rem; }
.legend span, .names span { white-space: nowrap; }
i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .45em;
  box-shadow: 0 0 0 1px #8883; }
.names { display: flex; gap: 1.4rem; }
.curves { display: grid; grid-template-columns: 1fr 2fr; gap: 1rem; }
@media (max-width: 900px) { .curves { grid-template-columns: 1fr; } }
.scores { columns: 2; column-gap: 3rem; margin-top: 1rem; }
@media (max-width: 900px) { .scores { columns: 1; } }
.score { display: grid; grid-template-columns: 9.5rem 1fr; align-items: center; gap: .8rem;
  break-inside: avoid; padding: .28rem 0; font-size: .92rem; }
.score.mean { font-weight: 600; }
.bar { display: grid; grid-template-columns: 1fr 2.6rem; align-items: center; gap: .5rem;
  font-size: .78rem; line-height: 1.15; font-variant-numeric: tabular-nums; text-align: right; }
.bar u { display: block; height: .5rem; border-radius: 2px; min-width: 1px; }
.c0 { background: var(--first); } .c1 { background: var(--second); }
table { border-collapse: collapse; font-size: .9rem; }
td { padding: .25rem 1.6rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; } td:first-child { color: var(--soft);
  white-space: nowrap; }
pre { background: var(--card); padding: 1rem 1.2rem; border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .84rem; line-height: 1.5; }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole HTML file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n'
        f'<body>{"".join(body)}</body></html>\n'
    )


def section(title: str, text: str, *content: str) -> str:
    """A heading, a sentence (HTML) and what it is about."""
    return f'\n<h2>{html.escape(title)}</h2><p class="text">{text}</p>{"".join(content)}'


def headline(cards: Sequence[tuple[str, str, str]]) -> str:
    """Large figures: (what it is as HTML, the figure, a note)."""
    parts = [
        f'<div>{name}<b>{html.escape(value)}</b><span class="soft">{html.escape(note)}</span></div>'
        for name, value, note in cards
    ]
    return f'<div class="figures">{"".join(parts)}</div>'


def key(position: int, title: str) -> str:
    """The name of a run after its colour; `position` 0 or 1."""
    return f'<span><i class="c{position}"></i>{html.escape(title)}</span>'


def legend(classes: Sequence[str], palette: Sequence[Sequence[int]]) -> str:
    """Class names after their colours."""
    parts = [
        f'<span><i style="background:rgb({colour[0]},{colour[1]},{colour[2]})"></i>'
        f'{html.escape(name)}</span>'
        for name, colour in zip(classes, palette, strict=True)
    ]
    return f'<div class="legend soft">{"".join(parts)}</div>'


def grid(captions: Sequence[str], pictures: Sequence[str]) -> str:
    """Pictures (HTML) in four columns; the captions stand over the first row."""
    heads = [f'<figcaption>{html.escape(caption)}</figcaption>' for caption in captions]
    return f'<div class="grid">{"".join([*heads, *pictures])}</div>'


def bars(rows: Sequence[Row], means: Sequence[Row]) -> str:
    """A pair of bars a row, with their figures; the means stand out."""
    parts = [_score(row, 'score') for row in rows] + [_score(row, 'score mean') for row in means]
    return f'<div class="scores">{"".join(parts)}</div>'


def _score(row: Row, css: str) -> str:
    title, values = row
    lines = [
        f'<div class="bar"><u class="c{i}" style="width:{value:.1f}%"></u>{value:.1f}</div>'
        for i, value in enumerate(values)
        if value is not None
    ]
    content = ''.join(lines) or '<span class="soft">not in the labels</span>'
    return f'<div class="{css}"><span>{html.escape(title)}</span><div>{content}</div></div>'


def facts(rows: Mapping[str, str]) -> str:
    """A table of names and values."""
    cells = [
        f'<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in rows.items()
    ]
    return f'<table>{"".join(cells)}</table>'


def commands(lines: Sequence[str]) -> str:
    """Commands as they are typed."""
    prompted = '\n'.join(f'$ {line}' for line in lines)
    return f'<pre>{html.escape(prompted)}</pre>'


# ---- pictures in the page -----------------------------------------------------------------------


def photo(picture: np.ndarray, alt: str) -> str:
    """`(H, W, 3)` uint8 RGB as a JPEG."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return f'<img alt="{html.escape(alt)}" src="{_uri("image/jpeg", data)}">'


def label_map(ids: np.ndarray, palette: Sequence[Sequence[int]], alt: str) -> str:
    """`(H, W)` class ids in their colours, as a small exact PNG; 255 is black."""
    image = Image.fromarray(ids.astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'png', optimize=True)
    return f'<img alt="{html.escape(alt)}" src="{_uri("image/png", buffer.getvalue())}">'


def chart(draw: Callable[[bool], Figure], alt: str) -> str:
    """A figure in both themes; `draw` is called with `dark`."""
    light, dark = (_uri('image/svg+xml', to_svg(draw(theme))) for theme in (False, True))
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img alt="{html.escape(alt)}" src="{light}"></picture>'
    )


def _uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
