"""Cases for torch.nn, its functions, its initialisers and its helpers."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.test_nn_layers import LAYERS
from parity.test_nn_losses import CLASSES, ONE_HOT, SIGNS, SOFT
from parity.test_nn_losses import P as LIKELY

from .cases import C3, RNG, Args, Case, P, X, Y, named, same, words

SEQUENCE, IMAGE, VOLUME = RNG.normal(size=(2, 4, 6)), RNG.normal(size=(2, 4, 6, 6)), RNG.normal(size=(1, 4, 4, 4, 4))
BOX = RNG.normal(size=(1, 4, 5, 5, 5))
SPACES = {"1d": SEQUENCE, "2d": IMAGE, "3d": VOLUME}
KERNEL = {n: RNG.normal(size=(3, 4) + (3,) * int(n[0])) for n in SPACES}
TURNED = {n: RNG.normal(size=(4, 3) + (2,) * int(n[0])) for n in SPACES}
A, E, G = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5))
WEIGHT, BIAS = RNG.normal(size=(3, 4)), RNG.normal(size=3)
CODES, LABELS = np.array([[1, 0, 3], [2, 2, 1]]), np.array([[1, 0, -1, 2, 3]] * 4)
HEADS = RNG.normal(size=(2, 2, 3, 4))
TOKENS = RNG.normal(size=(5, 2, 8))
SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "dropout": 0.0}


def layer(make: Any, *arrays: Any, tolerance: float | None = None) -> Case:
    """A module made from the seed, in float64, and called: its results, its state and its own description."""

    def call(t: Any, *tensors: Any) -> Any:
        module = make(t).double()
        out = module(*tensors)
        return out, list(module.state_dict()), repr(module)

    return Case(call, *arrays, tolerance=tolerance)


def plain(name: str, *arrays: Any, **options: Any) -> Any:
    return {name: layer(lambda t: getattr(t.nn, name)(**options), *arrays)}


def from_table() -> dict[str, Any]:
    """The first row of each layer in the table of layers."""
    found: dict[str, Any] = {}
    for row, (make, x) in LAYERS.items():
        given = RNG.normal(size=x) if isinstance(x, tuple) else x
        loose = 1e-5 if "Upsampl" in row else None  # torch computes the places of bilinear points in float32
        found.setdefault(row.split()[0], layer(lambda t, make=make: make(t.nn), given, tolerance=loose))
    return found


def unpooled(n: int, pool: str) -> Case:
    def call(t: Any, x: Any) -> Any:
        y, at = named(t.nn.functional, f"max_pool{n}d")(x, 2, return_indices=True)
        return (
            getattr(t.nn, f"MaxUnpool{n}d")(2)(y, at) if pool else named(t.nn.functional, f"max_unpool{n}d")(y, at, 2)
        )

    return Case(call, SPACES[f"{n}d"])


def lazy(name: str, *options: Any) -> Case:
    n = name[-2:] if name[-1] == "d" else ""
    return Case(
        lambda t, x: (lambda m: (m(x.float()), repr(m)))(getattr(t.nn, name)(*options)),
        SPACES[n] if n else X,
        tolerance=1e-5,
    )


def trained(t: Any, x: Any) -> Any:
    class Twice(t.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = t.nn.Parameter(t.full((4,), 2.0, dtype=t.float64))

        def forward(self, x: Any) -> Any:
            return x * self.scale

    module = Twice()
    return module(x), next(iter(module.named_parameters()))[0], repr(module)


def parts(t: Any, x: Any, kind: str) -> Any:
    two = t.nn.Linear(4, 4), t.nn.ReLU()
    made = t.nn.ModuleList(two) if kind == "ModuleList" else t.nn.ModuleDict(dict(zip("ab", two)))
    for part in made if kind == "ModuleList" else made.values():
        x = part.double()(x)
    return x, repr(made), list(made.state_dict())


ACTIVATIONS = "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
PAIRED = {
    "MSELoss": (A, E),
    "L1Loss": (A, E),
    "SmoothL1Loss": (A, E),
    "HuberLoss": (A, E),
    "PoissonNLLLoss": (A, LIKELY),
    "BCELoss": (LIKELY, ONE_HOT),
    "BCEWithLogitsLoss": (A, ONE_HOT),
    "CrossEntropyLoss": (A, CLASSES),
    "NLLLoss": (A, CLASSES),
    "NLLLoss2d": (A, CLASSES),
    "KLDivLoss": (A, SOFT),
    "SoftMarginLoss": (A, SIGNS),
    "HingeEmbeddingLoss": (A, SIGNS),
    "MultiLabelSoftMarginLoss": (A, ONE_HOT),
    "MultiMarginLoss": (A, CLASSES),
    "MultiLabelMarginLoss": (A, LABELS),
    "TripletMarginLoss": (A, E, G),
    "MarginRankingLoss": (A, E, SIGNS),
    "CosineEmbeddingLoss": (A, E, SIGNS[:, 0]),
    "GaussianNLLLoss": (A, E, LIKELY),
    "TripletMarginWithDistanceLoss": (A, E, G),
}
NN: dict[str, Any] = {
    **from_table(),
    **{
        name: layer(lambda t, name=name: getattr(t.nn, name)(), X, tolerance=1e-7 if name == "Hardsigmoid" else None)
        for name in words(ACTIVATIONS)
    },
    **plain("Threshold", X, threshold=0.1, value=3.0),
    **plain("GLU", X),
    **plain("Softmax", X, dim=1),
    **plain("LogSoftmax", X, dim=1),
    **plain("Softmin", X, dim=1),
    **plain("Softmax2d", IMAGE),
    **{
        name: Case(
            lambda t, x, *xs, name=name: getattr(t.nn, name)()(
                x, *(y.detach() if name == "SoftMarginLoss" else y for y in xs)
            ),
            *given,
        )
        for name, given in PAIRED.items()
    },
    **{f"MaxUnpool{n}d": unpooled(n, "module") for n in (1, 2, 3)},
    **{f"LazyConv{n}": lazy(f"LazyConv{n}", 3, 2) for n in SPACES},
    **{f"LazyConvTranspose{n}": lazy(f"LazyConvTranspose{n}", 3, 2) for n in SPACES},
    **{f"LazyBatchNorm{n}": lazy(f"LazyBatchNorm{n}") for n in SPACES},
    **{f"LazyInstanceNorm{n}": lazy(f"LazyInstanceNorm{n}") for n in SPACES},
    "LazyLinear": lazy("LazyLinear", 3),
    # CrossMapLRN2d: PyTorch's own gradient fails its gradcheck, so only values are compared
    "CTCLoss": Case(
        lambda t, x: t.nn.CTCLoss()(x.log_softmax(-1), t.tensor([[1, 2], [3, 3]]), t.tensor([6, 5]), t.tensor([2, 1])),
        RNG.normal(size=(6, 2, 5)),
    ),
    "Bilinear": layer(lambda t: t.nn.Bilinear(4, 4, 3), X, Y),
    "CosineSimilarity": layer(lambda t: t.nn.CosineSimilarity(), X, Y),
    "PairwiseDistance": layer(lambda t: t.nn.PairwiseDistance(), X, Y),
    "EmbeddingBag": layer(lambda t: t.nn.EmbeddingBag(5, 3), CODES),
    "CrossMapLRN2d": Case(lambda t, x: t.nn.CrossMapLRN2d(3)(x.detach()), IMAGE),
    "AdaptiveLogSoftmaxWithLoss": layer(lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(5, 10, [3]), A, CLASSES),
    "FractionalMaxPool2d": layer(lambda t: t.nn.FractionalMaxPool2d(2, 3), IMAGE),
    "FractionalMaxPool3d": layer(lambda t: t.nn.FractionalMaxPool3d(2, 3), BOX),
    **{name: layer(lambda t, name=name: getattr(t.nn, name)(8, 3), TOKENS) for name in ("RNN", "LSTM", "GRU")},
    **{
        name: layer(lambda t, name=name: getattr(t.nn, name)(8, 3), TOKENS[0])
        for name in ("RNNCell", "LSTMCell", "GRUCell")
    },
    "MultiheadAttention": layer(lambda t: t.nn.MultiheadAttention(8, 2), TOKENS, TOKENS, TOKENS),
    "TransformerEncoderLayer": layer(lambda t: t.nn.TransformerEncoderLayer(**SMALL), TOKENS),
    "TransformerDecoderLayer": layer(lambda t: t.nn.TransformerDecoderLayer(**SMALL), TOKENS, TOKENS),
    "TransformerEncoder": layer(
        lambda t: t.nn.TransformerEncoder(t.nn.TransformerEncoderLayer(**SMALL), 2, enable_nested_tensor=False), TOKENS
    ),
    "TransformerDecoder": layer(
        lambda t: t.nn.TransformerDecoder(t.nn.TransformerDecoderLayer(**SMALL), 2), TOKENS, TOKENS
    ),
    "Transformer": layer(lambda t: t.nn.Transformer(8, 2, 1, 1, 16, 0.0), TOKENS, TOKENS),
    "Module": Case(trained, X),
    "Parameter": Case(trained, X),
    "Buffer": Case(lambda t: (isinstance(t.nn.Buffer(t.ones(2)), t.nn.Buffer), t.nn.Buffer(t.ones(2)))),
    "ModuleList": Case(lambda t, x: parts(t, x, "ModuleList"), X),
    "ModuleDict": Case(lambda t, x: parts(t, x, "ModuleDict"), X),
    "ParameterList": Case(lambda t: repr(t.nn.ParameterList([t.ones(2)]))),
    "ParameterDict": Case(lambda t: list(t.nn.ParameterDict({"a": t.ones(2)}).state_dict())),
    "DataParallel": layer(lambda t: t.nn.DataParallel(t.nn.Linear(4, 3)), X),
    "SyncBatchNorm": Case(lambda t: repr(t.nn.SyncBatchNorm(4))),
}

SAME_FUNCTION = "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 rrelu selu silu sigmoid softplus softshrink softsign tanh tanhshrink"
LOSSES = {
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "kl_div": "KLDivLoss",
    "soft_margin_loss": "SoftMarginLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "margin_ranking_loss": "MarginRankingLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "triplet_margin_with_distance_loss": "TripletMarginWithDistanceLoss",
}


def spaced(prefix: str, *more: Any, **options: Any) -> dict[str, Any]:
    """A function of one, two and three dimensions of space."""
    return {f"{prefix}{n}": Args(x, *more, **options) for n, x in SPACES.items()}


F: dict[str, Any] = {
    **same(SAME_FUNCTION, Args(X)),
    "hardsigmoid": Args(X, tolerance=1e-7),
    "threshold": Args(X, 0.1, 3.0),
    "prelu": Args(X, BIAS[:1]),
    "glu": Args(X),
    **{name: Args(*PAIRED[module]) for name, module in LOSSES.items()},
    "soft_margin_loss": Case(lambda t, x, y: t.nn.functional.soft_margin_loss(x, y.detach()), A, SIGNS),
    **same("softmax log_softmax softmin", Args(X, 1)),
    "gumbel_softmax": Args(X, tolerance=1e-6),
    "normalize": Args(X),
    "one_hot": Args(CODES, 4),
    "linear": Args(X, WEIGHT, BIAS),
    "bilinear": Args(X, Y, C3.repeat(2, 1)[:, :4, :]),
    "embedding": Args(CODES, X.T),
    "embedding_bag": Args(CODES, X.T),
    "cosine_similarity": Args(X, Y),
    "pairwise_distance": Args(X, Y),
    "pdist": Args(X),
    "dropout": Args(P, 0.4),
    "alpha_dropout": Args(X, 0.4, True),
    "feature_alpha_dropout": Args(IMAGE, 0.4, True),
    **spaced("dropout", 0.4),
    **spaced("avg_pool", 2),
    **spaced("max_pool", 2),
    **spaced("lp_pool", 2.0, 2),
    **spaced("adaptive_avg_pool", 3),
    **spaced("adaptive_max_pool", 3),
    "dropout1d": Args(SEQUENCE, 0.4),
    **{f"conv{n}": Args(x, KERNEL[n], BIAS, padding=1) for n, x in SPACES.items()},
    **{f"conv_transpose{n}": Args(x, TURNED[n], BIAS, stride=2) for n, x in SPACES.items()},
    **{f"max_unpool{n}d": unpooled(n, "") for n in (1, 2, 3)},
    **{f"max_pool{n}_with_indices": Args(x, 2) for n, x in SPACES.items()},
    **{f"adaptive_max_pool{n}_with_indices": Args(x, 3) for n, x in SPACES.items()},
    "fractional_max_pool2d": Args(IMAGE, 2, 3),
    "fractional_max_pool3d": Args(BOX, 2, 3),
    "batch_norm": Case(
        lambda t, x, m, v: t.nn.functional.batch_norm(x, m.detach(), v.detach(), training=True), X, X[0], P[0]
    ),
    "layer_norm": Args(X, (4,)),
    "rms_norm": Args(X, (4,)),
    "group_norm": Args(IMAGE, 2),
    "instance_norm": Args(IMAGE),
    "local_response_norm": Args(IMAGE, 3),
    "pad": Args(IMAGE, (1, 2, 0, 1), "reflect"),
    "unfold": Args(IMAGE, 2),
    "fold": Args(RNG.normal(size=(2, 8, 9)), (4, 4), 2),
    "interpolate": Args(IMAGE, scale_factor=2, mode="nearest"),
    "upsample": Args(IMAGE, scale_factor=2),
    "upsample_nearest": Args(IMAGE, scale_factor=2),
    "upsample_bilinear": Args(IMAGE, scale_factor=2, tolerance=1e-5),
    "grid_sample": Args(IMAGE, RNG.uniform(-1, 1, (2, 3, 3, 2)), align_corners=False),
    "affine_grid": Args(RNG.normal(size=(2, 2, 3)), (2, 1, 3, 4), align_corners=False),
    "pixel_shuffle": Args(IMAGE, 2),
    "pixel_unshuffle": Args(IMAGE, 2),
    "channel_shuffle": Args(IMAGE, 2),
    "scaled_dot_product_attention": Args(HEADS, HEADS[::-1].copy(), HEADS + 1, is_causal=True),
    "ctc_loss": Case(
        lambda t, x: t.nn.functional.ctc_loss(
            x.log_softmax(-1), t.tensor([[1, 2], [3, 3]]), t.tensor([6, 5]), t.tensor([2, 1])
        ),
        RNG.normal(size=(6, 2, 5)),
    ),
    **{
        f"{name}_": Case(lambda t, x, name=name: getattr(t.nn.functional, f"{name}_")(x * 1), X)
        for name in ("relu", "elu", "celu", "selu", "leaky_relu", "hardtanh", "rrelu")
    },
    "threshold_": Case(lambda t, x: t.nn.functional.threshold_(x * 1, 0.1, 3.0), X),
}


def filled(name: str, *options: Any, shape: tuple[int, ...] = (4, 3)) -> Case:
    return Case(lambda t: getattr(t.nn.init, name)(t.empty(shape), *options))


INIT: dict[str, Any] = {
    **{
        name: filled(name)
        for name in words(
            "uniform_ normal_ trunc_normal_ ones_ zeros_ eye_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ uniform normal eye xavier_uniform xavier_normal kaiming_uniform kaiming_normal"
        )
    },
    **same("orthogonal_ orthogonal", Case(lambda t: t.nn.init.orthogonal_(t.empty(4, 3)), tolerance=1e-5)),
    **{name: filled(name, 0.3) for name in ("constant_", "constant", "sparse_", "sparse")},
    **{name: filled(name, shape=(3, 2, 3)) for name in ("dirac_", "dirac")},
    "calculate_gain": Args("leaky_relu", 0.2),
}


def with_gradients(t: Any) -> Any:
    ps = [t.nn.Parameter(t.tensor(a)) for a in (X, Y)]
    for p, g in zip(ps, (Y, X)):
        p.grad = t.tensor(g)
    return ps


def clipped(t: Any, name: str, *bound: Any) -> Any:
    ps = with_gradients(t)
    return named(t.nn.utils, name)(ps, *bound), [p.grad for p in ps]


def becomes(t: Any) -> Any:
    ps = with_gradients(t)
    t.nn.utils.vector_to_parameters(t.arange(24.0, dtype=t.float64), ps)
    return [p.detach() for p in ps]


def packed(name: str) -> Case:
    def call(t: Any, x: Any, y: Any) -> Any:
        rnn = t.nn.utils.rnn
        made = (
            rnn.pack_padded_sequence(x, [3, 2, 1])
            if name == "pack_padded_sequence"
            else rnn.pack_sequence([x, y], enforce_sorted=False)
        )
        return (
            (made.data, made.batch_sizes)
            if name.startswith("pack_")
            else (*rnn.pad_packed_sequence(made), *rnn.unpack_sequence(made))
        )

    return Case(call, RNG.normal(size=(3, 3, 2)), RNG.normal(size=(2, 3, 2)))


UTILS: dict[str, Any] = {
    "clip_grad_norm_": Case(lambda t: clipped(t, "clip_grad_norm_", 1.0)),
    "clip_grad_value_": Case(lambda t: clipped(t, "clip_grad_value_", 0.4)),
    "clip_grads_with_norm_": Case(lambda t: clipped(t, "clip_grads_with_norm_", 1.0, t.tensor(3.0, dtype=t.float64))),
    "get_total_norm": Case(lambda t: t.nn.utils.get_total_norm([p.grad for p in with_gradients(t)])),
    "parameters_to_vector": Case(lambda t: t.nn.utils.parameters_to_vector(with_gradients(t)).detach()),
    "vector_to_parameters": Case(becomes),
    "rnn.pad_sequence": Args([X, Y[:2]], batch_first=True),
    "rnn.unpad_sequence": Case(lambda t, x: t.nn.utils.rnn.unpad_sequence(x.detach(), t.tensor([3, 1, 2, 2])), X),
    "rnn.pack_padded_sequence": packed("pack_padded_sequence"),
    "rnn.pack_sequence": packed("pack_sequence"),
    "rnn.pad_packed_sequence": packed("pad_packed_sequence"),
    "rnn.unpack_sequence": packed("unpack_sequence"),
    "rnn.PackedSequence": Case(lambda t, x: t.nn.utils.rnn.PackedSequence(x, t.tensor([2, 1])).data, X),
}


def normed(name: str) -> Case:
    """A linear layer with a normalised weight."""

    def call(t: Any, x: Any) -> Any:
        layer = named(t.nn.utils, name)(t.nn.Linear(4, 3).double())
        return layer(x), sorted(layer.state_dict())

    return Case(call, X)


UTILS |= {
    "weight_norm": normed("weight_norm"),
    "spectral_norm": normed("spectral_norm"),
    "parametrizations.weight_norm": normed("parametrizations.weight_norm"),
    "parametrizations.spectral_norm": normed("parametrizations.spectral_norm"),
    "parametrizations.orthogonal": Case(normed("parametrizations.orthogonal").call, X, tolerance=1e-7),
    "remove_weight_norm": Case(
        lambda t: sorted(t.nn.utils.remove_weight_norm(t.nn.utils.weight_norm(t.nn.Linear(4, 3))).state_dict())
    ),
    "remove_spectral_norm": Case(
        lambda t: sorted(t.nn.utils.remove_spectral_norm(t.nn.utils.spectral_norm(t.nn.Linear(4, 3))).state_dict())
    ),
    "skip_init": Case(lambda t: t.nn.utils.skip_init(t.nn.Linear, 4, 3).weight.shape),
    "fuse_conv_bn_eval": Case(
        lambda t, x: t.nn.utils.fuse_conv_bn_eval(
            t.nn.Conv2d(4, 3, 3).double().eval(), t.nn.BatchNorm2d(3).double().eval()
        )(x),
        IMAGE,
    ),
    "fuse_linear_bn_eval": Case(
        lambda t, x: t.nn.utils.fuse_linear_bn_eval(
            t.nn.Linear(4, 3).double().eval(), t.nn.BatchNorm1d(3).double().eval()
        )(x),
        X,
    ),
    "clip_grad_norm": Case(lambda t: clipped(t, "clip_grad_norm", 1.0)),
}
F |= {
    "fractional_max_pool2d_with_indices": Args(IMAGE, 2, 3),
    "fractional_max_pool3d_with_indices": Args(BOX, 2, 3),
    "native_channel_shuffle": Args(IMAGE, 2),
    "conv_tbc": Args(RNG.normal(size=(5, 2, 3)), RNG.normal(size=(2, 3, 4)), RNG.normal(size=4)),
}
NN |= {
    **{
        name: Case(lambda t, name=name, base=base: issubclass(getattr(t.nn, base), getattr(t.nn, name)))
        for name, base in (
            ("RNNBase", "LSTM"),
            ("RNNCellBase", "LSTMCell"),
            ("UninitializedParameter", "UninitializedParameter"),
            ("UninitializedBuffer", "UninitializedBuffer"),
        )
    },
}
# the functions of torch itself with the arguments of nn.functional's
SHARED = words(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d celu hardshrink prelu rrelu max_pool1d max_pool2d max_pool3d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d layer_norm group_norm rms_norm conv_tbc"
)
