"""Batch and instance normalisation: statistics over the batch and space, or over each sample's space."""

from __future__ import annotations

import warnings
from typing import Any

from ...core import dtypes
from ...tensor import tensor
from .. import _functions as T
from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter, is_lazy
from ..world import process_group
from .lazy import LazyModuleMixin
from .module import Module


class _NormBase(Module):
    """Weight, bias and running statistics of a normalisation over channels."""

    _version = 2
    num_features: int
    _dims: tuple[int, ...] = ()  # the inputs' numbers of dimensions
    _wanted = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(T.empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        if track_running_stats:
            self.register_buffer("running_mean", T.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", T.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", tensor(0, dtype=dtypes.int64))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the count to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set the weight to 1, the bias to 0, and the running statistics to their start."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() not in self._dims:
            raise ValueError(f"expected {self._wanted} input (got {input.dim()}D input)")

    def extra_repr(self) -> str:
        """Give the sizes and choices."""
        shown = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{shown}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"

    def _brief_repr(self) -> str:
        return str(self.num_features)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            counted = self.num_batches_tracked
            state_dict[key] = tensor(0, dtype=dtypes.int64) if counted is None else counted
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    """Standardise each channel over batch and space."""

    def forward(self, input: Any) -> Any:
        """Normalise, and while training move the running statistics."""
        self._check_input_dim(input)
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                share = 1.0 / float(self.num_batches_tracked)
        tracks = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracks else None,
            self.running_var if tracks else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            share,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Standardise each channel of (N, C) or (N, C, L): y = (x - mean) / sqrt(var + eps) * weight + bias.

    While training the statistics are the batch's, and the running ones move by ``momentum`` towards them (by 1 / n
    after n batches when it is None); in evaluation the running ones are used. ValueError for other dimensions.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.BatchNorm1d(1)(torch.tensor([[1.0], [3.0]])).flatten().round().tolist()
    [-1.0, 1.0]
    """

    _dims, _wanted = (2, 3), "2D or 3D"


class BatchNorm2d(_BatchNorm):
    """Standardise each channel of (N, C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.BatchNorm2d(3)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    _dims, _wanted = (4,), "4D"


class BatchNorm3d(_BatchNorm):
    """Standardise each channel of (N, C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.BatchNorm3d(3)(torch.zeros(2, 3, 1, 2, 2)).shape
    torch.Size([2, 3, 1, 2, 2])
    """

    _dims, _wanted = (5,), "5D"


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of (N, C, ...); with one process there is nothing to synchronise.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.SyncBatchNorm(3)(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")
        if self.training and process_group() is not None:
            raise ValueError("SyncBatchNorm expected input tensor to be on GPU: use a BatchNorm layer on the CPU")

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """Give a module in which every batch normalisation is a SyncBatchNorm with the same state.

        Parameters
        ----------
        module : Module
            Is changed, unless it is a batch normalisation itself.
        process_group : optional
            Kept as ``process_group``.

        Examples
        --------
        >>> from retrograd import nn
        >>> net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3)))
        >>> type(net[0]).__name__
        'SyncBatchNorm'
        """
        converted = module
        if isinstance(module, _BatchNorm):
            sizes = (module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
            converted = cls(*sizes, process_group, bias=module.bias is not None)
            for name in ("weight", "bias") if module.affine else ():
                setattr(converted, name, getattr(module, name))
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted


class _InstanceNorm(_NormBase):
    """Standardise each channel of each sample over space."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        """Normalise; a sample without a batch dimension is one too."""
        self._check_input_dim(input)
        single = input.dim() == self._dims[0]
        axis = input.dim() - self._dims[0]
        if input.size(axis) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={axis} to match num_features ({self.num_features}), "
                    f"but got: {input.size(axis)}."
                )
            warnings.warn(
                f"input's size at dim={axis} does not match num_features. You can silence this warning by not passing "
                "in num_features, which is not used because affine=False",
                stacklevel=3,
            )
        result = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if single else result


class InstanceNorm1d(_InstanceNorm):
    """Standardise each channel of each sample of (N, C, L) or (C, L).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.InstanceNorm1d(1)(torch.tensor([[1.0, 3.0]])).round()
    tensor([[-1.,  1.]])
    """

    _dims, _wanted = (2, 3), "2D or 3D"


class InstanceNorm2d(_InstanceNorm):
    """Standardise each channel of each sample of (N, C, H, W) or (C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.InstanceNorm2d(3)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    _dims, _wanted = (3, 4), "3D or 4D"


class InstanceNorm3d(_InstanceNorm):
    """Standardise each channel of each sample of (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.InstanceNorm3d(3)(torch.zeros(2, 3, 1, 2, 2)).shape
    torch.Size([2, 3, 1, 2, 2])
    """

    _dims, _wanted = (4, 5), "4D or 5D"


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """A normalisation that takes ``num_features`` from its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        place = {"device": device, "dtype": dtype}
        super().__init__(0, eps, momentum, False, False, **place, bias=False)
        self.affine, self.track_running_stats = affine, track_running_stats
        if affine:
            self.weight = UninitializedParameter(**place)
            if bias:
                self.bias = UninitializedParameter(**place)
        if track_running_stats:
            self.running_mean, self.running_var = UninitializedBuffer(**place), UninitializedBuffer(**place)
            self.num_batches_tracked = tensor(0, dtype=dtypes.int64)

    def reset_parameters(self) -> None:
        """Set weight, bias and statistics to their start, once they have their shapes."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Take ``num_features`` from the input's second dimension."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for held in (self.weight, self.bias, self.running_mean, self.running_var):
            if is_lazy(held):
                held.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """`BatchNorm1d` that takes ``num_features`` from its first input, and is a BatchNorm1d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyBatchNorm1d()
    >>> _ = layer(torch.zeros(2, 3, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = BatchNorm1d
    _dims, _wanted = BatchNorm1d._dims, BatchNorm1d._wanted


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """`BatchNorm2d` that takes ``num_features`` from its first input, and is a BatchNorm2d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyBatchNorm2d()
    >>> _ = layer(torch.zeros(2, 3, 4, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = BatchNorm2d
    _dims, _wanted = BatchNorm2d._dims, BatchNorm2d._wanted


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """`BatchNorm3d` that takes ``num_features`` from its first input, and is a BatchNorm3d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyBatchNorm3d()
    >>> _ = layer(torch.zeros(2, 3, 4, 4, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = BatchNorm3d
    _dims, _wanted = BatchNorm3d._dims, BatchNorm3d._wanted


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """`InstanceNorm1d` that takes ``num_features`` from its first input, and is an InstanceNorm1d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyInstanceNorm1d()
    >>> _ = layer(torch.zeros(2, 3, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = InstanceNorm1d
    _dims, _wanted = InstanceNorm1d._dims, InstanceNorm1d._wanted


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """`InstanceNorm2d` that takes ``num_features`` from its first input, and is an InstanceNorm2d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyInstanceNorm2d()
    >>> _ = layer(torch.zeros(2, 3, 4, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = InstanceNorm2d
    _dims, _wanted = InstanceNorm2d._dims, InstanceNorm2d._wanted


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """`InstanceNorm3d` that takes ``num_features`` from its first input, and is an InstanceNorm3d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyInstanceNorm3d()
    >>> _ = layer(torch.zeros(2, 3, 4, 4, 4))
    >>> layer.num_features
    3
    """

    cls_to_become = InstanceNorm3d
    _dims, _wanted = InstanceNorm3d._dims, InstanceNorm3d._wanted
