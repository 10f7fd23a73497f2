"""A dense flow and its support from scattered matches."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Variance, in units of `sigma ** 2`, that is added to that of the matches around a pixel: matches
#: on a line or in a point tell nothing about the slope across it, and this keeps it at zero.
RIDGE = 0.01
#: Furthest step, in units of `sigma`, that a local slope is followed away from its matches.
REACH = 2.0
#: Nodes whose weights of all matches are held at once.
CHUNK = 4096


def interpolate_matches(
    points: Tensor,
    flows: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    sigma: float = 16.0,
    stride: int = 8,
) -> tuple[Tensor, Tensor]:
    """Dense flow by moving least squares, and how many matches support it.

    Around each node of a grid an affine flow is fitted to the matches, weighted by
    `score * exp(-distance ** 2 / (2 sigma ** 2))`; between nodes it is linear. An affine flow is
    thus given back (up to `RIDGE`), and far from all matches the nearest one decides.

    Args:
        points: `(N, 2)` pixel positions of the matches, x first; at least one.
        flows: `(N, 2)` their flows in pixels.
        scores: `(N,)` in (0, 1].
        size: `(H, W)` of the image.
        sigma: Reach of a match in pixels.
        stride: Largest distance of two nodes in pixels.

    Returns:
        The flow `(2, H, W)` float32, and the density `(1, H, W)` float32: the sum of the weights
        of all matches, about `2 pi sigma ** 2` times their number per pixel.

    Raises:
        ValueError: No match, or lengths that differ.
    """
    if not len(points) or not len(points) == len(flows) == len(scores):
        raise ValueError(
            'interpolation needs as many points, flows and scores, at least one, got '
            f'{len(points)}, {len(flows)} and {len(scores)}'
        )
    height, width = size
    rows, columns = -(-(height - 1) // stride) + 1, -(-(width - 1) // stride) + 1
    with torch.autocast(points.device.type, enabled=False):
        # positions squared, to a fraction of a pixel, are more than float32 holds
        points, flows, scores = points.double(), flows.double(), scores.double()
        y = torch.linspace(0, height - 1, rows, dtype=points.dtype, device=points.device)
        x = torch.linspace(0, width - 1, columns, dtype=points.dtype, device=points.device)
        nodes = torch.cartesian_prod(y, x).flip(1)
        fits = [_fit(chunk, points, flows, scores, sigma) for chunk in nodes.split(CHUNK)]
        coarse = torch.cat(fits).T.reshape(1, 3, rows, columns).float()
        dense = F.interpolate(coarse, size, mode='bilinear', align_corners=True)[0]
    return dense[:2], dense[2:]


def density_confidence(density: Tensor, support: float = 3.0) -> Tensor:
    """`1 - exp(-density / support)`: the chance that a match is right grows with its neighbours.

    Args:
        density: Density of matches from :func:`interpolate_matches`: floating, any shape `(...)`.
        support: The density at which the confidence is `1 - 1 / e`.

    Returns:
        Confidences in [0, 1], of the shape and dtype of `density`.
    """
    return -torch.expm1(-density / support)


def _fit(nodes: Tensor, points: Tensor, flows: Tensor, scores: Tensor, sigma: float) -> Tensor:
    """Flow and density `(M, 3)` at the nodes `(M, 2)`."""
    logits = scores.log() - torch.cdist(nodes, points).square() / (2 * sigma**2)
    density = logits.exp().sum(dim=1, keepdim=True)
    weights = logits.softmax(dim=1)
    centre = nodes.mean(dim=0)  # moments around it lose fewer digits
    p = points - centre
    products = torch.cat(
        (p, flows, p[:, :1] * p, p[:, 1:] * p, p[:, :1] * flows, p[:, 1:] * flows), 1
    )
    moments = weights @ products
    mean, flow = moments[:, :2], moments[:, 2:4]
    covariance = moments[:, 4:8].unflatten(1, (2, 2)) - mean[:, :, None] * mean[:, None, :]
    cross = moments[:, 8:].unflatten(1, (2, 2)) - mean[:, :, None] * flow[:, None, :]
    ridge = RIDGE * sigma**2 * torch.eye(2, dtype=points.dtype, device=points.device)
    slope = torch.linalg.solve(covariance + ridge, cross)
    step = nodes - centre - mean
    step = step * (REACH * sigma / step.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1)
    flow = flow + (step[:, None, :] @ slope)[:, 0]
    return torch.cat((flow, density), dim=1)
