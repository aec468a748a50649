"""Where the PyTorch backend computes: devices, their names, versions and memory."""

from __future__ import annotations

import ctypes
import sys

import torch

from common.errors import InputError, nearest

__all__ = ["describe", "peak_memory", "preferred", "select", "supports", "versions"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def preferred() -> str:
    """The kind of device that is used where none is named: an accelerator, or the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def select(device: str | None) -> str:
    """Return the device to use: the one asked for, or the first accelerator, or the CPU.

    Raises:
        InputError: the device is unknown or not here.
    """
    if device is None:
        device = preferred()
    kind, _, index = device.replace("gpu", "cuda").partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise InputError(
            f"The device of the PyTorch backend is cpu, cuda or cuda:INDEX; received {device!r}.{nearest(device, ('cpu', 'cuda'))}"
        )
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"Device {device!r} is not here: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices. Use --device cpu."
        )
    return f"cuda:{index or 0}" if kind == "cuda" else "cpu"


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
    return dtype in ("fp32", "fp64") or device == "cpu" or torch.cuda.is_bf16_supported()


def describe(device: str) -> str | None:
    """Name of the accelerator, None on the CPU."""
    return None if device == "cpu" else torch.cuda.get_device_name(device)


def peak_memory(device: str) -> int | None:
    """Peak bytes allocated on the accelerator, None on the CPU (where the process's own peak counts)."""
    return None if device == "cpu" else torch.cuda.max_memory_allocated(device)


def versions() -> dict[str, str]:
    """Framework and version."""
    return {"torch": torch.__version__}
