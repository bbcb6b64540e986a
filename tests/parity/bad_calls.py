"""Bad calls of modules, losses, optimizers, data, indexing, creation, linalg, fft and distributions, and words of their errors."""

from __future__ import annotations


def r(T, *shape, dtype="float32", grad=False):
    """Ones of a shape."""
    made = T.ones(shape, dtype=getattr(T, dtype))
    return made.requires_grad_() if grad else made


def i(T, *values):
    """A tensor of whole numbers."""
    return T.tensor(values)


def leaf(T):
    return r(T, 2, grad=True)


def loaded(T, change, **options):
    """Load a changed state of a linear layer."""
    layer = T.nn.Linear(3, 2)
    state = dict(layer.state_dict())
    change(T, state)
    return layer.load_state_dict(state, **options)


def called(T, name, args, *inputs):
    return getattr(T.nn, name)(*args)(*inputs)


def data(T, *lengths):
    return T.utils.data.TensorDataset(*(r(T, n) for n in lengths))


MODULES = {
    # state
    "state without a key": (
        lambda T: loaded(T, lambda T, s: s.pop("bias")),
        ["state_dict", "Linear", "Missing key", "bias"],
    ),
    "state with another key": (
        lambda T: loaded(T, lambda T, s: s.update(other=r(T, 1))),
        ["state_dict", "Linear", "Unexpected key", "other"],
    ),
    "state of another shape": (
        lambda T: loaded(T, lambda T, s: s.update(weight=r(T, 3, 3))),
        ["size mismatch", "weight", "[3, 3]", "[2, 3]"],
    ),
    "state of another shape, not strict": (
        lambda T: loaded(T, lambda T, s: s.update(bias=r(T, 5)), strict=False),
        ["size mismatch", "bias", "[5]", "[2]"],
    ),
    "state that is a list": (lambda T: T.nn.Linear(3, 2).load_state_dict([1]), ["state_dict", "list"]),
    "state of a nested module": (
        lambda T: T.nn.Sequential(T.nn.Linear(3, 2)).load_state_dict({}),
        ["Sequential", "0.weight", "0.bias"],
    ),
    "attribute that is missing": (lambda T: T.nn.Linear(3, 2).wieght, ["Linear", "wieght"]),
    "parameter that is missing": (lambda T: T.nn.Linear(3, 2).get_parameter("w"), ["w"]),
    "submodule that is missing": (lambda T: T.nn.Sequential(T.nn.ReLU()).get_submodule("1"), ["1"]),
    "buffer that is missing": (lambda T: T.nn.Linear(3, 2).get_buffer("b"), ["b"]),
    "parameter that is a tensor": (lambda T: setattr(T.nn.Linear(3, 2), "weight", r(T, 2, 3)), ["weight", "Parameter"]),
    "parameter with a dot": (lambda T: T.nn.Linear(3, 2).register_parameter("a.b", None), ["."]),
    "parameter registered twice": (
        lambda T: T.nn.Linear(3, 2).register_parameter("in_features", T.nn.Parameter(r(T, 1))),
        ["in_features", "exists"],
    ),
    "parameter with a history": (
        lambda T: T.nn.Linear(3, 2).register_parameter("p", T.nn.Parameter(r(T, 1)) * 2),
        ["p"],
    ),
    "buffer that is a list": (lambda T: T.nn.Linear(3, 2).register_buffer("b", [1]), ["b", "list"]),
    "module that is a function": (lambda T: T.nn.Sequential(lambda x: x), ["function", "Module"]),
    "module added without a name": (lambda T: T.nn.Module().add_module("", T.nn.ReLU()), ["name"]),
    "module before its start": (
        lambda T: type("Late", (T.nn.Module,), {"__init__": lambda self: setattr(self, "a", T.nn.ReLU())})(),
        ["__init__"],
    ),
    "module without forward": (lambda T: T.nn.Module()(r(T, 1)), ["forward"]),
    "forward with too few arguments": (lambda T: T.nn.Linear(3, 2)(), ["forward"]),
    "forward with too many arguments": (lambda T: T.nn.Linear(3, 2)(r(T, 3), r(T, 3)), ["forward"]),
    "module list out of range": (lambda T: T.nn.ModuleList([T.nn.ReLU()])[3], ["3"]),
    "sequential out of range": (lambda T: T.nn.Sequential(T.nn.ReLU())[2], ["2"]),
    "module dict without the key": (lambda T: T.nn.ModuleDict({"a": T.nn.ReLU()})["b"], ["b"]),
    "conversion to an integer dtype": (lambda T: T.nn.Linear(3, 2).to(T.int64), ["int64"]),
    # layers
    "Linear of other width": (lambda T: called(T, "Linear", (3, 2), r(T, 4, 5)), ["linear", "[4, 5]", "[2, 3]"]),
    "Linear of float64": (
        lambda T: called(T, "Linear", (3, 2), r(T, 4, 3, dtype="float64")),
        ["linear", "float64", "float32"],
    ),
    "Linear of a list": (lambda T: called(T, "Linear", (3, 2), [1.0]), ["linear", "list"]),
    "Linear of text": (lambda T: T.nn.Linear("3", 2), []),
    "Conv2d of other channels": (
        lambda T: called(T, "Conv2d", (3, 4, 3), r(T, 1, 2, 8, 8)),
        ["conv2d", "[1, 2, 8, 8]", "[4, 3, 3, 3]"],
    ),
    "Conv2d of a matrix": (lambda T: called(T, "Conv2d", (3, 4, 3), r(T, 8, 8)), ["conv2d", "[8, 8]"]),
    "Conv2d of float64": (
        lambda T: called(T, "Conv2d", (1, 1, 3), r(T, 1, 1, 8, 8, dtype="float64")),
        ["conv2d", "float64", "float32"],
    ),
    "Conv2d with groups": (lambda T: T.nn.Conv2d(3, 4, 3, groups=2), ["in_channels", "groups"]),
    "Conv2d with groups of outputs": (lambda T: T.nn.Conv2d(4, 3, 3, groups=2), ["out_channels", "groups"]),
    "Conv2d with no groups": (lambda T: T.nn.Conv2d(4, 3, 3, groups=0), ["groups"]),
    "Conv2d padded by a word": (lambda T: T.nn.Conv2d(3, 4, 3, padding="some"), ["padding", "some"]),
    "Conv2d padded to the same with a stride": (
        lambda T: T.nn.Conv2d(3, 4, 3, padding="same", stride=2),
        ["same", "stride"],
    ),
    "Conv2d with an unknown mode": (lambda T: T.nn.Conv2d(3, 4, 3, padding_mode="none"), ["padding_mode", "none"]),
    "Conv1d larger than its input": (lambda T: called(T, "Conv1d", (1, 1, 5), r(T, 1, 1, 3)), ["conv1d", "5", "3"]),
    "Conv3d of an image": (lambda T: called(T, "Conv3d", (1, 1, 2), r(T, 4, 4)), ["conv3d", "[4, 4]"]),
    "ConvTranspose2d of other channels": (
        lambda T: called(T, "ConvTranspose2d", (3, 4, 3), r(T, 1, 2, 8, 8)),
        ["conv_transpose2d", "[1, 2, 8, 8]", "[3, 4, 3, 3]"],
    ),
    "BatchNorm1d of three": (lambda T: called(T, "BatchNorm1d", (3,), r(T, 3)), ["1"]),
    "BatchNorm2d of a matrix": (lambda T: called(T, "BatchNorm2d", (3,), r(T, 2, 3)), ["4D", "2D"]),
    "BatchNorm2d of other channels": (
        lambda T: called(T, "BatchNorm2d", (3,), r(T, 2, 4, 2, 2)),
        ["running_mean", "4", "3"],
    ),
    "LayerNorm of other width": (
        lambda T: called(T, "LayerNorm", (3,), r(T, 2, 4)),
        ["normalized_shape", "[3]", "[2, 4]"],
    ),
    "GroupNorm of other channels": (lambda T: T.nn.GroupNorm(2, 3), ["num_channels", "num_groups"]),
    "GroupNorm of another input": (lambda T: called(T, "GroupNorm", (2, 4), r(T, 1, 5, 2)), ["5"]),
    "Dropout above one": (lambda T: T.nn.Dropout(1.5), ["1.5"]),
    "Dropout below zero": (lambda T: T.nn.Dropout2d(-0.1), ["-0.1"]),
    "Embedding beyond": (lambda T: called(T, "Embedding", (3, 2), i(T, 3)), ["embedding", "3"]),
    "Embedding of floats": (lambda T: called(T, "Embedding", (3, 2), r(T, 1)), ["embedding", "float32"]),
    "Embedding with its padding outside": (lambda T: T.nn.Embedding(3, 2, padding_idx=3), ["padding_idx"]),
    "LSTM of other width": (lambda T: called(T, "LSTM", (3, 2), r(T, 4, 1, 5)), ["5", "3"]),
    "LSTM of four dimensions": (lambda T: called(T, "LSTM", (3, 2), r(T, 1, 4, 1, 3)), ["LSTM", "4"]),
    "LSTM with another state": (
        lambda T: called(T, "LSTM", (3, 2), r(T, 4, 1, 3), (r(T, 1, 1, 5), r(T, 1, 1, 5))),
        ["LSTM", "(1, 1, 2)", "[1, 1, 5]"],
    ),
    "LSTM without layers": (lambda T: T.nn.LSTM(3, 2, num_layers=0), ["num_layers"]),
    "GRU with a projection": (lambda T: T.nn.GRU(3, 2, proj_size=1), ["proj_size"]),
    "RNN of an unknown function": (lambda T: T.nn.RNN(3, 2, nonlinearity="sin"), ["sin"]),
    "LSTMCell of other width": (lambda T: called(T, "LSTMCell", (3, 2), r(T, 1, 5)), ["5", "3"]),
    "MultiheadAttention that does not divide": (lambda T: T.nn.MultiheadAttention(5, 2), ["embed_dim", "num_heads"]),
    "MultiheadAttention of other width": (
        lambda T: called(T, "MultiheadAttention", (4, 2), *[r(T, 3, 1, 5)] * 3),
        ["5", "4"],
    ),
    "MaxPool2d of a vector": (lambda T: called(T, "MaxPool2d", (2,), r(T, 4)), ["max_pool2d", "[4]"]),
    "MaxPool2d padded by more than half": (
        lambda T: T.nn.MaxPool2d(2, padding=2)(r(T, 1, 1, 4, 4)),
        ["max_pool2d", "[1, 1, 4, 4]"],
    ),
    "AvgPool2d larger than its input": (
        lambda T: called(T, "AvgPool2d", (5,), r(T, 1, 1, 3, 3)),
        ["avg_pool2d", "[1, 1, 3, 3]"],
    ),
    "ReflectionPad2d by more than there is": (
        lambda T: called(T, "ReflectionPad2d", (4,), r(T, 1, 1, 3, 3)),
        ["4", "3"],
    ),
    "PixelShuffle that does not divide": (
        lambda T: called(T, "PixelShuffle", (2,), r(T, 1, 3, 2, 2)),
        ["pixel_shuffle", "3"],
    ),
    "Unflatten that does not divide": (
        lambda T: called(T, "Unflatten", (1, (2, 2)), r(T, 1, 5)),
        ["unflatten", "[2, 2]", "5"],
    ),
    "Flatten beyond": (lambda T: called(T, "Flatten", (1,), r(T, 3)), ["flatten", "1"]),
    "Softmax of a dimension that is not there": (lambda T: called(T, "Softmax", (2,), r(T, 3, 4)), ["softmax", "2"]),
    "PReLU of other channels": (lambda T: called(T, "PReLU", (3,), r(T, 1, 4)), ["prelu", "3", "4"]),
    "GLU of an odd number": (lambda T: called(T, "GLU", (), r(T, 3)), ["glu", "3"]),
    "Upsample without a size": (lambda T: called(T, "Upsample", (), r(T, 1, 1, 2)), ["size", "scale_factor"]),
    "Bilinear of other width": (
        lambda T: called(T, "Bilinear", (2, 3, 4), r(T, 1, 2), r(T, 1, 2)),
        ["bilinear", "[1, 2]", "[4, 2, 3]"],
    ),
}

LOSSES = {
    "CrossEntropyLoss of another batch": (
        lambda T: called(T, "CrossEntropyLoss", (), r(T, 2, 3), i(T, 0)),
        ["cross_entropy", "2", "1"],
    ),
    "CrossEntropyLoss of a negative class": (
        lambda T: called(T, "CrossEntropyLoss", (), r(T, 2, 3), i(T, 0, -1)),
        ["cross_entropy", "-1"],
    ),
    "CrossEntropyLoss with other weights": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), i(T, 0, 1), weight=r(T, 4)),
        ["weight", "[4]"],
    ),
    "CrossEntropyLoss with other probabilities": (
        lambda T: called(T, "CrossEntropyLoss", (), r(T, 2, 3), r(T, 2, 4)),
        ["cross_entropy", "[2, 3]", "[2, 4]"],
    ),
    "CrossEntropyLoss reduced by a word": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), i(T, 0, 1), reduction="avg"),
        ["avg"],
    ),
    "CrossEntropyLoss smoothed too much": (
        lambda T: T.nn.functional.cross_entropy(r(T, 2, 3), i(T, 0, 1), label_smoothing=2.0),
        ["label_smoothing", "2"],
    ),
    "NLLLoss beyond": (lambda T: called(T, "NLLLoss", (), r(T, 2, 3), i(T, 0, 5)), ["nll_loss", "5"]),
    "NLLLoss of one dimension too many": (
        lambda T: called(T, "NLLLoss", (), r(T, 2, 3), T.zeros(2, 2, dtype=T.int64)),
        ["nll_loss", "[2, 2]"],
    ),
    "MSELoss of other shape": (lambda T: called(T, "MSELoss", (), r(T, 3), r(T, 2)), ["mse_loss", "[3]", "[2]"]),
    "L1Loss of other shape": (lambda T: called(T, "L1Loss", (), r(T, 3), r(T, 2)), ["l1_loss", "[3]", "[2]"]),
    "SmoothL1Loss below zero": (
        lambda T: T.nn.functional.smooth_l1_loss(r(T, 2), r(T, 2), beta=-1.0),
        ["smooth_l1_loss", "-1"],
    ),
    "HuberLoss of nothing": (lambda T: T.nn.functional.huber_loss(r(T, 2), r(T, 2), delta=0.0), ["huber_loss", "0"]),
    "BCELoss of other shape": (
        lambda T: called(T, "BCELoss", (), r(T, 2) * 0.5, r(T, 3)),
        ["binary_cross_entropy", "[2]", "[3]"],
    ),
    "BCELoss of scores": (lambda T: called(T, "BCELoss", (), r(T, 2) * -0.5, r(T, 2)), ["binary_cross_entropy"]),
    "BCEWithLogitsLoss of other shape": (
        lambda T: called(T, "BCEWithLogitsLoss", (), r(T, 2, 1), r(T, 2)),
        ["[2, 1]", "[2]"],
    ),
    "BCEWithLogitsLoss of classes": (lambda T: called(T, "BCEWithLogitsLoss", (), r(T, 2, dtype="int64"), r(T, 2)), []),
    "CosineEmbeddingLoss of other shape": (
        lambda T: called(T, "CosineEmbeddingLoss", (), r(T, 2, 3), r(T, 2, 4), r(T, 2)),
        ["[2, 3]", "[2, 4]"],
    ),
    "MultiMarginLoss to the third": (lambda T: T.nn.MultiMarginLoss(p=3)(r(T, 2, 3), i(T, 0, 1)), ["p"]),
    "CTCLoss with other lengths": (
        lambda T: T.nn.functional.ctc_loss(r(T, 4, 2, 3), T.ones(2, 2, dtype=T.int64), i(T, 4), i(T, 2, 2)),
        ["input_lengths", "2"],
    ),
    "KLDivLoss of other shape": (lambda T: called(T, "KLDivLoss", (), r(T, 2, 3), r(T, 2, 4)), ["[2, 3]", "[2, 4]"]),
    "GaussianNLLLoss below zero": (lambda T: called(T, "GaussianNLLLoss", (), r(T, 2), r(T, 2), -r(T, 2)), ["var"]),
    "TripletMarginLoss of other shape": (
        lambda T: called(T, "TripletMarginLoss", (), r(T, 2, 3), r(T, 2, 4), r(T, 2, 3)),
        ["[2, 3]", "[2, 4]"],
    ),
    "one_hot of floats": (lambda T: T.nn.functional.one_hot(r(T, 2)), ["one_hot", "float32"]),
    "one_hot beyond": (lambda T: T.nn.functional.one_hot(i(T, 3), 2), ["one_hot", "3", "2"]),
    "one_hot below zero": (lambda T: T.nn.functional.one_hot(i(T, -1)), ["one_hot", "-1"]),
    "pad by an odd number": (lambda T: T.nn.functional.pad(r(T, 3), (1,)), ["pad", "1"]),
    "pad of too many": (lambda T: T.nn.functional.pad(r(T, 3), (1, 1, 1, 1)), ["pad", "4", "1"]),
    "interpolate to nothing": (lambda T: T.nn.functional.interpolate(r(T, 1, 1, 3)), ["size", "scale_factor"]),
    "interpolate by a word": (
        lambda T: T.nn.functional.interpolate(r(T, 1, 1, 3), 2, mode="some"),
        ["interpolate", "some"],
    ),
    "attention of other width": (
        lambda T: T.nn.functional.scaled_dot_product_attention(r(T, 1, 3, 4), r(T, 1, 3, 5), r(T, 1, 3, 5)),
        ["scaled_dot_product_attention", "[1, 3, 4]", "[1, 5, 3]"],
    ),
    "normalise a number": (lambda T: T.nn.functional.normalize(r(T), dim=1), ["1"]),
    "grid_sample of a matrix": (
        lambda T: T.nn.functional.grid_sample(r(T, 2, 2), r(T, 1, 2, 2, 2)),
        ["grid_sample", "[2, 2]"],
    ),
    "fold that does not fit": (lambda T: T.nn.functional.fold(r(T, 1, 4, 5), (3, 3), 2), ["fold", "5", "4"]),
    "gumbel_softmax of a dimension that is not there": (
        lambda T: T.nn.functional.gumbel_softmax(r(T, 3), dim=2),
        ["2"],
    ),
}


def resumed(T, state):
    return T.optim.SGD([leaf(T)], 0.1).load_state_dict(state)


TRAINING = {
    "optimizer of nothing": (lambda T: T.optim.SGD([], 0.1), ["empty parameter list"]),
    "optimizer of a tensor": (lambda T: T.optim.SGD(leaf(T), 0.1), ["params", "Tensor"]),
    "optimizer of numbers": (lambda T: T.optim.Adam([1.0]), ["float"]),
    "optimizer of a result": (lambda T: T.optim.SGD([leaf(T) * 2], 0.1), ["non-leaf"]),
    "optimizer with a parameter twice": (
        lambda T: (lambda p: T.optim.SGD([{"params": [p]}, {"params": [p]}], 0.1))(leaf(T)),
        ["more than one parameter group"],
    ),
    "optimizer of a set": (lambda T: T.optim.SGD([{"params": {leaf(T)}}], 0.1), ["set", "order"]),
    "optimizer with an unknown option": (lambda T: T.optim.SGD([leaf(T)], 0.1, speed=1), ["speed"]),
    "SGD with a negative rate": (lambda T: T.optim.SGD([leaf(T)], -0.1), ["learning rate", "-0.1"]),
    "SGD with a negative momentum": (lambda T: T.optim.SGD([leaf(T)], 0.1, momentum=-1), ["momentum", "-1"]),
    "SGD with a negative decay": (lambda T: T.optim.SGD([leaf(T)], 0.1, weight_decay=-1), ["weight_decay", "-1"]),
    "SGD with Nesterov's step alone": (lambda T: T.optim.SGD([leaf(T)], 0.1, nesterov=True), ["Nesterov", "momentum"]),
    "Adam with a beta of one": (lambda T: T.optim.Adam([leaf(T)], betas=(1.0, 0.9)), ["beta", "0", "1.0"]),
    "Adam with a second beta of one": (lambda T: T.optim.Adam([leaf(T)], betas=(0.9, 1.0)), ["beta", "1", "1.0"]),
    "Adam with a negative eps": (lambda T: T.optim.Adam([leaf(T)], eps=-1), ["epsilon", "-1"]),
    "AdamW with a negative rate": (lambda T: T.optim.AdamW([leaf(T)], lr=-1), ["learning rate", "-1"]),
    "RMSprop with a negative alpha": (lambda T: T.optim.RMSprop([leaf(T)], alpha=-1), ["alpha", "-1"]),
    "Adadelta with a rho of two": (lambda T: T.optim.Adadelta([leaf(T)], rho=2), ["rho", "2"]),
    "Adagrad with a negative decay": (lambda T: T.optim.Adagrad([leaf(T)], lr_decay=-1), ["lr_decay", "-1"]),
    "Rprop with other etas": (lambda T: T.optim.Rprop([leaf(T)], etas=(2, 1)), ["eta", "2", "1"]),
    "LBFGS of two groups": (
        lambda T: T.optim.LBFGS([{"params": [leaf(T)]}, {"params": [leaf(T)]}]),
        ["LBFGS", "group"],
    ),
    "LBFGS without a closure": (lambda T: T.optim.LBFGS([leaf(T)]).step(), ["closure"]),
    "optimizer's state of other groups": (
        lambda T: resumed(T, {"state": {}, "param_groups": []}),
        ["parameter groups"],
    ),
    "optimizer's state of other sizes": (
        lambda T: resumed(T, {"state": {}, "param_groups": [{"params": [0, 1], "lr": 1.0}]}),
        ["group", "size"],
    ),
    "optimizer's state without groups": (lambda T: resumed(T, {"state": {}}), ["param_groups"]),
    "group without parameters": (lambda T: T.optim.SGD([leaf(T)], 0.1).add_param_group({"lr": 1}), ["params"]),
    "StepLR of a model": (lambda T: T.optim.lr_scheduler.StepLR(T.nn.ReLU(), 1), ["ReLU", "Optimizer"]),
    "LambdaLR with two functions": (
        lambda T: T.optim.lr_scheduler.LambdaLR(T.optim.SGD([leaf(T)], 0.1), [lambda e: 1, lambda e: 1]),
        ["1", "2"],
    ),
    "OneCycleLR without steps": (
        lambda T: T.optim.lr_scheduler.OneCycleLR(T.optim.SGD([leaf(T)], 0.1), 1.0),
        ["total_steps"],
    ),
    "OneCycleLR with no steps": (
        lambda T: T.optim.lr_scheduler.OneCycleLR(T.optim.SGD([leaf(T)], 0.1), 1.0, total_steps=0),
        ["total_steps", "0"],
    ),
    "OneCycleLR by a word": (
        lambda T: T.optim.lr_scheduler.OneCycleLR(
            T.optim.SGD([leaf(T)], 0.1, momentum=0.9), 1.0, 5, anneal_strategy="fast"
        ),
        ["anneal_strategy", "fast"],
    ),
    "CosineAnnealingWarmRestarts of nothing": (
        lambda T: T.optim.lr_scheduler.CosineAnnealingWarmRestarts(T.optim.SGD([leaf(T)], 0.1), 0),
        ["T_0", "0"],
    ),
    "ReduceLROnPlateau that grows": (
        lambda T: T.optim.lr_scheduler.ReduceLROnPlateau(T.optim.SGD([leaf(T)], 0.1), factor=2),
        ["factor"],
    ),
    "ReduceLROnPlateau by a word": (
        lambda T: T.optim.lr_scheduler.ReduceLROnPlateau(T.optim.SGD([leaf(T)], 0.1), mode="low"),
        ["mode", "low"],
    ),
    "SequentialLR with other milestones": (
        lambda T: (lambda o: T.optim.lr_scheduler.SequentialLR(o, [T.optim.lr_scheduler.StepLR(o, 1)], [1, 2]))(
            T.optim.SGD([leaf(T)], 0.1)
        ),
        ["milestones"],
    ),
    "ConstantLR above one": (
        lambda T: T.optim.lr_scheduler.ConstantLR(T.optim.SGD([leaf(T)], 0.1), factor=2),
        ["factor"],
    ),
    "LinearLR from nothing": (
        lambda T: T.optim.lr_scheduler.LinearLR(T.optim.SGD([leaf(T)], 0.1), start_factor=0),
        ["factor"],
    ),
    "CyclicLR without momentum": (
        lambda T: T.optim.lr_scheduler.CyclicLR(T.optim.Rprop([leaf(T)]), 0.1, 0.2),
        ["momentum"],
    ),
    "clip of gradients that are not finite": (
        lambda T: T.nn.utils.clip_grad_norm_([_infinite(T)], 1.0, error_if_nonfinite=True),
        ["norm"],
    ),
    # data
    "TensorDataset of other lengths": (lambda T: data(T, 3, 2), ["size"]),
    "TensorDataset out of range": (lambda T: data(T, 3)[5], ["5"]),
    "DataLoader without a batch": (lambda T: T.utils.data.DataLoader(data(T, 3), batch_size=0), ["batch_size", "0"]),
    "DataLoader with fewer than no workers": (
        lambda T: T.utils.data.DataLoader(data(T, 3), num_workers=-1),
        ["num_workers"],
    ),
    "DataLoader with a sampler, shuffled": (
        lambda T: T.utils.data.DataLoader(data(T, 3), shuffle=True, sampler=range(3)),
        ["sampler", "shuffle"],
    ),
    "DataLoader with two kinds of batches": (
        lambda T: T.utils.data.DataLoader(data(T, 3), batch_size=2, batch_sampler=[[0]]),
        ["batch_sampler", "batch_size"],
    ),
    "DataLoader with a timeout below zero": (lambda T: T.utils.data.DataLoader(data(T, 3), timeout=-1), ["timeout"]),
    "DataLoader that prefetches alone": (
        lambda T: T.utils.data.DataLoader(data(T, 3), prefetch_factor=2),
        ["prefetch_factor", "num_workers"],
    ),
    "DataLoader without batches that drops": (
        lambda T: T.utils.data.DataLoader(data(T, 3), batch_size=None, drop_last=True),
        ["batch_size", "drop_last"],
    ),
    "DataLoader that keeps no workers": (
        lambda T: T.utils.data.DataLoader(data(T, 3), persistent_workers=True),
        ["persistent_workers", "num_workers"],
    ),
    "DataLoader of other shapes": (
        lambda T: list(T.utils.data.DataLoader([r(T, 2), r(T, 3)], batch_size=2)),
        ["stack", "[2]", "[3]"],
    ),
    "DataLoader of functions": (lambda T: list(T.utils.data.DataLoader([len, len])), ["default_collate", "builtin"]),
    "DataLoader changed later": (
        lambda T: setattr(T.utils.data.DataLoader(data(T, 3)), "batch_size", 4),
        ["batch_size", "DataLoader"],
    ),
    "RandomSampler of nothing": (lambda T: T.utils.data.RandomSampler([], num_samples=0), ["num_samples", "0"]),
    "RandomSampler by a word": (lambda T: T.utils.data.RandomSampler([1], replacement="yes"), ["replacement", "yes"]),
    "WeightedRandomSampler of too few": (lambda T: T.utils.data.WeightedRandomSampler([1.0], 0), ["num_samples", "0"]),
    "BatchSampler of nothing": (lambda T: T.utils.data.BatchSampler(range(3), 0, False), ["batch_size", "0"]),
    "random_split of other lengths": (lambda T: T.utils.data.random_split(range(5), [2, 2]), ["lengths"]),
    "random_split of other shares": (
        lambda T: T.utils.data.random_split(range(5), [0.5, 0.6]),
        ["random_split", "0.6"],
    ),
    "ConcatDataset of nothing": (lambda T: T.utils.data.ConcatDataset([]), ["empty"]),
    "ConcatDataset out of range": (lambda T: T.utils.data.ConcatDataset([range(2)])[-5], []),
    "DistributedSampler of a rank that is not there": (
        lambda T: T.utils.data.distributed.DistributedSampler(range(3), 2, 2),
        ["rank", "2"],
    ),
    "pad_sequence of other widths": (lambda T: T.nn.utils.rnn.pad_sequence([r(T, 2, 3), r(T, 2, 4)]), ["3", "4"]),
    "pack_padded_sequence of unsorted": (
        lambda T: T.nn.utils.rnn.pack_padded_sequence(r(T, 3, 2, 1), [1, 3]),
        ["sorted"],
    ),
    "pack_padded_sequence of nothing": (
        lambda T: T.nn.utils.rnn.pack_padded_sequence(r(T, 3, 2, 1), [3, 0]),
        ["length", "0"],
    ),
}


def _infinite(T):
    p = leaf(T)
    p.grad = r(T, 2) * float("inf")
    return p


CREATING = {
    "ones of a text": (lambda T: T.ones("2"), ["ones"]),
    "zeros of a float": (lambda T: T.zeros(2.5), ["zeros", "float"]),
    "full without a value": (lambda T: T.full((2,)), ["full"]),
    "eye below zero": (lambda T: T.eye(-1), ["-1"]),
    "linspace of fewer than none": (lambda T: T.linspace(0, 1, -1), ["steps"]),
    "arange with no step": (lambda T: T.arange(0, 3, 0), ["step"]),
    "arange without an end": (lambda T: T.arange(), ["arange"]),
    "randn of a negative size": (lambda T: T.randn(2, -3), ["-3"]),
    "randint downwards": (lambda T: T.randint(5, 2, (2,)), ["5", "2"]),
    "randperm below zero": (lambda T: T.randperm(-1), ["-1"]),
    "normal below zero": (lambda T: T.normal(0.0, -1.0, (2,)), ["normal", "-1"]),
    "bernoulli above one": (lambda T: T.bernoulli(r(T, 2) * 2), []),
    "bernoulli_ above one": (lambda T: r(T, 2).bernoulli_(1.5), ["1.5"]),
    "multinomial of too many": (lambda T: T.multinomial(r(T, 3), 4), ["multinomial", "4", "3"]),
    "multinomial of a cube": (lambda T: T.multinomial(r(T, 3, 2, 2), 1), ["multinomial"]),
    "uniform_ downwards": (lambda T: r(T, 2).uniform_(2, 1), ["2", "1"]),
    "exponential_ of no rate": (lambda T: r(T, 2).exponential_(-1), ["-1"]),
    "geometric_ of none": (lambda T: r(T, 2).geometric_(0), ["0"]),
    "tensor of an object": (lambda T: T.tensor(object()), ["object"]),
    "tensor of None": (lambda T: T.tensor(None), ["NoneType"]),
    "tensor of a dictionary": (lambda T: T.tensor({"a": 1}), ["dict"]),
    "tensor of unknown dtype": (lambda T: T.tensor(1, dtype="float"), ["dtype"]),
    "as_tensor of texts": (lambda T: T.as_tensor(["a"]), ["str"]),
    "integers that require grad": (lambda T: T.ones(2, dtype=T.int64, requires_grad=True), ["floating"]),
    "Tensor of a float": (lambda T: T.Tensor(2.5), []),
    "to an unknown device": (lambda T: r(T, 2).to("gpu"), ["gpu"]),
    "complex of two dtypes": (lambda T: T.complex(r(T, 2), r(T, 2, dtype="float64")), ["complex", "float"]),
    "polar of integers": (lambda T: T.polar(i(T, 1), i(T, 1)), ["polar", "int64"]),
    "view_as_complex of three": (lambda T: T.view_as_complex(r(T, 2, 3)), ["view_as_complex", "2"]),
    "view_as_real of reals": (lambda T: T.view_as_real(r(T, 2)), ["view_as_real"]),
    "imag of reals": (lambda T: r(T, 2).imag, ["imag"]),
    "float of many": (lambda T: float(r(T, 2)), ["float32[2]"]),
    "int of many": (lambda T: int(r(T, 2)), ["float32[2]"]),
    "index by a tensor of floats": (lambda T: [1, 2][r(T)], ["index", "integer"]),
    "view as a wider dtype": (lambda T: r(T, 3).view(T.float64), ["view", "3"]),
    "type of an unknown name": (lambda T: r(T, 2).type("torch.Unknown"), ["torch.Unknown"]),
    "manual_seed of text": (lambda T: T.manual_seed("a"), ["a"]),
    "set_default_dtype of integers": (lambda T: T.set_default_dtype(T.int64), ["int64"]),
    "finfo of integers": (lambda T: T.finfo(T.int64), ["finfo", "int64"]),
    "iinfo of floats": (lambda T: T.iinfo(T.float32), ["iinfo", "float32"]),
    "promote_types of text": (lambda T: T.promote_types("a", T.int8), ["promote_types"]),
    "from_numpy of texts": (lambda T: T.from_numpy(__import__("numpy").array(["a"])), ["str"]),
    "load of nothing": (lambda T: T.load(__import__("io").BytesIO(b"")), []),
    "load of a missing file": (lambda T: T.load("/no/such/file"), ["/no/such/file"]),
}

INDEXING = {
    "row out of range": (lambda T: r(T, 2, 3)[2], ["2", "0"]),
    "column out of range": (lambda T: r(T, 2, 3)[:, -4], ["-4", "1"]),
    "index by text": (lambda T: r(T, 3)["a"], ["indices"]),
    "slice with a negative step": (lambda T: r(T, 3)[::-1], ["step"]),
    "indices that do not fit": (lambda T: r(T, 3, 3)[[0, 1], [0, 1, 2]], ["[2]", "[3]"]),
    "number indexed": (lambda T: r(T)[0], ["0-dim"]),
    "masked assignment of other length": (
        lambda T: r(T, 3).__setitem__(T.tensor([True, False, True]), r(T, 3)),
        ["[3]", "[2]"],
    ),
    "assignment of text": (lambda T: r(T, 3).__setitem__(0, "a"), ["str"]),
    "select out of range": (lambda T: r(T, 3).select(0, 5), ["select", "5", "[3]"]),
    "narrow out of range": (lambda T: r(T, 3).narrow(0, 2, 2), ["2", "3"]),
    "narrow of a negative length": (lambda T: r(T, 3).narrow(0, 0, -1), ["narrow", "length"]),
    "index_select by floats": (lambda T: r(T, 3).index_select(0, r(T, 1)), ["index_select", "float32"]),
    "index_select by a matrix": (lambda T: r(T, 3).index_select(0, T.zeros(1, 1, dtype=T.int64)), ["index_select"]),
    "index_add of other shape": (lambda T: r(T, 3, 2).index_add(0, i(T, 0), r(T, 2, 2)), ["index_add", "1", "2"]),
    "index_fill out of range": (lambda T: r(T, 3).index_fill(0, i(T, 3), 1.0), ["3"]),
    "index_copy of other dtype": (
        lambda T: r(T, 3).index_copy(0, i(T, 0), r(T, 1, dtype="float64")),
        ["index_copy", "float32", "float64"],
    ),
    "gather beyond": (lambda T: r(T, 3).gather(0, i(T, 3)), ["3"]),
    "gather of a larger index": (
        lambda T: r(T, 2, 2).gather(0, T.zeros(2, 3, dtype=T.int64)),
        ["gather", "[2, 3]", "[2, 2]"],
    ),
    "scatter beyond": (lambda T: r(T, 3).scatter(0, i(T, 3), r(T, 1)), ["3"]),
    "scatter of other dtype": (
        lambda T: r(T, 3).scatter(0, i(T, 0), r(T, 1, dtype="float64")),
        ["scatter", "float32", "float64"],
    ),
    "scatter_reduce by a word": (lambda T: r(T, 3).scatter_reduce(0, i(T, 0), r(T, 1), "most"), ["most"]),
    "take beyond": (lambda T: r(T, 3).take(i(T, 3)), ["3"]),
    "take_along_dim of other dimensions": (lambda T: T.take_along_dim(r(T, 3, 3), i(T, 0), 0), ["take_along_dim"]),
    "masked_select by integers": (lambda T: r(T, 3).masked_select(i(T, 1, 0, 1)), ["masked_select", "bool"]),
    "masked_select of other shape": (lambda T: r(T, 3).masked_select(T.tensor([True, False])), ["[3]", "[2]"]),
    "masked_scatter of too few": (
        lambda T: r(T, 3).masked_scatter(T.tensor([True, True, True]), r(T, 2)),
        ["masked_scatter", "3", "2"],
    ),
    "masked_fill by a vector": (lambda T: r(T, 3).masked_fill(r(T, 3) > 0, r(T, 3)), ["masked_fill", "1"]),
    "where of integers": (lambda T: T.where(i(T, 1, 0), r(T, 2), r(T, 2)), ["where", "int64"]),
    "put_ of other length": (lambda T: r(T, 3).put_(i(T, 0, 1), r(T, 3)), ["put_", "2", "3"]),
    "diagonal of a vector": (lambda T: r(T, 3).diagonal(), ["dim"]),
    "diag of a cube": (lambda T: r(T, 2, 2, 2).diag(), ["diag", "3"]),
    "tril of a vector": (lambda T: r(T, 3).tril(), ["tril", "2"]),
    "unfold beyond": (lambda T: r(T, 3).unfold(0, 4, 1), ["unfold", "4", "3"]),
    "flip twice": (lambda T: r(T, 3).flip(0, 0), ["0"]),
    "roll without a dimension": (lambda T: r(T, 3, 3).roll((1, 1)), ["shifts", "2"]),
    "rot90 of one dimension": (lambda T: r(T, 3, 3).rot90(1, [0]), ["1"]),
    "repeat of fewer dimensions": (lambda T: r(T, 2, 3).repeat(2), ["repeat", "[2, 3]", "[2]"]),
    "repeat_interleave of other length": (lambda T: r(T, 3).repeat_interleave(i(T, 1, 2), 0), ["2", "3"]),
    "unbind a number": (lambda T: r(T).unbind(), ["0"]),
    "tensor_split of none": (lambda T: T.tensor_split(r(T, 3), 0), ["0"]),
    "hsplit that does not divide": (lambda T: T.hsplit(r(T, 3), 2), ["hsplit", "2", "3"]),
    "unflatten that does not divide": (lambda T: r(T, 6).unflatten(0, (4, -1)), ["unflatten", "4"]),
    "movedim of other lengths": (lambda T: r(T, 2, 3).movedim((0, 1), (0,)), ["movedim", "2", "1"]),
    "broadcast_to of fewer": (lambda T: r(T, 2, 3).broadcast_to((3,)), ["[2, 3]", "[3]"]),
    "as_strided below zero": (lambda T: r(T, 3).as_strided((2,), (-1,)), ["-1"]),
    "meshgrid of matrices": (lambda T: T.meshgrid(r(T, 2, 2), indexing="ij"), ["[2, 2]"]),
    "cat of numbers": (lambda T: T.cat([r(T), r(T)]), ["cat"]),
    "cat of a tensor": (lambda T: T.cat(r(T, 2)), ["cat", "Tensor"]),
    "cat along a dimension that is not there": (lambda T: T.cat([r(T, 2), r(T, 2)], 1), ["1"]),
    "topk beyond": (lambda T: r(T, 3).topk(4), ["topk", "4"]),
    "kthvalue beyond": (lambda T: r(T, 3).kthvalue(4), ["kthvalue", "4"]),
    "argmax of nothing": (lambda T: r(T, 0).argmax(), ["argmax"]),
    "sort along a dimension that is not there": (lambda T: r(T, 3).sort(1), ["1"]),
    "cumsum along a dimension that is not there": (lambda T: r(T, 3).cumsum(1), ["1"]),
    "searchsorted of other rows": (lambda T: T.searchsorted(r(T, 2, 3), r(T, 3, 3)), ["[2, 3]", "[3, 3]"]),
    "bincount of floats": (lambda T: T.bincount(r(T, 3)), ["bincount"]),
    "bincount below zero": (lambda T: T.bincount(i(T, -1)), ["bincount", "-1"]),
    "histc downwards": (lambda T: T.histc(r(T, 3), 4, 2, 1), ["histc"]),
    "quantile above one": (lambda T: r(T, 3).quantile(1.5), ["quantile"]),
    "quantile of integers": (lambda T: i(T, 1, 2).quantile(0.5), ["quantile"]),
    "clamp without bounds": (lambda T: r(T, 3).clamp(), ["clamp", "min", "max"]),
    "std of integers": (lambda T: i(T, 1, 2).std(), ["std", "int64"]),
    "var over a dimension twice": (lambda T: r(T, 2, 3).var((0, 0)), ["0"]),
    "prod over two dimensions": (lambda T: r(T, 2, 3).prod((0, 1)), ["prod"]),
    "shift of floats": (lambda T: r(T, 2) << 1, ["float32"]),
    "not of floats": (lambda T: ~r(T, 2), ["bitwise_not", "float32"]),
    "lerp of two dtypes": (lambda T: T.lerp(r(T, 2), r(T, 2, dtype="float64"), 0.5), ["lerp", "float32", "float64"]),
    "comparison of complex numbers": (lambda T: r(T, 2, dtype="complex64") < 1, ["lt", "complex64"]),
    "maximum of complex numbers": (
        lambda T: T.maximum(r(T, 2, dtype="complex64"), r(T, 2, dtype="complex64")),
        ["maximum", "complex64"],
    ),
    "floor of complex numbers": (lambda T: r(T, 2, dtype="complex64").floor(), ["floor", "complex64"]),
}

ALGEBRA = {
    "einsum of too few": (lambda T: T.einsum("ij,jk", r(T, 2, 2)), ["einsum"]),
    "einsum of other dimensions": (lambda T: T.einsum("ijk", r(T, 2, 2)), ["einsum"]),
    "einsum with an unknown letter": (lambda T: T.einsum("i->j", r(T, 2)), ["einsum", "j"]),
    "tensordot of other sizes": (lambda T: T.tensordot(r(T, 2, 3), r(T, 4, 5), 1), ["3", "4"]),
    "baddbmm of other sizes": (lambda T: T.baddbmm(r(T, 1), r(T, 2, 3, 4), r(T, 2, 5, 6)), ["[2, 3, 4]", "[2, 5, 6]"]),
    "addmm of other sizes": (lambda T: T.addmm(r(T, 1), r(T, 2, 3), r(T, 4, 5)), ["[2, 3]", "[4, 5]"]),
    "addmv of other sizes": (lambda T: T.addmv(r(T, 2), r(T, 2, 3), r(T, 2)), ["[2, 3]", "[2]"]),
    "outer of a matrix": (lambda T: T.outer(r(T, 2, 2), r(T, 2)), ["2"]),
    "cross of four": (lambda T: T.linalg.cross(r(T, 4), r(T, 4)), ["cross", "4"]),
    "trace of a vector": (lambda T: r(T, 3).trace(), ["trace", "matrix"]),
    "det of an oblong": (lambda T: T.linalg.det(r(T, 2, 3)), ["linalg.det", "[2, 3]"]),
    "det of integers": (lambda T: T.linalg.det(r(T, 2, 2, dtype="int64")), ["linalg.det", "int64"]),
    "inverse of an oblong": (lambda T: T.inverse(r(T, 2, 3)), ["linalg.inv", "[2, 3]"]),
    "inverse of nothing": (lambda T: T.linalg.inv(T.zeros(2, 2)), ["linalg.inv", "singular"]),
    "solve without a solution": (lambda T: T.linalg.solve(T.zeros(2, 2), r(T, 2)), ["linalg.solve", "singular"]),
    "solve of other sizes": (lambda T: T.linalg.solve(T.eye(3), r(T, 2, 2)), ["linalg.solve", "[3, 3]", "[2, 2]"]),
    "solve of two dtypes": (
        lambda T: T.linalg.solve(T.eye(2), r(T, 2, dtype="float64")),
        ["linalg.solve", "float32", "float64"],
    ),
    "cholesky of a negative matrix": (lambda T: T.linalg.cholesky(-T.eye(2)), ["linalg.cholesky", "positive-definite"]),
    "cholesky of an oblong": (lambda T: T.linalg.cholesky(r(T, 2, 3)), ["linalg.cholesky", "[2, 3]"]),
    "eigh of an oblong": (lambda T: T.linalg.eigh(r(T, 2, 3)), ["linalg.eigh", "[2, 3]"]),
    "eig of a number that is not": (lambda T: T.linalg.eig(T.full((2, 2), float("nan"))), ["linalg.eig"]),
    "svd of a vector": (lambda T: T.linalg.svd(r(T, 3)), ["linalg.svd", "[3]"]),
    "qr by a word": (lambda T: T.linalg.qr(r(T, 2, 2), mode="some"), ["qr", "some"]),
    "qr of a vector": (lambda T: T.linalg.qr(r(T, 3)), ["linalg.qr", "[3]"]),
    "norm by a word": (lambda T: T.linalg.norm(r(T, 2, 2), "some"), ["norm", "some"]),
    "vector_norm of integers": (lambda T: T.linalg.vector_norm(i(T, 1, 2)), ["vector_norm", "Long"]),
    "matrix_norm of a vector": (lambda T: T.linalg.matrix_norm(r(T, 3)), ["matrix_norm", "2"]),
    "matrix_power of an oblong": (lambda T: T.linalg.matrix_power(r(T, 2, 3), 2), ["matrix_power", "[2, 3]"]),
    "matrix_exp of a vector": (lambda T: T.matrix_exp(r(T, 3)), ["matrix_exp"]),
    "multi_dot of one": (lambda T: T.linalg.multi_dot([r(T, 2, 2)]), ["multi_dot", "2"]),
    "solve_triangular of other sizes": (
        lambda T: T.linalg.solve_triangular(T.eye(3), r(T, 2, 2), upper=True),
        ["solve_triangular", "[3, 3]", "[2, 2]"],
    ),
    "cdist of other widths": (lambda T: T.cdist(r(T, 2, 3), r(T, 2, 4)), ["cdist", "3", "4"]),
    "kron of a list": (lambda T: T.kron([1], r(T, 1)), ["kron", "list"]),
    "fft of a number": (lambda T: T.fft.fft(r(T)), ["0"]),
    "fft to nothing": (lambda T: T.fft.fft(r(T, 3), n=0), ["0"]),
    "fft along a dimension that is not there": (lambda T: T.fft.fft(r(T, 3), dim=1), ["1"]),
    "fft by a word": (lambda T: T.fft.fft(r(T, 3), norm="some"), ["some"]),
    "rfft of complex numbers": (lambda T: T.fft.rfft(r(T, 3, dtype="complex64")), ["rfft", "complex64"]),
    "fft2 of a vector": (lambda T: T.fft.fft2(r(T, 3)), ["-2"]),
    "fftn along a dimension twice": (lambda T: T.fft.fftn(r(T, 3, 3), dim=(0, 0)), ["unique"]),
}


def sampled(T, name, *args):
    return getattr(T.distributions, name)(*args)


DRAWING = {
    "Normal below zero": (lambda T: sampled(T, "Normal", 0.0, -1.0), ["Normal", "scale", "-1"]),
    "Normal that is not": (lambda T: sampled(T, "Normal", float("nan"), 1.0), ["Normal", "loc"]),
    "Normal of other shapes": (lambda T: sampled(T, "Normal", r(T, 2), r(T, 3)), ["[2]", "[3]"]),
    "Normal's value that is not": (
        lambda T: sampled(T, "Normal", 0.0, 1.0).log_prob(T.tensor(float("nan"))),
        ["Normal"],
    ),
    "Normal's value of other shape": (
        lambda T: sampled(T, "Normal", r(T, 2), r(T, 2)).log_prob(r(T, 3)),
        ["[3]", "[2]"],
    ),
    "Normal's value that is a number": (lambda T: sampled(T, "Normal", 0.0, 1.0).log_prob(1.0), ["value"]),
    "Categorical without either": (lambda T: sampled(T, "Categorical"), ["probs", "logits"]),
    "Categorical below zero": (lambda T: sampled(T, "Categorical", T.tensor([-1.0, 2.0])), ["Categorical", "probs"]),
    "Categorical of a number": (lambda T: sampled(T, "Categorical", r(T)), ["probs"]),
    "Categorical's value beyond": (lambda T: sampled(T, "Categorical", r(T, 3)).log_prob(i(T, 5)), ["Categorical"]),
    "Bernoulli above one": (lambda T: sampled(T, "Bernoulli", 1.5), ["Bernoulli", "probs", "1.5"]),
    "Bernoulli's value between": (lambda T: sampled(T, "Bernoulli", 0.5).log_prob(T.tensor(0.5)), ["Bernoulli"]),
    "Uniform downwards": (lambda T: sampled(T, "Uniform", 1.0, 0.0), ["Uniform"]),
    "Beta of nothing": (lambda T: sampled(T, "Beta", 0.0, 1.0), ["concentration"]),
    "Gamma below zero": (lambda T: sampled(T, "Gamma", -1.0, 1.0), ["Gamma", "concentration", "-1"]),
    "Dirichlet of a number": (lambda T: sampled(T, "Dirichlet", r(T)), ["concentration"]),
    "Exponential of nothing": (lambda T: sampled(T, "Exponential", 0.0), ["Exponential", "rate"]),
    "Poisson below zero": (lambda T: sampled(T, "Poisson", -1.0), ["Poisson", "rate", "-1"]),
    "Binomial below zero": (lambda T: sampled(T, "Binomial", -1, T.tensor(0.5)), ["Binomial", "total_count"]),
    "Binomial with both": (lambda T: sampled(T, "Binomial", 1, r(T), r(T)), ["probs", "logits"]),
    "MultivariateNormal of a number": (lambda T: sampled(T, "MultivariateNormal", r(T), r(T, 1, 1)), ["loc"]),
    "MultivariateNormal not positive": (
        lambda T: sampled(T, "MultivariateNormal", r(T, 2), -T.eye(2)),
        ["MultivariateNormal", "covariance_matrix"],
    ),
    "MultivariateNormal without a scale": (
        lambda T: sampled(T, "MultivariateNormal", r(T, 2)),
        ["covariance_matrix", "scale_tril"],
    ),
    "rsample of Categorical": (lambda T: sampled(T, "Categorical", r(T, 3)).rsample(), []),
    "icdf of Poisson": (lambda T: sampled(T, "Poisson", 1.0).icdf(T.tensor(0.5)), []),
    "kl of two kinds": (
        lambda T: T.distributions.kl_divergence(sampled(T, "Normal", 0.0, 1.0), sampled(T, "Poisson", 1.0)),
        [],
    ),
    "Independent of too many": (lambda T: T.distributions.Independent(sampled(T, "Normal", 0.0, 1.0), 1), ["1", "0"]),
    "expand to fewer": (lambda T: sampled(T, "Normal", r(T, 2), r(T, 2)).expand((3,)), ["[3]", "[2]"]),
    # calls
    "function with an unknown option": (lambda T: T.exp(r(T, 2), speed=1), ["exp", "speed"]),
    "function without its argument": (lambda T: T.exp(), ["exp"]),
    "function with too many": (lambda T: T.exp(r(T, 2), r(T, 2)), ["exp"]),
    "method with an unknown option": (lambda T: r(T, 2).sum(speed=1), ["sum", "speed"]),
    "sum of a list": (lambda T: T.sum([1.0, 2.0]), ["sum", "list"]),
    "matmul of a list": (lambda T: r(T, 2) @ [1.0, 2.0], ["list"]),
    "stack of numbers": (lambda T: T.stack([1.0, 2.0]), ["stack", "float"]),
    "method that is missing": (lambda T: r(T, 2).smu(), ["smu"]),
    "function that is missing": (lambda T: T.smu(r(T, 2)), ["smu"]),
    "attribute of nn that is missing": (lambda T: T.nn.Linaer, ["Linaer"]),
    "gradient of text": (lambda T: setattr(r(T, 2), "grad", "a"), ["grad", "str"]),
    "gradient of other shape": (lambda T: setattr(leaf(T), "grad", r(T, 3)), ["[3]", "[2]"]),
    "gradient of other dtype": (lambda T: setattr(leaf(T), "grad", r(T, 2, dtype="float64")), ["float64", "float32"]),
    "requires_grad of a result": (lambda T: setattr(leaf(T) * 2, "requires_grad", False), ["leaf"]),
    "data of a list": (lambda T: setattr(leaf(T), "data", [1]), ["list"]),
    "hash of a list of tensors": (lambda T: {[r(T, 2)]: 1}, ["list"]),
    "iteration over numbers": (lambda T: dict(r(T, 2)), []),
    "jvp of other shapes": (lambda T: T.func.jvp(T.sin, (r(T, 2),), (r(T, 3),)), ["[2]", "[3]"]),
    "func.grad of a vector": (lambda T: T.func.grad(T.sin)(r(T, 2)), ["scalar"]),
    "functional_call without the name": (
        lambda T: T.func.functional_call(T.nn.Linear(2, 2), {"other": r(T, 1)}, (r(T, 2),), strict=True),
        ["other"],
    ),
}
BAD = MODULES | LOSSES | TRAINING | CREATING | INDEXING | ALGEBRA | DRAWING
