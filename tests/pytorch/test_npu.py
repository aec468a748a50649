"""Ascend NPUs by ``torch_npu``, with a stand-in of that package: what is asked of it, and with which arguments. No NPU
was at hand."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from tests.support import refusal

pytestmark = pytest.mark.needs_pytorch


@pytest.fixture
def npu(monkeypatch):
    """``torch.npu`` with two devices; the list of what was asked of it."""
    import torch

    import pytorch_impl  # noqa: F401  (transformers, which it imports, asks for more of the package)

    asked: list[tuple] = []

    def answer(name, value):
        return lambda *given: asked.append((name, *given)) or value

    answers = {
        "is_available": True,
        "device_count": 2,
        "is_bf16_supported": True,
        "get_device_name": "Ascend910B",
        "max_memory_allocated": 7,
        "memory_allocated": 5,
        "reset_peak_memory_stats": None,
        "set_device": None,
        "synchronize": None,
    }
    package = ModuleType("torch_npu")
    package.__spec__ = ModuleSpec("torch_npu", None)
    monkeypatch.setitem(sys.modules, "torch_npu", package)
    functions = SimpleNamespace(**{name: answer(name, value) for name, value in answers.items()})
    monkeypatch.setattr(torch, "npu", functions, raising=False)
    return asked


def test_an_npu_is_the_default_where_there_is_one(npu):
    from pytorch_impl import device

    assert device.preferred() == "npu"
    assert device.select(None) == "npu:0"
    assert device.select("ascend:1") == "npu:1"
    assert "sees 2 NPU devices" in refusal(lambda: device.select("npu:2"))


def test_name_memory_and_dtypes_are_asked_of_torch_npu(npu):
    from pytorch_impl import device, measuring

    assert device.describe("npu:1") == "Ascend910B"
    assert device.peak_memory("npu:1") == 7
    assert measuring.device_memory("npu:1", reset=True) == (5, 7)
    assert ("get_device_name", "npu:1") in npu
    assert ("reset_peak_memory_stats", "npu:1") in npu
    assert device.supports("npu:0", "bf16")
    assert not device.supports("npu:0", "fp64")


def test_what_was_never_run_on_npus_is_refused_with_the_reason(npu):
    from pytorch_impl.capabilities import capabilities

    found = capabilities("npu:0")
    assert "never run" in found.reason("shard")
    assert "float64" in found.reason("dtype:fp64")
    assert found.reason("dtype:bf16") is None


def test_processes_on_npus_meet_by_hccl_and_each_takes_its_own(npu, monkeypatch):
    import torch.distributed as dist

    from common.launch.topology import find_topology
    from pytorch_impl import distributed

    given = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    topology = find_topology({**given, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"})
    joined = []
    monkeypatch.setattr(
        dist, "init_process_group", lambda backend, **options: joined.append((backend, options["rank"]))
    )
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    assert distributed.local_device(topology) == "npu:1"
    group = distributed.join(topology, "npu:1")
    assert joined == [("hccl", 1)]
    assert ("set_device", "npu:1") in npu
    assert group.device == "npu:1"


def test_without_the_package_or_with_a_broken_one_the_reason_is_said(monkeypatch):
    from pytorch_impl import device

    assert "torch_npu is not installed" in refusal(lambda: device.select("npu"))
    assert device.preferred() in ("cpu", "cuda")
    broken = ModuleType("torch_npu")
    broken.__spec__ = ModuleSpec("torch_npu", None)
    monkeypatch.setitem(sys.modules, "torch_npu", broken)

    def fail(name):
        raise ImportError("libascend_hal.so: cannot open shared object file")

    monkeypatch.setattr(device.importlib, "import_module", fail)
    assert "libascend_hal.so" in refusal(lambda: device.select("npu"))
