"""torch.library: operators of one's own, with a schema, a place in ``torch.ops``, and a derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from . import ops
from .autograd import Function
from .compiler import opaque
from .core import MODE, REGISTRY, Op
from .memory.selective import rows_of, whole
from .tensor import Tensor
from .utils._pytree import tree_flatten, tree_unflatten
from .utils._schema import Schema, infer_schema

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "get_ctx",
    "impl",
    "infer_schema",
    "opcheck",  # noqa: F822  found by __getattr__: few programs ask for it
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_vmap",
]

_operators: dict[str, CustomOpDef] = {}


class _Namespace(SimpleNamespace):
    """The operators of one library, as ``torch.ops.<name>``; aten's are this library's own functions."""

    def __getattr__(self, name: str) -> Any:
        if self._name == "aten" and not name.startswith("__"):
            self.__dict__[name] = found = Builtin(f"aten.{name}", _own(name))
            return found
        raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")


def _own(name: str) -> Any:
    """Find the function or method of a name."""
    from .nn import functional, grad
    from .tensor import FUNCTIONS

    places = (FUNCTIONS.get(name), *(getattr(room, name, None) for room in (functional, Tensor, grad)))
    found = next((fn for fn in places if callable(fn)), None)

    def without(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.ops.aten.{name} has no counterpart here; call the function that it is for")

    return found or without  # PyTorch has operators between its functions and its kernels


class Builtin:
    """One of this library's own functions as ``torch.ops.aten.<name>``; each of its overloads is the function."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self._name, self._fn = name, fn

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the registry that compute it."""
        return rows_of(self._name.split(".")[1])

    @property
    def overloaded(self) -> bool:
        """Whether it is one of the overloads, not what they belong to."""
        return self._name.count(".") > 1

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Op):  # as what a policy is asked about
            return self.overloaded and other.name in self.rows
        return isinstance(other, Builtin) and other._name == self._name

    def __hash__(self) -> int:
        rows = self.rows if self.overloaded else ()
        return hash(REGISTRY[rows[0]] if rows else self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._fn(*args, **kwargs)

    def __getattr__(self, overload: str) -> Builtin:
        if overload.startswith("_"):
            raise AttributeError(overload)
        self.__dict__[overload] = found = Builtin(f"{self._name}.{overload}", self._fn)
        return found

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self._name}')>"


class CustomOpDef:
    """An operator: kernels by device, a derivative, a rule for batches; called as a function."""

    def __init__(self, qualname: str, schema: Schema, fn: Callable[..., Any] | None = None) -> None:
        self._qualname, self.schema = qualname, schema
        self._kernels: dict[str, Callable[..., Any]] = {} if fn is None else {"": fn}
        self._fake: Callable[..., Any] | None = None
        self._composite: Callable[..., Any] | None = None  # made of differentiable operations
        self._recorded: Callable[..., Any] | None = None  # records its own derivative
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self._vmap: Callable[..., Any] | None = None
        self._function = _function_of(self)
        self.__name__ = qualname.partition("::")[2].partition(".")[0]
        if fn is not None:
            functools.update_wrapper(self, fn, updated=())
        _place(self)

    @property
    def default(self) -> CustomOpDef:
        """The operator itself, which is how the first of several overloads is called."""
        return self

    overloaded = True

    @property
    def rows(self) -> tuple[str, ...]:
        """What it is known by where results are kept."""
        return (self._qualname,)

    def name(self) -> str:
        """Give the name with its namespace."""
        return self._qualname

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs, keywords = self.schema.bind(self._qualname, args, kwargs)
        if self._composite is not None:
            return self._composite(*inputs, **keywords)
        if self._recorded is not None and MODE.grad:
            return self._recorded(*inputs, **keywords)
        leaves, tree = tree_flatten(inputs)
        sloped = MODE.grad and any(isinstance(x, Tensor) and x.requires_grad for x in leaves)
        if not (sloped or MODE.special):
            return self._run(inputs, keywords)
        if self.schema.writes and any(x.requires_grad for x in self.schema.written(inputs, keywords)):
            raise RuntimeError(f"{self._qualname}: it writes into a tensor that requires grad, which has no derivative")
        call = SimpleNamespace(tree=tree, keywords=keywords)
        found = self._function.apply(call, *leaves)
        return tree_unflatten(found if isinstance(found, tuple) else [found], call.shape)

    def _run(self, inputs: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """Compute, on the device of the first tensor."""
        given = [x for x in tree_flatten([list(inputs), keywords])[0] if isinstance(x, Tensor)]
        device = given[0].device.type if given else str(keywords.get("device", "cpu")).partition(":")[0]
        kernel = self._kernels.get(device, self._kernels.get(""))
        if kernel is None:
            raise NotImplementedError(f"{self._qualname}: there was no kernel for {device} registered")
        # A compiled function that calls an operator runs it as Python, whatever it is made of.
        found = whole(self, self._qualname, opaque(kernel, self._qualname), inputs, keywords)
        if any(x is one for x in tree_flatten(found)[0] if isinstance(x, Tensor) for one in given):
            raise RuntimeError(
                f"{self._qualname} (with implementation in {getattr(kernel, '__module__', None)}): The output of this "
                "custom operator (1) must not also be an input to this custom operator and (2) may not alias any "
                "inputs to this custom operator or other returns. Consider: for example, returning x.clone()"
            )
        return found

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Say how to compute on these devices (None for all); without the function, gives a decorator."""
        if fn is None:
            return lambda given: self.register_kernel(device_types, given)
        for device in [device_types] if device_types is None or isinstance(device_types, str) else device_types:
            self._kernels["" if device is None else device] = fn
        return fn

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what shape and dtype come out for tensors without values: kept, as every tensor here has values."""
        self._fake = fn
        return fn

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Any:
        """Say how to compute for a batch: ``func(info, in_dims, *args)`` gives the result and its dimension."""
        if func is None:
            return self.register_vmap
        self._vmap = func
        return func

    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Any = None) -> None:
        """Say how to differentiate: ``backward(ctx, *grads)``, of what ``setup_context(ctx, inputs, output)`` kept."""
        if self.schema.writes:
            raise RuntimeError(
                f"Cannot register autograd formula for non-functional operator {self!r} with schema {self.schema}. "
                "Please create a functional operator and register an autograd formula for that."
            )
        self._backward, self._setup = backward, setup_context


def _function_of(op: CustomOpDef) -> type[Function]:
    """Make the differentiable function of an operator, of a call and its leaves."""

    name = op._qualname.replace("::", ".")

    def forward(call: Any, *leaves: Any) -> Any:
        plain = [x.detach() if isinstance(x, Tensor) and x.requires_grad else x for x in leaves]
        found = op._run(tuple(tree_unflatten(plain, call.tree)), call.keywords)
        results, call.shape = tree_flatten(found)
        return tuple(results) if isinstance(found, (tuple, list)) else found

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        call, leaves = inputs[0], inputs[1:]
        ctx._call = call
        if op._setup is None or op._backward is None:
            return
        given = tuple(tree_unflatten(leaves, call.tree))
        result = tree_unflatten(output if isinstance(output, tuple) else [output], call.shape)
        if any(one.keyword for one in op.schema.arguments):
            op._setup(ctx, given, call.keywords, result)
        else:
            op._setup(ctx, given, result)

    def backward(ctx: Any, *grads: Any) -> Any:
        if op._backward is None:
            raise RuntimeError(
                f"Trying to backward through {name}.default but no autograd formula was registered. Please use "
                "register_autograd to add one."
            )
        call = ctx._call
        nested = tree_unflatten(grads, call.shape)
        found = op._backward(ctx, *nested) if isinstance(nested, tuple) else op._backward(ctx, nested)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(call.tree.children_specs):
            raise RuntimeError(
                f"{op._qualname}: backward gave {len(found)} gradients for {len(call.tree.children_specs)} inputs"
            )
        leaves: list[Any] = []
        for gradient, spec in zip(found, call.tree.children_specs, strict=True):
            if gradient is None or spec.is_leaf():
                leaves += [gradient] * spec.num_leaves
            else:
                leaves += list(gradient)
        return None, *leaves

    def vmap(info: Any, in_dims: Any, call: Any, *leaves: Any) -> Any:
        if op._vmap is None:
            raise RuntimeError(f"{op._qualname}: vmap over an operator without a rule; use register_vmap to add one")
        nested = tuple(tree_unflatten(in_dims[1:], call.tree))
        found, out_dims = op._vmap(info, nested, *tree_unflatten(leaves, call.tree), **call.keywords)
        results, call.shape = tree_flatten(found)
        if not isinstance(found, (tuple, list)):
            return found, out_dims
        dims = out_dims if isinstance(out_dims, (tuple, list)) else [out_dims] * len(results)
        return tuple(results), tuple(dims)

    rules: dict[str, Callable[..., Any]] = {
        "forward": forward,
        "setup_context": setup_context,
        "backward": backward,
        "vmap": vmap,
    }
    kind = "GeneratedBackwardFor_" + name.replace(".", "_") + "_default"
    return type(kind, (Function,), {known: staticmethod(rule) for known, rule in rules.items()})


def namespace(name: str) -> Any:
    """Give the operators of one library, as ``torch.ops.<name>``: none are in it before they are defined.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.ops.aten.add.Tensor(torch.ones(1), 2)
    tensor([3.])
    """
    setattr(ops, name, _Namespace(_name=name))
    return getattr(ops, name)


def _place(op: CustomOpDef) -> None:
    """Put an operator into the table and into ``torch.ops``."""
    space, _, name = op._qualname.partition("::")
    name, _, overload = name.partition(".")
    there = ops.__dict__.get(space)
    if there is None:
        there = _Namespace(_name=space)
        setattr(ops, space, there)
    if not isinstance(there, _Namespace):
        raise ValueError(f"{op._qualname}: the namespace {space!r} is taken in torch.ops; choose another name")
    first = there.__dict__.get(name)
    if overload and isinstance(first, CustomOpDef):
        setattr(first, overload, op)
    else:
        setattr(there, name, op)
        if overload:
            setattr(op, overload, op)
    _operators[op._qualname] = op


def _found(op: Any) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    found = _operators.get(op) or _operators.get(str(op).removesuffix(".default"))
    if found is None:
        raise RuntimeError(f"operator {op} does not exist")
    return found


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Iterable[str],
    device_types: Any = None,
    schema: str | None = None,
    tags: Sequence[Any] | None = None,
) -> Any:
    """Make an operator of a Python function; without the function, gives a decorator.

    Examples
    --------
    >>> import retrograd as torch
    >>> @torch.library.custom_op("doc::cube", mutates_args=())
    ... def cube(x: torch.Tensor) -> torch.Tensor:
    ...     return torch.from_numpy(x.numpy() ** 3)
    >>> cube.register_autograd(
    ...     lambda ctx, g: 3 * ctx.saved_tensors[0] ** 2 * g,
    ...     setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    ... )
    >>> x = torch.tensor([2.0, 3.0], requires_grad=True)
    >>> torch.ops.doc.cube(x).sum().backward()
    >>> x.grad
    tensor([12., 27.])
    """

    def made(fn: Callable[..., Any]) -> CustomOpDef:
        _check_name(name)
        op = CustomOpDef(name, Schema(schema or infer_schema(fn, mutates_args=mutates_args)), fn)
        if device_types is not None:
            op._kernels.clear()
            op.register_kernel(device_types, fn)
        return op

    return made if fn is None else made(fn)


def _check_name(qualname: str) -> None:
    if qualname.count("::") != 1 or not all(qualname.split("::")):
        raise ValueError(f"Expected a name of the form 'namespace::name', got {qualname!r}")


class Library:
    """The operators of one namespace: ``define`` gives them schemas, ``impl`` functions.

    Examples
    --------
    >>> import retrograd as torch
    >>> lib = torch.library.Library("doclib", "DEF")
    >>> lib.define("twice(Tensor x, float by=2.0) -> Tensor")
    'twice'
    >>> lib.impl("twice", lambda x, by: x * by, "CompositeImplicitAutograd")
    >>> torch.ops.doclib.twice(torch.ones(2))
    tensor([2., 2.])
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError("Unsupported library type: ", kind)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self._mine: list[str] = []

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Add an operator by its schema, and give its name."""
        name, bracket, rest = schema.partition("(")
        qualname = f"{self.ns}::{name.strip()}"
        CustomOpDef(qualname, Schema(bracket + rest))
        self._mine.append(qualname)
        return name.strip()

    def impl(
        self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False, **options: Any
    ) -> None:
        """Say how an operator computes, under a key such as CPU, Meta, Autograd or CompositeImplicitAutograd."""
        name = op_name if isinstance(op_name, str) else _found(op_name)._qualname
        op = _found(name if "::" in name else f"{self.ns}::{name}")
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        if key == "Meta":
            op.register_fake(fn)
        elif key.startswith("Autograd"):
            op._recorded = fn
        elif key == "CompositeImplicitAutograd":
            op._composite = fn
        else:
            op.register_kernel(None if key == "CompositeExplicitAutograd" else key.lower(), fn)

    def _destroy(self) -> None:
        for qualname in self._mine:
            _operators.pop(qualname, None)
            name = qualname.partition("::")[2].partition(".")[0]
            ops.__dict__[self.ns].__dict__.pop(name, None)


def define(qualname: Any, schema: Any, *, lib: Any = None, tags: Any = ()) -> Any:
    """Add an operator by its name and schema."""
    if isinstance(qualname, Library):  # an older form: the library, and the schema with the name in it
        return _implementing(qualname, qualname.define(schema))
    _check_name(qualname)
    CustomOpDef(qualname, Schema(schema))
    return None


def _implementing(lib: Library, name: str) -> Callable[..., Any]:
    def given(fn: Callable[..., Any]) -> Callable[..., Any]:
        lib.impl(name, fn)
        return fn

    return given


def impl(qualname: Any, types: Any, func: Callable[..., Any] | None = None, *, lib: Any = None) -> Any:
    """Say how an operator computes on devices, or under a key; without the function, gives a decorator."""
    if isinstance(qualname, Library):  # an older form: the library, the name, and the key
        return functools.partial(_implemented, qualname, types, func or "")
    if func is None:
        return lambda given: impl(qualname, types, given, lib=lib)
    library = Library(qualname.partition("::")[0], "IMPL")
    for key in [types] if isinstance(types, str) else types:
        library.impl(qualname, func, "CompositeExplicitAutograd" if key == "default" else _key(key))
    return None


def _key(key: str) -> str:
    return key.upper() if key.islower() else key


def _implemented(lib: Library, name: Any, key: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    lib.impl(name, fn, key)
    return fn


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Say how an operator computes on these devices; without the function, gives a decorator."""
    return _found(op).register_kernel(device_types, func)


def register_fake(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None, **options: Any) -> Any:
    """Say what shape and dtype come out of an operator: see `CustomOpDef.register_fake`."""
    found = _found(op)
    return found.register_fake if func is None else found.register_fake(func)


impl_abstract = register_fake


def register_autograd(op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None) -> None:
    """Say how to differentiate an operator: see `CustomOpDef.register_autograd`."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Say how an operator computes for a batch; without the function, gives a decorator."""
    return _found(op).register_vmap(func)


def get_ctx() -> Any:
    """Raise NotImplementedError: sizes that depend on values are not described here."""
    raise NotImplementedError("torch.library.get_ctx: a tensor without values has sizes that are known")


def __getattr__(name: str) -> Any:
    if name == "opcheck":
        from .utils._opcheck import opcheck

        return opcheck
    from .utils._names import missing

    raise missing(__name__, name, __all__)
