"""Draws of gamma and Dirichlet variables, with the derivative of a draw by its shape parameter."""

from __future__ import annotations

from typing import Any

from ..core import apply
from ..ops.special_rows import dirichlet_slope, gamma_slope
from ..tensor.draw import draw_like
from ..tensor.function import Function, once_differentiable
from ..tensor.random_functions import default_generator


class StandardGamma(Function):
    """A draw x of the gamma distribution: dx/da = -(dF(x; a)/da) / p(x; a)."""

    @staticmethod
    def forward(ctx: Any, alpha: Any) -> Any:
        x = apply(draw_like, alpha.detach(), kind="standard_gamma", generator=default_generator)
        ctx.save_for_backward(alpha, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        alpha, x = ctx.saved_tensors
        return g * apply(gamma_slope, alpha.detach(), x.detach())


class StandardDirichlet(Function):
    """A draw of the Dirichlet distribution; each component moves as a beta variable, and the others make room."""

    @staticmethod
    def forward(ctx: Any, alpha: Any) -> Any:
        x = apply(draw_like, alpha.detach(), kind="dirichlet", generator=default_generator)
        ctx.save_for_backward(alpha, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        alpha, x = (v.detach() for v in ctx.saved_tensors)
        total = alpha.sum(-1, True).expand_as(alpha)
        return apply(dirichlet_slope, x, alpha, total) * (g - (x * g).sum(-1, True))


def standard_gamma(alpha: Any) -> Any:
    """Draw gamma variables of rate 1, one to each shape parameter (float16 and bfloat16 are drawn in float32)."""
    if alpha.dtype.itemsize < 4:
        return StandardGamma.apply(alpha.float().contiguous()).to(alpha.dtype)
    return StandardGamma.apply(alpha.contiguous())


def standard_dirichlet(alpha: Any) -> Any:
    """Draw points of the simplex, one to each row of concentrations."""
    if alpha.dtype.itemsize < 4:
        return StandardDirichlet.apply(alpha.float().contiguous()).to(alpha.dtype)
    return StandardDirichlet.apply(alpha.contiguous())


__all__ = ["standard_dirichlet", "standard_gamma"]
