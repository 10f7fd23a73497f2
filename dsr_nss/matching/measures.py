"""How good a flow is, and how well its uncertainty tells where it is not.

End-point error and PCK as the matching literature counts them (GLU-Net, PDC-Net): AEPE is the mean
over images of an image's mean error, PCK the share of all pixels. Sparsification after Ilg et al.,
"Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow", ECCV 2018; PDC-Net's has
other steps (docs/alignment.md).
"""

from dataclasses import dataclass, field

import numpy as np

#: Errors, in pixels, up to which PCK counts a pixel as correct.
THRESHOLDS = (1.0, 3.0, 5.0)
#: Shares of the pixels that are removed, the most uncertain first.
FRACTIONS = np.arange(20) / 20


@dataclass(frozen=True)
class Sparsification:
    """Mean error of the pixels that remain, relative to that of all; mean over images.

    Attributes:
        fractions: `(20,)` share removed, 0 to 0.95.
        curve: `(20,)` removing the most uncertain first.
        oracle: `(20,)` removing the largest errors first. Removing at random leaves 1.
    """

    fractions: np.ndarray
    curve: np.ndarray
    oracle: np.ndarray

    @property
    def area(self) -> float:
        """Area below the curve, as a mean over the fractions; 1 for a random order."""
        return _area(self.fractions, self.curve)

    @property
    def oracle_area(self) -> float:
        """The same of the oracle."""
        return _area(self.fractions, self.oracle)

    @property
    def ause(self) -> float:
        """Area between the curve and the oracle's; 0 is perfect."""
        return self.area - self.oracle_area


def _area(fractions: np.ndarray, curve: np.ndarray) -> float:
    return float(np.trapezoid(curve, fractions) / (fractions[-1] - fractions[0]))


def sparsification(error: np.ndarray, uncertainty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Curve and oracle of one image.

    Args:
        error: `(N,)` end-point errors in pixels, not all zero.
        uncertainty: `(N,)`, large where the flow is doubted. Of equal ones a random part goes.

    Returns:
        Two `(20,)` arrays, mean error of what remains after removing `FRACTIONS` (rounded down to
        whole pixels, and never all) over the mean error of all.
    """
    count = len(error)
    kept = count - np.minimum(np.arange(len(FRACTIONS)) * count // len(FRACTIONS), count - 1)
    curves = []
    for order in (uncertainty, error):
        # a confidence that saturates has many ties; each counts as their mean, or the curve would
        # depend on where in the image they lie
        _, groups, sizes = np.unique(order, return_inverse=True, return_counts=True)
        expected = (np.bincount(groups, error) / sizes)[groups]
        # from the most certain on: the sum of what remains is a prefix
        ascending = expected[np.argsort(order, kind='stable')]
        curves.append(np.cumsum(ascending)[kept - 1] / kept / error.mean())
    return curves[0], curves[1]


@dataclass
class AlignmentScores:
    """Accumulates image by image; keeps sums, not predictions."""

    images: int = 0
    pixels: int = 0
    _epe: float = 0.0
    _correct: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS)))
    _curves: np.ndarray = field(default_factory=lambda: np.zeros((2, len(FRACTIONS))))
    _with_curve: int = 0

    def add(self, error: np.ndarray, uncertainty: np.ndarray) -> None:
        """Adds an image.

        Args:
            error: `(N,)` end-point errors in pixels of those that have a true flow; none at all
                leaves the scores as they are.
            uncertainty: `(N,)`. An image without any error, or with the same uncertainty
                everywhere, has no curve and is left out of that mean.

        Raises:
            ValueError: An error or an uncertainty is not finite.
        """
        error, uncertainty = error.astype(np.float64), uncertainty.astype(np.float64)
        if not (np.isfinite(error).all() and np.isfinite(uncertainty).all()):
            raise ValueError('the flow or its confidence is not finite')
        if not len(error):
            return
        self.images += 1
        self.pixels += len(error)
        self._epe += float(error.mean())
        self._correct += [(error <= threshold).sum() for threshold in THRESHOLDS]
        if error.any() and np.ptp(uncertainty) > 0:
            self._curves += sparsification(error, uncertainty)
            self._with_curve += 1

    @property
    def aepe(self) -> float:
        """Average end-point error in pixels; nan without images."""
        return self._epe / self.images if self.images else float('nan')

    @property
    def pck(self) -> dict[float, float]:
        """Percent of the pixels with an error up to each threshold."""
        return {
            threshold: 100 * float(correct) / self.pixels if self.pixels else float('nan')
            for threshold, correct in zip(THRESHOLDS, self._correct, strict=True)
        }

    @property
    def sparsification(self) -> Sparsification | None:
        """The mean curves; None without images that have one."""
        if not self._with_curve:
            return None
        curve, oracle = self._curves / self._with_curve
        return Sparsification(FRACTIONS, curve, oracle)

    def flat(self, prefix: str) -> dict[str, float | int | None]:
        """Numbers for a JSON file, `prefix/AEPE` and so on; areas are None without a curve."""
        curves = self.sparsification
        return {
            f'{prefix}/images': self.images,
            f'{prefix}/pixels': self.pixels,
            f'{prefix}/AEPE': self.aepe if self.images else None,
            **{
                f'{prefix}/PCK-{threshold:g}': value if self.images else None
                for threshold, value in self.pck.items()
            },
            f'{prefix}/AUSE': None if curves is None else curves.ause,
            f'{prefix}/sparsification_area': None if curves is None else curves.area,
            f'{prefix}/oracle_area': None if curves is None else curves.oracle_area,
        }
