"""torch._inductor: the settings that programs make of PyTorch's code generator, kept; the compiler here has none of them.

>>> import retrograd as torch
>>> import retrograd._inductor
>>> torch._inductor.config.coordinate_descent_tuning = True
>>> torch._inductor.config.coordinate_descent_tuning
True
"""

from __future__ import annotations

from typing import Any

from .utils._settings import Settings

config = Settings(
    f"{__name__}.config",
    {
        "debug": False,
        "fx_graph_cache": True,
        "fx_graph_remote_cache": None,
        "force_disable_caches": False,
        "autotune_local_cache": True,
        "cpp_wrapper": False,
        "dce": False,
        "size_asserts": True,
        "nan_asserts": False,
        "inplace_buffers": True,
        "allow_buffer_reuse": True,
        "memory_planning": False,
        "epilogue_fusion": True,
        "epilogue_fusion_first": False,
        "pattern_matcher": True,
        "use_mixed_mm": True,
        "mixed_mm_choice": "heuristic",
        "force_fuse_int_mm_with_mul": False,
        "reorder_for_peak_memory": True,
        "max_autotune": False,
        "max_autotune_pointwise": False,
        "max_autotune_gemm": False,
        "max_autotune_gemm_backends": "ATEN,TRITON,CPP",
        "coordinate_descent_tuning": False,
        "coordinate_descent_check_all_directions": False,
        "layout_optimization": True,
        "fallback_random": False,
        "implicit_fallbacks": True,
        "aggressive_fusion": False,
        "benchmark_fusion": False,
        "benchmark_kernel": False,
        "combo_kernels": False,
        "conv_1x1_as_mm": False,
        "split_reductions": True,
        "deterministic": False,
        "joint_graph_constant_folding": True,
        "compile_threads": 1,
        "shape_padding": True,
        "comprehensive_padding": True,
        "permute_fusion": False,
        "profile_bandwidth": False,
        "freezing": False,
        "freezing_discard_parameters": False,
        "emulate_precision_casts": False,
        "cpp.threads": -1,
        "cpp.simdlen": None,
        "cpp.enable_kernel_profile": False,
        "cpp.weight_prepack": True,
        "triton.cudagraphs": False,
        "triton.cudagraph_trees": True,
        "triton.cudagraph_skip_dynamic_graphs": False,
        "triton.cudagraph_support_input_mutation": True,
        "triton.dense_indexing": False,
        "triton.unique_kernel_names": True,
        "triton.descriptive_names": "original_aten",
        "triton.persistent_reductions": True,
        "triton.multi_kernel": 0,
        "triton.store_cubin": False,
        "trace.enabled": False,
        "trace.graph_diagram": False,
        "aot_inductor.output_path": "",
        "aot_inductor.package": False,
    },
)
MODES: dict[str, dict[str, bool]] = {
    "default": {},
    "reduce-overhead": {"triton.cudagraphs": True},
    "max-autotune-no-cudagraphs": {"max_autotune": True, "coordinate_descent_tuning": True},
    "max-autotune": {"max_autotune": True, "triton.cudagraphs": True, "coordinate_descent_tuning": True},
}


def list_mode_options(mode: str | None = None, dynamic: bool | None = None) -> dict[str, Any]:
    """Give the options that each mode of ``torch.compile`` stands for in PyTorch, or those of one mode.

    Raises
    ------
    RuntimeError
        When there is no such mode.

    Examples
    --------
    >>> list_mode_options("reduce-overhead")
    {'triton.cudagraphs': True}
    """
    if mode is None:
        return {name: dict(options) for name, options in MODES.items()}
    if mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    return dict(MODES[mode])


def list_options() -> list[str]:
    """Give the names of all settings."""
    return list(config.get_config_copy())


def cudagraph_mark_step_begin() -> None:
    """Do nothing: no CUDA graph is recorded."""


__all__ = ["config", "cudagraph_mark_step_begin", "list_mode_options", "list_options"]
