"""A toy method: every output of a matrix gets a trained factor, 1 at first."""

from dataclasses import dataclass

import numpy as np

from common.edits import Edit, Given, ParameterSpec
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.targets import Target, match
from common.methods.unfreezing import head_parameters


@dataclass(frozen=True)
class ScaleOptions(MethodOptions):
    targets: tuple[Target, ...] = ()


class Scale(Method):
    name = "scale"
    Options = ScaleOptions
    peft = None

    def plan(self, options, spec):
        edits = []
        for found in match(options.targets, (), spec, lambda module: module.kind.matrix):
            size = (found.module.out_features,)
            factor = ParameterSpec(f"{found.module.path}.factor", size, "scale", Given(np.ones(size)), decay=False)
            edits.append(Edit(found.module.path, "scale", "wrap", found.module, None, (factor,)))
        return Plan(self.name, tuple(edits), head_parameters(spec), spec.head, self.artifact, options)

    def example(self, targets):
        return ScaleOptions(self.name, (Target("all-linear"),))


MEMBER = Scale()
