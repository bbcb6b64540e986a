"""Names of things in traced programs: of functions as a program writes them, and of values, each given once."""

from __future__ import annotations

import builtins
import functools
import keyword
import math
import re
import types
from typing import Any

import retrograd

# what torch.nn.functional has of PyTorch's built-in functions that are named after torch; others are named after torch._C._nn
IN_TORCH = {
    *(f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)),
    *(
        "adaptive_avg_pool1d",
        "avg_pool1d",
        "bilinear",
        "channel_shuffle",
        "conv_tbc",
        "cosine_similarity",
        "hardshrink",
    ),
    *("pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle", "prelu"),
    *("relu_", "selu_", "celu_", "rrelu_", "threshold_"),
}
IN_FUNCTIONAL = {
    *(
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "broadcast_shapes",
        "broadcast_tensors",
        "cartesian_prod",
        "block_diag",
    ),
    *("cdist", "chain_matmul", "einsum", "istft", "lu", "norm", "meshgrid", "pca_lowrank", "split", "stft"),
    *("svd_lowrank", "tensordot", "unique", "unique_consecutive"),
}

# what every written program may name; a value's name is none of these
GIVEN: dict[str, Any] = {
    "inf": math.inf,
    "nan": math.nan,
    "NoneType": type(None),
    "torch": retrograd,
    "device": retrograd.device,
}


@functools.cache
def torch_names() -> dict[Any, str]:
    """Give the dotted name, beginning with ``torch``, of every function of torch's namespaces."""
    from .. import _C, fft, linalg, nn, special
    from ..tensor import FUNCTIONS

    found: dict[Any, str] = {}

    def add(prefix: str, names: dict[str, Any]) -> None:
        for name, held in names.items():
            if callable(held) and not isinstance(held, type) and not name.startswith("__"):
                found.setdefault(held, f"{prefix}.{name}")

    of_layers = {name: held for name, held in vars(nn.functional).items() if not name.startswith("_")}
    add("torch._C._nn", {name: of_layers.pop(name) for name in _C._NATIVE})
    add("torch", {name: of_layers.pop(name) for name in IN_TORCH & of_layers.keys()})
    public = {**FUNCTIONS, **{name: held for name, held in vars(retrograd).items() if name[:1] != "_"}}
    add("torch.functional", {name: public.pop(name) for name in IN_FUNCTIONAL & public.keys()})
    public["_assert"] = retrograd._assert
    add("torch", {name: held for name, held in public.items() if not isinstance(held, types.ModuleType)})
    add("torch.nn.functional", of_layers)
    for module in (linalg, fft, special):
        add(f"torch.{module.__name__.rpartition('.')[2]}", {n: getattr(module, n) for n in module.__all__})
    return found


def of_torch(fn: Any) -> str | None:
    """Give the dotted torch name of a function or class of this library; None of others."""
    try:
        found = torch_names().get(fn)
    except TypeError:  # what has no hash is nobody's name
        return None
    if found is not None:
        return found
    module = getattr(fn, "__module__", None) or ""
    name = getattr(fn, "__qualname__", getattr(fn, "__name__", None))
    if not module.startswith("retrograd") or not isinstance(name, str) or "<" in name:
        return None
    if getattr(retrograd, name, None) is fn:
        return f"torch.{name}"
    return "torch" + module.removeprefix("retrograd") + f".{name}"


def is_builtin(held: Any) -> bool:
    """Tell whether something is what a name of Python's own means."""
    return held is not None and getattr(builtins, getattr(held, "__name__", ""), None) is held


def qualified(fn: Any) -> str:
    """Give the dotted name of a function: its module's and its own."""
    if is_builtin(fn):
        return str(fn.__name__)
    found = of_torch(fn)
    if found is not None:
        return found
    if isinstance(fn, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return f"{fn.__objclass__.__module__}.{fn.__objclass__.__name__}.{fn.__name__}"
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None) or type(fn).__name__
    if name == "<lambda>":
        name = fn.__name__.replace("<", "").replace(">", "")
    module = getattr(fn, "__module__", None) or getattr(type(fn), "__module__", "")
    return f"{module}.{getattr(fn, '__name__', name)}"


def shown(target: Any) -> str:
    """Give a target as graphs print it."""
    if isinstance(target, str):
        return target
    if is_builtin(target):
        return f"builtins.{target.__name__}"
    name = qualified(target)
    return name.removeprefix("_") if name.startswith("_operator.") else name


def snake(name: str) -> str:
    """Write a name in small letters, with an underscore before each capital that followed a small letter."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class Names:
    """Names given to values, each once: a number is added where a name is taken, or is Python's own.

    Examples
    --------
    >>> names = Names()
    >>> [names.give(name) for name in ("add", "add", "sum", "0", "layer.1")]
    ['add', 'add_1', 'sum_1', '_0', 'layer_1']
    """

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}

    def give(self, wish: str) -> str:
        """Give a name like the one wished for."""
        name = re.sub(r"[^0-9a-zA-Z_]", "_", wish) or "_unnamed"
        if name[0].isdigit():
            name = f"_{name}"
        base, number = name, -1
        if found := re.fullmatch(r"(.*)_(\d+)", name):
            base, number = found[1], int(found[2])
        if number < 0 or name in self.taken:
            number = self.counts.get(base, 0)
            if base == name or name in self.taken:
                name = base if not number else f"{base}_{number}"
        while name in self.taken or self.reserved(name):
            number = max(number, 0) + 1
            name = f"{base}_{number}"
        self.taken.add(name)
        self.counts[base] = max(number, 0)
        return name

    def free(self, name: str) -> None:
        """Let a name be given again."""
        self.taken.discard(name)

    def reserved(self, name: str) -> bool:
        """Tell whether a name means something else in a program."""
        return keyword.iskeyword(name) or hasattr(builtins, name) or name in GIVEN
