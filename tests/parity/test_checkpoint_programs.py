"""Programs that take checkpoints to their corners, under both libraries: what they count, give and raise is the same."""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import warnings
import weakref

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")
BOTH = (retrograd, torch)


def tool(T):
    return importlib.import_module(f"{T.__name__}.utils.checkpoint")


def given(T, *shape, seed=0, requires_grad=True):
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return T.tensor(values, requires_grad=requires_grad)


def outcome(call, words=6):
    """Give what a call gave, or the kind of its error and how its text begins."""
    try:
        found = call()
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0].split()[:words]
    return "given", shown(found)


def shown(x):
    if hasattr(x, "detach"):
        return np.round(x.detach().numpy().astype(np.float64), 4).tolist()
    return [shown(y) for y in x] if isinstance(x, (list, tuple)) else x


def slope(T, fn):
    def wrapped(x):
        with T.enable_grad():
            return T.autograd.grad(fn(x), (x,), create_graph=True)[0]

    return wrapped


def nested_derivatives(T):
    c = lambda fn: lambda *args: tool(T).checkpoint(fn, *args, use_reentrant=False)
    g = functools.partial(slope, T)
    plain = lambda x: x.sin().exp().sin()

    def walking(x):
        for fn in (plain, plain):
            T.autograd.grad(fn(x), x)
        return x.sin()

    forms = {
        "c": lambda f: c(f),
        "cc": lambda f: c(c(f)),
        "gc": lambda f: g(c(f)),
        "gcg": lambda f: g(c(g(f))),
        "cggc": lambda f: c(g(g(c(f)))),
        "gcgc": lambda f: g(c(g(c(f)))),
        "gcggc": lambda f: g(c(g(g(c(f))))),
        "gcgcgc": lambda f: g(c(g(c(g(c(f)))))),
    }
    found = []
    for stop in (True, False):
        with tool(T).set_checkpoint_early_stop(stop):
            found += [
                (name, outcome(functools.partial(form(f), given(T))))
                for f in (plain, walking)
                for name, form in forms.items()
            ]
    return found


def walks_within_the_function(T):
    def retained(x):
        z = x.sin().cos()
        (slope,) = T.autograd.grad(z.sum(), x, retain_graph=True)
        return (slope * x.exp() + z).sum()

    def freed(x):
        (slope,) = T.autograd.grad(x.sin().cos().sum(), x)
        return (x.cos() * slope).sum()

    w = given(T, 3, seed=1)

    def into_leaves(x):
        h = (x * w).exp()
        h.sum().backward(retain_graph=True)
        return h.sin().sum()

    found = []
    for fn in (retained, freed, into_leaves):
        for stop in (True, False):
            x, w.grad = given(T, 3), None
            tool(T).checkpoint(fn, x, use_reentrant=False, early_stop=stop).backward()
            found.append((shown(x.grad), shown(w.grad) if w.grad is not None else None))
    return found


def how_often_it_runs(T):
    c, counts = tool(T), []
    runs = [0]

    def fn(x):
        h = x.sin().cos()
        runs[0] += 1
        return h.clone()

    def run(settings, **options):
        runs[0] = 0
        with contextlib.ExitStack() as stack:
            for enable in settings:
                stack.enter_context(c.set_checkpoint_early_stop(enable))
            y = c.checkpoint(fn, given(T), use_reentrant=False, **options)
        y.backward()
        counts.append(runs[0])

    for settings in ([], [False], [True], [False, True], [True, False]):
        for options in ({}, {"early_stop": False}, {"early_stop": True}):
            run(settings, **options)
    x = given(T, 3)
    y = c.checkpoint(lambda x: (runs.append(1), x.sin().exp().tanh())[1], x, use_reentrant=False).sum()
    for _ in range(3):
        y.backward(retain_graph=True)
    return counts, len(runs), shown(x.grad)


def reentrant_and_chosen_inputs(T):
    net = T.nn.Sequential(T.nn.Linear(3, 3), T.nn.Tanh())
    x = given(T, 2, 3)
    run = lambda: tool(T).checkpoint(net, x, use_reentrant=True).sum()
    return (
        outcome(lambda: T.autograd.grad(run(), x)),
        outcome(lambda: run().backward(inputs=[x])),
        outcome(lambda: run().backward()),
        outcome(lambda: run().backward(create_graph=True)),
    )


def results_without_a_history(T):
    a, b = given(T, 3, requires_grad=False), given(T, 3)
    part = lambda x: x.detach() * 2
    run = lambda fn, args, reentrant: tool(T).checkpoint(fn, *args, use_reentrant=reentrant).sum().backward()
    return [
        outcome(functools.partial(run, fn, args, reentrant), 4)[0]
        for reentrant in (True, False)
        for fn, args in ((lambda x, y: x, (a, b)), (lambda x, y: y, (a, b)), (part, (b,)))
    ]


def more_or_fewer_saved(T):
    three, two = lambda x: x.sin().exp().sin(), lambda x: x.sin().exp()
    other = lambda x: x.sin() * T.ones(2)
    c, found = tool(T), []
    for first, second, stop in ((three, two, True), (two, three, False), (two, three, True), (two, other, True)):
        turns = iter([first, second])
        y = c.checkpoint(lambda x, turns=turns: next(turns)(x).sum(), given(T, 1), use_reentrant=False, early_stop=stop)
        found.append(outcome(y.backward, 8))
    turns = iter([two, other])
    with pytest.raises(c.CheckpointError, match="`debug=True`"), c.set_checkpoint_debug_enabled(True):
        c.checkpoint(lambda x: next(turns)(x).sum(), given(T, 1), use_reentrant=False).backward()
    return found


def contexts(T):
    log = []

    @contextlib.contextmanager
    def named(name):
        log.append(name)
        try:
            yield
        finally:
            log.append(f"end of {name}")

    @contextlib.contextmanager
    def forgiving():
        with contextlib.suppress(KeyError):
            yield

    def failing(x):
        raise KeyError("mine")

    c, x = tool(T), given(T, 3)
    run = lambda fn, context_fn: c.checkpoint(fn, x, use_reentrant=False, context_fn=context_fn).sum()
    run(lambda x: x.exp().sin(), lambda: (named("first"), named("second"))).backward()
    with T.no_grad():
        run(T.sin, lambda: (named("not entered"), named("never")))
    return log, [
        outcome(lambda: run(failing, lambda: (forgiving(), named("second"))))[0],
        outcome(lambda: run(T.sin, lambda: (named("a"), named("b"), named("c"))))[0],
        outcome(lambda: c.checkpoint(T.sin, x, use_reentrant=True, context_fn=lambda: (named("a"), named("b"))))[0],
    ]


def saved_objects(T):
    found = []

    class Second(T.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(y)
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            found.append(ctx.saved_tensors[0] is b)
            return g, None

    a, b = given(T), given(T, requires_grad=False)
    Second.apply(a, b).backward()
    tool(T).checkpoint(Second.apply, a, b, use_reentrant=False).backward()
    return found


def an_input_returned_as_it_is(T):
    found = []

    class First(T.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            found.append((x.requires_grad, y.requires_grad, x.grad_fn is None))
            return g * y, g * x

    for flags in ((True, False), (False, True), (True, True)):
        a, b = (given(T, 3, seed=i, requires_grad=flag) for i, flag in enumerate(flags))
        First.apply(a, b).sum().backward()
    return found


def groups(T):
    c, found = tool(T), []
    runs = [0]

    def fn(x):
        runs[0] += 1
        y = x.sin().cos()
        return y, y.sin().cos()

    x = given(T, 3)
    y, z = c.checkpoint(fn, x, use_reentrant=False)
    with c.GraphExecGroup():
        (gy,) = T.autograd.grad(z.sum(), (y,))
        (gx,) = T.autograd.grad(y, (x,), (gy,))
        found.append(outcome(lambda: c.GraphExecGroup().__enter__(), 3))
    y = c.checkpoint(lambda x: x.sin().cos(), x, use_reentrant=False).sum()
    with c.GraphExecGroup():
        y.backward(retain_graph=True)
        found.append(outcome(y.backward, 8))
    return runs, shown(gx), found


def kept_by_policy(T):
    c, asked = tool(T), []
    aten = T.ops.aten

    def policy(ctx, op, *args, **kwargs):
        asked.append((ctx.is_recompute, op in {aten.mm.default, aten.bmm.default}, op == aten.sin.default, len(args)))
        asked.append(tuple(ctx.op_output.shape))
        return c.CheckpointPolicy.MUST_SAVE if op == aten.mm.default else c.CheckpointPolicy.PREFER_RECOMPUTE

    x = given(T, 3, 3)
    fn = lambda x: T.mm(x, x).sin().exp()
    found = []
    for chosen in (policy, [aten.mm.default], [aten.mm.default, aten.var_mean.correction], [aten.exp.default]):
        x.grad = None
        keep = functools.partial(c.create_selective_checkpoint_contexts, chosen)
        c.checkpoint(fn, x, use_reentrant=False, context_fn=keep).sum().backward()
        found.append(shown(x.grad))
    bad = [
        outcome(functools.partial(c.create_selective_checkpoint_contexts, x), 9)
        for x in (2, (aten.mm.default,), [2], [aten.sin])
    ]
    return asked[:6], found, [policy.name for policy in c.CheckpointPolicy], bad[:2], [kind for kind, _ in bad]


def kept_results_of_ones_own_operator(T):
    c, runs = tool(T), [0]

    @T.library.custom_op("kept_whole::sine", mutates_args=(), schema="(Tensor x) -> Tensor")
    def sine(x):
        runs[0] += 1
        return x.sin()

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    T.library.register_autograd("kept_whole::sine", lambda ctx, g: g * ctx.saved_tensors[0].cos(), setup_context=setup)
    op = T.ops.kept_whole.sine
    counts, grads = [], []
    for chosen in ([op.default], [], lambda ctx, op, *args: str(op).startswith("kept_whole")):
        x, runs[0] = given(T, 3), 0
        keep = functools.partial(c.create_selective_checkpoint_contexts, chosen)
        c.checkpoint(lambda x: (op(x) * x.sin().exp()).sin(), x, use_reentrant=False, context_fn=keep).sum().backward()
        counts.append(runs[0])
        grads.append(shown(x.grad))
    return counts[:2], grads


def draws_not_replayed(T):
    x = given(T, 20)
    y = tool(T).checkpoint(T.nn.Dropout(), x.exp(), use_reentrant=False, preserve_rng_state=False)
    return outcome(lambda: y.exp().sum().backward())


def what_a_pack_hook_sees(T):
    seen = []
    x = given(T, 3)
    look = lambda t: (seen.append((t.requires_grad, t.is_leaf, (t * 2).requires_grad, tuple(t.shape))), t)[1]
    with T.autograd.graph.saved_tensors_hooks(look, lambda t: t):
        y = ((x * 2).exp().tanh() * x).sum()
    y.backward()
    z = x.exp()
    hooks = (lambda t: t, lambda t: t)
    z.grad_fn._raw_saved_result.register_hooks(*hooks)
    raw = z.grad_fn._raw_saved_result.unpack_hook is hooks[1]
    return sorted(seen), shown(x.grad), raw, outcome(T.autograd.SavedTensor, 3)


def hooks_are_disabled_in_one_thread(T):
    graph, found = T.autograd.graph, []

    def enter():
        with graph.save_on_cpu():
            pass

    with graph.disable_saved_tensors_hooks("not here"):
        thread = threading.Thread(target=lambda: found.append(outcome(enter)))
        thread.start()
        thread.join()
        found.append(outcome(enter))
    return found


def saved_values_given_away(T):
    found = []

    class Once(T.autograd.Function):
        clear_saved_tensors_on_access = True

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            gone, slope = weakref.ref(x), 2 * x.clone() * g
            del x
            found.extend([gone() is None, outcome(lambda: ctx.saved_tensors)])
            return slope

    x = given(T, 3)
    Once.apply(x.clone()).sum().backward()
    return found, shown(x.grad)


def what_is_a_sequence(T):
    c, x = tool(T), given(T, 2, 2)
    forms = (T.nn.Linear(2, 2), T.nn.ModuleList([T.nn.Tanh(), T.nn.Tanh()]), [T.tanh] * 3, T.nn.Sequential(T.nn.Tanh()))
    return [outcome(functools.partial(c.checkpoint_sequential, form, 1, x, use_reentrant=False), 0) for form in forms]


PROGRAMS = [
    nested_derivatives,
    walks_within_the_function,
    how_often_it_runs,
    reentrant_and_chosen_inputs,
    results_without_a_history,
    more_or_fewer_saved,
    contexts,
    saved_objects,
    an_input_returned_as_it_is,
    groups,
    kept_by_policy,
    kept_results_of_ones_own_operator,
    draws_not_replayed,
    what_a_pack_hook_sees,
    hooks_are_disabled_in_one_thread,
    saved_values_given_away,
    what_is_a_sequence,
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_give_the_same(program):
    found = []
    for T in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            T.manual_seed(0)
            found.append(program(T))
    assert found[0] == found[1]
