"""What all sparse tensors are: ordinary Tensors of values and of places, and a size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...core import CPU, MODE
from ...core.dtypes import from_numpy as dtype_of
from ...core.dtypes import to_numpy
from ...core.rows import SparseOperand
from ..dispatch import METHODS
from ..sizes import Size
from ..tensor import Tensor

HANDLERS: dict[str, Callable[..., Any]] = {}  # what torch's functions do with sparse arguments, by name
_new = object.__new__


def handles(*names: str) -> Callable[[Any], Any]:
    """Register what functions of these names do when one of their arguments is sparse."""

    def register(fn: Any) -> Any:
        for name in names:
            HANDLERS[name] = fn
        return fn

    return register


def refused(name: str, layout: str = "Sparse") -> NotImplementedError:
    """Make the error for a function that is not for sparse tensors."""
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the '{layout}CPU' backend: {name} is not for sparse tensors; "
        "use .to_dense() first"
    )


def call(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Run a function that was found to have a sparse argument."""
    fn = HANDLERS.get(name)
    if fn is None:
        raise refused(name)
    return fn(*args, **options)


def named(t: Any, label: str) -> Any:
    """Give a result the name that torch prints for its history."""
    if t._node is not None and t._node.op is not None:
        t._node.label = label
    return t


class Sparse(Tensor):
    """A tensor of values at places: all that is differentiable in it is an ordinary Tensor, ``_v``."""

    __slots__ = ("_size", "_v")
    _size: Any
    _v: Any
    _composite = True
    _backend = "Sparse"

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _new(cls)

    # what functions of dense tensors would read
    @property
    def _a(self) -> Any:
        raise SparseOperand(
            f"Could not run this operation with arguments from the '{self._backend}CPU' backend: it is not for sparse "
            "tensors; use .to_dense() first"
        )

    _s = property(lambda self: self._v._s)
    _base = None

    @property
    def _node(self) -> Any:
        return self._v._node

    @_node.setter
    def _node(self, node: Any) -> None:
        self._v._node = node

    @property
    def _grad(self) -> Any:
        g = self._v._grad
        return None if g is None else self._with(g)

    @_grad.setter
    def _grad(self, g: Any) -> None:
        self._v._grad = None if g is None else g._v if g._v._a.shape == self._v._a.shape else self.seed(g)

    def _with(self, values: Any) -> Any:
        """Give the same places with other values."""
        raise NotImplementedError

    # -- facts -------------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return self._size  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._size)

    is_cpu = True
    is_meta = False

    @property
    def device(self) -> Any:
        """Where the bytes are: the CPU."""
        return CPU

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return dtype_of(self._v._a.dtype)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self._v._a.itemsize)

    def size(self, dim: int | None = None) -> Any:
        """Give the shape, or the length of one dimension."""
        if dim is None:
            return self._size
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-self.ndim}, {self.ndim - 1}], but got {dim})"
            )
        return self._size[dim]

    def dim(self) -> int:
        """Give the number of dimensions."""
        return len(self._size)

    ndimension = dim

    def numel(self) -> int:
        """Give the number of elements, those that are not stored included."""
        return math.prod(self._size)

    nelement = numel

    def element_size(self) -> int:
        """Give the bytes of one element."""
        return int(self._v._a.itemsize)

    def is_complex(self) -> bool:
        """Tell whether the elements are complex numbers."""
        return bool(self._v._a.dtype.kind == "c")

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Tell that the elements do not lie in row-major order: False."""
        return False

    def stride(self, dim: int | None = None) -> Any:
        """Give zeros: the elements have no strides."""
        return (0,) * self.ndim if dim is None else 0

    def storage_offset(self) -> int:
        """Raise RuntimeError: there is no storage of all the elements."""
        raise RuntimeError("sparse tensors do not have storage")

    def data_ptr(self) -> int:
        """Raise RuntimeError: there is no storage of all the elements."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def untyped_storage(self) -> Any:
        """Raise NotImplementedError: there is no storage of all the elements."""
        raise NotImplementedError("Cannot access storage of a sparse tensor; take .values() of it")

    storage = untyped_storage

    def numpy(self, *, force: bool = False) -> Any:
        """Raise TypeError: NumPy has no sparse arrays."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __array__(self, *args: Any, **options: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        """Raise RuntimeError: use to_dense() first."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage: use .to_dense() first")

    def item(self) -> Any:
        """Give the number of a tensor of one element."""
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        return self.to_dense().item()

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.item())

    def __float__(self) -> float:
        if self.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return float(self.item())

    def __int__(self) -> int:
        return int(float(self))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._size[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        return iter([call("getitem", (self, i), {}) for i in range(len(self))])

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        from .text import sparse_repr

        return sparse_repr(self)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    # -- history -----------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted for the values."""
        return bool(self._v.requires_grad)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether a gradient is wanted, in place."""
        if requires_grad and not self._v.requires_grad:
            self._v = self._v.detach()  # a leaf of this tensor's own
        self._v.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user."""
        return bool(self._v.is_leaf)

    @property
    def grad(self) -> Any:
        """The gradient, at the same places."""
        g = self._v.grad
        return None if g is None else self._with(g)

    @grad.setter
    def grad(self, g: Any) -> None:
        self._grad = g

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def retain_grad(self) -> None:
        """Keep the gradient in ``.grad`` although this is not a leaf."""
        self._v.retain_grad()

    def detach(self) -> Any:
        """Give the same values without history."""
        return self._with(self._v.detach())

    def detach_(self) -> Any:
        """Cut the tensor from its history, in place."""
        self._v = self._v.detach()
        return self

    @property
    def data(self) -> Any:
        """The same values without history."""
        return self._with(self._v.data)

    @data.setter
    def data(self, new: Any) -> None:
        self._take(new.detach())

    def seed(self, gradient: Any) -> Any:
        """Give the upstream gradient of the values, from that of the tensor."""
        if gradient is None:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs, not for sparse tensors: sum it first"
            )
        if tuple(gradient.shape) != tuple(self.shape):
            raise RuntimeError(
                f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has a shape of {self.shape}."
            )
        return call("sparse_mask", (gradient, self), {})._v.detach()

    def _take(self, other: Any) -> Any:
        """Become what another tensor of this class is."""
        if MODE.grad and self.requires_grad and self.is_leaf:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        self._v._s.version += 1
        for name in ("_size", "_v", *type(self).__slots__):
            setattr(self, name, getattr(other, name))
        return self

    # -- copies ------------------------------------------------------------------------------------------------------
    def clone(self, *, memory_format: Any = None) -> Any:
        """Give a copy with history."""
        return self._with(named(self._v.clone(), "CloneBackward0"))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            made = self.detach().clone()
            made.requires_grad_(self.requires_grad)
            memo[id(self)] = made
        return memo[id(self)]

    def __copy__(self) -> Any:
        return self._with(self._v)

    def to(self, *args: Any, dtype: Any = None, copy: bool = False, **options: Any) -> Any:
        """Give the tensor in another dtype; itself if nothing changes."""
        v = self._v.to(*args, dtype=dtype, copy=copy, **options)
        return self if v is self._v else self._with(named(v, "ToCopyBackward0"))

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Give the name of the tensor's type, or the tensor in another one."""
        if dtype is None:
            return self._v.type().replace("torch.", "torch.sparse.", 1)
        return self._with(self._v.type(dtype))

    def as_subclass(self, cls: Any) -> Any:
        """Raise NotImplementedError: sparse tensors have a class of their own."""
        raise refused("as_subclass")


def _caster(name: str) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        v = METHODS[name](self._v, *args, **options)
        return self if v is self._v else self._with(named(v, "ToCopyBackward0"))

    method.__name__, method.__doc__ = name, f"Give the tensor in the dtype that ``{name}`` stands for."
    return method


for _name in (
    "float",
    "double",
    "half",
    "bfloat16",
    "long",
    "int",
    "short",
    "char",
    "byte",
    "bool",
    "cfloat",
    "cdouble",
):
    if _name in METHODS:
        setattr(Sparse, _name, _caster(_name))


def as_size(size: Any) -> Size:
    """Give a size as torch's."""
    return Size(int(n) for n in size)


def numpy_dtype(dtype: Any) -> Any:
    """Give NumPy's dtype for torch's, or None."""
    return None if dtype is None else to_numpy(dtype)
