from mindspore import nn

from mindspore_impl import functional as F
from mindspore_impl.layers.modules import parameter


class Halved(nn.Cell):
    def __init__(self, module, edit, values):
        super().__init__(auto_prefix=False)
        self.path, self.scale = edit.path, edit.arguments.scale
        self.doubled = parameter(f"{edit.path}.doubled", edit.module.out_features, edit.module.in_features)
        self.bias = parameter(f"{edit.path}.bias", edit.module.out_features)

    def construct(self, x):
        return F.linear(x, self.doubled * self.scale, self.bias)


build = Halved
