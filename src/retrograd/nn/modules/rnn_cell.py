"""Cells: one step of RNN, LSTM and GRU, for loops of the user's own."""

from __future__ import annotations

import math
from typing import Any

from .. import _functions as T
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module
from .recurrence import gru_step, lstm_cell_state, lstm_output, relu_step, tanh_step

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


def draw_uniformly(module: Any) -> None:
    """Draw every parameter uniformly from +-1 / sqrt(hidden_size)."""
    bound = 1.0 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


class RNNCellBase(Module):
    """What the three cells share: their parameters and the checks of their inputs."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(T.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(T.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(T.empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter uniformly from +-1 / sqrt(hidden_size)."""
        draw_uniformly(self)

    def extra_repr(self) -> str:
        """Give the sizes, and the settings that differ from their defaults."""
        shown = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            shown += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return shown if nonlinearity == "tanh" else f"{shown}, nonlinearity={nonlinearity}"

    def _prepared(self, input: Any, states: Any) -> tuple[Any, list[Any], bool]:
        """Check sizes; give the input and the states with a batch dimension, and whether the input had one."""
        name = type(self).__name__
        for what, part in [("input", input), *(("hidden", state) for state in states if state is not None)]:
            if part.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {part.dim()}D instead")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            states = [None if state is None else state.unsqueeze(0) for state in states]
        if input.shape[1] != self.input_size:
            raise RuntimeError(
                f"{name}: input has inconsistent input_size: got {input.shape[1]} expected {self.input_size}"
            )
        wanted = (input.shape[0], self.hidden_size)
        for state in states:
            if state is not None and tuple(state.shape) != wanted:
                raise RuntimeError(
                    f"{name}: hidden has shape {list(state.shape)}, but the input's batch size and hidden_size ask for "
                    f"{list(wanted)}"
                )
        zeros = T.zeros(wanted, dtype=input.dtype) if any(state is None for state in states) else None
        return input, [zeros if state is None else state for state in states], batched


class RNNCell(RNNCellBase):
    """One step of Elman's recurrent layer: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu by ``nonlinearity``.

    Shapes: input (N, input_size), h (N, hidden_size), or both without N. RuntimeError for sizes that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.RNNCell(3, 4)(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Give the next state."""
        input, (h,), batched = self._prepared(input, [hx])
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"RNNCell: Unknown nonlinearity: {self.nonlinearity}; 'tanh' or 'relu' is expected")
        step = tanh_step if self.nonlinearity == "tanh" else relu_step
        bias = None if self.bias_ih is None else self.bias_ih + self.bias_hh
        h = step(F.linear(input, self.weight_ih, bias), h, self.weight_hh)
        return h if batched else h.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of long short-term memory: c' = f c + i g, h' = o tanh(c'); see `LSTM`.

    Shapes: input (N, input_size), the pair (h, c) of (N, hidden_size), or all without N.

    Examples
    --------
    >>> import retrograd as torch
    >>> h, c = torch.nn.LSTMCell(3, 4)(torch.zeros(2, 3))
    >>> h.shape
    torch.Size([2, 4])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Give the next state, (h, c)."""
        input, (h, c), batched = self._prepared(input, [None, None] if hx is None else [hx[0], hx[1]])
        gates = F.linear(input, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        c = lstm_cell_state(gates, c)
        h = lstm_output(gates, c)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit: h' = (1 - z) n + z h; see `GRU`.

    Shapes: input (N, input_size), h (N, hidden_size), or both without N.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.GRUCell(3, 4)(torch.zeros(3)).shape
    torch.Size([4])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Give the next state."""
        input, (h,), batched = self._prepared(input, [hx])
        h = gru_step(F.linear(input, self.weight_ih, self.bias_ih), h, self.weight_hh, self.bias_hh)
        return h if batched else h.squeeze(0)
