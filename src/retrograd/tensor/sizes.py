"""Size and Layout: the shape of a tensor, how its elements lie, and the names torch prints for its classes."""

from __future__ import annotations

from typing import Any


class Named(type):
    """Gives a class the name that torch prints for it."""

    def __repr__(cls) -> str:
        named = _NAMES.get(cls.__name__) if cls.__module__.startswith(__package__ or "") else None
        return f"<class 'torch.{named}'>" if named else type.__repr__(cls)


_NAMES = {
    "Size": "Size",
    "Tensor": "Tensor",
    "Parameter": "nn.parameter.Parameter",
    "CooTensor": "Tensor",
    "CompressedTensor": "Tensor",
}


class Size(tuple[int, ...], metaclass=Named):
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


class Layout:
    """How a tensor's elements are laid out in memory."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return _layout, (repr(self),)


strided = Layout("strided")
sparse_coo = Layout("sparse_coo")
sparse_csr, sparse_csc = Layout("sparse_csr"), Layout("sparse_csc")
sparse_bsr, sparse_bsc = Layout("sparse_bsr"), Layout("sparse_bsc")
jagged = Layout("jagged")  # a name to compare with: no tensor here has several lengths
LAYOUTS = {str(each): each for each in (strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc)}


def _layout(name: str) -> Layout:
    """Give the layout of a name: there is one object for each."""
    return LAYOUTS[name]
