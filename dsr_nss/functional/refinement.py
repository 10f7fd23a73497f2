"""Holistic refinement of the night prediction by the aligned day prediction (Refign)."""

import torch
from torch import Tensor

from dsr_nss.functional.entropy import normalized_entropy


def trust_factor(prob: Tensor, gamma: float) -> Tensor:
    """`s = (mean over pixels of H(p)/log C) ^ gamma`: an unsure night trusts the day more.

    Args:
        prob: `(B, C, H, W)` night probabilities.
        gamma: Exponent; 0 gives full trust in the day reference.

    Returns:
        `(B,)` in [0, 1].
    """
    return normalized_entropy(prob).mean(dim=(1, 2)).clamp(0, 1).pow(gamma)


def static_agreement(prob_night: Tensor, prob_day: Tensor, is_static: Tensor) -> Tensor:
    """`M`: True on the channels of the large static classes where both arg-maxes are such classes.

    Large static things stay where they are, so the day view is trusted there whatever the match.

    Args:
        prob_night: `(B, C, H, W)`.
        prob_day: `(B, C, H, W)`, already warped into the night view.
        is_static: `(C,)` bool, True for the large static classes.

    Returns:
        `(B, C, H, W)` bool.
    """
    both = is_static[prob_night.argmax(dim=1)] & is_static[prob_day.argmax(dim=1)]
    return both[:, None] & is_static.view(1, -1, 1, 1)


def refine(
    logits_night: Tensor,
    logits_day: Tensor,
    confidence: Tensor,
    valid: Tensor,
    is_static: Tensor,
    gamma: float = 0.25,
) -> Tensor:
    """`y'_n = (1 - eps) p_n + eps p_d` with `eps = s * max(P, M)`, 0 where the warp is invalid.

    Args:
        logits_night: `(B, C, H, W)` teacher logits of the night image.
        logits_day: `(B, C, H, W)` teacher logits of the day reference, warped into the night view.
        confidence: `(B, 1, H, W)` match confidence `P` in [0, 1].
        valid: `(B, H, W)` bool, False where the warp left the day image.
        is_static: `(C,)` bool, True for the large static classes.
        gamma: Exponent of :func:`trust_factor`.

    Returns:
        `(B, C, H, W)` scores. `eps` differs between channels, so they need not sum to one; arg-max
        and confidence are taken from them as they are (as Refign does).
    """
    prob_night, prob_day = logits_night.softmax(dim=1), logits_day.softmax(dim=1)
    trust = trust_factor(prob_night, gamma).view(-1, 1, 1, 1)
    agreement = static_agreement(prob_night, prob_day, is_static)
    eps = trust * torch.maximum(confidence, agreement.to(confidence.dtype)) * valid[:, None]
    return torch.lerp(prob_night, prob_day, eps.to(prob_night.dtype))
