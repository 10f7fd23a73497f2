"""Pseudo-labels and their weight."""

from torch import Tensor


def pseudo_label(prob: Tensor) -> tuple[Tensor, Tensor]:
    """Arg-max class and its score.

    Args:
        prob: `(B, C, H, W)` (refined) probabilities.

    Returns:
        Label `(B, H, W)` int64 and confidence `(B, H, W)`.
    """
    confidence, label = prob.max(dim=1)
    return label, confidence


def confident_share(confidence: Tensor, threshold: float) -> Tensor:
    """Share of target pixels whose largest probability is at least `threshold` (DACS).

    Args:
        confidence: `(B, H, W)`.
        threshold: Confidence in [0, 1] that a pixel must reach.

    Returns:
        One number for the whole batch, 0-dimensional float32 in [0, 1].
    """
    return (confidence >= threshold).float().mean()
