"""Entropy of class distributions."""

import math

import torch
from torch import Tensor


def normalized_entropy(prob: Tensor) -> Tensor:
    """Entropy over the class axis divided by its largest value `log C`.

    Args:
        prob: `(B, C, H, W)` probabilities, floating.

    Returns:
        `(B, H, W)` in [0, 1]; `0 log 0` counts as 0.
    """
    return -torch.special.xlogy(prob, prob).sum(dim=1) / math.log(prob.shape[1])
