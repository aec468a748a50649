from pytorch_impl.layers.wrapper import Wrapper


class Scale(Wrapper):
    def forward(self, x):
        y = self.base_layer(x)
        return y * self.factor if self.active else y


build = Scale
