"""What nodes are called in an explanation: a symbol for rules, a short label for a picture, and the whole expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Node
from .live import Constant, Live
from .symbols import ATOM, SUM, Form, attributes, name, number, write

SHORT, LONG = 20, 120  # letters of a label, and of an expression before it is cut into named values


class Labels:
    """Names every node once."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.symbols: dict[Any, Form] = {}
        self.whole: dict[Any, Form] = {}  # expressions in terms of leaves, or of symbols where they grow too long
        self.elided: dict[Any, Form] = {}
        self.taken: set[str] = set()
        self.count = 0

    def symbol(self, operand: Any) -> Form:
        """Give how an operand is written in a rule."""
        return self.symbols[operand]

    def _unique(self, text: str) -> str:
        found, k = text, 1
        while found in self.taken:
            k += 1
            found = f"{text}_{k}"
        self.taken.add(found)
        return found

    def constant(self, constant: Constant, k: int) -> Form:
        """Name a constant: by its variable, or a small number by itself."""
        value = constant.value
        text = constant.label or self._made(constant.tensor)
        if text:
            form = name(self._unique(text))
        elif value is not None and np.size(value) == 1 and np.asarray(value).dtype.kind in "biufcV":
            a = np.asarray(value)
            form = number(a.astype(np.float64).item() if a.dtype.kind == "V" else a.item(), 6)
        else:
            form = name(self._unique(f"c{k}"))
        self.symbols[constant] = self.whole[constant] = self.elided[constant] = form
        return form

    def _made(self, tensor: Any, depth: int = 3) -> str:
        """Say what a value without a history was made of, as far as that was seen."""
        live = self.live
        if tensor is None or live.watched is None:
            return ""
        known = live.names.by_id.get(id(tensor))
        if known:
            return known
        node = live.twin.get(tensor._node)
        if node is not None:
            return self.symbols[node].text if node in self.symbols else ""
        made = live.watched.made.get(id(tensor))
        if made is None:
            return ""
        _, function, operands = made
        inside = [self._made(o, depth - 1) for o in operands] if depth else []
        if function in PLAIN and len(inside) == 1 and inside[0]:
            return inside[0]
        return f"{function}({', '.join(i or '...' for i in inside) or '...'})"

    def node(self, node: Node, k: int) -> tuple[Form, str, Form]:
        """Name a node; give its symbol, its label and its expression."""
        live = self.live
        if node.op is None:
            self.count += 1
            known = live.names.of(live.origin[node], live.owners.get(node))
            form = name(self._unique(known or f"x{self.count}"))
            self.symbols[node] = self.whole[node] = self.elided[node] = form
            return form, form.text, form
        symbol = self.symbols[node] = name(self._unique(f"v{k}"))
        operands = live.operands[node]
        whole = write(called(node), [self.whole[o] for o in operands], attributes(node))
        sums = node.op.name in ("add", "sub")
        grouped = write(
            called(node), [_grouped(self.whole[o]) if sums else self.whole[o] for o in operands], attributes(node)
        )
        label = tight(grouped.text)
        if len(label) > SHORT:
            label = tight(write(called(node), [self.elided[o] for o in operands], attributes(node)).text)
        self.elided[node] = symbol if node.op.name in PLAIN else _elided(label, whole)
        self.whole[node] = whole if len(whole.text) <= LONG else symbol
        expression = Form(tight(whole.text), whole.latex, whole.level) if len(whole.text) <= LONG else self.rule(node)
        return symbol, label, expression

    def rule(self, node: Node) -> Form:
        """Write what a node computes from its operands' symbols."""
        return write(called(node), [self.symbols[o] for o in self.live.operands[node]], attributes(node))


PLAIN = ("view", "expand", "sum_to", "alias", "pick", "clone", "cast", "detach")


def called(node: Node) -> str:
    """Give an operation's name; for a custom Function its class's."""
    op: Any = node.op
    cls = node.attrs.get("cls")
    return str(cls.__name__) if cls is not None and hasattr(cls, "__name__") else str(op.name)


def tight(text: str) -> str:
    """Write products without spaces, as in ``w0*x0 + w1*x1``."""
    return text.replace(" * ", "*")


def _grouped(form: Form) -> Form:
    """Show the grouping of sums, which is the order they were computed in."""
    return Form(f"({form.text})", form.latex, ATOM) if form.level == SUM else form


def _elided(label: str, form: Form) -> Form:
    """Write an operand in the label of what is made of it: whole if it is short, else its outermost operation."""
    if len(tight(form.text)) <= 12:
        return form
    function, bracket, _ = label.partition("(")
    if bracket and function.replace("_", "").isalnum():
        return Form(f"{function}(...)", r"\ldots")
    return Form("...", r"\ldots", 0)  # level 0: in brackets beside any operator


__all__ = ["Labels", "tight"]
