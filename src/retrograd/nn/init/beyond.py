"""Initialisers beyond torch: LSUV by the data, delta-orthogonal for deep convolutions, Fixup for residual networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ...core.mode import no_grad
from .fans import zeros_
from .scaled import kaiming_normal_, orthogonal_


class _Reached(BaseException):
    """Ends a forward pass at the layer it was made for; no handler of errors stops it."""

    def __init__(self, output: Any) -> None:
        self.output = output


def _weighted(module: Any) -> Any:
    """Iterate over the modules that have a weight of two or more dimensions of their own (linear and convolutions)."""
    for layer in module.modules():
        weight = layer._parameters.get("weight")
        if weight is not None and weight.dim() >= 2 and hasattr(layer, "bias"):
            yield layer


def _stop(layer: Any, args: Any, output: Any) -> None:
    raise _Reached(output.detach())


def _output_at(model: Any, batch: tuple[Any, ...], layer: Any) -> Any:
    handle = layer.register_forward_hook(_stop)
    try:
        model(*batch)
    except _Reached as reached:
        return reached.output
    finally:
        handle.remove()
    raise RuntimeError(f"lsuv_: the forward pass no longer reaches {layer!r}")


def _in_order(model: Any, batch: tuple[Any, ...]) -> list[Any]:
    """Give the weighted layers in the order in which the forward pass first reaches them."""
    order: dict[int, Any] = {}
    note = lambda layer, args, output: order.setdefault(id(layer), layer) and None
    handles = [layer.register_forward_hook(note) for layer in _weighted(model)]
    try:
        model(*batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(order.values())


def lsuv_(
    model: Any,
    batch: Any,
    *,
    tol: float = 0.1,
    max_iter: int = 10,
    orthonormal: bool = True,
    centre: bool = False,
    generator: Any = None,
) -> Any:
    """Layer-sequential unit variance: scale each layer's weight until its output on a batch has variance 1.

    Every linear and convolution layer starts as an orthonormal matrix (unless ``orthonormal`` is False, which keeps the
    weight that is there); then, layer by layer in the order of the forward pass,

        W <- W / sqrt(Var(y)),   y the layer's output on the batch, before any nonlinearity,

    until abs(Var(y) - 1) < ``tol`` or ``max_iter`` times. The resulting variance of every layer's output on this batch
    is 1, whatever the nonlinearities between them. ``centre`` also moves each bias by -mean(y), so that the mean is 0.

    The model runs in evaluation mode meanwhile, without gradients. ``batch`` is the model's input, or a tuple of its
    inputs. RuntimeError for a layer whose output has no variance or is not finite.

    Source: Mishkin and Matas 2016, All you need is a good init, https://arxiv.org/abs/1511.06422.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> net = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 5))
    >>> x = torch.randn(100, 10)
    >>> _ = nn.init.lsuv_(net, x)
    >>> bool((net(x).var() - 1).abs() < 0.1)
    True
    """
    inputs = batch if isinstance(batch, tuple) else (batch,)
    training = {module: module.training for module in model.modules()}
    with no_grad():
        model.eval()
        try:
            layers = _in_order(model, inputs)
            if orthonormal:
                for layer in layers:
                    orthogonal_(layer.weight, generator=generator)
                    if layer.bias is not None:
                        zeros_(layer.bias)
            for layer in layers:
                _unit_variance(model, inputs, layer, tol, max_iter, centre)
        finally:
            for module, mode in training.items():
                module.training = mode
    return model


def _unit_variance(model: Any, inputs: tuple[Any, ...], layer: Any, tol: float, max_iter: int, centre: bool) -> None:
    for _ in range(max_iter):
        output = _output_at(model, inputs, layer)
        variance = float(output.double().var(correction=0))
        if not math.isfinite(variance) or variance <= 0:
            raise RuntimeError(
                f"lsuv_: the output of {layer!r} has variance {variance} on this batch; "
                "give a batch with differing, finite samples"
            )
        if centre and layer.bias is not None:
            layer.bias.sub_(output.mean())
        if abs(variance - 1) < tol:
            return
        layer.weight.div_(math.sqrt(variance))


def delta_orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill a convolution's weight with zeros, but for an orthogonal matrix at the centre of the kernel.

    W[:, :, centre] = gain * H, H (out, in) with orthonormal columns. Every frequency then passes with the same factor:
    |W * x|^2 = gain^2 |x|^2, so the variance of the output is gain^2 * in / out times the input's, and convolutional
    networks of thousands of layers keep their signal. The matrix's entries have variance gain^2 / out.

    Raises ValueError unless the weight has 3, 4 or 5 dimensions and out >= in.

    Source: Xiao et al. 2018, Dynamical isometry and a mean field theory of CNNs, https://arxiv.org/abs/1806.05393.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.nn.init.delta_orthogonal_(torch.empty(4, 2, 3, 3))
    >>> torch.allclose(w[:, :, 1, 1].T @ w[:, :, 1, 1], torch.eye(2), atol=1e-5)
    True
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    rows, columns = tensor.shape[:2]
    if rows < columns:
        raise ValueError(
            f"delta_orthogonal_ needs at least as many output as input channels, but got {rows} and {columns}"
        )
    centre = tuple((size - 1) // 2 for size in tensor.shape[2:])
    with no_grad():
        matrix = orthogonal_(tensor.new_empty((rows, columns)), gain, generator)
        tensor.zero_()
        tensor[(slice(None), slice(None), *centre)] = matrix
    return tensor


def fixup_(model: Any, branches: Iterable[Any], head: Any = None, generator: Any = None) -> Any:
    """Initialise a residual network so that it trains without normalisation.

    Of the L residual ``branches`` (the modules whose output is added to their input), each with m linear or convolution
    layers: the last layer of each starts at zero, the others are He's times L^(-1 / (2m - 2)):

        Var(w) = 2 / fan_in * L^(-1 / (m - 1)),

    and the ``head`` (the layer of classes) starts at zero. All other layers of ``model`` start as He's, Var(w) =
    2 / fan_in, and all biases at zero. So one step of gradient descent changes the network's function by an amount that
    does not depend on its depth; at the start each block is the identity, and the output's variance is 0.
    The scalar biases and multipliers that the paper adds around the layers are the model's to have.

    Raises ValueError if there is no branch, or one without such a layer.

    Source: Zhang, Dauphin and Ma 2019, Fixup initialization: residual learning without normalization,
    https://arxiv.org/abs/1901.09321.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> branches = [nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)) for _ in range(4)]
    >>> net = nn.ModuleList(branches)
    >>> _ = nn.init.fixup_(net, branches)
    >>> net[0][2].weight.abs().sum().item()
    0.0
    """
    parts = [list(_weighted(branch)) for branch in branches]
    if not parts:
        raise ValueError("fixup_ needs the network's residual branches, but got none")
    for number, layers in enumerate(parts):
        if not layers:
            raise ValueError(f"fixup_: branch {number} has no linear or convolution layer")
    with no_grad():
        for layer in _weighted(model):
            kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                zeros_(layer.bias)
        for layers in parts:
            for layer in layers[:-1]:
                layer.weight.mul_(len(parts) ** (-1 / (2 * len(layers) - 2)))
            zeros_(layers[-1].weight)
        if head is not None:
            zeros_(head.weight)
    return model
