"""What programs do with optimizers: exchange parameters and states, copy, save, load, hook, and drop them."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import retrograd as torch
from retrograd import optim
from retrograd.tensor import Tensor


def leaf(*shape: int, value: float = 1.0) -> Any:
    """Make a parameter of one value."""
    return Tensor._wrap(np.full(shape, value, np.float32)).requires_grad_()


def set_gradients(params: Any, value: float = 1.0) -> None:
    """Give every parameter a gradient of one value."""
    for p in params:
        p.grad = Tensor._wrap(np.full(p._a.shape, value, np.float32))


def test_training_moves_the_parameters_where_they_are() -> None:
    w = leaf(2)
    view, version = w.detach(), w._version
    optimizer = optim.SGD([w], lr=0.5)
    (w * w).sum().backward()
    optimizer.step()
    assert view.tolist() == [0.0, 0.0]
    assert w._version == version + 1
    assert w.is_leaf and w.requires_grad


def test_an_overwritten_parameter_is_noticed_by_a_waiting_backward() -> None:
    w = leaf(2)
    loss = (w * w).sum()
    set_gradients([w])
    optim.SGD([w], lr=0.5).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_zero_grad() -> None:
    params = [leaf(2), leaf(3)]
    optimizer = optim.SGD(params)
    set_gradients(params)
    held = params[0].grad
    optimizer.zero_grad(set_to_none=False)
    assert params[0].grad is held and held.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)
    optimizer.step()


def test_a_closure_is_called_with_gradients_on_and_its_loss_returned() -> None:
    w = leaf(1)
    optimizer = optim.SGD([w], lr=0.25)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert w.item() == 0.5


def states(optimizer: Any, p: Any) -> dict[str, list[float]]:
    """Give a parameter's states as lists."""
    return {name: np.ravel(value._a).tolist() for name, value in optimizer.state[p].items()}


@pytest.mark.parametrize("size", [2, 40000])
def test_states_exchanged_by_the_user_are_used(size: int) -> None:
    params = [leaf(size), leaf(3)]
    optimizer = optim.SGD(params, lr=1.0, momentum=0.5)
    set_gradients(params)
    optimizer.step()
    optimizer.state[params[0]]["momentum_buffer"] = torch.zeros(size)
    optimizer.step()
    assert states(optimizer, params[0])["momentum_buffer"][0] == 1.0
    assert states(optimizer, params[1])["momentum_buffer"][0] == 1.5
    optimizer.state[params[1]]["momentum_buffer"].zero_()
    optimizer.state[params[0]] = {}
    optimizer.step()
    assert states(optimizer, params[0])["momentum_buffer"][0] == 1.0
    assert states(optimizer, params[1])["momentum_buffer"][0] == 1.0
    optimizer.state.clear()
    optimizer.step()
    assert states(optimizer, params[1])["momentum_buffer"][0] == 1.0


def test_steps_that_a_user_changed_for_one_parameter() -> None:
    params = [leaf(2), leaf(3)]
    optimizer = optim.Adam(params, lr=0.1)
    set_gradients(params)
    optimizer.step()
    optimizer.state[params[0]]["step"] += 10
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in params] == [12.0, 2.0]


def test_parameters_exchanged_by_the_user_are_used() -> None:
    params = [leaf(2), leaf(3)]
    optimizer = optim.SGD(params, lr=1.0)
    set_gradients(params)
    optimizer.step()
    params[0].data = torch.full((2,), 5.0)
    optimizer.step()
    assert params[0].tolist() == [4.0, 4.0]
    extra = leaf(1)
    optimizer.param_groups[0]["params"].append(extra)
    optimizer.param_groups[0]["params"][0] = other = leaf(1)
    set_gradients([extra, other, params[1]])
    optimizer.step()
    assert (extra.item(), other.item(), params[0].tolist(), params[1].tolist()) == (0.0, 0.0, [4.0, 4.0], [-2.0] * 3)


def test_a_parameter_listed_twice_is_warned_of_and_moved_twice() -> None:
    w = leaf(1)
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = optim.SGD([w, w], lr=1.0, momentum=0.5)
    set_gradients([w])
    optimizer.step()
    assert w.item() == pytest.approx(1 - 1 - 1.5)


def test_unfreezing_a_layer() -> None:
    first, second = leaf(2), leaf(2)
    optimizer = optim.Adam([first, second], lr=0.1)
    set_gradients([first])
    optimizer.step()
    assert second not in optimizer.state
    set_gradients([first, second])
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (first, second)] == [2.0, 1.0]


def test_named_parameters() -> None:
    optimizer = optim.SGD([("w", leaf(1)), ("b", leaf(1))])
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    with pytest.raises(ValueError, match="with names"):
        optim.SGD([leaf(1)]).add_param_group({"params": [("c", leaf(1))]})


def test_a_result_cannot_be_optimized() -> None:
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([leaf(1) * 2])
    with pytest.raises(TypeError, match="iterable of Tensors"):
        optim.SGD(leaf(1))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_by_themselves(duplicate: Any) -> None:
    params = [leaf(2), leaf(3)]
    optimizer = optim.Adam(params, lr=0.1)
    set_gradients(params)
    optimizer.step()
    twins, twin = duplicate((params, optimizer))
    assert twin.param_groups[0]["params"][0] is twins[0]
    set_gradients([*params, *twins])
    twin.step()
    assert twins[0].tolist() != params[0].tolist()
    optimizer.step()
    assert twins[0].tolist() == params[0].tolist()
    assert states(twin, twins[1]) == states(optimizer, params[1])


def test_a_loaded_state_is_a_copy() -> None:
    params, others = [leaf(40000), leaf(3)], [leaf(40000), leaf(3)]
    ours, theirs = optim.SGD(params, lr=1.0, momentum=0.5), optim.SGD(others, lr=2.0)
    set_gradients([*params, *others])
    ours.step()
    theirs.load_state_dict(ours.state_dict())
    assert theirs.param_groups[0]["lr"] == 1.0
    theirs.step()
    assert states(ours, params[0])["momentum_buffer"][0] == 1.0
    assert states(theirs, others[0])["momentum_buffer"][0] == 1.5


def test_a_loaded_state_takes_the_parameter_s_dtype() -> None:
    narrow = torch.ones(2, dtype=torch.float64, requires_grad=True)
    source = leaf(2)
    optimizer = optim.Adam([source])
    set_gradients([source])
    optimizer.step()
    target = optim.Adam([narrow])
    target.load_state_dict(optimizer.state_dict())
    state = target.state[narrow]
    assert (state["exp_avg"].dtype, state["step"].dtype) == (torch.float64, torch.float32)


def test_states_of_old_files_are_numbers() -> None:
    w = leaf(2)
    optimizer = optim.Adam([w], lr=0.1)
    state = {"step": 3, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.ones(2)}
    optimizer.load_state_dict(
        {"state": {0: state}, "param_groups": [{"params": [0], "lr": 0.2, "betas": (0.9, 0.999), "eps": 1e-8}]}
    )
    set_gradients([w])
    optimizer.step()
    assert optimizer.state[w]["step"].item() == 4.0
    assert optimizer.param_groups[0]["amsgrad"] is False


def test_hooks_around_the_steps_of_all_optimizers() -> None:
    from retrograd.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    class Custom(optim.Optimizer):
        def step(self, closure: Any = None) -> str:
            return "stepped"

    called: list[str] = []
    optimizer = Custom([leaf(1)], {})
    with (
        register_optimizer_step_pre_hook(lambda o, args, kwargs: called.append("before")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: called.append("after")),
    ):
        assert optimizer.step() == "stepped"
        optim.SGD([leaf(1)]).step()
    optimizer.step()
    assert called == ["before", "after"] * 2
    with optimizer.register_step_pre_hook(lambda o, args, kwargs: 3), pytest.raises(RuntimeError, match="tuple"):
        optimizer.step()


def test_an_optimizer_without_a_rule_says_so() -> None:
    with pytest.raises(NotImplementedError, match="update"):
        optim.Optimizer([leaf(1)], {}).step()
    with pytest.raises(TypeError, match="closure"):
        optim.LBFGS([leaf(1)]).step()


def test_infinities_are_values_not_warnings() -> None:
    params = [leaf(2, value=1e30), leaf(40000, value=1e30)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adamax", "Rprop", "Adafactor"):
            optimizer = getattr(optim, name)(params, lr=1e10)
            for _ in range(2):
                set_gradients(params, 1e38)
                optimizer.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "LBFGS", "Adafactor"])
def test_an_optimizer_is_freed_without_the_collector(name: str) -> None:
    w = leaf(3)

    def train() -> Any:
        optimizer = getattr(optim, name)([w], **({"momentum": 0.9} if name == "SGD" else {}))
        scheduler = optim.lr_scheduler.StepLR(optimizer, 2)

        def closure() -> Any:
            w.grad = None
            loss = (w * w).sum()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
            scheduler.step()
        return weakref.ref(optimizer)

    gc.disable()
    try:
        assert train()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum_of_a_quadratic(line_search: str | None) -> None:
    draw = np.random.default_rng(0)
    root = draw.standard_normal((6, 6))
    matrix = torch.tensor(root @ root.T + np.eye(6))
    target = torch.tensor(draw.standard_normal(6))
    w = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=40, line_search_fn=line_search)

    def closure() -> Any:
        optimizer.zero_grad()
        difference = w - target
        loss = difference @ (matrix @ difference) / 2
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    np.testing.assert_allclose(w.detach().numpy(), target.numpy(), atol=1e-5)


def test_an_optimizer_around_another_need_not_call_the_base_class() -> None:
    class Warmed(torch.optim.Optimizer):
        def __init__(self, inner: Any) -> None:
            self.inner, self.count = inner, 0

        @property
        def param_groups(self) -> Any:
            return self.inner.param_groups

        def step(self, closure: Any = None) -> Any:
            self.count += 1
            self.param_groups[0]["lr"] = 0.1 * self.count
            return self.inner.step(closure)

    p = torch.nn.Parameter(torch.ones(1))
    optimizer = Warmed(torch.optim.SGD([p], lr=1.0))
    for _ in range(2):
        p.grad = torch.ones(1)
        optimizer.step()
    assert p.item() == pytest.approx(1 - 0.1 - 0.2)


def test_names_that_optimizers_written_after_torchs_import() -> None:
    from retrograd.optim.optimizer import (
        Optimizer,
        _default_to_fused_or_foreach,
        _dispatch_sqrt,
        _get_value,
        _stack_if_compiling,
        _use_grad_for_differentiable,
        _view_as_real,
    )

    class Plain(Optimizer):
        def __init__(self, params: Any, differentiable: bool = False) -> None:
            super().__init__(params, {"lr": 0.5, "differentiable": differentiable})

        @_use_grad_for_differentiable
        def step(self) -> bool:
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad, alpha=-group["lr"])
            return torch.is_grad_enabled()

    p = torch.nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    assert Plain([p]).step() is False and p.tolist() == [0.5, 0.5]
    assert Plain([torch.nn.Parameter(torch.ones(1))], differentiable=True).defaults["differentiable"]
    assert _default_to_fused_or_foreach([p], False) == (False, False)
    assert (_get_value(torch.tensor(2.0)), _dispatch_sqrt(4.0), _stack_if_compiling(3)) == (2.0, 2.0, 3)
    lists = [torch.ones(2, dtype=torch.complex64)], [torch.ones(2, dtype=torch.complex64)]
    _view_as_real(*lists)
    assert [tuple(t[0].shape) for t in lists] == [(2, 2), (2, 2)]
    groups = Plain([p])._group_tensors_by_device_and_dtype([[p, p.detach().double()]], with_indices=True)
    assert [places for _, places in groups.values()] == [[0], [1]]
