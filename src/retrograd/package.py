"""torch.package: archives of code and models are not written here."""

from __future__ import annotations

from typing import Any


class PackageExporter:
    """Not to be made: save the state_dict, and ship the code as Python packages are shipped."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(
            "torch.package is not here: torch.save(model.state_dict(), path), and ship the code as a Python package"
        )


PackageImporter = PackageExporter

__all__ = ["PackageExporter", "PackageImporter"]
