"""Autocast's state and GradScaler against torch on the CPU."""

from __future__ import annotations

import warnings

import pytest

import retrograd

torch = pytest.importorskip("torch")


def both(run):
    found = []
    for t in (retrograd, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found.append((run(t), [w.category for w in caught]))
            except Exception as error:
                found.append(type(error))
    assert found[0] == found[1]


def train(t, spoil=(), enabled=True):
    p = t.nn.Parameter(t.tensor([1.0, 2.0]))
    optimizer = t.optim.SGD([p], lr=0.1)
    scaler = t.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, enabled=enabled)
    seen = []
    for i in range(6):
        optimizer.zero_grad()
        loss = (p**2).sum()
        scaler.scale(loss * float("inf") if i in spoil else loss).backward()
        if i == 1:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        seen.append((p.tolist(), scaler.get_scale()))
    return seen, scaler.state_dict()


def test_a_scaled_loop_steps_as_torch_does():
    both(train)
    both(lambda t: train(t, spoil=(2,)))
    both(lambda t: train(t, enabled=False))


def test_a_scaler_for_a_device_that_is_not_there_is_off():
    both(lambda t: t.amp.GradScaler("cuda").is_enabled() if not torch.cuda.is_available() else None)


def twice(t):
    p = t.nn.Parameter(t.ones(1))
    optimizer = t.optim.SGD([p], lr=0.1)
    scaler = t.amp.GradScaler("cpu")
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.unscale_(optimizer)


@pytest.mark.parametrize(
    "run",
    [
        twice,
        lambda t: t.amp.GradScaler("cpu").update(),
        lambda t: t.amp.GradScaler("cpu").load_state_dict({}),
        lambda t: t.amp.GradScaler("cpu", growth_factor=0.5),
        lambda t: t.amp.GradScaler("cpu").scale(3),
        lambda t: t.autocast(3),
        lambda t: t.autocast("toaster"),
    ],
)
def test_errors(run):
    both(run)


def test_the_state_inside_and_outside_a_block():
    def run(t):
        seen = [t.amp.autocast_mode.is_autocast_available("cpu") if t is torch else t.amp.is_autocast_available("cpu")]
        enabled = t.is_autocast_enabled if t is torch else t.amp.is_autocast_enabled
        dtype = t.get_autocast_dtype if t is torch else t.amp.get_autocast_dtype
        with t.autocast("cpu", dtype=t.float16):
            seen += [enabled("cpu"), str(dtype("cpu"))]
            with t.autocast("cpu", enabled=False):
                seen += [enabled("cpu")]
        return [*seen, enabled("cpu"), str(dtype("cpu"))]

    both(run)


def test_a_decorated_function_and_a_device_that_is_not_there():
    @retrograd.autocast("cpu")
    def double(x):
        return 2 * x, retrograd.amp.is_autocast_enabled("cpu")

    y, on = double(retrograd.ones(2))
    assert on
    assert y.tolist() == [2.0, 2.0]
    with pytest.warns(UserWarning, match="not available"), retrograd.autocast("cuda"):
        assert not retrograd.amp.is_autocast_enabled("cuda")
