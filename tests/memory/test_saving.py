"""Saved values handed to hooks, to the disk, or spared from writes; the counter of bytes."""

from __future__ import annotations

import errno
import gc
import os
import weakref

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.memory import Counter, Resident, save_on_disk

graph = torch.autograd.graph


def test_hooks_pack_and_unpack_in_order():
    log = []
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def pack(t):
        log.append(("pack", t.tolist()))
        return t.tolist()

    def unpack(values):
        log.append(("unpack", values))
        return torch.tensor(values)

    with graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp().sum()
    y.backward()
    assert [kind for kind, _ in log] == ["pack"] * 3 + ["unpack"] * 3
    assert log[0][1] == [1.0, 2.0]
    assert torch.allclose(x.grad, 2 * x * (x * x).exp())


def test_the_innermost_pair_is_asked():
    seen = []
    x = torch.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: seen.append("outer") or t, lambda t: t):
        y = x.exp()
        with graph.saved_tensors_hooks(lambda t: seen.append("inner") or t, lambda t: t):
            z = y.exp()
        (z.exp().sum() + y.sum()).backward()
    assert seen == ["outer", "inner", "outer"]


@pytest.mark.parametrize(
    ("pack", "unpack", "error", "text"),
    [
        (lambda t: t, lambda t: 1, TypeError, "expected to be a Tensor but got result of type int"),
        (lambda t: t.add_(1), lambda t: t, RuntimeError, "modifying its input in place"),
    ],
)
def test_bad_hooks_are_named(pack, unpack, error, text):
    x = torch.ones(2, requires_grad=True)
    y = x * 1.0
    with pytest.raises(error, match=text), graph.saved_tensors_hooks(pack, unpack):
        (y * y).sum().backward()


def test_a_hook_that_keeps_the_tensor_does_not_hide_a_write():
    x = torch.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x * 1.0
        z = (y * y).sum()
    with torch.no_grad():
        y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_hooks_see_what_a_function_saves():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x**3
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * 3 * y / x

    x = torch.tensor([2.0], requires_grad=True)
    shapes = []
    with graph.saved_tensors_hooks(lambda t: shapes.append(t.shape) or t.clone(), lambda t: t):
        y = Cube.apply(x)
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    assert g.item() == 12
    assert len(shapes) == 2
    assert torch.autograd.grad(g, x)[0].item() == pytest.approx(12)


def test_disabled_hooks_say_why():
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        graph.save_on_cpu().__enter__()
    with graph.save_on_cpu(), pytest.raises(RuntimeError, match="not here"):
        graph.disable_saved_tensors_hooks("not here").__enter__()


def test_writes_to_saved_values_may_be_allowed():
    x = torch.ones(3, requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        y = x * 2
        z = (y * y).sum()
        y.zero_()
        z.backward()
    assert x.grad.tolist() == [8.0, 8.0, 8.0]
    with graph.allow_mutation_on_saved_tensors():
        z = (x * 2).exp().sum()
    with pytest.raises(AssertionError, match="outside"):
        z.backward()


def test_multi_grad_hook_fires_once_a_walk():
    a, b, c = (torch.ones(1, requires_grad=True) for _ in range(3))
    seen = []
    with graph.register_multi_grad_hook((a, b, c), lambda grads: seen.append([g and g.item() for g in grads])):
        (a * 2 + b * 3 + a).backward()
        (b * c).backward()
    (a * 1).backward()
    assert seen == [[3.0, 3.0, None], [None, 1.0, 1.0]]
    first = []
    with graph.register_multi_grad_hook((a, b), first.append, mode="any"):
        (a + b).backward()
    assert len(first) == 1
    with pytest.raises(ValueError, match="mode"):
        graph.register_multi_grad_hook((a,), print, mode="some")


def test_edges_and_versions():
    x = torch.ones(2, requires_grad=True)
    edge = graph.get_gradient_edge(x)
    assert edge.node.variable is x
    assert edge.output_nr == 0
    with pytest.raises(RuntimeError, match="gradient edge"):
        graph.get_gradient_edge(torch.ones(1))
    before = x._version
    graph.increment_version([x])
    assert x._version == before + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_come_back_from_disk(dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5), nn.Softmax(1)).to(dtype)
    x = torch.randn(7, 20, dtype=dtype)

    def loss():
        return (net(x).transpose(0, 1) ** 2).sum()

    loss().backward()
    plain = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with save_on_disk(least=0) as keeper:
        kept = loss()
    kept.backward()
    assert keeper.written > 0
    for p, g in zip(net.parameters(), plain, strict=True):
        assert torch.allclose(p.grad, g, atol=2e-2 if dtype is torch.bfloat16 else 1e-6)


def test_the_disk_holds_what_memory_does_not():
    x = torch.randn(256, 256, requires_grad=True)

    def chain():
        h = x
        for _ in range(20):
            h = torch.tanh(h)
        return h.sum()

    with Counter() as plain:
        chain().backward()
    x.grad = None
    with Counter() as offloaded, save_on_disk(least=1000) as keeper:
        chain().backward()
    assert plain.peak > 20 * x.nbytes
    assert offloaded.peak < 5 * x.nbytes
    assert keeper.written == 20 * x.nbytes  # the last one too: each value once
    assert keeper.file.end == 20 * x.nbytes


def test_a_disk_that_is_full_and_a_folder_that_is_not_there(monkeypatch, tmp_path):
    x = torch.randn(64, 64, requires_grad=True)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    match = "save_on_disk: 16384 bytes .* were not written .*more room"
    with pytest.raises(OSError, match=match) as caught, save_on_disk(str(tmp_path), least=0):
        torch.tanh(x * 1.0)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    torch.tanh(x * 1.0).sum().backward()  # nothing is written to disk any more
    assert list(tmp_path.iterdir()) == []  # the file has no name, so that a killed process leaves none
    with pytest.raises(FileNotFoundError):
        save_on_disk(str(tmp_path / "nowhere"))
    gc.collect()


def test_regions_of_the_file_are_used_again():
    x = torch.randn(64, 64, requires_grad=True)
    with save_on_disk(least=0) as keeper:
        for _ in range(5):
            torch.tanh(x * 1.0).sum().backward()
    assert keeper.file.end <= 2 * 64 * 64 * 4


def test_the_counter_is_exact_and_nests():
    with Counter() as outer:
        a = torch.zeros(1000)
        with Counter() as inner:
            b = a + a
            c = b + b
            del b
            assert inner.reset_peak() == 8000
            assert inner.peak == 4000
        assert (inner.current, inner.peak) == (4000, 4000)
    assert (outer.current, outer.peak) == (8000, 12000)
    assert c.sum() == 0


def test_resident_memory_is_told_or_none():
    with Resident() as resident:
        x = torch.ones(4_000_000)
    assert x.numel() == 4_000_000
    assert resident.added is None or resident.added > 8_000_000


def test_graphs_with_hooks_die_by_reference_count():
    gc.collect()
    gc.disable()
    try:
        x = torch.ones(10, requires_grad=True)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x.exp()
            z = (y * y).tanh()
        gone = weakref.ref(z.grad_fn), weakref.ref(y._s)
        del y, z
        assert all(r() is None for r in gone)
    finally:
        gc.enable()
