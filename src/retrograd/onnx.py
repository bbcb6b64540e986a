"""torch.onnx: models cannot be written in this format here."""

from __future__ import annotations

from typing import Any


class OnnxExporterError(RuntimeError):
    """What exporting raises."""


def export(*args: Any, **options: Any) -> Any:
    """Raise OnnxExporterError: save the state_dict, and export with PyTorch, which reads the same file."""
    raise OnnxExporterError(
        "torch.onnx.export: retrograd writes no ONNX files; torch.save(model.state_dict(), path), and export that with PyTorch"
    )


dynamo_export = export


def is_in_onnx_export() -> bool:
    """Tell whether a model is being exported: no."""
    return False


__all__ = ["OnnxExporterError", "export", "is_in_onnx_export"]
