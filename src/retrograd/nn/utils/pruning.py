"""The ways of choosing what is pruned: at random, by size, by a given mask, and several of them in turn."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from .. import _functions as T

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
]


def _same_shape(scores: Any, tensor: Any, what: str) -> Any:
    """Give the scores, which are the tensor itself where there are none; AssertionError for another shape."""
    if scores is None:
        return tensor
    if scores.shape != tensor.shape:
        wanted = f"importance_scores should have the same shape as {what}"
        raise AssertionError(f"{wanted}, got {scores.shape} vs {tensor.shape}")
    return scores


class BasePruningMethod(ABC):
    """A way of choosing a mask; an instance is the forward pre-hook that sets ``<name>`` to ``<name>_orig * mask``.

    A subclass defines ``compute_mask`` and ``PRUNING_TYPE``: "unstructured" (elements), "structured" (whole slices
    along ``dim``) or "global" (it sees what was pruned before, too).

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> class Positive(prune.BasePruningMethod):
    ...     PRUNING_TYPE = "unstructured"
    ...
    ...     def compute_mask(self, t, default_mask):
    ...         return default_mask * (t > 0)
    >>> layer = torch.nn.Linear(3, 2)
    >>> _ = Positive.apply(layer, "weight")
    >>> bool((layer.weight >= 0).all())
    True
    """

    PRUNING_TYPE: str
    _tensor_name: Any = None

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the mask, zero where ``t`` is pruned now or ``default_mask`` was zero before."""

    def apply_mask(self, module: Any) -> Any:
        """Give the pruned tensor of a module."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Choose a mask for a module's parameter and hang the hook on the module.

        Parameters
        ----------
        module : Module
            Whose parameter it is.
        name : str
            The parameter's name; it becomes ``<name>_orig``, and the mask is the buffer ``<name>_mask``.
        *args
            What the method is made with.
        importance_scores : Tensor, optional
            What the mask is chosen by instead of the parameter.
        **kwargs
            What the method is made with.
        """
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        method = _after_what_was_there(module, name, method)
        tensor = getattr(module, name)
        scores = _same_shape(importance_scores, tensor, f"parameter {name} of {module}")
        first = not isinstance(method, PruningContainer)
        if first:
            module.register_parameter(name + "_orig", tensor)
            del module._parameters[name]
            before = T.ones_like(tensor)
        else:
            before = getattr(module, name + "_mask").detach().clone()
        try:
            module.register_buffer(name + "_mask", method.compute_mask(scores, default_mask=before))
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if first:
                module.register_parameter(name, getattr(module, name + "_orig"))
                del module._parameters[name + "_orig"]
            raise
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """Give a pruned tensor, without a module.

        Parameters
        ----------
        t : Tensor
            What is pruned.
        default_mask : Tensor, optional
            What was pruned before.
        importance_scores : Tensor, optional
            What the mask is chosen by instead of ``t``.
        """
        scores = _same_shape(importance_scores, t, "tensor t")
        return t * self.compute_mask(scores, default_mask=T.ones_like(t) if default_mask is None else default_mask)

    def remove(self, module: Any) -> None:
        """Make the pruned tensor an ordinary parameter; the hook is for the caller to take away."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        parameter = module._parameters.pop(name + "_orig")
        parameter.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, parameter)


def _after_what_was_there(module: Any, name: str, method: Any) -> Any:
    """Take the hooks that prune the same parameter off a module, and give them and the new one as one method."""
    found = [
        (number, hook)
        for number, hook in module._forward_pre_hooks.items()
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
    ]
    if len(found) > 1:
        raise AssertionError(
            f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. Use a PruningContainer."
        )
    for number, old in found:
        del module._forward_pre_hooks[number]
        several = old if isinstance(old, PruningContainer) else PruningContainer(old)
        several.add_pruning_method(method)
        return several
    return method


class PruningContainer(BasePruningMethod):
    """Several methods for one parameter, each applied to what the ones before it left.

    Parameters
    ----------
    *args : BasePruningMethod
        The methods, first one first.
    """

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method for the same parameter; ValueError for another's, TypeError for what is no method."""
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the mask of the last method on what is left, together with what was pruned before."""
        method, mask = self._pruning_methods[-1], default_mask.to(dtype=t.dtype)
        left = self._left(method, t, default_mask)
        chosen = method.compute_mask(t[left], default_mask=default_mask[left])
        mask = mask.clone() if mask is default_mask else mask
        mask[left] = chosen.to(dtype=mask.dtype)
        return mask

    @staticmethod
    def _left(method: Any, t: Any, mask: Any) -> Any:
        """Give the index of what the earlier methods left for this one to choose from."""
        kind = method.PRUNING_TYPE
        if kind == "unstructured":
            return mask == 1
        every: list[Any] = [slice(None)] * t.dim()
        if kind == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError(
                    'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
                )
            dim = method.dim + t.dim() if method.dim < 0 else method.dim
            if dim < 0:
                raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
            every[dim] = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
        elif kind != "global":
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        return tuple(every)


class Identity(BasePruningMethod):
    """Prunes nothing, but puts the parameter under a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the mask there is."""
        return default_mask

    @classmethod
    def apply(cls, module: Any, name: str) -> Any:  # type: ignore[override]
        """Put a parameter under a mask of ones."""
        return super().apply(module, name)


class _ByAmount(BasePruningMethod):
    """A method that prunes a number, or a share, of elements or slices."""

    amount: Any

    def __init__(self, amount: Any) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        whole = isinstance(amount, numbers.Integral)
        if (whole and amount < 0) or (not whole and not 0.0 <= float(amount) <= 1.0):
            raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
        self.amount = amount

    def _count(self, size: int) -> int:
        """Give how many of ``size`` things are pruned; ValueError for more than there are."""
        count = int(self.amount) if isinstance(self.amount, numbers.Integral) else round(self.amount * size)
        if count > size:
            raise ValueError(f"amount={count} should be smaller than the number of parameters to prune={size}")
        return count


class _Unstructured(_ByAmount):
    """A method that prunes the elements which its scores put first."""

    PRUNING_TYPE = "unstructured"

    def _first(self, t: Any, count: int) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the mask there is, with zeros where elements are pruned."""
        count, mask = self._count(t.nelement()), default_mask.detach().clone().contiguous()
        if count:
            mask.view(-1)[self._first(t, count)] = 0
        return mask


class RandomUnstructured(_Unstructured):  # numpydoc ignore=PR02
    """Prunes elements at random.

    Parameters
    ----------
    amount : int or float
        How many, or which share of them.
    """

    def _first(self, t: Any, count: int) -> Any:
        return T.topk(T.rand_like(t).view(-1), k=count).indices

    @classmethod
    def apply(cls, module: Any, name: str, amount: Any) -> Any:  # type: ignore[override]
        """Prune a module's parameter."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Unstructured):  # numpydoc ignore=PR02
    """Prunes the elements of least absolute value.

    Parameters
    ----------
    amount : int or float
        How many, or which share of them.
    """

    def _first(self, t: Any, count: int) -> Any:
        return T.topk(t.abs().view(-1), k=count, largest=False).indices

    @classmethod
    def apply(cls, module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:  # type: ignore[override]
        """Prune a module's parameter."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Structured(_ByAmount):
    """A method that prunes whole slices along a dimension."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _kept(self, t: Any, size: int, count: int) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the mask there is, with zeros in the slices that are pruned; ValueError for a vector."""
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = self._count(size)
        kept = self._kept(t, size, count)
        if count == 0:
            return default_mask
        where: list[Any] = [slice(None)] * t.dim()
        where[self.dim] = kept
        mask = T.zeros_like(t)
        mask[tuple(where)] = 1
        return mask * default_mask.to(dtype=mask.dtype)


class RandomStructured(_Structured):  # numpydoc ignore=PR02
    """Prunes slices along a dimension at random.

    Parameters
    ----------
    amount : int or float
        How many, or which share of them.
    dim : int
        The dimension that the slices are counted along.
    """

    def _kept(self, t: Any, size: int, count: int) -> Any:
        if count == 0:
            return None
        drawn = T.rand(size)
        return drawn > T.kthvalue(drawn, k=count).values

    @classmethod
    def apply(cls, module: Any, name: str, amount: Any, dim: int = -1) -> Any:  # type: ignore[override]
        """Prune a module's parameter."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prunes the slices of least norm along a dimension.

    Parameters
    ----------
    amount : int or float
        How many, or which share of them.
    n : int, float, inf, -inf, "fro" or "nuc"
        The norm, as for `torch.norm`.
    dim : int
        The dimension that the slices are counted along.
    """

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Any, size: int, count: int) -> Any:
        dim = range(t.dim())[self.dim]
        norms = T.norm(t, p=self.n, dim=[d for d in range(t.dim()) if d != dim])
        return T.topk(norms, k=size - count, largest=True).indices

    @classmethod
    def apply(cls, module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:  # type: ignore[override]
        """Prune a module's parameter."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero.

    Parameters
    ----------
    mask : Tensor
        Of the parameter's shape.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Give the product of both masks; AssertionError for another shape."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Any, name: str, mask: Any) -> Any:  # type: ignore[override]
        """Prune a module's parameter."""
        return super().apply(module, name, mask=mask)
