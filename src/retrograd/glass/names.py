"""Names of values: from the caller's variables, a module's parameters, and the user's source lines."""

from __future__ import annotations

import ast
import linecache
import numbers
from types import FrameType
from typing import Any

from ..core import BaseTensor, Node

OPERATORS: dict[type, str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
}


class Names:
    """What values are called, the first source that knows one winning.

    Parameters
    ----------
    given : dict, optional
        Names and tensors, as the user says them.
    module : Module, optional
        Its parameters and buffers go by their paths.
    frame : frame, optional
        The caller's, whose local and global variables name tensors; a module among them names its parameters.
    """

    def __init__(self, given: dict[str, Any] | None = None, module: Any = None, frame: FrameType | None = None) -> None:
        self.by_id: dict[int, str] = {}
        self.kept: list[Any] = []
        self.tensors: dict[Node, Any] = {}
        self.by_node: dict[Node, str] = {}
        self.scope: dict[str, Any] = {}
        self.parameters: set[int] = set()
        for text, tensor in (given or {}).items():
            self.note(text, tensor)
        if module is not None:
            self._module(module, "")
        if frame is not None:
            self.scope = {**frame.f_globals, **frame.f_locals}
            for variables in (frame.f_locals, frame.f_globals if frame.f_globals is not frame.f_locals else {}):
                for text, value in list(variables.items()):
                    if isinstance(value, BaseTensor) and not text.startswith("_"):
                        self.note(text, value)
            if module is None:
                self._modules(frame)

    def note(self, text: str, tensor: Any) -> None:
        """Say what a tensor is called, unless it has a name."""
        if not isinstance(tensor, BaseTensor):
            return
        if id(tensor) not in self.by_id:
            self.by_id[id(tensor)] = text
            self.kept.append(tensor)  # so that the id stays its own
        node = tensor._node
        if node is not None and node not in self.by_node:
            self.by_node[node] = self.by_id[id(tensor)]
            if node.op is not None and (tensor._base is None or tensor._base._node is tensor._seen):
                self.tensors[node] = tensor

    def _module(self, module: Any, prefix: str) -> None:
        for path, parameter in module.named_parameters():
            self.note(f"{prefix}{path}", parameter)
            self.parameters.add(id(parameter))
        for path, buffer in module.named_buffers():
            self.note(f"{prefix}{path}", buffer)

    def _modules(self, frame: FrameType) -> None:
        found: dict[int, Any] = {}
        for text, value in [*frame.f_locals.items(), *frame.f_globals.items()]:
            if hasattr(value, "named_parameters") and hasattr(value, "_modules") and not isinstance(value, type):
                found.setdefault(id(value), (text, value))
        for text, value in found.values():
            self._module(value, "" if len(found) == 1 else f"{text}.")

    def forget(self) -> None:
        """Let go of the caller's variables, once everything has its name."""
        self.scope, self.kept, self.tensors, self.by_node = {}, [], {}, {}

    def of(self, node: Node, owner: Any) -> str:
        """Give the name of a user's node or of the leaf tensor behind it, or nothing."""
        return self.by_id.get(id(owner), "") if owner is not None else self.by_node.get(node, "")

    def of_storage(self, storage: Any, tensor: Any, value: Any) -> str:
        """Give the name of data: of the tensor itself, or of one that is the whole of the same memory."""
        if tensor is not None and id(tensor) in self.by_id:
            return self.by_id[id(tensor)]
        for held in self.kept:
            if held._s is storage and (value is None or held._a.shape == value.shape):
                return self.by_id[id(held)]
        return ""


def source_of(node: Node) -> str:
    """Give the text of the very expression that made a node, where the source is at hand; otherwise nothing."""
    if node.place is None:
        return ""
    code, offset = node.place
    positions = list(code.co_positions())
    if offset < 0 or offset // 2 >= len(positions):
        return ""
    first, last, begin, end = positions[offset // 2]
    if first is None or last is None or begin is None or end is None or last - first > 20:
        return ""
    lines = [linecache.getline(code.co_filename, k).encode() for k in range(first, last + 1)]
    if not all(lines):
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    return b" ".join(line.strip() for line in lines).decode(errors="replace")


class Candidate:
    """What a variable holds now, which need not be what it held when the line ran."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value._a if isinstance(value, BaseTensor) else value if isinstance(value, numbers.Number) else None


def literal(node: Node, i: int, names: Names) -> tuple[Any, str]:
    """Give the value and the text of an operand as it stands in the source line, where that is an infix operation."""
    try:
        tree = ast.parse(source_of(node).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, ""
    if isinstance(tree, ast.BinOp) and node.op is not None and OPERATORS.get(type(tree.op)) == node.op.name:
        sides = (tree.left, tree.right)
        return _meaning(sides[i], names) if i < 2 else (None, "")
    return None, ""


def _meaning(tree: ast.expr, names: Names) -> tuple[Any, str]:
    sign = 1
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        sign, tree = -1, tree.operand
    if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
        return sign * tree.value, ""
    if isinstance(tree, ast.Name) and sign == 1:
        return Candidate(names.scope.get(tree.id)), tree.id
    return None, ""


__all__ = ["Candidate", "Names", "literal", "source_of"]
