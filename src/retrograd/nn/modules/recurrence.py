"""What recurrent layers compute: one step of each kind of cell, and the walk of a layer along its sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core import BaseTensor
from ...tensor.composed import composed
from .. import _functions as T
from .. import functional as F

# A step is (input's part of the gates, state, weights...) -> state. The state of an LSTM is [h, c] side by side.


@composed("TanhBackward0")
def tanh_step(gates: Any, h: Any, weight: Any) -> Any:
    """Elman's cell: h' = tanh(gates + W h)."""
    return T.tanh(gates + F.linear(h, weight))


@composed("ReluBackward0")
def relu_step(gates: Any, h: Any, weight: Any) -> Any:
    """Elman's cell with another nonlinearity: h' = relu(gates + W h)."""
    return T.relu(gates + F.linear(h, weight))


@composed("AddBackward0")
def gru_step(gates: Any, h: Any, weight: Any, bias: Any) -> Any:
    """Gated recurrent unit: h' = (1 - z) n + z h, where n = tanh(gates_n + r (W_n h + b_n))."""
    x_r, x_z, x_n = gates.chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, weight, bias).chunk(3, -1)
    n = T.tanh(x_n + T.sigmoid(x_r + h_r) * h_n)
    return n + T.sigmoid(x_z + h_z) * (h - n)


@composed("AddBackward0")
def lstm_cell_state(gates: Any, c: Any) -> Any:
    """Long short-term memory: c' = sigmoid(f) c + sigmoid(i) tanh(g)."""
    i, f, g, _ = gates.chunk(4, -1)
    return T.sigmoid(f) * c + T.sigmoid(i) * T.tanh(g)


@composed("MulBackward0")
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


def _step(mode: str, weights: Sequence[Any], biased: bool) -> tuple[Step, Any, tuple[Any, ...]]:
    """Give the step, the bias of the input's projection, and the step's own weights."""
    inner, projection = weights[1], weights[-1] if len(weights) in (3, 5) else None
    b_ih: Any = weights[2] if biased else None
    b_hh: Any = weights[3] if biased else None
    if mode == "GRU":
        return gru_step, b_ih, (inner, b_hh)
    both = b_ih + b_hh if biased else None
    if mode == "LSTM":
        return lstm_step, both, (inner, projection)
    return (tanh_step if mode == "RNN_TANH" else relu_step), both, (inner,)


def run_layers(
    mode: str,
    weights: Sequence[Sequence[Any]],
    biased: bool,
    directions: int,
    dropout: float,
    rows: Any,
    sizes: Sequence[int],
    states: Sequence[Any],
) -> tuple[Any, Any]:
    """Run all layers over rows arranged as `walk` wants them; gives their outputs and the last states.

    ``weights`` holds those of each layer and direction: w_ih, w_hh, the biases where there are any, and a projection.
    """
    last = []
    width = weights[0][1].shape[1]
    for first in range(0, len(weights), directions):
        outputs = []
        for k in range(first, first + directions):
            step, bias, held = _step(mode, weights[k], biased)
            go = walk_back if k > first else walk
            found, end = go(step, F.linear(rows, weights[k][0], bias), sizes, states[k], held)
            outputs.append(found if found.shape[-1] == width else found[:, :width])
            last.append(end)
        rows = T.cat(outputs, -1) if directions == 2 else outputs[0].contiguous()
        if dropout and first + directions < len(weights):
            rows = F.dropout(rows, dropout)
    return rows, T.stack(last)


def by_arguments(mode: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """Run layers by the arguments of torch.lstm and its kin: of a padded batch, or of a packed one.

    Gives the output and the last state, which of an LSTM is the pair (h, c).
    """
    packed = len(args) == 9 and isinstance(args[1], BaseTensor) and isinstance(args[3], (list, tuple))
    if len(args) != 9:
        raise TypeError(f"{mode.lower()}() takes 9 positional arguments, but {len(args)} were given")
    if packed:
        data, batch_sizes, hx, params, biased, layers, dropout, train, both_ways = args
        batch_first, sizes = False, batch_sizes.tolist()
    else:
        data, hx, params, biased, layers, dropout, train, both_ways, batch_first = args
        if data.dim() != 3:
            raise RuntimeError(f"{mode.lower()}(): expected an input of 3 dimensions, got {data.dim()}")
    parts = list(hx) if mode == "LSTM" else [hx]
    directions = 2 if both_ways else 1
    count = layers * directions
    if len(params) % count:
        raise RuntimeError(f"{mode.lower()}(): {len(params)} weights do not make {count} layers and directions")
    each = len(params) // count
    weights = [list(params[k * each : (k + 1) * each]) for k in range(count)]
    states = (parts[0] if len(parts) == 1 else T.cat(parts, -1)).unbind(0)
    if not packed:
        steps = data.transpose(0, 1) if batch_first else data
        length, batch = steps.shape[:2]
        sizes, data = [batch] * length, steps.flatten(0, 1)
    output, last = run_layers(
        mode, weights, bool(biased), directions, float(dropout) if train else 0.0, data, sizes, states
    )
    if not packed:
        output = output.reshape(length, batch, output.shape[-1])
        output = output.transpose(0, 1) if batch_first else output
    if mode != "LSTM":
        return output, last
    h, c = last.split([parts[0].shape[-1], parts[1].shape[-1]], -1)
    return output, (h.contiguous(), c.contiguous())
