"""Bad calls: the exception is PyTorch's, and its message names the operation, the types, and the line."""

from __future__ import annotations

import warnings

import pytest

import retrograd
from parity.bad_calls import BAD

torch = pytest.importorskip("torch")


def r(T, *shape, dtype="float32", grad=False):
    made = T.ones(shape, dtype=getattr(T, dtype))
    return made.requires_grad_() if grad else made


def twice(T):
    x = r(T, 3, grad=True)
    y = x.exp().sum()
    y.backward()
    y.backward()


def overwritten(T):
    x = r(T, 3, grad=True)
    y = x.exp()
    z = y.sin()
    y.add_(1)
    z.sum().backward()


# name: (call, words that the message must hold)
ROWS = {
    # shapes that do not fit
    "add": (lambda T: r(T, 2, 3) + r(T, 4), ["add", "[2, 3]", "[4]"]),
    "sub": (lambda T: r(T, 2, 3) - r(T, 2), ["sub", "[2, 3]", "[2]"]),
    "mul": (lambda T: r(T, 5) * r(T, 4), ["mul", "[5]", "[4]"]),
    "div": (lambda T: r(T, 5, 1, 2) / r(T, 3), ["div", "[5, 1, 2]", "[3]"]),
    "pow": (lambda T: r(T, 2, 3) ** r(T, 2, 2), ["pow", "[2, 3]", "[2, 2]"]),
    "maximum": (lambda T: T.maximum(r(T, 2), r(T, 3)), ["maximum", "[2]", "[3]"]),
    "where": (lambda T: T.where(r(T, 2) > 0, r(T, 3), r(T, 3)), ["where", "[2]", "[3]"]),
    "lt": (lambda T: r(T, 2) < r(T, 3), ["lt", "[2]", "[3]"]),
    "add in place": (lambda T: r(T, 3).add_(r(T, 2, 3)), ["add_", "[3]", "[2, 3]"]),
    "mul operator in place": (lambda T: r(T, 3).__imul__(r(T, 2)), ["mul", "[3]", "[2]"]),
    "matmul": (lambda T: r(T, 2, 3) @ r(T, 4, 5), ["matmul", "[2, 3]", "[4, 5]"]),
    "matmul of a vector": (lambda T: r(T, 3) @ r(T, 4), ["dot", "[3]", "[4]"]),
    "matmul of batches": (lambda T: r(T, 2, 3, 4) @ r(T, 3, 4, 5), ["matmul", "[2, 3, 4]", "[3, 4, 5]"]),
    "matmul of a number": (lambda T: T.matmul(r(T), r(T, 2)), ["matmul", "[]", "[2]"]),
    "mm": (lambda T: T.mm(r(T, 2, 3), r(T, 2, 3)), ["mm", "[2, 3]"]),
    "mm of a vector": (lambda T: T.mm(r(T, 2), r(T, 2, 3)), ["mm", "[2]"]),
    "bmm": (lambda T: T.bmm(r(T, 2, 3), r(T, 2, 3, 4)), ["bmm", "[2, 3]"]),
    "dot": (lambda T: T.dot(r(T, 2), r(T, 3)), ["dot", "[2]", "[3]"]),
    "mv": (lambda T: T.mv(r(T, 2, 3), r(T, 2)), ["mv", "[2, 3]", "[2]"]),
    "view": (lambda T: r(T, 2, 3).view(4, 2), ["view", "[4, 2]", "6"]),
    "reshape": (lambda T: r(T, 2, 3).reshape(-1, 4), ["reshape", "[-1, 4]", "6"]),
    "view of strided": (lambda T: r(T, 2, 3).t().view(6), ["view", "reshape"]),
    "expand": (lambda T: r(T, 2, 3).expand(2, 4), ["expand", "[2, 3]", "[2, 4]"]),
    "permute": (lambda T: r(T, 2, 3).permute(0, 1, 2), ["permute", "3", "2"]),
    "permute twice": (lambda T: r(T, 2, 3).permute(0, 0), ["permute"]),
    "transpose": (lambda T: r(T, 2, 3).transpose(0, 2), ["transpose", "[-2, 1]", "2"]),
    "t of three": (lambda T: r(T, 2, 3, 4).t(), ["t()", "3"]),
    "squeeze": (lambda T: r(T, 2).squeeze(3), ["squeeze", "3"]),
    "unsqueeze": (lambda T: r(T, 2).unsqueeze(3), ["unsqueeze", "3"]),
    "cat": (lambda T: T.cat([r(T, 2, 3), r(T, 2, 4)]), ["cat", "[2, 3]", "[2, 4]"]),
    "cat of nothing": (lambda T: T.cat([]), ["cat"]),
    "stack": (lambda T: T.stack([r(T, 2), r(T, 3)]), ["stack", "[2]", "[3]"]),
    "stack of nothing": (lambda T: T.stack([]), ["stack"]),
    "split": (lambda T: r(T, 5).split([2, 2]), ["split", "[2, 2]", "5"]),
    "chunk": (lambda T: r(T, 5).chunk(0), ["chunk", "0"]),
    "einsum": (lambda T: T.einsum("ij,jk->ik", r(T, 2, 3), r(T, 4, 5)), ["einsum"]),
    "sum of a dimension": (lambda T: r(T, 2, 3).sum(2), ["sum", "[-2, 1]", "2"]),
    "max of nothing": (lambda T: r(T, 0).max(), ["max"]),
    "softmax": (lambda T: r(T, 2).softmax(1), ["softmax", "1"]),
    "index out of range": (lambda T: r(T, 3)[3], ["3", "index"]),
    "too many indices": (lambda T: r(T, 3)[0, 0], ["indices"]),
    "index by float": (lambda T: r(T, 3)[1.0], ["float"]),
    "index by tensor out of range": (lambda T: r(T, 3)[T.tensor([0, 5])], ["5", "3"]),
    "mask of other shape": (lambda T: r(T, 3)[T.tensor([True, False])], ["[2]", "[3]"]),
    "gather": (lambda T: r(T, 3).gather(0, T.tensor([[0]])), ["gather"]),
    "gather by floats": (lambda T: r(T, 3).gather(0, r(T, 1)), ["gather", "int64"]),
    "index_select": (lambda T: r(T, 3).index_select(0, T.tensor([5])), ["index_select", "5"]),
    "assignment": (lambda T: r(T, 3).__setitem__(slice(0, 2), r(T, 3)), ["[3]", "[2]"]),
    "masked_fill": (lambda T: r(T, 3).masked_fill(T.tensor([1, 0, 1]), 0.0), ["masked_fill", "bool"]),
    # dtypes
    "matmul of two dtypes": (lambda T: r(T, 2, 2) @ r(T, 2, 2, dtype="float64"), ["matmul", "float32", "float64"]),
    "matmul of integers and floats": (lambda T: r(T, 2, 2, dtype="int64") @ r(T, 2, 2), ["matmul", "int64", "float32"]),
    "dot of two dtypes": (lambda T: T.dot(r(T, 2), r(T, 2, dtype="float64")), ["dot", "float32", "float64"]),
    "linear of integers": (
        lambda T: T.nn.functional.linear(r(T, 2, 3, dtype="int64"), r(T, 4, 3)),
        ["linear", "int64", "float32"],
    ),
    "linear of other shape": (lambda T: T.nn.functional.linear(r(T, 2, 5), r(T, 4, 3)), ["linear", "[2, 5]", "[4, 3]"]),
    "mean of integers": (lambda T: r(T, 3, dtype="int64").mean(), ["mean", "Long"]),
    "softmax of integers": (lambda T: r(T, 3, dtype="int64").softmax(0), ["softmax", "Long"]),
    "integer into float in place": (lambda T: r(T, 3, dtype="int64").add_(1.5), ["add_", "Long"]),
    "division in place of integers": (lambda T: r(T, 3, dtype="int64").div_(2), ["div_", "Long"]),
    "integer to negative power": (lambda T: r(T, 3, dtype="int64") ** -1, ["pow", "negative"]),
    "minus of bools": (lambda T: r(T, 3, dtype="bool") - r(T, 3, dtype="bool"), ["bool"]),
    "bitwise and of floats": (lambda T: r(T, 3) & r(T, 3), ["bitwise_and", "float32"]),
    "cross entropy of integers": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3, dtype="int64"), T.tensor([0, 1])),
        ["cross_entropy", "int64[2, 3]"],
    ),
    "cross entropy with float classes": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), r(T, 2)),
        ["cross_entropy", "float32[2]"],
    ),
    "cross entropy out of range": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), T.tensor([0, 3])),
        ["cross_entropy", "3"],
    ),
    "cross entropy of another batch": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), T.tensor([0, 1, 2])),
        ["cross_entropy", "2", "3"],
    ),
    "nll of floats": (lambda T: T.nn.functional.nll_loss(r(T, 2, 3), r(T, 2)), ["nll_loss", "float32[2]"]),
    "bce outside": (
        lambda T: T.nn.functional.binary_cross_entropy(r(T, 2) * 2, r(T, 2)),
        ["binary_cross_entropy"],
    ),
    "bce of other shape": (
        lambda T: T.nn.functional.binary_cross_entropy(r(T, 2) * 0.5, r(T, 3)),
        ["binary_cross_entropy", "[2]", "[3]"],
    ),
    "bce with integers": (
        lambda T: T.nn.functional.binary_cross_entropy(r(T, 2) * 0.5, r(T, 2, dtype="int64")),
        ["binary_cross_entropy", "int64"],
    ),
    "embedding of floats": (lambda T: T.nn.functional.embedding(r(T, 2), r(T, 4, 3)), ["embedding", "float32"]),
    "embedding out of range": (lambda T: T.nn.functional.embedding(T.tensor([7]), r(T, 4, 3)), ["embedding", "7"]),
    "mse of other shape": (
        lambda T: T.nn.functional.mse_loss(r(T, 2, 3), r(T, 2, 4)),
        ["mse_loss", "[2, 3]", "[2, 4]"],
    ),
    "conv of other channels": (
        lambda T: T.nn.functional.conv2d(r(T, 1, 3, 8, 8), r(T, 4, 2, 3, 3)),
        ["conv2d", "[1, 3, 8, 8]", "[4, 2, 3, 3]"],
    ),
    "conv of a vector": (lambda T: T.nn.functional.conv2d(r(T, 3), r(T, 4, 2, 3, 3)), ["conv2d", "[3]"]),
    "conv with a kernel too large": (
        lambda T: T.nn.functional.conv2d(r(T, 1, 1, 2, 2), r(T, 1, 1, 3, 3)),
        ["conv2d", "2", "3"],
    ),
    "dropout probability": (lambda T: T.nn.functional.dropout(r(T, 2), 1.5), ["dropout", "1.5"]),
    "layer norm of other shape": (
        lambda T: T.nn.functional.layer_norm(r(T, 2, 3), (4,)),
        ["normalized_shape", "[4]", "[2, 3]"],
    ),
    "batch norm of one value": (
        lambda T: T.nn.functional.batch_norm(r(T, 1, 3), r(T, 3), r(T, 3), training=True),
        ["batch_norm", "[1, 3]"],
    ),
    # history
    "backward twice": (twice, ["exp", "retain_graph"]),
    "backward of a vector": (lambda T: (r(T, 3, grad=True) * 2).backward(), ["scalar", "float32[3]", "sum()"]),
    "backward of data": (lambda T: r(T).backward(), ["float32[]", "require grad"]),
    "backward with other shape": (
        lambda T: (r(T, 3, grad=True) * 2).backward(r(T, 2)),
        ["backward", "float32[3]", "float32[2]"],
    ),
    "in place on a leaf": (lambda T: r(T, 3, grad=True).add_(1), ["add_", "leaf", "no_grad"]),
    "operator in place on a leaf": (lambda T: r(T, 3, grad=True).__iadd__(1), ["add_", "leaf"]),
    "assignment into a leaf": (lambda T: r(T, 3, grad=True).__setitem__(0, 1.0), ["__setitem__", "leaf"]),
    "in place on a view of a leaf": (lambda T: r(T, 3, grad=True)[0].mul_(2), ["mul_", "view"]),
    "in place on an expanded tensor": (lambda T: r(T, 1).expand(3).add_(1), ["add_", "float32[3]", "clone()"]),
    "in place on one of several views": (lambda T: (r(T, 4, grad=True) * 2).chunk(2)[0].add_(1), ["Split", "view"]),
    "overwritten": (overwritten, ["exp", "sin", "add_", "[3]"]),
    "numpy of a leaf": (lambda T: r(T, 3, grad=True).numpy(), ["numpy()", "detach()"]),
    "grad of integers": (lambda T: r(T, 3, dtype="int64").requires_grad_(), ["int64", "float"]),
    "grad of unused": (
        lambda T: T.autograd.grad(r(T, grad=True) * 2, r(T, 3, grad=True)),
        ["float32[3]", "allow_unused"],
    ),
    "deep copy of a result": (lambda T: __import__("copy").deepcopy(r(T, 3, grad=True) * 2), ["deepcopy"]),
    "out with history": (lambda T: T.exp(r(T, 3, grad=True), out=r(T, 3)), ["exp", "out="]),
    # values and Python
    "item of many": (lambda T: r(T, 3).item(), ["item()", "float32[3]"]),
    "bool of many": (lambda T: bool(r(T, 3)), ["float32[3]", "any()"]),
    "len of a number": (lambda T: len(r(T)), ["0-d"]),
    "iteration over a number": (lambda T: list(r(T)), ["0-d"]),
    "tensor of text": (lambda T: T.tensor("text"), ["str"]),
    "ragged list": (lambda T: T.tensor([[1.0], [1.0, 2.0]]), ["1", "2"]),
    "negative size": (lambda T: T.zeros(-1), ["-1"]),
    "add of text": (lambda T: T.add(r(T, 2), "text"), ["add", "str"]),
    "exp of a number": (lambda T: T.exp(3.0), ["exp", "float"]),
    "plus None": (lambda T: r(T, 2) + None, ["NoneType"]),
    "randint of empty range": (lambda T: T.randint(3, 3, (2,)), ["randint", "3"]),
    "multinomial of zeros": (lambda T: T.multinomial(r(T, 3) * 0, 1), ["multinomial"]),
    "arange that never ends": (lambda T: T.arange(1, 5, -1), ["arange", "-1"]),
    "from_numpy of a list": (lambda T: T.from_numpy([1.0]), ["from_numpy", "list"]),
    "unknown device": (lambda T: T.zeros(2, device="nowhere"), ["nowhere"]),
}
assert not ROWS.keys() & BAD.keys()
ROWS |= BAD


def raised(T, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(T)
        except Exception as error:
            return error
    return None


def test_the_table_is_long_enough():
    assert len(ROWS) >= 350


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_call(name):
    call, words = ROWS[name]
    ours, theirs = raised(retrograd, call), raised(torch, call)
    assert theirs is not None, "PyTorch accepts this"
    kind = retrograd.linalg.LinAlgError if type(theirs) is torch.linalg.LinAlgError else type(theirs)
    assert type(ours) is kind, f"ours: {type(ours).__name__}: {ours}\ntorch: {type(theirs).__name__}: {theirs}"
    missing = [word for word in words if word.lower() not in str(ours).lower()]
    assert not missing, f"{missing} not in: {ours}"


def test_an_error_names_the_users_line():
    error = raised(retrograd, lambda T: r(T, 2, 3) @ r(T, 4, 5))
    assert "test_errors.py" in str(error)


def test_an_overwritten_value_names_both_lines():
    error = raised(retrograd, overwritten)
    assert "y.add_(1)" in str(error)
    assert "z = y.sin()" in str(error)
