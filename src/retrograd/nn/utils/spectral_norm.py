"""Spectral normalisation by a hook that computes the weight before each forward; parametrizations have it too."""

from __future__ import annotations

from typing import Any

from ...core.mode import no_grad
from ...tensor import Parameter
from .. import _functions as T
from .. import functional as F
from ..parameter import is_lazy

__all__ = [
    "SpectralNorm",
    "SpectralNormLoadStateDictPreHook",
    "SpectralNormStateDictHook",
    "remove_spectral_norm",
    "spectral_norm",
]


class SpectralNorm:
    """A forward pre-hook that sets a weight to W / sigma(W), sigma = u^T W v followed by the power method.

    Parameters
    ----------
    name : str
        The weight's name; W is the parameter ``<name>_orig``, u and v the buffers ``<name>_u`` and ``<name>_v``.
    n_power_iterations : int
        Steps of the power method before each forward in training mode.
    dim : int
        The dimension of the matrix's rows.
    eps : float
        The least length that is divided by.
    """

    _version = 1  # with u alone, version 0 took the state before the step; version 1 keeps v as well

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def reshape_weight_to_matrix(self, weight: Any) -> Any:
        """Give the weight with ``dim`` first and all other dimensions as one."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        """Give the normalised weight, perhaps after moving u and v."""
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(T.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(T.mv(matrix, v), dim=0, eps=self.eps))
                # copies, so that two calls can go backward although u and v move between them
                u, v = u.clone(), v.clone()
        return weight / T.dot(u, T.mv(matrix, v))

    def remove(self, module: Any) -> None:
        """Make the present weight an ordinary parameter."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))

    @staticmethod
    def apply(module: Any, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Draw u and v, and hang the hooks on the module; RuntimeError if that was done before."""
        if any(isinstance(h, SpectralNorm) and h.name == name for h in module._forward_pre_hooks.values()):
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
        hook = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters: call it once with a batch "
                "first"
            )
        with no_grad():
            shape = hook.reshape_weight_to_matrix(weight).shape
            u, v = (F.normalize(weight.new_empty(n).normal_(0, 1), dim=0, eps=eps) for n in shape)
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        setattr(module, name, weight.data)  # an attribute: neither parameter nor buffer
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(hook)
        module._register_state_dict_hook(SpectralNormStateDictHook(hook))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(hook))
        return hook

    def _solve_v_and_rescale(self, matrix: Any, u: Any, sigma: Any) -> Any:
        """Give the v that the power method would lead to ``u`` from, with u^T W v = sigma."""
        v = (matrix.t().mm(matrix).pinverse() @ (matrix.t() @ u.unsqueeze(1))).squeeze(1)
        return v * (sigma / T.dot(u, T.mv(matrix, v)))


class SpectralNormStateDictHook:
    """Notes in the metadata of a state dictionary which version of `SpectralNorm` wrote it.

    Parameters
    ----------
    fn : SpectralNorm
        The hook whose state is written.
    """

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(self, module: Any, state_dict: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        versions, key = local_metadata.setdefault("spectral_norm", {}), self.fn.name + ".version"
        if key in versions:
            raise RuntimeError(f"Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = self.fn._version


class SpectralNormLoadStateDictPreHook:
    """Makes the v that state dictionaries from before version 1 lack.

    Parameters
    ----------
    fn : SpectralNorm
        The hook whose state is read.
    """

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], *rest: Any
    ) -> None:
        fn = self.fn
        version = local_metadata.get("spectral_norm", {}).get(fn.name + ".version")
        if version is not None and version >= 1:
            return
        key = prefix + fn.name
        present = all(key + suffix in state_dict for suffix in ("_orig", "_u", "_v"))
        if version is None and present and key not in state_dict:
            return  # made by hand, and complete
        missing = [key + suffix for suffix in ("_orig", "", "_u") if key + suffix not in state_dict]
        if missing:
            missing_keys.extend(missing if strict else ())
            return
        with no_grad():
            original, weight = state_dict[key + "_orig"], state_dict.pop(key)
            sigma = (original / weight).mean()
            matrix = fn.reshape_weight_to_matrix(original)
            state_dict[key + "_v"] = fn._solve_v_and_rescale(matrix, state_dict[key + "_u"], sigma)


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a weight, as a matrix, by its largest singular value before each forward.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name; the trained parameter is ``<name>_orig``.
    n_power_iterations : int
        Steps of the power method before each forward in training mode.
    eps : float
        The least length that is divided by.
    dim : int, optional
        The dimension of the matrix's rows: 0, for transposed convolutions 1.

    References
    ----------
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    Examples
    --------
    >>> import retrograd as torch
    >>> list(torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    from .parametrizations import transposed

    rows = int(transposed(module)) if dim is None else dim
    SpectralNorm.apply(module, name, n_power_iterations, rows, eps)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight that `spectral_norm` divides an ordinary parameter again.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name.

    Raises
    ------
    ValueError
        If `spectral_norm` does not divide it.
    """
    for number, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for table, kind in (
        (module._state_dict_hooks, SpectralNormStateDictHook),
        (module._load_state_dict_pre_hooks, SpectralNormLoadStateDictPreHook),
    ):
        for number, bound in list(table.items()):
            found = getattr(bound, "hook", bound)
            if isinstance(found, kind) and found.fn.name == name:
                del table[number]
    return module
