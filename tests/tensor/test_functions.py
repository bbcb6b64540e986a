"""The function families with NumPy as their peer: shapes, products, creation, casts, promotion; PyTorch is not needed."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch

X = np.arange(24.0).reshape(2, 3, 4)
SHAPES = {
    "reshape": (lambda x: x.reshape(4, -1), lambda a: a.reshape(4, -1)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "movedim": (lambda x: torch.movedim(x, 0, -1), lambda a: np.moveaxis(a, 0, -1)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(-1, -2)),
    "flatten": (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "cat": (lambda x: torch.cat([x, x], 1), lambda a: np.concatenate([a, a], 1)),
    "stack": (lambda x: torch.stack([x, x], -1), lambda a: np.stack([a, a], -1)),
    "flip": (lambda x: x.flip(0, 2), lambda a: a[::-1, :, ::-1]),
    "roll": (lambda x: x.roll((1, -1), (0, 2)), lambda a: np.roll(a, (1, -1), (0, 2))),
    "tile": (lambda x: x.tile(2, 1, 3), lambda a: np.tile(a, (2, 1, 3))),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), lambda a: np.repeat(a, 2, 1)),
    "rot90": (lambda x: torch.rot90(x, 1, (1, 2)), lambda a: np.rot90(a, 1, (1, 2))),
    "diagonal": (lambda x: x.diagonal(1, 1, 2), lambda a: np.diagonal(a, 1, 1, 2)),
    "tril": (lambda x: x.tril(-1), lambda a: np.tril(a, -1)),
    "gradient": (lambda x: torch.gradient(x, dim=2)[0], lambda a: np.gradient(a, axis=2)),
    "einsum": (lambda x: torch.einsum("abc,dbc->ad", x, x), lambda a: np.einsum("abc,dbc->ad", a, a)),
    "tensordot": (lambda x: torch.tensordot(x, x, ([1, 2], [1, 2])), lambda a: np.tensordot(a, a, ([1, 2], [1, 2]))),
    "kron": (lambda x: torch.kron(x[0], x[1]), lambda a: np.kron(a[0], a[1])),
    "matmul": (lambda x: x @ x.mT, lambda a: a @ a.swapaxes(-1, -2)),
    "cross": (lambda x: torch.cross(x, x.flip(0), dim=1), lambda a: np.cross(a, a[::-1], axis=1)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_equal_numpys(name):
    ours, theirs = SHAPES[name]
    np.testing.assert_allclose(ours(torch.tensor(X)).numpy(), theirs(X))


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_by_differences(name):
    fn = SHAPES[name][0]
    assert torch.autograd.gradcheck(fn, (torch.tensor(X / 10 + 0.1, requires_grad=True),), check_forward_ad=True)


def test_joined_tensors_are_contiguous():
    x = torch.ones(3, 4).t()
    assert torch.cat([x, x]).is_contiguous()
    assert torch.stack([x, x], 1).is_contiguous()
    assert torch.cat([x]).is_contiguous()


def test_views_share_memory_and_copies_do_not():
    x = torch.zeros(2, 6)
    for view in (x.view(3, 4), x.t(), x[0], x.chunk(2, 1)[0], x.unfold(1, 2, 2), x.diagonal(), x.expand(3, 2, 6), x.mT):
        assert np.shares_memory(view.numpy(), x.numpy())
    for copy in (x.flip(0), x.repeat(1, 1), x.clone(), torch.cat([x]), x.tril(), torch.view_copy(x, (12,))):
        assert not np.shares_memory(copy.numpy(), x.numpy())


def test_parts_of_complex_numbers_can_be_written():
    z = torch.zeros(2, dtype=torch.complex128)
    z.imag.fill_(3)
    z.real[1] = 2
    assert z.tolist() == [3j, 2 + 3j]


def test_as_strided_reads_the_storage():
    x = torch.arange(12.0).reshape(3, 4)
    assert x[1:].as_strided((2, 2), (1, 4)).tolist() == [[4.0, 8.0], [5.0, 9.0]]
    assert x.t().as_strided((3,), (2,), 1).tolist() == [1.0, 3.0, 5.0]
    with pytest.raises(RuntimeError, match="out of bounds for storage"):
        x.as_strided((3,), (6,))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (torch.int32, torch.int64, torch.int64),
        (torch.uint8, torch.int8, torch.int16),
        (torch.float16, torch.bfloat16, torch.float32),
        (torch.int64, torch.float16, torch.float16),
        (torch.float64, torch.complex64, torch.complex128),
        (torch.bool, torch.uint8, torch.uint8),
    ],
)
def test_promotion(a, b, expected):
    assert torch.promote_types(a, b) is torch.promote_types(b, a) is expected
    assert (torch.ones(2, dtype=a) + torch.ones(2, dtype=b)).dtype is expected


def test_numbers_and_single_elements_do_not_promote_within_their_kind():
    x = torch.ones(2, dtype=torch.float16)
    assert (x * 2.5).dtype is (x + torch.tensor(1.0, dtype=torch.float64)).dtype is torch.float16
    assert (torch.ones(2, dtype=torch.int32) * 2.5).dtype is torch.float32
    assert (torch.ones(2, dtype=torch.uint8) + 300).tolist() == [45, 45]


def test_integers_by_python_rules():
    x, y = torch.tensor([-7, 7, -7, 7]), torch.tensor([2, -2, -2, 2])
    assert (x // y).tolist() == [-4, -4, 3, 3]
    assert (x % y).tolist() == [1, -1, -1, 1]
    assert torch.div(x, y, rounding_mode="trunc").tolist() == [-3, -3, 3, 3]
    assert torch.fmod(x, y).tolist() == [-1, 1, -1, 1]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        x // 0


def test_powers_at_the_corners():
    zero = torch.tensor([0.0, -0.0], dtype=torch.float64, requires_grad=True)
    for exponent, slope in ((0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0)):
        assert torch.autograd.grad((zero**exponent).sum(), zero)[0].tolist() == [slope, slope]
    assert (torch.tensor([-8.0]) ** 3).item() == -512
    assert torch.isnan(torch.tensor([-8.0]) ** 0.5).all()


def test_errors_name_the_operation_and_the_remedy():
    with pytest.raises(RuntimeError, match="matmul of float32"):
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match except in dimension 0"):
        torch.cat([torch.ones(2, 3), torch.ones(2, 4)])
    with pytest.raises(RuntimeError, match="use the out-of-place form"):
        torch.ones(2, dtype=torch.int64).add_(0.5)
    with pytest.raises(NotImplementedError, match="convert to another dtype"):
        torch.bitwise_and(torch.ones(2), torch.ones(2))
    with pytest.raises(ValueError, match="expected sequence of length 2 at dim 1"):
        torch.tensor([[1, 2], [3]])
    with pytest.raises(RuntimeError, match="Could not infer dtype of NoneType"):
        torch.tensor([None])


def test_data_of_many_kinds():
    assert torch.tensor([1, 2.5, True]).tolist() == [1.0, 2.5, 1.0]
    assert torch.tensor([torch.tensor(1), torch.tensor(2)]).dtype is torch.int64
    assert torch.tensor([np.float64(1.5)]).dtype is torch.float64
    assert torch.tensor([[], []]).shape == (2, 0)
    assert torch.tensor(2**62).item() == 2**62
    with pytest.raises(ValueError, match="Overflow"):
        torch.tensor(2**70)


def test_seeded_draws_are_pytorchs():
    torch.manual_seed(0)
    assert torch.rand(2).tolist() == pytest.approx([0.49625658988952637, 0.7682217955589294], abs=0)
    torch.manual_seed(0)
    assert torch.randn(2).tolist() == pytest.approx([1.5409960746765137, -0.293428897857666], abs=0)
    torch.manual_seed(0)
    assert torch.randperm(5).tolist() == [4, 0, 1, 3, 2]
