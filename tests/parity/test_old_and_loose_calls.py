"""Calls that PyTorch still takes from old programs, or takes more loosely than it says: argument orders, Python types, storages."""

from __future__ import annotations

import array
import copy
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.behaviours import Table, compare  # noqa: E402

orders, types, made, shapes, storages, walks = Table(), Table(), Table(), Table(), Table(), Table()


def counted(T, *shape):
    return T.arange(1.0, 1.0 + int(np.prod(shape))).reshape(shape)


def square(T):
    return counted(T, 2, 2)


orders.add(
    add=lambda T: T.add(counted(T, 2), 2, counted(T, 2)),
    add_method=lambda T: counted(T, 2).add(2, counted(T, 2)),
    add_in_place=lambda T: counted(T, 2).add_(-0.5, counted(T, 2)),
    sub=lambda T: T.sub(counted(T, 2), 2, counted(T, 2)),
    addcmul=lambda T: T.addcmul(counted(T, 2), 2, counted(T, 2), counted(T, 2)),
    addcmul_in_place=lambda T: counted(T, 2).addcmul_(0.1, counted(T, 2), counted(T, 2)),
    addcdiv=lambda T: T.addcdiv(counted(T, 2), 2, counted(T, 2), counted(T, 2)),
    addcdiv_in_place=lambda T: counted(T, 2).addcdiv_(-0.1, counted(T, 2), counted(T, 2)),
    addmm=lambda T: T.addmm(2, square(T), 3, square(T), square(T)),
    addmm_beta_alone=lambda T: T.addmm(2, square(T), square(T), square(T)),
    addmm_method=lambda T: square(T).addmm(2, 3, square(T), square(T)),
    addmm_in_place=lambda T: square(T).addmm_(2, square(T), square(T)),
    addmv=lambda T: T.addmv(2, counted(T, 2), 3, square(T), counted(T, 2)),
    addr=lambda T: T.addr(2, square(T), 3, counted(T, 2), counted(T, 2)),
    baddbmm=lambda T: T.baddbmm(2, square(T)[None], 3, square(T)[None], square(T)[None]),
    addbmm=lambda T: T.addbmm(2, square(T), 3, square(T)[None], square(T)[None]),
    number_behind=lambda T: T.add(counted(T, 2), counted(T, 2), 2),
    three_tensors=lambda T: T.add(counted(T, 2), counted(T, 2), counted(T, 2)),
    too_many_numbers=lambda T: counted(T, 2).add(1, 2, counted(T, 2)),
    gradient=lambda T: T.autograd.grad((x := counted(T, 2).requires_grad_()).add(3, x * x).sum(), x),
)

for _type in (float, int, bool, complex):
    types.add(
        **{
            f"to_{_type.__name__}": lambda T, t=_type: counted(T, 2).to(t),
            f"view_{_type.__name__}": lambda T, t=_type: T.zeros(4).view(t),
            f"rand_{_type.__name__}": lambda T, t=_type: T.rand(2, dtype=t).dtype,
            f"randn_like_{_type.__name__}": lambda T, t=_type: T.randn_like(T.ones(2), dtype=t).dtype,
            f"type_{_type.__name__}": lambda T, t=_type: T.ones(2).type(t),
            f"module_{_type.__name__}": lambda T, t=_type: T.nn.Linear(1, 1).to(t).weight.dtype,
        }
    )
types.add(
    finfo=lambda T: T.finfo(float).eps,
    type_of_tensors=lambda T: T.ones(2).int().type(T.Tensor),
    negative_device=lambda T: T.device(-1),
    meta_format=lambda T: format(T.empty((), device="meta")),
    is_nested=lambda T: T.ones(1).is_nested,
    jagged=lambda T: T.ones(1).layout == T.jagged,
    no_item_is_deleted=lambda T: T.ones(2).__delitem__(0),
)


def _within(T, make):
    x = T.zeros(2, 3)
    make(x.narrow(1, 1, 2))
    return x


made.add(
    arange_in_place=lambda T: _within(T, lambda x: T.arange(0, 4, out=x)),
    linspace_in_place=lambda T: _within(T, lambda x: T.linspace(0, 3, 4, out=x)),
    logspace_in_place=lambda T: _within(T, lambda x: T.logspace(0, 3, 4, out=x)),
    arange_resizes=lambda T: T.arange(5, out=T.zeros(2, 2, dtype=T.int8)),
    linspace_of_ints=lambda T: T.linspace(0, 9, 4, out=T.zeros(4, dtype=T.int64)),
    full_of_ints=lambda T: T.full((2,), 1.0, out=T.zeros(2, dtype=T.int64)),
    eye_of_bytes=lambda T: T.eye(2, out=T.zeros(2, 2, dtype=T.uint8)),
    too_large=lambda T: T.empty(2**40, 2**40),
    block_diag_of_none=lambda T: T.block_diag(),
    normal_std=lambda T: T.normal(T.zeros(2), -1.0),
    **{f"{n}_of_a_tensor": lambda T, n=n: getattr(T, n)(T.ones(2, 2)) for n in ("hstack", "vstack", "dstack")},
    asarray_shares=lambda T: ((a := np.zeros(2)), T.asarray(a).fill_(1), a)[-1],
    asarray_copies=lambda T: ((a := np.zeros(2)), T.asarray(a, copy=True).fill_(1), a)[-1],
    asarray_cannot_share=lambda T: T.asarray(np.zeros(2), copy=False, dtype=T.float32),
    asarray_of_a_list=lambda T: T.asarray([1, 2], copy=False),
    asarray_of_a_buffer=lambda T: ((b := bytearray(8)), T.asarray(b).fill_(1), bytes(b).hex())[-1],
    asarray_of_an_array=lambda T: T.asarray(array.array("i", [1, 2]), dtype=T.int32),
    asarray_with_gradient=lambda T: [
        T.asarray([1.0], requires_grad=True).requires_grad,
        T.asarray(T.ones(1, requires_grad=True)).requires_grad,
        T.asarray(T.ones(1), requires_grad=True).requires_grad,
        T.asarray(T.ones(1, requires_grad=True) * 2).grad_fn is None,
    ],
    asarray_of_a_number=lambda T: (T.asarray(3), T.asarray(np.float32(2)), T.asarray(True)),
    frombuffer_of_nothing=lambda T: T.frombuffer(bytearray(0), dtype=T.int8),
    frombuffer_of_no_elements=lambda T: T.frombuffer(bytearray(4), dtype=T.int8, count=0),
    frombuffer_before=lambda T: T.frombuffer(bytearray(4), dtype=T.int8, offset=-1),
    frombuffer_behind=lambda T: T.frombuffer(bytearray(4), dtype=T.int8, offset=4),
    frombuffer_uneven=lambda T: T.frombuffer(bytearray(7), dtype=T.int32),
    frombuffer_too_many=lambda T: T.frombuffer(bytearray(8), dtype=T.int32, count=3),
    frombuffer_of_a_list=lambda T: T.frombuffer([1], dtype=T.int32),
    frombuffer_of_bytes=lambda T: T.frombuffer(b"abcd", dtype=T.uint8),
    frombuffer_of_an_array=lambda T: T.frombuffer(np.ones((2, 2)), dtype=T.float64, count=2, offset=8),
    diff_of_other_dimensions=lambda T: T.diff(T.ones(2, 3), prepend=T.ones(3)),
    diff_of_other_sizes=lambda T: T.diff(T.ones(2, 3), append=T.ones(3, 1)),
    diff_promotes=lambda T: T.diff(T.ones(2, 3), prepend=T.zeros(2, 1, dtype=T.int64)),
    short_index=lambda T: counted(T, 2, 3)[:, T.tensor(1, dtype=T.int16)],
    view_of_uneven_rows=lambda T: T.zeros(4, 7)[:, :4].view(T.float64),
    tensor_split_by_a_table=lambda T: T.tensor_split(T.arange(4), T.ones(2, 2, dtype=T.int64)),
    rows_of_no_width=lambda T: (
        e := T.nn.Embedding(4, 0, sparse=True),
        e(T.tensor([[0, 2]])).sum().backward(),
        e.weight.grad.shape,
    )[-1],
)


def _resized(T, make, shape):
    x = make(T)
    x.resize_(shape)
    return x.shape, x.stride(), x._version


shapes.add(
    reversed_is_flipped=lambda T: reversed(counted(T, 2, 2)),
    reversed_number=lambda T: reversed(T.tensor(2.0)),
    flip_needs_dimensions=lambda T: counted(T, 2, 2).flip(),
    resize_to_the_same=lambda T: _resized(T, lambda T: T.zeros(2, 3).t(), (3, 2)),
    resize_smaller=lambda T: _resized(T, lambda T: T.zeros(4, 3), (2, 3)),
    resize_keeps_memory=lambda T: (x := counted(T, 4, 3), x[1:].resize_(1, 2).zero_(), x)[-1],
    resize_beyond=lambda T: T.ones(1).resize_([2, 4, 2**29, 2**29]),
    resize_as=lambda T: T.zeros(2, 3).t().resize_as_(T.zeros(3, 2)).stride(),
    empty_slice=lambda T: T.zeros(2, 3, 4, 5)[:, :, :, 1][:, 1:1, :].stride(),
    view_wider_at_an_odd_place=lambda T: T.zeros(4, 4)[:, 1:3].view(T.float64),
    tensor_split_float=lambda T: T.tensor_split(counted(T, 4), T.tensor(1.1), 0),
    take_along_dim_int32=lambda T: T.take_along_dim(counted(T, 3), T.zeros(1, dtype=T.int32), 0),
    unravel_float=lambda T: T.unravel_index(T.tensor(0.5), (2, 2)),
    unravel_float_shape=lambda T: T.unravel_index(T.tensor(1), (2, 2.0)),
    unravel_tensor_shape=lambda T: T.unravel_index(T.tensor(1), T.tensor([2, 2])),
    byte_mask=lambda T: T.zeros(3).index_put_((T.tensor([1, 0, 1], dtype=T.uint8),), T.ones(2), accumulate=True),
    bernoulli_out=lambda T: T.bernoulli(T.ones(2), out=T.zeros(2, dtype=T.int64)),
    split_copy_out=lambda T: (o := [T.zeros(1), T.zeros(3)], T.split_with_sizes_copy(counted(T, 4), [1, 3], out=o), o),
    gradient_at_places=lambda T: T.gradient(
        T.tensor([1.0, 4.0, 9.0, 3.0]), spacing=(T.tensor([0, 1, 1.001, 3.5]).double(),)
    ),
    gradient_at_complex_steps=lambda T: T.gradient(T.tensor([1.0, 4.0, 9.0]), spacing=1 + 1j),
    normal_of_other_shapes=lambda T: T.normal(T.zeros(6), T.ones(2, 3)),
    negative_base=lambda T: T.autograd.grad(
        T.pow(-2.5, y := T.tensor([1 + 2j, 2.0, 0.5j], dtype=T.complex128, requires_grad=True)).abs().sum(), y
    ),
    empty_address=lambda T: T.empty(0).data_ptr(),
)
for _to, _at, _from in [
    ((), (), (1, 1)),
    ((), (2,), (2,)),
    ((1,), (), ()),
    ((3,), (1,), ()),
    ((3,), (2,), ()),
    ((3,), (1,), (1, 1)),
    ((2, 3), (1,), (1,)),
    ((2, 3), (2,), (1, 3)),
    ((), (), (1,)),
]:
    for _name in ("index_copy", "index_add"):
        shapes.add(
            **{
                f"{_name}_{_to}_{_at}_{_from}": lambda T, n=_name, a=_to, i=_at, s=_from: getattr(T.zeros(a), n)(
                    0, T.zeros(i, dtype=T.int64), T.ones(s)
                )
            }
        )

storages.add(
    tensor_of_bytes=lambda T: T.tensor(counted(T, 2).untyped_storage(), dtype=T.float32),
    as_tensor_of_bytes=lambda T: T.as_tensor(counted(T, 2).untyped_storage(), dtype=T.float32),
    shared=lambda T: (x := counted(T, 2), T.as_tensor(x.untyped_storage(), dtype=T.float32).zero_(), x)[-1],
    from_buffer=lambda T: T.ByteStorage.from_buffer(bytearray([1, 2, 3])).tolist(),
    from_buffer_big=lambda T: T.IntStorage.from_buffer(bytearray([0, 0, 0, 1]), "big").tolist(),
    from_buffer_uneven=lambda T: T.IntStorage.from_buffer(bytearray([0, 0, 1]), "big"),
    from_buffer_order=lambda T: T.IntStorage.from_buffer(bytearray(4), "middle"),
    cast=lambda T: T.FloatStorage([1.0, 2.0]).int().tolist(),
    cast_half=lambda T: str(T.FloatStorage([1.0, 2.0]).half().dtype),
    meta=lambda T: (
        T.UntypedStorage(3, device="meta").device,
        T.TypedStorage([1, 2], dtype=T.int8, device="meta").nbytes(),
    ),
    meta_item=lambda T: T.UntypedStorage(3, device="meta")[0],
    meta_values=lambda T: T.zeros(2, device="meta").storage().tolist(),
    meta_copied=lambda T: T.UntypedStorage(3, device="meta").cpu(),
    meta_shared=lambda T: T.zeros(2, device="meta").untyped_storage().share_memory_(),
    other_type=lambda T: T.zeros(0).set_(T.DoubleStorage([1.0])),
    other_type_as_data=lambda T: T.tensor(T.FloatStorage([1.0]), dtype=T.float64),
    own_type=lambda T: T.zeros(0).set_(T.FloatStorage([1.0, 2.0])),
    deep_copies_share=lambda T: (
        w := copy.deepcopy([(x := counted(T, 2)), [x.storage(), x.untyped_storage()], x.view(1, 2)]),
        [w[0].data_ptr() == part.data_ptr() for part in (*w[1], w[2])],
        w[1][0].tolist(),
    )[1:],
    no_such_cast=lambda T: T.FloatStorage([1.0]).quarter(),
)


@storages
def swapped(T):
    held = T.IntStorage([1]).untyped()
    held.byteswap(T.int32)
    return held.tolist()


@storages
def conspicuous_memory(T):
    T.use_deterministic_algorithms(True)
    try:
        x = [T.empty(2), T.empty(2, dtype=T.int8), T.empty_like(T.zeros(2, dtype=T.complex64)), T.ones(1).resize_(2)]
        T.utils.deterministic.fill_uninitialized_memory = False
        return *x, T.utils.deterministic.fill_uninitialized_memory
    finally:
        T.utils.deterministic.fill_uninitialized_memory = True
        T.use_deterministic_algorithms(False)


@storages
def debug_modes(T):
    found = []
    try:
        for kind in ("warn", 2, 0):
            T.set_deterministic_debug_mode(kind)
            found += [T.get_deterministic_debug_mode(), T.are_deterministic_algorithms_enabled()]
        T.set_deterministic_debug_mode("loud")
    except RuntimeError as error:
        found.append(type(error).__name__)
    return found


shapes.add(
    **{
        f"no_padding_{mode}": lambda T, m=mode: (
            (x := counted(T, 1, 2, 3)),
            T.nn.functional.pad(x, (0, 0), mode=m).fill_(9),
            x,
        )[-1]
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    **{
        f"condition_{name}": lambda T, p=p: T.linalg.cond(T.diag(T.tensor([1.0, 2.0, 0.0])), p)
        for name, p in {
            "1": 1,
            "m1": -1,
            "inf": float("inf"),
            "minf": -float("inf"),
            "fro": "fro",
            "nuc": "nuc",
        }.items()
    },
    least_squares_by_all=lambda T: T.linalg.lstsq(square(T) + T.eye(2), square(T), rcond=10.0, driver="gelsd")[:3],
    einsum_by_high_numbers=lambda T: T.einsum(counted(T, 2, 3), [28, 24], counted(T, 4), [30]),
    no_classes=lambda T: T.nn.functional.cross_entropy(T.ones(3, 0), T.ones(3, 0)),
)


def leaf(T):
    return T.ones(3, dtype=T.float64, requires_grad=True)


@walks
def callbacks_run_at_the_end_of_a_walk(T):
    told = []
    engine = T.autograd.Variable._execution_engine

    class Told(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            engine.queue_callback(lambda: (told.append("end"), engine.queue_callback(lambda: told.append("after"))))
            told.append("backward")
            return g * 2

    x = leaf(T)
    y = Told.apply(x * 3)
    y.sum().backward()
    try:
        engine.queue_callback(print)
    except RuntimeError:
        told.append("outside")
    return told, x.grad


@walks
def node_hooks_of_a_leaf_see_what_is_added_to_it(T):
    told = []
    x = leaf(T)
    y = x.clone()
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda gs: told.append("node"))
    x.register_hook(lambda g: told.append("tensor"))
    T.autograd.grad(y.sum(), x, retain_graph=True)
    told.append("-")
    y.sum().backward(retain_graph=True)
    told.append("-")
    y.sum().backward(inputs=[x])
    return told


@walks
def hooks_after_accumulation_return_nothing(T):
    x = leaf(T)
    x.register_post_accumulate_grad_hook(lambda t: t.grad)
    x.sum().backward()


@walks
def zeros_in_a_recorded_walk_can_be_derived(T):
    x, a = leaf(T), T.ones(3, dtype=T.float64, requires_grad=True)
    first = T.autograd.grad((x * a).sum(), x, create_graph=True)
    second = T.autograd.grad(first[0].sum(), x, create_graph=True, allow_unused=True, materialize_grads=True)
    return second, T.autograd.grad(second[0].sum(), x, materialize_grads=True)


@walks
def types_of_gradients(T):
    (kind,) = (leaf(T) * 2).grad_fn._input_metadata
    return tuple(kind.shape), kind.dtype


@walks
def a_class_under_no_grad(T):
    class Held:
        def __init__(self, x):
            self.x = x * 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = T.no_grad()(Held)
    return made(leaf(T)).x.requires_grad


@walks
def data_of_integers(T):
    x = leaf(T)
    x.data = T.zeros(3, dtype=T.int64)


@walks
def data_stays(T):
    del leaf(T).data


@walks
def stacking_real_and_complex_forward(T):
    z = T.ones(3, dtype=T.complex128, requires_grad=True)
    return T.autograd.gradcheck(lambda a, b: T.stack((a, b)), (leaf(T), z), check_forward_ad=True)


def _strict(name):
    def slope(T):
        call = getattr(T.autograd.functional, name)
        many = (T.ones(3, dtype=T.float64),) if name in ("vjp", "jvp") else ()
        return call(lambda x: x.clone(), leaf(T), *many, create_graph=True, strict=True)

    def second(T):
        return getattr(T.autograd.functional, name)(lambda x: (3 * x).sum(), leaf(T), strict=True)

    return slope if name in ("jacobian", "vjp", "jvp") else second


walks.add(**{f"strict_{name}": _strict(name) for name in ("jacobian", "vjp", "jvp", "hessian")})
walks.add(
    strict_and_vectorized=lambda T: T.autograd.functional.jacobian(T.exp, leaf(T), strict=True, vectorize=True),
    gradcheck_of_shared_elements=lambda T: T.autograd.gradcheck(T.exp, leaf(T)[:1].detach().expand(3).requires_grad_()),
    gradcheck_of_no_mode=lambda T: T.autograd.gradcheck(T.exp, leaf(T), check_backward_ad=False),
    gradcheck_of_another_shape=lambda T: T.autograd.gradcheck(lambda x: x[: 2 if x[0] > 1 else 1], leaf(T)),
    gradcheck_batched=lambda T: T.autograd.gradcheck(T.exp, leaf(T), check_batched_grad=True),
    gradcheck_error=lambda T: issubclass(
        __import__("importlib").import_module(T.__name__ + ".autograd.gradcheck").GradcheckError, RuntimeError
    ),
    checks=lambda T: [T._check(True), T._check_index(True), T._check_is_size(3)],
    check_fails=lambda T: T._check_value(1 > 2, lambda: "no"),
    check_of_a_number=lambda T: T._check(1),
    threads=lambda T: T.autograd.set_multithreading_enabled(True).__enter__(),
)


@walks
def a_walk_that_differs_each_time(T):
    class Noisy(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return 2 * g + 1e-7 * T.rand_like(g)

    return T.autograd.gradcheck(Noisy.apply, leaf(T))


@pytest.mark.parametrize("behaviour", [*orders, *types, *made, *shapes, *storages, *walks])
def test_outcome(behaviour):
    compare(torch, behaviour)


def test_an_old_order_is_told_once():
    x = retrograd.ones(2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        retrograd.addr(1, retrograd.ones(2, 2), x, x)
        retrograd.addr(1, retrograd.ones(2, 2), x, x)
    assert len(told) <= 1 and all("deprecated" in str(w.message) for w in told)
