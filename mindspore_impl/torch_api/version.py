"""``torch.version``: no CUDA, no ROCm."""

from __future__ import annotations

__version__ = "2.13.0+mindspore"
cuda = hip = xpu = git_version = None
debug = False
