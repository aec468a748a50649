"""Running one LoRA layer of either half: forward and all gradients, from and to NumPy."""

from __future__ import annotations

from types import ModuleType

import numpy as np


def wrapped(half: ModuleType, step: Edit, weight: np.ndarray, bias: np.ndarray | None, adapter: dict[str, np.ndarray]):
    """A base layer of ``step.kind`` with these values, wrapped."""
    values = {f"{step.path}.{name}": array for name, array in adapter.items()}
    if half.__name__ == "pytorch_impl":
        import torch

        from pytorch_impl.layers.lora import wrap
        from pytorch_impl.layers.modules import Conv1D, Embedding, Linear

        sizes = (step.in_features, step.out_features)
        base = {
            "linear": lambda: Linear(*sizes),
            "conv1d": lambda: Conv1D(*sizes[::-1]),
            "embedding": lambda: Embedding(*sizes),
        }[step.kind]()
        base.weight.data = torch.from_numpy(np.array(weight))
        if bias is not None:
            base.bias.data = torch.from_numpy(np.array(bias))
        return wrap(base.requires_grad_(False), step, values)
    from mindspore import Tensor

    from mindspore_impl.layers.lora import wrap
    from mindspore_impl.layers.modules import Conv1D, Embedding, Linear

    base = {"linear": Linear, "conv1d": Conv1D, "embedding": Embedding}[step.kind](
        step.path, step.in_features, step.out_features
    )
    base.weight.set_data(Tensor(np.array(weight)))
    if bias is not None:
        base.bias.set_data(Tensor(np.array(bias)))
    return wrap(base, step, values)


def forward_backward(
    half: ModuleType, layer, x: np.ndarray, upstream: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """y, and the gradients of sum(y * upstream) by the adapter's arrays and, for floats, by x."""
    names = [name for name in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B") if hasattr(layer, name)]
    continuous = x.dtype.kind == "f"
    if half.__name__ == "pytorch_impl":
        import torch

        inputs = torch.from_numpy(np.array(x)).requires_grad_(continuous)
        y = layer(inputs)
        (y * torch.from_numpy(np.array(upstream))).sum().backward()
        gradients = {name: getattr(layer, name).grad.numpy() for name in names}
        return y.detach().numpy(), gradients | ({"x": inputs.grad.numpy()} if continuous else {})
    import mindspore as ms

    weights = ms.ParameterTuple([getattr(layer, name) for name in names])
    inputs, factor = ms.Tensor(np.array(x)), ms.Tensor(np.array(upstream))

    def loss(inputs):
        y = layer(inputs)
        return (y * factor).sum(), y

    (_, y), found = ms.value_and_grad(loss, 0 if continuous else None, weights, has_aux=True)(inputs)
    by_weight = found[1] if continuous else found
    gradients = {name: gradient.asnumpy() for name, gradient in zip(names, by_weight, strict=True)}
    return y.asnumpy(), gradients | ({"x": found[0].asnumpy()} if continuous else {})
