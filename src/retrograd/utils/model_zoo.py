"""torch.utils.model_zoo: torch.hub's reading of weights, under the name it had before."""

from __future__ import annotations

from ..hub import load_state_dict_from_url

load_url = load_state_dict_from_url

__all__ = ["load_state_dict_from_url", "load_url"]
