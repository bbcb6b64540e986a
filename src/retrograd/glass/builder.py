"""From a live graph and its backward walk to plain data: nodes, edges, shares, and the bytes that are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import PICK, Node, TensorType, describe
from . import rules
from .explanation import Explanation
from .labels import Labels, called
from .live import Constant, Live, is_entry, saved_of
from .model import Edge, ExplainedNode, Jacobian, Numbers
from .numbers import numbers_of
from .patterns import COPY, pattern_of
from .structure import jacobian_of
from .symbols import ATOM, Form, gradient_form, number, shown


class Builder:
    """Turns a live graph and its backward walk into plain data."""

    def __init__(self, live: Live, seed: Any, full: int) -> None:
        self.live, self.seed, self.full = live, seed, full
        self.nodes: list[ExplainedNode] = []
        self.edges: list[Edge] = []
        self.id: dict[Any, int] = {}
        self.labels = Labels(live)
        self.computed = 0  # operations so far
        self.summed: dict[int, tuple[Numbers, Any]] = {}  # by array, which is kept so that its id stays its own

    def build(self) -> Explanation:
        """Give the explanation."""
        live = self.live
        self.upstream, self.downstream, visits = live.pull(self.seed)
        for node in live.order:
            for operand in live.operands.get(node, ()):
                if isinstance(operand, Constant) and operand not in self.id:
                    self._add_constant(operand)
            self._add(node)
        for node in live.order:
            self._connect(node)
        self._share()
        for number_, node in enumerate(visits):
            self.nodes[self.id[node]].backward = number_
        return self._finish([self.id[n] for n in visits])

    def _finish(self, backward: list[int]) -> Explanation:
        live = self.live
        root = self.id[live.root]
        made = Explanation(
            title=self.nodes[root].expression,
            nodes=self.nodes,
            edges=self.edges,
            output=root,
            seed=self.numbers(self.seed),
            backward=backward,
            kept_bytes=self._kept(),
        )
        unknown = [n.label for n in self.nodes if n.value is None and n.shape != () and n.kind != "constant"]
        unknown += [n.label for n in self.nodes if n.value is None and n.shape == ()]
        if unknown:
            made.notes.append(
                f"The values of {', '.join(unknown[:4])}{' and others' if len(unknown) > 4 else ''} were not kept, because no "
                "derivative needs them. Give explain the function and its inputs, or compute under `with glass.watch() as seen:` and "
                "give it watched=seen, to see them."
            )
        if live.hooked:
            made.notes.append(
                "Hooks registered on tensors and nodes were not run: the gradients are those of the operations."
            )
        if self.seed.size != 1 and (self.seed == 1).all():
            made.notes.append("The result has several elements: the gradients are those of their sum.")
        live.names.forget()
        made.live = live
        made.ids = dict(self.id)
        return made

    def numbers(self, array: Any) -> Numbers | None:
        """Sum up an array, or nothing where there is none; once, however often it is shown."""
        if array is None:
            return None
        found = self.summed.get(id(array))
        if found is None:
            found = self.summed[id(array)] = (numbers_of(array, self.full), array)
        return found[0]

    # -- nodes ------------------------------------------------------------------------------------------------------------
    def _add_constant(self, constant: Constant) -> None:
        k = self.id[constant] = len(self.nodes)
        form = self.labels.constant(constant, k)
        shape = constant.shape or ()
        dtype = str(constant.value.dtype) if isinstance(constant.value, np.ndarray) else ""
        self.nodes.append(
            ExplainedNode(
                k,
                "constant",
                "",
                form.text,
                form.text,
                form.text,
                form.latex,
                form.latex,
                shape=tuple(shape),
                dtype=dtype,
                value=self.numbers(constant.value),
                advice="a constant: no gradient goes to it",
            )
        )

    def _add(self, node: Node) -> None:
        live = self.live
        k = self.id[node] = len(self.nodes)
        form, label, expression = self.labels.node(node, k)
        user = live.origin[node]
        module = live.watched.modules.get(user, "") if live.watched is not None else ""
        made = ExplainedNode(
            k,
            "operation",
            node.op.name if node.op is not None else "",
            label,
            expression.text,
            form.text,
            form.latex,
            expression.latex,
            module=module or self._module_of(node),
            place=describe(node.place) if node.place is not None else "",
            shape=tuple(int(n) for n in node.shape),
            dtype=str(node.dtype),
            value=self.numbers(live.values.get(node)),
            gradient=self.numbers(self._gradient(node)),
            inputs=[self.id[o] for o in live.operands.get(node, ())],
            name=live.titles.get(node) or node.name(),
        )
        if node.op is None:
            owner = live.owners.get(node)
            parameter = id(owner) in live.names.parameters or type(owner).__name__ == "Parameter"
            made.kind = "parameter" if parameter else "input"
            made.advice = "a leaf: its gradient is the result of the backward pass"
        else:
            made.pattern, made.advice = pattern_of(node.op, called(node) if "cls" in node.attrs else "")
            made.forward, self.computed = self.computed, self.computed + 1
            made.attributes = {a: shown(v) for a, v in node.attrs.items() if a != "several"}
            rule = self.labels.rule(node)
            made.rule, made.rule_latex = f"{form.text} = {rule.text}", f"{form.latex} = {rule.latex}"
        self.nodes.append(made)

    def _gradient(self, node: Node) -> Any:
        found = self.upstream.get(node)
        return None if isinstance(found, list) else found

    def _module_of(self, node: Node) -> str:
        for operand in (node, *self.live.operands.get(node, ())):
            owner = self.live.owners.get(operand) if isinstance(operand, Node) else None
            if owner is not None and id(owner) in self.live.names.parameters:
                return self.live.names.by_id[id(owner)].rpartition(".")[0]
        return ""

    def _kept(self) -> int:
        """Say what each node keeps for the backward pass, and give the bytes of all of it, each piece of memory once."""
        own = {id(owner._s) for owner in self.live.owners.values() if owner is not None}
        seen: set[int] = set()
        total = 0
        for node in self.live.order:
            if node.op is None:
                continue
            made = self.nodes[self.id[node]]
            saved = node.saved if isinstance(node.saved, (list, tuple)) else ()
            entries = [(self._role(node, i), e) for i, e in enumerate(saved)]
            entries.append(("out", node.out))
            for role, entry in entries:
                if not is_entry(entry):
                    continue
                array, storage, _ = entry
                made.kept.append(role)
                made.kept_bytes += int(array.nbytes)
                if id(storage) not in own and id(storage) not in seen:
                    seen.add(id(storage))
                    made.new_bytes += int(getattr(storage.root, "nbytes", array.nbytes))
            total += made.new_bytes
        return total

    @staticmethod
    def _role(node: Node, i: int) -> str:
        names = node.op.names if node.op is not None else ()
        return names[i] if i < len(names) else f"x{i}"

    # -- edges ------------------------------------------------------------------------------------------------------------
    def _connect(self, node: Node) -> None:
        operands = self.live.operands.get(node)
        if not operands:
            return
        k = self.id[node]
        xs = [self.live.values.get(o) if isinstance(o, Node) else o.value for o in operands]
        saved_xs, out = self._saved(node, xs)
        for i, operand in enumerate(operands):
            source = self.id[operand]
            edge = Edge(len(self.edges), source, k, i, self._role(node, i))
            self.edges.append(edge)
            self.nodes[k].edges.append(edge.id)
            self.nodes[source].uses.append(edge.id)
            g = self.upstream.get(node)
            if isinstance(operand, Node) and g is not None:
                edge.upstream = None if isinstance(g, list) else self.numbers(g)
                edge.downstream = self.numbers(self.downstream.get((node, i)))
                if node.op is PICK or isinstance(g, list):
                    self._opaque(edge, node, operand)
                else:
                    self._derive(edge, node, operand, saved_xs, out)

    def _saved(self, node: Node, xs: list[Any]) -> tuple[list[Any], Any]:
        """Give the inputs and the result as the rules read them: what the node saved, filled up with what is known otherwise."""
        found = list(xs)
        for i, entry in enumerate(saved_of(node)):
            if entry is not None and i < len(found):
                found[i] = entry[0] if is_entry(entry) else entry
        out = node.out[0] if is_entry(node.out) else self.live.values.get(node)
        return found, out

    def _opaque(self, edge: Edge, node: Node, operand: Node) -> None:
        """Describe the edge of an operation with several results, or to one of them."""
        size = node.type.size
        if node.op is PICK:
            edge.jacobian = Jacobian("identity", size, size, size, 0, 0, 0, None, "one of several results, as it is")
        else:
            edge.jacobian = Jacobian("dense", 0, operand.type.size, 0, 0, 0, 0, None, "of several results together")

    def _derive(self, edge: Edge, node: Node, operand: Node, xs: list[Any], out: Any) -> None:
        """Find the local derivative of one edge: its numbers, its matrix, its structure and its symbols."""
        op: Any = node.op
        i = edge.slot
        want = operand.type
        slope = matrix = None
        try:
            slope = rules.slope_of(node, i, xs, out)
            matrix = rules.matrix_of(node, i, xs, out, want, slope)
        except (AttributeError, TypeError, ValueError):  # a rule that reads what this node did not keep
            pass
        if slope is not None:
            edge.local = self.numbers(slope)
        elif matrix is not None and matrix.size == 1:
            edge.local = self.numbers(matrix.astype(node.dtype).reshape(node.shape))
        types = [o.type if isinstance(o, Node) else _type_of(o) for o in self.live.operands[node]]
        edge.jacobian = jacobian_of(op, node.type, want, types, i, node.attrs, matrix)
        self._symbols(edge, node, xs, out)

    def _symbols(self, edge: Edge, node: Node, xs: list[Any], out: Any) -> None:
        found = rules.traced(node, edge.slot, xs, out)
        names = self.labels
        x, y = names.symbol(self.live.operands[node][edge.slot]), names.symbol(node)
        left = gradient_form(x)
        g = gradient_form(y)
        if found is None:
            edge.rule = f"{left.text} = J({called(node)}).T {g.text}"
            edge.rule_latex = rf"{left.latex} = J^{{\top}} {g.latex}"
            return
        given: dict[Any, Form] = {"g": g, "out": y}
        given.update({k: names.symbol(o) for k, o in enumerate(self.live.operands[node])})
        forms = found.forms(given)
        edge.rule, edge.rule_latex = self._product(found, forms, left, g)
        rule = node.op.rule_for(edge.slot) if node.op is not None else None
        if found.slope is not None or (rule is not None and rule.form == "number"):
            slope = forms[found.slope] if found.slope is not None else number(rule.fn)  # type: ignore[union-attr]
            edge.derivative = f"d{y.text}/d{x.text} = {slope.text}"
            edge.derivative_latex = rf"\frac{{\partial {y.latex}}}{{\partial {x.latex}}} = {slope.latex}"
        self._fill(edge, node, found, xs, out, left)

    @staticmethod
    def _product(found: rules.Traced, forms: dict[Node, Form], left: Form, g: Form) -> tuple[str, str]:
        if found.roles.get(found.result) == "g":  # the slope is one: said, not left out
            return f"{left.text} = {g.text} * 1", rf"{left.latex} = {g.latex} \cdot 1"
        r = forms[found.result]
        return f"{left.text} = {r.text}", f"{left.latex} = {r.latex}"

    def _fill(self, edge: Edge, node: Node, found: rules.Traced, xs: list[Any], out: Any, left: Form) -> None:
        """Put the numbers into a rule, where they are few."""
        g = self.upstream[node]
        down = self.downstream.get((node, edge.slot))
        read = {found.roles[n] for n in found.order if n in found.roles}
        arrays: dict[Any, Any] = {"g": g, "out": out, **dict(enumerate(xs))}
        used = {role: arrays[role] for role in read}
        if down is None or down.size > 6 or any(a is None or np.size(a) > 6 for a in used.values()):
            return
        given = {role: _held(_number_form(a)) for role, a in used.items()}
        forms = found.forms(given)
        text, latex = self._product(found, forms, left, given["g"])
        r = _number_form(down)
        edge.filled, edge.filled_latex = f"{text} = {r.text}", f"{latex} = {r.latex}"

    def _share(self) -> None:
        """Give each edge its part of the gradient that arrives at its source."""
        for node, total in self.upstream.items():
            if isinstance(total, list):
                continue
            made = self.nodes[self.id[node]]
            alone = [e for e in made.uses if self.edges[e].downstream is not None]
            if len(alone) == 1:
                norm_of = made.gradient.norm if made.gradient is not None else None
                self.edges[alone[0]].share = 1.0 if norm_of else None
                continue
            flat = total.reshape(-1).astype(np.complex128 if total.dtype.kind == "c" else np.float64)
            top = float(np.abs(flat).max()) if flat.size else 0.0
            if not top or not np.isfinite(top):
                continue
            flat = flat / top
            norm = float(np.vdot(flat, flat).real)
            count = 0
            for e in made.uses:
                edge = self.edges[e]
                part = self.downstream.get((self._node_of(edge.target), edge.slot))
                if part is not None and part.shape == total.shape:
                    edge.share = float(np.vdot(flat, part.reshape(-1) / top).real) / norm
                    count += 1
            if count > 1:
                made.advice = f"{made.advice}; {COPY[0]}: {COPY[1].format(count=count)}".lstrip("; ")

    def _node_of(self, k: int) -> Any:
        if not hasattr(self, "_back"):
            self._back = {v: n for n, v in self.id.items()}
        return self._back[k]


def _type_of(constant: Constant) -> Any:
    if constant.shape is None:
        return None
    dtype = getattr(constant.value, "dtype", np.dtype(np.float32))
    return TensorType(tuple(constant.shape), dtype)


def _number_form(array: Any) -> Form:
    a = np.asarray(array)
    value = a.astype(np.float64).item() if a.size == 1 and a.dtype.kind in "fiuV" else a.tolist()
    return number(value, 8 if a.size == 1 else 5)


def _held(form: Form) -> Form:
    return form.held(ATOM) if form.text.startswith("-") else form


__all__ = ["Builder"]
