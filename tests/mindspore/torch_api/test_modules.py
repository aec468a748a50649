"""Modules, parameters, optimizers' state, initial values and files."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch as theirs

from common.errors import InputError
from mindspore_impl import torch_api as ours
from tests.tolerances import EXECUTION, GRADIENT, UPDATE

BOTH = pytest.mark.parametrize("torch", [theirs, ours], ids=["torch", "surface"])


def network(torch):
    nn = torch.nn

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.register_buffer("kept", torch.zeros(2))
            self.register_buffer("left_out", torch.zeros(2), persistent=False)
            self.register_parameter("absent", None)

        def forward(self, x):
            return x * self.scale

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.blocks = nn.ModuleList([Inner(), Inner()])
            self.shared = self.first
            self.named = nn.ModuleDict({"a": nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), "b": nn.Identity()})
            self.several = nn.ParameterList([nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(2))])

        def forward(self, x):
            for block in self.blocks:
                x = block(self.first(x))
            return self.named["a"](x) + self.several[0]

    return Net()


@pytest.mark.parametrize(
    "ask",
    [
        lambda net: list(net.state_dict()),
        lambda net: [name for name, _ in net.named_parameters()],
        lambda net: [name for name, _ in net.named_modules()],
        lambda net: [name for name, _ in net.named_children()],
        lambda net: [name for name, _ in net.named_buffers()],
        lambda net: [tuple(p.shape) for p in net.blocks.parameters()],
        lambda net: [type(m).__name__ for m in net.modules()],
        lambda net: [m.training for m in net.eval().modules()],
        lambda net: (len(net.blocks), len(net.named["a"]), [type(m).__name__ for m in net.named["a"][1:]]),
        lambda net: [p.requires_grad for p in net.requires_grad_(False).parameters()],
        lambda net: (str(net.first), type(net.get_submodule("named.a.0")).__name__),
        lambda net: [str(p.dtype) for p in net.double().parameters()],
        lambda net: copy.deepcopy(net).first.weight is net.first.weight,
    ],
)
def test_a_module_answers_as_in_torch(ask):
    assert ask(network(ours)) == ask(network(theirs))


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}, {"bias": False}]
)
def test_an_lstm_projects_its_output_as_torch(options):
    found = []
    for framework in (theirs, ours):
        framework.manual_seed(3)
        layer = framework.nn.LSTM(4, 5, proj_size=3, **options)
        x = framework.tensor(np.random.RandomState(0).randn(6, 2, 4).astype(np.float32), requires_grad=True)
        y, (h, c) = layer(x)
        (y.sum() + (h * h).sum() + c.sum()).backward()
        arrays = [part.detach().numpy() for part in (y, h, c, x.grad, *(p.grad for p in layer.parameters()))]
        found.append((list(layer.state_dict()), arrays))
    (names, expected), (own, arrays) = found
    assert own == names
    for one, two in zip(arrays, expected, strict=True):
        assert one.shape == two.shape
        assert np.abs(one - two).max() <= 10 * EXECUTION * max(np.abs(two).max(), 1.0)
    with pytest.raises(ValueError, match="proj_size"):
        ours.nn.GRU(4, 5, proj_size=3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t, net: net.load_state_dict({}),
        lambda t, net: net.load_state_dict({**net.state_dict(), "more": t.ones(1)}),
        lambda t, net: net.load_state_dict({**net.state_dict(), "first.bias": t.ones(4)}),
        lambda t, net: setattr(net, "first", 3),
        lambda t, net: net.no_such_attribute,
        lambda t, net: net.register_buffer("a.b", t.ones(1)),
        lambda t, net: net.register_parameter("p", t.ones(1)),
        lambda t, net: net.get_submodule("blocks.7"),
        lambda t, net: t.nn.Module()(1),
        lambda t, net: net.train("yes"),
    ],
)
def test_a_module_refuses_what_torch_refuses(wrong):
    with pytest.raises(Exception) as error:  # noqa: PT011
        wrong(theirs, network(theirs))
    with pytest.raises(error.type):
        wrong(ours, network(ours))


@BOTH
def test_hooks_see_and_change_what_passes(torch):
    net, seen = torch.nn.Linear(2, 2), []
    first = net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    second = net.register_forward_hook(lambda module, inputs, output: seen.append(output.shape) or output * 0)
    x = torch.ones(1, 2, requires_grad=True)
    assert net(x).abs().sum().item() == 0.0
    assert [tuple(shape) for shape in seen] == [(1, 2)]
    first.remove()
    second.remove()
    assert net(x).abs().sum().item() != 0.0
    assert len(seen) == 1


@BOTH
def test_gradients_accumulate_until_they_are_cleared(torch):
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    for _ in range(3):
        (w * w).sum().backward()
    assert w.grad.tolist() == [6.0, 12.0]
    torch.nn.utils.clip_grad_value_([w], 7.0)
    assert w.grad.tolist() == [6.0, 7.0]
    norm = torch.nn.utils.clip_grad_norm_([w], 1.0)
    assert norm.item() == pytest.approx(np.sqrt(36 + 49), rel=1e-6)
    assert torch.linalg.vector_norm(w.grad).item() == pytest.approx(1.0, rel=1e-5)
    torch.optim.SGD([w], lr=1.0).zero_grad()
    assert w.grad is None


@BOTH
def test_gradients_of_intermediate_values_and_own_functions(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (first,) = torch.autograd.grad((x * x * x).sum(), x)
    assert first.tolist() == [3.0, 12.0]
    assert x.grad is None
    z = (x * 2).requires_grad_()
    z.retain_grad()
    hooked = []
    z.register_hook(lambda gradient: hooked.append(gradient.tolist()) or gradient * 10)
    (z * z).sum().backward()
    assert hooked == [[4.0, 8.0]]
    assert x.grad.tolist() == [80.0, 160.0]
    with torch.no_grad():
        assert not (x * 2).requires_grad
    assert not x.detach().requires_grad

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0] * 100

    x.grad = None
    Double.apply(x).sum().backward()
    assert x.grad.tolist() == [100.0, 200.0]


def test_gradients_of_gradients_are_refused_since_some_would_be_wrong():
    x = ours.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="create_graph"):
        ours.autograd.grad((x @ x), x, create_graph=True)


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"lr": 0.01},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adagrad": {"lr_decay": 0.1},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
}


def train(torch, name: str, fused: bool = False):
    """Four steps; in the second a parameter has no gradient; then state is loaded into a new optimizer."""
    start = np.random.RandomState(0).randn(2, 3).astype(np.float32)
    parameters = [torch.nn.Parameter(torch.from_numpy(start + place)) for place in range(2)]
    options = {**OPTIMIZERS[name], **({"fused": True} if fused else {})}
    held = getattr(torch.optim, name)(parameters, **options)
    for step in range(4):
        held.zero_grad()
        used = parameters[:1] if step == 1 else parameters
        sum(((p * (step + 1)).sin() * (k + 1)).sum() for k, p in enumerate(used)).backward()
        held.step()
        if step == 2:
            state = held.state_dict()
            held = getattr(torch.optim, name)(parameters, **options)
            held.load_state_dict(state)
    return parameters, held


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_keep_torchs_state(name):
    one, two = train(theirs, name), train(ours, name)
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=UPDATE, atol=UPDATE)
    expected, found = one[1].state_dict(), two[1].state_dict()
    ignored = {"foreach", "fused"}
    assert [set(group) - ignored for group in found["param_groups"]] == [
        set(group) - ignored for group in expected["param_groups"]
    ]
    assert set(found["state"]) == set(expected["state"])
    for number, values in expected["state"].items():
        assert {key for key, value in values.items() if value is not None} == set(found["state"][number])
        for key, value in found["state"][number].items():
            np.testing.assert_allclose(value.numpy(), values[key].numpy(), rtol=GRADIENT, atol=1e-6)


def test_a_fused_step_is_one_graph_that_follows_the_rate():
    one = train(ours, "AdamW")[0]
    two = train(ours, "AdamW", fused=True)[0]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=UPDATE)


INITIALS = {
    "uniform_": lambda i, t: i.uniform_(t, -2, 3),
    "normal_": lambda i, t: i.normal_(t, 1.0, 0.1),
    "constant_": lambda i, t: i.constant_(t, 0.3),
    "xavier_uniform_": lambda i, t: i.xavier_uniform_(t, 1.4),
    "xavier_normal_": lambda i, t: i.xavier_normal_(t),
    "kaiming_uniform_": lambda i, t: i.kaiming_uniform_(t, 0.2, "fan_out"),
    "kaiming_normal_": lambda i, t: i.kaiming_normal_(t, nonlinearity="relu"),
    "trunc_normal_": lambda i, t: i.trunc_normal_(t, 0.1, 0.5, -0.5, 0.6),
    "trunc_normal_ far out": lambda i, t: i.trunc_normal_(t, 0.0, 1.0, 0.5, 0.9),
    "orthogonal_": lambda i, t: i.orthogonal_(t, 1.2),
    "dirac_": lambda i, t: i.dirac_(t, 2),
}


@pytest.mark.parametrize("name", INITIALS)
def test_initial_values_are_those_of_torch(name):
    found = []
    for torch in (theirs, ours):
        torch.manual_seed(5)
        shape = (4, 3, 3) if name == "dirac_" else (6, 8)
        found.append(INITIALS[name](torch.nn.init, torch.empty(*shape)).numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=2e-5, atol=2e-6)


def test_gains_are_those_of_torch():
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert ours.nn.init.calculate_gain(name) == theirs.nn.init.calculate_gain(name)


def test_a_state_survives_a_file(tmp_path):
    net = network(ours)
    optimizer = ours.optim.Adam(net.parameters())
    net(ours.ones(4, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "names": ["a"],
        "kind": ours.float16,
    }
    ours.save(state, tmp_path / "state.pt")
    loaded = ours.load(tmp_path / "state.pt")
    assert loaded["epoch"] == 3
    assert loaded["kind"] is ours.float16
    for name, value in state["model"].items():
        np.testing.assert_array_equal(loaded["model"][name].numpy(), value.numpy())
    other = ours.optim.Adam(net.parameters())
    other.load_state_dict(loaded["optimizer"])
    assert other.state_dict()["state"].keys() == state["optimizer"]["state"].keys()


def test_a_pickle_is_refused(tmp_path):
    theirs.save({"x": theirs.ones(2)}, tmp_path / "pickle.pt")
    with pytest.raises(InputError, match="Pickles are not read"):
        ours.load(tmp_path / "pickle.pt")
    with pytest.raises(TypeError, match="state_dict"):
        ours.save(network(ours), tmp_path / "model.pt")


def test_a_missing_name_says_so():
    for ask in (
        lambda: ours.nn.LazyLinear,
        lambda: ours.linalg.eig,
        lambda: ours.ones(1).lu_solve,
        lambda: ours.hspmm,
    ):
        with pytest.raises(AttributeError, match="is not available on MindSpore"):
            ask()
