"""Layers whose calculus is known, recognised while they run: composed functions and modules, the outermost where they nest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import BaseTensor, Node
from ..nn import modules as nn
from ..tensor import composed
from . import derive_attention as attention
from . import derive_blocks as blocks
from . import derive_layers as layers
from . import derive_windows as windows
from .derive_recurrent import CELLS
from .watch import watch

ACTIVATIONS = {"gelu": layers.gelu, "silu": layers.silu, "elu": layers.elu}


class Call:
    """One call of a composed function or module whose calculus is known."""

    def __init__(
        self, derive: Callable[[Any], Any], operands: Sequence[Any], settings: Sequence[Any], title: str
    ) -> None:
        self.derive, self.settings, self.title = derive, list(settings), title
        self.operands = [(x, x._node, x._a) if isinstance(x, BaseTensor) else None for x in operands]
        self.result: Node | None = None


def _array(x: Any) -> Any:
    return x._a if isinstance(x, BaseTensor) else x


def composed_call(fn: Callable[..., Any], xs: Sequence[Any]) -> Call | None:
    """Give the known calculus of a composed function, by its name and what it is called with."""
    name = fn.__name__.strip("_")
    if name in ("gelu", "silu"):
        return Call(ACTIVATIONS[name], xs[:1], (), name)
    if name == "elu":
        return Call(layers.elu, xs[:1], xs[1:4], name)
    if name in ("softmax", "log_softmax"):
        return Call(getattr(blocks, name), xs[:1], xs[1:2], name.replace("_", " "))
    if name == "layer_norm":
        return Call(blocks.layer_norm, xs[:3], xs[3:5], "layer norm")
    if name in ("mean_class_loss", "class_losses"):
        averaged = name == "mean_class_loss"
        chosen = _array(xs[1])
        return Call(lambda s: blocks.cross_entropy(s, averaged), xs[:1], (chosen, xs[2]), "softmax with cross entropy")
    if name == "mean_square" and xs[0].shape == xs[1].shape:
        return Call(blocks.mean_square, xs[:2], (), "mean squared error")
    if name == "logit_losses" and xs[0].shape == xs[1].shape:
        return Call(blocks.logit_losses, xs[:2], (), "binary cross entropy of logits")
    if name in CELLS:
        return Call(CELLS[name], xs, (), name.replace("_", " "))
    if name == "attention":
        return Call(attention.attention, xs[:3], (_array(xs[3]), _array(xs[4]), xs[5], xs[6]), "attention")
    return None


def module_call(module: Any, args: Sequence[Any]) -> Call | None:
    """Give the known calculus of a module that is not one operation or one composed function."""
    if isinstance(module, nn.MultiheadAttention):
        return _multihead(module, args)
    if len(args) != 1 or not isinstance(args[0], BaseTensor):
        return None
    x = args[0]
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        spatial = len(module.kernel_size)
        if module.padding_mode != "zeros" or isinstance(module.padding, str) or x.dim() != spatial + 2:
            return None
        padding = [(p, p) for p in module.padding]
        settings = (tuple(module.stride), padding, tuple(module.dilation), module.groups)
        return Call(layers.conv, (x, module.weight, module.bias), settings, "convolution")
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return _transposed(module, x)
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        training = module.training or module.running_mean is None
        if not training and x.dim() < 2:
            return None
        mean, variance = (None, None) if training else (module.running_mean._a, module.running_var._a)
        return Call(
            blocks.batch_norm, (x, module.weight, module.bias), (training, module.eps, mean, variance), "batch norm"
        )
    if isinstance(module, nn.GroupNorm):
        return Call(blocks.group_norm, (x, module.weight, module.bias), (module.num_groups, module.eps), "group norm")
    if isinstance(module, nn.RMSNorm):
        eps = module.eps if module.eps is not None else float(np.finfo(x._a.dtype).eps)
        return Call(blocks.rms_norm, (x, module.weight), (len(module.normalized_shape), eps), "RMS norm")
    if isinstance(module, nn.Embedding) and x._a.dtype.kind in "iu" and module.max_norm is None and not module.sparse:
        return Call(layers.embedding, (module.weight,), (x._a,), "embedding")
    return None


def _transposed(module: Any, x: Any) -> Call | None:
    stride, dilation, kernel = tuple(module.stride), tuple(module.dilation), module.weight.shape[2:]
    if x.dim() != len(kernel) + 2:
        return None
    sizes = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(x.shape[2:], stride, module.padding, dilation, kernel, module.output_padding)
    )
    settings = (stride, [(p, p) for p in module.padding], dilation, module.groups, sizes)
    return Call(windows.conv_transpose, (x, module.weight, module.bias), settings, "transposed convolution")


def _multihead(module: Any, args: Sequence[Any]) -> Call | None:
    tensors = [a for a in args[:3] if isinstance(a, BaseTensor)]
    plain = module._qkv_same_embed_dim and module.bias_k is None and not module.add_zero_attn
    if len(tensors) != 3 or not plain or (module.dropout and module.training) or tensors[0].dim() != 3:
        return None
    parameters = (module.in_proj_weight, module.in_proj_bias, module.out_proj.weight, module.out_proj.bias)
    return Call(attention.multihead, (*tensors, *parameters), (module.num_heads, module.batch_first), "attention")


class Recorder(watch):
    """A watch that notes which known layer each operation belongs to, the outermost where they nest."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.calls: dict[Node, Call] = {}
        self.open: list[tuple[Any, Call | None]] = []
        self.found: list[Call] = []
        self.titles: dict[Node, str] = {}
        self.names: list[str] = []
        self.thread = threading.get_ident()

    def __enter__(self) -> Recorder:
        super().__enter__()
        composed.WATCHERS.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        composed.WATCHERS.remove(self)
        super().__exit__(*exc)

    def _begin(self, key: Any, call: Call | None) -> None:
        if any(c is not None for _, c in self.open):
            call = None
        self.open.append((key, call))

    def _end(self, result: Any) -> None:
        _, call = self.open.pop()
        if call is not None and isinstance(result, BaseTensor) and result._node is not None:
            call.result = result._node
            self.found.append(call)

    def entered(self, fn: Any, xs: Any) -> None:
        """Hear that a composed function begins."""
        if threading.get_ident() == self.thread:
            self._begin(fn, composed_call(fn, xs))

    def left(self, fn: Any, result: Any) -> None:
        """Hear that it ended."""
        if threading.get_ident() == self.thread:
            self._end(result)

    def _enter(self, module: Any, args: Any) -> None:
        super()._enter(module, args)
        path = self.paths.get(id(module), "")
        self.names.append(f"{path}: {_shown(module)}" if path else _shown(module))
        self._begin(module, module_call(module, args))

    def _leave(self, module: Any, args: Any, output: Any) -> None:
        super()._leave(module, args, output)
        self.names.pop()
        self._end(output[0] if isinstance(output, tuple) and output else output)

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        super()._seen(op, xs, attrs, result)
        node = result[0]._node if isinstance(result, tuple) and result else getattr(result, "_node", None)
        call = next((c for _, c in self.open if c is not None), None)
        if node is not None:
            if call is not None:
                self.calls[node] = call
            self.titles[node] = self.names[-1] if self.names else ""


def _shown(module: Any) -> str:
    sizes = module.extra_repr() if not module._modules else ""
    return f"{type(module).__name__}({sizes})" if len(sizes) <= 60 else type(module).__name__


__all__ = ["Call", "Recorder", "composed_call", "module_call"]
