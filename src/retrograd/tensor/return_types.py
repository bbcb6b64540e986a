"""The named tuples that functions of several results give, printed as torch prints them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _make(name: str, *fields: str) -> Any:
    """Make the named tuple of one function; it also takes its parts as one sequence, as torch's does."""
    made_of: Any = namedtuple
    base = made_of(name, fields)

    def new(cls: Any, *parts: Any) -> Any:
        if len(parts) == 1 and len(fields) != 1:
            parts = tuple(parts[0])
        if len(parts) != len(fields):
            raise TypeError(f"torch.return_types.{name}() takes a {len(fields)}-sequence ({len(parts)}-sequence given)")
        return tuple.__new__(cls, parts)

    def show(self: Any) -> str:
        lines = ",\n".join(f"{f}={v!r}" for f, v in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n{lines})"

    def reduce(self: Any) -> Any:
        return type(self), (tuple(self),)

    made: Any = type(
        name, (base,), {"__slots__": (), "__new__": new, "__repr__": show, "__reduce__": reduce, "__module__": __name__}
    )
    return made


_VALUES = ("values", "indices")
aminmax = _make("aminmax", "min", "max")
cummax = _make("cummax", *_VALUES)
cummin = _make("cummin", *_VALUES)
frexp = _make("frexp", "mantissa", "exponent")
geqrf = _make("geqrf", "a", "tau")
histogram = _make("histogram", "hist", "bin_edges")
histogramdd = _make("histogramdd", "hist", "bin_edges")
kthvalue = _make("kthvalue", *_VALUES)
max = _make("max", *_VALUES)
median = _make("median", *_VALUES)
min = _make("min", *_VALUES)
mode = _make("mode", *_VALUES)
nanmedian = _make("nanmedian", *_VALUES)
sort = _make("sort", *_VALUES)
svd = _make("svd", "U", "S", "V")
topk = _make("topk", *_VALUES)
qr = _make("qr", "Q", "R")
linalg_cholesky_ex = _make("linalg_cholesky_ex", "L", "info")
linalg_eig = _make("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = _make("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = _make("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor = _make("linalg_ldl_factor", "LD", "pivots")
linalg_ldl_factor_ex = _make("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = _make("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = _make("linalg_lu", "P", "L", "U")
linalg_lu_factor = _make("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = _make("linalg_lu_factor_ex", "LU", "pivots", "info")
linalg_qr = _make("linalg_qr", "Q", "R")
linalg_slogdet = _make("linalg_slogdet", "sign", "logabsdet")
linalg_solve_ex = _make("linalg_solve_ex", "result", "info")
linalg_svd = _make("linalg_svd", "U", "S", "Vh")
lu_unpack = _make("lu_unpack", "P", "L", "U")
slogdet = _make("slogdet", "sign", "logabsdet")
triangular_solve = _make("triangular_solve", "solution", "cloned_coefficient")
