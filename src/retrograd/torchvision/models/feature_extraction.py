"""torchvision.models.feature_extraction: the results of a model's modules by their names, kept by hooks on the modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrograd.nn import Module
from retrograd.tensor import Tensor

__all__ = ["create_feature_extractor", "get_graph_node_names"]


def _called(model: Any) -> list[str]:
    """The names of the modules that are not made of others, in the order in which they were added."""
    return [name for name, module in model.named_modules() if name and not any(True for _ in module.children())]


def get_graph_node_names(
    model: Any, tracer_kwargs: Any = None, suppress_diff_warning: bool = False, concrete_args: Any = None
) -> tuple[list[str], list[str]]:
    """Give the names that `create_feature_extractor` takes for the leaves, for training and for evaluation.

    They are names of modules, in the order in which the model has them: no graph is traced, so what functions and
    operators give between modules (``add``, ``flatten``) has no name, and a module that is called twice has one.

    Examples
    --------
    >>> from retrograd import nn
    >>> get_graph_node_names(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU())))[0]
    ['0', '1.0']
    """
    names = _called(model)
    return names, list(names)


def _copied(output: Any) -> Any:
    """A tensor of its own: ``out += x`` after a module does not change what the module gave, as in a traced graph."""
    return output.clone() if isinstance(output, Tensor) else output


class _FeatureExtractor(Module):
    """A model whose call gives a dict of what some of its modules gave, in place of its own result."""

    def __init__(self, model: Any, wanted: dict[str, str]) -> None:
        super().__init__()
        # The model's own modules and parameters under the names that they have there.
        self._modules, self._parameters, self._buffers = model._modules, model._parameters, model._buffers
        self._non_persistent_buffers_set = model._non_persistent_buffers_set
        object.__setattr__(self, "_whole", model)
        self._wanted = wanted
        self.training = model.training

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        whole: Any = self.__dict__["_whole"]
        modules, handles = dict(whole.named_modules()), []
        given: dict[str, Any] = {}
        kept: dict[str, Any] = {}

        def keep(name: str) -> Any:
            def hook(module: Any, inputs: Any, output: Any) -> None:
                given[name], kept[name] = (output, getattr(output, "_version", None)), _copied(output)

            return hook

        unchanged: list[str] = []

        def before(module: Any, inputs: Any) -> None:
            unchanged[:] = [name for name, (one, v) in given.items() if one is inputs[0] and one._version == v]

        def written(module: Any, inputs: Any, output: Any) -> None:
            for name in unchanged:
                keep(name)(module, inputs, output)

        try:
            for name in self._wanted:
                handles.append(modules[name].register_forward_hook(keep(name)))
            for module in modules.values():
                if getattr(module, "inplace", False) is True:
                    handles.append(module.register_forward_pre_hook(before))
                    handles.append(module.register_forward_hook(written))
            whole.training = self.training
            whole(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        missing = [name for name in self._wanted if name not in kept]
        if missing:
            raise RuntimeError(f"create_feature_extractor: {missing[0]!r} is not called as a module by this model")
        return {self._wanted[name]: one for name, one in kept.items()}


def _named(nodes: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    return dict(nodes) if isinstance(nodes, Mapping) else {name: name for name in nodes}


def create_feature_extractor(
    model: Any,
    return_nodes: Sequence[str] | Mapping[str, str] | None = None,
    train_return_nodes: Sequence[str] | Mapping[str, str] | None = None,
    eval_return_nodes: Sequence[str] | Mapping[str, str] | None = None,
    tracer_kwargs: Any = None,
    suppress_diff_warning: bool = False,
    concrete_args: Any = None,
) -> Any:
    """Make a module that gives a dict of what the named modules of a model give.

    The names are modules' names (a list, or a dict from them to the keys of the result); one that ends where no module
    is, such as ``layer1.0.add``, is a ValueError that names the nearest module. The model's own parameters are used, and
    the whole of it runs. A module that works in place, such as ``ReLU(inplace=True)``, changes the result before it.

    Parameters
    ----------
    model : nn.Module
        The model.
    return_nodes : list or dict of str
        The names of the modules; for both modes.
    train_return_nodes, eval_return_nodes : list or dict of str
        In place of `return_nodes`: names for each mode, which must be the same here.
    tracer_kwargs, suppress_diff_warning, concrete_args : object
        Without effect, as nothing is traced.

    Examples
    --------
    >>> import retrograd as torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> features = create_feature_extractor(model, {"1": "hidden"})(torch.ones(4, 2))
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'hidden': (4, 3)}
    """
    if return_nodes is None:
        if train_return_nodes is None or eval_return_nodes is None:
            raise ValueError("create_feature_extractor: return_nodes, or both train_return_nodes and eval_return_nodes")
        if _named(train_return_nodes) != _named(eval_return_nodes):
            raise NotImplementedError("create_feature_extractor: other names for training than for evaluation")
        return_nodes = train_return_nodes
    modules, wanted = dict(model.named_modules()), {}
    for name, shown in _named(return_nodes).items():
        if name not in modules:
            near = name
            while near and near not in modules:
                near = near.rpartition(".")[0]
            hint = f"; the nearest module is {near!r}" if near else ""
            raise ValueError(
                f"node: '{name}' is not present in model. Hint: use `get_graph_node_names` to make sure the "
                f"`return_nodes` you specified are present{hint}"
            )
        wanted[name] = shown
    return _FeatureExtractor(model, wanted)
