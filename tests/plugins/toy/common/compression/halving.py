"""Stores the doubled weight times one half."""

import numpy as np
from common.models.layers.halved import MEMBER as LAYER
from common.models.layers.halved import HalvedArguments

from common.compression.report import ModuleReport, Report
from common.compression.transform import Transform, matches
from common.models.structure import restructured


class Halving(Transform):
    name = "halving"

    def apply(self, spec, options, statistics=None):
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        for item in matches(options, spec):
            path, weight = item.module.path, arrays.pop(f"{item.module.path}.weight")
            edits.append(LAYER.edit(item.module, HalvedArguments(0.5)))
            arrays[f"{path}.doubled"] = 2 * weight
            rows.append(ModuleReport(path, weight.size, weight.size, 0.0, float(np.linalg.norm(weight))))
        changed = restructured(spec, edits, arrays)
        return changed, Report.of(tuple(rows), spec, changed)


MEMBER = Halving()
