"""Reversible layers: activations are computed back from outputs, so that memory does not grow with depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import MODE, finfo, no_grad, show_type
from ...core.dtypes import bfloat16, float16
from ...random.generator import default_generator
from ...random.snapshot import Snapshot
from .container import _Numbered
from .module import Module
from .reversal import coupled_run, halves, joined, run, same_draws, tupled, undone

__all__ = ["InvertibleModule", "Reversible", "ReversibleSequence"]


class InvertibleModule(Module):
    """A module whose inputs can be computed from its outputs.

    Subclasses define ``forward(*xs)`` and ``inverse(*ys)``, each giving a tensor or a tuple of tensors; ``inverse`` has to give the
    inputs back. In a ``ReversibleSequence`` such a module keeps no activations.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> class Shift(nn.InvertibleModule):
    ...     def forward(self, x):
    ...         return x + 1
    ...
    ...     def inverse(self, y):
    ...         return y - 1
    >>> Shift().check_inverse(torch.zeros(3))
    0.0
    """

    coupled = False  # whether it is undone and run again in one

    def inverse(self, *ys: Any) -> Any:
        """Give the inputs that these outputs come from."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse: define inverse(self, *ys)")

    def run_noting_draws(self, xs: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """Give the outputs, and the random state from before if numbers were drawn (library use)."""
        before = Snapshot(default_generator)
        ys = tupled(self(*xs))
        return ys, before if before.moved() else None

    def check_inverse(self, *xs: Any, tolerance: float | None = None) -> float:
        """Give the largest error of the inputs that come back from the outputs.

        Parameters
        ----------
        *xs : Tensor
            Inputs to try.
        tolerance : float, optional
            The largest error allowed, relative to the largest input: 0.001, or four roundings of a coarser dtype.

        Raises
        ------
        ValueError
            When the error is larger; it names the input, the place and both values.
        """
        with no_grad(), same_draws([self]):
            ys, random = self.run_noting_draws(xs)
            back = undone(self, list(ys), random)
        if len(back) != len(xs):
            raise ValueError(f"{type(self).__name__}.inverse gives {len(back)} tensors for {len(xs)} inputs")
        worst = 0.0
        if tolerance is None:
            tolerance = max(1e-3, *(4 * finfo(x.dtype).eps for x in xs if x.is_floating_point()), 0.0)
        limit = tolerance * max((float(np.abs(x._a).max()) for x in xs if x._a.size), default=0.0)
        for i, (x, b) in enumerate(zip(xs, back, strict=True)):
            if b.shape != x.shape:
                raise ValueError(
                    f"{type(self).__name__}.inverse gives {show_type(b)} for input {i}, which was {show_type(x)}"
                )
            a, again = x._a.astype(np.float64), b._a.astype(np.float64)
            errors = np.abs(again - a)
            error = float(errors.max()) if errors.size else 0.0
            worst = max(worst, error)
            if not error <= limit:
                where = tuple(int(k) for k in np.unravel_index(int(np.nanargmax(errors)), a.shape))
                raise ValueError(
                    f"{type(self).__name__} is not invertible: input {i} comes back with an error of {error:.3g}, the largest of {a.size}, at "
                    f"{list(where)}, where {a[where]:.6g} became {again[where]:.6g} (allowed: {limit:.3g}). Its inverse is wrong, or it loses "
                    "what it should give back: a ReLU, a scale near 0, a draw that differs."
                )
        return worst


class Reversible(InvertibleModule):
    """Two halves that are changed in turn, each by a function of the other (a coupling layer).

    Additive: y1 = x1 + f(x2), y2 = x2 + g(y1) (Gomez et al. 2017). Affine: f gives (s, t) side by side along ``dim``, and
    y1 = x1 exp(tanh s) + t, y2 likewise by g(y1) (Dinh et al. 2017). ``f`` and ``g`` are any modules that keep the shape (affine: double
    ``dim``); they need no inverse.

    Parameters
    ----------
    f, g : Module
    coupling : str
        "additive" or "affine".
    dim : int
        The dimension in which a single input is halved, and (s, t) lie side by side.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> layer = nn.Reversible(nn.Linear(2, 2), nn.Linear(2, 2))
    >>> x = torch.randn(3, 4)
    >>> torch.allclose(layer.inverse(layer(x)), x, atol=1e-5)
    True
    """

    coupled = True

    def __init__(self, f: Any, g: Any, coupling: str = "additive", dim: int = 1) -> None:
        super().__init__()
        if coupling not in ("additive", "affine"):
            raise ValueError(f"Reversible: coupling is 'additive' or 'affine', not {coupling!r}")
        self.f, self.g, self.coupling, self.dim = f, g, coupling, dim

    def extra_repr(self) -> str:
        """Show the coupling."""
        return f"coupling={self.coupling!r}, dim={self.dim}"

    def forward(self, *xs: Any) -> Any:
        """Change the first half by the second, then the second by the first."""
        x1, x2 = halves(xs, self.dim)
        y1 = self.couple(x1, self.f(x2))
        y2 = self.couple(x2, self.g(y1))
        return joined(xs, y1, y2, self.dim)

    def inverse(self, *ys: Any) -> Any:
        """Undo the two changes, last first."""
        y1, y2 = halves(ys, self.dim)
        x2 = self.uncouple(y2, self.g(y1))
        x1 = self.uncouple(y1, self.f(x2))
        return joined(ys, x1, x2, self.dim)

    def run_noting_draws(self, xs: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """Give the outputs, and the random states from before f and before g, where these drew (library use)."""
        return coupled_run(self, xs)

    def couple(self, x: Any, h: Any) -> Any:
        """Change one half by what the function gave."""
        if self.coupling == "additive":
            return x + h
        s, t = h.chunk(2, self.dim)
        return x * s.to(x.dtype).tanh().exp() + t  # in the dtype of x, so that the two factors undo each other

    def uncouple(self, y: Any, h: Any) -> Any:
        """Undo the change."""
        if self.coupling == "additive":
            return y - h
        s, t = h.chunk(2, self.dim)
        return (y - t) * (-s.to(y.dtype).tanh()).exp()


class ReversibleSequence(_Numbered):
    """Invertible modules one after the other, of which only the last one's output is kept for the backward walk.

    The walk computes each module's inputs back from its outputs, so that memory is the same for any depth. A ``Reversible`` is undone and
    run again in one, so that a step costs a third more than one that keeps everything; another ``InvertibleModule`` is inverted first.
    Random numbers are drawn again as they were, and buffers (running means) are left as the first run made them.

    Parameters
    ----------
    *blocks : InvertibleModule
    check : bool
        Whether the first run with gradients tries every block's inverse on its real input; ValueError names one that has none.

    Notes
    -----
    Halves are made and joined once for the whole sequence. Under ``create_graph`` the blocks run as ordinary ones, from inputs that are
    computed back. In compiled code the walk back is part of the graph; random numbers are drawn again there too.
    Under autocast the values between blocks are float32, as sums in a coarser dtype cannot be undone: blocks' functions are cast, their
    sums are not.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> net = nn.ReversibleSequence(*[nn.Reversible(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(3)])
    >>> x = torch.randn(5, 4, requires_grad=True)
    >>> net(x).sum().backward()
    >>> x.grad.shape
    torch.Size([5, 4])
    """

    def __init__(self, *blocks: Any, check: bool = True) -> None:
        super().__init__()
        for i, block in enumerate(blocks):
            if not isinstance(block, InvertibleModule):
                raise TypeError(
                    f"ReversibleSequence: block {i} is a {type(block).__name__}, which has no inverse; give InvertibleModules, such as Reversible(f, g)"
                )
            self.add_module(str(i), block)
        self.check = check

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ReversibleSequence(*list(self._modules.values())[index], check=self.check)
        return self._modules[self._key(index)]

    def inverse(self, *ys: Any) -> Any:
        """Give the inputs that these outputs come from."""
        return self._whole(ys, list(self._modules.values())[::-1], True)

    def forward(self, *xs: Any) -> Any:
        """Apply the blocks in order."""
        blocks: list[Any] = list(self._modules.values())
        if MODE.autocast is not None:
            xs = tuple([x.float() if x.dtype in (float16, bfloat16) else x for x in xs])
        compiling = getattr(MODE.trace, "compiling", False)
        if not MODE.grad or (MODE.trace is not None and not compiling) or not blocks:
            return self._whole(xs, blocks, False)
        dim = self._halved(xs, blocks)
        given = xs if dim is None else halves(xs, dim)
        if not any(x.requires_grad for x in given) and not any(p.requires_grad for p in self.parameters()):
            return self._whole(xs, blocks, False)
        if compiling:
            from .reversal_traced import run_traced

            ys = run_traced(blocks, tuple(given))
            return joined(xs, ys[0], ys[1], dim) if dim is not None else ys if len(ys) > 1 else ys[0]
        if self.check:
            with no_grad():
                _tried(blocks, given)
            self.check = False
        ys = run(blocks, given)
        return joined(xs, ys[0], ys[1], dim) if dim is not None else ys if len(ys) > 1 else ys[0]

    @staticmethod
    def _halved(xs: Sequence[Any], blocks: list[Any]) -> int | None:
        """Give the dimension in which a single input is halved for all blocks, if they agree on one."""
        dims = {b.dim if isinstance(b, Reversible) else None for b in blocks}
        return dims.pop() if len(xs) == 1 and len(dims) == 1 else None

    def _whole(self, xs: Sequence[Any], blocks: list[Any], back: bool) -> Any:
        dim = self._halved(xs, blocks)
        values = tuple(xs) if dim is None else halves(xs, dim)
        for block in blocks:
            values = tupled(block.inverse(*values) if back else block(*values))
        return joined(xs, values[0], values[1], dim) if dim is not None else values if len(values) > 1 else values[0]


def _tried(blocks: list[Any], values: tuple[Any, ...]) -> None:
    """Check every block's inverse on what it is given, leaving draws and buffers as they were."""
    with same_draws(blocks):
        for block in blocks:
            block.check_inverse(*values)
            values = tupled(block(*values))
