"""Parameters that are functions of others: a module's weight computed anew, by modules, whenever it is read."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

from ...core.mode import no_grad
from ...tensor import Parameter, Tensor
from ..modules.container import ModuleDict, ModuleList

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """What parametrized tensors are, for as long as a `cached` block lasts."""

    depth = 0
    values: dict[tuple[int, str], Any] = {}


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Compute every parametrized tensor at most once within the block, as where a recurrence reads its weight often.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.values.clear()


def _hold(module: Any, name: str, tensor: Any) -> None:
    """Register a tensor as what it is: a parameter or a buffer."""
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _be(held: Any, value: Any) -> None:
    """Give a tensor another's memory, without its history; the tensor an optimizer holds stays the same one."""
    held.set_(value)


def _right_inverse(module: Any, value: Any) -> Any:
    """Give what the parametrization would turn into ``value``: the value itself where it does not say."""
    if hasattr(module, "right_inverse"):
        with contextlib.suppress(NotImplementedError):
            return module.right_inverse(value)
    return value


def _same(what: str, found: Any, wanted: Any, unless: str = ", unless the `unsafe` flag is enabled") -> None:
    """Raise ValueError unless one tensor has the other's dtype and shape."""
    for fact in ("dtype", "shape"):
        a, b = getattr(found, fact), getattr(wanted, fact)
        if a != b:
            raise ValueError(f"{what} may not change the {fact} of the tensor{unless}: it was {b}, and becomes {a}")


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor in the order they are applied, and the original that the first one is given.

    The original is ``original``, or ``original0``, ``original1``, ... where the first parametrization's
    ``right_inverse`` gives several tensors. `register_parametrization` makes it; programs only read it.

    Parameters
    ----------
    modules : sequence of Module
        The parametrizations.
    original : Tensor
        What was under the name before.
    unsafe : bool
        Permit other shapes and dtypes, unchecked.

    Raises
    ------
    ValueError
        If a parametrization, or its ``right_inverse``, changes shape or dtype or gives no tensor.
    """

    original: Any
    unsafe: bool

    def __init__(self, modules: Sequence[Any], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.shape, original.dtype
        with no_grad():
            new: Any = original
            for module in reversed(list(self)):
                new = _right_inverse(module, new)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        several: Any = new
        if self.is_tensor:
            self._keep_one(original, new)
        else:
            self._keep_several(original, several)
        if not unsafe:
            self._check(*before)

    def _keep_one(self, original: Any, new: Any) -> None:
        if original.dtype != new.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
            )
        with no_grad():
            _be(original, new)
        _hold(self, "original", original)

    def _keep_several(self, original: Any, new: Sequence[Any]) -> None:
        for i, one in enumerate(new):
            if not isinstance(one, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element {i} of the sequence with type {type(one).__name__}."
                )
            made = Parameter(one, original.requires_grad) if isinstance(original, Parameter) else one
            _hold(self, f"original{i}", made.requires_grad_(original.requires_grad))

    def _check(self, shape: Any, dtype: Any) -> None:
        value = self()
        if not isinstance(value, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
        for fact, was in (("dtype", dtype), ("shape", shape)):
            if getattr(value, fact) != was:
                raise ValueError(
                    f"Registering a parametrization may not change the {fact} of the tensor, unless `unsafe` flag is "
                    f"enabled.\nunparametrized {fact}: {was}\nparametrized {fact}: {getattr(value, fact)}"
                )

    def _originals(self) -> list[Any]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Set the original so that the parametrized tensor becomes ``value``: each ``right_inverse``, last one first.

        Raises RuntimeError where a parametrization has none, ValueError where it changes its mind about dtype or number.
        """
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
                values = [value]
            elif not isinstance(value, Sequence):
                raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
            elif len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                    f"Got a sequence of length {len(value)}."
                )
            else:
                values = list(value)
            for i, (held, one) in enumerate(zip(self._originals(), values, strict=True)):
                if not isinstance(one, Tensor):
                    wanted = "`right_inverse` must return a sequence of tensors."
                    raise ValueError(f"{wanted} Got element {i} of type {type(one).__name__}.")
                if one.dtype != held.dtype:
                    raise ValueError(
                        f"Tensor {i} returned by `right_inverse` has dtype {one.dtype} while the original has dtype "
                        f"{held.dtype}"
                    )
                _be(held, one)

    def forward(self) -> Any:
        """Compute the parametrized tensor."""
        first, *rest = self
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value

    def __iter__(self) -> Iterator[Any]:
        return iter([module for name, module in self._modules.items() if name.isdigit()])


def _refuse_to_pickle(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(): save that, and load it into a "
        "module that is made and parametrized in the same way."
    )


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    if id(self) not in memo:
        made = memo[id(self)] = self.__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return memo[id(self)]


def _give_own_class(module: Any) -> None:
    """Make a class for this one module, so that properties can be set on it."""
    kind = type(module)
    methods: dict[str, Any] = {"__getstate__": _refuse_to_pickle}
    if not hasattr(kind, "__deepcopy__"):
        methods["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), methods)


def _give_property(module: Any, name: str) -> None:
    """Let reading the name compute the tensor, and setting it go through ``right_inverse``."""

    def read(self: Any) -> Any:
        compute = self.parametrizations[name]
        if not _Cache.depth:
            return compute()
        key = id(self), name
        if key not in _Cache.values:
            _Cache.values[key] = compute()
        return _Cache.values[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def register_parametrization(module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False) -> Any:
    """Make a parameter or buffer of a module a function of another: ``module.weight`` becomes ``f(original)``.

    A second parametrization of one tensor is applied to the first one's result. Where it has ``right_inverse``, the
    tensor can be assigned to, and starts as ``f(right_inverse(value))``. The optimizer sees the original, which is
    ``module.parametrizations.weight.original``.

    Parameters
    ----------
    module : Module
        Whose tensor it is. Its class becomes one of its own, named ``Parametrized...``.
    tensor_name : str
        The parameter, buffer or parametrized tensor.
    parametrization : Module
        Computes the tensor.
    unsafe : bool
        Permit other shapes and dtypes, unchecked.

    Raises
    ------
    ValueError
        If there is no such tensor, or the parametrization changes shape or dtype, or gives no tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrize
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = parametrize.register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.T)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        several = module.parametrizations[tensor_name]
        if not unsafe:
            _check_another(getattr(module, tensor_name), tensor_name, parametrization)
        several.append(parametrization)
        several.unsafe |= unsafe
    elif tensor_name in module._parameters or tensor_name in module._buffers:
        several = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _give_property(module, tensor_name)
        module.parametrizations[tensor_name] = several
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def _check_another(present: Any, name: str, parametrization: Any) -> None:
    value = parametrization(present)
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
    _same(f"Registering a parametrization of module.{name}", value, present)
    if hasattr(parametrization, "right_inverse"):
        try:
            back = parametrization.right_inverse(value)
        except NotImplementedError:
            return
        if not isinstance(back, Tensor):
            raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
        _same(f"parametrization.right_inverse for module.{name}", back, present)


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Tell whether a module has a parametrized tensor, or whether the one of this name is.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> parametrize.is_parametrized(layer), parametrize.is_parametrized(layer, "bias")
    (True, False)
    """
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make a parametrized tensor an ordinary one again.

    Parameters
    ----------
    module : Module
        Whose tensor it is.
    tensor_name : str
        The tensor's name.
    leave_parametrized : bool
        Keep the present value; else take the original back.

    Raises
    ------
    ValueError
        If the tensor is not parametrized, or if there are several originals and none can be taken back.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> parametrize.remove_parametrizations(layer, "weight")
    Linear(in_features=3, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    several = module.parametrizations[tensor_name]
    if several.is_tensor:
        kept = several.original
        if leave_parametrized:
            with no_grad():
                _be(kept, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        kept = Parameter(value) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _hold(module, tensor_name, kept)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Any) -> type:
    """Give the class that a module had before its tensors were parametrized.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> type(layer).__name__, parametrize.type_before_parametrizations(layer).__name__
    ('ParametrizedLinear', 'Linear')
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module: Any, to_module: Any, tensor_name: str | None = None) -> Any:
    """Give one module the parametrizations of another, and the originals with them.

    Parameters
    ----------
    from_module, to_module : Module
        Whose they are, and whose they become too.
    tensor_name : str, optional
        One tensor's name; all of them if left out.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import parametrizations, parametrize
    >>> one = parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> other = parametrize.transfer_parametrizations_and_params(one, torch.nn.Linear(3, 2))
    >>> torch.equal(one.weight, other.weight)
    True
    """
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        given = from_module.parametrizations[name]
        for parametrization in given:
            register_parametrization(to_module, name, parametrization)
        taken = to_module.parametrizations[name]
        for key in ["original"] if given.is_tensor else [f"original{i}" for i in range(given.ntensors)]:
            setattr(taken, key, getattr(given, key))
    return to_module
