"""Runs recorded rules on parameters: one at a time, in blocks that stay in cache, or small ones in one flat array.

A rule that has gone over many elements is compiled: large parameters are then updated in one pass over memory.
"""

from __future__ import annotations

import importlib
import weakref
from collections import Counter
from operator import is_, itemgetter
from typing import Any

import numpy as np

from ..core import dtypes
from ..tensor import Tensor
from .plan import Hyper, Plan, flatten, record

BLOCK = 16384  # elements a rule works on at a time: Adam's six arrays of them fit in a core's second-level cache
SMALL = 8192  # parameters of at most this many elements are worth gathering into one flat array
NATIVE = (np.dtype(np.float32), np.dtype(np.float64))
PAID = 1 << 23  # elements after which compiling a rule has paid for itself


def real_view(a: Any) -> Any:
    """Give a complex array's parts as a last axis of two real numbers, sharing its memory; other arrays as they are."""
    if a.dtype.kind != "c":
        return a
    part = a.real
    return np.lib.stride_tricks.as_strided(part, (*a.shape, 2), (*a.strides, part.itemsize))


class Binding:
    """A plan for one dtype with its coefficients, computed anew only when a number they depend on has changed."""

    def __init__(self, plan: Plan, dtype: Any, runner: Runner) -> None:
        self.plan = plan
        self.runner = weakref.proxy(runner)  # no cycles: an optimizer and its states go when the last reference goes
        self.coefficients = [np.zeros((), dtype) for _ in plan.coefficients]
        self.flags = [k for k, (_, flag) in enumerate(plan.coefficients) if flag]
        for k in self.flags:
            self.coefficients[k] = np.zeros((), np.bool_)
        self.key: Any = None
        self.after: tuple[float, ...] = ()
        self.dtype = dtype

    def kernel(self, size: int) -> Any:
        """Give the compiled rule, or None while it has not gone over enough elements; those of this call are counted."""
        found = self.plan.kernels.get(self.dtype, 0)
        if found.__class__ is int:
            self.plan.kernels[self.dtype] = found = found + size
            if found < PAID:
                return None
            compiler = importlib.import_module(f"{__package__.partition('.')[0]}.compiler.eager_update")
            found = self.plan.kernels[self.dtype] = compiler.update(self.plan, self.dtype)
        return found

    def compute(self, scalars: list[float]) -> None:
        """Fill the coefficients for these scalar states and the group's present hyper-parameters."""
        given, self.after = self.plan.numbers(*self.runner.numbers, *scalars)
        for array, value in zip(self.coefficients, given, strict=True):
            array.fill(value)
        self.key = scalars


class Unit:
    """Some parameters of a group, with all that their update needs."""

    def __init__(self, runner: Runner, params: list[Any]) -> None:
        self.runner = weakref.proxy(runner)
        self.states, self.params = runner.states, params

    def step(self) -> bool:
        """Update the parameters, or give False, having done nothing, when something was exchanged under our hands."""
        raise NotImplementedError

    def renew(self) -> None:
        """Take up another choice of flags, or states that were not there before."""
        raise NotImplementedError


class Single(Unit):
    """One parameter, updated where its memory is; a large one block by block."""

    def __init__(self, runner: Runner, p: Any) -> None:
        super().__init__(runner, [p])
        self.p, self.a = p, p._a
        self.renew()

    def renew(self) -> None:
        """Bind the plan for the present flags and states to this parameter's arrays."""
        self.state, arrays, scalars = self.runner.present(self.p)
        self.binding = self.runner.bind(arrays, scalars, self.a.real.dtype)
        plan = self.binding.plan
        self.fresh = bool(plan.created)
        for name in plan.created:
            self.state[name] = Tensor._wrap(np.zeros_like(self.a))
        self.held = [(name, self.state[name], self.state[name]._a) for name in (*plan.states, *plan.scalars)]
        self.scalars = [self.state[name]._a for name in plan.scalars]
        views = [real_view(a) for a in (self.a, *(self.state[name]._a for name in plan.states))]
        self.whole = self.a.dtype.kind != "c" and (self.a.size <= BLOCK or self.a.ndim == 0)
        dense = all(v.flags.c_contiguous for v in views)
        self.packed = views if dense and self.a.size > SMALL else None
        self.flat = not self.whole and dense
        if self.flat:
            views = [v.reshape(-1) for v in views]
        self._cut(views)

    def _cut(self, views: list[Any]) -> None:
        """Prepare the arguments of the plan's code, once for all the elements or once for each block of them."""
        p, plan = views[0], self.binding.plan
        rows = 0 if self.whole else max(1, BLOCK * len(p) // max(1, p.size))
        shape = p.shape if self.whole else (min(rows, len(p)), *p.shape[1:])
        scratch = [self.runner.scratch(k, kind, shape, p.dtype) for k, kind in enumerate(plan.temporaries)]
        coefficients = self.binding.coefficients
        self.fixed = (*views, *scratch, *coefficients)
        self.blocks = []
        for i in range(0, 0 if self.whole else len(p), rows or 1):
            block = slice(i, i + rows)
            self.blocks.append(
                (block, (*(v[block] for v in views), *(t[: len(p[block])] for t in scratch), *coefficients))
            )

    def step(self) -> bool:
        p = self.p
        g = p._grad
        if g is None:
            return True
        state = self.state
        if p._a is not self.a or (self.held and self.states.get(p) is not state):
            return False
        for name, tensor, a in self.held:
            if state.get(name) is not tensor or tensor._a is not a:
                return False
        binding = self.binding
        scalars = [a.item() for a in self.scalars]
        if scalars != binding.key:
            binding.compute(scalars)
        body = binding.plan.body
        packed = self.packed
        kernel = binding.kernel(self.a.size) if packed is not None else None
        if packed is not None and kernel is not None:
            kernel.into((packed[0], real_view(g._a), *packed[1:], *binding.coefficients), ())
        elif self.whole:
            body(g._a, *self.fixed)
        else:
            array = real_view(g._a)
            if self.flat:
                array = array.reshape(-1)
            for block, fixed in self.blocks:
                body(array[block], *fixed)
        for a, value in zip(self.scalars, binding.after):
            a.fill(value)
        p._s.version += 1
        if self.fresh:
            self.renew()
        return True


class Pack(Unit):
    """Small parameters of one dtype whose states, made together, lie in flat arrays: one operation serves them all."""

    def __init__(self, runner: Runner, params: list[Any]) -> None:
        super().__init__(runner, params)
        self.arrays = [p._a for p in params]
        self.sizes = [a.size for a in self.arrays]
        self.size = sum(self.sizes)
        self.dtype = self.arrays[0].dtype
        self.flats: dict[str, Any] = {}
        self.renew()

    def _pieces(self, flat: Any) -> list[Any]:
        """Cut a flat array into views in the parameters' shapes."""
        ends = np.cumsum(self.sizes)
        return [flat[end - n : end].reshape(a.shape) for end, n, a in zip(ends, self.sizes, self.arrays, strict=True)]

    def _settle(self, states: list[Any], names: list[str], scalar: bool) -> None:
        """Move states that are not in a flat array yet into one."""
        for name in names:
            if name in self.flats:
                continue
            found = [state.get(name) for state in states]
            values = [
                np.zeros_like(a) if tensor is None else tensor._a for tensor, a in zip(found, self.arrays, strict=True)
            ]
            self.flats[name] = flat = np.concatenate(values, None, dtype=values[0].dtype if scalar else self.dtype)
            views = [flat[i : i + 1].reshape(()) for i in range(len(values))] if scalar else self._pieces(flat)
            for state, view in zip(states, views, strict=True):
                state[name] = Tensor._wrap(view)

    def renew(self) -> None:
        """Bind the plan for the present flags and states to the flat arrays."""
        runner = self.runner
        found = [runner.present(p) for p in self.params]
        states = [state for state, _, _ in found]
        self.binding = runner.bind(found[0][1], found[0][2], self.dtype)
        plan = self.binding.plan
        self.fresh = bool(plan.created)
        self._settle(states, plan.states, False)
        self._settle(states, plan.scalars, True)
        names = (*plan.states, *plan.scalars)
        self.members: list[tuple[Any, Any, Any, list[tuple[str, Any, Any]]]] = [
            (p, p._a, state, [(name, state[name], state[name]._a) for name in names])
            for p, state in zip(self.params, states, strict=True)
        ]
        self.scalars = [self.flats[name] for name in plan.scalars]
        flat = {"g": np.empty(self.size, self.dtype), "p": np.empty(self.size, self.dtype)}
        flat |= {f"s_{name}": self.flats[name] for name in plan.states}
        flat |= {f"t{k}": runner.scratch(k, kind, (self.size,), self.dtype) for k, kind in enumerate(plan.temporaries)}
        self.fixed = (self.arrays, self._pieces(flat[plan.scattered]), *flat.values(), *self.binding.coefficients)

    def step(self) -> bool:
        grads = []
        get = self.states.get
        for p, a, state, held in self.members:
            g = p._grad
            if g is None:
                return all(q._grad is None for q in self.params)
            grads.append(g._a)
            if p._a is not a or (held and get(p) is not state):
                return False
            for name, tensor, array in held:
                if state.get(name) is not tensor or tensor._a is not array:
                    return False
        scalars = []
        for flat in self.scalars:
            values = flat.tolist()
            if values.count(values[0]) != len(values):
                return False
            scalars.append(values[0])
        binding = self.binding
        if scalars != binding.key:
            binding.compute(scalars)
        binding.plan.gathered(grads, *self.fixed)
        for flat, value in zip(self.scalars, binding.after):
            flat.fill(value)
        for p in self.params:
            p._s.version += 1
        if self.fresh:
            self.renew()
        return True


class Direct(Unit):
    """One parameter whose rule is not elementwise, or whose dtype is narrow: the rule runs as it is, in float32."""

    def __init__(self, runner: Runner, p: Any) -> None:
        super().__init__(runner, [p])
        self.p = p
        self.renew()

    def renew(self) -> None:
        """Find or make the parameter's state."""
        self.state, self.names, self.scalars = self.runner.present(self.p)

    def step(self) -> bool:
        p, runner = self.p, self.runner
        if p._grad is None:
            return True
        if (self.names or self.scalars) and self.states.get(p) is not self.state:
            return False
        dtype = p._a.dtype
        wide = dtype if dtype in NATIVE else np.dtype(np.float32)
        given: dict[str, Any] = {name: self.state[name]._a.astype(wide, copy=False) for name in self.names}
        given |= {name: self.state[name]._a.item() for name in self.scalars}
        p_wide, g_wide = (x.astype(wide, copy=False) for x in (p._a, p._grad._a))
        result, after = runner.optimizer.update(p_wide, g_wide, given, Hyper(runner.values()))
        np.copyto(p._a, result, casting="unsafe")
        p._s.version += 1
        for name, value in after.items():
            if name in given:
                np.copyto(self.state[name]._a, value, casting="unsafe")
            else:
                self.state[name] = Tensor._wrap(np.array(value, dtype))
        if len(after) > len(given):
            self.renew()
        return True


class Runner:
    """Steps one parameter group of an optimizer."""

    def __init__(self, optimizer: Any, group: dict[str, Any]) -> None:
        self.optimizer, self.kind, self.group = weakref.proxy(optimizer), type(optimizer), group
        self.names = tuple(optimizer.defaults)
        self.read = (
            itemgetter(*self.names) if len(self.names) > 1 else lambda group: tuple(group[name] for name in self.names)
        )
        self.states = optimizer.state
        self.params: list[Any] = []
        self.waiting: list[Any] = []  # parameters that have had no gradient yet
        self.units: list[Unit] = []
        self.bindings: dict[Any, Binding] = {}
        self.buffers: dict[Any, Any] = {}
        self.seen: Any = None
        self.key: Any = None
        self.numbers: list[float] = []
        self.volatile = False

    def values(self) -> dict[str, Any]:
        """Give the group's hyper-parameters by name."""
        return dict(zip(self.names, self.read(self.group), strict=True))

    def step(self) -> None:
        """Update every parameter of the group that has a gradient."""
        seen = self.read(self.group)
        if self.volatile or seen != self.seen:
            self._take_up(seen)
        params = self.group["params"]
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            self.params, self.waiting, self.units = list(params), list(params), []
        if self.waiting:
            self._form()
        units = self.units
        i = 0
        while i < len(units):
            if units[i].step():
                i += 1
            else:
                units[i : i + 1] = [self._alone(p) for p in units[i].params]

    def _take_up(self, seen: Any) -> None:
        """Notice changed hyper-parameters: other numbers need new coefficients, other flags another plan."""
        self.volatile = any(
            isinstance(v, Tensor) for value in seen for v in (value if isinstance(value, (tuple, list)) else (value,))
        )
        self.seen = seen
        self.numbers, key = flatten(dict(zip(self.names, seen, strict=True)))
        if key == self.key:
            for binding in self.bindings.values():
                binding.key = None
        else:
            self.key = key
            self.bindings = {}
            for unit in self.units:
                unit.renew()

    def _form(self) -> None:
        """Make units of the parameters that have their first gradient now; small ones without a past are packed."""
        ready = [p for p in self.waiting if p._grad is not None]
        if not ready:
            return
        self.waiting = [p for p in self.waiting if p._grad is None]
        packs: dict[Any, list[Any]] = {}
        counts = Counter(map(id, self.params))
        for p in ready:
            a = p._a
            movable = (self.optimizer.movable or not self.states.get(p)) and counts[id(p)] == 1
            small = a.dtype in NATIVE and 0 < a.size <= SMALL and self.optimizer.elementwise and movable
            if not small:
                self.units.append(self._alone(p))
                continue
            state, arrays, scalars = self.present(p)
            packs.setdefault(
                (a.dtype, arrays, tuple((name, state[name]._a.dtype, state[name]._a.item()) for name in scalars)), []
            ).append(p)
        for pack in packs.values():
            while pack:
                total, n = 0, 0
                while n < len(pack) and total + pack[n]._a.size <= 2 * BLOCK:
                    total += pack[n]._a.size
                    n += 1
                self.units.append(Pack(self, pack[:n]) if n > 1 else self._alone(pack[0]))
                del pack[:n]

    def _alone(self, p: Any) -> Unit:
        real = p._a.real.dtype if p._a.dtype.kind == "c" else p._a.dtype
        return Single(self, p) if self.optimizer.elementwise and real in NATIVE else Direct(self, p)

    def present(self, p: Any) -> Any:
        """Give a parameter's state, made where it is missing, and the names of its arrays and of its scalars."""
        optimizer = self.optimizer
        initial = optimizer.initial(p._a, Hyper(self.values()))
        if initial is None:
            return {}, (), ()
        state = self.states[p]
        for name, value in initial.items():
            if state.get(name) is None:
                state[name] = as_state(value)
            elif not isinstance(state[name], Tensor):
                state[name] = as_state(float(state[name]))
        scalars = tuple(name for name in optimizer.scalars if state.get(name) is not None)
        return (
            state,
            tuple(name for name, value in state.items() if isinstance(value, Tensor) and name not in scalars),
            scalars,
        )

    def bind(self, arrays: tuple[str, ...], scalars: tuple[str, ...], dtype: Any) -> Binding:
        """Give the plan for these states and the present flags, with coefficients of a dtype."""
        found = self.bindings.get((arrays, scalars, dtype))
        if found is None:
            key = (self.kind, self.key, arrays, scalars)
            plan = PLANS.get(key)
            if plan is None:
                plan = PLANS[key] = record(self.optimizer, self.values(), arrays, scalars)
            found = self.bindings[arrays, scalars, dtype] = Binding(plan, dtype, self)
        return found

    def scratch(self, k: int, kind: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Give the k-th temporary in a shape; units run one after the other and share them."""
        dtype = np.dtype(np.bool_) if kind == "b" else dtype
        size = int(np.prod(shape))
        held = self.buffers.get((k, dtype))
        if held is None or held.size < size:
            held = self.buffers[k, dtype] = np.empty(size, dtype)
        return held[:size].reshape(shape)


PLANS: dict[Any, Plan] = {}


def as_state(value: Any) -> Tensor:
    """Make a Tensor of a new state: numbers in torch's scalar dtype, arrays as they are."""
    if isinstance(value, (int, float)):
        wide = dtypes.get_default_dtype() is dtypes.float64
        return Tensor._wrap(np.array(value, np.float64 if wide else np.float32))
    return Tensor._wrap(value)
