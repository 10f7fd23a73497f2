"""Losses of warp consistency, pixel by pixel, in float64."""

import math

import numpy as np

from tests.reference.warp import warp


def compose(first, first_log_variance, second, second_log_variance, size):
    """Flow, log-variance, second flow where it is read, and where that is inside."""
    height, width = first.shape[2:]
    scale = np.array([width / size[1], height / size[0]]).reshape(1, 2, 1, 1)
    read, inside = warp(np.concatenate((second, second_log_variance), axis=1), first * scale)
    variance = np.exp(first_log_variance) + np.exp(read[:, 2:])
    return first + read[:, :2], np.log(variance), read[:, :2], inside


def visibility_mask(flow, first, second, warp_flow, alpha=(0.03, 0.5)):
    """(B, h, w) bool."""
    batch, _, height, width = flow.shape
    visible = np.zeros((batch, height, width), dtype=bool)
    for index in np.ndindex(batch, height, width):
        b, y, x = index
        sizes = sum(float((f[b, :, y, x] ** 2).sum()) for f in (first, second, warp_flow))
        error = float(((flow - warp_flow)[b, :, y, x] ** 2).sum())
        visible[index] = error < alpha[0] * sizes + alpha[1]
    return visible


def masked_nll(flow, log_variance, warp_flow, valid, threshold=1.0):
    """Mean over the valid pixels of the negative log-likelihood; 0 without any."""
    terms = []
    for b, y, x in zip(*np.nonzero(valid), strict=True):
        variance = math.exp(log_variance[b, 0, y, x])
        squared = 0.0
        for e in np.abs(flow[b, :, y, x] - warp_flow[b, :, y, x]):
            squared += e * e if e <= threshold else threshold * (2 * e - threshold)
        terms.append(squared / (2 * variance) + math.log(2 * math.pi * variance))
    return float(np.mean(terms)) if terms else 0.0
