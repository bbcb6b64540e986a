"""What `import torchvision` finds first in a worker process of a program that runs on retrograd; it steps aside."""

import sys

del sys.modules["torchvision"]

import retrograd.as_torch  # noqa: E402  (from here on the name means retrograd's own)
import retrograd.torchvision  # noqa: E402

sys.modules["torchvision"] = sys.modules["retrograd.torchvision"]
