"""Mirrors pytorch_impl.device; differs: MindSpore has one device per process, so `select` sets it, and its accelerators
are gpu and ascend."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms

from common.errors import InputError, nearest

__all__ = ["describe", "peak_memory", "preferred", "select", "supports", "versions"]

_TARGETS = {"cpu": "CPU", "gpu": "GPU", "cuda": "GPU", "ascend": "Ascend", "npu": "Ascend"}


def preferred() -> str:
    """The kind of device that is used where none is named: an accelerator that this build supports and sees, or the
    CPU."""
    return "ascend" if _present("Ascend") else "gpu" if _present("GPU") else "cpu"


def select(device: str | None) -> str:
    """Return the device to use and make it MindSpore's; the default is an accelerator this build supports and sees, or
    the CPU."""
    if device is None:
        device = preferred()
    kind, _, index = device.partition(":")
    if kind not in _TARGETS or (index and not index.isdigit()):
        raise InputError(
            f"The device of the MindSpore backend is cpu, gpu or ascend, with :INDEX; received {device!r}.{nearest(device, _TARGETS)}"
        )
    target = _TARGETS[kind]
    if target != "CPU" and not _present(target, int(index or 0)):
        raise InputError(
            f"Device {device!r} is not here: mindspore {ms.__version__} sees no such {target} device. Use --device cpu."
        )
    current, wanted = (
        (ms.get_context("device_target"), ms.get_context("device_id")),
        (target, int(index or 0) if target != "CPU" else 0),
    )
    if current != wanted:  # setting it again is an error once anything was computed
        try:
            ms.set_device(*wanted)
        except RuntimeError as error:
            raise InputError(
                f"MindSpore keeps one device per process and has begun on {current[0]}:{current[1]}; {device!r} needs a new process."
            ) from error
    return f"{target.lower()}:{index or 0}" if target != "CPU" else "cpu"


def supports(device: str, dtype: str) -> bool:
    """Whether the device computes in ``dtype``; bf16 lacks kernels on the CPU."""
    return dtype == "fp32"


def describe(device: str) -> str | None:
    """Name of the accelerator, None on the CPU."""
    return None if device == "cpu" else ms.hal.get_device_name(int(device.partition(":")[2] or 0))


def peak_memory(device: str) -> int | None:
    """Peak bytes allocated on the accelerator, None on the CPU."""
    return None if device == "cpu" else ms.runtime.max_memory_allocated()


def versions() -> dict[str, str]:
    """Framework and version."""
    return {"mindspore": ms.__version__}


def _present(target: str, index: int = 0) -> bool:
    if not list(Path("/dev").glob({"GPU": "nvidia[0-9]*", "Ascend": "davinci[0-9]*"}[target])):
        return False  # asking MindSpore about a device whose driver is absent logs a page of warnings
    context = {"GPU": ms.device_context.gpu, "Ascend": ms.device_context.ascend}[target]
    return context.is_available() and index < context.device_count()
