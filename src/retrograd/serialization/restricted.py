"""An unpickler that can build weights and plain data, and nothing else: no code in the file is ever run."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError, decode_long
from typing import Any

from . import allowed

MAX_KEY_PARTS = 64  # tuples nested in dictionary keys: hashing deeper ones could take for ever
PLAIN_KEYS = (str, bytes, int, float, bool, complex, type(None))

CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
CONTAINERS: dict[bytes, Callable[[], Any]] = {b"}": dict, b"]": list, b"\x8f": set}
NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
TEXTS = {b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q"}
OLD_TEXTS = {b"U": "<B", b"T": "<i"}
BYTES = {b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q"}
LONGS = {b"\x8a": "<B", b"\x8b": "<i"}
GETS = {b"h": "<B", b"j": "<I"}
PUTS = {b"q": "<B", b"r": "<I"}
TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
IGNORED = {b"\x80": 1, b"\x95": 8}  # the protocol's number; a frame's length


class WeightsUnpickler:
    """Run the pickle program in ``data`` on a stack of plain objects.

    Every opcode either makes plain data or looks its class or function up in a table of allowed ones, whose arguments
    are checked. Memory and time are bounded by the length of ``data``.

    ``persistent_load`` turns a storage's identifier into the storage. ``encoding`` is that of Python 2's strings
    ("bytes" leaves them as bytes).

    Raises UnpicklingError for anything that is not allowed, by name, and for damaged programs.
    """

    def __init__(self, data: Any, persistent_load: Callable[[Any], Any], encoding: str = "utf-8") -> None:
        self.data = memoryview(data).cast("B")
        self.position = 0
        self.persistent_load = persistent_load
        self.encoding = encoding
        self.copied = 0
        self.asking = False

    def load(self) -> Any:
        """Give the object that the program ends with; a further call reads the next program."""
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        at = self.position
        try:
            while True:
                at = self.position
                code = bytes(self.take(1))
                if code == b".":
                    return self.pop()
                self.step(code)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error, RecursionError) as error:
            if self.asking:  # the fault is map_location's
                raise
            raise UnpicklingError(
                f"Weights only load failed: the pickle data is damaged at byte {at} ({type(error).__name__}: {error}). "
                "Save or download the file again."
            ) from error

    def step(self, code: bytes) -> None:
        """Run one opcode."""
        stack = self.stack
        if code in PUTS:
            self.memo[self.unpack(PUTS[code])] = self.top()
        elif code in GETS:
            stack.append(self.memo[self.unpack(GETS[code])])
        elif code in TEXTS:
            stack.append(str(self.take(self.unpack(TEXTS[code])), "utf-8", "surrogatepass"))
        elif code in NUMBERS:
            stack.append(self.unpack(NUMBERS[code]))
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in CONTAINERS:
            stack.append(CONTAINERS[code]())
        elif code in TUPLES:
            self.need(TUPLES[code])
            stack[-TUPLES[code] :] = [tuple(stack[-TUPLES[code] :])]
        elif code in LONGS:
            stack.append(decode_long(bytes(self.take(self.unpack(LONGS[code])))))
        elif code in BYTES:
            raw = self.take(self.unpack(BYTES[code]))
            stack.append(bytearray(raw) if code == b"\x96" else bytes(raw))
        elif code in OLD_TEXTS:
            text = bytes(self.take(self.unpack(OLD_TEXTS[code])))
            stack.append(text if self.encoding == "bytes" else text.decode(self.encoding))
        elif code in IGNORED:
            self.take(IGNORED[code])
        elif code in OPERATIONS:
            OPERATIONS[code](self)
        else:
            raise UnpicklingError(
                f"Weights only load failed: the pickle opcode {code!r} is not supported. torch.save writes protocol 2; "
                "save the file again with the default pickle_protocol."
            )

    # -- the data and the stack ------------------------------------------------------------------------------------
    def take(self, count: int) -> memoryview:
        """Give the next bytes of the program."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise UnpicklingError(
                f"Weights only load failed: the pickle data is cut short at byte {self.position} of {len(self.data)}. "
                "Save or download the file again."
            )
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def unpack(self, form: str) -> Any:
        """Give the next number of the program."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Give the next line of the program, without its end."""
        end = self.position
        while self.data[end] != 10:
            end += 1
        text = str(self.take(end - self.position), "utf-8")
        self.position += 1
        return text

    def need(self, count: int) -> None:
        """Make sure that the stack holds this many objects since the last mark."""
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise IndexError("too few objects on the stack")

    def top(self) -> Any:
        """Give the object on top of the stack."""
        self.need(1)
        return self.stack[-1]

    def pop(self) -> Any:
        """Take the object on top of the stack."""
        self.need(1)
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take all objects since the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # -- opcodes that do more than make plain data -----------------------------------------------------------------
    def mark(self) -> None:
        """Remember how high the stack is."""
        self.marks.append(len(self.stack))

    def memoize(self) -> None:
        """Keep the top object under the next number."""
        self.memo[len(self.memo)] = self.top()

    def make_tuple(self) -> None:
        """Make a tuple of the objects since the mark."""
        self.stack.append(tuple(self.pop_mark()))

    def make_frozenset(self) -> None:
        """Make a frozen set of the objects since the mark."""
        self.stack.append(frozenset(check_key(item) for item in self.pop_mark()))

    def append(self) -> None:
        """Append the top object to the list below it."""
        item = self.pop()
        self.target(list).append(item)

    def appends(self) -> None:
        """Append the objects since the mark to the list below it."""
        items = self.pop_mark()
        self.target(list).extend(items)

    def set_item(self) -> None:
        """Put the top pair into the dictionary below it."""
        value, key = self.pop(), self.pop()
        self.target(dict, OrderedDict, Counter)[check_key(key)] = value

    def set_items(self) -> None:
        """Put the pairs since the mark into the dictionary below it."""
        items = self.pop_mark()
        table = self.target(dict, OrderedDict, Counter)
        for key, value in zip(items[::2], items[1::2], strict=True):
            table[check_key(key)] = value

    def add_items(self) -> None:
        """Add the objects since the mark to the set below it."""
        items = self.pop_mark()
        self.target(set).update(check_key(item) for item in items)

    def target(self, *types: type) -> Any:
        """Give the top object, which must be of exactly one of these types."""
        found = self.top()
        if type(found) not in types and not allowed.is_instance(found):
            raise UnpicklingError(f"Weights only load failed: cannot put items into a {type(found).__name__}.")
        return found

    def find_global(self) -> None:
        """Look up a class or a function by two lines of text."""
        module, name = self.line(), self.line()
        self.stack.append(allowed.find(*allowed.python3_name(module, name)))

    def find_stack_global(self) -> None:
        """Look up a class or a function by the two strings on top of the stack."""
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("Weights only load failed: the name of a global must be a string.")
        self.stack.append(allowed.find(module, name))

    def reduce(self) -> None:
        """Call the function below the tuple of arguments on top."""
        args, function = self.pop(), self.pop()
        self.pay(args)
        self.stack.append(allowed.call(function, args))

    def new_object(self) -> None:
        """Make an instance of the class below the tuple of arguments on top."""
        args, cls = self.pop(), self.pop()
        self.stack.append(allowed.new(cls, args))

    def build(self) -> None:
        """Give the object below the state on top that state."""
        state = self.pop()
        self.pay((state,))
        allowed.set_state(self.top(), state)

    def pay(self, args: Any) -> None:
        """Count what a call may copy: a short program must not copy one long list again and again."""
        if type(args) is tuple:
            self.copied += sum(len(arg) for arg in args if isinstance(arg, (list, tuple, dict, str, bytes, bytearray)))
        if self.copied > 16 * len(self.data) + 4096:
            raise UnpicklingError("Weights only load failed: the pickle data copies its parts too often.")

    def persistent(self) -> None:
        """Turn the identifier on top into the storage that it names."""
        identifier = self.pop()
        if type(identifier) is not tuple or not identifier or identifier[0] not in ("storage", b"storage"):
            raise UnpicklingError("Weights only load failed: only storages may be stored outside of the pickle data.")
        self.asking = True
        self.stack.append(self.persistent_load(identifier))
        self.asking = False


def check_key(key: Any) -> Any:
    """Give ``key`` back if hashing it is quick; UnpicklingError otherwise."""
    todo, parts = [key], 0
    while todo:
        part = todo.pop()
        parts += 1
        if parts > MAX_KEY_PARTS:
            raise UnpicklingError("Weights only load failed: a dictionary key or set element is nested too deeply.")
        if isinstance(part, tuple):
            todo.extend(part[:MAX_KEY_PARTS])
        elif not isinstance(part, PLAIN_KEYS) and not allowed.is_token(part) and not allowed.is_instance(part):
            raise UnpicklingError(
                f"Weights only load failed: a {type(part).__name__} cannot be a dictionary key or a set element here."
            )
    return key


OPERATIONS: dict[bytes, Callable[[WeightsUnpickler], None]] = {
    b"(": WeightsUnpickler.mark,
    b"\x94": WeightsUnpickler.memoize,
    b"t": WeightsUnpickler.make_tuple,
    b"\x91": WeightsUnpickler.make_frozenset,
    b"a": WeightsUnpickler.append,
    b"e": WeightsUnpickler.appends,
    b"s": WeightsUnpickler.set_item,
    b"u": WeightsUnpickler.set_items,
    b"\x90": WeightsUnpickler.add_items,
    b"c": WeightsUnpickler.find_global,
    b"\x93": WeightsUnpickler.find_stack_global,
    b"R": WeightsUnpickler.reduce,
    b"\x81": WeightsUnpickler.new_object,
    b"b": WeightsUnpickler.build,
    b"Q": WeightsUnpickler.persistent,
}
