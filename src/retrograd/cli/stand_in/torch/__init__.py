"""What `import torch` finds first in a worker process of a program that runs on retrograd, for which it steps aside."""

import sys

del sys.modules["torch"]

import retrograd.as_torch  # noqa: E402  (it refuses while another torch is in sys.modules: this one had to leave first)

sys.modules["torch"] = sys.modules["retrograd"]
