"""torch.distributed.rpc in a world of one process: a call to oneself runs at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from ..futures import Future

__all__ = ["RRef", "WorkerInfo", "get_worker_info", "init_rpc", "remote", "rpc_async", "rpc_sync", "shutdown"]


class WorkerInfo(NamedTuple):
    """A process's name and number."""

    name: str
    id: int


class TensorPipeRpcBackendOptions(SimpleNamespace):
    """How processes would talk: kept, and not needed."""


RpcBackendOptions = TensorPipeRpcBackendOptions
_worker: list[WorkerInfo] = []


def init_rpc(
    name: str, backend: Any = None, rank: int = 0, world_size: int = 1, rpc_backend_options: Any = None
) -> None:
    """Give this process a name; RuntimeError for a world of more than one.

    Examples
    --------
    >>> import operator
    >>> from retrograd.distributed import rpc
    >>> rpc.init_rpc("alone", rank=0, world_size=1)
    >>> rpc.rpc_sync("alone", operator.add, args=(2, 3))
    5
    >>> rpc.shutdown()
    """
    if world_size not in (None, 1):
        raise RuntimeError(
            f"torch.distributed.rpc has one process here, but world_size is {world_size}: run the program as one process"
        )
    if _worker:
        raise RuntimeError("RPC is already initialized")
    _worker.append(WorkerInfo(name, rank))


def shutdown(graceful: bool = True, timeout: float = 0) -> None:
    """Take the name away."""
    _me()
    _worker.clear()


def _is_current_rpc_agent_set() -> bool:
    return bool(_worker)


def _me() -> WorkerInfo:
    if not _worker:
        raise RuntimeError("RPC has not been initialized. Call torch.distributed.rpc.init_rpc first.")
    return _worker[0]


def get_worker_info(worker_name: str | None = None) -> WorkerInfo:
    """Give this process's name and number; RuntimeError for the name of another."""
    if worker_name not in (None, _me().name):
        raise RuntimeError(f"could not find destination {worker_name}: the one process is called {_me().name!r}")
    return _me()


def _called(to: Any, func: Any, args: Any, kwargs: Any) -> Any:
    name = to if isinstance(to, str) else _me().name if to == _me().id else getattr(to, "name", str(to))
    get_worker_info(name)
    return func(*(args or ()), **(kwargs or {}))


def rpc_sync(to: Any, func: Any, args: Any = None, kwargs: Any = None, timeout: float = -1.0) -> Any:
    """Call a function in a process, and give what it gives."""
    return _called(to, func, args, kwargs)


def rpc_async(to: Any, func: Any, args: Any = None, kwargs: Any = None, timeout: float = -1.0) -> Future[Any]:
    """Call a function in a process, and give a future, which is done."""
    future: Future[Any] = Future()
    try:
        future.set_result(_called(to, func, args, kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


class RRef:
    """A value that a process holds: this one."""

    def __init__(self, value: Any, type_hint: Any = None) -> None:
        self._value, self._owner = value, _me()

    def to_here(self, timeout: float = -1.0) -> Any:
        """Give the value."""
        return self._value

    local_value = to_here

    def owner(self) -> WorkerInfo:
        """Give the process that holds the value."""
        return self._owner

    def is_owner(self) -> bool:
        """Tell whether this process holds the value: yes."""
        return True

    def rpc_sync(self, timeout: float = -1.0) -> Any:
        """Give what calls the value's methods: the value."""
        return self._value


def remote(to: Any, func: Any, args: Any = None, kwargs: Any = None, timeout: float = -1.0) -> RRef:
    """Call a function in a process that keeps the result."""
    return RRef(_called(to, func, args, kwargs))


def _all_gather(obj: Any, worker_names: Any = None, timeout: float = -1.0) -> dict[str, Any]:
    return {_me().name: obj}


def _require_initialized(fn: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        _me()
        return fn(*args, **kwargs)

    return call


api = SimpleNamespace(_all_gather=_all_gather, _require_initialized=_require_initialized)
