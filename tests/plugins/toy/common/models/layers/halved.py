"""y = scale * D x + b."""

import dataclasses
from dataclasses import dataclass

from common.models.layers.layer import Layer
from common.models.modules import Kind

HALVED = Kind("halved", lambda module: None, matrix=True)


@dataclass(frozen=True)
class HalvedArguments:
    scale: float


class Halved(Layer):
    name = "halved"
    Arguments = HalvedArguments

    def module(self, module, arguments):
        own = (("doubled", (module.out_features, module.in_features)), ("bias", (module.out_features,)))
        return dataclasses.replace(module, kind=HALVED, parameters=own)

    def dense(self, edit, arrays):
        return edit.arguments.scale * arrays[f"{edit.path}.doubled"].astype("float64")

    def absorb(self, edit, arrays, delta):
        name = f"{edit.path}.doubled"
        found = arrays[name].astype("float64") + delta[0] @ delta[1] / edit.arguments.scale
        return edit.arguments, {name: found.astype("float32")}


MEMBER = Halved()
