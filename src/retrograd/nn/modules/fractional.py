"""Fractional max pooling as layers: the largest of windows whose steps are drawn."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import _pair, _triple


class _FractionalMaxPoolNd(Module):
    """The windows' size, and the output's size or ratio."""

    def __init__(
        self, shaped: Any, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
    ) -> None:
        super().__init__()
        self.kernel_size, self.return_indices = shaped(kernel_size), return_indices
        self.register_buffer("_random_samples", samples)
        self.output_size = None if output_size is None else shaped(output_size)
        self.output_ratio = None if output_ratio is None else shaped(output_ratio)
        name = type(self).__name__
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Largest element of windows whose steps are drawn, so that (H, W) shrinks to any size.

    Source: Graham 2014, https://arxiv.org/abs/1412.6071.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.FractionalMaxPool2d(2, output_ratio=0.5)(torch.ones(1, 3, 8, 6)).shape
    torch.Size([1, 3, 4, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__(_pair, kernel_size, output_size, output_ratio, return_indices, _random_samples)

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Largest element of windows whose steps are drawn, so that (D, H, W) shrinks to any size.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.FractionalMaxPool3d(2, output_size=3)(torch.ones(1, 2, 8, 8, 8)).shape
    torch.Size([1, 2, 3, 3, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        if any(k <= 0 for k in _triple(kernel_size)):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        super().__init__(_triple, kernel_size, output_size, output_ratio, return_indices, _random_samples)

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )
