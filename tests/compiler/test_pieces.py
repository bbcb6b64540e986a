"""Functions that no graph can hold do what they do eagerly, and what stands between the breaks is compiled."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled

nn, F = torch.nn, torch.nn.functional
SEEN: list[float] = []
COUNT = 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 1)
        self.calls = 0
        self.log = []

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Counting(Net):
    def forward(self, x):
        self.calls += 1
        h = torch.tanh(self.a(x)) * self.calls
        return self.b(h)


class Logging(Net):
    def forward(self, x):
        h = torch.tanh(self.a(x))
        self.log.append(h.detach().mean().item())
        h = F.gelu(h) + h * 2
        return self.b(h)


class Inherited(Logging):
    def forward(self, x):
        y = super().forward(x)
        SEEN.append(y.shape[0])
        return torch.sigmoid(y) * 2


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = Logging(), nn.Linear(1, 1)

    def forward(self, x):
        y = self.inner(x)
        return self.outer(torch.relu(y) + y)


def trained(change):
    """Make a step of a net: ``change(state)`` gives a function of (x, y)."""

    def make(wrapped):
        state = type("State", (), {})()
        kind = change.__annotations__.get("net", Net)
        kind = eval(kind) if isinstance(kind, str) else kind
        state.net = kind()
        state.o = torch.optim.Adam(state.net.parameters(), 0.05)
        state.losses, state.total, state.n, state.lines = [], 0.0, 0, io.StringIO()
        g = wrapped(change(state))

        def outside():
            log = [m.log for m in state.net.modules() if hasattr(m, "log")]
            calls = [m.calls for m in state.net.modules() if hasattr(m, "calls")]
            return [[float(v) for v in state.losses], float(state.total), state.n, state.lines.getvalue(), log, calls]

        return g, outside, list(state.net.parameters())

    return make


def losses_by_item(s):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        s.o.step()
        s.losses.append(loss.item())
        return loss

    return step


def printed_now_and_then(s):
    def step(x, y):
        s.o.zero_grad()
        out = s.net(x)
        loss = F.mse_loss(out, y)
        loss.backward()
        s.o.step()
        s.n += 1
        if s.n % 3 == 0:
            print(f"{s.n}: {loss.item():.2f}", file=s.lines)
        return loss, out.detach()

    return step


def not_a_number(s):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        if torch.isnan(loss):
            return None
        loss.backward()
        s.o.step()
        return loss.item()

    return step


def asserted(s):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        assert not torch.isnan(loss)
        s.o.step()
        return loss

    return step


def clipped(s):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in s.net.parameters()]).norm()
        if norm > 0.5:
            for p in s.net.parameters():
                p.grad.mul_(0.5 / norm)
        s.o.step()
        return loss, norm

    return step


def whole_epoch(s):
    def step(x, y):
        rows = [(x[i : i + 2], y[i : i + 2]) for i in range(0, 6, 2)]
        total, best = 0.0, None
        for a, b in rows:
            s.o.zero_grad()
            loss = F.mse_loss(s.net(a), b)
            loss.backward()
            s.o.step()
            total += loss.item()
            if best is None or loss < best:
                best = loss
        return total, best

    return step


def broken_loops(s):
    def step(x, y):
        h, outs = x, []
        for k in range(6):
            if k == 1:
                continue
            h = torch.tanh(h * 1.5) + x * 0.1
            h = h - h.mean()
            outs.append(h)
            if h.abs().max().item() > 1.4:
                break
        else:
            h = h * 2
        return torch.stack(outs).sum(0) + h

    return step


def tried(s):
    def step(x, y):
        s.o.zero_grad()
        try:
            loss = F.mse_loss(s.net(x), y)
            if loss.item() < 0:
                raise ValueError
            loss.backward()
        except ValueError:
            loss = None
        finally:
            s.n += 1
        s.o.step()
        return loss

    return step


def one_way_only(s):
    def step(x, y):
        if s.n % 2:
            extra = (x * 2).sum() + x.mean()
        s.n += 1
        value = float((x * x).sum() + x.sum())
        result = (x + value) * 2
        if s.n % 2 == 0:
            result = result + extra
        return result

    return step


def with_blocks(s):
    def step(x, y):
        with torch.no_grad(), contextlib.suppress(ValueError) as nothing:
            h = F.gelu(s.net(x)) * 3
            s.losses.append(h.sum().item())
            h = h - h.mean(0)
        return F.softmax(h, 0), nothing

    return step


def inner_functions(s):
    def step(x, y):
        scale = 2.0

        def loss_of(out):
            nonlocal scale
            scale += 1.0
            return F.mse_loss(out * scale, y)

        s.o.zero_grad()
        loss = loss_of(s.net(x))
        loss.backward()
        s.o.step()
        s.losses.append(loss.item())
        return loss, scale

    return step


def comprehensions(s):
    def step(x, y):
        parts = [F.relu(x * k) for k in range(3)]
        x = sum(p.sum() for p in parts) + x
        top = {k: p.max().item() for k, p in enumerate(parts)}
        f = lambda v: v * 2 + x
        return f(x), top[2], [(p := q + 1) for q in parts], p

    return step


def arguments(s):
    def step(x, /, y, *rest, scale=2.0, **more):
        z = F.gelu(x) * scale + y
        s.losses.append(z.sum().item())
        return torch.tanh(z) + len(rest) + len(more)

    return step


def lists_given(s):
    def add(out, x):
        out.append(x * 2 + 1)
        return torch.relu(x) * 3

    def step(x, y):
        out = []
        z = add(out, x)
        s.losses.append(z.sum().item())
        z = z + add(out, z)
        return z, out

    return step


def by_numpy(s):
    def step(x, y):
        h = torch.tanh(x) * 2 + 1
        order = np.argsort(h.sum(1).numpy())
        return F.gelu(h[torch.from_numpy(order.copy())]) * 2

    return step


def global_count(s):
    def step(x, y):
        global COUNT
        COUNT += 1
        h = F.gelu(x) * COUNT
        return h + F.relu(x)

    return step


def module_counts(s, net: Counting = None):
    return lambda x, y: s.net(x)


def module_logs(s, net: Logging = None):
    return losses_by_item(s)


def module_inherits(s, net: Inherited = None):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        s.o.step()
        return loss

    return step


def module_nested(s, net: Nested = None):
    return module_inherits(s)


def hooked(s, net: Logging = None):
    s.net.a.register_forward_hook(lambda m, a, out: out * 1.5)
    s.net.register_forward_hook(lambda m, a, out: s.losses.append(out.sum().item()))
    return module_inherits(s)


def walked_in_two(s):
    def step(x, y):
        s.o.zero_grad()
        h = torch.tanh(s.net.a(x))
        s.losses.append(h.sum().item())
        out = s.net.b(h)
        s.losses.append(out.sum().item())
        loss = F.mse_loss(out, y)
        loss.backward()
        s.o.step()
        return loss

    return step


def partial(s):
    def step(scale, x, y):
        h = F.gelu(x) * scale
        s.losses.append(h.sum().item())
        return h * 2 + y

    return functools.partial(step, 2.0)


def two_optimizers(s):
    s.other = Net()
    s.p = torch.optim.Adam(s.other.parameters(), 0.02)

    def step(x, y):
        s.p.zero_grad()
        fake = s.net(x)
        first = F.mse_loss(s.other(fake.detach().expand(6, 4)), y) - s.other(x).mean()
        first.backward()
        s.p.step()
        s.losses.append(first.item())
        s.o.zero_grad()
        second = -s.other(fake.expand(6, 4)).mean()
        second.backward()
        s.o.step()
        s.losses.append(second.item())
        return second

    return step


def accumulated(s):
    def step(x, y):
        loss = F.mse_loss(s.net(x), y) / 3
        loss.backward()
        s.n += 1
        if s.n % 3 == 0:
            s.o.step()
            s.o.zero_grad()
        return loss

    return step


def rate_by_hand(s):
    def step(x, y):
        s.n += 1
        rate = 0.05 * min(s.n**-0.5, s.n * 0.1)
        for group in s.o.param_groups:
            group["lr"] = rate
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        s.o.step()
        return loss.item(), rate

    return step


def attack(s):
    def step(x, y):
        delta = torch.zeros_like(x, requires_grad=True)
        for _ in range(3):
            loss = F.mse_loss(s.net(x + delta), y)
            loss.backward()
            delta.data = (delta + 0.05 * delta.grad.detach().sign()).clamp(-0.1, 0.1)
            delta.grad.zero_()
        return delta.detach(), loss.item()

    return step


def hidden_with_history(s):
    s.cell, s.h = torch.nn.GRUCell(4, 4), torch.zeros(6, 4)

    def step(x, y):
        h = s.cell(x, s.h)
        s.h = h.detach()
        loss = F.mse_loss(s.net(h), y)
        s.losses.append(loss.item())
        s.o.zero_grad()
        loss.backward()
        s.o.step()
        return loss

    return step


def asked_in_a_condition(s):
    def step(x, y):
        s.o.zero_grad()
        loss = F.mse_loss(s.net(x), y)
        if torch.isnan(loss) or torch.isinf(loss):
            return None
        loss.backward()
        if not torch.stack([p.grad.norm() for p in s.net.parameters()]).norm() < 0.3:
            s.n += 1
        s.o.step()
        return {"loss": loss.item(), "size": (s.net.a.weight**2).sum().item()}["size"]

    return step


def skipped_now_and_then(s):
    def step(x, y):
        s.n += 1
        if str(s.n).endswith("5"):
            x = x * float("nan")
        loss = F.mse_loss(s.net(x), y)
        if torch.isnan(loss):
            s.o.zero_grad()
            return None
        s.o.zero_grad()
        loss.backward()
        s.o.step()
        return loss

    return step


def perturbed(s):
    def step(x, y):
        loss = F.mse_loss(s.net(x), y)
        loss.backward()
        with torch.no_grad():
            norm = torch.stack([p.grad.norm() for p in s.net.parameters()]).norm()
            moved = []
            for p in s.net.parameters():
                e = p.grad * (0.05 / (norm + 1e-12))
                p.add_(e)
                moved.append(e)
        s.losses.append(norm.item())
        s.o.zero_grad()
        F.mse_loss(s.net(x), y).backward()
        with torch.no_grad():
            for p, e in zip(s.net.parameters(), moved):
                p.sub_(e)
        s.o.step()
        s.o.zero_grad()
        return loss

    return step


STEPS = [
    losses_by_item, printed_now_and_then, not_a_number, asserted, clipped, whole_epoch, broken_loops, tried, one_way_only,
    with_blocks, inner_functions, comprehensions, arguments, lists_given, by_numpy, global_count, module_counts, module_logs,
    module_inherits, module_nested, hooked, walked_in_two, partial,
    two_optimizers, accumulated, rate_by_hand, attack, hidden_with_history, asked_in_a_condition, skipped_now_and_then, perturbed,
]  # fmt: skip
WHOLE = {"asserted", "inner_functions"}  # pytest writes asserts anew; a function that is made anew in each call


def course(make, wrapped, calls=20):
    global COUNT
    COUNT = 0
    SEEN.clear()
    torch.manual_seed(0)
    g, outside, parameters = make(wrapped)
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(calls):
            result = g(torch.randn(6, 4), torch.randn(6, 1))
            found.append(torch.tensor([float(t.sum()) for t in tensors(result)]))
    return found, outside(), [p.detach().clone() for p in parameters], g, [str(w.message) for w in caught]


def tensors(result):
    if isinstance(result, torch.Tensor):
        return [result.detach()]
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in tensors(r)]
    return [] if result is None else [torch.tensor(float(result))]


@pytest.mark.parametrize("step", STEPS, ids=lambda f: f.__name__)
def test_equal_to_eager(step, monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)
    want, outside, weights, _, _ = course(trained(step), lambda f: f)
    got, found, parameters, g, messages = course(trained(step), torch.compile)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parameters, weights, rtol=1e-4, atol=1e-5)
    for a, b in zip(found, outside, strict=True):
        if isinstance(a, (int, float, str)):
            assert a == pytest.approx(b, rel=1e-4) if isinstance(a, float) else a == b
        else:
            np.testing.assert_allclose(np.array(a, float), np.array(b, float), rtol=1e-4, atol=1e-5)
    assert any("compiled" in m for m in messages)
    assert made(g) > 0 or step.__name__ in WHOLE


def made(g):
    """Count the programs of a function, its pieces and its parts."""
    count = g.made
    if g.apart is not None:
        regions = [] if g.apart.pieces is None else g.apart.pieces.regions
        count += sum(map(made, [*regions, *g.apart.parts.values()]))
    return count


def test_the_whole_step_before_a_break_at_its_end_is_one_program():
    *_, g, messages = course(trained(losses_by_item), torch.compile)
    (region,) = g.apart.pieces.regions
    assert region.made == 1
    assert not region.eager
    assert "is compiled in pieces, not as a whole: item() asked for a value at" in messages[-1]


def test_a_decorated_function_is_taken_apart_and_explained():
    SEEN.clear()

    @torch.compile
    @torch.no_grad()
    def by_both(x):
        return x * 2

    @torch.compile
    def step(
        x,
    ):
        y = torch.relu(x @ x) + 1
        if y.sum() > 0:
            SEEN.append(y.sum().item())
        return (y * y).sum() + y.exp().mean()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(6):
            step(torch.ones(3, 3))
            by_both(torch.ones(3))
    assert [str(w.message).partition(": ")[0].rpartition(".")[2] for w in caught] == [
        "step is compiled in pieces, not as a whole"
    ]
    assert [region.made for region in step.apart.pieces.regions] == [1, 1]
    assert len(SEEN) == 6
    page = step.explain(rounds=0)
    assert [len(piece["programs"]) for piece in page.data["pieces"]] == [1, 1]
    assert "run in 2 pieces, because bool asked for a value" in page.text
    assert page.text.count("step, line") == 2


def test_what_is_computed_before_a_question_is_part_of_the_program_before_it():
    *_, g, _ = course(trained(asked_in_a_condition), torch.compile)
    regions = g.apart.pieces.regions
    assert [region.made for region in regions] == [1, 0, 1]
    assert "isnan" in str(regions[0].explain(rounds=0, graph=True))


def test_what_another_value_in_each_call_decides_is_left_out_at_last():
    *_, g, _ = course(trained(skipped_now_and_then), torch.compile, 30)
    (_, region, *_) = inner = [g.apart.pieces.regions[0], *g.apart.pieces.regions[0].apart.pieces.regions]
    assert [r.made for r in inner[1:]] == [compiled.MOST_PROGRAMS]
    assert [r.made for r in region.apart.pieces.regions] == [1]


def test_coroutines_run_anew():
    import asyncio

    @torch.compile
    async def step(x):
        await asyncio.sleep(0)
        return x * 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(4):
            assert asyncio.run(step(torch.tensor(float(i)))).item() == 2 * i
    assert "gives back a coroutine made in it" in str(caught[0].message)


def test_errors_have_their_lines():
    def step(x):
        y = x * 2 + 1
        SEEN.append(y.sum().item())
        z = torch.relu(y) @ y
        return z + 1

    g = torch.compile(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            g(torch.ones(3, 3))
    with pytest.raises(RuntimeError) as caught:
        g(torch.ones(3, 4))
    lines = [entry.lineno for entry in caught.traceback if entry.path.name == "test_pieces.py"]
    assert step.__code__.co_firstlineno + 3 in [line + 1 for line in lines]


def test_modules_are_served_only_in_calls_that_break():
    net = Net()
    inside = []

    def step(x):
        inside.append(len(nn.modules.handles._global_serving))
        return float(net(x).sum()) if x is not None else 0.0

    g = torch.compile(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(8):
            g(torch.ones(3, 4))
    assert inside[-1] > 0
    assert not nn.modules.handles._global_serving
    assert [p.made for p in g.apart.parts.values()] == [1]


def test_new_objects_in_each_call_end_in_eager_calls(monkeypatch):
    monkeypatch.setattr(compiled, "MOST_FRUITLESS", 5)
    g = torch.compile(lambda box: box.x * 2)
    box = type("Box", (), {})

    def run():
        for i in range(8):
            made = box()
            made.x = torch.full((2,), float(i))
            assert g(made)[0] == 2 * i

    with pytest.warns(UserWarning, match="their arguments are new objects"):
        run()
