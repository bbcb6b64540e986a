"""Optimizer: parameter groups, their state, and the step that runs an update rule on them."""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from ..core import meta
from ..core.door import _quiet, quiet_off, quiet_on
from ..core.mode import MODE, enable_grad, set_grad_enabled
from ..core.node import Handle, Storage, wrap
from ..core.rows import SparseArray
from ..tensor import Tensor
from . import recorded
from .hooks import TABLES, Table, add, hooked, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from .options import typename
from .plan import Hyper, is_number
from .shared import (  # noqa: F401 (names that optimizers written after torch's import from here)
    ParamsT,
    RemovableHandle,
    StateDict,
    _capturable_doc,
    _default_to_fused_or_foreach,
    _differentiable_doc,
    _disable_dynamo_if_unsupported,
    _dispatch_sqrt,
    _foreach_doc,
    _foreach_supported_types,
    _fused_doc,
    _get_capturable_supported_devices,
    _get_foreach_kernels_supported_devices,
    _get_fused_kernels_supported_devices,
    _get_scalar_dtype,
    _get_value,
    _group_tensors_by_device_and_dtype,
    _maximize_doc,
    _params_doc,
    _stack_if_compiling,
    _to_scalar,
    _use_grad_for_differentiable,
    _view_as_real,
)
from .units import Runner

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()


class Optimizer:
    """Moves parameters by a rule: the base of all optimizers.

    A subclass states its rule once, as a pure function of one parameter: ``update(p, g, state, h)`` gives the new
    parameter and the new state, written in infix and the functions of `retrograd.optim.rules`, with hyper-parameters
    read from ``h``. It runs on arrays, on Tensors and on symbols alike; the eager step records it once for each choice
    of flags and runs it in place. Where the rule does more than elementwise arithmetic, the class says ``elementwise =
    False``. A subclass may override ``step`` instead.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        What to optimize, or parameter groups: dicts with "params" and options that differ from the defaults.
    defaults : dict
        The options of groups that do not give their own.

    Raises
    ------
    TypeError
        For a single Tensor, a set, or something that is no Tensor among the parameters.
    ValueError
        For no parameters, a parameter in two groups, one that is the result of an operation, or a missing required
        option.

    Examples
    --------
    >>> import retrograd as torch
    >>> class SignDescent(torch.optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     def initial(self, p, h):
    ...         return None
    ...
    ...     def update(self, p, g, state, h):
    ...         return p - h.lr * torch.optim.rules.sign(g), {}
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w])
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    elementwise = True  # the rule treats every element alike, so it may be given flat arrays and parts of arrays
    scalars: tuple[str, ...] = ("step",)  # states that are one number for the whole parameter
    movable = False  # the states have just been loaded, so nobody holds them yet
    _optimizer_step_pre_hooks: Table
    _optimizer_step_post_hooks: Table
    _optimizer_state_dict_pre_hooks: Table
    _optimizer_state_dict_post_hooks: Table
    _optimizer_load_state_dict_pre_hooks: Table
    _optimizer_load_state_dict_post_hooks: Table

    profile_hook_step = staticmethod(hooked)  # torch's name for it
    _group_tensors_by_device_and_dtype = staticmethod(_group_tensors_by_device_and_dtype)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for table in TABLES:
            setattr(self, table, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError(
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{typename(params)}; put a single parameter in a list"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._runners: list[Runner] = []
        self._inputs: dict[tuple[int, str], Any] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # -- the rule ----------------------------------------------------------------------------------------------------
    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        """Give the state that a parameter starts with, by name; None when the rule keeps none."""
        raise NotImplementedError

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        """Give the new parameter and state from the parameter, its gradient, its state and the hyper-parameters."""
        raise NotImplementedError(f"{type(self).__name__} defines neither update(p, g, state, h) nor step()")

    @hooked
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew; called first, with gradients enabled, and its result is returned.
        """
        if type(self).update is Optimizer.update:
            raise NotImplementedError(f"{type(self).__name__} defines neither update(p, g, state, h) nor step()")
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        groups, runners = self.param_groups, self._runners
        token = quiet_on(_quiet)
        aside: list[Any] = []
        if SparseArray.met:
            from .sparse import give_back, take_sparse

            for group in groups:
                aside += take_sparse(self, group)
        try:
            for i, group in enumerate(groups):
                if group.get("differentiable") or MODE.trace is not None or _without_values(group):
                    self._step_with_history(group)
                    continue
                if i == len(runners):
                    runners.append(Runner(self, group))
                runner = runners[i]
                if runner.group is not group or runner.states is not self.state:
                    runner = runners[i] = Runner(self, group)
                runner.step()
        finally:
            quiet_off(token)
            if aside:
                give_back(aside)
        self.movable = False
        return loss

    def _step_with_history(self, group: dict[str, Any]) -> None:
        """Run the rule on Tensors: recorded where the group is differentiable, or into a running trace."""
        runner = Runner(self, group)
        traced = MODE.trace is not None
        h = Hyper(
            {
                name: self._as_input(group, name, value) if traced else _scalar(value)
                for name, value in runner.values().items()
            }
        )
        with set_grad_enabled(bool(group.get("differentiable"))):
            if not group.get("differentiable") and getattr(MODE.trace, "compiling", False):
                same = [r for r in self._runners if r.group is group and r.states is self.state]
                if same and recorded.step(self, same[0], h):
                    return
            for p in group["params"]:
                if p.grad is None:
                    continue
                state, arrays, scalars = runner.present(p)
                given = {name: state[name] for name in arrays}
                given |= {name: state[name] if traced else state[name].item() for name in scalars}
                result, after = self.update(p, p.grad, given, h)
                p.copy_(result)
                for name, value in after.items():
                    if not isinstance(value, Tensor):
                        state[name].fill_(value)
                    elif traced and name in given:
                        state[name].copy_(value)
                    else:
                        state[name] = value.clone() if value._s is p.grad._s else value

    def _as_input(self, group: dict[str, Any], name: str, value: Any) -> Any:
        """Give a number that may change as a Tensor that the traced graph reads; zeros and flags stay as they are."""
        if isinstance(value, (tuple, list)):
            return tuple(self._as_input(group, f"{name}.{i}", v) for i, v in enumerate(value))
        if isinstance(value, Tensor) or not is_number(value) or value == 0:
            return _scalar(value)
        key = id(group), name
        if key not in self._inputs:
            a = np.array(value, np.float64)
            self._inputs[key] = wrap(a, Storage(a))  # of a storage of its own: an input of a trace, not a constant
        self._inputs[key]._a.fill(float(value))
        return self._inputs[key]

    def refresh_inputs(self) -> None:
        """Write the groups' present numbers into the Tensors that traced graphs read them from."""
        for group in self.param_groups:
            for name, value in group.items():
                several = isinstance(value, (tuple, list))
                for i, v in enumerate(value if several else (value,)):
                    held = self._inputs.get((id(group), f"{name}.{i}" if several else name))
                    if held is not None:
                        held._a.fill(float(v))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or, unless ``set_to_none``, make them zero."""
        if set_to_none:
            for group in self.param_groups:
                for p in group["params"]:
                    p._grad = None
            return
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    # -- groups ------------------------------------------------------------------------------------------------------
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, such as layers that are to be trained from now on."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        entries = [params] if isinstance(params, Tensor) else list(params)
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        if names:
            if len(names) != len(entries):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names
        param_group["params"] = params = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {typename(p)}")
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        ids = {id(p) for p in params}
        if len(ids) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with' if 'param_names' in param_group else 'without'} names to the optimizer"
                )
            if any(id(p) in ids for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
        return text + ")"

    # -- state -------------------------------------------------------------------------------------------------------
    def _patch_step_function(self) -> None:
        """Do nothing: every class's ``step`` calls the hooks."""

    _cuda_graph_capture_health_check = _accelerator_graph_capture_health_check = _patch_step_function

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self._runners = []
        self._inputs = {}
        self.movable = True
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    def state_dict(self) -> dict[str, Any]:
        """Give the state by parameter number and the groups' options, in torch's layout.

        Examples
        --------
        >>> import retrograd as torch
        >>> w = torch.ones(2, requires_grad=True)
        >>> torch.optim.SGD([w], lr=0.5).state_dict()["param_groups"][0]["lr"]
        0.5
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        numbers: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for i, p in enumerate(group["params"], start):
                numbers.setdefault(id(p), i)
            packed = {name: value for name, value in group.items() if name != "params"}
            groups.append(packed | {"params": [numbers[id(p)] for p in group["params"]]})
            start += len(group["params"])
        state = {numbers[id(p)] if isinstance(p, Tensor) else p: value for p, value in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for after in self._optimizer_state_dict_post_hooks.values():
            changed = after(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state given by ``state_dict``, in this library's or torch's files.

        Raises
        ------
        ValueError
            If the groups, or the numbers of parameters in them, differ from this optimizer's.
        """
        state_dict = state_dict.copy()
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups, saved = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(ours["params"]) != len(theirs["params"]) for ours, theirs in zip(groups, saved, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        numbers = chain.from_iterable(group["params"] for group in saved)
        owners = dict(zip(numbers, chain.from_iterable(group["params"] for group in groups), strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in owners:
                state[owners[number]] = _fit(owners[number], value)
            else:
                state[number] = value
        for ours, theirs in zip(groups, saved, strict=True):
            theirs["params"] = ours["params"]
            if "param_names" in ours:
                theirs.setdefault("param_names", ours["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    # -- hooks -------------------------------------------------------------------------------------------------------
    def register_step_pre_hook(self, hook: Any) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return other ``(args, kwargs)``."""
        return add(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Any) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return add(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Any, prepend: bool = False) -> Handle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return add(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Any, prepend: bool = False) -> Handle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another one."""
        return add(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Any, prepend: bool = False) -> Handle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict``; it may return another one."""
        return add(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Any, prepend: bool = False) -> Handle:
        """Call ``hook(optimizer)`` after ``load_state_dict``."""
        return add(self._optimizer_load_state_dict_post_hooks, hook, prepend)


def _without_values(group: dict[str, Any]) -> bool:
    """Tell whether a parameter has a shape and a dtype only: then its steps are taken by operations, which look for that."""
    return bool(meta.INSTALLED) and any(map(meta.is_meta, group["params"]))


def _scalar(value: Any) -> Any:
    """Take the dimensions of a one-element Tensor away."""
    return value.reshape(()) if isinstance(value, Tensor) and value.ndim else value


def _fit(p: Any, value: Any, name: Any = None) -> Any:
    """Copy a loaded state, tensors in the parameter's dtype, except the count of steps."""
    if isinstance(value, Tensor):
        keep = name == "step" or not p.is_floating_point()
        return value.detach().clone() if keep else value.detach().to(p.dtype, copy=True)
    if isinstance(value, dict):
        return {key: _fit(p, v, key) for key, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return type(value)(_fit(p, v) for v in value)  # type: ignore[call-arg]
    return value
