"""The names of devices that are not there, of backends and tools, against PyTorch's build for the CPU."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import retrograd

torch = pytest.importorskip("torch")

if torch.cuda.is_available() or torch.accelerator.is_available():  # the answers below are those of a machine without
    pytest.skip("there is a device here", allow_module_level=True)

ANSWERS = """
torch.cuda.is_available(); torch.cuda.device_count(); torch.cuda.is_initialized(); torch.cuda.memory_allocated(); torch.cuda.max_memory_allocated(0); torch.cuda.memory_reserved()
torch.cuda.empty_cache(); torch.cuda.manual_seed(1); torch.cuda.manual_seed_all(1); torch.cuda.seed(); torch.cuda.get_rng_state_all(); torch.cuda.set_rng_state_all([]); torch.cuda.get_arch_list()
torch.cuda.memory_stats(); torch.cuda.synchronize(); torch.cuda.current_device(); torch.cuda.get_device_name(0); torch.cuda.get_device_properties(0); torch.cuda.get_device_capability()
torch.cuda.get_rng_state(); torch.cuda.init(); torch.cuda.current_stream(); torch.cuda.Stream(); torch.cuda.Event(enable_timing=True); torch.cuda.mem_get_info(); torch.cuda.set_device(-1)
torch.cuda.stream(None).__enter__(); torch.cuda.device(0).__enter__(); torch.cuda.device_of(torch.ones(1)).__enter__(); torch.cuda.is_bf16_supported(); torch.cuda.default_generators
torch.cuda.FloatTensor(2); torch.cuda.nvtx.range_push("a"); torch.cuda.ipc_collect(); torch.cuda.initial_seed(); torch.cuda.memory_cached(); torch.cuda.has_half; torch.cuda.can_device_access_peer(0, 1)
torch.cuda._initialized; torch.cuda._is_compiled(); torch.cuda._is_in_bad_fork(); torch.cuda._lazy_init(); torch.cuda.has_magma
isinstance(torch.ones(1), torch.cuda.FloatTensor); torch.ones(1).type(torch.cuda.FloatTensor); torch.ones(1).type("torch.cuda.FloatTensor"); torch.cuda.LongTensor.__module__; torch.cuda.LongTensor([1])
torch.accelerator.is_available(); torch.accelerator.device_count(); torch.accelerator.current_accelerator(); torch.accelerator.synchronize(); torch.accelerator.current_device_index()
torch.accelerator.memory_allocated(); torch.accelerator.empty_cache(); torch.accelerator.set_device_index(0); torch.accelerator.current_stream()
torch.mps.is_available(); torch.mps.device_count(); torch.mps.manual_seed(1); torch.mps.empty_cache(); torch.mps.synchronize(); torch.mps.current_allocated_memory(); torch.backends.mps.is_available()
torch.xpu.is_available(); torch.xpu.device_count(); torch.xpu.empty_cache(); torch.xpu.memory_allocated(); torch.xpu.synchronize(); torch.xpu.manual_seed(1); torch.xpu.get_rng_state_all()
torch.cpu.is_available(); torch.cpu.device_count(); torch.cpu.current_device(); torch.cpu.synchronize(); torch.cpu.stream(None).__enter__(); torch.cpu.set_device("cpu")
torch.backends.cudnn.benchmark; torch.backends.cudnn.enabled; torch.backends.cudnn.deterministic; torch.backends.cudnn.allow_tf32; torch.backends.cudnn.version(); torch.backends.cudnn.is_available()
torch.backends.cuda.is_built(); torch.backends.cuda.matmul.allow_tf32; torch.backends.cuda.flash_sdp_enabled(); torch.backends.cuda.math_sdp_enabled(); torch.backends.cuda.enable_flash_sdp(True)
torch.backends.mps.is_built(); torch.backends.cusparselt.is_available(); torch.backends.mha.get_fastpath_enabled(); torch.backends.flags_frozen()
torch.version.cuda; torch.version.hip; torch.is_autocast_enabled(); torch.distributed.is_initialized(); torch.multiprocessing.get_sharing_strategy(); torch.onnx.is_in_onnx_export()
torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)(3).name; [torch.profiler.schedule(wait=1, warmup=1, active=2)(i).name for i in range(9)]
[torch.profiler.schedule(wait=1, warmup=0, active=1, repeat=2, skip_first=2)(i).name for i in range(9)]; torch.profiler.ProfilerActivity.CPU.name
"""
TEXTS = [text.strip() for line in ANSWERS.strip().splitlines() for text in line.split(";")]


@pytest.mark.parametrize("text", TEXTS)
def test_the_answer_is_torchs(text: str) -> None:
    found: list[Any] = []
    for lib in (retrograd, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(eval(text, {"torch": lib}))
            except Exception as error:
                found.append(next(k.__name__ for k in type(error).__mro__ if k.__module__ == "builtins"))
    assert found[0] == found[1]


def test_backends_keep_their_flags() -> None:
    flags = retrograd.backends.cudnn
    before = flags.benchmark
    with flags.flags(benchmark=not before):
        assert flags.benchmark is not before
    assert flags.benchmark is before
    retrograd.backends.cuda.enable_math_sdp(False)
    assert not retrograd.backends.cuda.math_sdp_enabled()
    retrograd.backends.cuda.enable_math_sdp(True)


def test_a_profile_counts_operations_and_named_blocks(tmp_path: Any) -> None:
    x = retrograd.ones(8, 8, requires_grad=True)
    with retrograd.profiler.profile(record_shapes=True) as prof, retrograd.profiler.record_function("block"):
        (x @ x).relu().sum().backward()
    found = {event.key: event for event in prof.key_averages()}
    assert found["block"].count == 1 and found["aten::matmul"].count == 3 and found["aten::relu"].count == 1
    assert found["block"].cpu_time_total >= found["aten::matmul"].cpu_time_total > 0
    table = prof.key_averages().table(sort_by="cpu_time_total", row_limit=2)
    assert "block" in table and "aten::relu" not in table and "Self CPU time total" in table
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    assert (tmp_path / "trace.json").stat().st_size > 100
    assert not hasattr(retrograd.core.REGISTRY["matmul"].numpy, "__wrapped__") and not retrograd.core.MODE.special


def test_a_profile_follows_a_schedule() -> None:
    ready = []
    schedule = retrograd.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    with retrograd.profiler.profile(schedule=schedule, on_trace_ready=lambda p: ready.append(p.key_averages())) as prof:
        for _ in range(6):
            retrograd.ones(2) + 1
            prof.step()
    assert len(ready) == 1 and {e.key: e.count for e in ready[0]}["aten::add"] == 2


def _square(i: int, queue: Any) -> None:
    queue.put((i, (retrograd.ones(2) * i).sum().item()))


def _fail(i: int) -> None:
    raise ValueError(f"process {i}")


def test_spawned_processes() -> None:
    context = retrograd.multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    retrograd.multiprocessing.start_processes(_square, (queue,), 2, start_method="fork")
    assert sorted(queue.get() for _ in range(2)) == [(0, 0.0), (1, 2.0)]
    with pytest.raises(retrograd.multiprocessing.ProcessRaisedException, match="process 0"):
        retrograd.multiprocessing.start_processes(_fail, (), 1, start_method="fork")


def test_a_scripted_module_is_itself_and_can_be_saved(tmp_path: Any) -> None:
    module = retrograd.nn.Linear(2, 2)
    scripted = retrograd.jit.script(module)
    assert isinstance(scripted, retrograd.jit.ScriptModule)
    with pytest.warns(UserWarning, match="not a TorchScript program"):
        retrograd.jit.save(scripted, str(tmp_path / "module.pt"))
    loaded = retrograd.jit.load(str(tmp_path / "module.pt"))
    x = retrograd.ones(1, 2)
    assert retrograd.equal(loaded(x), module(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "program.pt"))
    with pytest.raises(RuntimeError, match="cannot be run here"):
        retrograd.jit.load(str(tmp_path / "program.pt"))
    assert retrograd.jit.wait(retrograd.jit.fork(lambda: 3)) == 3
