"""Sobol sequences, to the bit beside torch's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

import retrograd  # noqa: E402  (below the checks)


def told(library, dimension, **options):
    """Points drawn in pieces, skipped over, and from the beginning again; and the engine's state."""
    engine = library.quasirandom.SobolEngine(dimension, **options)
    found = [engine.draw(n) for n in (1, 3, 8)]
    engine.fast_forward(5)
    found.append(engine.draw(2, dtype=library.float64))
    found.append(engine.reset().draw_base2(4))
    found.append(engine.reset().fast_forward(1).draw(3, out=library.empty(0)))
    return [
        *(x.numpy() for x in (*found, engine.sobolstate, engine.shift, engine.quasi)),
        engine.num_generated,
        repr(engine),
    ]


@pytest.mark.parametrize("options", [{}, {"scramble": True, "seed": 7}], ids=["plain", "scrambled"])
@pytest.mark.parametrize("dimension", [1, 2, 9, 1111])
def test_points(dimension, options):
    for mine, theirs in zip(told(retrograd, dimension, **options), told(torch, dimension, **options), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_points_are_spread_evenly():
    points = retrograd.quasirandom.SobolEngine(3, scramble=True).draw_base2(8)
    for column in points.T:
        assert ((column * 256).long().sort().values == retrograd.arange(256)).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda q: q.SobolEngine(0),
        lambda q: q.SobolEngine(30000),
        lambda q: (e := q.SobolEngine(2), e.draw(3), e.draw_base2(2)),
    ],
)
def test_errors(call):
    for library in (torch, retrograd):
        with pytest.raises(ValueError, match="dimensionality|balance"):
            call(library.quasirandom)
