"""Parameter; Buffer, a tensor that a module keeps as state without training it; and both before their shape is known."""

from __future__ import annotations

from typing import Any

from ..core import CPU, BaseTensor
from ..tensor import Parameter, Tensor
from . import _functions as T

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]

_ARRAY: Any = BaseTensor.__dict__["_a"]  # the slot below the property that stands before it
_REMEDY = "Call `forward` with a batch to give the parameters their shapes first."


class _BufferMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the module it is assigned to.

    ``persistent`` says whether it is part of ``state_dict()``.

    Examples
    --------
    >>> import retrograd as torch
    >>> module = torch.nn.Module()
    >>> module.mean = torch.nn.Buffer(torch.zeros(2))
    >>> list(module.state_dict())
    ['mean']
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        """Give a tensor that shares ``data``'s memory and is marked as a buffer."""
        data = T.empty(0) if data is None else data
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked


class UninitializedTensorMixin:
    """What a parameter or buffer is before its shape is known: a dtype, a wish for a gradient, and no values.

    Its dtype can change and it can be materialised; its shape raises RuntimeError, everything else ValueError.
    """

    __slots__ = ()

    cls_to_become: Any = None

    def _wants_values(self) -> Any:
        raise ValueError(
            f"Attempted to use an uninitialized parameter: {self!r} is part of a lazy module, or was made by hand, "
            f"and has no shape yet. {_REMEDY}"
        )

    _a = property(_wants_values)
    device = CPU
    is_cpu = True
    is_meta = False

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Take a shape, and memory with arbitrary values; be an ordinary parameter or buffer from now on.

        Examples
        --------
        >>> import retrograd as torch
        >>> p = torch.nn.UninitializedParameter()
        >>> p.materialize((2, 3))
        >>> type(p).__name__, p.shape
        ('Parameter', torch.Size([2, 3]))
        """
        made = T.empty(tuple(shape), device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become
        self.data = made

    @property
    def shape(self) -> Any:
        """Raise RuntimeError: there is no shape yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. It has none until the module's first "
            f"`forward`, so that neither can it be loaded into a module that has its shapes. {_REMEDY}"
        )

    @property
    def data(self) -> Any:
        """An empty tensor of the dtype; setting it sets the dtype."""
        return Tensor._wrap(_ARRAY.__get__(self))

    @data.setter
    def data(self, new: Any) -> None:
        _ARRAY.__set__(self, new._a)
        held: Any = self
        held._s = new._s
        if held._node is not None:
            held._node.shape, held._node.dtype = new._a.shape, new._a.dtype

    @property
    def dtype(self) -> Any:
        """The dtype that the values will have."""
        return self.data.dtype

    def size(self, dim: int | None = None) -> Any:
        """Give the size of no elements."""
        return self.data.size(dim)

    def is_floating_point(self) -> bool:
        """Tell whether the dtype is a floating-point one."""
        return bool(self.data.is_floating_point())

    def is_complex(self) -> bool:
        """Tell whether the dtype is a complex one."""
        return bool(self.data.is_complex())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Give an empty tensor of another dtype."""
        return self.data.to(*args, **kwargs)

    def half(self) -> Any:
        """Give an empty tensor of float16."""
        return self.data.half()

    def float(self) -> Any:
        """Give an empty tensor of float32."""
        return self.data.float()

    def double(self) -> Any:
        """Give an empty tensor of float64."""
        return self.data.double()

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Copy nothing: ``src`` has no values either, or is an error."""
        self.data.copy_(src.data)
        return self

    def share_memory_(self) -> Any:
        """Raise RuntimeError: there is nothing to share yet."""
        raise RuntimeError(f"Can't share memory on an uninitialized parameter or buffer. {_REMEDY}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _like(self) -> Any:
        held: Any = self
        made = type(self)(requires_grad=held.requires_grad, dtype=self.dtype)  # type: ignore[call-arg]
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self._like()
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        held: Any = self
        state = dict(held.__dict__)
        made_with = [held.requires_grad, None, self.dtype]
        if state.pop("_is_buffer", False):
            made_with.append(state.pop("persistent"))
        return type(self), tuple(made_with), state or None


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]  # numpydoc ignore=PR02
    """A parameter whose shape is not known yet.

    Parameters
    ----------
    requires_grad : bool
        Whether optimizers want its gradient.
    device : optional
        Where its values will be.
    dtype : optional
        Their dtype; the default dtype if left out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyLinear(3).weight
    <UninitializedParameter>
    """

    __slots__ = ()
    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        made = Parameter(T.empty(0, device=device, dtype=dtype), requires_grad)
        made.__class__ = cls
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]  # numpydoc ignore=PR02
    """A buffer whose shape is not known yet.

    Parameters
    ----------
    requires_grad : bool
        Whether a gradient is wanted.
    device : optional
        Where its values will be.
    dtype : optional
        Their dtype; the default dtype if left out.
    persistent : bool
        Whether it is part of ``state_dict()``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyBatchNorm1d().running_mean
    <UninitializedBuffer>
    """

    __slots__ = ()
    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        made = T.empty(0, device=device, dtype=dtype).requires_grad_(requires_grad)
        made.__class__ = cls
        made.persistent = persistent
        made._is_buffer = True
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


def is_lazy(param: Any) -> bool:
    """Tell whether a parameter or buffer has no shape yet.

    Parameters
    ----------
    param : object
        What is asked about.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.parameter.is_lazy(torch.nn.UninitializedBuffer())
    True
    """
    return isinstance(param, UninitializedTensorMixin)
