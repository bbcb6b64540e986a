"""Random programs over the public functions, from a stream of choices that shrinks: inputs, steps, what is given back."""

from __future__ import annotations

import numpy as np

import retrograd as torch
from retrograd.core import wrap

F = torch.nn.functional
SIZES = (1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 65)
MOST = 20000  # elements of a value


class Maker:
    """Draws a program as a list of steps on a growing list of values; ``run`` repeats exactly the same steps.

    Parameters
    ----------
    random : random.Random
        Where choices come from.
    dtype : np.dtype
        Of its floating inputs.
    big : bool
        Draw lengths that fill several chunks.
    """

    def __init__(self, random, dtype, big=False):
        self.random, self.dtype, self.big = random, dtype, big
        self.steps = []
        self.lines = []

    def shape(self):
        if self.big:
            return self.random.choice([(70_001,), (300, 257), (1, 65_600), (130_000, 1), (9, 64, 129), (2, 40_000)])
        rank = self.random.choice([0, 1, 2, 2, 2, 3, 3, 4])
        shape = tuple(self.random.choice(SIZES if rank < 3 else SIZES[:7]) for _ in range(rank))
        if self.random.random() < 0.03:
            shape = (*shape[:-1], 0) if shape else shape
        return shape

    def inputs(self, count):
        rng = np.random.default_rng(self.random.randrange(1 << 16))
        out = []
        for _ in range(count):
            out.append(np.asarray(rng.uniform(-2, 2, self.shape()), self.dtype))
        return out

    def build(self, values, count):
        """Draw ``count`` steps on tensors; values are computed as they are drawn, for their shapes."""
        for _ in range(count):
            step = None
            for _ in range(20):
                step = self.random.choice(STEPS)(self, values)
                if step is not None:
                    break
            if step is None:
                continue
            name, which, fn = step
            try:
                made = fn(*[values[i] for i in which])
            except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError):
                continue
            made = list(made) if isinstance(made, (tuple, list)) else [made]
            if any(m.numel() > (2_000_000 if self.big else MOST) for m in made):
                continue
            self.steps.append((which, fn))
            self.lines.append(f"v{len(values)} = {name}{which} -> {[tuple(m.shape) for m in made]}")
            values.extend(made)
        return values

    def run(self, values):
        """Do the steps on other values."""
        values = list(values)
        for which, fn in self.steps:
            made = fn(*[values[i] for i in which])
            values.extend(made if isinstance(made, (tuple, list)) else [made])
        return values

    def pick(self, values, test=lambda t: t.is_floating_point()):
        good = [i for i, v in enumerate(values) if test(v)]
        if not good:
            return None
        late = good[-4:]
        return self.random.choice(late if self.random.random() < 0.7 else good)


def attempt(fn):
    """Make of ``fn(maker, values, i, t)`` a step on a floating value."""

    def step(m, values):
        i = m.pick(values)
        return None if i is None else fn(m, values, i, values[i])

    return step


UNARY = {
    "exp": lambda x: torch.exp(x.clamp(-4, 3)),
    "log": lambda x: torch.log(x.abs() + 0.5),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
    "sqrt": lambda x: torch.sqrt(x.abs() + 0.1),
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 0.3),
    "square": torch.square,
    "relu": torch.relu,
    "neg": torch.neg,
    "abs": torch.abs,
    "reciprocal": lambda x: 1 / (x * x + 1),
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "erf": torch.erf,
    "clamp": lambda x: x.clamp(-0.5, 0.75),
    "scale": lambda x: x * 0.5 + 1,
    "cube": lambda x: (x.clamp(-3, 3)) ** 3,
    "floor": lambda x: x + torch.floor(x.detach()),
    "double": lambda x: x.double().to(x.dtype),
    "half": lambda x: x.to(torch.float64) * 0.5,
    "lgamma": lambda x: torch.lgamma(x.abs() + 1),  # computed by NumPy
    "detach": lambda x: x.detach() + x,
    "contiguous": lambda x: x.contiguous(),
    "clone": lambda x: x.clone(),
}


@attempt
def unary(m, values, i, t):
    name = m.random.choice(sorted(UNARY))
    return name, (i,), UNARY[name]


BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (y * y + 1),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": lambda x, y: torch.where(x > y, x, y * 2),
    "compare": lambda x, y: ((x > y) & (x < 1)).to(x.dtype) * x,
    "atan2": lambda x, y: torch.atan2(x, y + 3),
    "addcmul": lambda x, y: torch.addcmul(x, x, y, value=0.5),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
}


@attempt
def binary(m, values, i, t):
    name = m.random.choice(sorted(BINARY))
    near = [
        j for j, v in enumerate(values) if v.is_floating_point() and v.dtype == t.dtype and _meets(v.shape, t.shape)
    ]
    j = m.random.choice(near[-6:])
    return name, ((i, j) if m.random.random() < 0.5 else (j, i)), BINARY[name]


def _meets(a, b):
    try:
        np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        return False
    return True


@attempt
def integers(m, values, i, t):
    kind = m.random.choice([torch.int64, torch.int32, torch.bool, torch.uint8])
    name = m.random.choice(["truth", "round", "count"])
    if name == "truth":
        return name, (i,), lambda x: (~(x > 0)).logical_or(x < -1).to(x.dtype) + x
    if name == "count":
        return name, (i,), lambda x: x * (x > 0).sum().to(x.dtype)
    return name, (i,), lambda x: (x.detach().abs() * 3).to(kind).to(x.dtype) + x


@attempt
def reduction(m, values, i, t):
    axes = tuple(d for d in range(t.dim()) if m.random.random() < 0.5)
    keep = m.random.random() < 0.5
    name = m.random.choice(["sum", "mean", "amax", "amin", "var", "logsumexp", "norm", "whole", "max", "prod"])
    if name == "whole" or not axes:
        return "sum-all", (i,), lambda x: x.sum() * 0.01
    if name in ("amax", "amin", "max", "logsumexp") and any(t.shape[a] == 0 for a in axes):
        return None
    if name == "var":
        return name, (i,), lambda x: x.var(axes, keepdim=keep, correction=0)
    if name == "norm":
        return name, (i,), lambda x: (x * x).sum(axes, keepdim=keep).add(0.1).sqrt()
    if name == "max":
        return name, (i,), lambda x: x.max(axes[0], keepdim=keep).values
    if name == "prod":
        return name, (i,), lambda x: x.prod(axes[0], keepdim=keep)
    return f"{name}{axes}{keep}", (i,), lambda x: getattr(x, name)(axes, keepdim=keep)


@attempt
def normal(m, values, i, t):
    if not t.dim() or 0 in t.shape:
        return None
    d = m.random.randrange(t.dim())
    name = m.random.choice(["softmax", "log_softmax", "layer_norm", "softmax_norm", "cumsum", "normalize"])
    if name == "softmax":
        return f"softmax{d}", (i,), lambda x: torch.softmax(x, d)
    if name == "log_softmax":
        return f"log_softmax{d}", (i,), lambda x: torch.log_softmax(x, d)
    if name == "layer_norm":
        return name, (i,), lambda x: F.layer_norm(x, x.shape[d:])
    if name == "cumsum":
        return name, (i,), lambda x: x.cumsum(d)
    if name == "normalize":
        return name, (i,), lambda x: F.normalize(x, dim=d, eps=1e-3)
    return name, (i,), lambda x: F.layer_norm(torch.softmax(x, -1), x.shape[-1:])


def _view_steps():
    def reshape(m, values, i, t):
        n = t.numel()
        divisors = [k for k in (1, 2, 3, 4, 5, 7, 8, 16, 257, 300) if n and n % k == 0]
        if not divisors:
            return None
        k = m.random.choice(divisors)
        shape = m.random.choice([(k, n // k), (n // k, k), (n,), (1, n), (n // k, 1, k)])
        return f"reshape{shape}", (i,), lambda x: x.reshape(shape)

    def permute(m, values, i, t):
        order = list(range(t.dim()))
        m.random.shuffle(order)
        return f"permute{order}", (i,), lambda x: x.permute(order)

    def transpose(m, values, i, t):
        return ("mT", (i,), lambda x: x.transpose(-1, -2)) if t.dim() >= 2 else None

    def expand(m, values, i, t):
        lead = m.random.choice([1, 2, 3])
        if t.numel() * lead > MOST and not m.big:
            return None
        if m.random.random() < 0.5:
            return f"expand{lead}", (i,), lambda x: x.expand(lead, *x.shape)
        wide = tuple(m.random.choice([3, 5]) if n == 1 and m.random.random() < 0.7 else n for n in t.shape)
        return f"expand{wide}", (i,), lambda x: x.expand(wide)

    def slices(m, values, i, t):
        index = []
        for n in t.shape:
            kind = m.random.choice("all half step one new last")
            kind = m.random.choice(["all", "half", "step", "one", "new", "last", "none"])
            if kind == "new":
                index.append(None)
                kind = "all"
            if kind == "one" and n:
                index.append(m.random.randrange(-n, n))
            elif kind == "step":
                index.append(slice(m.random.randrange(3), None, m.random.choice([2, 3])))
            elif kind == "half":
                index.append(slice(n // 2))
            elif kind == "last":
                index.append(slice(-2, None))
            else:
                index.append(slice(None))
        index = tuple(index)
        return f"index{index}", (i,), lambda x: x[index]

    def flip(m, values, i, t):
        axes = tuple(d for d in range(t.dim()) if m.random.random() < 0.5)
        return f"flip{axes}", (i,), lambda x: x.flip(axes)

    def squeeze(m, values, i, t):
        d = m.random.randrange(-t.dim() - 1, t.dim() + 1)
        return m.random.choice(
            [("squeeze", (i,), lambda x: x.squeeze()), (f"unsqueeze{d}", (i,), lambda x: x.unsqueeze(d))]
        )

    def diagonal(m, values, i, t):
        k = m.random.choice([-1, 0, 1])
        return ("diagonal", (i,), lambda x: x.diagonal(k, -2, -1)) if t.dim() >= 2 else None

    def chunk(m, values, i, t):
        d = m.random.randrange(t.dim()) if t.dim() else 0
        return ("chunk", (i,), lambda x: x.chunk(2, d)) if t.dim() and t.shape[d] >= 2 else None

    def unbind(m, values, i, t):
        d = m.random.randrange(t.dim()) if t.dim() else 0
        return ("unbind", (i,), lambda x: x.unbind(d)[:3]) if t.dim() and t.shape[d] >= 2 else None

    def roll(m, values, i, t):
        d = m.random.randrange(t.dim()) if t.dim() else 0
        return ("roll", (i,), lambda x: x.roll(2, d)) if t.dim() else None

    def tril(m, values, i, t):
        return ("tril", (i,), lambda x: x.tril()) if t.dim() >= 2 else None

    parts = (reshape, permute, transpose, expand, slices, slices, flip, squeeze, diagonal, chunk, unbind, roll, tril)
    return [attempt(p) for p in parts]


@attempt
def joined(m, values, i, t):
    if not t.dim():
        return "stack0", (i, i), lambda x, y: torch.stack([x, y * 2])
    d = m.random.randrange(t.dim())
    near = [j for j, v in enumerate(values) if v.dtype == t.dtype and v.shape == t.shape][-4:]
    j = m.random.choice(near)
    name = m.random.choice(["cat", "cat", "stack", "pad", "circular"])
    if name == "cat":
        return f"cat{d}", (i, j), lambda x, y: torch.cat([x, y.sin(), x[:0] if d == 0 else x], d)
    if name == "stack":
        return f"stack{d}", (i, j), lambda x, y: torch.stack([x, y], d)
    if name == "pad":
        return name, (i,), lambda x: F.pad(x, (1, 2), value=m_value)
    return "narrowed", (i,), lambda x: torch.cat([x.narrow(d, 0, 1), x], d) if x.shape[d] else x


m_value = 0.25


@attempt
def indexed(m, values, i, t):
    if not t.dim() or 0 in t.shape:
        return None
    d = m.random.randrange(t.dim())
    n = t.shape[d]
    rng = np.random.default_rng(m.random.randrange(1000))
    name = m.random.choice(
        [
            "index_select",
            "gather_one",
            "gather",
            "scatter_add",
            "index_add",
            "embedding",
            "advanced",
            "masked",
            "put",
            "one_hot",
        ]
    )
    index = wrap(rng.integers(0, n, m.random.choice([1, 3, 8])))
    if name == "index_select":
        return f"{name}{d}", (i,), lambda x: x.index_select(d, index)
    if name == "index_add":
        return f"{name}{d}", (i,), lambda x: x.index_add(d, index, x.index_select(d, index).sin())
    if name in ("gather_one", "gather"):
        shape = list(t.shape)
        shape[d] = 1 if name == "gather_one" else 3
        places = wrap(rng.integers(0, n, shape))
        return f"{name}{d}", (i,), lambda x: x.gather(d, places)
    if name == "scatter_add":
        places = wrap(rng.integers(0, n, t.shape))
        return f"{name}{d}", (i,), lambda x: x.scatter_add(d, places, x.cos())
    if name == "embedding":
        rows = wrap(rng.integers(0, t.shape[0], (2, 3)))
        return name, (i,), lambda x: x[rows]
    if name == "advanced":
        return name, (i,), lambda x: x[..., wrap(np.arange(x.shape[-1])[::-1].copy())]
    if name == "masked":
        return name, (i,), lambda x: x.masked_fill(x > 0.3, -1.5)
    if name == "put":
        return name, (i,), lambda x: torch.index_put(x, (index % x.shape[0],), x[:1] * 0.5)
    hot = wrap(rng.integers(0, 4, t.shape))
    return name, (i,), lambda x: F.one_hot(hot, 4).to(x.dtype) * x.unsqueeze(-1)


@attempt
def product(m, values, i, t):
    if t.dim() < 2 or 0 in t.shape:
        return None
    name = m.random.choice(["xxT", "xTx", "linear", "batched", "vector", "attention", "outer", "einsum"])
    if name == "xxT":
        return name, (i,), lambda x: x @ x.transpose(-1, -2) * 0.1
    if name == "xTx":
        return name, (i,), lambda x: x.transpose(-1, -2) @ x * 0.1
    if name == "vector":
        return name, (i,), lambda x: x @ x.reshape(-1)[: x.shape[-1]]
    if name == "outer":
        return name, (i,), lambda x: torch.outer(x.reshape(-1)[:9], x.reshape(-1)[:5])
    if name == "einsum":
        return name, (i,), lambda x: torch.einsum("...ij,...kj->...ik", x, x[..., :1, :])
    if name == "attention":
        return name, (i,), lambda x: torch.softmax((x @ x.mT) / 3, -1) @ x
    if name == "linear":
        return name, (i,), lambda x: F.linear(x, x.reshape(-1, x.shape[-1])[:3].sin(), x.reshape(-1)[:1])
    others = [
        j
        for j, v in enumerate(values)
        if v.dtype == t.dtype and v.dim() >= 2 and v.shape[-2] == t.shape[-1] and _meets(v.shape[:-2], t.shape[:-2])
    ]
    if not others:
        return None
    return name, (i, m.random.choice(others)), lambda x, y: x @ y * 0.1


@attempt
def written(m, values, i, t):
    """Write in place into a copy, whole or in part."""
    name = m.random.choice(["add_", "slice", "row", "fill", "mul_part", "copy_", "chain"])
    if name == "add_":
        return name, (i,), lambda x: x.clone().add_(1).mul_(x)
    if not t.dim() or 0 in t.shape:
        return None

    def slice_(x):
        y = x * 2
        y[..., ::2] = x[..., ::2].sin()
        return y

    def row(x):
        y = x.clone()
        y[-1] = y[0] * 0.5
        return y

    def fill(x):
        y = torch.zeros_like(x)
        y[..., :1] = x[..., :1]
        y[..., 1:] += x[..., 1:] * 3
        return y

    def mul_part(x):
        y = x + 1
        y[0].mul_(2)
        return y

    def copy_(x):
        y = torch.empty_like(x)
        y.copy_(x.flip(0))
        return y

    def chain(x):
        y = x.clone()
        z = y.view(-1)
        z[: max(1, z.shape[0] // 2)] = 0.5
        y += x
        return z * 2, y

    return name, (i,), locals()[name if name not in ("slice",) else "slice_"]


@attempt
def losses(m, values, i, t):
    if t.dim() != 2 or 0 in t.shape:
        return None
    rng = np.random.default_rng(m.random.randrange(1000))
    target = wrap(rng.integers(0, t.shape[1], t.shape[0]))
    if m.random.random() < 0.3:
        target._a[::2] = -100 if t.shape[0] > 2 else target._a[::2]
    return m.random.choice(
        [
            ("cross_entropy", (i,), lambda x: F.cross_entropy(x, target)),
            ("nll", (i,), lambda x: F.nll_loss(torch.log_softmax(x, 1), target, reduction="none")),
            ("bce", (i,), lambda x: F.binary_cross_entropy_with_logits(x, torch.sigmoid(x.detach() * 2))),
            ("mse", (i,), lambda x: F.mse_loss(x, x.detach().flip(0))),
            ("smooth", (i,), lambda x: F.cross_entropy(x, target, label_smoothing=0.1, reduction="sum")),
        ]
    )


STEPS = [
    unary,
    unary,
    binary,
    binary,
    binary,
    reduction,
    reduction,
    normal,
    integers,
    *_view_steps(),
    joined,
    joined,
    indexed,
    indexed,
    product,
    product,
    written,
    losses,
]
