"""Parametrizations: weights that are orthogonal, of spectral norm 1, or split into lengths and directions."""

from __future__ import annotations

import enum
from typing import Any

from ...core import dtypes
from ...core.mode import no_grad
from ...tensor import Tensor
from ...tensor.functions.decompositions import householder_product
from ...tensor.functions.linear_algebra import solve
from .. import _functions as T
from .. import functional as F
from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from . import parametrize

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _weight_of(module: Any, name: str) -> Any:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


# -- orthogonal ------------------------------------------------------------------------------------------------------
def _is_orthogonal(q: Any) -> bool:
    n, k = q.shape[-2:]
    eye = T.eye(k, dtype=q.dtype)
    return bool(T.allclose(q.mH @ q, eye, atol=10.0 * n * dtypes.finfo(q.dtype).eps))


def _make_orthogonal(a: Any) -> Any:
    """Give the Q of a = QR in which R has a positive diagonal, so that an orthogonal ``a`` comes back."""
    x, tau = T.geqrf(a)
    q = householder_product(x, tau)
    return q * x.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(enum.Enum):
    matrix_exp = enum.auto()
    cayley = enum.auto()
    householder = enum.auto()


class _Orthogonal(Module):
    """A map of all matrices onto the orthogonal ones, perhaps moved so that any of them is where it starts."""

    base: Any

    def __init__(self, weight: Any, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        """Give an orthogonal matrix: Q^H Q = 1 (Q Q^H = 1 where it is wide)."""
        wide = X.shape[-2] < X.shape[-1]
        x = X.mT if wide else X
        q = self._by_reflections(x) if self.orthogonal_map is _OrthMaps.householder else self._by_skew(x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def _by_reflections(self, x: Any) -> Any:
        below = x.tril(-1)
        tau = 2.0 / (1.0 + (below * below).sum(-2))
        signs = x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        return householder_product(below, tau) * signs

    def _by_skew(self, x: Any) -> Any:
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = T.cat([x, x.new_zeros(n, n - k).expand(*x.shape[:-2], -1, -1)], -1)
        skew = x - x.mH
        if self.orthogonal_map is _OrthMaps.matrix_exp:
            q = T.matrix_exp(skew)
        else:
            eye = T.eye(n, dtype=skew.dtype)
            q = solve(eye - 0.5 * skew, eye + 0.5 * skew)
        return q[..., :k] if n != k else q

    def right_inverse(self, Q: Any) -> Any:
        """Make ``Q``, made orthogonal if need be, the value; ValueError for another shape."""
        with no_grad():
            return self._inverse(Q)

    def _inverse(self, Q: Any) -> Any:
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        wide = Q.shape[-2] < Q.shape[-1]
        q = Q.mT if wide else Q
        if hasattr(self, "base"):
            self.base = self._completed(q)
            start = T.zeros_like(Q)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start
        if self.orthogonal_map is not _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        a, tau = T.geqrf(q)
        diagonal = a.diagonal(dim1=-2, dim2=-1)
        diagonal.copy_(T.where(tau == 0.0, -diagonal.sign(), diagonal.sign()))
        return a.mT if wide else a

    def _completed(self, q: Any) -> Any:
        """Make a tall matrix orthogonal and, by random columns, square."""
        n, k = q.shape[-2:]
        if n == k:
            return q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        more = T.randn(*q.shape[:-2], n, n - k, dtype=q.dtype)
        return _make_orthogonal(T.cat([q, more], -1))


def orthogonal(
    module: Any, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Any:
    """Keep a weight's matrices orthogonal: the columns of a tall one, the rows of a wide one, are orthonormal.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name.
    orthogonal_map : str, optional
        "matrix_exp": exp(A) of a skew A; "cayley": (1 - A / 2)^-1 (1 + A / 2); "householder": a product of
        reflections. Left out, "matrix_exp" for square or complex matrices and "householder" for others.
    use_trivialization : bool
        Multiply by a fixed orthogonal matrix, so that the weight starts as its value made orthogonal.

    Raises
    ------
    ValueError
        If there is no such weight, it has fewer than two dimensions, or the map is none of the three.

    References
    ----------
    Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", 2019.

    Examples
    --------
    >>> import retrograd as torch
    >>> q = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(2, 3)).weight
    >>> torch.allclose(q.T @ q, torch.eye(2), atol=1e-6)
    True
    """
    weight = _weight_of(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1) or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    chosen = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, chosen, unsafe=True)
    return module


# -- lengths and directions ------------------------------------------------------------------------------------------
class _WeightNorm(Module):
    """A weight of lengths g and directions v: w = g v / |v|."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """Give the weight."""
        return T._weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """Give lengths and directions of a weight."""
        return T.norm_except_dim(weight, 2, self.dim), weight


class _OldWeightNormKeys:
    """Before loading: keys of the older `nn.utils.weight_norm` become those of the parametrization."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{self.name}{suffix}" for suffix in ("_g", "_v")]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{self.name}.original{i}"] = state_dict.pop(key)


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Split a weight into lengths and directions, both trained: w = g v / |v|.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name; lengths and directions are ``parametrizations.<name>.original0`` and ``original1``.
    dim : int, optional
        The dimension whose entries have a length each; None for one length.

    References
    ----------
    Salimans and Kingma, "Weight normalization", 2016.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> layer.parametrizations.weight.original0.shape
    torch.Size([2, 1])
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_OldWeightNormKeys(name))
    return module


# -- spectral norm ---------------------------------------------------------------------------------------------------
class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which a few steps of the power method follow."""

    _u: Any
    _v: Any

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % ndim, eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight)
            drawn = [matrix.new_empty(n).normal_(0, 1) for n in matrix.shape]
            for buffer, start in zip(("_u", "_v"), drawn, strict=True):
                self.register_buffer(buffer, F.normalize(start, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Any) -> Any:
        return weight.movedim(self.dim, 0).flatten(1)

    def _power_method(self, matrix: Any, n_power_iterations: int) -> None:
        with no_grad():
            for _ in range(n_power_iterations):
                self._u.copy_(F.normalize(T.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(T.mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        """Give the weight divided by its norm; while training, after more steps of the power method."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # copies, so that two calls can go backward although the vectors move between them
        u, v = self._u.clone(), self._v.clone()
        return weight / T.vdot(u, T.mv(matrix, v))

    def right_inverse(self, value: Any) -> Any:
        """Take a value as it is."""
        return value


def transposed(module: Any) -> bool:
    """Tell whether a layer's second dimension, not its first, is that of its outputs."""
    return isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a weight, as a matrix, by its largest singular value: W / sigma(W).

    sigma is u^T W v, with u and v (buffers) from the power method, which goes on whenever the weight is read in
    training mode. A vector is divided by its length.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name.
    n_power_iterations : int
        Steps of the power method at each reading.
    eps : float
        The least length that is divided by.
    dim : int, optional
        The dimension of the matrix's rows: 0, for transposed convolutions 1.

    References
    ----------
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 2))
    >>> sorted(layer.state_dict())[1:]  # doctest: +NORMALIZE_WHITESPACE
    ['parametrizations.weight.0._u', 'parametrizations.weight.0._v', 'parametrizations.weight.original']
    """
    weight = _weight_of(module, name)
    rows = int(transposed(module)) if dim is None else dim
    made = _SpectralNorm(weight, n_power_iterations, rows, eps)
    return parametrize.register_parametrization(module, name, made)
