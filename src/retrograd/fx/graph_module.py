"""A module whose forward is written from a Graph, and written again when the Graph has changed."""

from __future__ import annotations

import copy
import itertools
import linecache
from typing import Any

from ..core import BaseTensor
from ..nn import Module, Parameter
from .graph import Graph
from .naming import GIVEN
from .writing import PythonCode

_count = itertools.count()


def _forward(written: PythonCode) -> Any:
    """Make the function of a written program; tracebacks show its lines."""
    file = f"<eval_with_key>.{next(_count)}"
    linecache.cache[file] = (len(written.src), None, written.src.splitlines(keepends=True), file)
    scope: dict[str, Any] = dict(written.globals)
    exec(compile(written.src, file, "exec"), scope)
    return scope["forward"]


def _copied(source: Any, made: Module, target: str) -> None:
    """Give a new module what lies at a dotted path of another, in empty modules of the same names."""
    *above, last = target.split(".")
    for name in above:
        inner = getattr(source, name, None)
        if inner is None:
            return
        if name not in made._modules:
            made.add_module(name, Module())
        source, made = inner, made._modules[name]
        if source is made:
            return
    held = getattr(source, last)
    if isinstance(held, BaseTensor) and not isinstance(held, Parameter):
        made.register_buffer(last, held, persistent=last not in getattr(source, "_non_persistent_buffers_set", ()))
    else:
        setattr(made, last, held)


def _placed(made: Module, target: str, held: Any) -> None:
    """Give a new module something at a dotted path, with empty modules on the way."""
    *above, last = target.split(".")
    for name in above:
        if name not in made._modules:
            made.add_module(name, Module())
        made = made._modules[name]
    if isinstance(held, BaseTensor) and not isinstance(held, Parameter):
        made.register_buffer(last, held)
    else:
        setattr(made, last, held)


class GraphModule(Module):
    """A module made of a Graph and of what its Nodes name in another module (or in a dict by dotted path).

    ``graph`` is the program; ``recompile`` writes ``forward`` again after it was changed in place; ``code`` is the text.

    Examples
    --------
    >>> import retrograd as torch
    >>> traced = torch.fx.symbolic_trace(lambda x: torch.relu(x) + 1)
    >>> traced(torch.tensor([-1.0, 1.0]))
    tensor([1., 2.])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> GraphModule:
        # each instance has its class, which holds its forward
        for base in cls.__mro__:
            if base.__dict__.get("_fx_instance_class"):
                continue
            cls = base
            break

        class GraphModuleImpl(cls):  # type: ignore[misc, valid-type]
            _fx_instance_class = True

        GraphModuleImpl.__doc__ = cls.__doc__
        return super().__new__(GraphModuleImpl)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        self.__class__.__name__ = class_name
        targets = [node.target for node in graph.nodes if node.op in ("get_attr", "call_module")]
        if isinstance(root, Module):
            self.training = root.training
            for target in targets:
                _copied(root, self, target)
        elif isinstance(root, dict):
            for target in sorted(set(targets), key=lambda target: target.count(".")):
                if target not in root:
                    raise RuntimeError(f"Node referenced target {target} but that target was not provided in ``root``!")
                _placed(self, target, root[target])
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.meta: dict[str, Any] = dict(getattr(root, "meta", None) or {})
        self._tracer_cls = graph._tracer_cls
        self._create_node_hooks: list[Any] = []
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The program; assigning one takes it and writes forward again."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The program as Python."""
        return self._code

    def recompile(self) -> PythonCode:
        """Write forward again, after the graph was changed in place."""
        written = self._graph.python_code(root_module="self")
        self._code = written.src
        type(self).forward = _forward(written)  # type: ignore[method-assign]
        return written

    def print_readable(self, print_output: bool = True, **ignored: Any) -> str:
        """Print the program as a class with its forward; the text is given back too."""
        body = self._code.strip("\n").rstrip()
        text = f"class {self.__class__.__name__}(torch.nn.Module):\n" + "".join(
            f"    {line}\n" if line else "\n" for line in body.split("\n")
        )
        if print_output:
            print(text)  # noqa: T201  printing is what it is for
        return text

    def __repr__(self) -> str:
        text = super().__repr__()
        return "\n".join([text, self._code, "# To see more debug info, please use `graph_module.print_readable()`"])

    __str__ = __repr__

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a dotted path; False where something else is in the way."""
        held: Any = self
        *above, last = target.split(".")
        for name in above:
            inner = getattr(held, name, None)
            if inner is None:
                inner = Module()
                held.add_module(name, inner)
            if not isinstance(inner, Module):
                return False
            held = inner
        held.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Take the module at a dotted path away; False where there is none."""
        above, _, last = target.rpartition(".")
        try:
            owner = self.get_submodule(above)
        except AttributeError:
            return False
        if not isinstance(getattr(owner, last, None), Module):
            return False
        delattr(owner, last)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Take away the modules that no Node names, nor lies below one that is called."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used |= {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
                if node.op == "call_module":
                    used |= {f"{node.target}.{n}" for n, _ in self.get_submodule(node.target).named_modules() if n}
        for name in [name for name, _ in self.named_modules() if name]:
            if name not in used:
                self.delete_submodule(name)

    def __deepcopy__(self, memo: Any) -> GraphModule:
        held = Module()
        memo[id(self)] = held
        skipped = ("_graph", "_code", "_tracer_cls", "_create_node_hooks")
        held.__dict__.update(copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in skipped}, memo))
        made = GraphModule(held, copy.deepcopy(self._graph, memo), self.__class__.__name__)
        memo[id(self)] = made
        made.__dict__.update({k: v for k, v in held.__dict__.items() if k not in ("_graph", "_code")})
        return made

    def __copy__(self) -> GraphModule:
        return GraphModule(self, copy.deepcopy(self._graph), self.__class__.__name__)

    def __reduce__(self) -> Any:
        skipped = ("_graph", "_create_node_hooks", "_tracer_cls")
        state = {k: v for k, v in self.__dict__.items() if k not in skipped}
        own = {name: held for name, held in self._graph.python_code().globals.items() if name not in GIVEN}
        return _unpickled, (state, own)


def _unpickled(state: dict[str, Any], own: dict[str, Any]) -> GraphModule:
    """Make a GraphModule of what was pickled: its program is traced again from its text, modules taken whole."""
    from ._symbolic_trace import Tracer

    class Whole(Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return True

    class Held(Module):
        pass

    held = Held()
    held.__dict__.update({k: v for k, v in state.items() if k != "_code"})
    Held.forward = _forward(PythonCode(state["_code"], {**GIVEN, **own}))  # type: ignore[method-assign]
    made = GraphModule(held, Whole().trace(held))
    made.__dict__.update({k: v for k, v in state.items() if k != "_code"})
    return made


__all__ = ["GraphModule"]
