"""torchvision.models._utils: a model's first modules, with the results in between."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import retrograd as torch

from ._init import divisible as _make_divisible


class IntermediateLayerGetter(torch.nn.ModuleDict):
    """Run a model's modules in their order up to the last that is wanted, and give the wanted results by new names.

    Parameters
    ----------
    model : Module
        Its direct children are run one after the other.
    return_layers : dict
        The wanted children's names, and the names of their results; ValueError where a child is not there.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> list(IntermediateLayerGetter(net, {"1": "features"})(torch.zeros(1, 2)))
    ['features']
    """

    def __init__(self, model: Any, return_layers: dict[str, str]) -> None:
        children = dict(model.named_children())
        if not set(return_layers) <= set(children):
            raise ValueError("return_layers are not present in model")
        last = max(list(children).index(name) for name in return_layers)
        super().__init__(OrderedDict(list(children.items())[: last + 1]))
        self.return_layers = {str(name): str(new) for name, new in return_layers.items()}

    def forward(self, x: Any) -> Any:
        """Run the modules."""
        found = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found


__all__ = ["IntermediateLayerGetter", "_make_divisible"]
