"""The page that ``explain`` prints, written from its data."""

from __future__ import annotations

from typing import Any

WIDTH = 48  # columns of the chart of lifetimes
MOST_BLOCKS = 12
MOST_KERNELS = 60
MOST_TOLD = 24  # kernels whose statements are listed
MOST_VALUES = 8  # between the parts, of each kind
MOST_NODES = 24  # a graph of more is shown on request


def report(data: dict[str, Any]) -> str:
    """Write the page."""
    programs = data["programs"]
    lines = [f"{data['name']}: {_count(len(programs), 'program')}" + (", fullgraph" if data["fullgraph"] else "")]
    machine = data["machine"]
    library = f", matrix kernels for {machine['blas']}" if machine["blas"] else ""
    lines.append(
        f"on {machine['cpu']}, vectors of {machine['vector_bits']} bits, {_count(machine['threads'], 'thread')}{library}"
    )
    pieces = data["pieces"]
    how = f"run in {_count(len(pieces), 'piece')}" if pieces else "run eagerly"
    for one in data["eager"]:
        lines.append(f"eager: calls with {_arguments(one['arguments'])} {how}, because {one['reason']}")
    for one in data["warming"]:
        lines.append(
            f"warming: calls with {_arguments(one)} have run eagerly so far; one of the next is traced and compiled"
        )
    if not (programs or data["eager"] or data["warming"]):
        lines.append("it has not been called yet: the first call runs eagerly, the second is traced and compiled")
    lines += [_epoch(note) for note in data["epochs"]]
    for number, program in enumerate(programs, 1):
        lines += ["", *_program(number, program, data["show"])]
    for piece in pieces:
        heading, _, *rest = report(piece).splitlines()  # the second line names the machine again
        lines += ["", f"piece {heading}", *["  " + line if line else "" for line in rest]]
    return "\n".join(lines)


def _epoch(note: dict[str, Any]) -> str:
    each = f", {_time(note['seconds'] / note['steps'])} each" if note["steps"] else ""
    how = f"{note['native']} of them in native loops" if note["native"] else "one call each"
    why = f", because {note['reason']}" if note["reason"] else ""
    return f"epoch: {_count(note['steps'], 'step')}{each}, {how}{why}"


def _program(number: int, program: dict[str, Any], show: dict[str, bool]) -> list[str]:
    inputs, guards, graph = program["inputs"], program["guards"], program["graph"]
    lines = [f"program {number}: calls with {_arguments(program['arguments'])}"]
    lines.append(
        f"  reads {_count(inputs['given'], 'tensor')} given ({_bytes(inputs['given_bytes'])}), {inputs['held']} held "
        f"({_bytes(inputs['held_bytes'])}), {_count(inputs['gradients'], 'gradient')}; "
        f"writes {inputs['written']} of them and {_count(inputs['new_gradients'], 'gradient')}"
    )
    way = "compared in generated code" if program["short_way"] else "compared in Python"
    lines.append(f"  guards: {guards['count']}, {way}: " + ", ".join(f"{n} {k}" for k, n in guards["by_kind"].items()))
    if show["guards"]:
        lines += [f"    {g['name']}" + (f" = {g['value']}" if g["value"] else "") for g in guards["list"]]
    lines.append(f"  traced graph: {_count(graph['nodes'], 'node')} ({_ops(graph['ops'])})")
    if show["graph"] or graph["nodes"] <= MOST_NODES:
        lines += ["    " + line for line in graph["text"].splitlines()]
    else:
        lines.append("    explain(graph=True) shows it")
    lines.append("  passes:")
    for one in program["passes"]:
        lines.append(f"    {one['name']:22s} {one['before']:5d} -> {one['after']:5d} nodes  {_change(one)}".rstrip())
    if program["between"] is not None:
        lines += _between(program["between"])
    for part in program["parts"]:
        lines += ["", *_part(part, show)]
    return lines


def _between(between: dict[str, Any]) -> list[str]:
    """Write what goes from the forward part to the backward part, the largest of each kind first."""
    lines = ["  from forward to backward:"]
    kinds = (
        ("handed", "handed over"),
        ("read_again", "read again where it lies"),
        ("computed_again", "computed again"),
    )
    for key, told in kinds:
        values = sorted(between[key], key=lambda v: -v["bytes"])
        total = _bytes(sum(v["bytes"] for v in values))
        lines.append(f"    {_count(len(values), 'value')} of {total} {told}" + (":" if values else ""))
        for v in values[:MOST_VALUES]:
            line = f"  from {v['line']}" if v.get("line") else ""
            lines.append(f"      {_bytes(v['bytes']):>9s}  {v['value']}{line}")
        if len(values) > MOST_VALUES:
            lines.append(f"      and {len(values) - MOST_VALUES} smaller ones")
    return lines


def _part(part: dict[str, Any], show: dict[str, bool]) -> list[str]:
    code = part["compile"]
    kernels = part["kernels"]
    native = [k for k in kernels if k["kind"] != "numpy"]
    took = (
        ""
        if part["seconds"] is None
        else f", {_time(part['seconds'])} together, least of {_count(part['rounds'], 'round')}"
    )
    memory, steps = part["memory"], _count(part["steps"], "step")
    calls = f"{_count(len(native), 'kernel')}, {_count(part['numpy_calls'], 'NumPy call')}"
    lines = [f"  {part['name']}: {steps}, {calls}, {part['flops'] / 1e6:.3g} Mflop{took}"]
    made = f"{_time(code['python_seconds'])} of Python and {_time(code['llvm_seconds'])} for machine code"
    lines.append(f"    compiled in {made}, from {code['code_from']}")
    if part["together"]:
        whole, shared = sum(g["steps"] for g in part["together"]), sum(g["chunks"] > 1 for g in part["together"])
        told = f"{_count(whole, 'step')} of equal kernels side by side, as {_count(len(part['together']), 'record')}"
        lines.append(f"    {told}, {shared} of them shared among threads")
    columns = f"{'per run':>9s} {'share':>6s} {'runs':>4s} {'flop':>8s} {'read':>9s} {'written':>9s}"
    lines.append(f"    {columns}  kernel")
    for number, kernel in enumerate(kernels[:MOST_KERNELS]):
        lines += _kernel(kernel, show, number < MOST_TOLD)
    if len(kernels) > MOST_KERNELS:
        lines.append(f"    and {len(kernels) - MOST_KERNELS} more, in .data")
    return [*lines, *_memory(memory, part["steps"])]


def _kernel(kernel: dict[str, Any], show: dict[str, bool], told: bool) -> list[str]:
    took = "" if kernel["seconds"] is None else _time(kernel["seconds"])
    share = "" if kernel["share"] is None else f"{kernel['share']:.1%}"
    numbers = f"{_number(kernel['flops']):>8s} {_bytes(kernel['bytes_read']):>9s} {_bytes(kernel['bytes_written']):>9s}"
    lines = [
        f"    {took:>9s} {share:>6s} {kernel['runs']:4d} {numbers}  {kernel['symbol'].removeprefix('rg_')} {_what(kernel)}"
    ]
    gap = " " * 14
    if kernel["lines"]:
        more = ", ..." if len(kernel["lines"]) > 3 else ""
        lines.append(f"{gap}from {', '.join(kernel['lines'][:3])}{more}")
    lines += [gap + s for s in kernel.get("statements", ()) if told]
    for kind in ("ir", "assembly"):
        if show[kind] and kernel.get(kind):
            lines += ["", *[gap + line for line in kernel[kind].splitlines()], ""]
    return lines


def _what(kernel: dict[str, Any]) -> str:
    kind = kernel["kind"]
    chunks = f", in {kernel['chunks']} chunks" if kernel["chunks"] > 1 else ""
    if kind == "loops":
        rows = f"rows {_product(kernel['rows'])} of " if kernel["rows"] else ""
        sweeps = f", {_count(kernel['sweeps'], 'sweep')}" if kernel["sweeps"] > 1 else ""
        if kernel.get("convolution"):
            rate = f", {kernel['gflops']:.3g} GFLOP/s" if kernel["gflops"] else ""
            return f"{kernel['convolution']}, gone on with {kernel['goes_on']}, {kernel['vector_width']} at once{rate}"
        if kernel.get("product"):
            m, k, n = kernel["product"]
            rate = f", {kernel['gflops']:.3g} GFLOP/s" if kernel["gflops"] else ""
            return f"product {m}x{k} @ {k}x{n}, gone on with {kernel['goes_on']}, {kernel['vector_width']} at once{rate}{chunks}"
        return f"loops over {rows}{_product(kernel['columns'])}, {kernel['vector_width']} at once{sweeps}{chunks}"
    if kind == "convolution":
        return f"{kernel['op']} of {kernel['sizes']}; {kernel['chunks']} chunks"
    if kind == "product":
        batch = f"{_product(kernel['batch'])} of " if kernel["batch"] else ""
        rate = f", {kernel['gflops']:.3g} GFLOP/s" if kernel["gflops"] else ""
        return f"product {batch}{kernel['m']}x{kernel['k']} @ {kernel['k']}x{kernel['n']}, {kernel['by']}{rate}{chunks}"
    if kind == "numpy":
        return f"NumPy {kernel['op']} {kernel['domain']}"
    return str(kernel["label"])


def _memory(memory: dict[str, Any], steps: int) -> list[str]:
    inputs = f"inputs {_bytes(memory['input_bytes'])} ({_bytes(memory['written_bytes'])} of them written)"
    results = f"results {_bytes(memory['output_bytes'])}, constants {_bytes(memory['constant_bytes'])}"
    results += f", addresses {_bytes(memory['table_bytes'])}"
    lines = [f"    memory: {inputs}, {results}"]
    values = f"{_count(len(memory['blocks']), 'value')} of {_bytes(memory['sum_bytes'])}"
    lines.append(
        f"    arena: {_bytes(memory['arena_bytes'])} for {values}; {_bytes(memory['peak_bytes'])} alive at most"
    )
    columns = min(WIDTH, max(steps, 1))
    for block in memory["blocks"][:MOST_BLOCKS]:
        first, last = (block[k] * columns // max(steps, 1) for k in ("first", "last"))
        bar = "." * first + "#" * (min(last, columns - 1) - first + 1)
        lines.append(f"      {bar:.<{columns}s} {_bytes(block['bytes']):>8s}  {block['value']}")
    if len(memory["blocks"]) > MOST_BLOCKS:
        lines.append(f"      and {len(memory['blocks']) - MOST_BLOCKS} smaller ones")
    return lines


# -- words ---------------------------------------------------------------------------------------------------------------
def _count(n: int, word: str) -> str:
    return f"{n} {word}" + ("" if n == 1 else "s")


def _arguments(arguments: list[str]) -> str:
    return f"({', '.join(arguments)})"


def _ops(ops: dict[str, int]) -> str:
    most = list(ops.items())[:8]
    return ", ".join(f"{n} {name}" for name, n in most) + (", ..." if len(ops) > 8 else "")


def _change(one: dict[str, Any]) -> str:
    removed = ", ".join(f"-{n} {name}" for name, n in list(one["removed"].items())[:5])
    added = ", ".join(f"+{n} {name}" for name, n in list(one["added"].items())[:5])
    return "  ".join(filter(None, (removed, added)))


def _product(lengths: list[int]) -> str:
    return "x".join(map(str, lengths)) or "1"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.2f} us"


def _bytes(n: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.4g} {unit}"
    return f"{n} B"


def _number(n: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return str(n)
