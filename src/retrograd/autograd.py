"""torch.autograd: backward, grad, Function, grad modes, checks and anomaly detection."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from . import memory as _memory
from .autodiff import when_walked
from .core import BaseTensor, enable_grad, inference_mode, no_grad, set_grad_enabled
from .core.kept import SavedTensor
from .tensor import Tensor
from .tensor import forward_ad as forward_ad
from .tensor import functional as functional
from .tensor.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .tensor.backward import backward_many, grad
from .tensor.edges import GradientEdge
from .tensor.function import Function, FunctionCtx, once_differentiable
from .testing.gradcheck import GradcheckError, gradcheck, gradgradcheck


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Walk back from one or several tensors and add each leaf's gradient to its ``.grad``.

    Parameters
    ----------
    tensors : Tensor or sequence of them
    grad_tensors : Tensor or sequence, optional
        The upstream gradients; left out for single elements.
    retain_graph, create_graph, inputs
        As for ``Tensor.backward``.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> torch.autograd.backward([x * 3, x * 4])
    >>> x.grad
    tensor(7.)
    """
    outputs: Sequence[Any] = [tensors] if isinstance(tensors, (BaseTensor, GradientEdge)) else list(tensors)
    given = grad_tensors if grad_tensors is not None else grad_variables
    gradients = [None] * len(outputs) if given is None else [given] if isinstance(given, BaseTensor) else list(given)
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    backward_many(outputs, gradients, retain_graph, create_graph, inputs)


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """A Tensor, under the name it had before PyTorch 0.4: calling it gives the data without history.

    Examples
    --------
    >>> import retrograd as torch
    >>> Variable(torch.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: Any = None) -> Any:
        if data is None:
            return Tensor().requires_grad_(requires_grad)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)

    _execution_engine = SimpleNamespace(queue_callback=when_walked)


class set_multithreading_enabled:
    """Take note of a wish: a backward walk runs in the thread that asked for it, and its kernels share their own threads.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.autograd.set_multithreading_enabled(False):
    ...     torch.ones(1, requires_grad=True).sum().backward()
    """

    wanted = True

    def __init__(self, mode: bool) -> None:
        self.before = set_multithreading_enabled.wanted
        set_multithreading_enabled.wanted = mode

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: Any) -> None:
        set_multithreading_enabled.wanted = self.before


def is_multithreading_enabled() -> bool:
    """Give what ``set_multithreading_enabled`` was given: True at first."""
    return set_multithreading_enabled.wanted


def _module(name: str, doc: str, **names: Any) -> Any:
    """Give a module that torch has below torch.autograd; one may import it, and from it."""
    made = ModuleType(f"{__name__}.{name}", doc)
    made.__dict__.update(names)
    sys.modules[made.__name__] = made
    return made


__path__: list[str] = []  # what is below is found by name, as a module below a package is
sys.modules[f"{__name__}.forward_ad"] = forward_ad
sys.modules[f"{__name__}.functional"] = functional
sys.modules[f"{__name__}.gradcheck"] = sys.modules[gradcheck.__module__]


function: Any = _module(
    "function",
    "torch.autograd.function: functions with a backward of one's own.",
    Function=Function,
    FunctionCtx=FunctionCtx,
    once_differentiable=once_differentiable,
)
grad_mode: Any = _module(
    "grad_mode",
    "torch.autograd.grad_mode: whether operations are recorded.",
    no_grad=no_grad,
    enable_grad=enable_grad,
    set_grad_enabled=set_grad_enabled,
    inference_mode=inference_mode,
)
graph: Any = _module(
    "graph",
    "torch.autograd.graph: nodes, their edges, and what becomes of the values they save.",
    __all__=_memory.saving.__all__,
    **{name: getattr(_memory.saving, name) for name in _memory.saving.__all__},
)
anomaly_mode: Any = _module(
    "anomaly_mode",
    "torch.autograd.anomaly_mode: checks of every step of a backward walk.",
    detect_anomaly=detect_anomaly,
    set_detect_anomaly=set_detect_anomaly,
)


def _from_profiler(name: str) -> Any:
    """Give a name of ``torch.profiler``, which is loaded with the first."""
    from . import profiler as found

    return found._SwitchedProfile if name == "profile" else getattr(found, name)


profiler: Any = _module(
    "profiler", "torch.autograd.profiler: ``torch.profiler`` under its old name.", __getattr__=_from_profiler
)
variable: Any = _module("variable", "torch.autograd.variable: the name that Tensors had.", Variable=Variable)


__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "SavedTensor",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "graph",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "is_multithreading_enabled",
    "no_grad",
    "once_differentiable",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]
