"""How sure a difference of two networks is, as far as the choice of test images goes."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsr_nss.evaluation.iou import iou_scores, mean_ious

DRAWS = 1000
#: Ends of the interval that is reported, in percent of the draws.
INTERVAL = (2.5, 97.5)
#: Confusion matrices of the same images by each of several runs: `(K, K)` or `(K, K + 1)` each.
Matrices = Sequence[Sequence[np.ndarray]]


def paired_bootstrap(
    first: Matrices,
    second: Matrices,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float]:
    """Differences of the scores of predictions of the same images, and their spread.

    Images are drawn with replacement, as many as there are and the same ones for all, and the
    scores of every run are taken anew over each draw; a difference is the mean over pairs of runs.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.

    Args:
        first: Of each run the confusion matrices of its images; see `confusion_matrix`.
        second: Those of as many runs of the other kind, of the same images in the same order.
        classes: The `K` class names.
        groups: Their groups; None: those that follow from the names.
        draws: How often images are drawn.
        seed: Decides all draws.

    Returns:
        For `mIoU`, `mIoU_official` and the `mIoU_<group>` that occur: `difference/<name>`, first
        minus second in percent over all images; `difference_error/<name>`, the standard deviation
        over the draws; `difference_low/<name>` and `difference_high/<name>`, between which 95 % of
        the draws lie. A draw without a class of the group is left out of that group's.

    Raises:
        ValueError: The matrices do not fit the classes, or the labels hold no class at all.
    """
    number = len(first[0])
    rng = np.random.default_rng(seed)
    times = rng.multinomial(number, np.full(number, 1 / number), size=draws)
    times = np.concatenate([np.ones_like(times[:1]), times])  # all images, each once
    pairs = [
        (_scores(times, mine, classes, groups), _scores(times, other, classes, groups))
        for mine, other in zip(first, second, strict=True)
    ]
    result: dict[str, float] = {}
    for name in pairs[0][0]:
        whole, *drawn = np.mean([mine[name] - other[name] for mine, other in pairs], axis=0)
        if np.isnan(whole):
            continue
        low, high = np.nanpercentile(drawn, INTERVAL)
        result |= {
            f'difference/{name}': float(whole),
            f'difference_error/{name}': float(np.nanstd(drawn, ddof=1)),
            f'difference_low/{name}': float(low),
            f'difference_high/{name}': float(high),
        }
    return result


def _scores(
    times: np.ndarray,
    matrices: Sequence[np.ndarray],
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None,
) -> dict[str, np.ndarray]:
    """Means of one run over images that count so many times: `(draws,)` each."""
    stacked = np.stack(matrices).astype(np.float64)
    iou_scores(stacked.sum(axis=0), classes, groups)  # raises what is wrong with them
    return mean_ious(np.tensordot(times, stacked, axes=1), classes, groups)
