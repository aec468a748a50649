"""What transforms to numbers of few bits share: replacing the targets, and a report in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from common.compression.matrices import relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Transform, TransformOptions, matches
from common.errors import InputError
from common.models.layers import Layer
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = ["Narrow", "base_of"]


class Narrow(Transform):
    """Puts a layer of few bits in the place of every target. Members say which one, and what it stores."""

    layer: ClassVar[Layer]

    def under_adapters(self) -> Any:
        """Options for the frozen base of adapters."""
        return self.Options()

    def arguments(self, module: ModuleSpec, options: Any) -> Any:
        """Of the layer at ``module``."""
        raise NotImplementedError

    def stored(
        self, module: ModuleSpec, weight: np.ndarray, arguments: Any, ranges: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """The layer's arrays by name.

        Args:
            ranges: the largest absolute value of each module's input, where it was observed.
        """
        raise NotImplementedError

    def outlined(self, spec: ModelSpec, options: TransformOptions) -> ModelSpec:
        """The structure alone: the model's arrays are not looked at, and are none afterwards."""
        found = [item.module for item in matches(options, spec, finite=False)]
        edits = [self.layer.edit(module, self.arguments(module, options)) for module in found]
        return restructured(spec, (*spec.edits, *edits), {})

    def apply(self, spec: ModelSpec, options: Any, statistics: Any = None) -> tuple[ModelSpec, Report]:
        """Quantise every target; the report has bytes beside numbers."""
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        before = after = 0
        for module in (item.module for item in matches(options, spec)):
            weight, arguments = arrays.pop(f"{module.path}.weight"), self.arguments(module, options)
            found = self.stored(module, weight, arguments, statistics or {})
            edit = self.layer.edit(module, arguments)
            edits.append(edit)
            arrays |= found
            size = sum(array.nbytes for array in found.values())
            norm, error = self._error(weight, self.layer.dense(edit, found))
            rows.append(ModuleReport(module.path, weight.size, weight.size, error, norm, {"bytes": size}))
            before, after = before + weight.nbytes, after + size
        changed = restructured(spec, edits, arrays)
        findings = {
            "bytes of these modules": {"before": before, "after": after, "share": after / before},
            "bytes of the model": {
                "before": spec.bytes(),
                "after": changed.bytes(),
                "share": changed.bytes() / spec.bytes(),
            },
        }
        return changed, Report.of(tuple(rows), spec, changed, findings)

    def _error(self, weight: np.ndarray, found: np.ndarray) -> tuple[float, float]:
        exact = weight.astype(np.float64)
        norm = float(np.linalg.norm(exact))
        return norm, relative(float(np.linalg.norm(found - exact)), norm)


def base_of(name: str) -> tuple[Narrow, Any]:
    """The transform that ``model.quantize`` names, and its options.

    Raises:
        InputError: it is none that stores few bits.
    """
    from common.compression import TRANSFORMS

    narrow = [member for member in TRANSFORMS if isinstance(member, Narrow)]
    found = next((member for member in narrow if member.name == name), None)
    if found is None:
        known = ", ".join(member.name for member in narrow)
        raise InputError(
            f"model.quantize must be null or a transform that stores weights in few bits: {known}; received {name!r}. "
            "Any other is applied once, by twinlora compress, and its folder is the model.source."
        )
    return found, found.under_adapters()
