"""Gradients of what is broadcast against nothing: 0, as in torch.

They are sums of no numbers, for which MindSpore 2.10 returns what happens to be in memory: of float64, and of any dtype
where the sum is one number. Memory is filled with a number of no meaning before each call.
"""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping import peer
from common.api_mapping.arrays import Array
from common.api_mapping.row import Case
from common.api_mapping.rows import registry
from common.api_mapping.running import open_backends

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
#: Rows that broadcast their tensors.
BROADCAST = (
    "torch.add", "torch.sub", "torch.mul", "torch.div", "torch.pow", "torch.float_power", "torch.atan2", "torch.hypot",
    "torch.maximum", "torch.minimum", "torch.fmax", "torch.fmod", "torch.remainder", "torch.rsub", "torch.lerp",
    "torch.logaddexp", "torch.logaddexp2", "torch.addcmul", "torch.addcdiv", "torch.clamp", "torch.xlogy", "torch.copysign",
    "torch.broadcast_tensors", "torch.kron", "torch.Tensor.expand_as",
)  # fmt: skip
SHAPES = (((0, 4), (4,)), ((4,), (0, 4)), ((0, 4), (1,)), ((0, 4), ()), ((0, 1), (1, 4)), ((0, 4), (4,), (1,)))
COMPILED = ("torch.add", "torch.mul", "torch.kron")


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def samples(rows, shapes):
    from dataclasses import replace

    for name in rows:
        for number, sizes in enumerate(shapes):
            for dtype in ("float32", "float64"):
                case = Case(tuple(Array("sample", shape, dtype) for shape in sizes))
                arrays = tuple(np.full(shape, 0.5, dtype) for shape in sizes)
                yield peer.Sample(replace(registry()[name], cases=(case,)), case, arrays, f"{number} {dtype}")


def run(made, mode: str) -> list[peer.Finding]:
    from mindspore_impl.mapping_memory import spoil_memory

    backends = open_backends("cpu")
    return list(peer.run(made, backends.torch, backends.mindspore, backends.mindspore.named, mode, spoil_memory))


def test_what_is_broadcast_against_nothing_has_the_gradient_zero():
    found = run(samples(BROADCAST, SHAPES), "pynative")
    assert [finding for finding in found if finding.kind == "different"] == []
    assert {finding.row for finding in found if finding.kind == "equal"} == set(BROADCAST)


def test_so_it_has_in_a_compiled_gradient():
    found = run(samples(COMPILED, SHAPES[:3]), "gradient")
    assert [finding for finding in found if finding.kind != "equal"] == []
    assert len(found) == 18


def test_the_bias_and_the_weight_of_layers_have_the_gradient_zero_for_an_empty_batch():
    import mindspore as ms
    from mindspore import ops

    from mindspore_impl import nn
    from mindspore_impl.mapping_memory import spoil_memory

    layers = [
        (nn.Linear(4, 1), (0, 4)), (nn.Bilinear(4, 4, 1), (0, 4)), (nn.LayerNorm(1), (0, 1)), (nn.RMSNorm(1), (0, 1)),
        (nn.GroupNorm(1, 1), (0, 1, 3)),
    ]  # fmt: skip
    for layer, shape in layers:
        x = ms.Tensor(np.zeros(shape, np.float32))
        inputs = (x, x) if isinstance(layer, nn.Bilinear) else (x,)
        weights = layer.trainable_params()
        gradients_of = ms.grad(lambda *given, layer=layer: layer(*given), None, weights)
        for _ in range(3):
            spoil_memory()
            for weight, gradient in zip(weights, gradients_of(*inputs), strict=True):
                assert gradient.shape == weight.shape, (layer, weight.name)
                assert not ops.cast(gradient, ms.float64).asnumpy().any(), (layer, weight.name)
