"""An explanation as LaTeX: the forward trace, then every step of the backward pass in symbols and with its numbers."""

from __future__ import annotations

from .model import Edge, ExplainedNode, Graph, Numbers
from .render_text import in_order
from .symbols import escaped, number

PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[landscape,margin=15mm]{geometry}
\usepackage{xcolor}
\definecolor{value}{HTML}{1A7F37}
\definecolor{gradient}{HTML}{C1121F}
\allowdisplaybreaks
\begin{document}
"""
MOST = 9  # numbers of an array that is written out


def latex(graph: Graph, document: bool = False) -> str:
    r"""Write an explanation as LaTeX, for the packages amsmath and xcolor.

    Parameters
    ----------
    graph : Graph
    document : bool
        With a preamble, ready to be typeset; otherwise the colours ``value`` and ``gradient`` are the reader's to define.

    Returns
    -------
    str

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> print(glass.explain(x * x).to_latex().splitlines()[3])
    v_{1} &= x \cdot x & &= {\color{value} 9} \\
    """
    lines = [rf"% {escaped(graph.title)}", r"\paragraph{Forward}", r"\begin{align*}"]
    computed = [n for n in graph.nodes if n.kind in ("operation", "fold")]
    lines += [_line(n) for n in computed]
    lines += [r"\end{align*}"]
    if graph.mode == "forward":
        lines += [r"\paragraph{Tangents}", r"\begin{align*}", *(_tangent(graph, n) for n in computed), r"\end{align*}"]
    else:
        lines += [r"\paragraph{Backward}", r"\begin{align*}"]
        out = graph.nodes[graph.output]
        lines.append(rf"\frac{{\partial L}}{{\partial {out.symbol_latex}}} &= {_shown(graph.seed, 'gradient')} \\")
        order = list(in_order(graph))
        last: dict[int, int] = {}
        count: dict[int, int] = {}
        for edge in order:
            last[edge.source] = edge.id
            count[edge.source] = count.get(edge.source, 0) + 1
        for edge in order:
            lines.append(_move(edge))
            if count[edge.source] > 1 and last[edge.source] == edge.id:
                lines.append(_meeting(graph, edge))
        lines += [r"\end{align*}", escaped(graph.convention)]
    body = "\n".join(lines)
    return f"{PREAMBLE}{body}\n\\end{{document}}\n" if document else body


def _shown(numbers: Numbers | None, color: str) -> str:
    if numbers is None:
        return "?"
    if numbers.full is not None and numbers.size <= MOST and len(numbers.shape) <= 2:
        value = numbers.number if numbers.number is not None else numbers.full
        return rf"{{\color{{{color}}} {number(value, 8 if numbers.size == 1 else 5).latex}}}"
    size = r" \times ".join(map(str, numbers.shape))
    return rf"{{\color{{{color}}} \mathbb{{R}}^{{{size}}}}}"


def _line(node: ExplainedNode) -> str:
    left, _, right = node.rule_latex.partition(" = ")
    relation = "=" if node.value is not None and node.value.full is not None and node.value.size <= MOST else r"\in"
    return rf"{left} &= {right} & &{relation} {_shown(node.value, 'value')} \\"


def _move(edge: Edge) -> str:
    left, _, right = edge.rule_latex.partition(" = ")
    shares = "" if edge.share is None or abs(edge.share - 1) < 1e-9 else rf" \quad \text{{({100 * edge.share:.4g}\%)}}"
    if edge.filled_latex:
        filled = edge.filled_latex.partition(" = ")[2]
        return rf"{left} &\mathrel{{+}}= {right} & &= {filled}{shares} \\"
    return rf"{left} &\mathrel{{+}}= {right} & & {shares} \\"


def _meeting(graph: Graph, edge: Edge) -> str:
    """Write the sum, where the last gradient of a value that is used several times has come."""
    source = graph.nodes[edge.source]
    left = rf"\frac{{\partial L}}{{\partial {source.symbol_latex}}}"
    return rf"\Rightarrow\quad {left} &= \textstyle\sum & &= {_shown(source.gradient, 'gradient')} \\"


def _tangent(graph: Graph, node: ExplainedNode) -> str:
    parts = []
    for e in node.edges:
        edge = graph.edges[e]
        if edge.tangent is not None:
            source = graph.nodes[edge.source].symbol_latex
            slope = edge.derivative_latex.partition(" = ")[2]
            slope = (
                rf"\left({slope}\right)" if slope else rf"\frac{{\partial {node.symbol_latex}}}{{\partial {source}}}"
            )
            parts.append(rf"{slope} \dot{{{source}}}")
    return rf"\dot{{{node.symbol_latex}}} &= {' + '.join(parts) or '0'} & &= {_shown(node.tangent, 'gradient')} \\"


__all__ = ["latex"]
