"""What recurrent layers compute: one step of each kind of cell, and the walk of a layer along its sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...tensor.composed import composed
from .. import _functions as T
from .. import functional as F

# A step is (input's part of the gates, state, weights...) -> state. The state of an LSTM is [h, c] side by side.


@composed("SqueezeBackward1")
def tanh_step(gates: Any, h: Any, weight: Any) -> Any:
    """Elman's cell: h' = tanh(gates + W h)."""
    return T.tanh(gates + F.linear(h, weight))


@composed("SqueezeBackward1")
def relu_step(gates: Any, h: Any, weight: Any) -> Any:
    """Elman's cell with another nonlinearity: h' = relu(gates + W h)."""
    return T.relu(gates + F.linear(h, weight))


@composed("SqueezeBackward1")
def gru_step(gates: Any, h: Any, weight: Any, bias: Any) -> Any:
    """Gated recurrent unit: h' = (1 - z) n + z h, where n = tanh(gates_n + r (W_n h + b_n))."""
    x_r, x_z, x_n = gates.chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, weight, bias).chunk(3, -1)
    n = T.tanh(x_n + T.sigmoid(x_r + h_r) * h_n)
    return n + T.sigmoid(x_z + h_z) * (h - n)


@composed("SqueezeBackward1")
def lstm_cell_state(gates: Any, c: Any) -> Any:
    """Long short-term memory: c' = sigmoid(f) c + sigmoid(i) tanh(g)."""
    i, f, g, _ = gates.chunk(4, -1)
    return T.sigmoid(f) * c + T.sigmoid(i) * T.tanh(g)


@composed("SqueezeBackward1")
def lstm_output(gates: Any, c: Any) -> Any:
    """Give h' = sigmoid(o) tanh(c')."""
    size = c.shape[-1]
    return T.sigmoid(gates[..., 3 * size :]) * T.tanh(c)


@composed("SqueezeBackward1")
def lstm_step(gates: Any, state: Any, weight: Any, projection: Any) -> Any:
    """Long short-term memory of the state [h, c], with h' projected where there is a projection."""
    width, size = weight.shape[1], weight.shape[0] // 4
    h, c = state.split([width, size], -1)
    gates = gates + F.linear(h, weight)
    c = lstm_cell_state(gates, c)
    h = lstm_output(gates, c)
    return T.cat([h if projection is None else F.linear(h, projection), c], -1)


Step = Callable[..., Any]


def walk(step: Step, gates: Any, sizes: Sequence[int], state: Any, weights: Sequence[Any]) -> tuple[Any, Any]:
    """Go along sequences, longest first: ``gates`` (sum of sizes, *) holds sizes[0] first steps, then the second ones.

    Gives the states after all steps in the same arrangement, and each sequence's last.
    """
    states, ended = [], []
    for part, size in zip(gates.split(sizes), sizes, strict=True):
        if size < state.shape[0]:
            ended.append(state[size:])
            state = state[:size]
        state = step(part, state, *weights)
        states.append(state)
    return T.cat(states), T.cat([state, *reversed(ended)]) if ended else state


def walk_back(step: Step, gates: Any, sizes: Sequence[int], state: Any, weights: Sequence[Any]) -> tuple[Any, Any]:
    """Go along sequences from each one's end to its beginning; see `walk`."""
    states = []
    now = state if sizes[-1] == state.shape[0] else state[: sizes[-1]]
    for part, size in zip(reversed(gates.split(sizes)), reversed(sizes), strict=True):
        begun = now.shape[0]
        if size > begun:
            now = T.cat([now, state[begun:size]])
        now = step(part, now, *weights)
        states.append(now)
    return T.cat(states[::-1]), now
