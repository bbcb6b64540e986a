"""Tensor and Parameter: what a user holds, with torch's attributes and autograd methods."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import (
    MODE,
    PICK,
    BaseTensor,
    MetaArray,
    Node,
    Storage,
    apply,
    check_device,
    leaf_node,
    no_data,
    refresh,
    register_tensor,
    wrap,
)
from ..core.dtypes import get_default_dtype, to_numpy
from ..core.node import shown
from ..core.rows import SparseArray
from ..core.warned import warn
from ..ops.shape import slice_
from . import backward as _backward
from . import copying, protocol
from .facts import Facts
from .interop import Interop
from .sizes import Layout, Named, Size, jagged, sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr, strided

_new = object.__new__


class _TensorMeta(Named):
    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Parameter and isinstance(instance, BaseTensor):
            return type.__instancecheck__(cls, instance) or getattr(instance, "_is_param", False)
        return type.__instancecheck__(cls, instance)


class Tensor(Facts, Interop, metaclass=Named):
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
    is_sparse_csr = False
    _composite = False  # whether it is made of several arrays, as sparse tensors are
    is_quantized = False
    is_nested = False
    is_cuda = False
    is_mkldnn = False
    is_mps = False
    is_xpu = False
    names = property(lambda self: (None,) * self._a.ndim)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from .legacy import legacy_tensor

        t = legacy_tensor(None, *args, **kwargs)
        if cls is not Tensor:
            t = t.as_subclass(cls)
        return t

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("retrograd."):
            protocol.defined(cls)

    @staticmethod
    def _make_subclass(cls: Any, data: Any, require_grad: bool = False, **ignored: Any) -> Any:
        """Make an instance of a class on a tensor's memory, without its history."""
        return data.detach().as_subclass(cls).requires_grad_(require_grad)

    @staticmethod
    def _make_wrapper_subclass(cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Raise: an instance without memory of its own is served by __torch_dispatch__, which is not asked here."""
        raise RuntimeError(
            f"{cls.__name__}: __torch_dispatch__ is not called here, so an instance without memory could do nothing; let "
            "__torch_function__ handle functions, and make the instance by tensor.as_subclass or Tensor._make_subclass"
        )

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function on instances of a subclass, and make its results instances of it."""
        return protocol.default(cls, func, types, args, kwargs)

    @staticmethod
    def _wrap(a: Any) -> Tensor:
        """Make a tensor of an array, sharing its memory (library use)."""
        t: Tensor = wrap(a if isinstance(a, np.ndarray) else np.asarray(a))
        return t

    @staticmethod
    def _from_raw(raw: Any) -> Any:
        """Make a sparse tensor of what a walk on arrays carried (library use)."""
        from .sparse import from_raw

        return from_raw(raw)

    def _write(self, a: Any) -> None:
        """Write new contents into the memory without history (library use)."""
        if MODE.trace is not None:
            from ..core import assign, no_grad

            with no_grad():
                assign(self, Tensor._wrap(np.broadcast_to(np.asarray(a, self._a.dtype), self._a.shape)), "write")
            return
        self._a[...] = a
        self._s.version += 1

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

    @requires_grad.deleter
    def requires_grad(self) -> None:
        raise RuntimeError("cannot delete requires_grad: set it to False instead")

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
            if self._s.inference and not MODE.inference:
                raise RuntimeError(
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
                )
            self._node = leaf_node(self) if MODE.trace is None else MODE.trace.variable(self)
        elif self.requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            self._node = None
        return self

    def _is_view(self) -> bool:
        """Tell whether it is a view of another tensor, whose writes it sees with their history."""
        return self._base is not None

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
        return shown(made)

    @property
    def grad(self) -> Any:
        """The gradient that backward walks have accumulated, or None."""
        if MODE.trace is not None:
            MODE.trace.gradient(self)
        g = self._grad
        if (
            g is None
            and self._node is not None
            and self._node.op is not None
            and self._node.requires_grad
            and not self.retains_grad
            and not self.is_leaf
        ):
            warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). "
                "If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
            )
        return g

    @grad.setter
    def grad(self, g: Any) -> None:
        if MODE.trace is not None:
            MODE.trace.gradient(self)
        if g is not None:
            if not isinstance(g, BaseTensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(g).__name__}"
                )
            if g is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if g.dtype is not self.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: {g.dtype}, the tensor is {self.dtype}")
            if g.shape != self.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: {list(g.shape)}, the tensor is {list(self.shape)}"
                )
            if g._composite:
                SparseArray.met = True
        self._grad = g

    @grad.deleter
    def grad(self) -> None:
        if MODE.trace is not None:
            MODE.trace.gradient(self)
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
        if MODE.trace is not None or MODE.dual is not None:
            from .functions.pointwise import stop_gradient

            r: Tensor = stop_gradient(self)
            if MODE.trace is None:  # as outside of it: a tensor of its own, to which no write on the base has a way
                r._base = None
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
        if MODE.trace is not None or MODE.dual is not None:
            r = self.detach()
            if getattr(MODE.trace, "compiling", False):
                r._s = Storage(self._s.root)  # versions of its own: history does not see what is written through it
            return r
        t = _new(Tensor)
        t._a, t._s, t._node, t._base, t._grad = self._a, Storage(self._s.root), None, None, None
        return t

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, BaseTensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
        if MODE.trace is not None:
            if new._s.root is self._s.root and new._a.__array_interface__ == self._a.__array_interface__:
                return  # `x.data -= y` has written already
            MODE.trace.asked(new, "data")
        node = self._node
        if node is not None and node.requires_grad and new._a.dtype.kind not in "fcV":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self._a, self._s = new._a, new._s
        if node is not None and node.op is None:
            node.shape, node.dtype = new._a.shape, new._a.dtype
        self._base = None

    @data.deleter
    def data(self) -> None:
        raise RuntimeError("cannot delete data: a tensor always has values")

    # -- copying -----------------------------------------------------------------------------------------------------
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copying.deep(self, memo)

    def __copy__(self) -> Any:
        return copying.shallow(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copying.rebuild, (type(self), self._a.copy(order="K"), self.requires_grad, dict(self.__dict__))

    def as_subclass(self, cls: type) -> Any:
        """Give the same data as an instance of a subclass; where gradients are recorded, a view of it."""
        x = apply(slice_, self, index=(...,)) if self._node is not None and MODE.grad and not self._composite else self
        t: Any = _new(cls)
        t._a, t._s, t._node, t._base, t._grad = x._a, x._s, x._node, x._base, None
        if x._base is not None:
            t._steps, t._seen = x._steps, x._seen
        return t

    # -- devices -----------------------------------------------------------------------------------------------------
    def cpu(self, memory_format: Any = None) -> Tensor:
        """Give itself: data is on the CPU; NotImplementedError where there is none."""
        if not self._composite and self._a.__class__ is MetaArray:
            raise no_data()
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Raise RuntimeError: there is no CUDA device here."""
        check_device("cuda" if device is None else device)
        return self


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
    _is_parameter = True
    __torch_function__ = protocol.disabled

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = Tensor._wrap(np.empty((0,), to_numpy(get_default_dtype())))
        if not isinstance(data, BaseTensor):
            raise TypeError(f"Parameter data must be a Tensor, not {type(data).__name__}: wrap it by torch.tensor(...)")
        if MODE.trace is not None:
            MODE.trace.asked(data, "detach() for a Parameter")
        if type(data) is not Tensor and cls is Parameter and protocol.WANTS[type(data)] == 1:
            kept: Any = data.detach().requires_grad_(requires_grad)
            if type(kept) is not type(data):
                raise RuntimeError(
                    f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an "
                    f"instance of the same type, but return type {type(kept).__name__} was found instead: let its "
                    "__torch_function__ wrap what detach gives"
                )
            kept._is_param = True  # type: ignore[attr-defined]
            return kept
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


register_tensor(Tensor)

__all__ = [
    "Layout",
    "Parameter",
    "Size",
    "Tensor",
    "jagged",
    "sparse_bsc",
    "sparse_bsr",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
]
