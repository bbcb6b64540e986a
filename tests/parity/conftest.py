"""What keeps the tests beside PyTorch apart from each other."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _distributions_check_their_arguments():
    """PyTorch's compiler switches that off for good when it is first used."""
    torch = pytest.importorskip("torch")
    torch.distributions.Distribution.set_default_validate_args(True)
