"""Module's machinery against torch: the same script, run by both, must give the same words and numbers."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

SCRIPTS = {}


def script(fn):
    """Enter a function of the library that gives a list of what it saw."""
    SCRIPTS[fn.__name__] = fn
    return fn


def plain(x):
    """Reduce what was seen to plain values, with the library's own names made equal."""
    if isinstance(x, (torch.Tensor, retrograd.Tensor)):
        return str(x.dtype), x.detach().double().numpy()
    if isinstance(x, type):
        return x.__name__
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, str):
        # errors here end with the module they came from, and names of classes hold the library's
        return x.partition("\n  in ")[0].replace("retrograd.tensor.tensor.", "torch.").replace("retrograd.", "torch.")
    return x


def alike(a, b):
    """Compare plain values, arrays nearly."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    return type(a) is type(b) and a == b


def tried(fn, *args, **kwargs):
    """Give a call's result, or its exception's type and message."""
    try:
        return fn(*args, **kwargs)
    except Exception as error:
        return type(error), str(error.args[0]) if error.args else ""


def tried_type(fn, *args, **kwargs):
    """Give a call's result, or its exception's type alone."""
    found = tried(fn, *args, **kwargs)
    return found[0] if isinstance(found, tuple) and isinstance(found[0], type) else found


def net(T):
    nn = T.nn

    class Block(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.fc = nn.Linear(n, n)
            self.norm = nn.BatchNorm1d(n)
            self.register_buffer("hidden", T.ones(2), persistent=False)

        def forward(self, x):
            return x + self.norm(self.fc(x)).relu()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 3)
            self.blocks = nn.ModuleList([Block(3), Block(3)])
            self.extra = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Dropout(0.5)})
            self.scale = nn.Parameter(T.ones(3))
            self.register_parameter("nothing", None)
            self.shared = self.blocks[0].fc
            self.number = 5

        def forward(self, x):
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return self.extra["a"](x * self.scale)

    T.manual_seed(0)
    return Net()


@script
def names(T):
    m = net(T)
    return [
        [n for n, _ in m.named_parameters()],
        [n for n, _ in m.named_parameters(prefix="p", recurse=False)],
        [n for n, _ in m.named_parameters(remove_duplicate=False)],
        [n for n, _ in m.named_buffers()],
        [n for n, _ in m.named_modules()],
        [n for n, _ in m.named_modules(prefix="q", remove_duplicate=False)],
        [n for n, _ in m.named_children()],
        [type(c).__name__ for c in m.children()],
        len(list(m.parameters())),
        len(list(m.buffers())),
        len(list(m.modules())),
        list(m.state_dict()),
        list(m.state_dict(prefix="net.")),
        repr(m),
        [n for n in dir(m) if n in ("first", "blocks", "scale", "number", "forward", "nothing")],
        sorted(k for k in m.__dict__ if k.startswith("_")),
        m._parameters.keys() == {"scale": 0, "nothing": 0}.keys(),
        list(m.blocks[0]._buffers),
    ]


@script
def getting(T):
    m = net(T)
    return [
        m.get_submodule("blocks.1.fc") is m.blocks[1].fc,
        m.get_submodule("") is m,
        m.get_parameter("blocks.0.fc.weight") is m.shared.weight,
        m.get_buffer("blocks.0.hidden"),
        tried(m.get_submodule, "blocks.7"),
        tried(m.get_submodule, "scale"),
        tried(m.get_parameter, "blocks.0.hidden"),
        tried(m.get_parameter, "first.nope"),
        tried(m.get_buffer, "first.weight"),
        tried(m.get_buffer, "blocks.0.nope"),
        tried(getattr, m, "nope"),
        tried(m.set_submodule, "", T.nn.ReLU()),
        tried(m.set_submodule, "first", 3)[0],
        tried(m.set_submodule, "blocks.9.fc", T.nn.ReLU()),
        tried(m.set_submodule, "scale", T.nn.ReLU()),
        tried(m.set_submodule, "blocks.0.fc", T.nn.Tanh()),
        repr(m.blocks[0]),
        tried(m.set_submodule, "brand", T.nn.Tanh(), strict=True),
    ]


@script
def assigning(T):
    m = net(T)
    seen = [
        tried(setattr, m, "scale", 3),
        tried(setattr, m, "scale", T.ones(3)),
        tried(setattr, m, "first", 3),
        tried(setattr, m.blocks[0], "hidden", 3),
        tried(m.register_buffer, "first", T.ones(1)),
        tried(m.register_buffer, "a.b", T.ones(1)),
        tried(m.register_buffer, "", T.ones(1)),
        tried(m.register_buffer, 3, T.ones(1)),
        tried(m.register_buffer, "ok", 3),
        tried(m.register_parameter, "forward", None),
        tried(m.register_parameter, "a.b", None),
        tried(m.register_parameter, "", None),
        tried(m.register_parameter, None, None),
        tried(m.register_parameter, "ok", 3),
        tried(m.register_parameter, "ok", m.scale * 2)[0],
        tried(m.add_module, "a.b", T.nn.ReLU()),
        tried(m.add_module, "", T.nn.ReLU()),
        tried(m.add_module, 3, T.nn.ReLU()),
        tried(m.add_module, "ok", 3),
        tried(m.add_module, "forward", T.nn.ReLU()),
        tried(m.register_module, "late", T.nn.ReLU()),
    ]
    m.scale = None
    m.first = None
    m.number = T.nn.Parameter(T.zeros(1))
    seen.append(([n for n, _ in m.named_parameters(recurse=False)], "number" in m.__dict__))
    return [*seen, tried(setattr, m, "number", T.nn.ReLU)[0]]


@script
def replacing(T):
    """A name moves between the tables as what it is given changes; deleting takes it out of each."""
    m = T.nn.Module()
    seen = []
    m.x = T.ones(2)
    seen.append(("x" in m.__dict__, list(m._buffers)))
    m.x = T.nn.Parameter(T.ones(2))
    seen.append(("x" in m.__dict__, list(m._parameters)))
    m.x = None
    seen.append((m.x, m._parameters))
    del m.x
    m.x = T.nn.Buffer(T.ones(3))
    m.y = T.nn.Buffer(T.ones(3), persistent=False)
    seen.append((list(m._buffers), list(m.state_dict())))
    m.y = T.nn.Buffer(T.zeros(3), persistent=True)
    m.x = T.zeros(1)
    seen.append((list(m.state_dict().values()), isinstance(m.y, T.nn.Buffer), isinstance(m.x, T.nn.Buffer)))
    m.x = T.nn.ReLU()
    seen.append((list(m._modules), list(m._buffers)))
    m.y = T.nn.Parameter(T.ones(1))
    seen.append((list(m._parameters), list(m._buffers)))
    del m.y
    del m.x
    seen.append((list(m._parameters), list(m._modules), tried(delattr, m, "x")))
    m._parameters["poked"] = T.nn.Parameter(T.ones(1))
    m._buffers["held"] = T.ones(1)
    seen.append((m.poked.requires_grad, m.held, list(m.state_dict())))
    return seen


@script
def before_init(T):
    class Late(T.nn.Module):
        def __init__(self, what):
            if what == "parameter":
                self.x = T.nn.Parameter(T.ones(1))
            elif what == "module":
                self.x = T.nn.ReLU()
            elif what == "buffer":
                self.register_buffer("x", T.ones(1))
            elif what == "register":
                self.register_parameter("x", None)
            self.number = 1

    return [
        *[tried(Late, what) for what in ("parameter", "module", "buffer", "register")],
        tried_type(Late("none"), 1),
        tried(T.nn.Module, 1),
        tried(T.nn.Module, a=1),
        tried(T.nn.Module(), 1),
        tried(T.nn.Module().forward)[0],
    ]


@script
def modes(T):
    m = net(T)
    m.eval()
    seen = [[c.training for c in m.modules()]]
    m.blocks.train()
    seen.append([c.training for c in m.modules()])
    seen += [tried(m.train, 1), m.train() is m, m.requires_grad_(False) is m]
    seen.append([p.requires_grad for p in m.parameters()])
    m.first.requires_grad_()
    seen.append([p.requires_grad for p in m.parameters()])
    return seen


@script
def conversions(T):
    m = net(T)
    weight = m.first.weight
    m(T.ones(2, 4)).sum().backward()
    seen = []
    for change in (
        lambda: m.double(), lambda: m.half(), lambda: m.bfloat16(), lambda: m.float(), lambda: m.to(T.float64),
        lambda: m.to("cpu"), lambda: m.to("cpu", T.float32), lambda: m.to(T.zeros(1, dtype=T.float64)),
        lambda: m.to(dtype=T.float32), lambda: m.to(device="cpu", dtype=T.float64), lambda: m.type(T.float32),
        lambda: m.cpu(), lambda: m.to(T.device("cpu"), non_blocking=True), lambda: m.to(T.float64, True),
    ):  # fmt: skip
        result = change()
        kinds = [str(t.dtype) for t in (*m.parameters(), *m.buffers())]
        seen.append((result is m, m.first.weight is weight, kinds, str(weight.grad.dtype)))
    seen += [tried_type(m.to, T.int64), tried_type(m.to, nope=1)]
    m.zero_grad(set_to_none=False)
    seen.append(weight.grad)
    m.zero_grad()
    seen.append(weight.grad)
    empty = m.to_empty(device="cpu")
    seen.append((empty is m, tuple(m.first.weight.shape), m.first.weight is weight))
    return seen


@script
def applying(T):
    order = []
    m = net(T)
    seen = [m.apply(lambda c: order.append(type(c).__name__)) is m, order]
    T.manual_seed(3)

    def start(c):
        if isinstance(c, T.nn.Linear):
            T.nn.init.kaiming_uniform_(c.weight)
            c.bias.data.fill_(0.5)

    m.apply(start)
    return [*seen, *m.state_dict().values()]


@script
def state(T):
    m, other = net(T), net(T)
    with T.no_grad():
        for p in other.parameters():
            p.mul_(2)
    s = m.state_dict()
    seen = [dict(s._metadata), type(s).__name__, s["first.weight"].requires_grad]
    seen.append(m.state_dict(keep_vars=True)["first.weight"] is m.first.weight)
    s["scale"].fill_(7.0)
    seen.append(m.scale)
    destination = OrderedDict()
    seen.append(m.state_dict(destination=destination) is destination)
    seen.append(str(m.load_state_dict(other.state_dict())))
    seen += list(m.state_dict().values())
    bad = other.state_dict()
    del bad["first.bias"]
    bad["surplus"] = T.ones(1)
    bad["blocks.0.surplus"] = T.ones(1)
    bad["blocks.9.fc.weight"] = T.ones(1)
    bad["extra.a.x"] = T.ones(1)
    bad["scale"] = T.ones(4)
    bad["blocks.1.fc.weight"] = 3
    seen += [tried(m.load_state_dict, bad), tried(m.load_state_dict, bad, strict=False)]
    del bad["scale"], bad["blocks.1.fc.weight"]
    seen += [str(m.load_state_dict(bad, strict=False)), tried(m.load_state_dict, [1])]
    half = OrderedDict((k, v.half() if v.is_floating_point() else v) for k, v in other.state_dict().items())
    m.load_state_dict(half)
    seen.append(str(m.first.weight.dtype))
    kept = m.first.weight
    m.first.weight.requires_grad_(False)
    m.load_state_dict(half, assign=True)
    seen.append((str(m.first.weight.dtype), m.first.weight is kept))
    seen.append((m.first.weight.requires_grad, m.scale.requires_grad))
    one = OrderedDict(other.state_dict())
    one["blocks.0.norm.num_batches_tracked"] = T.tensor([5])
    m.load_state_dict(one)
    seen.append(m.blocks[0].norm.num_batches_tracked)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        m.state_dict(None, "old.")
    return [*seen, [w.category for w in told]]


@script
def old_state(T):
    """A state dictionary without metadata, as from before batch norms counted batches."""
    m = net(T)
    s = OrderedDict((k, v) for k, v in m.state_dict().items() if "num_batches" not in k)
    return [str(m.load_state_dict(s)), tried(T.nn.Linear(2, 2).load_state_dict, {})]


@script
def extra_state(T):
    class Counter(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    m = T.nn.Sequential(Counter(), T.nn.Linear(1, 1))
    s = m.state_dict()
    s["0._extra_state"] = {"count": 9}
    seen = [list(s), str(m.load_state_dict(s)), m[0].count]
    del s["0._extra_state"]
    seen.append(tried(m.load_state_dict, s))
    s["1._extra_state"] = 4
    seen.append(tried(m.load_state_dict, s))
    return seen


@script
def state_hooks(T):
    m = net(T)
    seen = []
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: seen.append(("pre", type(mod).__name__, prefix, keep)))

    def rename(mod, s, prefix, meta):
        s["renamed"] = s.pop("scale")
        seen.append((prefix, dict(meta)))

    post = m.register_state_dict_post_hook(rename)
    seen.append(list(m.state_dict()))

    def loading(mod, s, prefix, meta, strict, missing, unexpected, errors):
        s["scale"] = s.pop("renamed")
        seen.append((type(mod).__name__, prefix, strict))

    def loaded(mod, keys):
        keys.missing_keys.clear()
        seen.append((type(mod).__name__, keys.unexpected_keys))

    h1 = m.register_load_state_dict_pre_hook(loading)
    h2 = m.register_load_state_dict_post_hook(loaded)
    s = m.state_dict()
    del s["first.weight"]
    seen.append(str(m.load_state_dict(s)))
    for h in (post, h1, h2):
        h.remove()
    seen.append(list(m.state_dict()))
    m.register_load_state_dict_post_hook(lambda mod, keys: 3)
    seen.append(tried(m.load_state_dict, m.state_dict()))
    m._register_state_dict_hook(lambda mod, s, prefix, meta: {"all": 1})
    seen.append(m.state_dict())
    return seen


@script
def forward_hooks(T):
    seen = []
    layer = T.nn.Linear(2, 2)
    with T.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
    x = T.ones(1, 2)
    pre = layer.register_forward_pre_hook(lambda m, a: seen.append(("pre", len(a))) or a[0] * 2)
    post = layer.register_forward_hook(lambda m, a, o: seen.append(("post", a[0].sum())) or o + 1)
    seen.append(layer(x))
    layer.register_forward_hook(lambda m, a, o: seen.append("first"), prepend=True)
    layer.register_forward_pre_hook(lambda m, a, k: (a, {}), with_kwargs=True, prepend=True)
    layer.register_forward_hook(lambda m, a, k, o: seen.append(("kwargs", dict(k))), with_kwargs=True)
    seen.append(layer(x, nope=1))
    pre.remove()
    post.remove()
    post.remove()
    seen.append(layer(input=x) if False else layer(x))
    bad = T.nn.ReLU()
    bad.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    seen.append(tried(bad, x))
    with layer.register_forward_hook(lambda m, a, o: o * 0):
        seen.append(layer(x))
    seen.append(layer(x))
    return seen


@script
def always_called(T):
    seen = []

    class Fails(T.nn.Module):
        def forward(self, x):
            raise ValueError("on purpose")

    m = Fails()
    m.register_forward_hook(lambda m, a, o: seen.append(("always", o)), always_call=True)
    m.register_forward_hook(lambda m, a, o: seen.append("never"))
    m.register_forward_hook(lambda m, a, k, o: seen.append(("always", dict(k))), always_call=True, with_kwargs=True)
    seen.append(tried(m, T.ones(1)))
    ok = T.nn.ReLU()
    ok.register_forward_hook(lambda m, a, o: seen.append("once"), always_call=True)
    ok.register_forward_hook(lambda m, a, o: 1 / 0)
    seen.append(tried(ok, T.ones(1)))
    broken = Fails()
    broken.register_forward_hook(lambda m, a, o: 1 / 0, always_call=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        seen.append(tried(broken, T.ones(1)))
    return [*seen, [str(w.message) for w in told]]


@script
def global_hooks(T):
    module = T.nn.modules.module
    seen = []
    handles = [
        module.register_module_forward_pre_hook(lambda m, a: seen.append(("before", type(m).__name__))),
        module.register_module_forward_hook(lambda m, a, o: seen.append(("after", type(m).__name__))),
        module.register_module_forward_hook(lambda m, a, k, o: seen.append(dict(k)), with_kwargs=True),
        module.register_module_full_backward_pre_hook(lambda m, g: seen.append(("back", type(m).__name__))),
        module.register_module_full_backward_hook(lambda m, i, o: seen.append(("done", type(m).__name__, i, o))),
        module.register_module_parameter_registration_hook(lambda m, n, p: seen.append(("parameter", n))),
        module.register_module_buffer_registration_hook(lambda m, n, p: seen.append(("buffer", n))),
        module.register_module_module_registration_hook(lambda m, n, p: seen.append(("module", n))),
    ]
    m = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.ReLU(), T.nn.BatchNorm1d(2))
    with T.no_grad():
        m[0].weight.fill_(0.5)
        m[0].bias.fill_(0.25)
    x = T.tensor([[1.0, 2.0], [-3.0, 4.0]], requires_grad=True)
    m(x).sum().backward()
    count = len(seen)
    for h in handles:
        h.remove()
    m(x)
    m.buffer = T.nn.Buffer(T.ones(1))
    return [*seen, count == len(seen)]


@script
def backward_hooks(T):
    seen = []
    T.manual_seed(2)
    m = T.nn.Sequential(T.nn.Linear(3, 3), T.nn.Tanh(), T.nn.Linear(3, 2))
    for i, layer in enumerate(m):
        layer.register_full_backward_pre_hook(lambda mod, o, i=i: seen.append(("pre", i, o)))
        layer.register_full_backward_hook(lambda mod, g, o, i=i: seen.append(("post", i, g, o)))
    x = T.arange(6.0).reshape(2, 3) / 6
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        m(x).pow(2).sum().backward()
    seen.append([w.category for w in told])
    y = x.clone().requires_grad_()
    m(y).pow(2).sum().backward()
    seen += [y.grad, m[0].weight.grad]
    with T.no_grad():
        seen.append(m(x).requires_grad)
    z = x.clone().requires_grad_()
    (g,) = T.autograd.grad(m(z).pow(2).sum(), z)
    seen.append(g)
    return seen


@script
def changing_gradients(T):
    T.manual_seed(2)
    m = T.nn.Linear(3, 2)
    x = T.ones(1, 3, requires_grad=True)
    a = m.register_full_backward_hook(lambda mod, g, o: (g[0] * 10,))
    b = m.register_full_backward_hook(lambda mod, g, o: (g[0] + 1,))
    m(x).sum().backward()
    seen = [x.grad]
    a.remove()
    b.remove()
    x.grad = None
    m.zero_grad()
    m.register_full_backward_pre_hook(lambda mod, o: (o[0] * 3,))
    first = m.register_full_backward_pre_hook(lambda mod, o: (o[0] + 1,), prepend=True)
    m(x).sum().backward()
    seen += [x.grad.clone(), m.weight.grad.clone()]
    first.remove()
    m.register_full_backward_hook(lambda mod, g, o: (g[0], g[0]))
    seen.append(tried(lambda: m(x).sum().backward()))
    other = T.nn.Linear(3, 2)
    other.register_full_backward_pre_hook(lambda mod, o: (o[0], o[0]))
    seen.append(tried(lambda: other(x).sum().backward()))
    mixed = T.nn.Linear(1, 1)
    mixed.register_full_backward_hook(lambda mod, g, o: None)
    seen.append(tried(mixed.register_backward_hook, lambda mod, g, o: None))
    return seen


@script
def hooks_of_several(T):
    """Several inputs and outputs, some without gradient, some unused."""
    seen = []

    class Two(T.nn.Module):
        def forward(self, x, y, n, flag=True):
            return x * y, y * 3, n + 1

    m = Two()
    m.register_full_backward_hook(lambda mod, g, o: seen.append((g, o)))
    x = T.tensor([1.0, 2.0], requires_grad=True)
    y = T.tensor([3.0, 4.0], requires_grad=True)
    a, b, n = m(x, y, T.tensor([5.0, 6.0]), flag=False)
    (a + b).sum().backward()
    seen += [x.grad, y.grad, type((a, b, n)).__name__, n]
    x.grad = y.grad = None
    a, _, _ = m(x, y.detach(), 3.0)
    (a * 2).sum().backward()
    seen += [x.grad]
    return seen


@script
def hooked_twice(T):
    """One module used twice, and one graph walked twice."""
    seen = []
    m = T.nn.Tanh()
    m.register_full_backward_hook(lambda mod, g, o: seen.append((g, o)))
    x = T.tensor([0.5], requires_grad=True)
    out = m(m(x)).sum()
    out.backward(retain_graph=True)
    out.backward()
    return [*seen, x.grad]


@script
def hooks_under_double_backward(T):
    seen = []
    m = T.nn.Tanh()
    m.register_full_backward_hook(lambda mod, g, o: seen.append((g, o)))
    x = T.tensor([0.5], requires_grad=True)
    (g,) = T.autograd.grad(m(x).sum(), x, create_graph=True)
    (h,) = T.autograd.grad(g.sum(), x)
    return [g, h, len(seen)]


@script
def copying(T):
    m = net(T)
    c = copy.deepcopy(m)
    same = [torch_equal(a, b) for a, b in zip(m.state_dict().values(), c.state_dict().values())]
    seen = [all(same), c.first.weight is m.first.weight, c.shared is c.blocks[0].fc, repr(c) == repr(m)]
    shallow = copy.copy(m)
    return [*seen, shallow.first is m.first, shallow._parameters is m._parameters]


def torch_equal(a, b):
    return np.array_equal(a.numpy(), b.numpy())


@script
def sequential(T):
    nn = T.nn
    s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    seen = [repr(s[0]), repr(s[-1]), repr(s[1:]), repr(s[::2]), len(s), [repr(m) for m in s]]
    seen += [tried(lambda: s[5]), tried(lambda: s["a"])[0], tried(lambda: s + 1)[0], tried(lambda: s * 0)[0]]
    seen += [tried(lambda: s * 1.5)[0], repr(s + s[:1]), repr(s[:1] * 3), repr(2 * s[:1])]
    seen.append(tried(s.insert, 9, nn.ReLU()))
    s.append(nn.ELU()).insert(1, nn.CELU())
    seen += [repr(s), tried(s.append, 3), tried(s.insert, 0, 3)[0]]
    s[0] = nn.SELU()
    del s[1]
    del s[1:3]
    seen += [repr(s), repr(s.pop(0)), repr(s), tried(s.pop, 7), repr(s.extend([nn.GELU()]))]
    s += nn.Sequential(nn.Mish())
    s *= 2
    named = nn.Sequential(OrderedDict(conv=nn.Linear(1, 2), act=nn.ReLU()))
    seen += [repr(s), repr(named), repr(named[1:]), list(named.state_dict()), repr(nn.Sequential())]
    seen.append(named.conv is named[0])
    seen += [tried(nn.Sequential, 3), tried(setattr, s, "0", 3), T.nn.Sequential()(T.ones(1))]
    return seen


@script
def module_list(T):
    nn = T.nn
    m = nn.ModuleList([nn.Linear(1, 2), nn.ReLU()])
    m.append(nn.Tanh())
    m.extend([nn.ELU(), nn.ELU()])
    m.insert(1, nn.SELU())
    seen = [repr(m), len(m), repr(m[-1]), repr(m[1:3]), type(m[1:3]).__name__, tried(lambda: m[9])]
    del m[0]
    m[0] = nn.GELU()
    seen += [repr(m), repr(m.pop(1)), repr(m + [nn.Mish()]), tried(m, 1)[0], tried(nn.ModuleList, 3)]
    seen.append(tried(m.append, 3))
    m += [nn.Mish()]
    del m[::2]
    return [*seen, repr(m), list(m._modules), repr(nn.ModuleList()), tried(nn.ModuleList().extend, 3)]


@script
def module_dict(T):
    nn = T.nn
    m = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    m["c"] = nn.Tanh()
    m.update([("d", nn.ELU()), ("a", nn.SELU())])
    seen = [repr(m), list(m), list(m.keys()), [repr(v) for v in m.values()], [k for k, _ in m.items()]]
    seen += ["a" in m, len(m)]
    seen += [repr(m.pop("a")), tried(lambda: m["zz"]), tried(nn.ModuleDict, 3), tried(nn.ModuleDict, [1])[0]]
    seen += [tried(nn.ModuleDict, [("a", nn.ReLU(), 3)]), tried(m.update, {"x": 3})]
    del m["b"]
    seen.append(list(m.state_dict()))
    m.clear()
    return [*seen, repr(m), tried(nn.ModuleDict({"x": nn.ReLU()}).__setitem__, "items", nn.ReLU())]


@script
def parameter_list(T):
    nn = T.nn
    p = nn.ParameterList([T.ones(2), nn.Parameter(T.zeros(1)), 3])
    p.append(T.ones(1))
    p.extend([T.ones(2, 2)])
    p += [T.zeros(1)]
    seen = [repr(p), len(p), p[0], p[-1].requires_grad, [type(v).__name__ for v in p], list(p.state_dict())]
    p[0] = T.zeros(3)
    seen += [p[0], repr(p[1:3]), tried(lambda: p[9]), tried(nn.ParameterList, 3), tried(p)[0], repr(nn.ParameterList())]
    return seen


@script
def parameter_dict(T):
    nn = T.nn
    p = nn.ParameterDict({"b": T.ones(2), "a": nn.Parameter(T.zeros(1)), "n": 3})
    p["c"] = T.ones(1)
    seen = [repr(p), list(p), list(p.keys()), len(p), p["b"].requires_grad, "a" in p, list(p.state_dict())]
    p.update([("z", T.ones(1))])
    seen += [p.get("nope"), p.get("a"), p.setdefault("q", T.ones(1)), p.pop("q"), p.popitem()[0], list(reversed(p))]
    both = p | nn.ParameterDict({"y": T.ones(1)})
    p |= nn.ParameterDict({"w": T.ones(1)})
    seen += [list(both), list(p), list(p.copy()), [k for k, _ in p.items()], len(list(p.values())), tried(p)[0]]
    del p["a"]
    seen += [list(p.fromkeys(["k", "l"], 1)), tried(nn.ParameterDict, 3), tried_type(p.__getitem__, 3)]
    p.clear()
    return [*seen, len(p)]


@script
def training_step(T):
    """A whole step: hooks, in-place layers, buffers and parameters of one network."""
    T.manual_seed(1)
    m = net(T)
    x = T.randn(5, 4)
    seen = []
    m.blocks.register_full_backward_hook(lambda *a: seen.append("never: a list is not called"))
    m.first.register_forward_hook(lambda mod, a, o: seen.append(o.mean()))
    m(x).pow(2).mean().backward()
    seen += [p.grad for p in m.parameters()]
    return [*seen, *m.state_dict().values()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name):
    mine, theirs = plain(SCRIPTS[name](retrograd)), plain(SCRIPTS[name](torch))
    assert len(mine) == len(theirs)
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert alike(a, b), f"item {i}: {a!r} here, {b!r} in torch"
