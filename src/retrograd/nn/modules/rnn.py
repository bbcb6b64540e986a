"""Recurrent layers over whole sequences: RNN, LSTM and GRU, in several layers and both directions."""

from __future__ import annotations

import numbers
import warnings
from typing import Any

from ...core import MODE
from .. import _functions as T
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module
from .recurrence import run_layers
from .rnn_cell import GRUCell, LSTMCell, RNNCell, RNNCellBase, draw_uniformly
from .rnn_checks import Checks

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Checks, Module):
    """What RNN, LSTM and GRU share: their parameters, the checks of their inputs, and the walk over layers."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check_settings(dropout)
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        rows, width = _GATES[mode] * hidden_size, proj_size or hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            columns = input_size if layer == 0 else width * directions
            shapes: dict[str, Any] = {"weight_ih": (rows, columns), "weight_hh": (rows, width)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(T.empty(shape, device=device, dtype=dtype)))
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self.reset_parameters()

    def _check_settings(self, dropout: Any) -> None:
        if not isinstance(dropout, numbers.Number) or not 0 <= self.dropout <= 1 or isinstance(dropout, bool):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
                f"but got {dropout!r}"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (("bias", bool), ("batch_first", bool), ("input_size", int), ("hidden_size", int)):
            found = getattr(self, name)
            if not isinstance(found, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(found).__name__}")
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero, got: {getattr(self, name)}")
        if not 0 <= self.proj_size < self.hidden_size:
            raise ValueError(
                f"proj_size should be zero (no projection) or positive and smaller than hidden_size {self.hidden_size}, "
                f"got: {self.proj_size}"
            )
        if self.mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {self.mode}; one of {', '.join(_GATES)} is expected")

    def reset_parameters(self) -> None:
        """Draw every parameter uniformly from +-1 / sqrt(hidden_size)."""
        draw_uniformly(self)

    def flatten_parameters(self) -> None:
        """Do nothing: the parameters need no common piece of memory here."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def extra_repr(self) -> str:
        """Give the sizes, and the settings that differ from their defaults."""
        shown = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        changed = [
            f", {name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual
        ]
        return shown + "".join(changed)

    def _layers(self, rows: Any, sizes: list[int], states: Any) -> tuple[Any, Any]:
        """Run all layers over rows arranged as `recurrence.walk` wants them; gives their outputs and the last states."""
        weights = [[getattr(self, name) for name in names] for names in self._all_weights]
        dropout = self.dropout if self.training else 0.0
        return run_layers(self.mode, weights, self.bias, 2 if self.bidirectional else 1, dropout, rows, sizes, states)

    def _check_input(self, input: Any, packed: bool) -> None:
        kind = getattr(self, self._flat_weights_names[0]).dtype
        name = type(self).__name__
        if not packed and input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead")
        if input.dtype != kind and MODE.autocast is None:
            raise ValueError(
                f"{name}: RNN input dtype ({input.dtype}) does not match weight dtype ({kind}). Convert input: "
                f"input.to({kind}), or convert model: model.to({input.dtype})"
            )
        if packed and input.dim() != 2:
            raise RuntimeError(f"{name}: packed input must have 2 dimensions, got {input.dim()}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _check_states(self, given: Any, batched: bool, batch: int, order: Any) -> Any:
        """Give the starting states as (layers * directions, batch, ...), an LSTM's h and c side by side."""
        lead = self.num_layers * (2 if self.bidirectional else 1)
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if self.mode == "LSTM" else 1]
        if given is None:
            kind = getattr(self, self._flat_weights_names[0]).dtype
            return [T.zeros(batch, sum(widths), dtype=kind)] * lead
        parts = [given[0], given[1]] if self.mode == "LSTM" else [given]
        for part, width in zip(parts, widths, strict=True):
            wanted = (lead, batch, width) if batched else (lead, width)
            if tuple(part.shape) != wanted:
                raise RuntimeError(
                    f"{type(self).__name__}: Expected hidden size {wanted}, got {list(part.shape)}: (layers * directions"
                    f"{', batch' if batched else ''}, features)"
                )
        states = parts[0] if len(parts) == 1 else T.cat(parts, -1)
        if not batched:
            states = states.unsqueeze(1)
        return (states if order is None else states.index_select(1, order)).unbind(0)

    def _run(self, input: Any, hx: Any) -> tuple[Any, Any]:
        """Run on a batch, a single sequence or a packed batch; gives the output and the last states, both parts aside."""
        packed = isinstance(input, PackedSequence)
        data = input.data if packed else input
        self._check_input(data, packed)
        batched = packed or data.dim() == 3
        if packed:
            sizes = input.batch_sizes.tolist()
            states = self._check_states(hx, True, sizes[0], input.sorted_indices)
            output, last = self._layers(data, sizes, states)
            output = PackedSequence(output, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
            if input.unsorted_indices is not None:
                last = last.index_select(1, input.unsorted_indices)
        else:
            swap = batched and self.batch_first
            steps = data.transpose(0, 1) if swap else data if batched else data.unsqueeze(1)
            length, batch = steps.shape[:2]
            states = self._check_states(hx, batched, batch, None)
            if not length:
                raise RuntimeError(f"{type(self).__name__}: Expected sequence length to be larger than 0 in RNN")
            output, last = self._layers(steps.flatten(0, 1), [batch] * length, states)
            if batched:
                output = output.reshape(length, batch, output.shape[-1])
                output = output.transpose(0, 1) if swap else output
            else:
                last = last.squeeze(1)
        if self.mode != "LSTM":
            return output, last
        h, c = last.split([self.proj_size or self.hidden_size, self.hidden_size], -1)
        return output, (h.contiguous(), c.contiguous())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.pop("_flat_weights", None)  # torch keeps them twice
        self.__dict__.setdefault("proj_size", 0)


class RNN(RNNBase):
    """Elman's recurrent layer: h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu by ``nonlinearity``.

    Shapes: input (L, N, input_size), (N, L, input_size) with ``batch_first``, (L, input_size) or a PackedSequence; the
    output likewise with directions * hidden_size features; h (layers * directions, N, hidden_size) before and after.
    ``dropout`` acts between layers, in training. RuntimeError for sizes and ValueError for dtypes that do not fit.

    Source: Elman 1990, Finding structure in time.

    Examples
    --------
    >>> import retrograd as torch
    >>> output, h = torch.nn.RNN(3, 4)(torch.zeros(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        args, named = (args[:3] + args[4:], args[3:4]) if len(args) > 3 else (args, ())
        nonlinearity = named[0] if named else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Give the output of the last layer at all steps, and every layer's last state."""
        return self._run(input, hx)


class LSTM(RNNBase):
    """Long short-term memory: c_t = f c_(t-1) + i g, h_t = o tanh(c_t), with gates from W_ih x_t + W_hh h_(t-1) + b.

    The gates i, f and o are sigmoids, g a tanh; the rows of the weights come in the order i, f, g, o. With
    ``proj_size`` h_t is W_hr times that. Shapes as for `RNN`; the state is the pair (h, c), c with hidden_size features.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000; projections: https://arxiv.org/abs/1402.1128.

    Examples
    --------
    >>> import retrograd as torch
    >>> output, (h, c) = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)(torch.zeros(5, 2, 3))
    >>> output.shape, h.shape, c.shape
    (torch.Size([5, 2, 8]), torch.Size([4, 2, 4]), torch.Size([4, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Give the output of the last layer at all steps, and the pair (h, c) of every layer's last states."""
        return self._run(input, hx)


class GRU(RNNBase):
    """Gated recurrent units: h_t = (1 - z) n + z h_(t-1), n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn)).

    The gates r and z are sigmoids; the rows of the weights come in the order r, z, n. Shapes as for `RNN`.

    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078.

    Examples
    --------
    >>> import retrograd as torch
    >>> output, h = torch.nn.GRU(3, 4, batch_first=True)(torch.zeros(2, 5, 3))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Give the output of the last layer at all steps, and every layer's last state."""
        return self._run(input, hx)


def apply_permutation(tensor: Any, permutation: Any, dim: int = 1) -> Any:
    """Give the entries along a dimension in another order; FutureWarning, as ``index_select`` does it."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use `tensor.index_select(dim, permutation)` instead",
        FutureWarning,
        stacklevel=2,
    )
    return tensor.index_select(dim, permutation)


def _refuse_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
