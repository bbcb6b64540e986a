"""Shapes beside torch: views and copies, joining and splitting, diagonals, repeating; what shares memory; errors."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest

import retrograd
from retrograd.tensor.dispatch import FUNCTIONS, METHODS

torch = pytest.importorskip("torch")

from parity.tables import check_forward, compare, make, outcome  # noqa: E402  (below the check for torch)

FAMILY = ("shaping", "strides", "joining", "diagonals", "repeating")


def numbers(*shape: int) -> Any:
    return np.arange(1.0, 1.0 + int(np.prod(shape))).reshape(shape)


INPUTS: dict[str, Any] = {
    "scalar": (2.5,),
    "vector": (numbers(6),),
    "matrix": (numbers(4, 6),),
    "square": (numbers(4, 4),),
    "cube": (numbers(2, 3, 4),),
    "ones": (numbers(1, 3, 1),),
    "one": (numbers(1, 1),),
    "four": (numbers(2, 1, 3, 2),),
    "no rows": (np.zeros((0, 3)),),
    "no columns": (np.zeros((3, 0)),),
    "nothing": (np.zeros(0),),
    "turned": (numbers(4, 6), "float64", "turned"),
    "turned cube": (numbers(2, 3, 4), "float64", "turned"),
    "stepped": (numbers(4, 6), "float64", "stepped"),
    "expanded": (numbers(4, 6), "float64", "expanded"),
}
# every call is made on every input: most fail on some, and fail as torch fails
VIEWS: dict[str, Any] = {
    **{
        f"view{s}": (lambda t, x, s=s: x.view(*s))
        for s in ((-1,), (4, 6), (2, -1), (6, 4), (3, 8), (1, -1, 1), (0, -1), (2, 2, 6), (-1, -1), (-2, 3))
    },
    **{
        f"reshape{s}": (lambda t, x, s=s: x.reshape(s))
        for s in ((-1,), (4, 6), (2, -1), (24,), (1,), (), (-1, 0), (2, 12), (3, 2, 4))
    },
    "torch.reshape": lambda t, x: t.reshape(x, (x.numel(),)),
    "view(tuple)": lambda t, x: x.view((x.numel(),)),
    "view(int32)": lambda t, x: x.view(t.int32),
    "view(int64)": lambda t, x: x.view(t.int64),
    "view_as": lambda t, x: x.view_as(t.zeros(6, 4)),
    "reshape_as": lambda t, x: x.reshape_as(t.zeros(6, 4)),
    "permute(1, 0)": lambda t, x: x.permute(1, 0),
    "permute(2, 0, 1)": lambda t, x: t.permute(x, (2, 0, 1)),
    "permute(-1, 0, 1)": lambda t, x: x.permute((-1, 0, 1)),
    "permute(0, 0)": lambda t, x: x.permute(0, 0),
    "permute()": lambda t, x: x.permute(()),
    **{f"transpose{d}": (lambda t, x, d=d: t.transpose(x, *d)) for d in ((0, 1), (-1, 0), (0, 0), (1, 2), (0, 3))},
    "swapaxes": lambda t, x: t.swapaxes(x, 0, 1),
    "swapdims": lambda t, x: x.swapdims(-1, 0),
    "t": lambda t, x: x.t(),
    "T": lambda t, x: x.T,
    "mT": lambda t, x: x.mT,
    "movedim(0, -1)": lambda t, x: t.movedim(x, 0, -1),
    "movedim((0, 1), (1, 2))": lambda t, x: x.movedim((0, 1), (1, 2)),
    "moveaxis": lambda t, x: t.moveaxis(x, -1, 0),
    "movedim(repeated)": lambda t, x: x.movedim((0, 0), (1, 2)),
    "movedim(lengths)": lambda t, x: x.movedim((0, 1), (1,)),
    **{
        f"expand{s}": (lambda t, x, s=s: x.expand(*s))
        for s in ((2, -1, -1), (4, 6), (3, 4, 6), (-1,), (2, 3, 5), (6,), (-1, 6), (5,))
    },
    "expand_as": lambda t, x: x.expand_as(t.zeros(2, 4, 6)),
    "broadcast_to": lambda t, x: t.broadcast_to(x, (2, 4, 6)),
    "squeeze": lambda t, x: t.squeeze(x),
    **{f"squeeze({d})": (lambda t, x, d=d: x.squeeze(d)) for d in (0, -1, 1, (0, 2), 3)},
    **{f"unsqueeze({d})": (lambda t, x, d=d: t.unsqueeze(x, d)) for d in (0, -1, 1, 4, -5)},
    "flatten": lambda t, x: t.flatten(x),
    "flatten(1)": lambda t, x: x.flatten(1),
    "flatten(0, 1)": lambda t, x: x.flatten(0, 1),
    "flatten(1, 0)": lambda t, x: x.flatten(1, 0),
    "ravel": lambda t, x: t.ravel(x),
    "unflatten": lambda t, x: t.unflatten(x, -1, (2, -1)),
    "unflatten(0)": lambda t, x: x.unflatten(0, (2, 2)),
    "contiguous": lambda t, x: x.contiguous(),
    "narrow(0, 1, 2)": lambda t, x: t.narrow(x, 0, 1, 2),
    "narrow(-1, -2, 1)": lambda t, x: x.narrow(-1, -2, 1),
    "narrow(0, 0, 0)": lambda t, x: x.narrow(0, 0, 0),
    "select(0, 1)": lambda t, x: t.select(x, 0, 1),
    "select(-1, -1)": lambda t, x: x.select(-1, -1),
    "select(1, 9)": lambda t, x: x.select(1, 9),
    "unfold(0, 2, 1)": lambda t, x: x.unfold(0, 2, 1),
    "unfold(-1, 3, 2)": lambda t, x: x.unfold(-1, 3, 2),
    "unfold(0, 9, 1)": lambda t, x: x.unfold(0, 9, 1),
    "unfold(0, 1, 0)": lambda t, x: x.unfold(0, 1, 0),
    "diagonal": lambda t, x: t.diagonal(x),
    "diagonal(1)": lambda t, x: x.diagonal(1),
    "diagonal(-2, 1, 0)": lambda t, x: x.diagonal(-2, 1, 0),
    "diagonal(0, -2, -1)": lambda t, x: x.diagonal(0, -2, -1),
    "diagonal(9)": lambda t, x: x.diagonal(9),
    "diagonal(same)": lambda t, x: x.diagonal(0, 1, 1),
    "split(2)": lambda t, x: t.split(x, 2),
    "split(3, -1)": lambda t, x: x.split(3, -1),
    "split([1, 3])": lambda t, x: t.split(x, [1, 3]),
    "split([2, 4], 1)": lambda t, x: x.split([2, 4], dim=1),
    "split(0)": lambda t, x: x.split(0),
    "split(-1)": lambda t, x: x.split(-1),
    "split_with_sizes": lambda t, x: t.split_with_sizes(x, [2, 2]),
    "chunk(2)": lambda t, x: t.chunk(x, 2),
    "chunk(4, -1)": lambda t, x: x.chunk(4, dim=-1),
    "chunk(0)": lambda t, x: x.chunk(0),
    "tensor_split(3)": lambda t, x: t.tensor_split(x, 3),
    "tensor_split((1, 3), -1)": lambda t, x: x.tensor_split((1, 3), -1),
    "tensor_split(tensor)": lambda t, x: x.tensor_split(t.tensor([1, 2])),
    "tensor_split(0)": lambda t, x: x.tensor_split(0),
    "hsplit": lambda t, x: t.hsplit(x, 2),
    "hsplit([1, 2])": lambda t, x: t.hsplit(x, [1, 2]),
    "vsplit": lambda t, x: t.vsplit(x, 2),
    "dsplit": lambda t, x: x.dsplit(2),
    "unbind": lambda t, x: t.unbind(x),
    "unbind(-1)": lambda t, x: x.unbind(-1),
    "iter": lambda t, x: list(x),
    "atleast_1d": lambda t, x: t.atleast_1d(x),
    "atleast_2d": lambda t, x: t.atleast_2d(x),
    "atleast_3d": lambda t, x: t.atleast_3d(x, x),
    "broadcast_tensors": lambda t, x: t.broadcast_tensors(x, t.zeros(4, 1)),
    "as_strided": lambda t, x: t.as_strided(x, (2, 2), (2, 1), 1),
    "as_strided(no offset)": lambda t, x: x.as_strided((2,), (1,)),
    "meshgrid": lambda t, x: t.meshgrid(x, t.ones(2, dtype=x.dtype), indexing="ij"),
    "meshgrid(xy)": lambda t, x: t.meshgrid(x, t.ones(2, dtype=x.dtype), indexing="xy"),
    "meshgrid(bad)": lambda t, x: t.meshgrid(x, x, indexing="yx"),
    "unsafe_split": lambda t, x: t.unsafe_split(x, 2),
    "unsafe_chunk": lambda t, x: t.unsafe_chunk(x, 2),
    "unsafe_split_with_sizes": lambda t, x: t.unsafe_split_with_sizes(x, [2, 2]),
    "sum_to_size": lambda t, x: x.sum_to_size(1, 6),
}
COPIES: dict[str, Any] = {
    "clone": lambda t, x: t.clone(x),
    "clone(contiguous)": lambda t, x: x.clone(memory_format=t.contiguous_format),
    "cat": lambda t, x: t.cat([x, x * 2, x]),
    "cat(-1)": lambda t, x: t.cat((x, x), dim=-1),
    "cat(axis)": lambda t, x: t.concat([x, x + 1], 1),
    "concatenate": lambda t, x: t.concatenate([x], 0),
    "cat with nothing": lambda t, x: t.cat([t.zeros(0, dtype=x.dtype), x]),
    "stack": lambda t, x: t.stack([x, x * 2]),
    "stack(-1)": lambda t, x: t.stack((x, x), dim=-1),
    "stack(1)": lambda t, x: t.stack((x, x, x), 1),
    "hstack": lambda t, x: t.hstack([x, x]),
    "vstack": lambda t, x: t.vstack((x, x)),
    "row_stack": lambda t, x: t.row_stack((x, x)),
    "dstack": lambda t, x: t.dstack((x, x)),
    "column_stack": lambda t, x: t.column_stack((x, x)),
    "diag_embed": lambda t, x: t.diag_embed(x),
    "diag_embed(1, 0, 2)": lambda t, x: x.diag_embed(1, 0, 2),
    "diag_embed(-1, 1, 0)": lambda t, x: x.diag_embed(-1, 1, 0),
    "diag": lambda t, x: t.diag(x),
    "diag(1)": lambda t, x: x.diag(1),
    "diag(-2)": lambda t, x: x.diag(-2),
    "diagflat": lambda t, x: t.diagflat(x, 1),
    "tril": lambda t, x: t.tril(x),
    "tril(-1)": lambda t, x: x.tril(-1),
    "triu(1)": lambda t, x: t.triu(x, diagonal=1),
    "flip": lambda t, x: t.flip(x, (0,)),
    "flip(0, -1)": lambda t, x: x.flip(0, -1),
    "flip()": lambda t, x: x.flip(()),
    "flip(same)": lambda t, x: x.flip(0, 0),
    "fliplr": lambda t, x: t.fliplr(x),
    "flipud": lambda t, x: t.flipud(x),
    **{f"rot90({k})": (lambda t, x, k=k: t.rot90(x, k)) for k in (0, 1, 2, 3, -1)},
    "rot90(dims)": lambda t, x: x.rot90(1, (1, 2)),
    "rot90(same)": lambda t, x: x.rot90(1, (1, 1)),
    "roll(1)": lambda t, x: t.roll(x, 1),
    "roll(-2, 0)": lambda t, x: x.roll(-2, 0),
    "roll((1, 2), (0, 1))": lambda t, x: t.roll(x, (1, 2), (0, 1)),
    "roll(lengths)": lambda t, x: x.roll((1, 2), (0,)),
    "repeat(2)": lambda t, x: x.repeat(2),
    "repeat(2, 3)": lambda t, x: x.repeat(2, 3),
    "repeat((1, 2, 2))": lambda t, x: x.repeat((1, 2, 2)),
    "repeat(0, 1)": lambda t, x: x.repeat(0, 1),
    "tile": lambda t, x: t.tile(x, (2,)),
    "tile(2, 1, 2)": lambda t, x: x.tile(2, 1, 2),
    "repeat_interleave(2)": lambda t, x: t.repeat_interleave(x, 2),
    "repeat_interleave(2, 0)": lambda t, x: x.repeat_interleave(2, 0),
    "repeat_interleave(tensor)": lambda t, x: x.repeat_interleave(t.tensor([1, 0, 2, 3]), dim=0),
    "repeat_interleave(bad)": lambda t, x: x.repeat_interleave(t.tensor([1, 2]), dim=0),
    "block_diag": lambda t, x: t.block_diag(x, x),
    "cartesian_prod": lambda t, x: t.cartesian_prod(x, x),
    "combinations": lambda t, x: t.combinations(x),
    "combinations(replaced)": lambda t, x: t.combinations(x, 2, True),
    "narrow_copy": lambda t, x: t.narrow_copy(x, 0, 1, 2),
    "diagonal_scatter": lambda t, x: t.diagonal_scatter(x, t.zeros(4, dtype=x.dtype)),
    "select_scatter": lambda t, x: t.select_scatter(x, t.zeros(6, dtype=x.dtype), 0, 1),
    "slice_scatter": lambda t, x: t.slice_scatter(x, t.zeros(2, 6, dtype=x.dtype), 0, 1, 3),
    "as_strided_scatter": lambda t, x: t.as_strided_scatter(x.contiguous(), t.zeros(2, dtype=x.dtype), (2,), (2,), 1),
    "constant_pad_nd": lambda t, x: t.constant_pad_nd(x, (1, 2), 3.0),
    "gradient": lambda t, x: t.gradient(x) if min(x.shape, default=0) > 1 else x,
    "vander": lambda t, x: t.vander(x, 3),
    "vander(increasing)": lambda t, x: t.vander(x, increasing=True) if x.dim() == 1 else x,
    **{
        f"{n}_copy": (lambda t, x, n=n, a=a: getattr(t, f"{n}_copy")(x, *a))
        for n, a in {
            "view": ((24,),),
            "transpose": (0, 1),
            "t": (),
            "permute": ((1, 0),),
            "expand": ((2, 4, 6),),
            "squeeze": (),
            "unsqueeze": (0,),
            "select": (0, 1),
            "slice": (0, 1, 3),
            "split": (2,),
            "split_with_sizes": ([2, 2],),
            "unbind": (),
            "unfold": (0, 2, 1),
            "diagonal": (),
            "alias": (),
            "detach": (),
            "as_strided": ((2, 2), (2, 1)),
        }.items()
    },
}
NO_CASE = {"view_as_real_copy", "view_as_complex_copy"}  # of complex numbers
CONTIGUOUS = ("cat", "stack", "repeat", "tile", "clone", "contiguous", "concat", "diag_embed")
NO_GRADIENT = (
    "view(int32)",
    "view(int64)",
    "detach_copy",
    "vander",
    "vander(increasing)",
    "as_strided_scatter",
)  # torch's own are wrong


def named() -> set[str]:
    names = set()
    for name, fn in {**FUNCTIONS, **METHODS}.items():
        if inspect.unwrap(fn).__module__.rpartition(".")[2] in FAMILY:
            names.add(name)
    return names


def test_every_name_has_a_case() -> None:
    source = inspect.getsource(inspect.getmodule(test_every_name_has_a_case))  # type: ignore[arg-type]
    assert not {
        n
        for n in named() - NO_CASE
        if all(f"{k}.{n}(" not in source for k in "txy") and f'"{n.removesuffix("_copy")}": (' not in source
    }


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_values_strides_and_gradients(name: str) -> None:
    fn = {**VIEWS, **COPIES}[name]
    for kind, given in INPUTS.items():
        if name.startswith("view(int") and kind.startswith("no"):
            continue  # torch asks for strides of nothing
        try:
            if kind in ("stepped", "expanded") and name.startswith("as_strided"):
                continue  # no gradient here through a storage with gaps
            strides = name in VIEWS or name.startswith(CONTIGUOUS) or "_copy" in name
            compare(fn, given, grad=name not in NO_GRADIENT, strides=strides)
        except AssertionError as error:
            raise AssertionError(f"{name} of {kind}: {error}") from None


def written(t: Any, fn: Any, given: Any) -> Any:
    """Write into the first result and show what the input has become."""
    x = make(t, *given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        r = fn(t, x)
    first = r[0] if isinstance(r, (tuple, list)) else r
    if first.dim() and 0 in first.stride():
        return x
    first.fill_(7) if first.is_floating_point() else first.zero_()
    return x


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_shares_memory(name: str) -> None:
    fn = {**VIEWS, **COPIES}[name]
    for kind, given in INPUTS.items():
        if kind == "expanded" or isinstance(outcome(torch, fn, given), Exception):
            continue
        try:
            compare(lambda t, given=given: written(t, fn, given))
        except AssertionError as error:
            raise AssertionError(f"{name} of {kind}: {error}") from None


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_forward_mode(name: str) -> None:
    fn = {**VIEWS, **COPIES}[name]
    if name in NO_GRADIENT:
        return
    for given in (numbers(4, 6), numbers(2, 3, 4), numbers(6)):
        if not isinstance(outcome(retrograd, fn, given), Exception):
            check_forward(fn, given)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "bool", "complex64", "uint8"])
@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_dtypes(name: str, dtype: str) -> None:
    if "gradient" in name or "vander" in name:
        pytest.skip("arithmetic")
    compare({**VIEWS, **COPIES}[name], (numbers(4, 6) % 5, dtype))


def test_in_place() -> None:
    def change(t: Any, x: Any, call: Any) -> Any:
        y = x * 1
        r = call(y)
        assert r is y
        return y

    for call in (
        lambda y: y.t_(),
        lambda y: y.transpose_(0, 1),
        lambda y: y.unsqueeze_(1),
        lambda y: y.squeeze_(),
        lambda y: y.swapaxes_(0, 1),
        lambda y: y.swapdims_(0, 1),
        lambda y: y.unsqueeze_(0).squeeze_(0),
        lambda y: y.tril_(),
        lambda y: y.triu_(1),
        lambda y: y.unsqueeze_(0).squeeze_(0),
        lambda y: y.resize_(2, 2) if not y.requires_grad else y,
        lambda y: y.fill_diagonal_(3.0),
        lambda y: y.fill_diagonal_(3.0, wrap=True),
        lambda y: y.as_strided_((2, 2), (1, 2)),
    ):
        compare(lambda t, x, call=call: change(t, x, call), numbers(4, 6), grad=True)
        compare(lambda t, x, call=call: change(t, x, call), numbers(7, 2), grad=True)


def test_triangles_and_shapes() -> None:
    for fn in (
        lambda t: t.tril_indices(3, 4, 1),
        lambda t: t.triu_indices(3, 4, -1),
        lambda t: t.triu_indices(3, 3, 0, dtype=t.int32),
        lambda t: t.tril_indices(0, 3),
        lambda t: t.broadcast_shapes((2, 1), (3,), 1),
        lambda t: t.broadcast_shapes((2, 1), (3, 4)),
        lambda t: t.repeat_interleave(t.tensor([2, 0, 1])),
        lambda t: t.cat([]),
        lambda t: t.stack([]),
        lambda t: t.cat([t.zeros(2), 3]),
        lambda t: t.cat(t.zeros(2)),
        lambda t: t.cat([t.zeros(2, 3), t.zeros(3, 2)]),
        lambda t: t.cat([t.zeros(2, 3), t.zeros(3)]),
        lambda t: t.cat([t.zeros(2), t.zeros(())]),
        lambda t: t.stack([t.zeros(2), t.zeros(3)]),
        lambda t: t.cat([t.zeros(2), t.zeros(2)], 1),
        lambda t: t.cat([t.zeros(2), t.zeros(3)], out=t.zeros(0)),
        lambda t: t.stack([t.zeros(2), t.zeros(2)], out=t.zeros(2, 2)),
        lambda t: t.hstack([t.zeros(()), t.zeros(())]),
        lambda t: t.block_diag(t.ones(2, 2), t.ones(3), t.tensor(2.0)),
        lambda t: t.block_diag(t.ones(2, 2), t.ones(1, 2, 2)),
        lambda t: t.cartesian_prod(t.tensor([1, 2]), t.tensor([3, 4]), t.tensor([5])),
        lambda t: t.combinations(t.tensor([1, 2, 3, 4]), 3),
        lambda t: t.combinations(t.tensor([1, 2, 3]), 0),
        lambda t: t.atleast_2d([t.tensor(1.0), t.tensor([2.0])]),
        lambda t: t.meshgrid([t.arange(2), t.arange(3)], indexing="xy"),
        lambda t: t.zeros(2, 3).size(2),
        lambda t: t.zeros(2, 3).stride(),
        lambda t: t.zeros(2, 3).stride(1),
        lambda t: t.zeros(2, 1, 3).transpose(0, 2).stride(),
        lambda t: t.zeros(2, 0, 3).stride(),
        lambda t: t.zeros(4, 6)[1:, ::2].stride(),
        lambda t: t.zeros(4, 6)[1:, ::2].storage_offset(),
        lambda t: t.zeros(3, 1)[:, :1].expand(3, 4).stride(),
        lambda t: t.zeros(6)[None, :, None].stride(),
        lambda t: t.zeros(2, 3).t().contiguous().is_contiguous(),
        lambda t: t.cat([t.zeros(2, 3).t(), t.zeros(2, 3).t()]).stride(),
        lambda t: t.stack([t.zeros(2, 3).t(), t.zeros(2, 3).t()], 1).stride(),
        lambda t: t.zeros(2, 3).squeeze("a"),
        lambda t: t.reshape([1, 2], (2,)),
        lambda t: t.zeros(2).view(),
        lambda t: t.zeros(2).reshape("a"),
        lambda t: t.zeros(4).view(2.0, 2),
        lambda t: t.roll(t.arange(6).reshape(2, 3), (1, -1), (1, 0)),
    ):
        compare(fn)
