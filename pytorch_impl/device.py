"""Where the PyTorch backend computes: devices, their names, versions and memory.

Ascend NPUs are there through ``torch_npu``. What is asked of them follows its documentation and was not run.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from types import ModuleType

import torch

from common.errors import InputError, nearest

__all__ = ["describe", "peak_memory", "preferred", "select", "supports", "versions"]

_KINDS = {"cpu": "cpu", "cuda": "cuda", "gpu": "cuda", "npu": "npu", "ascend": "npu"}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def accelerator(device: str) -> ModuleType:
    """What torch calls the devices of this kind by: `torch.cuda`, or `torch.npu`, which ``torch_npu`` brings with the
    same functions."""
    return torch.npu if device.startswith("npu") else torch.cuda


def _npu_problem() -> str | None:
    """Why there is no Ascend NPU here; None where there is one. ``torch_npu`` is imported by this."""
    if importlib.util.find_spec("torch_npu") is None:
        return "the package torch_npu is not installed"
    try:
        importlib.import_module("torch_npu")
    except Exception as error:  # without the driver or CANN it fails in many ways
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        return f"torch_npu cannot be imported: {reason}"
    return None if torch.npu.is_available() else "torch_npu sees no NPU"


def preferred() -> str:
    """The kind of device that is used where none is named: an accelerator, or the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "npu" if _npu_problem() is None else "cpu"


def select(device: str | None) -> str:
    """Return the device to use: the one asked for, or the first accelerator, or the CPU.

    Raises:
        InputError: the device is unknown or not here.
    """
    if device is None:
        device = preferred()
    name, _, index = device.partition(":")
    kind = _KINDS.get(name)
    if kind is None or (index and not index.isdigit()):
        raise InputError(
            f"The device of the PyTorch backend is cpu, cuda or npu, with :INDEX; received {device!r}.{nearest(device, _KINDS)}"
        )
    if kind == "cpu":
        return "cpu"
    if kind == "npu" and (problem := _npu_problem()):
        raise InputError(f"Device {device!r} is not here: {problem}. Use --device cpu.")
    count = accelerator(kind).device_count()
    if int(index or 0) >= count:
        raise InputError(
            f"Device {device!r} is not here: torch {torch.__version__} sees {count} {kind.upper()} devices. Use --device cpu."
        )
    return f"{kind}:{index or 0}"


def keep_freed_memory() -> None:
    """Let this process keep what it frees, blocks up to 32 MiB: glibc gives it back to the system after every step,
    which zeroes each page of it anew.

    It has no counterpart: MindSpore has a pool of its own.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)  # the most that it takes
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def supports(device: str, dtype: str) -> bool:
    """Whether the device computes in ``dtype`` (fp32, fp64, bf16)."""
    if device == "cpu" or dtype == "fp32":
        return True
    if dtype == "fp64":
        return not device.startswith("npu")
    return accelerator(device).is_bf16_supported()


def describe(device: str) -> str | None:
    """Name of the accelerator, None on the CPU."""
    return None if device == "cpu" else accelerator(device).get_device_name(device)


def peak_memory(device: str) -> int | None:
    """Peak bytes allocated on the accelerator, None on the CPU (where the process's own peak counts)."""
    return None if device == "cpu" else accelerator(device).max_memory_allocated(device)


def versions() -> dict[str, str]:
    """Framework and version."""
    return {"torch": torch.__version__}
