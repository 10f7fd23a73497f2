"""How sure a difference of two networks is, as far as the choice of test images goes."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsr_nss.evaluation.iou import flat_scores, iou_scores

DRAWS = 1000
#: Ends of the interval that is reported, in percent of the draws.
INTERVAL = (2.5, 97.5)


def paired_bootstrap(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float]:
    """Differences of the scores of two predictions of the same images, and their spread.

    Images are drawn with replacement, as many as there are and the same ones for both, and the
    scores are taken anew over each draw.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.

    Args:
        first: Confusion matrices of the images, `(K, K)` or `(K, K + 1)` each; see
            `confusion_matrix`.
        second: Those of the other prediction, of the same images in the same order.
        classes: The `K` class names.
        groups: Their groups; None: those that follow from the names.
        draws: How often images are drawn.
        seed: Decides all draws.

    Returns:
        For `mIoU`, `mIoU_official` and the `mIoU_<group>` that occur: `difference/<name>`, first
        minus second in percent over all images; `difference_error/<name>`, the standard deviation
        over the draws; `difference_low/<name>` and `difference_high/<name>`, between which 95 % of
        the draws lie. A draw without a class of the group is left out of that group's.
    """
    both = [np.stack(matrices).astype(np.float64) for matrices in (first, second)]
    number = len(first)
    rng = np.random.default_rng(seed)
    whole = _difference(np.ones(number), both, classes, groups)
    found: dict[str, list[float]] = {name: [] for name in whole}
    for _ in range(draws):
        times = rng.multinomial(number, np.full(number, 1 / number))
        for name, value in _difference(times, both, classes, groups).items():
            found.setdefault(name, []).append(value)
    result: dict[str, float] = {}
    for name, value in whole.items():
        low, high = np.percentile(found[name], INTERVAL)
        result |= {
            f'difference/{name}': value,
            f'difference_error/{name}': float(np.std(found[name], ddof=1)),
            f'difference_low/{name}': float(low),
            f'difference_high/{name}': float(high),
        }
    return result


def _difference(
    times: np.ndarray,
    both: Sequence[np.ndarray],
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None,
) -> dict[str, float]:
    """Of scores over images that count so many times; without those that do not occur."""
    sums = (np.tensordot(times, matrices, axes=1) for matrices in both)
    first, second = (flat_scores(iou_scores(s, classes, groups), per_class=False) for s in sums)
    return {
        name: value - other
        for name, value in first.items()
        if value is not None and (other := second[name]) is not None
    }
