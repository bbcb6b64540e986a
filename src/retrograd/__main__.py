"""``python -m retrograd``: the ``retrograd`` command, where its script is not on the path."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
