"""Running one LoRA layer of either backend: forward and all gradients, from and to NumPy."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from common.edits import Edit
from common.methods.lora import MEMBER as LORA
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR


def wrapped(
    backend: ModuleType, edit: Edit, weight: np.ndarray, bias: np.ndarray | None, adapter: dict[str, np.ndarray]
):
    """A base layer of the edit's kind with these values, wrapped."""
    values = {f"{edit.path}.{name}": array for name, array in adapter.items()}
    inputs, outputs, kind = edit.module.in_features, edit.module.out_features, edit.module.kind
    if backend.__name__ == "pytorch_impl":
        import torch

        from pytorch_impl.layers.modules import Conv1D, Embedding, Linear
        from pytorch_impl.rewrite import layer_of

        base = {
            LINEAR: lambda: Linear(inputs, outputs),
            TRANSPOSED_LINEAR: lambda: Conv1D(outputs, inputs),
            EMBEDDING: lambda: Embedding(inputs, outputs),
        }[kind]()
        base.weight.data = torch.from_numpy(np.array(weight))
        if bias is not None:
            base.bias.data = torch.from_numpy(np.array(bias))
        layer = layer_of(edit)(base.requires_grad_(False), edit, values)
    else:
        from mindspore import Tensor

        from mindspore_impl.layers.modules import Conv1D, Embedding, Linear
        from mindspore_impl.rewrite import layer_of

        kinds = {LINEAR: Linear, TRANSPOSED_LINEAR: Conv1D, EMBEDDING: Embedding}
        base = kinds[kind](edit.path, inputs, outputs)
        base.weight.set_data(Tensor(np.array(weight)))
        if bias is not None:
            base.bias.set_data(Tensor(np.array(bias)))
        layer = layer_of(edit)(base, edit, values)
    layer.method = LORA
    return layer


def forward_backward(
    backend: ModuleType, layer, x: np.ndarray, upstream: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """y, and the gradients of sum(y * upstream) by the adapter's arrays and, for floats, by x."""
    names = [name for name in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B") if hasattr(layer, name)]
    continuous = x.dtype.kind == "f"
    if backend.__name__ == "pytorch_impl":
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


def run_layer(
    backend: ModuleType, edit: Edit, values: dict[str, np.ndarray], x: np.ndarray, upstream: np.ndarray | None = None
) -> np.ndarray:
    """What a layer in the place of a module computes of x; with ``upstream``, the gradient of sum(y * upstream) by x.

    Args:
        values: of its parameters, by name.
    """
    kind, inputs, outputs = edit.module.kind, edit.module.in_features, edit.module.out_features
    if backend.__name__ == "pytorch_impl":
        import torch

        from pytorch_impl.rewrite import layer_of

        layer = layer_of(edit)(torch.nn.Linear(1, 1), edit, values)
        given = torch.from_numpy(np.array(x))
        if upstream is None:
            with torch.no_grad():
                return layer(given).numpy()
        given.requires_grad_()
        (layer(given) * torch.from_numpy(np.array(upstream))).sum().backward()
        return given.grad.numpy()
    import mindspore as ms

    from mindspore_impl.layers.modules import Embedding, Linear
    from mindspore_impl.rewrite import layer_of

    layer = layer_of(edit)((Embedding if kind.lookup else Linear)(edit.path, inputs, outputs), edit, values)
    if upstream is None:
        return layer(ms.Tensor(np.array(x))).asnumpy()
    factor = ms.Tensor(np.array(upstream))
    return ms.grad(lambda given: (layer(given) * factor).sum())(ms.Tensor(np.array(x))).asnumpy()
