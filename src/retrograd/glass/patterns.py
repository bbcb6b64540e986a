"""What the backward of an operation does to the gradient that flows through it, by name and in a sentence."""

from __future__ import annotations

from ..core import Op

DISTRIBUTOR = ("gradient distributor", "hands the upstream gradient to every input unchanged")
SWAP = ("swap multiplier", "multiplies the upstream gradient by the other input's value")
ROUTER = ("gradient router", "sends the whole upstream gradient to the input that won, and zero to the others")
ADDER = ("gradient adder", "adds up the gradients of all the places its input was copied to")
MOVER = ("gradient mover", "puts each gradient back to where its number came from")
SCALER = ("gradient scaler", "multiplies the upstream gradient by its own slope at this input")
GATE = ("gradient gate", "lets the upstream gradient through where the input was positive, and stops it elsewhere")
TRANSPOSER = ("gradient transposer", "applies the transposed linear map to the upstream gradient")

BY_OP: dict[str, tuple[str, str]] = {
    "add": DISTRIBUTOR,
    "sub": ("gradient distributor", "hands the upstream gradient to the first input, and its negative to the second"),
    "mul": SWAP,
    "neg": ("sign flipper", "hands on the negative of the upstream gradient"),
    "div": ("swap multiplier", "divides the upstream gradient by the second input for the first, and by its square (times -first) for the second"),
    "matmul": ("swap multiplier", "multiplies the upstream gradient by the other matrix, transposed"),
    "weight_product": ("swap multiplier", "multiplies the upstream gradient by the other matrix"),
    "linear": ("swap multiplier", "gives the input the gradient times the weight, the weight the gradient times the input, the bias the sum over rows"),
    "conv": ("swap multiplier", "slides the upstream gradient over the kernel for the input, and over the input for the kernel"),
    "exp": ("gradient scaler", "multiplies the upstream gradient by its own output"),
    "relu": GATE,
    "clamp": ("gradient gate", "lets the upstream gradient through where the input is within the bounds"),
    "where": ("gradient router", "sends each element's gradient to the input it was taken from"),
    "sum": ("gradient distributor", "hands the upstream gradient to every element it added up"),
    "mean": ("gradient distributor", "hands the upstream gradient, divided by how many there were, to every element"),
    "sum_to": ("gradient distributor", "hands the upstream gradient to every element it added up"),
    "cumsum": ("gradient adder", "adds up the gradients of all the results that an element went into"),
    "expand": ADDER,
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin", "amax", "amin", "max_pool"), ROUTER),
    **dict.fromkeys(("slice", "diagonal", "as_strided", "unfold_view", "unfold", "real", "imag", "pick", "pool_gather"), ("gradient router", "puts the upstream gradient where its numbers were taken from, and zero elsewhere")),
    **dict.fromkeys(("gather", "index_select", "index", "index2", "take_rows"), ("gradient router", "puts the upstream gradient where its numbers were taken from, adds up where one was taken twice, and leaves zero elsewhere")),
    **dict.fromkeys(("cat", "stack", "assemble", "index_put", "index_put2", "view_write", "straight", "embed", "constant_pad", "scatter"), ("gradient distributor", "hands each input the part of the upstream gradient at its own place")),
    **dict.fromkeys(("view", "permute", "transpose", "flip", "roll", "view_as_real", "view_as_complex"), MOVER),
    **dict.fromkeys(("clone", "alias", "after", "cast", "positive", "conj"), ("gradient distributor", "hands on the upstream gradient")),
    **dict.fromkeys(("tril", "triu"), ("gradient gate", "lets the upstream gradient through where the element was kept")),
    **dict.fromkeys(("floor", "ceil", "trunc", "round", "step"), ("gradient stop", "is flat almost everywhere: nothing passes")),
}  # fmt: skip

COPY = ("copy: gradient adder", "its value is used {count} times, and the gradients of all uses add up")
WORDS = {"maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min", "amax": "max", "amin": "min"}


def pattern_of(op: Op, called: str = "") -> tuple[str, str]:
    """Give the flow pattern of an operation and what it says.

    Parameters
    ----------
    op : Op
    called : str
        Another name for it.

    Returns
    -------
    tuple of two str

    Examples
    --------
    >>> from retrograd.core import REGISTRY
    >>> pattern_of(REGISTRY["mul"])[0], pattern_of(REGISTRY["maximum"])[0]
    ('mul: swap multiplier', 'max: gradient router')
    """
    found = BY_OP.get(op.name)
    if found is None:
        if op.family == "elementwise":
            found = SCALER
        elif op.family == "linear":
            found = TRANSPOSER
        elif op.family == "bilinear":
            found = SWAP
        else:
            found = ("vector-Jacobian product", "multiplies the upstream gradient by its Jacobian, which is not formed")
    return f"{called or WORDS.get(op.name, op.name)}: {found[0]}", found[1]


__all__ = ["COPY", "pattern_of"]
