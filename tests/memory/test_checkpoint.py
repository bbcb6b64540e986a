"""Checkpoints: what they keep, and what they catch."""

from __future__ import annotations

import functools
import gc
import random
import weakref

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.memory import Counter
from retrograd.memory.segments import balanced
from retrograd.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

call = functools.partial(checkpoint, use_reentrant=False)


def made(dropout=0.5):
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Dropout(dropout)) for _ in range(6)])
    return net, torch.randn(4, 8, requires_grad=True)


def grads(net, x, fn):
    torch.manual_seed(1)
    net.zero_grad()
    x.grad = None
    (fn(x) ** 2).sum().backward()
    return [p.grad.clone() for p in net.parameters()] + [x.grad.clone(), torch.rand(2)]


def chunks(net, x, reentrant):
    return checkpoint_sequential(net, 3, x, use_reentrant=reentrant)


def nested(net, x):
    for i in range(0, 6, 2):
        x = call(lambda x, i=i: call(net[i + 1], call(net[i], x)), x)
    return x


FORMS = {
    "whole": lambda net, x: call(net, x),
    "reentrant": lambda net, x: checkpoint(net, x, use_reentrant=True),
    "sequential": lambda net, x: chunks(net, x, False),
    "sequential, reentrant": lambda net, x: chunks(net, x, True),
    "nested": lambda net, x: call(lambda x: nested(net, x), x),
    "keeping products": lambda net, x: call(
        net, x, context_fn=functools.partial(create_selective_checkpoint_contexts, ["linear"])
    ),
    "keeping by policy": lambda net, x: call(
        net,
        x,
        context_fn=functools.partial(
            create_selective_checkpoint_contexts,
            lambda ctx, op, *args, **kwargs: (
                CheckpointPolicy.MUST_SAVE if op.name == "relu" else CheckpointPolicy.PREFER_RECOMPUTE
            ),
        ),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_gradients_and_draws_are_the_plain_ones_to_the_last_bit(form):
    net, x = made()
    plain = grads(net, x, net)
    for _ in range(2):  # a second call may divide its parts otherwise
        found = grads(net, x, lambda x: FORMS[form](net, x))
        assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


def test_memory_is_let_go_and_inner_checkpoints_let_go_within_outer_ones():
    layers = [nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(16)]
    x = torch.randn(256, 64)

    def run(forward):
        with Counter() as counter:
            y = forward(x)
        return counter.current / x.nbytes, y

    def straight(x, part=layers):
        for layer in part:
            x = layer(x)
        return x

    kept, _ = run(straight)
    assert kept > 15
    kept, y = run(lambda x: call(straight, x))
    assert kept < 1.5
    y.sum().backward()
    kept, y = run(lambda x: call(lambda x: call(straight, call(straight, x, layers[:8]), layers[8:]), x))
    assert kept < 1.5


def test_a_second_run_ends_early():
    net, x = made(0)
    counted = []

    def fn(x):
        y = net[0](x).tanh()
        counted.append(1)
        return y * 2 + 1

    call(fn, x).sum().backward()
    assert len(counted) == 1
    with set_checkpoint_early_stop(False):
        y = call(fn, x)
    y.sum().backward()
    assert len(counted) == 3
    call(fn, x, early_stop=False).sum().backward()
    assert len(counted) == 5


def test_a_selective_second_run_does_not_compute_what_was_kept():
    x = torch.randn(3, 3, requires_grad=True)
    asked = []

    def policy(ctx, op, *args, **kwargs):
        asked.append((ctx.is_recompute, op.name))
        return op.name == "matmul"

    call(lambda x: (x @ x).exp().sum(), x, context_fn=lambda: create_selective_checkpoint_contexts(policy)).backward()
    assert asked == [
        (False, "matmul"),
        (False, "exp"),
        (False, "sum"),
    ]  # the second run does what was said in the first
    with pytest.raises(ValueError, match="is no operation"):
        create_selective_checkpoint_contexts(["no such thing"])


def test_a_kept_result_that_is_written_is_copied():
    x = torch.randn(3, 3, requires_grad=True)

    def fn(x):
        h = x @ x
        h.relu_()
        return (h * h).sum()

    fn(x).backward()
    plain, x.grad = x.grad, None
    keep = functools.partial(create_selective_checkpoint_contexts, ["matmul"])
    call(fn, x, context_fn=keep).backward()
    assert torch.equal(x.grad, plain)


def test_an_argument_that_the_function_writes_to_is_copied():
    def fn(h):
        h.mul_(2)
        return h * h

    x = torch.randn(4, requires_grad=True)
    h = x * 1.0
    out = call(fn, h)
    assert torch.equal(h, x * 2)
    out.sum().backward(retain_graph=True)
    assert torch.allclose(x.grad, 8 * x)
    out.sum().backward()
    assert torch.allclose(x.grad, 16 * x)


def test_an_argument_that_is_written_later_is_named():
    x = torch.randn(4, requires_grad=True)
    h = x * 1.0
    y = call(torch.exp, h)
    with torch.no_grad():
        h.add_(1)
    with pytest.raises(CheckpointError, match=r"argument of the function, float32\[4\], was written in place since"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (lambda x: torch.tanh(x * random.random()), "not a function of its arguments and the default generator"),
        (lambda x, g=torch.Generator().manual_seed(3): (x * torch.rand(4, generator=g)).sin(), "another generator"),
    ],
)
def test_hidden_randomness_is_named(fn, text):
    x = torch.ones(4, requires_grad=True)
    y = call(fn, x).sum()
    with pytest.raises(CheckpointError, match=text):
        y.backward()
    random.seed(0)
    call(fn, x, determinism_check="none").sum().backward()


def test_draws_that_are_not_replayed_are_named():
    x = torch.ones(40, requires_grad=True)
    y = call(lambda x: nn.functional.dropout(x.exp(), 0.5).exp(), x, preserve_rng_state=False).sum()
    with pytest.warns(UserWarning, match=r"drew other random numbers .* preserve_rng_state=False"):
        y.backward()
    y = call(lambda x: (x * random.random()).exp().exp(), x, preserve_rng_state=False).sum()
    with pytest.raises(CheckpointError, match="another generator"):  # that was not waived
        y.backward()


def test_parameters_that_an_optimizer_wrote_are_named():
    layer = nn.Linear(3, 3)
    x = torch.ones(2, 3)
    optimizer = torch.optim.SGD([layer.bias], lr=1e-5)
    y = call(lambda x: layer(x).tanh(), x).sum()
    layer.bias.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(CheckpointError, match=r"parameters that were written since it ran: float32\[3\]"):
        y.backward()


def test_debug_lists_both_runs():
    x = torch.ones(4, requires_grad=True)
    y = call(lambda x: torch.tanh(x * random.random()), x, debug=True).sum()
    with pytest.raises(CheckpointError, match="Operations executed during recomputation"):
        y.backward()


def test_autocast_is_as_it_was():
    layer = nn.Linear(4, 4)
    x = torch.randn(3, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = torch.autograd.grad(layer(x).float().tanh().sum(), x)
        y = call(lambda x: layer(x).float().tanh(), x).sum()
    assert torch.equal(torch.autograd.grad(y, x)[0], plain[0])


def test_no_graph_no_cost():
    x = torch.ones(3)
    assert call(torch.exp, x).grad_fn is None
    with torch.no_grad():
        assert not call(torch.exp, torch.ones(3, requires_grad=True)).requires_grad


def test_a_checkpointed_step_compiles():
    net, x = made(0)
    x = x.detach()

    def step(x):
        net.zero_grad()
        (call(net, x) ** 2).sum().backward()

    step(x)
    plain = [p.grad.clone() for p in net.parameters()]
    compiled = torch.compile(step)
    for _ in range(4):
        compiled(x)
    for p, g in zip(net.parameters(), plain, strict=True):
        assert torch.allclose(p.grad, g, atol=1e-5)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("compiled", ["step", "module", "blocks"])
def test_training_with_checkpoints_goes_the_same_when_compiled(compiled, reentrant):
    x = torch.randn(16, 8, requires_grad=reentrant)

    def losses(compiled):
        torch.manual_seed(0)
        blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 8)) for _ in range(3)]
        )
        parts = [torch.compile(b, fullgraph=True) for b in blocks] if compiled == "blocks" else list(blocks)

        class Net(nn.Module):
            def forward(self, x):
                for part in parts:
                    x = x + checkpoint(part, x, use_reentrant=reentrant)
                return (x**2).mean()

        net = torch.compile(Net(), fullgraph=True) if compiled == "module" else Net()
        optimizer = torch.optim.SGD(blocks.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = net(x)
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step, fullgraph=True) if compiled == "step" else step
        torch.manual_seed(3)
        return [run(x).item() for _ in range(5)]

    assert losses(compiled) == pytest.approx(losses(None), rel=1e-5)


@pytest.mark.parametrize(
    ("sizes", "parts", "ends"),
    [
        ([1, 1, 1, 1], 2, [2, 4]),
        ([9, 1, 1, 1], 2, [1, 4]),
        ([1, 1], 5, [1, 2]),
        ([3, 1, 1, 3], 3, [1, 3, 4]),
        ([0, 0, 0], 3, [3]),
    ],
)
def test_parts_have_equal_bytes(sizes, parts, ends):
    found = balanced(sizes, parts)
    assert found[-1] == len(sizes)
    starts = [0, *found[:-1]]
    worst = max(sum(sizes[a:b]) for a, b in zip(starts, found, strict=True))
    best = max(sum(sizes[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True))
    assert worst == best
    assert len(found) <= parts


def test_the_second_call_divides_by_bytes():
    wide = nn.Sequential(nn.Linear(4, 256), nn.Tanh(), nn.Linear(256, 4), *[nn.Tanh() for _ in range(9)])
    x = torch.randn(64, 4, requires_grad=True)
    peaks = []
    for _ in range(2):
        x.grad = None
        with Counter() as counter:
            checkpoint_sequential(wide, 4, x, use_reentrant=False).sum().backward()
        peaks.append(counter.peak)
    assert peaks[1] <= peaks[0]


def test_frames_die_by_reference_count():
    gc.collect()
    gc.disable()
    try:
        net, x = made()
        y = call(net, x * 1.0)
        gone = weakref.ref(y.grad_fn)
        assert gone() is not None
        del y
        assert gone() is None
    finally:
        gc.enable()
