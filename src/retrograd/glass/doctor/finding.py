"""A finding and a diagnosis: what is wrong in plain words, the evidence, how bad it is, and what mends it."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("error", "warning", "note")


@dataclass
class Finding:
    """One thing that is wrong with a model, its data or its training.

    Attributes
    ----------
    kind
        Its name: vanishing, exploding, dead-units, saturation, initialisation, inputs, validation, first-loss, broadcast,
        labels, loss, no-gradient, learning-rate, not-finite.
    severity
        "error" (training cannot work), "warning" (it will work badly) or "note".
    title, text
        In one line, and in words.
    evidence
        The numbers that it rests on.
    repair
        What to do.
    module, place
        The module's path and the user's line, where there is one.
    layers
        Paths of the layers that :func:`retrograd.glass.repair` would initialise anew; empty if it can do nothing.
    node
        The node's number in an explained graph, if the finding is about one.
    """

    kind: str
    severity: str
    title: str
    text: str
    evidence: str
    repair: str
    module: str = ""
    place: str = ""
    layers: list[str] = field(default_factory=list)
    node: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give everything as text and numbers."""
        return dict(vars(self))

    def __str__(self) -> str:
        where = " · ".join(part for part in (self.module and f"module {self.module}", self.place) if part)
        lines = [
            f"{self.severity}: {self.title}",
            f"  {self.text}",
            f"  evidence: {self.evidence}",
            f"  repair: {self.repair}",
        ]
        return "\n".join([*lines, *([f"  where: {where}"] if where else [])])


@dataclass
class Profile:
    """A layer's variances, measured and predicted, as log10."""

    layer: str
    kind: str
    fan_in: float
    weight_std: float
    forward: float
    predicted_forward: float
    backward: float
    predicted_backward: float


@dataclass
class Diagnosis:
    """What the doctor found, worst first, and the variances it looked at.

    It is a sequence of findings: ``len(diagnosis) == 0`` for a healthy model.

    Attributes
    ----------
    findings
        The findings.
    profile
        One entry for each layer with a weight, in forward order.
    model
        The model that was looked at; :func:`retrograd.glass.repair` mends it.
    title
        What was looked at.
    """

    findings: list[Finding]
    profile: list[Profile] = field(default_factory=list)
    model: Any = None
    title: str = ""
    batch: Any = None
    loss: Any = None
    again: Any = None  # looks once more, at what a repair changed

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, i: int) -> Finding:
        return self.findings[i]

    @property
    def kinds(self) -> list[str]:
        """The findings' kinds, worst first."""
        return [f.kind for f in self.findings]

    def table(self) -> str:
        """Give the variances layer by layer as text: log10, measured and predicted."""
        if not self.profile:
            return ""
        head = ("layer", "kind", "fan in", "weight std", "forward", "predicted", "backward", "predicted")
        rows = [
            (
                p.layer or "(model)",
                p.kind,
                f"{p.fan_in:.0f}",
                f"{p.weight_std:.3g}",
                *(f"{v:+.2f}" for v in (p.forward, p.predicted_forward, p.backward, p.predicted_backward)),
            )
            for p in self.profile
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
            for r in [head, *rows]
        ]
        return "\n".join(["log10 of the variance of each layer's results and of their gradients:", *lines])

    def __str__(self) -> str:
        found = "\n\n".join(map(str, self.findings)) or "Nothing found: values, gradients, data and loss look healthy."
        head = f"{self.title}\n\n" if self.title else ""
        return head + found + (f"\n\n{self.table()}" if self.profile else "")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draw the variances over depth, measured and predicted, as a PNG, SVG or PDF file; needs matplotlib."""
        from .picture import save

        save(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as data, as the page shows it."""
        return {"findings": [f.to_dict() for f in self.findings], "profile": [dict(vars(p)) for p in self.profile]}

    def to_page(self) -> dict[str, Any]:
        """Give the page's sections: findings, and variances over depth."""
        names = [p.layer for p in self.profile]
        profiles = [
            {
                "name": f"log10 variance, {kind}",
                "layers": names,
                "values": [[getattr(p, which) for p in self.profile]],
                "predicted": [getattr(p, f"predicted_{which}") for p in self.profile],
            }
            for which, kind in (("forward", "results"), ("backward", "gradients"))
        ]
        return {"findings": [f.to_dict() for f in self.findings], "record": {"profiles": profiles if names else []}}

    def _repr_html_(self) -> str:
        colours = {"error": "#b3261e", "warning": "#8a5a00", "note": "#0b5cad"}
        parts = [
            f"<p><b style='color:{colours[f.severity]}'>{f.severity}: {html.escape(f.title)}</b><br>{html.escape(f.text)}<br>"
            f"<i>evidence:</i> {html.escape(f.evidence)}<br><i>repair:</i> {html.escape(f.repair)}</p>"
            for f in self.findings
        ] or ["<p>Nothing found.</p>"]
        return "".join(parts) + f"<pre>{html.escape(self.table())}</pre>"


def ordered(findings: list[Finding]) -> list[Finding]:
    """Sort findings, the worst first."""
    return sorted(findings, key=lambda f: SEVERITIES.index(f.severity))
