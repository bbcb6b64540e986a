"""Small things that course notebooks do, one by one: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")

forms = Table()


@forms
def randint_of_a_bound_and_a_named_size(T):
    T.manual_seed(0)
    return T.randint(10, size=(4,)), T.randint(high=5, size=(3,)), T.randint(10, (2,)), T.randint(2, 5, size=(2, 2))


@forms
def a_bound_below_nothing(T):
    return T.randint(0, size=(2,))


@forms
def no_size(T):
    return T.randint(10)


@pytest.mark.parametrize("behaviour", forms)
def test_forms(behaviour):
    compare(torch, behaviour)


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_print_their_last_operation(cell):
    import retrograd

    def names(T):
        T.manual_seed(0)
        made, x = getattr(T.nn, cell)(4, 5), T.randn(2, 4)
        for _ in range(4):  # the later ones run as one function
            found = made(x)
        return [h.grad_fn.name() for h in (found if isinstance(found, tuple) else (found,))]

    assert names(retrograd) == names(torch)
