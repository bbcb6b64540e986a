"""Reductions, orders and norms of tensors without elements and without dimensions, beside torch."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

CASES = {
    "median0": lambda t: t.zeros(0).median(),
    "median dim": lambda t: t.zeros(2, 0).median(1),
    "median dim0": lambda t: t.zeros(0, 3).median(1),
    "nanmedian": lambda t: t.zeros(0).nanmedian(),
    "trapz": lambda t: t.trapezoid(t.zeros(0)),
    "trapz2": lambda t: t.trapezoid(t.zeros(3, 0)),
    "trapz1": lambda t: t.trapezoid(t.zeros(1)),
    "cumtrapz": lambda t: t.cumulative_trapezoid(t.zeros(0)),
    "softmax": lambda t: t.zeros(0).softmax(0),
    "softmax2": lambda t: t.zeros(2, 0).softmax(1),
    "softmax0d": lambda t: t.tensor(3.0).softmax(0),
    "logsm": lambda t: t.zeros(2, 0).log_softmax(0),
    "softmin": lambda t: t.nn.functional.softmin(t.zeros(0, 3), dim=1),
    "quant0d": lambda t: t.tensor(3.0).quantile(0.5, keepdim=True),
    "quant0d dim": lambda t: t.tensor(3.0).quantile(0.5, dim=0, keepdim=True),
    "quantq": lambda t: t.tensor(3.0).quantile(t.tensor([0.2, 0.5]), keepdim=True),
    "quant e": lambda t: t.zeros(0).quantile(0.5),
    "nanq": lambda t: t.tensor(3.0).nanquantile(t.tensor([0.2, 0.5]), dim=0),
    "mode": lambda t: t.zeros(0).mode(),
    "kth": lambda t: t.zeros(2, 0).kthvalue(1),
    "cummax": lambda t: t.zeros(0, 2).cummax(0),
    "lse": lambda t: t.zeros(2, 0).logsumexp(1),
    "var": lambda t: t.zeros(0).var(),
    "amax": lambda t: t.zeros(0).amax(),
    "aminmax": lambda t: t.zeros(0).aminmax(),
    "sort": lambda t: t.zeros(0).sort(),
    "topk": lambda t: t.zeros(2, 0).topk(0),
    "prod": lambda t: t.zeros(0).prod(),
    "argmax": lambda t: t.zeros(0).argmax(),
    "hist": lambda t: t.zeros(0).histc(3),
    "unique": lambda t: t.zeros(0).unique(),
    "cov": lambda t: t.zeros(0).cov(),
    "cdist": lambda t: t.cdist(t.zeros(0, 2), t.zeros(3, 2)),
}


def outcome(library, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = call(library)
        except Exception as error:
            return type(error).__name__
    results = result if isinstance(result, tuple) else (result,)
    return [(tuple(x.shape), str(x.dtype), str(x.tolist())) for x in results]


@pytest.mark.parametrize("name", CASES)
def test_value_type_and_exception(name):
    assert outcome(retrograd, CASES[name]) == outcome(torch, CASES[name])
