"""Messages between the workers and their parent: pickles, with the arrays' bytes sent apart."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from ..core.node import BaseTensor

PIPE_BYTES = 1 << 20


class _Packer(ForkingPickler):
    """Pickle tensors as the arrays they show, not as the storages they view."""

    def reducer_override(self, obj: Any) -> Any:
        """Say how a tensor is rebuilt on the other side."""
        if not isinstance(obj, BaseTensor):
            return NotImplemented
        tensor: Any = obj
        if tensor.requires_grad and not tensor.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
                "crossing process boundaries. If you just want to transfer the data, call detach() on the tensor "
                "before the dataset or collate_fn returns it."
            )
        array = np.require(tensor._a, requirements="C")
        name = array.dtype.name
        if array.dtype.kind == "V":  # the buffer protocol does not know bfloat16
            array = array.view(f"u{array.itemsize}")
        return _rebuild, (type(obj), array, name, tensor.requires_grad, tensor.__dict__)


def _rebuild(cls: type, array: np.ndarray[Any, Any], name: str, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    from ..core.dtypes import by_name
    from ..core.node import leaf_node
    from ..tensor import Tensor

    made = Tensor._wrap(
        array.view(by_name(name).numpy)
    )  # NumPy's pickles bring a dtype of their own, equal but another object
    if cls is not Tensor:
        made = made.as_subclass(cls)
    if requires_grad:
        made._node = leaf_node(made)
    if attributes:
        made.__dict__.update(attributes)
    return made


def send(connection: Connection[Any, Any], message: Any) -> None:
    """Send an object; raises what pickling raises before anything is sent, or OSError if nobody listens."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Packer(stream, 5, True, buffers.append).dump(message)
    pieces = [buffer.raw() for buffer in buffers]
    connection.send_bytes(pickle.dumps([piece.nbytes for piece in pieces]))
    connection.send_bytes(stream.getbuffer())
    for piece in pieces:
        if piece.nbytes:
            connection.send_bytes(piece)


def receive(connection: Connection[Any, Any]) -> Any:
    """Receive an object, waiting for it; EOFError or OSError if the sender is gone."""
    sizes = pickle.loads(connection.recv_bytes())
    program = connection.recv_bytes()
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if buffer.size:
            connection.recv_bytes_into(buffer.data)
    return pickle.loads(program, buffers=buffers)


def widen(connection: Connection[Any, Any]) -> None:
    """Let a pipe hold more bytes, where the system allows it."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(connection.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class _Verbatim(str):
    """A text that a KeyError shows as it is, line breaks included."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class RemoteError:
    """An exception on its way to another process: its type and its traceback as text."""

    def __init__(self, where: str) -> None:
        kind, error, trace = sys.exc_info()
        self.kind: Any = kind
        self.where = where
        self.text = "".join(traceback.format_exception(kind, error, trace))

    def without_type(self) -> RemoteError:
        """Give the same as a RuntimeError, for types that cannot be pickled."""
        self.kind = RuntimeError
        return self

    def reraise(self) -> None:
        """Raise an exception of the same type, or a RuntimeError, with the traceback as its message."""
        message = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            raise KeyError(_Verbatim(message))
        try:
            error = self.kind(message=message) if getattr(self.kind, "message", None) else self.kind(message)
        except Exception:
            error = RuntimeError(message)
        try:
            raise error from None
        finally:
            del error  # its traceback holds this frame: a cycle would keep the workers until the next collection
