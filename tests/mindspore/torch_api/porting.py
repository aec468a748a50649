"""Programs written for torch, run on the surface after nothing but their imports was changed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import common

ROOT = Path(common.__file__).resolve().parents[1]
_IMPORTS = (
    (r"^import torch$", "from mindspore_impl import torch_api as torch"),
    (r"^import torch\.nn as nn$", "from mindspore_impl.torch_api import nn"),
    (r"^import torch\.nn\.functional as F$", "from mindspore_impl.torch_api.nn import functional as F"),
    (r"^import torch\.optim as optim$", "from mindspore_impl.torch_api import optim"),
    (r"^from torch(\.[\w.]+)? import", r"from mindspore_impl.torch_api\1 import"),
)


def changed(source: str) -> str:
    """``source`` with torch's imports changed."""
    for pattern, replacement in _IMPORTS:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


def module(name: str, source: str) -> ModuleType:
    """A module of this source."""
    made = ModuleType(name)
    sys.modules[name] = made
    exec(compile(source, name, "exec"), made.__dict__)
    return made


def ported_mapping() -> ModuleType:
    """`pytorch_impl.mapping`, which runs the mapping's cases in torch, with its imports changed."""
    objects = changed((ROOT / "pytorch_impl/mapping_objects.py").read_text(encoding="utf-8"))
    module("ported_mapping_objects", objects)
    source = changed((ROOT / "pytorch_impl/mapping.py").read_text(encoding="utf-8"))
    return module("ported_mapping", source.replace("pytorch_impl.mapping_objects", "ported_mapping_objects"))
