"""Fine-tune and study language models in PyTorch and MindSpore, and prove that both agree.

The code is in the packages `common`, `pytorch_impl` and `mindspore_impl` beside this one. Another package of such a
name that comes first on ``sys.path`` is refused here, since every import would fail in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = [
    "Adapted",
    "Adapters",
    "Decomposed",
    "Run",
    "__version__",
    "adapt",
    "decompose",
    "open",
    "open_adapters",
    "train",
]


def _check(name: str) -> None:
    """Raise ImportError where ``import NAME`` would find another package than the one beside this."""
    expected = Path(__file__).resolve().parent.parent / name
    spec = find_spec(name)
    places: Sequence[str | None] = (spec.submodule_search_locations or [spec.origin]) if spec else []
    found = [Path(place).resolve() for place in places if place is not None]
    if found != [expected]:
        where = ", ".join(map(str, found)) or "no package"
        raise ImportError(
            f"twinlora needs its own package {name!r}, in {expected}; `import {name}` finds {where}, which comes first "
            "on sys.path. Rename it, or start Python in another folder or without it in PYTHONPATH."
        )


for _name in ("common", "pytorch_impl", "mindspore_impl"):
    _check(_name)

from common import __version__  # noqa: E402  (the check comes first)

if TYPE_CHECKING:
    from twinlora.adapting import Adapted, adapt
    from twinlora.decomposing import Decomposed, decompose
    from twinlora.runs import Run, open, train
    from twinlora.several import Adapters, open_adapters

_HOME = {
    "Adapted": "adapting",
    "adapt": "adapting",
    "Decomposed": "decomposing",
    "decompose": "decomposing",
    "Run": "runs",
    "open": "runs",
    "train": "runs",
    "Adapters": "several",
    "open_adapters": "several",
}


def __getattr__(name: str) -> Any:
    """Nothing heavy is imported before it is used."""
    if name in _HOME:
        return getattr(import_module(f"twinlora.{_HOME[name]}"), name)
    raise AttributeError(f"module 'twinlora' has no attribute {name!r}")
