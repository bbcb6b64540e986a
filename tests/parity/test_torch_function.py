"""``__torch_function__``: subclasses of Tensor, classes that wrap tensors, and modes: each program as PyTorch runs it."""

from __future__ import annotations

import copy
import functools
import io
import pickle
import sys

import pytest

import retrograd

torch = pytest.importorskip("torch")

PROGRAMS = []


def program(fn):
    """Register a program: it is given a torch, and what it gives must be the same of both."""
    PROGRAMS.append(fn)
    return fn


def shown(x):
    """Give what can be compared: types by name, tensors by type and numbers."""
    if isinstance(x, type):
        return x.__name__
    if hasattr(x, "detach") and hasattr(x, "tolist"):
        return (type(x).__name__, x.tolist(), bool(x.requires_grad))
    if isinstance(x, (list, tuple)):
        return [shown(v) for v in x]
    if isinstance(x, dict):
        return {k: shown(v) for k, v in x.items()}
    return x


def plain(t):
    class Sub(t.Tensor):
        pass

    return Sub, t.tensor([[1.0, -2.0], [3.0, 4.0]]).as_subclass(Sub)


EXPRESSIONS = """
x + 1 | 1 + x | x - p | p - x | 2 / x | x @ x | p @ x | -x | abs(x) | x ** 2 | 2 ** x | x // 2 | x % 2 | x > 0 | x == x | x != p
x.sum() | x.sum(0) | x.max(0) | x.max() | x.topk(1) | x.T | x.mT | x.real | x.data | x.grad | x.detach() | x.clone() | x.double()
x.view(4) | x.reshape(-1) | x[0] | x[0, 1] | x[x > 0] | x[..., None] | x[:, 0] | list(x) | x.split(1) | x.chunk(2) | x.unbind(0)
x.tolist() | len(x) | x.shape | x.ndim | x.size(0) | x.dtype.is_floating_point | x.requires_grad | x.is_leaf | x.device.type
x.new_tensor([1.0]) | x.new_zeros(2) | x.new_ones((1,)) | x.new_full((2,), 3.0) | x.new_empty(0)
x.to(t.float64).dtype.itemsize | x.int() | x.bool() | x.numpy().tolist() | x.expand(2, 2, 2) | x.permute(1, 0) | x.cpu()
t.relu(x) | t.add(x, 1) | t.add(1, x) if 0 else t.add(p, x) | t.stack([x, x]) | t.stack([p, x]) | t.cat((x, p)) | t.where(x > 0, x, p)
t.zeros_like(x) | t.ones_like(x) | t.sort(x) | t.einsum("ij,jk->ik", x, p) | t.matmul(p, x) | t.abs(input=x) | t.split(x, 1)
t.linalg.norm(x) | t.linalg.svdvals(x).shape | t.fft.fft(x).shape | t.special.expit(x).shape | t.sum(x, dim=0) | t.atleast_2d(x)
F.relu(x) | F.softmax(x, 1).shape | F.mse_loss(x, p) | F.linear(x, p) | F.pad(x, (1, 1)) | F.one_hot(x.long().abs())
t.nn.ReLU()(x) | type(t.nn.Linear(2, 3)(x)) | type(t.nn.Sequential(t.nn.Linear(2, 2), t.nn.Tanh())(x)) | type(t.nn.LayerNorm(2)(x))
type(t.nn.Conv2d(1, 1, 1)(x[None, None])) | type(t.nn.BatchNorm1d(2)(x)) | type(t.nn.Dropout(0.5)(x)) | type(t.nn.CrossEntropyLoss()(x, t.tensor([0, 1])))
type(t.nn.MaxPool2d(2)(x[None, None])) | type(t.nn.MultiheadAttention(2, 1)(x, x, x)[0]) | type(t.nn.GELU()(x)) | type(t.nn.Softmax(1)(x))
type(t.nn.Parameter(x)) | isinstance(t.nn.Parameter(x), t.nn.Parameter) | t.nn.Parameter(x).requires_grad | type(t.nn.Parameter(p) + 1)
type(x + t.nn.Parameter(p)) | repr(x) | str(x[0]) | bool(x[0, 0] > 0) | float(x[0, 0]) | int(x[0, 0]) | x.item() if 0 else x[0, 0].item()
x.add_(1) | x.mul_(p) | x.zero_() | x.fill_(2) | x.relu_() | x.copy_(p) | x.requires_grad_() | p.add_(x) | t.add(p, p, out=x)
x.as_subclass(t.Tensor) | t.as_tensor(x) is x | t.is_tensor(x) | isinstance(x, t.Tensor) | x.unique() | x.nonzero() | x.argmax() | 1.0 in x
x.numel() | t.numel(x) | x.stride() | x.contiguous() | x.is_contiguous() | x.type(t.float64).dtype.itemsize | t.allclose(x, p) | t.equal(x, x)
x.apply_(lambda v: v + 1) | t.cumsum(x, 0) | x.std() | t.meshgrid(x[0], x[1], indexing="ij") | t.broadcast_tensors(x, p) | x.masked_fill(x > 0, 0.0)
""".replace("\n", "|").split("|")


def evaluated(t, text):
    sub, x = plain(t)
    p = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    t.manual_seed(0)
    value = eval(text, {"t": t, "F": t.nn.functional, "x": x, "p": p, "sub": sub})
    return shown(value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", [text.strip() for text in EXPRESSIONS if text.strip()])
def test_plain_subclass(text):
    assert evaluated(retrograd, text) == evaluated(torch, text)


@program
def in_place_forms_keep_the_object(t):
    _, x = plain(t)
    before = x
    x += 1
    x *= 2
    x[0] = 7
    x[0, 1] -= 1
    return x is before, x, x.mul_(2) is x


@program
def gradients(t):
    sub, x = plain(t)
    x.requires_grad_()
    y = (x * x).sum()
    y.backward()
    (g,) = t.autograd.grad((x**3).sum(), x)
    return type(y), type(x.grad), x.grad, x.grad is x.grad, type(g), shown(g)[1], x.is_leaf


@program
def gradients_of_parameters(t):
    _, x = plain(t)
    w = t.nn.Parameter(x)
    layer = t.nn.Linear(2, 2)
    layer.weight = w
    out = layer(t.ones(1, 2))
    out.sum().backward()
    step = t.optim.SGD(layer.parameters(), lr=0.1)
    step.step()
    return type(layer.weight), len(list(layer.parameters())), layer.weight.grad.tolist(), type(out)


@program
def views_write_through(t):
    _, x = plain(t)
    x[0].zero_()
    x.view(-1)[3] = 9
    x.T[0, 1] = 5
    return x


@program
def an_instance_of_what_has_a_history_is_a_view(t):
    named, _ = plain(t)
    leaf = t.tensor([1.0, 2.0], requires_grad=True)
    x = leaf.as_subclass(named)
    middle = leaf * 2
    middle.as_subclass(named).mul_(3)
    (x * x + middle).sum().backward()
    with t.no_grad():
        unrecorded = leaf.as_subclass(named)
    facts = (x.is_leaf, x.grad_fn.name(), x.sum().grad_fn.name(), x.grad is None, unrecorded.is_leaf)
    return facts, t.Tensor.as_subclass(leaf.grad, t.Tensor), middle.tolist()


@program
def unrelated_subclasses_raise(t):
    _, x = plain(t)
    _, y = plain(t)
    try:
        t.add(x, y)
    except TypeError as error:
        return "no implementation" in str(error) or "all __torch_function__ handlers returned NotImplemented" in str(
            error
        )


@program
def child_and_parent(t):
    sub, x = plain(t)

    class Child(sub):
        pass

    y = x.as_subclass(Child)
    return type(x + y), type(y + x), type(t.stack([x, y])), type(t.cat([y, x]))


@program
def logged(t):
    calls = []

    class Logged(t.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            calls.append((func.__name__, [kind.__name__ for kind in types]))
            return super().__torch_function__(func, types, args, kwargs or {})

    x = t.tensor([1.0, 2.0]).as_subclass(Logged)
    y = t.ones(2) + x
    t.relu(x), x.relu(), x[0], t.stack([t.ones(2), x]), x.add_(1), -x, x > 0, x == 1, 1 - x, x @ x, x.sum(dim=0), len(x)
    x.shape, t.nn.functional.softmax(x, 0), t.nn.Linear(2, 2)(x), 2 * x, x / 2, x % 2
    return type(y), calls


@program
def disabled(t):
    class Off(t.Tensor):
        __torch_function__ = t._C._disabled_torch_function_impl

    x = t.ones(2).as_subclass(Off)
    _, y = plain(t)
    with t._C.DisableTorchFunctionSubclass():
        inside = type(y + 1)
    return type(x + 1), type(t.relu(x)), inside, type(y + 1)


@program
def images(t):
    class Base(t.Tensor):
        def __new__(cls, x, **kwargs):
            r = t.as_tensor(x).as_subclass(cls)
            for k, v in kwargs.items():
                setattr(r, k, v)
            return r

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            r = super().__torch_function__(func, types, args, kwargs or {})
            held = [a for a in args if isinstance(a, Base)]
            if isinstance(r, Base) and held:
                r.__dict__.update(held[0].__dict__)
            return r

    class Image(Base):
        def flipped(self):
            return self.flip(-1)

    x = Image([[1.0, 2.0]], size=5)
    y = (x.flipped() / 2).clamp(0, 1)
    return type(y), y.size, y[0].as_subclass(t.Tensor), type(x.float()), type(x.as_subclass(t.Tensor) + 1)


@program
def metadata(t):
    class Meta:
        def __init__(self, data, metadata=None):
            self._t = t.as_tensor(data)
            self._metadata = metadata

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            metadatas = tuple(a._metadata for a in args if hasattr(a, "_metadata"))
            args = [getattr(a, "_t", a) for a in args]
            r = func(*args, **(kwargs or {}))
            return cls(r, metadata=metadatas[0])

    a = Meta([[1.0], [2.0]], metadata="ours")
    b = t.tensor([[1.0], [3.0]])
    out = [
        t.add(a, b),
        t.add(b, a),
        t.abs(a),
        t.nn.functional.relu(a),
        b + a,
        b * a,
        b.add(a),
        t.mul(a, 2),
        t.matmul(b.T, a),
    ]
    return [(type(r), r._t.tolist(), r._metadata) for r in out]


@program
def scalar_tensor(t):
    handled = {}

    class Scalar:
        def __init__(self, n, value):
            self.n, self.value = n, value

        def tensor(self):
            return self.value * t.eye(self.n)

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func not in handled or not all(issubclass(kind, (t.Tensor, Scalar)) for kind in types):
                return NotImplemented
            return handled[func](*args, **(kwargs or {}))

    def implements(name):
        def decorate(fn):
            functools.update_wrapper(fn, name)
            handled[name] = fn
            return fn

        return decorate

    @implements(t.mean)
    def mean(input):
        return input.value / input.n

    @implements(t.add)
    def add(input, other):
        return t.add(*(v.tensor() if isinstance(v, Scalar) else v for v in (input, other)))

    s = Scalar(2, 2)
    try:
        t.mul(s, 3)
        refused = False
    except TypeError:
        refused = True
    return t.mean(s), t.add(s, t.ones(2, 2)), t.add(s, s), refused


@program
def modes(t):
    from_ = t.overrides
    seen = []

    class Log(from_.TorchFunctionMode):
        def __init__(self, tag):
            super().__init__()
            self.tag = tag

        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append((self.tag, func.__name__))
            return func(*args, **(kwargs or {}))

    class Double(from_.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            r = func(*args, **(kwargs or {}))
            return r * 2 if func is t.relu else r

    x = t.ones(2)
    with Log("a"), Log("b"):
        x + 1
        t.zeros(2)
    with Double():
        y = t.relu(x)
    z = t.relu(x)
    return seen, y, z


@program
def overrides(t):
    o = t.overrides
    _, x = plain(t)

    class Own:
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return "own", func.__name__

    def mine(a, b=None):
        if o.has_torch_function((a, b)):
            return o.handle_torch_function(mine, (a, b), a, b=b)
        return a

    wrapped = o.wrap_torch_function(lambda a: (a,))(lambda a: a)
    return (
        [o.has_torch_function((v,)) for v in (x, t.ones(1), t.nn.Parameter(t.ones(1)), Own(), 3)],
        o.has_torch_function_unary(x),
        o.has_torch_function_variadic(t.ones(1), x),
        [o.is_tensor_like(v) for v in (x, t.ones(1), Own(), 3)],
        type(mine(x)),
        wrapped(3),
        [o.resolve_name(f) for f in (t.relu, t.Tensor.add, t.nn.functional.softplus)],
    )


@program
def methods_of_a_program_s_own(t):
    t.Tensor.marked_by = lambda self, other: self.__dict__.setdefault("mark", type(other).__name__)
    try:

        class First(t.Tensor):
            pass

        class Second(t.Tensor):
            pass

        x, y = t.ones(2).as_subclass(First), t.ones(2).as_subclass(Second)
        return x.marked_by(y), y.marked_by(x)  # not torch's function: nobody is asked
    finally:
        del t.Tensor.marked_by


@program
def makers_in_a_mode(t):
    seen = []

    class Log(t.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    _, x = plain(t)
    with Log():
        t.tensor([1.0]), t.as_tensor([1.0]), t.zeros(2), t.arange(2), t.rand(2)
        depth = t.overrides._len_torch_function_stack()
    return seen, depth, type(t.tensor(x.tolist())), t.overrides._get_current_function_mode()


@program
def made_by_make_subclass(t):
    class Own(t.Tensor):
        @staticmethod
        def __new__(cls, data, requires_grad=False):
            return t.Tensor._make_subclass(cls, data, requires_grad)

    base = t.ones(2)
    x = Own(base, True)
    base[0] = 3
    (x * 2).sum().backward()
    return x, type(x), x.grad, x.is_leaf


@program
def lists_of_functions(t):
    o = t.overrides
    listed = o.get_overridable_functions()
    dummies = o.get_testing_overrides()
    return (
        [
            f in listed[home]
            for home, f in ((t, t.relu), (t.nn.functional, t.nn.functional.linear), (t.Tensor, t.Tensor.add))
        ],
        [f in o.get_ignored_functions() for f in (t.is_tensor, t.zeros, t.relu)],
        dummies[t.add](t.ones(1), 2),
        dummies[t.nn.functional.relu](3),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("run", PROGRAMS, ids=lambda run: run.__name__)
def test_program(run):
    assert shown(run(retrograd)) == shown(run(torch))


class Kept(retrograd.Tensor):
    """A class that pickle finds."""


def test_copies():
    x = retrograd.tensor([[1.0, -2.0], [3.0, 4.0]]).as_subclass(Kept)
    x.extra = 3
    y, z = copy.deepcopy(x), copy.copy(x)
    y[0] = 0
    assert type(y) is type(z) is Kept and y.extra == 3 and y.tolist() == [[0, 0], [3, 4]] and x[0].tolist() == [1, -2]


def test_pickles():
    x = retrograd.tensor([1.0, 2.0]).as_subclass(Kept)
    x.extra = 1
    y = pickle.loads(pickle.dumps(x))
    assert type(y) is Kept and y.tolist() == [1.0, 2.0] and y.extra == 1
    file = io.BytesIO()
    retrograd.save({"x": x}, file)
    file.seek(0)
    assert type(retrograd.load(file, weights_only=False)["x"]) is Kept


def test_the_library_s_own_classes_are_left_alone():
    from retrograd.torchvision import tv_tensors

    picture = tv_tensors.Image(retrograd.zeros(1, 2, 2))
    assert type(picture + 1) is retrograd.Tensor
    assert type(retrograd.nn.Parameter(retrograd.ones(2)) * 2) is retrograd.Tensor
    assert sys.modules["retrograd.tensor.protocol"].WANTS[retrograd.Tensor] == 0
