import mindspore as ms
from mindspore import nn, ops

from mindspore_impl.layers.modules import Embedding, Linear


class Bag(nn.Cell):
    def __init__(self, config):
        super().__init__(auto_prefix=False)
        self.word = Embedding("bag.table", config["vocab_size"], config["width"])
        self.mix = Linear("bag.mix", config["width"], config["width"])

    def construct(self, input_ids, attention_mask):
        mask = ops.expand_dims(attention_mask.astype(ms.float32), -1)
        mean = (self.word(input_ids) * mask).sum(1) / mask.sum(1)
        mixed = ops.tanh(self.mix(mean))
        return ops.reshape(ops.tile(ops.expand_dims(mixed, 1), (1, input_ids.shape[1], 1)), (-1, mixed.shape[1]))


def unsupported(config):
    return None


def backbone(config):
    return Bag(config)


def states(model, batch):
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model, batch):
    return [states(model, batch)]
