"""LoRA of convolutions: loralib's in two dimensions, NumPy's in one, the same in both backends, exactly unmerged."""

from __future__ import annotations

import numpy as np
import pytest

import twinlora
from common.errors import InputError
from common.methods import METHODS
from common.methods.lora import LoraArguments, edit_of
from common.models.modules import CONVOLUTION, ModuleSpec, Window
from common.models.specs import ModelSpec
from tests.support import assert_near
from tests.tolerances import GRADIENT, LAYER

IN, OUT, RANK, ALPHA = 4, 6, 2, 5.0
#: dimensions, kernel, groups, stride, padding
CASES = {
    "2d": (2, 3, 1, 1, 1),
    "2d-grouped": (2, 3, 2, 2, 0),
    "2d-one": (2, 1, 1, 1, 0),
    "1d": (1, 3, 1, 1, 1),
    "1d-grouped": (1, 4, 2, 2, 0),
}


def drawn(case: str) -> dict[str, np.ndarray]:
    """Input, upstream gradient's seed, weight, bias and adapter, nowhere 0."""
    dimensions, kernel, groups, _, _ = CASES[case]
    generator = np.random.default_rng(len(case))
    module = ModuleSpec("0", CONVOLUTION, IN, OUT, arguments=Window((kernel,) * dimensions, groups))
    sizes = edit_of(module, LoraArguments(RANK, ALPHA)).shapes()
    found = {"x": (2, IN, *(9,) * dimensions), "weight": module.shapes()["0.weight"], "bias": (OUT,)} | sizes
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in found.items()}


def torch_layer(case: str, arrays):
    torch = pytest.importorskip("torch")
    dimensions, kernel, groups, stride, padding = CASES[case]
    kind = torch.nn.Conv2d if dimensions == 2 else torch.nn.Conv1d
    layer = kind(IN, OUT, kernel, stride=stride, padding=padding, groups=groups)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(arrays["weight"]))
        layer.bias.copy_(torch.from_numpy(arrays["bias"]))
    return torch.nn.Sequential(layer)


def mindspore_layer(case: str, arrays):
    mindspore = pytest.importorskip("mindspore")
    dimensions, kernel, groups, stride, padding = CASES[case]
    kind = mindspore.nn.Conv2d if dimensions == 2 else mindspore.nn.Conv1d
    layer = kind(IN, OUT, kernel, stride=stride, pad_mode="pad", padding=padding, group=groups, has_bias=True)
    layer.weight.set_data(mindspore.Tensor(arrays["weight"].reshape(layer.weight.shape)))
    layer.bias.set_data(mindspore.Tensor(arrays["bias"]))
    return mindspore.nn.SequentialCell(layer)


def adapted(network, arrays):
    """The network with LoRA of the arrays."""
    found = twinlora.adapt(network, {"method": "lora", "rank": RANK, "alpha": ALPHA, "targets": ["0"]})
    write = found._backend.adapting.write
    write(network, found.plan, {name: arrays[name] for name in found.plan.shapes()})
    return found


def torch_results(network, x):
    """Output and gradients of the sum of squares."""
    import torch

    given = torch.from_numpy(x).requires_grad_()
    y = network(given)
    y.square().sum().backward()
    grads = {name.rpartition(".")[2]: p.grad.numpy() for name, p in network.named_parameters() if p.grad is not None}
    return y.detach().numpy(), grads | {"x": given.grad.numpy()}


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("2d")])
def test_outputs_gradients_and_merged_weights_are_loralibs(case):
    loralib = pytest.importorskip("loralib")
    import torch

    arrays = drawn(case)
    _, kernel, groups, stride, padding = CASES[case]
    theirs = loralib.Conv2d(IN, OUT, kernel, r=RANK, lora_alpha=ALPHA, stride=stride, padding=padding, groups=groups)
    with torch.no_grad():
        own = {"weight": theirs.conv.weight, "bias": theirs.conv.bias}
        own |= {"0.lora_A": theirs.lora_A, "0.lora_B": theirs.lora_B}
        for name, parameter in own.items():
            assert parameter.shape == arrays[name].shape
            parameter.copy_(torch.from_numpy(arrays[name]))
    theirs.conv.bias.requires_grad_(False)
    network = torch_layer(case, arrays)
    ours = adapted(network, arrays)
    y, gradients = torch_results(network, arrays["x"])
    expected, expected_gradients = torch_results(theirs, arrays["x"])
    assert_near(y, expected, LAYER)
    for name in ("lora_A", "lora_B", "x"):
        assert_near(gradients[name], expected_gradients[name], GRADIENT, what=name)
    theirs.eval()
    ours.merge()
    assert_near(network[0].base_layer.weight.detach().numpy(), theirs.conv.weight.detach().numpy(), LAYER)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("case", CASES)
def test_the_update_is_the_product_with_its_entries_in_order(case):
    import torch

    arrays = drawn(case)
    network = torch_layer(case, arrays)
    adapted(network, arrays)
    y, gradients = torch_results(network, arrays["x"])
    a, b = (torch.from_numpy(arrays[f"0.lora_{name}"]).double().requires_grad_() for name in "AB")
    changed = torch.from_numpy(arrays["weight"]).double() + ALPHA / RANK * (b @ a).reshape(arrays["weight"].shape)
    dimensions, _, groups, stride, padding = CASES[case]
    convolve = torch.nn.functional.conv2d if dimensions == 2 else torch.nn.functional.conv1d
    expected = convolve(torch.from_numpy(arrays["x"]).double(), changed, torch.from_numpy(arrays["bias"]).double(), stride, padding, 1, groups)  # fmt: skip
    expected.square().sum().backward()
    assert_near(y, expected.detach().numpy(), LAYER)
    assert_near(gradients["lora_A"], a.grad.numpy(), GRADIENT)
    assert_near(gradients["lora_B"], b.grad.numpy(), GRADIENT)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("case", CASES)
def test_both_backends_compute_merge_and_unmerge_the_same(case):
    import mindspore as ms

    arrays = drawn(case)
    network, cell = torch_layer(case, arrays), mindspore_layer(case, arrays)
    ours, theirs = adapted(network, arrays), adapted(cell, arrays)
    y, gradients = torch_results(network, arrays["x"])
    x = ms.Tensor(arrays["x"])
    weights = ms.ParameterTuple([p for p in cell.get_parameters() if p.requires_grad])
    assert [p.name for p in weights] == ["0.lora_A", "0.lora_B"]

    def squares(given):
        return cell(given).square().sum()

    assert_near(cell(x).asnumpy(), y, LAYER)
    assert_near(ms.jit(squares)(x).asnumpy(), np.square(y, dtype=np.float64).sum(), LAYER)
    found = ms.grad(squares, None, weights)(x)
    for gradient, parameter in zip(found, weights, strict=True):
        assert_near(gradient.asnumpy(), gradients[parameter.name.rpartition(".")[2]], GRADIENT, what=parameter.name)
    before = cell[0].base_layer.weight.asnumpy().copy()
    ours.merge()
    theirs.merge()
    merged = cell[0].base_layer.weight.asnumpy()
    assert np.array_equal(merged.reshape(arrays["weight"].shape), network[0].base_layer.weight.detach().numpy())
    assert not np.array_equal(merged, before)
    assert_near(cell(x).asnumpy(), y, LAYER)
    theirs.unmerge()
    assert np.array_equal(cell[0].base_layer.weight.asnumpy(), before)


@pytest.mark.parametrize("case", ["1d", "2d"])
def test_a_convolution_that_is_trained_whole_is_saved_and_loaded(backend, tmp_path, case):
    arrays = drawn(case)
    layer = torch_layer if backend.__name__ == "pytorch_impl" else mindspore_layer
    other = {**arrays, "weight": arrays["weight"] + 1}
    saved, loaded = (twinlora.adapt(layer(case, given), {"method": "full"}) for given in (arrays, other))
    saved.save(tmp_path / "net.safetensors")
    loaded.load(tmp_path / "net.safetensors")
    assert all(np.array_equal(array, saved.arrays()[name]) for name, array in loaded.arrays().items())
    assert np.array_equal(saved.arrays()["0.weight"].reshape(arrays["weight"].shape), arrays["weight"])


@pytest.mark.needs_pytorch
def test_in_one_dimension_peft_computes_the_same_from_the_exported_arrays():
    peft = pytest.importorskip("peft")
    import torch

    arrays = drawn("1d")
    network = torch_layer("1d", arrays)
    ours = adapted(network, arrays)
    (edit,) = ours.plan.edits
    exported = METHODS.get("lora").peft.export(edit, {name: arrays[name] for name in edit.shapes()})
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"])
    model = peft.inject_adapter_in_model(config, torch_layer("1d", arrays))
    state = {name: p for name, p in model.named_parameters() if "lora" in name}
    with torch.no_grad():
        for key, array in exported.items():
            state[key.replace(".weight", ".default.weight")].copy_(torch.from_numpy(array))
    assert_near(torch_results(network, arrays["x"])[0], torch_results(model, arrays["x"])[0], LAYER)
    restored = METHODS.get("lora").peft.restore(edit, exported)
    assert all(np.array_equal(restored[name], arrays[name]) for name in restored)


def test_what_has_no_form_is_refused():
    module = ModuleSpec("c", CONVOLUTION, IN, OUT, arguments=Window((3, 3)))
    method = METHODS.get("lora")

    def plan(task: str, **options):
        return method.plan(
            method.Options(**{**vars(method.example(("c",))), "rank": RANK, **options}),
            ModelSpec("own", task, {}, (module,), (), {}),
        )

    assert plan("").counts() == {"lora_A": 2 * 3 * 4 * 3, "lora_B": 6 * 3 * 2 * 3, "total": 180}
    with pytest.raises(InputError, match="has no dropout"):
        plan("", dropout=0.1)
    with pytest.raises(InputError, match="Use at most 4"):
        plan("", rank=5)
    with pytest.raises(InputError, match="PEFT's form where it has one dimension"):
        plan("sequence-classification")
    with pytest.raises(InputError, match="none of 0"):
        METHODS.get("ia3").plan(METHODS.get("ia3").example(("c",)), ModelSpec("own", "", {}, (module,), (), {}))
