"""How torch's functions reach the ops: registration as functions and methods, promotion of dtypes, in-place and out= forms."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from ..core import (
    MODE,
    BaseTensor,
    Op,
    Storage,
    apply,
    assign,
    at,
    check_writable,
    here,
    promote_types,
    show_call,
    wrap,
)
from ..core import dtypes as _d
from ..core.errors import name_the_call, not_a_tensor
from ..core.large import LARGE
from ..core.node import composition, next_seq
from ..core.rows import SparseOperand
from ..core.types import RememberingNumber
from ..ops.elementwise import cast
from .numpy_names import taking_both, translated
from .protocol import met

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}  # torch.<name>
METHODS: dict[str, Callable[..., Any]] = {}  # Tensor.<name>


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


BOOL, INT64 = np.dtype(np.bool_), np.dtype(np.int64)


def function(
    *names: str,
    method: bool = True,
    inplace: bool = False,
    torch: bool = True,
    out: bool = True,
    exact: bool = False,
    shown: str = "",
) -> Callable[[F], F]:
    """Register a function as ``torch.<name>`` (with ``out=``), as a Tensor method, and, if asked, as ``<name>_``.

    Parameters
    ----------
    *names
        Its names; its own name (without a trailing underscore) if none is given.
    method
        Whether it is a Tensor method.
    inplace
        Whether there is a form that writes the result into the first argument.
    torch
        Whether it is a function of the module.
    out
        Whether the module's function takes ``out=``.
    exact
        Whether ``out`` must have the result's very dtype.
    shown
        The name that torch prints for the result's ``grad_fn``, of a function that is composed of operations with names of their own.
    """

    def register(fn: F) -> F:
        fn = shown_as(shown)(fn) if shown else fn
        for name in names or (fn.__name__.rstrip("_"),):
            if torch:
                FUNCTIONS[name] = with_out(fn, name, exact) if out else taking_both(fn, __name__, name)
            if method:
                METHODS[name] = taking_both(fn, "retrograd", f"Tensor.{name}")
            if inplace:
                METHODS[f"{name}_"] = in_place(METHODS.get(name, fn), name)
                if torch:
                    FUNCTIONS[f"{name}_"] = METHODS[f"{name}_"]
        return fn

    return register


# torch's functions that do not cast their result to the dtype of ``out=``
_EXACT = """addbmm addmm addmv aminmax baddbmm bmm complex cross cummax cummin diag dot frexp gather histc histogram index_add
index_copy index_reduce index_select inner kthvalue log_softmax logcumsumexp lu_solve masked_select matmul max min mm mode
msort multinomial mv nanquantile nonzero norm ormqr polar qr quantile renorm scatter scatter_add scatter_reduce searchsorted
slice_scatter softmax sort svd take take_along_dim tensordot topk triangular_solve tril triu vdot where
linalg_: cholesky cholesky_ex cross det eigh eigvalsh inv inv_ex ldl_factor ldl_factor_ex ldl_solve lu_factor lu_factor_ex
lu_solve matrix_norm matrix_power multi_dot norm qr slogdet solve solve_ex solve_triangular svd svdvals vecdot vector_norm"""
_PLAIN, _, _LINALG = _EXACT.partition("linalg_:")
EXACT_OUT = frozenset([*_PLAIN.split(), *(f"linalg_{name}" for name in _LINALG.split())])


def labelled(result: Any, name: str, given: Iterable[Any] | None = None) -> Any:
    """Give a result whose ``grad_fn`` prints under torch's name for the function; with its arguments, it leads to their nodes."""
    node = result._node
    if node is not None and node.op is not None:
        node.label = name if given is None else composition(name, given)
    return result


def shown_as(name: str) -> Callable[[F], F]:
    """Let the tensors that a function makes have a ``grad_fn`` that prints under a name."""

    def make(fn: F) -> F:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            r = fn(*args, **kwargs)
            if not isinstance(r, BaseTensor) or (args and r is args[0]):
                return r
            return labelled(r, name, (*args, *kwargs.values()))

        return call  # type: ignore[return-value]

    return make


def with_out(fn: Callable[..., Any], name: str, exact: bool = False) -> Callable[..., Any]:
    """Give the form with ``out=``, which writes the result into a given tensor, resizing it if need be."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs or "out" not in kwargs:
            try:
                return fn(*args, **kwargs)
            except TypeError:
                again = translated(fn, kwargs) if kwargs else None
                if again is None:
                    if met((*args, *kwargs.values())):
                        return call(*args, **kwargs)
                    raise
                kwargs, wrong = again, None
            except AttributeError as error:
                if met((*args, *kwargs.values())):
                    return call(*args, **kwargs)
                wrong = not_a_tensor(error, name, args, inspect.signature(fn).parameters)
                if wrong is None:
                    raise
            except SparseOperand:
                return with_sparse(name, args, kwargs)
            except (IndexError, RuntimeError, ValueError) as error:
                name_the_call(error, name, args)
                raise
            if wrong is None:  # refused for NumPy's names of the arguments, which are torch's now
                return call(*args, **kwargs)
            raise wrong
        out = kwargs.pop("out")
        kwargs = translated(fn, kwargs) or kwargs
        if out is None:
            return fn(*args, **kwargs)
        d = MODE.autocast
        if d is None:
            r = fn(*args, **kwargs)
        else:  # autocast has no part in forms with out=
            MODE.autocast = None
            MODE.settle()
            try:
                r = fn(*args, **kwargs)
            finally:
                MODE.autocast = d
                MODE.settle()
        if exact or name in EXACT_OUT:
            for o, part in zip(out, r, strict=True) if isinstance(r, tuple) else ((out, r),):
                if isinstance(o, BaseTensor) and part._a.dtype != o._a.dtype:
                    raise RuntimeError(
                        f"Expected out tensor to have dtype {part.dtype}, but got {o.dtype} instead: {name} writes into out= "
                        f"of its result's dtype only{at(here())}"
                    )
        return write_out(out, r, name)

    call.__module__, call.__qualname__ = (
        __name__,
        name,
    )  # where pickle finds it: multiprocessing sends functions by name
    call.__name__ = name
    return call


def write_out(out: Any, result: Any, name: str) -> Any:
    """Write results into the tensors given as ``out=``."""
    if isinstance(result, tuple):
        done = [write_out(o, r, name) for o, r in zip(out, result, strict=True)]
        return type(result)(*done) if hasattr(result, "_fields") else type(result)(done)
    if not isinstance(out, BaseTensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if MODE.grad and (
        (out._node is not None and out._node.requires_grad) or (result._node is not None and result._node.requires_grad)
    ):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad."
        )
    if not castable(result._a.dtype, out._a.dtype) and name != "bernoulli":  # whose ones and zeros fit anywhere
        kind = TypeError if name in ("cat", "concat", "concatenate") else RuntimeError
        raise kind(
            f"result type {type_name(result._a.dtype)} can't be cast to the desired output type "
            f"{type_name(out._a.dtype)} "
            f"({name} with out=){at(here())}"
        )
    if out._a.size and any(s == 0 and n > 1 for s, n in zip(out._a.strides, out._a.shape, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            f"Please clone() the tensor before performing the operation: {name} with out= of strides {out.stride()}{at(here())}"
        )
    if out._a.shape != result._a.shape:
        out._a = np.empty(result._a.shape, out._a.dtype)
        out._s.root = out._a
        out._base = None
        if MODE.trace is not None:
            out._node = None
            MODE.trace.made(out)
    if MODE.trace is not None or MODE.dual is not None:
        r = result if result._a.dtype == out._a.dtype else cast(result, dtype=out._a.dtype)
        return assign(out, r, name)
    np.copyto(out._a, result._a, casting="unsafe")
    out._s.version += 1
    return out


def in_place(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Give the in-place form: compute, then write the result into the first argument with its history."""

    shown = f"{name}_"

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_writable(self, shown)
        if name in ("abs", "absolute") and self._a.dtype.kind == "c":
            raise RuntimeError("In-place abs is not supported for complex tensors.")
        before = next_seq() if MODE.grad else None
        if self._a.size >= LARGE and name in STRAIGHT_THERE and _is_silent(self, args, kwargs):
            MODE.target = self._a
        try:
            r = fn(self, *args, **kwargs)
        except NotImplementedError as error:
            d = getattr(error, "dtype", None)
            if d is not None and not castable(d.numpy, self._a.dtype):
                raise uncastable(d.numpy, self._a.dtype, shown) from None
            raise
        finally:
            MODE.target = None
        if before is not None:
            keep_overwritten(self, r, args, before)
        return finish_in_place(self, r, shown)

    method.__name__ = method.__qualname__ = shown
    method.__doc__ = f"Write the result of ``{name}`` into this tensor; give the tensor."
    return method


# whose last operation, an elementwise one, is the only one that reads the tensor: its result may be written over it
STRAIGHT_THERE = {
    *(
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "abs",
        "square",
        "reciprocal",
        "sqrt",
        "rsqrt",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
    ),
    *(
        "log10",
        "log1p",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "sigmoid",
        "relu",
        "erf",
        "erfc",
        "floor",
        "ceil",
        "trunc",
    ),
    *("clamp", "multiply", "subtract", "true_divide", "divide", "negative", "absolute", "clip"),
}


def _is_silent(x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether nothing of an in-place operation is recorded, and no other operand shares the tensor's memory."""
    if MODE.special or (MODE.grad and x._node is not None and x._node.requires_grad):
        return False
    for other in (*args, *kwargs.values()):
        if isinstance(other, BaseTensor) and (
            other._s is x._s
            or other._a.dtype != x._a.dtype
            or (other._a.ndim and other._a.shape != x._a.shape)  # what raises leaves the tensor as it was
            or (MODE.grad and other._node is not None and other._node.requires_grad)
            or np.may_share_memory(other._a, x._a)
        ):
            return False
    return True


def keep_overwritten(self: Any, r: Any, args: tuple[Any, ...] = (), before: int = 0) -> None:
    """Let the rules of an in-place operation read a copy of the value that it overwrites.

    Only nodes made after number ``before`` belong to the operation. Nothing is copied where another operand is the same memory
    (``y *= y``): as in torch, its gradient is then an error.
    """
    node, storage = r._node, self._s
    if node is None or not node.requires_grad or any(isinstance(x, BaseTensor) and x._s is storage for x in args):
        return
    copy = None
    pending, seen = [node], set()
    while pending:
        node = pending.pop()
        if node is None or node.seq <= before or node.seq in seen:
            continue
        seen.add(node.seq)
        pending.extend(node.inputs)
        for i, entry in enumerate(node.saved if node.saved.__class__ is list else ()):
            if entry.__class__ is tuple and entry[1] is storage:
                if entry[0] is not self._a:  # another form of the tensor
                    part = entry[0].copy()
                    node.saved[i] = (part, Storage(part), 0)
                    continue
                if copy is None:
                    kept = self._a.copy()
                    copy = (kept, Storage(kept), 0)
                node.saved[i] = copy


def finish_in_place(self: Any, r: Any, name: str, keep_old: bool = False) -> Any:
    """Check that a result fits the tensor that takes it, and write it."""
    a, b = self._a, r._a
    if b.shape != a.shape:
        raise RuntimeError(
            f"output with shape {list(a.shape)} doesn't match the broadcast shape {list(b.shape)} ({name}){at(here())}"
        )
    if b.dtype != a.dtype:
        if not castable(b.dtype, a.dtype):
            raise uncastable(b.dtype, a.dtype, name)
        r = cast(r, dtype=a.dtype)
    return assign(self, r, name, keep_old)


def uncastable(source: Any, target: Any, name: str) -> RuntimeError:
    """Make the error for a result whose kind of number the tensor that should take it has not."""
    return RuntimeError(
        f"result type {type_name(source)} can't be cast to the desired output type {type_name(target)} "
        f"({name}: use the out-of-place form, or convert the tensor first){at(here())}"
    )


def castable(source: Any, target: Any) -> bool:
    """Tell whether an in-place result of one dtype may be written into another: no fall to a lower kind of number."""
    s, t = _d.from_numpy(source), _d.from_numpy(target)
    return not (s.category > t.category or (s.category and not t.category))


_SCALAR_NAMES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def type_name(array_dtype: Any) -> str:
    """Give torch's old name of a scalar type: Float, Long, ..."""
    name = _d.from_numpy(array_dtype).name
    return _SCALAR_NAMES.get(name) or (name.capitalize() if name.startswith("float8") else name)


# -- operands ------------------------------------------------------------------------------------------------------------
def scalar(x: Any) -> Any:
    """Give a plain Python number for a number of any kind (NumPy's scalars among them), or None."""
    c = x.__class__
    if c is float or c is int or c is bool or c is complex:
        return x
    if isinstance(x, RememberingNumber):
        return x.plain()
    if isinstance(x, (bool, np.bool_)):
        return bool(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    if isinstance(x, (float, np.floating)):
        return float(x)
    if isinstance(x, (complex, np.complexfloating)):
        return complex(x)
    return None


def operand(x: Any, name: str, argument: str = "other") -> Any:
    """Give a Tensor or a Python scalar; TypeError for anything else."""
    if isinstance(x, BaseTensor):
        return x
    s = scalar(x)
    if s is not None:
        return s
    if isinstance(x, np.ndarray):
        return wrap(x)
    raise TypeError(f"{name}(): argument '{argument}' must be Tensor or Number, not {type(x).__name__}")


def one_tensor(x: Any, y: Any, name: str) -> None:
    """Raise TypeError where neither operand is a Tensor."""
    if not isinstance(x, BaseTensor) and not isinstance(y, BaseTensor):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({type(x).__name__}, {type(y).__name__}), but one "
            "of the two must be a Tensor: wrap it by torch.tensor(...)"
        )


def tensor_operand(x: Any, name: str, argument: str = "input", position: int = 1) -> Any:
    """Give a Tensor; TypeError for anything else."""
    if isinstance(x, BaseTensor):
        return x
    raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(x).__name__}")


def scalar_dtype(x: Any) -> _d.dtype:
    """Give the dtype a Python scalar has when it stands alone."""
    if isinstance(x, bool):
        return _d.bool_
    if isinstance(x, int):
        return _d.int64
    if isinstance(x, float):
        return _d.get_default_dtype()
    return _d.get_default_dtype().to_complex()


def result_type(*operands: Any) -> _d.dtype:
    """Give the dtype in which these are computed together.

    Tensors with dimensions decide; zero-dimensional tensors count only where they are of a higher kind (bool, integer, floating,
    complex), and Python scalars only above those.
    """
    best: list[_d.dtype | None] = [None, None, None]
    for x in operands:
        if isinstance(x, BaseTensor):
            d, rank = _d.from_numpy(x._a.dtype), 0 if x._a.ndim else 1
        else:
            d, rank = scalar_dtype(x), 2
        held = best[rank]
        best[rank] = d if held is None else promote_types(held, d)
    result = best[0]
    for rank, lower in enumerate(best[1:], 1):
        if lower is None:
            continue
        d = lower
        if result is None:
            result = d
        elif d.category > result.category:
            if result.category == _d.FLOATING:
                result = result.to_complex()
            else:
                result = d if rank == 2 or d.is_complex else promote_types(result, d)
    return result if result is not None else _d.get_default_dtype()


ANY, REAL, INEXACT, FLOATS, INTEGERS, BITS = "fcViub", "fViub", "fcV", "fV", "iu", "iub"  # kinds of NumPy's dtypes


def with_sparse(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function that met a sparse argument: its sparse form, or NotImplementedError."""
    from .sparse import call

    return call(name, args, kwargs)


def binary(op: Op, x: Any, y: Any, name: str, floating: bool = False, kinds: str = ANY, tensors: bool = False) -> Any:
    """Run an op of two operands in their common dtype.

    ``floating`` turns integers into the default floating dtype first; ``kinds`` are those of the dtypes that the function is
    for (NotImplementedError for the rest); ``tensors`` refuses plain numbers.
    """
    if isinstance(x, BaseTensor):
        try:
            a = x._a.dtype
            b = y._a.dtype if isinstance(y, BaseTensor) else None
        except SparseOperand:
            return with_sparse(name, (x, y), {})
        if b is not None:
            if a is b and a.kind in kinds and (not floating or a.kind in "fcV"):
                return apply(op, x, y)
        elif (
            (y.__class__ is float or y.__class__ is int)
            and a.kind == "f"
            and (a.itemsize > 2 or op not in BESIDE_NUMBERS)
            and not tensors
            and "f" in kinds
        ):
            return apply(op, x, y)
    if tensors:
        tensor_operand(x, name)
        tensor_operand(y, name, "other", 2)
    x, y = operand(x, name, "input"), operand(y, name)
    d = result_type(x, y)
    if floating and d.category < _d.FLOATING:
        d = _d.get_default_dtype()
    if d.numpy.kind not in kinds:
        raise refused(name, d, writes_bools=op.name in ("lt", "le", "gt", "ge"))
    if d.numpy.itemsize == 2 and d.category == _d.FLOATING and op in BESIDE_NUMBERS and _is_beside(d, x, y):
        return BESIDE_NUMBERS[op](x, y)
    return apply(op, *meet(d.numpy, x, y))


# by op: how a half precision beside a number is computed, which is not rounded then
BESIDE_NUMBERS: dict[Op, Callable[[Any, Any], Any]] = {}


def _is_beside(d: _d.dtype, x: Any, y: Any) -> bool:
    """Tell whether the second operand is a number, or a tensor of no dimensions and another dtype, and the first is not."""
    pair = [not isinstance(t, BaseTensor) or (not t._a.ndim and t._a.dtype != d.numpy) for t in (x, y)]
    return pair == [False, True]


def refused(name: str, d: _d.dtype, writes_bools: bool = False) -> NotImplementedError:
    """Make the error for a dtype that a function is not for."""
    shown = type_name(d.numpy)
    error = NotImplementedError(
        f"\"{name}_cpu\" not implemented for '{shown}': convert to another dtype first, such as by .to(){at(here())}"
    )
    if not writes_bools:
        error.dtype = d  # type: ignore[attr-defined]
    return error


def meet(d: Any, *xs: Any) -> list[Any]:
    """Cast tensors to one NumPy dtype, and scalars to what NumPy leaves weak in it."""
    made = []
    some = any(isinstance(x, BaseTensor) for x in xs)
    for x in xs:
        if isinstance(x, BaseTensor):
            made.append(x if x._a.dtype == d else cast(x, dtype=d))
        elif not some or not _weak(x, d):
            made.append(wrap(_scalar_array(x, d)))
            some = True
        else:
            made.append(x)
    return made


def _weak(x: Any, d: Any) -> bool:
    if d.kind in "fV":  # next to a bfloat16 array, NumPy takes a Python float for a float32
        return not isinstance(x, (complex, bool)) and (d.kind == "f" or isinstance(x, int))
    if d.kind == "c":
        return not isinstance(x, bool)
    if d.kind == "b":
        return isinstance(x, bool)
    if isinstance(x, (float, complex, bool)):
        return False
    info = np.iinfo(d)
    return bool(info.min <= x <= info.max)


def _scalar_array(x: Any, d: Any) -> Any:
    if d.kind in "iu" and isinstance(x, int):
        return np.array(x & ((1 << (8 * d.itemsize)) - 1), np.dtype(f"u{d.itemsize}")).astype(d)
    return np.array(x).astype(d)


def unary(op: Op, x: Any, name: str, floating: bool = True, kinds: str = ANY, **attrs: Any) -> Any:
    """Run an op of one operand; ``floating`` turns integers into the default floating dtype first, ``kinds`` as for ``binary``."""
    if not isinstance(x, BaseTensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    kind = x._a.dtype.kind
    if floating and kind not in "fcV":
        x = cast(x, dtype=_d.get_default_dtype().numpy)
    if kind not in kinds and not (floating and kind in "iub"):
        raise refused(name, _d.from_numpy(x._a.dtype))
    return apply(op, x, **attrs)


# -- dimensions ------------------------------------------------------------------------------------------------------------
def wrap_dim(dim: Any, ndim: int, name: str = "") -> int:
    """Give a dimension as a number from 0 on; IndexError outside the range."""
    if dim.__class__ is not int:
        if (isinstance(dim, BaseTensor) or hasattr(dim, "__index__")) and dim.__class__ is not bool:
            dim = dim.__index__()
        else:
            raise TypeError(f"{name}(): argument 'dim' must be int, not {type(dim).__name__}")
    n = ndim or 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
            + (f" in {name}()" if name else "")
        )
    return int(dim % n)


def wrap_dims(dim: Any, ndim: int, name: str = "") -> tuple[int, ...]:
    """Give one or several dimensions as a tuple; None or () means all."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        dims = tuple(wrap_dim(d, ndim, name) for d in dim)
        if len(set(dims)) != len(dims):
            twice = next(d for d in dims if dims.count(d) > 1)
            raise RuntimeError(
                f"dim {twice} appears multiple times in the list of dims" + (f" of {name}()" if name else "")
            )
        return (dims or tuple(range(ndim))) if ndim else ()
    return (wrap_dim(dim, ndim, name),) if ndim else _scalar_dims(dim, name)


def _scalar_dims(dim: Any, name: str) -> tuple[int, ...]:
    wrap_dim(dim, 0, name)
    return ()


def as_dtype(x: Any, dtype: Any) -> Any:
    """Cast a tensor to a dtype given as torch's; itself if it has it."""
    d = _d.to_numpy(dtype)
    return x if x._a.dtype == d else cast(x, dtype=d)


def to_default_float(x: Any) -> Any:
    """Cast integers and bools to the default floating dtype; leave the rest."""
    return x if x._a.dtype.kind in "fcV" else cast(x, dtype=_d.get_default_dtype().numpy)


def _index(s: Any) -> int:
    if s.__class__ is bool:
        raise AttributeError
    i: int = s.__index__()
    return i


def sizes(args: tuple[Any, ...], name: str) -> tuple[int, ...]:
    """Give sizes passed one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        return tuple([s if s.__class__ is int else _index(s) for s in args])
    except AttributeError:
        bad = next(s for s in args if isinstance(s, bool) or not hasattr(s, "__index__"))
        raise TypeError(f"{name}(): sizes must be ints, not {type(bad).__name__}") from None


__all__ = ["show_call"]
