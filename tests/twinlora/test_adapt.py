"""A network of the user's own is adapted in place, trained by the user's own loop, merged, saved and loaded."""

from __future__ import annotations

import numpy as np
import pytest

import twinlora
from common.errors import InputError

PLAN = {"method": "lora", "rank": 2, "alpha": 4, "targets": ["0", "2"], "dropout": 0.1}
X = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def torch_network():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))


def mindspore_network():
    mindspore = pytest.importorskip("mindspore")
    nn = pytest.importorskip("mindspore_impl") and mindspore.nn
    return nn.SequentialCell(nn.Dense(8, 16), nn.ReLU(), nn.Dense(16, 2))


@pytest.mark.needs_pytorch
def test_a_torch_network_trains_what_the_plan_names_and_nothing_else(tmp_path):
    torch = pytest.importorskip("torch")
    network = torch_network()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    inputs = torch.from_numpy(X)
    expected = network.eval()(inputs)
    adapted = twinlora.adapt(network, PLAN)
    assert adapted.counts() == {"lora_A": 2 * 8 + 2 * 16, "lora_B": 16 * 2 + 2 * 2, "total": 84}
    assert not any(module.training for module in network.modules())  # as the network was
    assert torch.equal(network(inputs), expected)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    for _ in range(5):
        optimizer.zero_grad()
        network(inputs).square().sum().backward()
        optimizer.step()
    trained = network.eval()(inputs)
    assert not torch.allclose(trained, expected)
    adapted.save(tmp_path / "adapter.safetensors")
    adapted.merge()
    assert torch.allclose(network(inputs), trained, atol=1e-6)
    adapted.unmerge()
    other = twinlora.adapt(torch_network(), PLAN, seed=1)
    other.load(tmp_path / "adapter.safetensors")
    assert torch.equal(other.model.eval()(inputs), trained)
    weights = dict(network.named_parameters())
    assert all(torch.equal(weights[name.replace(".", ".base_layer.")], value) for name, value in before.items())


@pytest.mark.needs_mindspore
def test_a_mindspore_network_is_adapted_merged_saved_and_loaded(tmp_path):
    mindspore = pytest.importorskip("mindspore")
    network = mindspore_network()
    network.set_train(False)
    inputs = mindspore.Tensor(X)
    expected = network(inputs).asnumpy()
    adapted = twinlora.adapt(network, PLAN)
    assert adapted.counts()["total"] == 84
    assert np.array_equal(network(inputs).asnumpy(), expected)
    optimizer = mindspore.nn.Adam(network.trainable_params(), 0.1)
    assert len(network.trainable_params()) == 4
    step = mindspore.value_and_grad(lambda x: network(x).square().sum(), None, optimizer.parameters)
    network.set_train(True)
    for _ in range(3):
        optimizer(step(inputs)[1])
    network.set_train(False)
    trained = network(inputs).asnumpy()
    assert np.abs(trained - expected).max() > 1e-3
    adapted.save(tmp_path / "adapter.safetensors")
    adapted.merge()
    np.testing.assert_allclose(network(inputs).asnumpy(), trained, atol=1e-5)
    adapted.unmerge()
    adapted.load(tmp_path / "adapter.safetensors")
    assert np.array_equal(network(inputs).asnumpy(), trained)


@pytest.mark.parametrize("merge", [False, True], ids=["lost", "merged"])
@pytest.mark.needs_pytorch
def test_an_adaptation_is_switched_off_and_removed_again_in_torch(merge):
    torch = pytest.importorskip("torch")
    network, inputs = torch_network(), torch.from_numpy(X)
    network[0].bias.requires_grad_(False)
    expected = network.eval()(inputs)
    before = [(name, p.requires_grad) for name, p in network.named_parameters()]
    adapted = twinlora.adapt(network, {**PLAN, "bias": "none"})
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.1 if "lora" in name else 0.0)
    trained = network(inputs)
    with adapted.disabled():
        assert torch.equal(network(inputs), expected)
    assert torch.equal(network(inputs), trained)
    adapted.merge()
    with pytest.raises(InputError, match="Call unmerge first"), adapted.disabled():
        pass
    adapted.remove(merge=merge)
    assert [type(module) for module in network] == [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]
    assert [(name, p.requires_grad) for name, p in network.named_parameters()] == before
    assert torch.allclose(network(inputs), trained, atol=1e-6) if merge else torch.equal(network(inputs), expected)
    twinlora.adapt(network, PLAN)  # and can be adapted again


@pytest.mark.parametrize("merge", [False, True], ids=["lost", "merged"])
@pytest.mark.needs_mindspore
def test_an_adaptation_is_switched_off_and_removed_again_in_mindspore(merge):
    mindspore = pytest.importorskip("mindspore")
    network, inputs = mindspore_network(), mindspore.Tensor(X)
    network[0].bias.requires_grad = False
    network.set_train(False)
    expected = network(inputs).asnumpy()
    before = [(p.name, p.requires_grad) for p in network.get_parameters()]
    adapted = twinlora.adapt(network, PLAN)
    for parameter in network.trainable_params():
        parameter.set_data(parameter + 0.1)
    trained = network(inputs).asnumpy()
    with adapted.disabled():
        assert np.array_equal(network(inputs).asnumpy(), expected)
    assert np.array_equal(network(inputs).asnumpy(), trained)
    adapted.remove(merge=merge)
    assert [type(cell).__name__ for cell in network] == ["Dense", "ReLU", "Dense"]
    assert [(p.name, p.requires_grad) for p in network.get_parameters()] == before
    after = network(inputs).asnumpy()
    if merge:
        np.testing.assert_allclose(after, trained, atol=1e-5)
    else:
        assert np.array_equal(after, expected)
    twinlora.adapt(network, PLAN)  # and can be adapted again


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"method": "lora", "rank": 2, "alpha": 4, "targets": ["nothing"]}, "matches none"),
        ({"method": "lora", "rank": 2, "alpha": 4, "targets": ["0"], "ranks": 3}, "ranks is unknown"),
        ({"method": "lora"}, "rank must be given"),
        ({"method": "lorra"}, "Nearest: lora"),
        ({"method": "lora", "rank": 99, "alpha": 4, "targets": ["0"]}, "Use at most 8"),
    ],
)
@pytest.mark.needs_pytorch
def test_a_plan_that_does_not_fit_is_refused(plan, message):
    with pytest.raises(InputError, match=message):
        twinlora.adapt(torch_network(), plan)


def test_what_is_no_network_is_refused():
    with pytest.raises(InputError, match=r"torch\.nn\.Module or a mindspore\.nn\.Cell"):
        twinlora.adapt(object(), PLAN)


FRAMEWORKS = [
    pytest.param("torch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]


def network_of(framework):
    return torch_network() if framework == "torch" else mindspore_network()


def moved(adapted, by=0.1):
    """The adapted network with other values of everything that it trains."""
    backend = adapted._backend
    backend.adapting.write(adapted.model, adapted.plan, {name: array + by for name, array in adapted.arrays().items()})
    return adapted


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_arrays_are_not_loaded_into_weights_that_hold_the_update(tmp_path, framework):
    adapted = moved(twinlora.adapt(network_of(framework), PLAN))
    adapted.save(tmp_path / "adapter.safetensors")
    kept = adapted.arrays()
    adapted.merge()
    with pytest.raises(InputError, match="Call unmerge first"):
        adapted.load(tmp_path / "adapter.safetensors")
    adapted.unmerge()
    adapted.load(tmp_path / "adapter.safetensors")
    assert all(np.array_equal(array, kept[name]) for name, array in adapted.arrays().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"alpha": 40}, "0: alpha is 4.0 in the file and 40.0 in the plan"),
        ({"rank_stabilized": True}, "0: rank_stabilized is False in the file and True in the plan"),
    ],
)
@pytest.mark.needs_pytorch
def test_arrays_of_another_plan_are_refused_where_their_shapes_agree(tmp_path, other, message):
    moved(twinlora.adapt(torch_network(), PLAN)).save(tmp_path / "adapter.safetensors")
    adapted = twinlora.adapt(torch_network(), PLAN | other)
    before = adapted.arrays()
    with pytest.raises(InputError, match=message):
        adapted.load(tmp_path / "adapter.safetensors")
    assert all(np.array_equal(array, before[name]) for name, array in adapted.arrays().items())
    twinlora.adapt(torch_network(), PLAN | {"dropout": 0.0}).load(tmp_path / "adapter.safetensors")


@pytest.mark.needs_pytorch
def test_a_file_without_its_plan_is_loaded_and_it_is_said(tmp_path, capsys):
    from common.files import save_arrays

    adapted = moved(twinlora.adapt(torch_network(), PLAN))
    save_arrays(tmp_path / "adapter.safetensors", adapted.arrays())
    twinlora.adapt(torch_network(), PLAN).load(tmp_path / "adapter.safetensors")
    assert "does not say which plan it is of" in capsys.readouterr().err


def repeated(framework, what):
    """Two linear layers in a row: one ``layer`` at two places, or two with one ``weight``."""
    if framework == "torch":
        nn = pytest.importorskip("torch").nn
        first, second = nn.Linear(8, 8), nn.Linear(8, 8)
        holder = nn.Sequential
    else:
        nn = pytest.importorskip("mindspore").nn
        first, second = nn.Dense(8, 8), nn.Dense(8, 8)
        holder = nn.SequentialCell
    second.weight = first.weight
    return holder(first, nn.ReLU(), first if what == "layer" else second)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layer_at_several_places_is_not_adapted_at_one_of_them(framework):
    network = repeated(framework, "layer")
    with pytest.raises(InputError, match="0 stands at 2 as well"):
        twinlora.adapt(network, PLAN | {"targets": ["0"]})
    assert not any("lora" in name for name in names_of(network))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layer_that_is_the_whole_network_is_not_adapted(framework):
    with pytest.raises(InputError, match="is the whole network"):
        twinlora.adapt(network_of(framework)[0], PLAN | {"targets": ["*"]})


def names_of(network):
    found = network.named_parameters() if hasattr(network, "named_parameters") else network.parameters_and_names()
    return [name for name, _ in found]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_update_is_not_merged_into_a_weight_that_another_layer_reads(framework):
    adapted = moved(twinlora.adapt(repeated(framework, "weight"), PLAN | {"targets": ["0"], "dropout": 0.0}))
    with pytest.raises(InputError, match=r"0: .* shares its weight"):
        adapted.merge()


@pytest.mark.needs_pytorch
def test_a_weight_that_a_module_of_another_kind_reads_is_not_merged_into():
    torch = pytest.importorskip("torch")

    class Out(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.table = weight

        def forward(self, x):
            return x @ self.table

    first = torch.nn.Linear(8, 8)
    adapted = moved(twinlora.adapt(torch.nn.Sequential(first, Out(first.weight)), PLAN | {"targets": ["0"]}))
    with pytest.raises(InputError, match=r"0: .* shares its weight"):
        adapted.merge()


@pytest.mark.needs_pytorch
def test_layers_whose_weight_is_computed_are_not_merged_and_no_other_is():
    torch = pytest.importorskip("torch")
    normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(16, 2))
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), normed).eval()
    adapted, inputs = moved(twinlora.adapt(network, PLAN)), torch.from_numpy(X)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    expected = network(inputs)
    with pytest.raises(InputError, match="2 computes its weight"):
        adapted.merge()
    assert torch.equal(network(inputs), expected)
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
