"""Explain an expression: every value, every gradient, and how each came to be.

`retrograd explain "1/(1+exp(-(w0*x0+w1*x1+w2)))" w0=2 x0=-1 w1=-3 x1=-2 w2=-3` prints the graph with the value and the
gradient of every node, and upstream x local = downstream for every edge. Values are numbers or lists, such as
x=[1,-2,3,-1]. The expression is read, never run: it may hold numbers, names, + - * / @ ** (or ^), brackets, and functions
such as exp, log, relu, sigmoid, tanh, max and sum. Everything is computed in float64.

`--fold sigmoid="1/(1+exp(-z))"` makes every part of that form one node.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words on its parser."""
    parser.add_argument("expression", metavar="EXPRESSION", help='such as "w*x + b"')
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="a number, or nested lists of numbers")
    add = parser.add_argument
    add("--gradient", metavar="VALUE", help="dL/d(result); ones by default")
    add("--fold", action="append", default=[], metavar="NAME=FORM", help="make every part of this form one node")
    add("--forward", nargs="?", const="", metavar="NAME", help="the forward-mode view, along one input or all")
    add("--steps", action="store_true", help="both passes one node at a time")
    add("--step", action="store_true", help="the same, waiting for Enter after each; q ends it")
    add("--jacobians", action="store_true", help="local Jacobians: structure, size and cost")
    add("--json", action="store_true", help="the data, as JSON")
    add("--latex", action="store_true", help="the derivation, as LaTeX")
    add("--document", action="store_true", help="with --latex: with a preamble")
    for kind, what in (("svg", "a picture"), ("png", "a picture"), ("html", "a page")):
        add(f"--{kind}", metavar="FILE", help=f"write {what}")
    add("--dtype", choices=("float64", "float32"), default="float64", help="of the values")
    add("--plain", action="store_true", help="no colour")
    _intermixed(parser)


def _intermixed(parser: argparse.ArgumentParser) -> None:
    """Let NAME=VALUE stand before, between and behind the options, and an expression begin with a minus."""
    once = parser.parse_known_args

    def mixed(args: Any = None, namespace: Any = None) -> Any:
        parser.parse_known_args = once  # type: ignore[method-assign]
        try:
            return parser.parse_known_intermixed_args(None if args is None else _words(args), namespace)
        finally:
            parser.parse_known_args = mixed  # type: ignore[method-assign]

    parser.parse_known_args = mixed  # type: ignore[method-assign]


def _words(args: Sequence[str]) -> list[str]:
    """Give the words with a space before those that are no options but begin as such: ``-x``, and all behind ``--``."""
    args = list(args)
    end = args.index("--") if "--" in args else len(args)
    plain = [f" {w}" if w.startswith("-") and w[1:2] not in ("", "-") and w != "-h" else w for w in args[:end]]
    return plain + [f" {w}" if w.startswith("-") else w for w in args[end + 1 :]]


def execute(arguments: argparse.Namespace) -> int:
    """Explain the expression and print or write it; give the exit status."""
    from retrograd.glass.expression import ExpressionError

    try:
        made = _explained(arguments)
        _show(made, arguments)
    except (ExpressionError, ValueError, KeyError, RuntimeError, TypeError, IndexError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        text = text.partition("\n  at ")[0]  # the place is a line of this program's, not of the user's
        print("retrograd explain: " + "".join(c if c.isprintable() else " " for c in text), file=sys.stderr)
        return 2
    except ImportError as error:
        print(
            f"retrograd explain: a picture needs matplotlib ({error}); pip install 'retrograd[plots]'", file=sys.stderr
        )
        return 2
    except BrokenPipeError:  # whoever reads the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"retrograd explain: {error.strerror}: {error.filename!r}", file=sys.stderr)
        return 1
    return 0


def _explained(arguments: argparse.Namespace) -> Any:
    """Read the expression and its values, and explain it."""
    import numpy as np

    from retrograd.core import wrap
    from retrograd.glass import explain
    from retrograd.glass.expression import CONSTANTS, ExpressionError, compute, names_in, parse, parse_value

    expression = parse(arguments.expression)
    values = {}
    for word in arguments.values:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise ExpressionError(f"{word[:40]!r} is not NAME=VALUE")
        if name in values:
            raise ExpressionError(f"{name} is given twice")
        values[name] = wrap(parse_value(text).astype(arguments.dtype)).requires_grad_()
    used = names_in(expression)
    missing = [n for n in used if n not in values and n not in CONSTANTS]
    if missing:
        raise ExpressionError(f"there is no value for {', '.join(missing)}; add {missing[0]}=...")
    unused = [n for n in values if n not in used]
    if unused:
        raise ExpressionError(
            f"{', '.join(unused)} is not in the expression, which has {', '.join(used) or 'no names'}"
        )
    if not used or not values:
        raise ExpressionError("the expression has no inputs, so that there is no gradient; give it a name, such as x")
    gradient = None if arguments.gradient is None else parse_value(arguments.gradient)
    made = explain(
        lambda: compute(expression, values),
        names=values,
        gradient=np.asarray(gradient) if gradient is not None else None,
    )
    if arguments.forward is not None:
        made = made.forward(arguments.forward or None)
    for fold in arguments.fold:
        name, equals, form = fold.partition("=")
        if not equals or not name.isidentifier():
            raise ExpressionError(f"{fold[:40]!r} is not NAME=FORM")
        made = made.fold(name, form)
    return made


def _show(made: Any, arguments: argparse.Namespace) -> None:
    written = [path for path in (arguments.svg, arguments.png, arguments.html) if path]
    for kind in ("svg", "png", "html"):
        path = getattr(arguments, kind)
        if path:
            _write(made, path, kind)
    if arguments.json:
        from retrograd.glass.saving import to_json

        print(to_json(made))
    elif arguments.latex:
        print(made.to_latex(document=arguments.document))
    elif arguments.step:
        _step_through(made)
    elif not written:
        from retrograd.glass.render_text import show

        show(made, arguments.jacobians, arguments.steps, color=False if arguments.plain else None)


def _step_through(made: Any) -> None:
    """Print one step after the other; between them wait for whoever looks, if somebody does."""
    from retrograd.glass.render_text import step_lines

    lines = step_lines(made)
    for line in lines:
        print(line, flush=True)
        if sys.stdin.isatty() and line is not lines[-1] and input().strip().lower() == "q":
            return


def _write(made: Any, path: str, kind: str) -> None:
    if kind == "html":
        from retrograd.glass.saving import save

        if not path.endswith(".html"):
            raise ValueError(f"{path!r} is to be HTML and should end with .html")
        save(made, path)
        return
    from retrograd.glass.render_picture import save as draw

    draw(made, path, kind)
