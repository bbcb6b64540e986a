"""Whole epochs: what the loop over the loader gives, bit for bit, and natively where that is possible."""

from __future__ import annotations

import types
import warnings

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled, epochs
from retrograd.compiler.runtime.rounds import Gather, Move, Rounds
from retrograd.data import gather
from retrograd.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def own_code(fn):
    """Give a function a code object of its own: guards look at all functions that share one."""
    return types.FunctionType(fn.__code__.replace(), fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)


def training(dropout=0.0, optimizer="sgd", classes=0, results=lambda loss, out: loss, embedding=False):
    torch.manual_seed(1)
    layers = [nn.Linear(6, 12), nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, classes or 3)]
    if embedding:
        layers = [nn.Embedding(7, 6), nn.Flatten(0, 1), *layers]
    net = nn.Sequential(*layers)
    if optimizer == "sgd":
        opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    else:
        opt = torch.optim.Adam(net.parameters(), lr=0.01)

    def step(x, y):
        opt.zero_grad()
        out = net(x)
        loss = F.cross_entropy(out, y) if classes else F.mse_loss(out, y)
        loss.backward()
        opt.step()
        return results(loss, out)

    return net, opt, torch.compile(own_code(step), fullgraph=True)


def data(rows=64, classes=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(5)
    x = torch.randn(rows, 6, generator=g).to(dtype)
    y = torch.randint(0, classes, (rows,), generator=g) if classes else torch.randn(rows, 3, generator=g)
    return TensorDataset(x, y)


def state(net, opt):
    """All that training writes."""
    tensors = [*net.parameters(), *[p.grad for p in net.parameters()]]
    for held in opt.state.values():
        tensors += [v for v in held.values() if isinstance(v, torch.Tensor)]
    return [torch.zeros(0) if t is None else t.detach().clone() for t in tensors]


def equal(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def both(make, loader, epochs_=3, **options):
    """Train twice, by the loop and by whole epochs, and compare all; give the second's step."""
    (net, opt, loop), (again, opt_again, whole) = make(), make()
    for k in range(epochs_):
        torch.manual_seed(k)
        one = loader(k)
        wanted = [loop(*batch) for batch in one]
        left = torch.get_rng_state(), None if one.generator is None else one.generator.get_state()
        torch.manual_seed(k)
        other = loader(k)
        found = whole.epoch(other, **options)
        assert (torch.get_rng_state() == left[0]).all()
        assert left[1] is None or (other.generator.get_state() == left[1]).all()
        equal([found], [torch.stack([w.detach() for w in wanted])])
        assert not found.requires_grad
        equal(state(net, opt), state(again, opt_again))
        versions = [p._version for p in net.parameters()], [p._version for p in again.parameters()]
        assert versions[0] == versions[1]
    return whole


LOADERS = {
    "in order": lambda ds: lambda k: DataLoader(ds, 8),
    "shuffled": lambda ds: lambda k: DataLoader(ds, 8, shuffle=True),
    "own generator": lambda ds: lambda k: DataLoader(ds, 8, shuffle=True, generator=torch.Generator().manual_seed(k)),
    "a smaller last": lambda ds: lambda k: DataLoader(ds, 7, shuffle=True),
    "smaller last dropped": lambda ds: lambda k: DataLoader(ds, 7, shuffle=True, drop_last=True),
    "in order, smaller last": lambda ds: lambda k: DataLoader(ds, 7),
    "subset": lambda ds: lambda k: DataLoader(Subset(ds, list(range(60, 2, -1))), 8, shuffle=True),
    "subset in order": lambda ds: lambda k: DataLoader(Subset(ds, [5] * 9 + list(range(40))), 8),
    "with replacement": lambda ds: lambda k: DataLoader(ds, 8, sampler=RandomSampler(ds, True, 100)),
    "subset sampler": lambda ds: lambda k: DataLoader(ds, 8, sampler=SubsetRandomSampler(range(3, 50))),
    "weighted": lambda ds: lambda k: DataLoader(ds, 8, sampler=WeightedRandomSampler(list(range(64)), 90)),
    "single rows": lambda ds: lambda k: DataLoader(ds, 1, shuffle=True),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name):
    whole = both(training, LOADERS[name](data()))
    assert [note["reason"] for note in whole.epochs] == [None] * 3
    assert whole.epochs[-1]["native"] >= whole.epochs[-1]["steps"] - 3


MODELS = {
    "adam": {"optimizer": "adam"},
    "dropout": {"dropout": 0.3},
    "classes": {"classes": 5},
    "dropout, adam and classes": {"dropout": 0.5, "optimizer": "adam", "classes": 5},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shuffled", ["in order", "with replacement", "a smaller last"])
def test_models(name, shuffled):
    options = MODELS[name]
    whole = both(lambda: training(**options), LOADERS[shuffled](data(classes=options.get("classes", 0))))
    assert whole.epochs[-1]["native"] >= whole.epochs[-1]["steps"] - 3
    assert whole.epochs[-1]["reason"] is None


def test_draws_from_the_generator_of_the_order():
    """The step's dropout and the loader take turns at one stream."""
    both(
        lambda: training(dropout=0.4), lambda k: DataLoader(data(), 7, shuffle=True, generator=torch.default_generator)
    )


def test_draws_made_ahead_are_limited(monkeypatch):
    from retrograd.compiler import several

    monkeypatch.setenv("RETROGRAD_NATIVE", "off")  # else they are made in the steps
    monkeypatch.setattr(several, "MOST_AHEAD", 1000)
    both(lambda: training(dropout=0.4), LOADERS["shuffled"](data()))


def test_rows_of_many_sizes():
    """Each way of copying a row: 1, 2, 4, 8 bytes, some, more than a vector, more than C is called for."""
    for columns, dtype in ((1, np.uint8), (1, np.int16), (3, np.uint8), (1, np.float32), (1, np.int64), (5, np.uint8), (4, np.float32),
                           (17, np.uint8), (10, np.float32), (31, np.float32), (127, np.float32), (128, np.float32), (700, np.uint8)):  # fmt: skip
        source = np.random.default_rng(0).integers(0, 250, (40, columns)).astype(dtype)
        numbers = np.random.default_rng(1).integers(0, 40, 3 * 4)
        batch, word = np.zeros((4, columns), dtype), np.zeros(2, np.uint64)
        seen = np.zeros((3, 4, columns), dtype)
        copy = _copier(batch.nbytes)
        table = np.array([batch.ctypes.data, 0], np.uint64)
        records = np.array([copy.address("copy"), table.ctypes.data, 1], np.uint64)
        rounds = Rounds(copy.address("drive"), records.ctypes.data, 1)
        gathers = [Gather(source.ctypes.data, batch.ctypes.data, source.strides[0], 4, numbers.ctypes.data)]
        moves = [Move(table.ctypes.data + 8, seen.ctypes.data, seen.strides[0])]
        assert rounds(3, gathers, moves) == 3
        np.testing.assert_array_equal(seen, source[numbers].reshape(seen.shape))
        assert rounds(0, gathers, moves) == 0
        assert not word.any()


def _copier(size):
    from retrograd.compiler.codegen.emit import Module
    from retrograd.compiler.driver import write_driver
    from retrograd.compiler.runtime.cache import native

    module = Module()
    f = module.function("copy", [("ptr", "arguments"), ("i64", "chunk")])
    a, b = (f.load("ptr", f.element("ptr", f.arguments, i)) for i in range(2))
    f.call(module.declare("memcpy", "ptr", ["ptr", "ptr", "i64"]), "ptr", [("ptr", b), ("ptr", a), ("i64", size)])
    f.ret()
    write_driver(module)
    return native(module.text(), "copier")


# -- results ------------------------------------------------------------------------------------------------------------------
def test_results_of_all_kinds():
    net, opt, step = training(results=lambda loss, out: {"loss": loss, "parts": (out, out > 0, None, "word")})
    found = step.epoch(data(), batch_size=8)
    assert list(found) == ["loss", "parts"]
    assert found["loss"].shape == (8,)
    assert found["parts"][0].shape == (8, 8, 3)
    assert found["parts"][1].dtype == torch.bool
    assert found["parts"][2] is None
    assert found["parts"][3] == ["word"] * 8
    assert step.epochs[-1]["native"] >= 4
    found = step.epoch(data(60), batch_size=8)  # the last batch's outputs are shorter
    assert found["loss"].shape == (8,)
    assert [t.shape[0] for t in found["parts"][0]] == [8] * 7 + [4]
    assert training(results=lambda loss, out: None)[2].epoch(data(), batch_size=8) is None


def test_ways_to_give_the_data():
    x, y = data().tensors
    found = []
    for given, options in (
        (DataLoader(data(), 8), {}),
        (data(), {"batch_size": 8}),
        ((x, y), {"batch_size": 8, "shuffle": False}),
        ([(x[k : k + 8], y[k : k + 8]) for k in range(0, 64, 8)], {}),
        (((x[k : k + 8], y[k : k + 8]) for k in range(0, 64, 8)), {}),
    ):
        step = training()[2]
        found.append(torch.compiler.epoch(step, given, **options))
        reason = step.epochs[-1]["reason"]
        assert (reason is None) is not isinstance(given, (list, types.GeneratorType))
    for other in found[1:]:
        equal([found[0]], [other])
    assert training()[2].epoch(DataLoader(data(0), 8)) is None
    with pytest.raises(TypeError, match="not a loader"):
        training()[2].epoch(DataLoader(data(), 8), shuffle=True)


def test_a_plain_function_is_compiled():
    total = torch.zeros(3)

    def step(x):
        total.add_(x.sum(0))
        return total.sum()

    x = torch.randn(40, 3)
    found = torch.compiler.epoch(step, (x,), batch_size=4)
    np.testing.assert_allclose(total.numpy(), x.sum(0).numpy(), rtol=1e-5)
    assert found.shape == (10,)


# -- what is done in a loop -----------------------------------------------------------------------------------------------------
class Noisy(Dataset):
    def __init__(self, tensors):
        self.tensors = tensors

    def __getitem__(self, k):
        return tuple(t[k] for t in self.tensors)

    def __len__(self):
        return len(self.tensors[0])


def test_loops_with_a_reason():
    x, y = data().tensors

    class Backwards(torch.utils.data.Sampler):
        def __iter__(self):
            return iter(range(63, -1, -1))

        def __len__(self):
            return 64

    cases = {
        "workers": DataLoader(data(), 8, num_workers=1),
        "rows of a TensorDataset": DataLoader(Noisy((x, y)), 8),
        "sampler": DataLoader(data(), 8, sampler=Backwards()),
        "not contiguous": DataLoader(TensorDataset(x.T.contiguous().T, y), 8),
    }
    for reason, loader in cases.items():
        whole = both(training, lambda k, loader=loader: loader, epochs_=1)
        assert reason in whole.epochs[-1]["reason"]
        assert whole.epochs[-1]["native"] == 0
        assert reason in str(whole.explain(rounds=0))


def test_programs_that_are_not_for_many_steps():
    x = torch.randn(40, 3)
    weight = nn.Parameter(torch.ones(3))

    def gradients_pile_up(x):
        (x * weight).sum().backward()

    def gradient_outside(x):
        return (x * weight).sum()

    def given_back(x):
        return x, x.sum()

    for fn, reason in (
        (gradients_pile_up, None),
        (gradient_outside, "asked for outside"),
        (given_back, "not made in it"),
    ):
        weight.grad = None
        step = torch.compile(fn, fullgraph=True)
        found = step.epoch((x,), batch_size=4)
        if fn is gradients_pile_up:
            np.testing.assert_allclose(weight.grad.numpy(), x.sum(0).numpy(), rtol=1e-4)
        elif fn is given_back:
            equal([found[0]], [x.reshape(10, 4, 3)])
        else:
            np.testing.assert_allclose(found.numpy(), x.reshape(10, 12).sum(1).numpy(), rtol=1e-4)
        assert step.epochs[-1]["native"] == 0
        assert reason is None or reason in step.epochs[-1]["reason"]


def test_a_step_that_asks_for_values_runs_eagerly():
    net, opt, _ = training()
    count = []

    def step(x, y):
        loss = F.mse_loss(net(x), y)
        count.append(loss.item())
        return loss.detach()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.compile(step).epoch(data(), batch_size=8)
    np.testing.assert_array_equal(found.numpy(), np.float32(count))


def test_guards_hold_from_slice_to_slice(monkeypatch):
    """What a callback changes counts from the next step on."""
    monkeypatch.setattr(epochs, "SLICE", 0.0)
    for slice_ in (0.0, 1e-4):
        monkeypatch.setattr(epochs, "SLICE", slice_)
        scale = torch.zeros(())
        factor = [1.0]

        def step(x, factor=factor, scale=scale):
            scale.add_(1)
            return x.sum() * 0 + factor[0]

        def change(done, of, mean, factor=factor):
            factor[0] = float(done)

        found = torch.compile(own_code(step)).epoch((torch.randn(40, 3),), batch_size=1, progress=change)
        assert found[0] == 1
        assert scale == 40
        wrong = [k for k in range(1, 40) if found[k] > k]
        assert not wrong
        assert len(set(found.tolist())) > 3


# -- errors, schedules, progress ------------------------------------------------------------------------------------------------
def by_steps(step, x, y):
    for batch in DataLoader(TensorDataset(x, y), 4):
        step(*batch)


def by_whole_epochs(step, x, y):
    step.epoch((x, y), batch_size=4)


def test_an_index_out_of_range_is_the_loops_error():
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 7, (64, 1), generator=g)
    y = torch.randn(64, 3, generator=g)
    x[45, 0] = 70
    ends = []
    for by_epoch in (False, True):
        for dropout in (0.0, 0.3):
            net, opt, step = training(embedding=True, dropout=dropout)
            torch.manual_seed(0)
            for _ in range(4):
                step(x[:4], y[:4])
            train = by_whole_epochs if by_epoch else by_steps
            with pytest.raises(IndexError):
                train(step, x, y)
            ends.append([*state(net, opt), torch.get_rng_state()])
            if by_epoch:
                assert step.epochs[-1]["native"] == 10
            found = [step(x[:4], y[:4]).item() for _ in range(2)]
            assert np.isfinite(found).all()
    equal(ends[0], ends[2])
    equal(ends[1], ends[3])


SCHEDULES = {
    "exponential": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.99),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=200),
    "to zero and back": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda k: 0.0 if 9 < k < 14 else 1.0),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 30),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedulers_step_after_each(name):
    ends = []
    for by_epoch in (False, True):
        net, opt, step = training()
        scheduler = SCHEDULES[name](opt)
        for _ in range(3):
            if by_epoch:
                found = step.epoch(DataLoader(data(), 4), scheduler=scheduler)
            else:
                found = []
                for batch in DataLoader(data(), 4):
                    found.append(step(*batch).detach())
                    scheduler.step()
                found = torch.stack(found)
        ends.append([found, *state(net, opt)])
        rates = opt.param_groups[0]["lr"], scheduler.last_epoch
        ends[-1].append(torch.tensor(rates, dtype=torch.float64))
    equal(*ends)
    assert step.epochs[-1]["native"] >= 8


def test_a_scheduler_is_where_the_failing_step_found_it():
    x, y = torch.zeros(64, 1, dtype=torch.int64), torch.randn(64, 3)
    x[45, 0] = 70
    net, opt, step = training(embedding=True)
    scheduler = SCHEDULES["exponential"](opt)
    with pytest.raises(IndexError):
        step.epoch((x, y), batch_size=4, scheduler=scheduler)
    assert scheduler.last_epoch == 11
    assert opt.param_groups[0]["lr"] == pytest.approx(0.05 * 0.99**11)


def test_progress(capsys, monkeypatch):
    monkeypatch.setattr(epochs, "SLICE", 1e-4)
    calls = []
    step = training()[2]
    found = step.epoch(data(), batch_size=1, progress=lambda *seen: calls.append(seen))
    assert calls[-1][:2] == (64, 64)
    assert calls[-1][2] == pytest.approx(found.mean().item(), rel=1e-6)
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    for done, _, mean in calls:
        assert mean == pytest.approx(found[:done].mean().item(), rel=1e-5)
    step.epoch(data(), batch_size=1, progress=True)
    said = capsys.readouterr().err
    assert "64/64 steps" in said
    assert said.endswith("\n")


def test_an_interrupt_between_slices_leaves_whole_steps(monkeypatch):
    monkeypatch.setattr(epochs, "SLICE", 1e-4)
    net, opt, step = training()

    def interrupt(done, of, mean):
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step.epoch(DataLoader(data(), 1), progress=interrupt)
    done = step.epochs[-1]["steps"]
    again, opt_again, loop = training()
    for k, batch in enumerate(DataLoader(data(), 1)):
        if k < done:
            loop(*batch)
    equal(state(net, opt), state(again, opt_again))


def test_batches_taken_together_are_those_taken_one_by_one():
    for sampler in (
        lambda: RandomSampler(range(23), generator=torch.Generator().manual_seed(2)),
        lambda: torch.utils.data.SequentialSampler(range(23)),
        lambda: RandomSampler(range(23), True, 31, torch.Generator().manual_seed(2)),
    ):
        for drop_last in (False, True):
            for most in (1, 2, 3, 100):
                batches = [torch.utils.data.BatchSampler(sampler(), 4, drop_last) for _ in range(2)]
                wanted = [list(b) for b in batches[0]]
                taking, found = gather.index_batches(batches[1]), []
                while True:
                    some, count = taking.several(most, 4)
                    some = np.arange(23)[some] if isinstance(some, slice) else some
                    found += [list(some[4 * k : 4 * k + 4]) if len(some) > 4 else list(some) for k in range(count)]
                    one = next(taking, None)
                    if one is None:
                        break
                    found.append(list(np.arange(23)[one]) if isinstance(one, slice) else list(one))
                assert found == wanted
