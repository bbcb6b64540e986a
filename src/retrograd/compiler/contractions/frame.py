"""The frame of a contraction: the numbers and addresses that its generated code reads, one 64-bit word each."""

from __future__ import annotations

from ..codegen.emit import Count, Function, Value

BOUNDS = 3  # conditions that an operand's positions may have: one for each dimension of an image

# One operand: strides in elements along its free index and along the sum, or tables (i64) of offsets in their place; and for each
# bound the tables (i32) of positions along both, and the extent (0: no such bound).
OPERAND = (
    "free", "sum", "free_table", "sum_table",
    *(f"{name}{d}" for d in range(BOUNDS) for name in ("free_position", "sum_position", "extent")),
)  # fmt: skip
# What the micro-kernel reads, besides its operands' strides.
TILE = (
    "k",  # how many products are summed
    "first_k",  # where in the tables of the sum they begin
    "width",  # elements from k to k in a packed panel of B
    "c_row", "c_columns",  # C's stride from row to row; offsets (i64) of its columns where they have no unit stride
    "columns",  # how many columns of the tile there are; its other lanes are neither read nor written
    "flags",  # ACCUMULATE: add to what C holds; FINAL: the epilogue is to be done
    "i", "j",  # the tile's first row and column in the whole
    "c",  # where C begins: tensors laid out as C are read at the same distance from their own beginning
    "extras",  # the address of the epilogue's addresses
    "behind",  # the function that goes on with a tile of finished sums, where the program's own code does
    "ahead",  # the function that asks for what is read and written behind a tile, before its sums are begun
    "bias",  # how far vectors over the rows are moved for this item of the batch, in elements
)  # fmt: skip
ACCUMULATE, FINAL = 1, 2
# What the driver reads besides.
DRIVER = (
    "a", "b", "work", "m", "n", "depth", "accumulate",
    "a_size", "b_size", "c_size",  # bytes of a number
    "pack_a", "pack_b",  # the packers' addresses, or 0: read where it lies
    "tall_wide", "tall_narrow", "short_wide", "short_narrow",  # micro-kernels of tall rows or one less, and all vectors or fewer
    "tall", "tall_count", "row_panels", "column_panels", "last_width",
    "rows_at_once", "columns_at_once", "depth_at_once",  # a block: row panels, column panels, and products
    "a_panel", "b_panel", "b_work",  # bytes from packed panel to packed panel; where B's begin in the working memory
    "batch", "batch_table", "row_strips", "column_strips", "chunks", "wakes", "work_step",
    "group",  # column panels that are packed at a time
    "item_a", "item_b", "item_c",  # the item of the batch at hand
    "panel", "panels", "column", "columns_here",  # the block at hand: first row panel and number, first column panel and number
)  # fmt: skip
FIELDS = {
    name: place
    for place, name in enumerate(
        (*TILE, *DRIVER, *(f"a_{name}" for name in OPERAND), *(f"b_{name}" for name in OPERAND))
    )
}
WORDS = len(FIELDS)
PLACES = {
    name: place for place, name in enumerate(OPERAND)
}  # of an operand's words from its first, "a_free" or "b_free"


def get(f: Function, frame: Value, name: str, type: str = "i64") -> Value:
    """Read a field."""
    return f.load(type, f.element("i64", frame, FIELDS[name]), 8)


def put(f: Function, frame: Value, name: str, value: Count, type: str = "i64") -> None:
    """Write a field."""
    f.store(type, str(value), f.element("i64", frame, FIELDS[name]), 8)
