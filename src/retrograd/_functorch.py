"""torch._functorch: its settings, kept for those who read them again.

A bound on what is kept for the backward pass is given in bytes: ``torch.memory.memory_budget("1GB")``.
"""

from __future__ import annotations

from .utils._settings import Settings

config = Settings(
    f"{__name__}.config",
    {
        "activation_memory_budget": 1.0,
        "activation_memory_budget_runtime_estimator": "flops",
        "activation_memory_budget_solver": "dp",
        "aggressive_recomputation": False,
        "debug_partitioner": False,
        "donated_buffer": False,
        "enable_autograd_cache": True,
        "functionalize_rng_ops": False,
        "recompute_views": False,
        "ban_recompute_not_in_allowlist": True,
    },
)

__all__ = ["config"]
