from mindspore_impl.layers.wrapper import Wrapper


class Scale(Wrapper):
    def construct(self, x):
        y = self.base_layer(x)
        return y * self.factor if self.active else y


build = Scale
