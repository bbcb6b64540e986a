"""Tensor and Parameter: what a user holds, with torch's attributes and autograd methods."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import (
    CPU,
    MODE,
    PICK,
    BaseTensor,
    Node,
    Storage,
    at,
    check_device,
    check_writable,
    here,
    leaf_node,
    refresh,
    register_tensor,
    show_type,
    wrap,
)
from ..core.dtypes import dtype as Dtype
from ..core.dtypes import from_numpy as dtype_of
from ..core.dtypes import get_default_dtype, to_numpy
from . import backward as _backward
from . import copying

_new = object.__new__
_DTYPES: dict[Any, Dtype] = {}


class _Named(type):
    def __repr__(cls) -> str:
        named = _NAMES.get(cls.__name__) if cls.__module__ == __name__ else None
        return f"<class 'torch.{named}'>" if named else type.__repr__(cls)


_NAMES = {"Size": "Size", "Tensor": "Tensor", "Parameter": "nn.parameter.Parameter"}


class Size(tuple[int, ...], metaclass=_Named):
    """A tensor's shape: a tuple of ints that knows its number of elements."""

    __slots__ = ()

    def numel(self) -> int:
        """Give the number of elements."""
        n = 1
        for d in self:
            n *= d
        return n

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, i: Any) -> Any:
        r = tuple.__getitem__(self, i)
        return Size(r) if isinstance(i, slice) else r

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, tuple(other)))

    def __reduce__(self) -> Any:
        return Size, (tuple(self),)


class _TensorMeta(_Named):
    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Parameter and isinstance(instance, BaseTensor):
            return type.__instancecheck__(cls, instance) or getattr(instance, "_is_param", False)
        return type.__instancecheck__(cls, instance)


class Tensor(BaseTensor, metaclass=_Named):
    """An array of numbers of one dtype, with the history that its gradient needs.

    Make one by ``torch.tensor``, ``torch.zeros`` and their like; ``Tensor(2, 3)`` gives uninitialised float32 values.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()
    __array_priority__ = 1000
    is_sparse = False
    is_quantized = False
    is_cuda = False
    is_mkldnn = False
    is_meta = False
    is_mps = False
    is_xpu = False
    is_cpu = True
    names = property(lambda self: (None,) * self._a.ndim)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from .creation import legacy_tensor

        t = legacy_tensor(np.dtype(np.float32), *args, **kwargs)
        if cls is not Tensor:
            t = t.as_subclass(cls)
        return t

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @staticmethod
    def _wrap(a: Any) -> Tensor:
        """Make a tensor of an array, sharing its memory (library use)."""
        t: Tensor = wrap(a if isinstance(a, np.ndarray) else np.asarray(a))
        if MODE.special and MODE.trace is not None:
            MODE.trace.made(t)
        return t

    def _write(self, a: Any) -> None:
        """Write new contents into the memory without history (library use)."""
        if MODE.trace is not None:
            from ..core import assign, no_grad

            with no_grad():
                assign(self, Tensor._wrap(np.broadcast_to(np.asarray(a, self._a.dtype), self._a.shape)), "write")
            return
        self._a[...] = a
        self._s.version += 1

    # -- what it is --------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return Size(self._a.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        n: int = self._a.ndim
        return n

    @property
    def dtype(self) -> Dtype:
        """The type of the elements."""
        return dtype_of(self._a.dtype)

    @property
    def device(self) -> Any:
        """Where the bytes are: always the CPU."""
        return CPU

    @property
    def layout(self) -> Any:
        """The memory layout: always strided."""
        return strided

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        n: int = self._a.itemsize
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        n: int = self._a.nbytes
        return n

    def size(self, dim: int | None = None) -> Any:
        """Give the shape, or the length of one dimension."""
        if dim is None:
            return Size(self._a.shape)
        n = self._a.ndim
        if not -max(n, 1) <= dim < max(n, 1) or n == 0:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], but got {dim}): size() of {show_type(self)}"
            )
        return self._a.shape[dim]

    def dim(self) -> int:
        """Give the number of dimensions."""
        n: int = self._a.ndim
        return n

    ndimension = dim

    def numel(self) -> int:
        """Give the number of elements."""
        n: int = self._a.size
        return n

    nelement = numel

    def element_size(self) -> int:
        """Give the bytes of one element."""
        n: int = self._a.itemsize
        return n

    def stride(self, dim: int | None = None) -> Any:
        """Give the steps, in elements, from one element to the next along each dimension."""
        a = self._a
        steps = _element_strides(a)
        return steps if dim is None else steps[dim]

    def storage_offset(self) -> int:
        """Give where in the storage the first element is, in elements."""
        root = self._s.root
        offset: int = (self._a.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // max(
            1, self._a.itemsize
        )
        return offset if self._a.size else 0

    def data_ptr(self) -> int:
        """Give the address of the first element."""
        address: int = self._a.ctypes.data
        return address

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Tell whether the elements lie in memory in row-major order without gaps."""
        flag: bool = self._a.flags.c_contiguous
        return flag

    def is_floating_point(self) -> bool:
        """Tell whether the elements are floating-point numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Tell whether the elements are complex numbers."""
        flag: bool = self._a.dtype.kind == "c"
        return flag

    def is_signed(self) -> bool:
        """Tell whether the elements have a sign."""
        return self.dtype.is_signed

    def is_inference(self) -> bool:
        """Tell whether it was made in inference mode."""
        return self._s.inference

    def get_device(self) -> int:
        """Give the device's number: -1 for the CPU."""
        return -1

    def is_pinned(self) -> bool:
        """Tell whether the memory is page-locked: never."""
        return False

    def pin_memory(self, device: Any = None) -> Tensor:
        """Give itself: there is no device to copy to."""
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> Tensor:
        """Give itself: tensors travel to other processes by copy."""
        return self

    @property
    def _version(self) -> int:
        if self._s.inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._s.version

    @property
    def output_nr(self) -> int:
        """Which of its operation's results it is."""
        node = self._node if self.requires_grad else None
        if node is None:
            return 0
        several = node.attrs.get("several")
        number: int = several[1] if several else node.attrs["index"] if node.op is PICK else 0
        return number

    # -- history -----------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted for this tensor."""
        base = self._base
        if base is not None and base._node is not self._seen:
            refresh(self)
        node = self._node
        return node is not None and node.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether a gradient is wanted for this leaf, in place.

        Raises RuntimeError for a tensor with history, and for dtypes that carry no gradient.
        """
        if requires_grad:
            if self.requires_grad:
                return self
            if not (self.dtype.is_floating_point or self.dtype.is_complex):
                raise RuntimeError(
                    f"only Tensors of floating point dtype can require gradients, not {self.dtype}: cast it first, such as by .float()"
                )
            if self._s.inference:
                raise RuntimeError(
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
                )
            self._node = leaf_node(self)
        elif self.requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            self._node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by an operation that is part of a history."""
        if not self.requires_grad:
            return True
        node = self._node
        while node is not None and node.op is not None and node.op.name == "straight":
            node = node.inputs[0]
        return node is None or node.op is None

    @property
    def grad_fn(self) -> Node | None:
        """The Node of the operation that made it; None for a leaf."""
        node = self._node if self.requires_grad else None
        if node is None or node.op is None:
            return None
        made: Node = node.inputs[0] if node.op is PICK else node
        return made

    @property
    def grad(self) -> Any:
        """The gradient that backward walks have accumulated, or None."""
        g = self._grad
        if (
            g is None
            and self._node is not None
            and self._node.op is not None
            and self._node.requires_grad
            and not self.retains_grad
            and not self.is_leaf
        ):
            import warnings

            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). "
                "If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return g

    @grad.setter
    def grad(self, g: Any) -> None:
        if g is not None:
            if not isinstance(g, BaseTensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(g).__name__}"
                )
            if g is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if g._a.dtype != self._a.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: {dtype_of(g._a.dtype)}, the tensor is {self.dtype}"
                )
            if g._a.shape != self._a.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: {list(g._a.shape)}, the tensor is {list(self._a.shape)}"
                )
        self._grad = g

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def retain_grad(self) -> None:
        """Keep this tensor's gradient in ``.grad`` although it is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            assert self._node is not None
            self._node.hook_table().retain = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether ``retain_grad`` was asked for on this non-leaf."""
        node = self._node
        return (
            node is not None
            and node.op is not None
            and node.hooks is not None
            and node.hooks.retain is not None
            and node.hooks.retain() is self
        )

    def register_hook(self, hook: Callable[[Tensor], Any]) -> Any:
        """Call ``hook(grad)`` whenever this tensor's gradient is computed; what it returns, if not None, takes its place."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        assert self._node is not None
        return self._node.hook_table().add("tensor", hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Any:
        """Call ``hook(tensor)`` after a backward walk has added to this leaf's ``.grad``."""
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        assert self._node is not None
        return self._node.hook_table().add("accumulated", hook)

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Walk the history back from this tensor and add each leaf's gradient to its ``.grad``.

        Parameters
        ----------
        gradient
            The upstream gradient, of this tensor's shape; left out for a single element (it is 1).
        retain_graph
            Keep what the operations saved, so that another walk can follow.
        create_graph
            Record the walk itself, for derivatives of gradients.
        inputs
            The leaves to accumulate into; all of them if left out.
        """
        _backward.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """Give the same values, sharing memory, without history."""
        if MODE.trace is not None:
            from .functions.pointwise import stop_gradient

            r: Tensor = stop_gradient(self)
            return r
        t = _new(Tensor)
        t._a, t._s, t._node, t._base, t._grad = self._a, self._s, None, None, None
        return t

    def detach_(self) -> Tensor:
        """Cut this tensor from its history, in place."""
        if self._base is not None and self._base.requires_grad:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same values, sharing memory, without history and unseen by the check for overwritten values."""
        if MODE.trace is not None:
            return self.detach()
        t = _new(Tensor)
        t._a, t._s, t._node, t._base, t._grad = self._a, Storage(self._s.root), None, None, None
        return t

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, BaseTensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
        self._a, self._s = new._a, new._s
        node = self._node
        if node is not None and node.op is None:
            node.shape, node.dtype = new._a.shape, new._a.dtype
        self._base = None

    # -- out to Python and NumPy -----------------------------------------------------------------------------------------
    def item(self) -> Any:
        """Give the one element as a Python number; RuntimeError if there is not exactly one."""
        a = self._a
        if a.size != 1:
            raise RuntimeError(
                f"a Tensor with {a.size} elements cannot be converted to Scalar: item() of {show_type(self)} needs exactly one; use tolist() or an index"
            )
        value = a.item()
        return float(value) if a.dtype.kind == "V" else value

    def tolist(self) -> Any:
        """Give the elements as nested lists of Python numbers."""
        a = self._a
        return a.astype(np.float32).tolist() if a.dtype.kind == "V" else a.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Give the values as a NumPy array that shares memory."""
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._a.dtype.kind == "V":
            raise TypeError("Got unsupported ScalarType BFloat16: NumPy has no bfloat16; use .float().numpy()")
        return self._a

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        a = self._a
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError("a copy is needed to change the dtype, and copy=False was asked for")
            return a.astype(dtype)
        return a.copy() if copy else a

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and len(inputs) == 2 and not isinstance(inputs[0], BaseTensor):
            name = _REFLECTED.get(ufunc.__name__)
            if name is not None:
                return getattr(self, name)(inputs[0])
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(o.numpy() if isinstance(o, Tensor) else o for o in out)
        r = getattr(ufunc, method)(*[x.numpy() if isinstance(x, Tensor) else x for x in inputs], **kwargs)
        return (
            Tensor._wrap(r)
            if isinstance(r, np.ndarray) and r.dtype.kind != "O"
            else Tensor._wrap(np.asarray(r))
            if isinstance(r, np.generic)
            else r
        )

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._a.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._a.__dlpack_device__()

    def __bool__(self) -> bool:
        a = self._a
        if a.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {'no values' if not a.size else 'more than one value'} is ambiguous"
                + (f": use .any() or .all() on {show_type(self)}" if a.size else "")
            )
        return bool(a.item())

    def __int__(self) -> int:
        return int(self._one())

    def __float__(self) -> float:
        _warn_of_history(self)
        return float(self._one())

    def __complex__(self) -> complex:
        _warn_of_history(self)
        return complex(self._one())

    def __index__(self) -> int:
        if self._a.dtype.kind not in "iub" or self._a.size != 1:
            raise TypeError(
                f"only integer tensors of a single element can be converted to an index, not {show_type(self)}"
            )
        return int(self._a.item())

    def _one(self) -> Any:
        if self._a.size != 1:
            raise RuntimeError(f"a Tensor with {self._a.size} elements cannot be converted to Scalar")
        return self.item()

    def __len__(self) -> int:
        if not self._a.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._a)

    def __iter__(self) -> Iterator[Any]:
        if not self._a.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from .printing import tensor_repr

        name = self.grad_fn.name() if self.grad_fn is not None else None
        return tensor_repr(
            self._a,
            requires_grad=self.requires_grad,
            grad_fn=name,
            is_parameter=isinstance(self, Parameter),
            dtype=self.dtype,
        )

    def __format__(self, spec: str) -> str:
        from .printing import tensor_format

        if self._a.ndim == 0:
            return tensor_format(self._a, spec)
        return object.__format__(self, spec)

    def __dir__(self) -> list[str]:
        return [n for n in object.__dir__(self) if not n.startswith("_a")]

    # -- copying -----------------------------------------------------------------------------------------------------
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copying.deep(self, memo)

    def __copy__(self) -> Any:
        return copying.shallow(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copying.rebuild, (type(self), self._a.copy(order="K"), self.requires_grad, dict(self.__dict__))

    def as_subclass(self, cls: type) -> Any:
        """Give the same data as an instance of a subclass."""
        t: Any = _new(cls)
        t._a, t._s, t._node, t._base, t._grad = self._a, self._s, self._node, self._base, None
        if self._base is not None:
            t._steps, t._seen = self._steps, self._seen
        return t

    # -- devices -----------------------------------------------------------------------------------------------------
    def cpu(self, memory_format: Any = None) -> Tensor:
        """Give itself: data is on the CPU."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Raise RuntimeError: there is no CUDA device here."""
        check_device("cuda" if device is None else device)
        raise AssertionError("Torch not compiled with CUDA enabled")


_told: set[str] = set()


def _warn_of_history(t: Any) -> None:
    """Say, once a process as torch does, that a number has no gradient although its tensor asks for one."""
    if t.requires_grad and not _told:
        _told.add("scalar")
        warnings.warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
            "Consider using tensor.detach() first.",
            UserWarning,
            stacklevel=3,
        )


def _element_strides(a: Any) -> tuple[int, ...]:
    item = a.itemsize or 1
    if a.size == 0 or a.flags.c_contiguous:
        steps: list[int] = []
        step = 1
        for n in reversed(a.shape):
            steps.append(step)
            step *= max(n, 1)
        return tuple(reversed(steps))
    return tuple(s // item for s in a.strides)


class Parameter(Tensor, metaclass=_TensorMeta):
    """A tensor that a module counts among its parameters.

    Parameters
    ----------
    data : Tensor
        The values; memory is shared.
    requires_grad : bool
        Whether optimizers want its gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Parameter(torch.zeros(2)).requires_grad
    True
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = Tensor._wrap(np.empty((0,), to_numpy(get_default_dtype())))
        if not isinstance(data, BaseTensor):
            raise TypeError(f"Parameter data must be a Tensor, not {type(data).__name__}: wrap it by torch.tensor(...)")
        t = _new(cls)
        t._a, t._s = data._a, data._s
        t._node = t._base = t._grad = None
        if requires_grad:
            t.requires_grad_()
        return t

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        t = type(self)(Tensor._wrap(self._a.copy(order="K")), self.requires_grad)
        memo[id(self)] = t
        t.__dict__.update({k: v for k, v in self.__dict__.items() if k != "_grad"})
        return t


class Layout:
    """How a tensor's elements are laid out in memory."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


strided = Layout("strided")
sparse_coo = Layout("sparse_coo")

_REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "true_divide": "__rtruediv__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__",
    "greater": "__lt__",
    "less": "__gt__",
    "greater_equal": "__le__",
    "less_equal": "__ge__",
    "equal": "__eq__",
    "not_equal": "__ne__",
}

register_tensor(Tensor)

__all__ = ["Layout", "Parameter", "Sequence", "Size", "Tensor", "at", "check_writable", "here", "sparse_coo", "strided"]
