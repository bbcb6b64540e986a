"""Contractions: sums of products over shared indices, as generated kernels that read their operands where they lie.

A contraction is ``C[i, j] (+)= sum over k of A[i, k] * B[k, j]``, for each item of a batch. ``j`` runs along vectors, ``i`` along
broadcast numbers. ``i``, ``j`` and ``k`` may each be made of several axes, described by (length, stride in elements), outermost
first; so a transpose, a strided view, a batch or an image's patches are packed on the fly and are never formed.

::

    from retrograd.compiler.contractions import Bound, Contraction, Operand, Result, prepare

    x = Operand(
        free=((n, c * h * w), (oh, sh * w), (ow, sw)),  # the index that stays: here pixels, the columns
        sum=((c, h * w), (kh, dh * w), (kw, dw)),  # the index that is summed over: the taps
        offset=-ph * w - pw,  # of the element where all indices are 0
        bounds=(
            Bound(
                h, -ph, free=(0, sh, 0), sum=(0, dh, 0)
            ),  # 0 <= -ph + sh * oh' + dh * kh' < h, or the element is 0
            Bound(w, -pw, free=(0, 0, sw), sum=(0, 0, dw)),
        ),
    )
    weight = Operand(free=((o, c * kh * kw),), sum=((c * kh * kw, 1),))
    out = Result(
        rows=((o, oh * ow),), columns=((n, o * oh * ow), (oh * ow, 1))
    )  # unit stride along the columns is best
    run = prepare(
        Contraction("f32", weight, x, out, epilogue=("bias_rows", "relu"))
    )  # cached by its description
    run(
        address_of_weight, address_of_x, address_of_out, extras=(address_of_bias,)
    )  # ints; from any thread
    run.arrays(weight_array, x_array, out_array, bias_array)  # the same with ndarrays, unchecked

- ``accumulate=True`` adds to what C holds (beta = 1). ``batch=((length, stride of a, of b, of c), ...)`` repeats it.
- ``epilogue``: steps done in registers before the store, in order; each that needs memory takes the next address of ``extras``:
  "scale" (one number), "bias_rows" (a vector over i), "bias_columns" (over j), "add" (a tensor laid out as C), "mask" (one laid out as C:
  the value where it is > 0, else 0), "relu", and the names of :data:`..codegen.vmath.UNARY` such as "tanh".
- The bits do not depend on the number of threads. Offsets are 64 bit.

Inside (all lengths and strides are numbers of a frame, so one kernel serves all shapes):

- :mod:`.tile`: ``write_tile(module, Tile(kind, rows, vectors, a=, b=, epilogue=, scattered=))`` writes the micro-kernel
  ``void(ptr a, ptr b, ptr c, ptr frame)``. ``a``: "packed" (rows side by side for each k), "strided" (a[row * a_free + k * a_sum]) or "table"
  (a[row * a_free + a_sum_table[k]]). ``b``: "packed", "direct" (unit stride along j, b[k * b_sum + j], the last vector masked) or "table"
  (b[b_sum_table[k] + j]). The frame's fields are in :mod:`.frame`. ``tile.address(Tile(...))`` is the compiled one's address.
- :mod:`.packing`: ``write_packer(module, Packer(kind, how, ...))``, panels of operands: unit stride along the free index, along the sum
  (transposed in registers), or by tables with bounds.
- :mod:`.driver`: loops over blocks and strips, which threads are given. :mod:`.blocking`: sizes of tiles and blocks from the machine's.
- :mod:`.streams`: a large matrix with few vectors, and outer products. :mod:`.products`: ``matmul`` and ``linear``, which eager mode
  calls, and ``plan(...)``, which says what is done with a product and why. :mod:`.split`: long sums in parts. :mod:`.pairs`: bfloat16
  two by two. :mod:`.native`: products in compiled programs. :mod:`.behind`: those that statements follow, tile by tile, and convolutions.
- :mod:`.conv`: which kernel makes a convolution and its Jacobian products: channels along vectors (:mod:`.conv_channels`), pixels
  (:mod:`.conv_pixels`), groups (:mod:`.conv_groups`), fewer multiplications (:mod:`.conv_winograd`), weight gradients (:mod:`.conv_weights`, :mod:`.conv_taps`,
  :mod:`.conv_inner`), or a contraction as above (:mod:`.conv_products`).
"""

from __future__ import annotations

from typing import Any

_PLACES = {
    **dict.fromkeys(("Bound", "Contraction", "Operand", "Result"), "description"),
    **dict.fromkeys(("Prepared", "prepare"), "prepared"),
    **dict.fromkeys(("matmul", "plan"), "products"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is."""
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
