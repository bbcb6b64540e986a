"""What libraries around torch.distributions and torch.distributed do with their classes, beside PyTorch."""

from __future__ import annotations

import pytest

import retrograd

torch = pytest.importorskip("torch")

from parity.behaviours import compare  # noqa: E402  (below the check for torch)

BEHAVIOURS = {}


def behaviour(fn):
    BEHAVIOURS[fn.__name__] = fn
    return fn


@behaviour
def a_constraint_derived_from_one(T):
    D = T.distributions
    C = D.constraints

    class Softplus(type(C.lower_cholesky)):
        pass

    class Above(type(C.positive)):
        def __init__(self):
            super().__init__(lower_bound=1.0)

    @D.transform_to.register(Softplus)
    def _(constraint):
        return D.LowerCholeskyTransform()

    x = T.arange(9.0).reshape(3, 3)
    own = Softplus()
    return own.check(x.tril()), own.event_dim, own.is_discrete, Above().check(x), D.transform_to(own)(x)


@behaviour
def the_classes_of_constraints(T):
    C = T.distributions.constraints
    shown = [repr(c) for c in (C.real, C.simplex, C.positive, C.corr_cholesky, C.boolean, C.one_hot)]
    return shown, isinstance(C.positive, C._GreaterThan), isinstance(C.dependent, C._Dependent), type(C.real).__name__


@behaviour
def an_expand_of_ones_own(T):
    D = T.distributions

    class Diagonal(D.Independent):
        def __init__(self, loc, scale):
            super().__init__(D.Normal(loc, scale), 1)

        def expand(self, batch_shape, _instance=None):
            new = self._get_checked_instance(Diagonal, _instance)
            return super().expand(batch_shape, new)

    wide = Diagonal(T.zeros(3), T.ones(3)).expand((4,))
    return type(wide).__name__, tuple(wide.batch_shape), wide.log_prob(T.arange(12.0).reshape(4, 3))


@behaviour
def a_map_that_is_a_module(T):
    D = T.distributions

    class Shift(D.Transform, T.nn.Module):
        domain = codomain = D.constraints.real
        bijective = True

        def __init__(self):
            super().__init__(cache_size=1)
            self.by = T.nn.Parameter(T.tensor(2.0))

        __hash__ = T.nn.Module.__hash__

        def _call(self, x):
            return x + self.by

        def _inverse(self, y):
            return y - self.by

        def log_abs_det_jacobian(self, x, y):
            return T.zeros_like(x)

    shift = Shift()
    p = D.TransformedDistribution(D.Normal(T.zeros(2), T.ones(2)), [shift])
    p.log_prob(T.ones(2)).sum().backward()
    y = shift(T.ones(2))
    return shift.by.grad, shift._cached_x_y[1] is y, isinstance(shift.inv, D.transforms._InverseTransform)


@behaviour
def a_divergence_of_other_classes(T):
    class Other:
        pass

    return callable(T.distributions.register_kl(Other, Other))


@behaviour
def triangles_as_vectors(T):
    U = T.distributions.utils
    x = T.arange(18.0).reshape(2, 3, 3)
    rows = [U.tril_matrix_to_vec(x, k) for k in (-1, 0, 1)]
    return rows, [U.vec_to_tril_matrix(row, k) for row, k in zip(rows, (-1, 0, 1))], U._sum_rightmost(x, 2)


@behaviour
def no_triangle(T):
    return T.distributions.utils.vec_to_tril_matrix(T.ones(4))


@behaviour
def no_such_diagonal(T):
    return T.distributions.utils.tril_matrix_to_vec(T.ones(2, 2), 2)


@behaviour
def standard_normals(T):
    T.manual_seed(3)
    return T.distributions.utils._standard_normal((2, 3), dtype=T.float64, device=T.device("cpu"))


@behaviour
def operators_by_their_names(T):
    aten = T.ops.aten
    x = T.arange(4.0).reshape(2, 2)
    return aten.add.Tensor(x, 1), aten.mm.default(x, x), aten.relu_.default(-x), aten.sum.dim_IntList(x, [0])


@behaviour
def texts_of_tensors(T):
    S = T._tensor_str
    return S._tensor_str(T.arange(3.0), 7), S._add_suffixes("f([1]", ["a=1", "b=2"], 2, False), S.PRINT_OPTS.threshold


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_the_same(name):
    compare(torch, BEHAVIOURS[name])


def test_operators_are_keys():
    aten = retrograd.ops.aten
    assert aten.clone.default is aten.clone.default and aten.clone.default is not aten.add.Tensor
    with pytest.raises(NotImplementedError, match="_to_copy"):
        aten._to_copy.default(retrograd.ones(1))
    with pytest.raises(AttributeError):
        retrograd.ops.a_library_that_is_not_there.fn


@pytest.mark.filterwarnings("ignore")
def test_an_optimizer_shared_by_one_process():
    from retrograd.distributed.optim import ZeroRedundancyOptimizer

    def fit(T, make):
        w = T.nn.Parameter(T.arange(3.0))
        optimizer = make([w])
        for _ in range(3):
            optimizer.zero_grad()
            (w**2).sum().backward()
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        return [*w.tolist(), optimizer.state_dict()["param_groups"][0]["lr"]]

    ours = fit(retrograd, lambda ps: ZeroRedundancyOptimizer(ps, optimizer_class=retrograd.optim.Adam, lr=0.1))
    assert ours == pytest.approx(fit(torch, lambda ps: torch.optim.Adam(ps, lr=0.1)))


def test_calls_to_the_one_process():
    from retrograd.distributed import rpc

    with pytest.raises(RuntimeError, match="one process"):
        rpc.init_rpc("me", world_size=2)
    rpc.init_rpc("me", rank=0, world_size=1)
    try:
        assert rpc.rpc_async("me", max, args=(2, 3)).wait() == 3
        assert rpc.remote("me", list, args=((1, 2),)).rpc_sync().count(1) == 1
        assert rpc.get_worker_info().name == "me"
        with pytest.raises(RuntimeError, match="destination"):
            rpc.rpc_sync("other", max, args=(2, 3))
        with pytest.raises(ZeroDivisionError):
            rpc.rpc_async("me", divmod, args=(1, 0)).wait()
    finally:
        rpc.shutdown()
    with pytest.raises(RuntimeError, match="init_rpc"):
        rpc.get_worker_info()
