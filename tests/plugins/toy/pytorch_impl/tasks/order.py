from pytorch_impl import functional as F


def loss(network, inputs, differentiable=True):
    logits = network.logits(inputs)
    return F.cross_entropy_sum(logits, inputs["labels"]), logits
