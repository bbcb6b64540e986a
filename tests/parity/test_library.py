"""torch.library: operators of one's own give what they give under PyTorch, and so do their gradients."""

import itertools
import warnings

import numpy as np
import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

_count = itertools.count()


def fresh(name):
    """A name that no operator has in this process: PyTorch's are there for good."""
    return f"retrotest{next(_count)}::{name}"


def space(T, name):
    return getattr(T.ops, name.partition("::")[0])


def scaled_sine(T, name):
    import numpy as np

    def sine(x: T.Tensor, k: float = 1.0) -> T.Tensor:
        return T.from_numpy(np.sin(np.float32(k) * x.numpy()))

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.k = inputs[1]

    op = T.library.custom_op(name, sine, mutates_args=())
    op.register_autograd(lambda ctx, g: (g * ctx.k * (ctx.k * ctx.saved_tensors[0]).cos(), None), setup_context=setup)
    return op


operators = Table()


@operators
def a_function_of_numpy(T):
    op = scaled_sine(T, fresh("sine"))
    x = T.linspace(0, 1, 3, requires_grad=True)
    y = op(x, k=2.0)
    y.sum().backward()
    return y.detach(), x.grad, op(x.detach())


@operators
def by_its_place(T):
    name = fresh("sine")
    scaled_sine(T, name)
    return space(T, name).sine(T.ones(2), 3.0), space(T, name).sine.default(T.ones(2), k=0.5)


@operators
def lists_and_arguments_by_name(T):
    def sums(xs: list[T.Tensor], *, scale: int = 2) -> tuple[T.Tensor, T.Tensor]:
        return sum(xs) * scale, xs[0] * xs[1]

    def setup(ctx, inputs, keyword_only_inputs, output):
        ctx.save_for_backward(*inputs[0])
        ctx.scale = keyword_only_inputs["scale"]

    def backward(ctx, g, h):
        a, b = ctx.saved_tensors
        return [g * ctx.scale + h * b, g * ctx.scale + h * a]

    op = T.library.custom_op(fresh("sums"), sums, mutates_args=())
    op.register_autograd(backward, setup_context=setup)
    a, b = T.ones(2, requires_grad=True), T.full((2,), 3.0, requires_grad=True)
    p, q = op([a, b], scale=5)
    (p + q).sum().backward()
    return p.detach(), q.detach(), a.grad, b.grad


@operators
def a_writing_one(T):
    def increased(x: T.Tensor) -> None:
        x.add_(1)

    x = T.zeros(2)
    T.library.custom_op(fresh("increased"), increased, mutates_args={"x"})(x)
    return x


@operators
def no_derivative(T):
    def twice(x: T.Tensor) -> T.Tensor:
        return x * 2

    return T.library.custom_op(fresh("twice"), twice, mutates_args=())(T.ones(2, requires_grad=True)).sum().backward()


@operators
def its_own_argument_back(T):
    def same(x: T.Tensor) -> T.Tensor:
        return x

    return T.library.custom_op(fresh("same"), same, mutates_args=())(T.ones(2))


@operators
def a_library(T):
    name = fresh("product")
    lib = T.library.Library(name.partition("::")[0], "DEF")
    told = lib.define("product(Tensor a, Tensor b, *, float s=2.0) -> Tensor")
    lib.impl("product", lambda a, b, s=2.0: a @ b * s, "CompositeImplicitAutograd")
    w = T.eye(2, requires_grad=True)
    space(T, name).product(w, w, s=3.0).sum().backward()
    return told, w.grad


@operators
def defined_and_implemented(T):
    name = fresh("more")
    T.library.define(name, "(Tensor x, int by=1) -> Tensor")
    T.library.impl(name, "cpu")(lambda x, by=1: x + by)
    T.library.register_autograd(name, lambda ctx, g: (g * 7, None))
    w = T.eye(2, requires_grad=True)
    y = space(T, name).more(w, 4)
    y.sum().backward()
    return y.detach(), w.grad


@operators
def under_vmap(T):
    op = scaled_sine(T, fresh("sine"))
    op.register_vmap(lambda info, in_dims, x, k=1.0: (op(x, k), in_dims[0]))
    return T.vmap(op)(T.ones(2, 3))


@operators
def schemas(T):
    def one(x: T.Tensor, n: int, s: str = "a", *, b: bool = True, y: T.Tensor | None = None) -> tuple[T.Tensor, int]:
        raise AssertionError

    def two(xs: list[T.Tensor], device: T.device, dtype: T.dtype | None = None) -> None:
        raise AssertionError

    return T.library.infer_schema(one, mutates_args={"x"}), T.library.infer_schema(two, mutates_args=())


@operators
def no_annotation(T):
    return T.library.infer_schema(lambda x: x, mutates_args=())


@operators
def no_such_operator(T):
    return T.ops.retrotest_none.something


@pytest.mark.parametrize("behaviour", operators)
def test_operators(behaviour):

    compare(torch, behaviour)


def test_a_compiled_function_calls_an_operator():
    op = scaled_sine(retrograd, fresh("sine"))
    compiled = retrograd.compile(lambda x: op(x, 2.0) * 2)
    for _ in range(3):
        x = retrograd.linspace(0, 1, 3, requires_grad=True)
        with pytest.warns(UserWarning, match="runs eagerly") if _ == 1 else _nothing():
            compiled(x).sum().backward()
        assert retrograd.allclose(x.grad, 4 * (2 * x.detach()).cos())


@pytest.mark.parametrize("tail", [False, True], ids=["between", "last"])
def test_a_whole_graph_calls_operators(tail):
    """One that takes tensors as arrays, and one that writes into a tensor it is given."""

    @retrograd.library.custom_op(fresh("cosine"), mutates_args=())
    def cosine(x: retrograd.Tensor) -> retrograd.Tensor:
        return retrograd.from_numpy(np.cos(x.numpy()))

    @retrograd.library.custom_op(fresh("sine"), mutates_args={"out"})
    def sine(x: retrograd.Tensor, out: retrograd.Tensor) -> None:
        np.sin(x.numpy(), out=out.numpy())

    @retrograd.compile(fullgraph=True)
    def run(x):
        out = retrograd.empty(3)
        sine(x * 2, out)
        y = out + 1
        return cosine(y) if tail else cosine(y) * 3

    for i in range(5):
        x = retrograd.linspace(0, i, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(x)
        assert retrograd.allclose(found, ((2 * x).sin() + 1).cos() * (1 if tail else 3))


def test_a_whole_graph_still_refuses_what_is_kept_out():
    run = retrograd.compile(lambda x: retrograd.compiler.disable(retrograd.sin)(x) + 1, fullgraph=True)
    run(retrograd.ones(2))
    with pytest.raises(RuntimeError, match="kept out"):
        run(retrograd.ones(2))


def test_a_namespace_that_is_taken():
    with pytest.raises(ValueError, match="is taken"):
        retrograd.library.define("linalg::norm", "(Tensor x) -> Tensor")


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture
def world():
    retrograd.distributed.init_process_group("gloo", rank=0, world_size=1)
    yield retrograd.distributed
    retrograd.distributed.destroy_process_group()


def test_a_mesh_of_one(world):
    mesh = world.init_device_mesh("cpu", (1, 1), mesh_dim_names=("data", "model"))
    assert mesh.shape == (1, 1) and mesh.ndim == 2 and mesh.size() == 1 and mesh.get_coordinate() == [0, 0]
    assert mesh["model"].mesh_dim_names == ("model",) and mesh["data"].get_local_rank() == 0
    with pytest.raises(KeyError, match="Invalid mesh_dim_name"):
        mesh["pipe"]
    with pytest.raises(RuntimeError, match="one process"):
        world.init_device_mesh("cpu", (2,))


def test_a_model_spread_over_one_process(world):
    from retrograd.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    from retrograd.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    model = fully_shard(retrograd.nn.Linear(2, 1))
    assert isinstance(model, FSDPModule) and isinstance(model, retrograd.nn.Linear)
    optimizer = retrograd.optim.Adam(model.parameters())
    model(retrograd.ones(3, 2)).sum().backward()
    optimizer.step()
    states = get_state_dict(model, optimizer)
    assert set(states[1]["state"]) == {"weight", "bias"}
    set_state_dict(model, optimizer, model_state_dict=states[0], optim_state_dict=states[1])
    with pytest.raises(NotImplementedError, match="autocast"):
        fully_shard(model, mp_policy=MixedPrecisionPolicy(param_dtype=retrograd.bfloat16))


@pytest.mark.parametrize(("size", "chunks"), [(10, 4), (3, 4), (8, 2), (1, 1)])
def test_parts_of_a_side_are_pytorchs(size, chunks):
    from torch.distributed.tensor import Shard as Theirs

    from retrograd.distributed.tensor import Shard

    for rank in range(chunks):
        ours = Shard.local_shard_size_and_offset(size, chunks, rank)
        assert ours == tuple(Theirs.local_shard_size_and_offset(size, chunks, rank))


def test_the_bytes_of_a_file(tmp_path):
    path = tmp_path / "bytes.bin"
    path.write_bytes(bytes(range(16)))

    def outcomes(T):
        held = T.UntypedStorage.from_file(str(path), False, 12)
        numbers = T.asarray(held[4:12], dtype=T.uint8)
        numbers[0] = 9  # in this process alone
        return held.nbytes(), held.untyped() is held, numbers, numbers.view(T.int32), held.tolist()

    compare(torch, outcomes)
    assert path.read_bytes()[4] == 4


def test_nested_tensors_say_what_to_use():
    with pytest.raises(NotImplementedError, match="pad_sequence"):
        retrograd.nested.nested_tensor([retrograd.ones(2), retrograd.ones(3)])


# -- torch.library.opcheck ------------------------------------------------------------------------------------------------
def checked(T, fn, args=(), writes=(), fake=True, slope=True, **options):
    """Give what opcheck says of an operator made of a function: names of the errors for what fails."""

    def run(x):
        return fn(T, x)

    run.__annotations__ = {"x": T.Tensor, "return": None if fake is None else T.Tensor}
    op = T.library.custom_op(fresh("checked"), run, mutates_args=writes)
    if fake:
        op.register_fake(T.empty_like if fake is True else lambda x: fake(T, x))
    if slope and fake is not None:
        op.register_autograd(lambda ctx, g: g * 2)
    x = T.linspace(0, 1, 6).reshape(2, 3).requires_grad_(not writes)
    found = T.library.opcheck(op, (x, *args), raise_exception=False, **options)
    return {name: said if said == "SUCCESS" else type(said).__name__ for name, said in found.items()}


def doubled_there(T, x):
    x.mul_(2)


checks = Table()
checks.add(
    right=lambda T: checked(T, lambda T, x: x * 2),
    one_check=lambda T: checked(T, lambda T, x: x * 2, test_utils="test_schema"),
    no_slope=lambda T: checked(T, lambda T, x: x * 2, slope=False, test_utils=("test_schema", "test_faketensor")),
    writing=lambda T: checked(T, doubled_there, writes={"x"}, fake=None),
)


@pytest.mark.parametrize("behaviour", checks)
def test_checks(behaviour):
    compare(torch, behaviour)


@pytest.mark.parametrize(
    ("fails", "fn", "fake"),
    [
        ("test_schema", lambda T, x: x.detach().mul_(2).clone(), True),
        ("test_schema", lambda T, x: x.view_as(x), True),
        ("test_faketensor", lambda T, x: x * 2, lambda T, x: x.new_empty(3)),
        ("test_faketensor", lambda T, x: x * 2, lambda T, x: x.new_empty(2, 3, dtype=T.float64)),
        ("test_faketensor", lambda T, x: x * 2, lambda T, x: x.new_empty(3, 2).T),
        ("test_faketensor", lambda T, x: x * 2, False),
    ],
)
def test_checks_that_fail(fails, fn, fake):
    for T in (torch, retrograd):
        assert checked(T, fn, fake=fake, test_utils=fails)[fails] != "SUCCESS"
    op = retrograd.library.custom_op(
        fresh("failing"), lambda x: fn(retrograd, x), mutates_args=(), schema="(Tensor x) -> Tensor"
    )
    if fake:
        op.register_fake(retrograd.empty_like if fake is True else lambda x: fake(retrograd, x))
    with pytest.raises(Exception, match=f"{fails} failed"):
        retrograd.library.opcheck(op, (retrograd.ones(2, 3),), test_utils=fails)
