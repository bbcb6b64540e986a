"""The device of a tensor: the CPU holds all data here; other names are known, and refused with a reason when used."""

from __future__ import annotations

from typing import Any

KNOWN = (
    "cpu",
    "cuda",
    "mps",
    "xpu",
    "meta",
    "xla",
    "hpu",
    "mtia",
    "mkldnn",
    "opengl",
    "opencl",
    "ideep",
    "hip",
    "ve",
    "fpga",
    "maia",
    "vulkan",
    "lazy",
    "ipu",
    "privateuseone",
)


class device:
    """Where a tensor's bytes are: a type and an optional index, written ``"cpu"`` or ``"cuda:0"``.

    Only ``cpu`` holds data in this library; tensors on ``meta`` have a shape and a dtype and no data; using another raises
    RuntimeError with the remedy. As a block, it is where tensors are made that no device is named for.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.device("cpu").type
    'cpu'
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        if isinstance(type, int):
            if type < 0:
                raise RuntimeError(f"Device index must not be negative, but got {type}")
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        name, colon, number = type.partition(":")
        if name not in KNOWN:
            raise RuntimeError(f"Expected one of {', '.join(KNOWN)} device type at start of device string: {type}")
        if colon:
            if index is not None or not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        self.type, self.index = name, index

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (str(self),)

    def __enter__(self) -> device:
        elsewhere(self)
        ENTERED[0](self)
        return self

    def __exit__(self, *exc: Any) -> None:
        LEFT[0](self)


CPU = device("cpu")
META = device("meta")
# what a block of a device does besides: put here by a floor above
ENTERED: list[Any] = [lambda device: None]
LEFT: list[Any] = [lambda device: None]


class DeviceError(AssertionError, RuntimeError):
    """A device that this library does not compute on; torch raises one or the other type for it."""


def elsewhere(wanted: Any) -> bool:
    """Tell whether a tensor is to be made on the meta device; DeviceError for a device that is not here."""
    if wanted is None or wanted is CPU:
        return False
    if wanted is META or device(wanted).type == "meta":
        return True
    check_device(wanted)
    return False


def check_device(wanted: Any) -> None:
    """Raise DeviceError unless data can be placed on ``wanted`` (None and the CPU pass)."""
    if wanted is None or wanted is CPU:
        return
    found = device(wanted)
    if found.type != "cpu":
        raise DeviceError(
            f"device '{found}' is not available: retrograd computes on the CPU. "
            "Use 'cpu', or choose the device by torch.cuda.is_available() (which is False here)."
        )
