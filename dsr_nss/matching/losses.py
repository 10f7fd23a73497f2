"""Losses that train a matching network without correspondences: warp consistency.

Three views: `J` (the reference), `I` (the target) and `I'`, the target after a known synthetic
warp `W`. Two constraints follow: the flow `I' -> I` is `W` (warp-supervision), and so is the way
`I' -> J -> I` (W-bipath). The second one sees real pairs of views.

Sources: Truong et al., "Warp Consistency for Unsupervised Learning of Dense Correspondences", ICCV
2021 (the constraints, the visibility mask); Bruggemann et al., "Refign", WACV 2023 (UAWarpC: both
under a learned variance).

An estimate is a pair (flow `(B, 2, h, w)` in pixels of the full image, x first; log-variance
`(B, 1, h, w)`, `log s2` in squared pixels of the full image).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dsr_nss.functional.warp import per_axis, warp

Estimate = tuple[Tensor, Tensor]

#: Largest factor between the terms in :func:`balance`.
MAX_BALANCE = 100.0


class Bipath(NamedTuple):
    """The way over another view.

    Attributes:
        flow: `(B, 2, h, w)` composed flow.
        log_variance: `(B, 1, h, w)` of the composed flow.
        second: `(B, 2, h, w)` second flow, where the first one leads.
        inside: `(B, h, w)` bool, true where the first flow leads into the other view.
    """

    flow: Tensor
    log_variance: Tensor
    second: Tensor
    inside: Tensor


class BipathLoss(NamedTuple):
    """The W-bipath term and the share of its pixels that take part, at the finest level."""

    loss: Tensor
    share: Tensor


def compose(first: Estimate, second: Estimate, size: tuple[int, int]) -> Bipath:
    """Two flows one after the other: `F(p) = F1(p) + F2(p + F1(p))`.

    The errors of the two are taken as independent, so their variances add. As in the published
    losses no gradient passes through the position at which `F2` is read: a way is made right by
    its two flows, not by reading another place.

    Args:
        first: Estimate `I' -> J`.
        second: Estimate `J -> I`, of the same size.
        size: `(H, W)` of the full image, in whose pixels the flows are.
    """
    height, width = first[0].shape[2:]
    scale = per_axis(width / size[1], height / size[0], first[0])
    read, inside = warp(torch.cat(second, dim=1), first[0].detach() * scale)
    flow, log_variance = read[:, :2], read[:, 2:]
    return Bipath(first[0] + flow, torch.logaddexp(first[1], log_variance), flow, inside)


def visibility_mask(
    bipath: Bipath, first: Tensor, warp_flow: Tensor, alpha: tuple[float, float] = (0.03, 0.5)
) -> Tensor:
    """Where the way over the other view comes back: elsewhere it is occluded (or wrong).

    `|F - W|^2 < a1 (|F1|^2 + |F2|^2 + |W|^2) + a2`.

    Args:
        bipath: The two flows, composed by :func:`compose`.
        first: `(B, 2, h, w)` first flow of it.
        warp_flow: `(B, 2, h, w)` the synthetic warp `W`.
        alpha: `a1` and `a2` (squared pixels).

    Returns:
        `(B, h, w)` bool, without a gradient.
    """
    with torch.no_grad():
        error = (bipath.flow - warp_flow).square().sum(dim=1)
        sizes = sum(flow.square().sum(dim=1) for flow in (first, bipath.second, warp_flow))
        return error < alpha[0] * sizes + alpha[1]


def flow_nll(error: Tensor, log_variance: Tensor, threshold: float = 1.0) -> Tensor:
    """Negative log-likelihood of a flow error under an isotropic Gaussian in the plane.

    `(rho(e_x) + rho(e_y)) / (2 s2) + log s2 + log(2 pi)`, where `rho(e) = e^2` up to `threshold`
    and `threshold * (2 |e| - threshold)` beyond (Huber, so that gross errors do not decide). With
    an infinite threshold it is the Gaussian's own. Constant errors of length `d` below the
    threshold are most likely at `s2 = d^2 / 2`.

    Args:
        error: `(B, 2, h, w)` in pixels.
        log_variance: `(B, 1, h, w)`, `log s2` in squared pixels.
        threshold: Error of one component, in pixels, above which the loss grows linearly.

    Returns:
        `(B, h, w)`.
    """
    if math.isinf(threshold):
        squared = error.square()
    else:
        squared = 2 * F.huber_loss(
            error, torch.zeros_like(error), reduction='none', delta=threshold
        )
    log_variance = log_variance[:, 0]
    return (
        0.5 * torch.exp(-log_variance) * squared.sum(dim=1) + log_variance + math.log(2 * math.pi)
    )


def masked_nll(
    estimate: Estimate, warp_flow: Tensor, valid: Tensor, threshold: float = 1.0
) -> Tensor:
    """Mean of :func:`flow_nll` over the valid pixels; a zero with a graph where there is none.

    Args:
        estimate: The estimated flow and log-variance, at the size of `warp_flow`.
        warp_flow: `(B, 2, h, w)` what the flow should be.
        valid: `(B, h, w)` bool. Values elsewhere do not matter, not even NaN.
        threshold: Error of one component, in pixels, above which :func:`flow_nll` grows linearly.
    """
    flow, log_variance = estimate
    mask = valid[:, None]
    # before the exponential: what is infinite there would be NaN in the gradient
    error = torch.where(mask, flow - warp_flow, 0)
    log_variance = torch.where(mask, log_variance, 0)
    loss = torch.where(valid, flow_nll(error, log_variance, threshold), 0)
    return loss.sum() / valid.sum().clamp(min=1)


def at_level(warp_flow: Tensor, valid: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A flow at the size of a level, in unchanged pixels, and where it is made of valid ones only.

    Args:
        warp_flow: `(B, 2, H, W)`.
        valid: `(B, H, W)` bool.
        size: `(h, w)` of the level.
    """
    resized = F.interpolate(warp_flow, tuple(size), mode='bilinear', align_corners=False)
    invalid = (~valid)[:, None].to(warp_flow.dtype)
    invalid = F.interpolate(invalid, tuple(size), mode='bilinear', align_corners=False)
    return resized, invalid[:, 0] == 0


def warp_supervision_loss(
    estimates: Sequence[Estimate],
    warp_flow: Tensor,
    valid: Tensor,
    level_weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> Tensor:
    """The flow `I' -> I` is the synthetic warp, at every level.

    Args:
        estimates: Estimates of the flow `I' -> I`, one for each level.
        warp_flow: `(B, 2, H, W)` the warp `W` at the size of the images.
        valid: `(B, H, W)` bool, true where `I'` shows something.
        level_weights: Weights of the levels, one for each level.
    """
    terms = [
        weight * masked_nll(estimate, *at_level(warp_flow, valid, estimate[0].shape[2:]))
        for weight, estimate in zip(level_weights, estimates, strict=True)
    ]
    return torch.stack(terms).sum()


def bipath_loss(
    there: Sequence[Estimate],
    back: Sequence[Estimate],
    warp_flow: Tensor,
    valid: Tensor,
    *,
    level_weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    only_visible: bool = False,
) -> BipathLoss:
    """The way `I' -> J -> I` is the synthetic warp, at every level.

    Args:
        there: Estimates of the flow `I' -> J`, one for each level.
        back: Estimates of `J -> I`.
        warp_flow: `(B, 2, H, W)` the warp `W` at the size of the images.
        valid: `(B, H, W)` bool, true where `I'` shows something.
        level_weights: Weights of the levels, one for each level.
        only_visible: Apply :func:`visibility_mask`: from when the flows are about right.
    """
    size = (warp_flow.shape[2], warp_flow.shape[3])
    terms, share = [], warp_flow.new_zeros(())
    for weight, first, second in zip(level_weights, there, back, strict=True):
        level_flow, mask = at_level(warp_flow, valid, first[0].shape[2:])
        bipath = compose(first, second, size)
        count = mask.sum().clamp(min=1)
        mask = mask & bipath.inside
        if only_visible:
            mask = mask & visibility_mask(bipath, first[0], level_flow)
        share = mask.sum() / count
        terms.append(weight * masked_nll((bipath.flow, bipath.log_variance), level_flow, mask))
    return BipathLoss(torch.stack(terms).sum(), share)


def balance(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Factors that scale the smaller of two losses up to the larger one.

    They have no gradient. A likelihood may be negative, where a ratio says nothing: unless both
    losses are positive, both factors are 1. No factor is larger than `MAX_BALANCE`.

    Args:
        first: `()`.
        second: `()`.

    Returns:
        Factor of `first`, factor of `second`.
    """
    with torch.no_grad():
        tiny = torch.finfo(first.dtype).tiny
        ratio = second / first.clamp(min=tiny)
        factors = (ratio.clamp(1, MAX_BALANCE), (1 / ratio.clamp(min=tiny)).clamp(1, MAX_BALANCE))
        usable = (first > 0) & (second > 0)
        one = torch.ones_like(first)
        return torch.where(usable, factors[0], one), torch.where(usable, factors[1], one)


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `(B, h, w)` values over the valid ones, 0 without any."""
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)
