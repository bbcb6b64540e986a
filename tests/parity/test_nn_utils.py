"""nn.utils and the functions without a layer against torch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn, same  # noqa: E402

SHAPES = ((3, 4), (5,), ())


def parameters(T):
    made = [T.tensor(drawn(shape, i)).requires_grad_() for i, shape in enumerate(SHAPES)]
    for i, p in enumerate(made):
        p.grad = T.tensor(drawn(tuple(p.shape), 10 + i))
    return [*made, T.zeros(2, requires_grad=True)]


CLIPPING = {
    "norm": lambda T, ps: T.nn.utils.clip_grad_norm_(ps, 1.0),
    "norm large": lambda T, ps: T.nn.utils.clip_grad_norm_(ps, 100.0),
    "norm 1": lambda T, ps: T.nn.utils.clip_grad_norm_(ps, 1.0, norm_type=1),
    "norm inf": lambda T, ps: T.nn.utils.clip_grad_norm_(ps, 0.3, norm_type=float("inf")),
    "norm one": lambda T, ps: T.nn.utils.clip_grad_norm_(ps[0], 1.0),
    "norm generator": lambda T, ps: T.nn.utils.clip_grad_norm_((p for p in ps), 1.0),
    "norm nothing": lambda T, ps: T.nn.utils.clip_grad_norm_([], 1.0),
    "norm empty generator": lambda T, ps: T.nn.utils.clip_grad_norm_((p for p in []), 1.0),
    "norm old": lambda T, ps: T.nn.utils.clip_grad_norm(ps, 1.0),
    "value": lambda T, ps: T.nn.utils.clip_grad_value_(ps, 0.4),
    "value one": lambda T, ps: T.nn.utils.clip_grad_value_(ps[1], 0.4),
    "total": lambda T, ps: T.nn.utils.get_total_norm([p.grad for p in ps[:3]], 3.0),
    "with norm": lambda T, ps: T.nn.utils.clip_grads_with_norm_(ps, 1.0, T.tensor(4.0)),
    "vector": lambda T, ps: T.nn.utils.parameters_to_vector(ps).detach(),
}


@pytest.mark.parametrize("name", CLIPPING)
def test_clipping(name):
    found = []
    for T in (retrograd, torch):
        ps = parameters(T)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            result = CLIPPING[name](T, ps)
        values = [None if result is None else result.numpy(), *(None if p.grad is None else p.grad.numpy() for p in ps)]
        found.append((values, [w.category for w in told]))
    (mine, my_warnings), (theirs, their_warnings) = found
    assert my_warnings == their_warnings
    for a, b in zip(mine, theirs, strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
            assert a.dtype == b.dtype


def test_a_norm_that_is_not_finite():
    for T in (retrograd, torch):
        p = T.zeros(2, requires_grad=True)
        p.grad = T.tensor([float("inf"), 1.0])
        with pytest.raises(RuntimeError, match="non-finite"):
            T.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
        T.nn.utils.clip_grad_norm_([p], 1.0)
        assert np.isnan(p.grad.numpy()[0])


def test_a_vector_becomes_parameters_again():
    for T in (retrograd, torch):
        layer = T.nn.Linear(2, 3)
        vector = T.arange(9.0)
        T.nn.utils.vector_to_parameters(vector, layer.parameters())
        assert layer.weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
        assert T.nn.utils.parameters_to_vector(layer.parameters()).tolist() == list(range(9))
        with pytest.raises(TypeError):
            T.nn.utils.vector_to_parameters([1.0], layer.parameters())


A, B, C = drawn((4, 2), 1), drawn((2, 2), 2), drawn((3, 2), 3)
SEQUENCES = {
    "pad": lambda T, *xs: T.nn.utils.rnn.pad_sequence(list(xs)),
    "pad batch first": lambda T, *xs: T.nn.utils.rnn.pad_sequence(list(xs), batch_first=True, padding_value=-1.0),
    "pad left": lambda T, *xs: T.nn.utils.rnn.pad_sequence(list(xs), True, 0.5, "left"),
    "pad side": lambda T, *xs: T.nn.utils.rnn.pad_sequence(list(xs), padding_side="up"),
    "pad nothing": lambda T, *xs: T.nn.utils.rnn.pad_sequence([]),
    "pad shapes": lambda T, *xs: T.nn.utils.rnn.pad_sequence([xs[0], xs[1][:, :1]]),
    "unpad": lambda T, *xs: T.nn.utils.rnn.unpad_sequence(T.nn.utils.rnn.pad_sequence(list(xs)), T.tensor([4, 2, 3])),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name):
    same(SEQUENCES[name], A, B, C)


X, IMAGE = drawn((4, 6), 4), drawn((2, 3, 5, 6), 5)
FUNCTIONS = {
    "normalize": lambda T, x, i: T.nn.functional.normalize(x),
    "normalize 1": lambda T, x, i: T.nn.functional.normalize(x, 1.0, 0),
    "normalize dims": lambda T, x, i: T.nn.functional.normalize(i, dim=(1, 2)),
    "normalize out": lambda T, x, i: T.nn.functional.normalize(x.detach(), out=T.empty(4, 6, dtype=x.dtype)),
    "one_hot": lambda T, x, i: T.nn.functional.one_hot(T.tensor([[1, 0], [3, 3]])),
    "one_hot 5": lambda T, x, i: T.nn.functional.one_hot(T.tensor([1, 0]), 5),
    "one_hot few": lambda T, x, i: T.nn.functional.one_hot(T.tensor([1, 7]), 5),
    "one_hot negative": lambda T, x, i: T.nn.functional.one_hot(T.tensor([-1])),
    "one_hot float": lambda T, x, i: T.nn.functional.one_hot(x),
    "one_hot empty": lambda T, x, i: T.nn.functional.one_hot(T.tensor([], dtype=T.long)),
    "one_hot empty 3": lambda T, x, i: T.nn.functional.one_hot(T.tensor([], dtype=T.long), 3),
    "pdist": lambda T, x, i: T.nn.functional.pdist(x),
    "pdist 1": lambda T, x, i: T.nn.functional.pdist(x, 1.0),
    "pdist 1-d": lambda T, x, i: T.nn.functional.pdist(x[0]),
    "linear 1-d weight": lambda T, x, i: T.nn.functional.linear(x, x[0]),
    "linear 1-d both": lambda T, x, i: T.nn.functional.linear(x[0], x[1]),
    "linear bias of one": lambda T, x, i: T.nn.functional.linear(x, x, x[0, :1]),
    "linear bias": lambda T, x, i: T.nn.functional.linear(x, x, x[0]),
    "linear 2-d bias": lambda T, x, i: T.nn.functional.linear(x, x, x[:, :4]),
    "linear shapes": lambda T, x, i: T.nn.functional.linear(x, x[:, :5]),
    "linear dtypes": lambda T, x, i: T.nn.functional.linear(x, x.float()),
    "pad": lambda T, x, i: T.nn.functional.pad(i, (1, 2)),
    "pad value": lambda T, x, i: T.nn.functional.pad(i, (1, 2, 0, 1, 2, 0), value=3.0),
    "pad negative": lambda T, x, i: T.nn.functional.pad(i, (-1, 2, 1, -3)),
    "pad nothing": lambda T, x, i: T.nn.functional.pad(x, (0, 0)),
    "pad too negative": lambda T, x, i: T.nn.functional.pad(x, (-9, 0)),
    "pad odd": lambda T, x, i: T.nn.functional.pad(x, (1, 2, 3)),
    "pad many": lambda T, x, i: T.nn.functional.pad(x, (1,) * 6),
    "pad reflect": lambda T, x, i: T.nn.functional.pad(x, (2, 3), mode="reflect"),
    "pad reflect value": lambda T, x, i: T.nn.functional.pad(x, (2, 3), mode="reflect", value=1.0),
    "pad mode": lambda T, x, i: T.nn.functional.pad(x, (2, 3), mode="mirror"),
    "pad dims": lambda T, x, i: T.nn.functional.pad(x[0], (2, 3), mode="reflect"),
    "interpolate": lambda T, x, i: T.nn.functional.interpolate(i, scale_factor=1.7),
    "interpolate area": lambda T, x, i: T.nn.functional.interpolate(i, size=(3, 4), mode="area"),
    "interpolate smooth": lambda T, x, i: T.nn.functional.interpolate(i, (2, 3), mode="bilinear", antialias=True),
    "interpolate smooth cubic": lambda T, x, i: T.nn.functional.interpolate(i, (2, 3), mode="bicubic", antialias=True),
    "interpolate both": lambda T, x, i: T.nn.functional.interpolate(i, 3, 2.0),
    "interpolate neither": lambda T, x, i: T.nn.functional.interpolate(i),
    "interpolate corners": lambda T, x, i: T.nn.functional.interpolate(i, 3, align_corners=True),
    "interpolate sizes": lambda T, x, i: T.nn.functional.interpolate(i, (3, 4, 5)),
    "interpolate mode": lambda T, x, i: T.nn.functional.interpolate(i, 3, mode="cubist"),
    "attention": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(i, i * 2, i[..., :2]),
    "attention causal": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(i, i * 2, i, is_causal=True),
    "attention mask": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(
        i, i, i, T.tensor(drawn((5, 5), 1) > -1)
    ),
    "attention added mask": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(
        i, i, i, T.tensor(drawn((5, 5), 1)), scale=0.3
    ),
    "attention groups": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(
        T.cat([i, i], 1), i, i, enable_gqa=True
    ),
    "attention both masks": lambda T, x, i: T.nn.functional.scaled_dot_product_attention(
        i[0], i[0], i[0], T.tensor(drawn((5, 5), 1)), is_causal=True
    ),
    "max_pool2d_with_indices": lambda T, x, i: T.nn.functional.max_pool2d_with_indices(i, 2),
    "alpha_dropout": lambda T, x, i: T.nn.functional.alpha_dropout(x, 0.3, training=True),
    "dropout wrong": lambda T, x, i: T.nn.functional.dropout(x, -0.1),
    "dropout of integers": lambda T, x, i: T.nn.functional.dropout(x.long(), 0.5),
    "group_norm groups": lambda T, x, i: T.nn.functional.group_norm(i, 2),
    "batch_norm no statistics": lambda T, x, i: T.nn.functional.batch_norm(x, None, None),
    "batch_norm 1-d": lambda T, x, i: T.nn.functional.batch_norm(x[0], None, None, training=True),
    "instance_norm no statistics": lambda T, x, i: T.nn.functional.instance_norm(i, use_input_stats=False),
    "embedding": lambda T, x, i: T.nn.functional.embedding(T.tensor([[1, 3], [0, 1]]), x, padding_idx=1),
    "embedding 1-d": lambda T, x, i: T.nn.functional.embedding(T.tensor([1]), x[0]),
    "conv2d strings": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2], padding="sam"),
    "conv2d bias": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2], x[0]),
    "conv2d padding": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2], padding=(1, 2, 3)),
    "conv2d negative padding": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2], padding=-1),
    "conv2d stride": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2], stride=0),
    "conv2d types": lambda T, x, i: T.nn.functional.conv2d(i, i[:, :, :2, :2].float()),
    "max_unpool2d": lambda T, x, i: T.nn.functional.max_unpool2d(*T.nn.functional.max_pool2d_with_indices(i, 2), 2),
    "max_unpool2d overlap": lambda T, x, i: T.nn.functional.max_unpool2d(
        *T.nn.functional.max_pool2d_with_indices(i, 3, 2, 1), 3, 2, 1, output_size=(5, 6)
    ),
    "max_unpool1d": lambda T, x, i: T.nn.MaxUnpool1d(2)(*T.nn.MaxPool1d(2, return_indices=True)(x)),
    "max_unpool size": lambda T, x, i: T.nn.MaxUnpool2d(2)(*T.nn.MaxPool2d(2, return_indices=True)(i), (9, 9)),
    "max_unpool indices": lambda T, x, i: T.nn.functional.max_unpool2d(i, i.int(), 2),
    "MaxUnpool3d": lambda T, x, i: [
        T.nn.MaxUnpool3d(2, 1)(*T.nn.MaxPool3d(2, 1, return_indices=True)(i)),
        repr(T.nn.MaxUnpool2d((1, 2))),
    ],
    "max_pool2d kernel": lambda T, x, i: T.nn.functional.max_pool2d(i, (2, 2, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    same(FUNCTIONS[name], X, IMAGE, tolerance=1e-6 if "interpolate" in name else None)
