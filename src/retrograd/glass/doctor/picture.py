"""The variances of a diagnosis as a picture: over depth, measured as dots, predicted as lines."""

from __future__ import annotations

import os
from typing import Any

COLOURS = {"forward": "#0072b2", "backward": "#d55e00"}  # Okabe and Ito's, told apart by everybody


def save(diagnosis: Any, path: str | os.PathLike[str]) -> None:
    """Draw log10 of each layer's variances, of results and of gradients; ImportError without matplotlib, ValueError without layers."""
    if not diagnosis.profile:
        raise ValueError("save: the model has no layer with a weight, so there are no variances to draw")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'retrograd[plots]'") from error
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    depth = range(1, len(diagnosis.profile) + 1)
    for axes, which, title in zip(
        figure.subplots(1, 2), ("forward", "backward"), ("results, forward", "gradients, backward"), strict=True
    ):
        measured = [getattr(p, which) for p in diagnosis.profile]
        predicted = [getattr(p, f"predicted_{which}") for p in diagnosis.profile]
        axes.plot(depth, predicted, color=COLOURS[which], label="predicted", linewidth=1.5)
        axes.plot(depth, measured, "o", color=COLOURS[which], label="measured", markersize=4, fillstyle="none")
        axes.set(xlabel="layer", ylabel="log10 of the variance", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(os.fspath(path), metadata={"Date": None} if str(path).endswith(".svg") else None)
