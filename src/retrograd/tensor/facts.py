"""What a tensor is: shape, dtype, strides, place in its storage."""

from __future__ import annotations

from typing import Any

from ..core import CPU, META, PICK, BaseTensor, MetaArray, show_type
from ..core.dtypes import dtype as Dtype
from ..core.dtypes import from_numpy as dtype_of
from .sizes import Size, strided


class Facts(BaseTensor):
    """The attributes and methods that describe a tensor."""

    __slots__ = ()

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
        """Where the bytes are: on the CPU, or nowhere (meta)."""
        return META if self._a.__class__ is MetaArray else CPU

    @property
    def is_meta(self) -> bool:
        """Whether the tensor has a shape and a dtype only."""
        return self._a.__class__ is MetaArray

    @property
    def is_cpu(self) -> bool:
        """Whether the bytes are on the CPU."""
        return self._a.__class__ is not MetaArray

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
        """Give the address of the first element; 0 if there is none."""
        address: int = 0 if self._a.__class__ is MetaArray or not self._a.size else self._a.ctypes.data
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

    def pin_memory(self, device: Any = None) -> Any:
        """Give itself: there is no device to copy to."""
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        from .sharing import is_shared

        return is_shared(self)

    def share_memory_(self) -> Any:
        """Move the values into memory that other processes share, and give itself."""
        from .sharing import share

        return share(self)

    @property
    def _version(self) -> int:
        if self._s.inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._s.version

    @property
    def _cdata(self) -> int:
        """The number by which libraries tell whether two names mean one tensor."""
        return id(self)

    @property
    def output_nr(self) -> int:
        """Which of its operation's results it is."""
        node = self._node if self.requires_grad else None
        if node is None:
            return 0
        several = node.attrs.get("several")
        number: int = several[1] if several else node.attrs["index"] if node.op is PICK else 0
        return number


def _element_strides(a: Any) -> tuple[int, ...]:
    item = a.itemsize or 1
    if a.size == 0 and 0 not in a.strides:
        return tuple(s // item for s in a.strides)
    if a.size == 0 or a.flags.c_contiguous:
        steps: list[int] = []
        step = 1
        for n in reversed(a.shape):
            steps.append(step)
            step *= max(n, 1)
        return tuple(reversed(steps))
    return tuple(s // item for s in a.strides)
