"""torch's functions of layers and losses under the signatures of the module torch: options by number and position."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, check_writable, wrap
from . import _functions as T
from . import functional as F
from .functional import bags, sampling
from .functional.dropout import _apply, _dropped
from .functional.linear import _renormalise

REDUCTIONS = ("none", "mean", "sum")
NONE, MEAN, SUM = range(3)


def _reduction(number: int) -> str:
    if number not in (NONE, MEAN, SUM):
        raise RuntimeError(f"{number} is no reduction: 0 is none, 1 the mean, 2 the sum")
    return REDUCTIONS[number]


# -- normalisations ------------------------------------------------------------------------------------------------------
def batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """Standardise each channel: see `torch.nn.functional.batch_norm`."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """Standardise each channel of each sample: see `torch.nn.functional.instance_norm`."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """Standardise the last dimensions: see `torch.nn.functional.layer_norm`."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True
) -> Any:
    """Standardise groups of channels: see `torch.nn.functional.group_norm`."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def _statistics(x: Any, over: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """Give the mean over dimensions that are kept, and the inverse of the standard deviation."""
    mean = x.mean(over, keepdim=True)
    return mean, T.rsqrt(T.square(x - mean).mean(over, keepdim=True) + eps)


def native_layer_norm(input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """Give a layer norm, the means, and the inverses of the standard deviations.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.native_layer_norm(torch.tensor([[1.0, 3.0]]), [2], None, None, 1e-5)[1]
    tensor([[2.]])
    """
    shape = tuple(normalized_shape)
    return F.layer_norm(input, shape, weight, bias, eps), *_statistics(
        input.detach(), tuple(range(-len(shape), 0)), eps
    )


def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:
    """Give a batch norm, and in training the batch's means and inverses of standard deviations (else two empty ones)."""
    result = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return result, input.new_empty(0), input.new_empty(0)
    mean, inverse = _statistics(input.detach(), (0, *range(2, input.dim())), eps)
    return result, mean.flatten(), inverse.flatten()


def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """Give a group norm, and each group's mean and inverse of the standard deviation, (N, group)."""
    mean, inverse = _statistics(input.reshape(N, group, C // group * HxW), (2,), eps)
    return F.group_norm(input, group, weight, bias, eps), mean.squeeze(2), inverse.squeeze(2)


# -- tables --------------------------------------------------------------------------------------------------------------
def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Look rows up by number; a negative ``padding_idx`` is none: see `torch.nn.functional.embedding`."""
    return F.embedding(
        indices, weight, padding_idx if padding_idx >= 0 else None, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def embedding_renorm_(input: Any, indices: Any, max_norm: float, norm_type: float) -> Any:
    """Scale the rows that are named down, in place, to a norm of at most ``max_norm``."""
    check_writable(input, "embedding_renorm_")
    _renormalise(indices, input, max_norm, norm_type)
    return input


def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Reduce bags of rows (mode 0 the sum, 1 the mean, 2 the largest); also each number's bag, and the bags' sizes.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.embedding_bag(torch.ones(3, 2), torch.tensor([0, 1, 2]), torch.tensor([0, 2]))[0]
    tensor([[2., 2.],
            [1., 1.]])
    """
    if mode not in (0, 1, 2):
        raise RuntimeError(f"embedding_bag: {mode} is no mode: 0 is the sum, 1 the mean, 2 the largest")
    return bags.bags(
        weight, indices, offsets, scale_grad_by_freq, mode, per_sample_weights, include_last_offset, padding_idx
    )


# -- losses --------------------------------------------------------------------------------------------------------------
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = MEAN,
    zero_infinity: bool = False,
) -> Any:
    """Negative log probability of a labelling: see `torch.nn.functional.ctc_loss`."""
    return F.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction), bool(zero_infinity)
    )


def kl_div(input: Any, target: Any, reduction: int = MEAN, *, log_target: bool = False) -> Any:
    """Divergence of Kullback and Leibler, each element by itself: see `torch.nn.functional.kl_div`."""
    loss = F.kl_div(input, target, reduction="none", log_target=log_target)
    return loss if reduction == NONE else loss.mean() if reduction == MEAN else loss.sum()


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = MEAN) -> Any:
    """See `torch.nn.functional.margin_ranking_loss`."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = MEAN) -> Any:
    """See `torch.nn.functional.hinge_embedding_loss`."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = MEAN,
) -> Any:
    """See `torch.nn.functional.triplet_margin_loss`."""
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction))


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = MEAN) -> Any:
    """See `torch.nn.functional.cosine_embedding_loss`."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def poisson_nll_loss(input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int) -> Any:
    """See `torch.nn.functional.poisson_nll_loss`."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_reduction(reduction))


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Any:
    """See `torch.nn.functional.binary_cross_entropy_with_logits`."""
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


# -- dropout -------------------------------------------------------------------------------------------------------------
def _chance(p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def dropout(input: Any, p: float, train: bool) -> Any:
    """See `torch.nn.functional.dropout`."""
    return F.dropout(input, _chance(p), train)


def dropout_(input: Any, p: float, train: bool) -> Any:
    """Do what `torch.dropout` does, in place."""
    return F.dropout(input, _chance(p), train, inplace=True)


def alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """See `torch.nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, _chance(p), train)


def alpha_dropout_(input: Any, p: float, train: bool) -> Any:
    """Do what `torch.alpha_dropout` does, in place."""
    return F.alpha_dropout(input, _chance(p), train, inplace=True)


def feature_alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """See `torch.nn.functional.feature_alpha_dropout`."""
    return F.feature_alpha_dropout(input, _chance(p), train)


def feature_alpha_dropout_(input: Any, p: float, train: bool) -> Any:
    """Do what `torch.feature_alpha_dropout` does, in place."""
    return F.feature_alpha_dropout(input, _chance(p), train, inplace=True)


def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Set whole channels of (N, C, ...) to zero with probability p and divide the rest by 1 - p."""
    return _apply(_dropped, input, _chance(p), train, False, True)


def feature_dropout_(input: Any, p: float, train: bool) -> Any:
    """Do what `torch.feature_dropout` does, in place."""
    return _apply(_dropped, input, _chance(p), train, True, True)


def native_dropout(input: Any, p: float, train: bool | None) -> tuple[Any, Any]:
    """Give the dropped input and the mask of what was kept."""
    if train is False or not input.numel():
        return input.clone(), wrap(np.ones(input.shape, np.bool_))
    if p == 1:
        return input * 0.0, wrap(np.zeros(input.shape, np.bool_))
    kept = T.empty_like(input, requires_grad=False).bernoulli_(1 - _chance(p))
    return input * kept * (1 / (1 - p)), kept.bool()


# -- convolution, pooling, sampling ------------------------------------------------------------------------------------
def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """Convolve in as many dimensions as the weight has, or, ``transposed``, do the transpose of that.

    Examples
    --------
    >>> import retrograd as torch
    >>> x, w = torch.ones(1, 1, 4), torch.ones(1, 1, 2)
    >>> torch.convolution(x, w, None, [1], [0], [1], False, [0], 1)
    tensor([[[2., 2., 2.]]])
    """
    dims = weight.dim() - 2
    if dims not in (1, 2, 3):
        raise RuntimeError(f"weight should have at least three dimensions, and at most five, not {weight.dim()}")
    if not transposed:
        return getattr(F, f"conv{dims}d")(input, weight, bias, stride, padding, dilation, groups)
    transpose = getattr(F, f"conv_transpose{dims}d")
    return transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)


def adaptive_max_pool1d(input: Any, output_size: Any) -> tuple[Any, Any]:
    """Give the largest of each window that shares the input out, and their places."""
    both: tuple[Any, Any] = F.adaptive_max_pool1d(input, output_size, True)
    return both


def _sampled(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    if interpolation_mode not in (0, 1, 2) or padding_mode not in (0, 1, 2):
        raise RuntimeError(
            f"grid_sampler(): interpolation {interpolation_mode} and padding {padding_mode}: modes are numbered 0 to 2"
        )
    return sampling.sampled(
        input, grid, sampling.MODES[interpolation_mode], sampling.PADDINGS[padding_mode], bool(align_corners)
    )


def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """Sample at the points of a grid: see `torch.nn.functional.grid_sample`; modes 0 linear, 1 nearest, 2 cubic."""
    return _sampled(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_2d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """Sample images (N, C, H, W) at the points of a grid."""
    return _sampled(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """Sample volumes (N, C, D, H, W) at the points of a grid."""
    return _sampled(input, grid, interpolation_mode, padding_mode, align_corners)


def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """Give the grid of an affine map: see `torch.nn.functional.affine_grid`."""
    return sampling.affine_points(theta, tuple(int(n) for n in size), align_corners)


# -- recurrent layers ------------------------------------------------------------------------------------------------------
def _recurrent(mode: str, args: tuple[Any, ...]) -> Any:
    from .modules.recurrence import by_arguments

    return by_arguments(mode, args)


def lstm(*args: Any) -> tuple[Any, Any, Any]:
    """Run a long short-term memory over sequences; gives the output, h and c.

    The arguments are (input, (h, c), weights, has_biases, num_layers, dropout, train, bidirectional, batch_first), or, of a
    packed batch, (data, batch_sizes, (h, c), weights, has_biases, num_layers, dropout, train, bidirectional).
    """
    output, last = _recurrent("LSTM", args)
    return output, *last


def gru(*args: Any) -> tuple[Any, Any]:
    """Run gated recurrent units over sequences; the arguments are those of `torch.lstm` with one state, h."""
    found: tuple[Any, Any] = _recurrent("GRU", args)
    return found


def rnn_tanh(*args: Any) -> tuple[Any, Any]:
    """Run Elman's recurrent layer with tanh over sequences; the arguments are those of `torch.gru`."""
    found: tuple[Any, Any] = _recurrent("RNN_TANH", args)
    return found


def rnn_relu(*args: Any) -> tuple[Any, Any]:
    """Run Elman's recurrent layer with relu over sequences; the arguments are those of `torch.gru`."""
    found: tuple[Any, Any] = _recurrent("RNN_RELU", args)
    return found


def _gates(input: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> None:
    for what, x, w in (("input", input, w_ih), ("hidden", h, w_hh)):
        if not isinstance(x, BaseTensor) or x.shape[-1] != w.shape[1]:
            raise RuntimeError(f"{what} has inconsistent size: its last dimension should have {w.shape[1]} features")


def lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """Give the next (h, c) of a long short-term memory: see `torch.nn.LSTMCell`."""
    from .modules.recurrence import lstm_cell_state, lstm_output

    h, c = hx
    _gates(input, h, w_ih, w_hh, b_ih, b_hh)
    gates = F.linear(input, w_ih, b_ih) + F.linear(h, w_hh, b_hh)
    c = lstm_cell_state(gates, c)
    return lstm_output(gates, c), c


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Give the next state of a gated recurrent unit: see `torch.nn.GRUCell`."""
    from .modules.recurrence import gru_step

    _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    return gru_step(F.linear(input, w_ih, b_ih), hx, w_hh, b_hh)


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Give the next state of Elman's recurrent layer with tanh: see `torch.nn.RNNCell`."""
    _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    return T.tanh(F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh))


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Give the next state of Elman's recurrent layer with relu: see `torch.nn.RNNCell`."""
    _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    return T.relu(F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh))


def cudnn_is_acceptable(input: Any) -> bool:
    """Tell that there is no cuDNN here."""
    if not isinstance(input, BaseTensor):
        raise TypeError(f"cudnn_is_acceptable(): argument 'input' must be Tensor, not {type(input).__name__}")
    return False
