"""Flow fields of known geometry: homography, thin-plate spline, elastic deformation.

Every function makes `(B, 2, H, W)` flows in pixels, x first, from given parameters: pixel `p` of
the synthetic view lies at `p + flow(p)` of the image. Geometry is stated in units in which the
image spans -1..1 on both axes, corners aligned: a shift of 1 is half of the image.

A warp after another one is evaluated where the first one leads (`offset`), so their composition is
exact and nothing is interpolated.
"""

from functools import lru_cache

import torch
from torch import Tensor

from dsr_nss.functional.warp import per_axis, pixel_grid

#: Side of the grid of control points of the thin-plate spline.
CONTROL_SIDE = 3


def homography_flow(corners: Tensor, size: tuple[int, int], offset: Tensor | None = None) -> Tensor:
    """Flow of the homography that moves the four corners of the image.

    In closed form (Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, 2.2.3): a
    general linear solver would wait for a GPU to say whether it succeeded.

    Args:
        corners: `(B, 4, 2)` floating: shifts (x, y) of the top left, top right, bottom left and
            bottom right corner, in half images. Below 0.5 each they never fold the image.
        size: `(H, W)`.
        offset: `(B, 2, H, W)` flow in pixels that is taken first.

    Returns:
        `(B, 2, H, W)`, dtype and device of `corners`.
    """
    points = _positions(size, corners, offset)
    moved = corners + _on_device(_corners(), corners)
    top_left, top_right, bottom_left, bottom_right = moved.unbind(dim=1)
    right, bottom = top_right - bottom_right, bottom_left - bottom_right
    skew = top_left - top_right + bottom_right - bottom_left
    area = _cross(right, bottom)
    g, h = _cross(skew, bottom) / area, _cross(right, skew) / area
    column_x = top_right * (1 + g[:, None]) - top_left
    column_y = bottom_left * (1 + h[:, None]) - top_left

    u, v = ((points + 1) / 2).unbind(dim=1)  # the unit square
    weight = 1 + g.view(-1, 1, 1) * u + h.view(-1, 1, 1) * v
    numerator = (
        column_x[:, :, None, None] * u[:, None]
        + column_y[:, :, None, None] * v[:, None]
        + top_left[:, :, None, None]
    )
    return _flow(numerator / weight[:, None], size)


def thin_plate_flow(
    shifts: Tensor,
    size: tuple[int, int],
    *,
    affine: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """Flow of the thin-plate spline through a regular grid of 3x3 control points.

    Args:
        shifts: `(B, 9, 2)` floating: shifts (x, y) of the control points, row by row, in half
            images.
        size: `(H, W)`.
        affine: `(B, 2, 3)`: applied to where the spline leads, `A q + t` in half images.
        offset: `(B, 2, H, W)` flow in pixels that is taken first.

    Returns:
        `(B, 2, H, W)`, dtype and device of `shifts`.
    """
    points = _positions(size, shifts, offset)
    inverse, control = _spline_system(CONTROL_SIDE)
    # the system is linear: solved for the shifts alone, it leaves the identity exact
    coefficients = _on_device(inverse, shifts)[:, : CONTROL_SIDE**2] @ shifts
    basis = torch.cat(
        (
            _radial(_square_distances(points, _on_device(control, shifts))),
            torch.ones_like(points[:, :1]),
            points,
        ),
        dim=1,
    )
    mapped = points + torch.einsum('bkhw,bkc->bchw', *_same_batch(basis, coefficients))
    if affine is not None:
        mapped = torch.einsum('bij,bjhw->bihw', affine[:, :, :2], mapped)
        mapped = mapped + affine[:, :, 2, None, None]
    return _flow(mapped, size)


def elastic_flow(noise: Tensor, sigma: Tensor, amplitude: Tensor, size: tuple[int, int]) -> Tensor:
    """A smooth random field: white noise, blurred by a Gaussian, times `amplitude`.

    The blur is so wide that noise on a coarse grid of nodes does as well as one draw a pixel. The
    field is scaled as if there were one draw a pixel, so neither `n` nor `m` changes its size,
    which is `std(noise) * amplitude / (2 sqrt(pi) sigma)` pixels away from the border.

    Args:
        noise: `(B, 2, n, m)` floating, independent values of mean 0, spread evenly over the image;
            nodes should be nearer to each other than `sigma`.
        sigma: `(B,)` of the Gaussian in pixels.
        amplitude: `(B,)` in pixels.
        size: `(H, W)`.

    Returns:
        `(B, 2, H, W)`, dtype and device of `noise`.
    """
    nodes = noise.shape[2] * noise.shape[3]
    rows = _blur_matrix(size[0], noise.shape[2], sigma)
    columns = _blur_matrix(size[1], noise.shape[3], sigma)
    scale = amplitude * (nodes / (size[0] * size[1])) ** 0.5
    field = rows[:, None] @ noise @ columns[:, None].transpose(2, 3)
    return scale.view(-1, 1, 1, 1) * field


def soft_windows(centres: Tensor, sigmas: Tensor, used: Tensor, size: tuple[int, int]) -> Tensor:
    """Where a local deformation acts: 1 around the centres, smoothly 0 elsewhere.

    A window is a Gaussian of height 2, cut off at 1; where windows overlap, their sum is.

    Args:
        centres: `(B, N, 2)` floating, (x, y) in pixels.
        sigmas: `(B, N)` in pixels.
        used: `(B, N)` bool; False leaves a window out.
        size: `(H, W)`.

    Returns:
        `(B, 1, H, W)` in [0, 1], dtype and device of `centres`.
    """
    spread = -0.5 / sigmas.square()[:, None]
    across = (spread * (_pixels(size[1], centres) - centres[:, None, :, 0]).square()).exp()
    down = (spread * (_pixels(size[0], centres) - centres[:, None, :, 1]).square()).exp()
    height = 2.0 * used.to(centres)
    windows = torch.einsum('bhn,bwn,bn->bnhw', down, across, height).clamp(max=1)
    return windows.sum(dim=1, keepdim=True).clamp(max=1)


def similarity(angle: Tensor, scale: Tensor, translation: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, 2, 3)` affine map of :func:`thin_plate_flow`: turn, scale and shift about the centre.

    Args:
        angle: `(B,)` in radians, of pixels: an image that is not square is not sheared.
        scale: `(B,)`.
        translation: `(B, 2)`, (x, y) in half images.
        size: `(H, W)`.
    """
    height, width = (max(side - 1, 1) for side in size)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack((cos, -sin * height / width, sin * width / height, cos), dim=1)
    return torch.cat((rows.view(-1, 2, 2), translation[:, :, None]), dim=2)


def _positions(size: tuple[int, int], like: Tensor, offset: Tensor | None) -> Tensor:
    """`(1 or B, 2, H, W)` where the warp is evaluated, in half images from the centre."""
    grid = pixel_grid(*size, like)
    return (grid if offset is None else grid + offset) * _unit(size, like) - 1


def _flow(mapped: Tensor, size: tuple[int, int]) -> Tensor:
    return (mapped + 1) / _unit(size, mapped) - pixel_grid(*size, mapped)


def _unit(size: tuple[int, int], like: Tensor) -> Tensor:
    """`(1, 2, 1, 1)`: half images per pixel, x first."""
    height, width = (max(side - 1, 1) for side in size)
    return per_axis(2 / width, 2 / height, like)


def _on_device(constant: Tensor, like: Tensor) -> Tensor:
    """Without waiting for the device."""
    return constant.to(like.device, like.dtype, non_blocking=True)


@lru_cache
def _corners() -> Tensor:
    return torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])


def _pixels(count: int, like: Tensor) -> Tensor:
    """`(1, count, 1)`: 0, 1, 2, ..."""
    return torch.arange(count, dtype=like.dtype, device=like.device).view(1, -1, 1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _same_batch(basis: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    return basis.expand(len(coefficients), -1, -1, -1), coefficients


def _square_distances(points: Tensor, control: Tensor) -> Tensor:
    """`(B, 2, H, W)` and `(N, 2)` -> `(B, N, H, W)`."""
    dx = points[:, None, 0] - control[:, 0].view(1, -1, 1, 1)
    dy = points[:, None, 1] - control[:, 1].view(1, -1, 1, 1)
    return dx.square() + dy.square()


def _radial(squares: Tensor) -> Tensor:
    """`r^2 log r^2`, 0 at 0."""
    return torch.special.xlogy(squares, squares)


@lru_cache
def _spline_system(side: int) -> tuple[Tensor, Tensor]:
    """Inverse of the interpolation system, and the `(N, 2)` control points; float64 on the CPU."""
    axis = torch.linspace(-1, 1, side, dtype=torch.float64)
    control = torch.cartesian_prod(axis, axis).flip(1)
    count = len(control)
    system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    squares = (control[:, None] - control[None]).square().sum(dim=2)
    system[:count, :count] = _radial(squares)
    system[:count, count] = system[count, :count] = 1
    system[:count, count + 1 :] = control
    system[count + 1 :, :count] = control.T
    return torch.linalg.inv(system), control


def _blur_matrix(pixels: int, nodes: int, sigma: Tensor) -> Tensor:
    """`(B, pixels, nodes)`: Gaussian weights of the nodes at each pixel; they sum to 1."""
    centre = (_pixels(nodes, sigma).mT + 0.5) * (pixels / nodes) - 0.5
    distance = (_pixels(pixels, sigma) - centre) / sigma.view(-1, 1, 1)
    return (-0.5 * distance.square()).softmax(dim=2)
