"""Spatial transformers: grids of an affine map, and images sampled at the points of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import no_grad, wrap
from ...core.mode import mode
from ...core.warned import warn
from ...ops.computed import computed
from ...ops.index import take_axis
from ...tensor.dispatch import labelled
from ...tensor.functions.reductions import narrowed, widened
from ...tensor.spaced import evenly
from .. import _functions as T

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
_SLOPE = -0.75  # of the cubic kernel, torch's
_ALIGNMENT = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
    "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details."
)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """Points of an affine map of the square [-1, 1]^d: g(p) = A p + b for the places p of an output.

    Shapes: theta (N, 2, 3) with size (N, C, H, W) -> (N, H, W, 2), or (N, 3, 4) with (N, C, D, H, W) -> (N, D, H, W, 3);
    the coordinates come in the order x, y, z. With ``align_corners`` -1 and 1 are the centres of the outermost
    elements, else their outer edges. ValueError for shapes that do not fit.

    Source: Jaderberg et al. 2015, https://arxiv.org/abs/1506.02025.

    Examples
    --------
    >>> import retrograd as torch
    >>> identity = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(identity, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    if align_corners is None:
        warn(_ALIGNMENT)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = tuple(int(n) for n in size)
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    d = len(size) - 2
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (d, d + 1):
        raise ValueError(
            f"Expected a batch of {d}D affine matrices of shape Nx{d}x{d + 1} for size {size}. Got {theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. "
            "This is not an intended use case of affine_grid. See the documentation of affine_grid for details."
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return affine_points(theta, size, align_corners)


def affine_points(theta: Any, size: tuple[int, ...], align_corners: bool) -> Any:
    """Give the grid of an affine map (library use; arguments checked)."""
    d = len(size) - 2
    if theta.shape[0] != size[0]:
        raise RuntimeError(f"affine_grid: a batch of {theta.shape[0]} maps does not fit the size {list(size)}")
    axes = []
    for n in size[2:]:
        # in theta's dtype and this order: where a map is the identity, its points' last bits choose their neighbours
        places = evenly(-1, 1, n, theta.dtype) if n > 1 else np.zeros(1, theta._a.dtype)
        axes.append(places if align_corners else places * places.dtype.type(n - 1) / places.dtype.type(n))
    base = np.stack([*reversed(np.meshgrid(*axes, indexing="ij")), np.ones(size[2:], theta._a.dtype)], -1)
    points = wrap(base.reshape(1, -1, d + 1).copy()) @ theta.transpose(1, 2)
    return points.reshape(size[0], *size[2:], d)


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Sample images at the points of a grid: y(p) = x(grid(p)), interpolated between elements.

    Shapes: input (N, C, H, W), grid (N, H', W', 2) -> (N, C, H', W'); or (N, C, D, H, W), (N, D', H', W', 3). The grid's
    last dimension holds x, y(, z); -1 and 1 are the outer edges of the outermost elements, or with ``align_corners``
    their centres. ``mode``: "bilinear" (trilinear in 3-D), "nearest", "bicubic" (2-D). ``padding_mode`` is what lies
    outside: "zeros", "border" (the nearest element) or "reflection". Input and grid both get gradients.

    Raises ValueError for an unknown mode, RuntimeError for shapes or dtypes that do not fit.

    Source: Jaderberg et al. 2015, https://arxiv.org/abs/1506.02025.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor([[[[1.0, 3.0]]]])
    >>> torch.nn.functional.grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[2.]]]])
    """
    if mode not in MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    if align_corners is None:
        warn(_ALIGNMENT)
        align_corners = False
    found = sampled(input, grid, mode, padding_mode, bool(align_corners))
    return labelled(found, f"GridSampler{input.dim() - 2}DBackward0", (input, grid))


def _check(input: Any, grid: Any, mode: str) -> None:
    if input.dtype != grid.dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input has {input.dtype} and grid has "
            f"{grid.dtype}"
        )
    if input.dim() not in (4, 5) or input.dim() != grid.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != input.dim() - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if 0 in input.shape[1:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
            f"{list(input.shape)}"
        )
    if mode == "bicubic" and input.dim() == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def sampled(input: Any, grid: Any, mode: str, padding: str, align: bool) -> Any:
    """Give the sampled image (library use; modes checked)."""
    _check(input, grid, mode)
    sizes = tuple(input.shape[2:])
    d = len(sizes)
    points = grid.flatten(1, -2)
    places = []  # one for each dimension of space, in the input's order, in elements
    for i, n in enumerate(sizes):
        x = points[..., d - 1 - i]
        x = _exact(x + 1)
        places.append(_exact(x * ((n - 1) / 2) if align else _exact(_exact(x * n) - 1) / 2))
    table = input.movedim(1, -1).reshape(-1, input.shape[1])  # a row for each element of space

    def confined(x: Any, n: int) -> Any:
        return _confined(x, n, padding, align)

    if mode == "bicubic":
        terms = [_cubic_terms(x) for x in places]
    else:
        places = [confined(x, n) for x, n in zip(places, sizes, strict=True)]
        terms = [_nearest_terms(x) if mode == "nearest" else _linear_terms(x) for x in places]
        confined = _as_it_is
    result: Any = 0
    for corner in itertools.product(*terms):
        result = result + _corner(table, corner, sizes, input.shape[0], confined)
    if mode == "nearest" and grid.requires_grad:  # the slope is 0, not missing
        result = result + T.where(wrap(np.zeros(points.shape, np.bool_)), points, 0.0).sum(-1, keepdim=True)
    return result.reshape(input.shape[0], *grid.shape[1:-1], input.shape[1]).movedim(-1, 1).contiguous()


def _exact(x: Any) -> Any:
    """Round a half precision where it is computed, in generated code too: a place's last bit chooses its neighbours."""
    return narrowed(widened(x), x)


def _as_it_is(x: Any, n: int) -> Any:
    return x


def _corner(table: Any, corner: Any, sizes: Any, batch: int, confined: Callable[[Any, int], Any]) -> Any:
    """Give one neighbour's elements times its weights, zero where it lies outside."""
    weight: Any = None
    for _, share in corner:
        if share is not None:
            weight = share if weight is None else weight * share
    found = [confined(place, n) for (place, _), n in zip(corner, sizes, strict=True)]

    def within(*places: Any) -> Any:
        return np.logical_and.reduce([(p >= 0) & (p <= n - 1) for p, n in zip(places, sizes, strict=True)])

    def row(*places: Any) -> Any:
        at: Any = np.arange(batch)[:, None]
        for p, n in zip(places, sizes, strict=True):
            at = at * n + np.clip(np.nan_to_num(p), 0, n - 1).astype(np.int64)
        return at

    inside = _found(within, *found)
    values = take_axis(table, _found(row, *found), axis=0)
    if mode().trace is not None or not inside._a.all():
        values = T.where(inside.unsqueeze(-1), values, 0.0)
    return values if weight is None else values * weight.unsqueeze(-1)


def _found(fn: Callable[..., Any], *xs: Any) -> Any:
    """Give what NumPy computes of places, as a constant."""
    with no_grad():
        return computed(*[x.detach() for x in xs], fn=fn)


def _nearest_terms(x: Any) -> list[Any]:
    return [(_found(np.rint, x), None)]


def _linear_terms(x: Any) -> list[Any]:
    low = _found(np.floor, x)
    rest = _exact(x - low)
    return [(low, 1 - rest), (low + 1, rest)]


def _cubic_terms(x: Any) -> list[Any]:
    """Give the four neighbours in one dimension with the weights of Keys's kernel."""
    low = _found(np.floor, x)
    t = _exact(x - low)
    a = _SLOPE
    far, near = t + 1, 1 - t
    return [
        (low - 1, ((a * far - 5 * a) * far + 8 * a) * far - 4 * a),
        (low, ((a + 2) * t - (a + 3)) * t * t + 1),
        (low + 1, ((a + 2) * near - (a + 3)) * near * near + 1),
        (low + 2, ((a * (near + 1) - 5 * a) * (near + 1) + 8 * a) * (near + 1) - 4 * a),
    ]


def _confined(x: Any, n: int, padding: str, align: bool) -> Any:
    """Bring places into the input as the padding says; nothing to do for "zeros"."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        x = _reflected(x, 0.0, n - 1.0) if align else _reflected(x, -0.5, n - 0.5)
    within = _found(lambda a: (a > 0) & (a < n - 1), x)  # at the ends, as beyond them, there is no slope
    return T.where(within, x, _found(lambda a: np.clip(np.nan_to_num(a), 0, n - 1).astype(a.dtype), x))


def _reflected(x: Any, low: float, high: float) -> Any:
    """Fold places at both ends until they are between."""
    span = high - low
    if span == 0:
        return x * 0.0

    def sign(a: Any) -> Any:
        turns = np.floor(np.abs(a - low) / span)
        outward = np.where(a < low, -1, 1)
        return np.where(turns % 2 == 0, outward, -outward).astype(a.dtype)

    def target(a: Any) -> Any:
        away = np.abs(a - low)
        rest = np.fmod(away, span)
        return np.where(np.floor(away / span) % 2 == 0, rest + low, span - rest + low).astype(a.dtype)

    if not x.requires_grad and mode().trace is None and mode().dual is None:
        return _found(target, x)
    return _exact(_exact(x * _found(sign, x)) + _found(lambda a: target(a) - a * sign(a), x))
