"""Cells with the constructor arguments, parameter names, shapes, start distributions and results of `torch.nn`'s
modules.
 Left out of the constructors are ``device`` and ``dtype``, and ``inplace`` must be False. Weights of a torch checkpoint
fit without renaming.
"""

from __future__ import annotations

import importlib
import pkgutil

__all__ = []
for _module in sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"):
    _loaded = importlib.import_module(f"{__name__}.{_module}")
    globals().update({name: getattr(_loaded, name) for name in _loaded.__all__})
    __all__ += _loaded.__all__
