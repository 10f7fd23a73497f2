"""What the page shows of predictions: pairs of pictures, and a table that is the legend as well."""

from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np

from dsr_nss.inference.predictor import Prediction
from dsr_nss.visualization.colours import colourise, grey

#: Name of each view of a prediction, in the order of the page.
VIEWS = ('overlay', 'classes', 'confidence')
Pair = tuple[np.ndarray, np.ndarray]


def pairs(predictions: Sequence[Prediction]) -> list[Pair]:
    """The left and the right picture of each of `VIEWS`, `(H, W, 3)` uint8 RGB.

    Args:
        predictions: Of one image: one, which is shown beside the image, or two.
    """
    shown = [
        (
            one.overlay(),
            colourise(one.labels, one.palette),
            grey(one.confidence),
        )
        for one in predictions
    ]
    left = [predictions[0].image] * len(VIEWS) if len(predictions) == 1 else shown[0]
    return list(zip(left, shown[-1], strict=True))


class Summary:
    """Class shares and confidence of one network, over the image or the frames of a video."""

    def __init__(self) -> None:
        self.shares: Counter[str] = Counter()
        self.colours: dict[str, Sequence[int]] = {}
        self.confidence = 0.0
        self.images = 0

    def add(self, prediction: Prediction) -> None:
        """Takes another image into the means."""
        self.shares.update(prediction.shares())
        self.colours.update(zip(prediction.names, prediction.palette, strict=True))
        self.confidence += float(prediction.confidence.mean())
        self.images += 1

    def share(self, name: str) -> float:
        """Mean share of a class, in 0..1."""
        return self.shares[name] / self.images


def table(networks: Sequence[str], summaries: Sequence[Summary]) -> str:
    """Colour, name and share of each class that was predicted, the largest first, as HTML.

    Args:
        networks: Name of each network.
        summaries: Of each network.
    """
    names = {
        name: max(one.share(name) for one in summaries) for s in summaries for name in s.shares
    }
    colours = {name: colour for one in summaries for name, colour in one.colours.items()}
    head = ''.join(
        f'<th>{escape(network)}<small>confidence {one.confidence / one.images:.0%}</small></th>'
        for network, one in zip(networks, summaries, strict=True)
    )
    rows = [
        _row(name, colours[name], [one.share(name) for one in summaries])
        for name in sorted(names, key=lambda name: -names[name])
    ]
    return f'<table id="shares"><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _row(name: str, colour: Sequence[int], shares: Sequence[float]) -> str:
    red, green, blue = colour
    paint = f'background: rgb({red}, {green}, {blue})'
    bars = ''.join(
        f'<td><i style="{paint}; width: calc({share:.4f} * (100% - 5em))"></i>'
        f'{_percent(share)}</td>'
        for share in shares
    )
    return f'<tr><th><b style="{paint}"></b>{escape(name)}</th>{bars}</tr>'


def _percent(share: float) -> str:
    return f'{share:.1%}' if share >= 0.0005 or share == 0 else '&lt; 0.1%'
