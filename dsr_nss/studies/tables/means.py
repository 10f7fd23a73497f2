"""Means over seeds and their standard errors."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Statistic:
    """Mean over seeds.

    Attributes:
        mean: Mean in percent.
        error: Standard error of the mean, `s / sqrt(n)` with `n - 1` in `s`; None for one seed.
        count: Number of seeds.
    """

    mean: float
    error: float | None
    count: int

    @property
    def clear(self) -> bool:
        """Whether it is more than two standard errors from zero; never said of one or two seeds,
        whose spread is hardly known.
        """
        return self.error is not None and self.count > 2 and abs(self.mean) > 2 * self.error


def statistic(values: Sequence[float]) -> Statistic | None:
    """Mean and standard error; None of nothing."""
    if not values:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values)) if values[1:] else None
    return Statistic(statistics.fmean(values), error, len(values))
