"""Modules and optimizers of the mapping: that a planted defect in a parameter, a gradient, a statistic or an epsilon is
caught, and what users call."""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping.row import arrays_of
from common.api_mapping.rows import find
from common.api_mapping.verify import references, try_target

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]


def failures(name: str, function) -> list[str]:
    """What comparing ``function`` in place of the row's target finds."""
    import mindspore_impl.mapping
    import pytorch_impl.mapping

    row = find(name)
    return [
        failure.message
        for failure in try_target(
            row, "planted", function, mindspore_impl.mapping, references(row, pytorch_impl.mapping)
        ).failures
    ]


def adapter(name: str):
    from mindspore_impl.mapping import resolve

    return resolve(f"shim.{name}")


def test_the_adapters_themselves_have_no_failures():
    assert failures("torch.nn.Bilinear", adapter("nn.Bilinear")) == []
    assert failures("torch.nn.BatchNorm2d", adapter("nn.BatchNorm2d")) == []
    assert failures("torch.optim.Adam", adapter("optim.Adam")) == []


def test_a_wrong_gradient_of_a_parameter_is_caught():
    from mindspore import ops

    class Planted(adapter("nn.Linear")):
        def construct(self, input):
            bias = (
                self.bias if self.bias is None else self.bias * 2.0 - ops.stop_gradient(self.bias)
            )  # the same value, twice the gradient
            return self.function(input, self.weight, bias)

    found = failures("torch.nn.Linear", Planted)
    assert found
    assert all(message.startswith("gradient 1: at [") for message in found)  # of the input, bias and weight


def test_a_parameter_of_another_name_is_caught():
    class Planted(adapter("nn.LayerNorm")):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            if self.bias is not None:
                self.beta, self.bias = self.bias, None

    assert any(
        "parameters beta (8,), weight (8,), torch tensor, parameters bias (8,), weight (8,)" in message
        for message in failures("LayerNorm", Planted)
    )


def test_the_biased_variance_in_a_statistic_is_caught():
    from mindspore import ops

    class Planted(adapter("nn.BatchNorm1d")):
        def normalize(self, input):
            y = super().normalize(input)
            if self.training and self.track_running_stats:
                ops.assign(self.running_var, self.running_var * 0.999)
            return y

    found = failures("torch.nn.BatchNorm1d", Planted)
    assert found
    assert all(
        message.startswith("output 3: at [") for message in found
    )  # y, num_batches_tracked, running_mean, running_var


@pytest.mark.parametrize("planted", [{"eps": 1e-7}, {"betas": (0.9, 0.998)}])
def test_another_epsilon_or_rate_of_an_optimizer_is_caught(planted):
    class Planted(adapter("optim.Adam")):
        def __init__(self, params, **keywords):
            super().__init__(params, **{**keywords, **planted})

    found = failures("torch.optim.Adam", Planted)
    assert found
    assert all(message.startswith("output ") and "exceeds 2e-05" in message for message in found)


@pytest.mark.parametrize("name", ["Linear", "Conv1d", "Embedding", "LSTM", "MultiheadAttention", "LayerNorm"])
def test_parameters_start_as_torchs_do(name):
    """Same deviation and the same largest value, as near as samples of this size come."""
    import mindspore
    import torch

    mindspore.set_seed(1)
    torch.manual_seed(1)
    arguments = {
        "Linear": (200, 100),
        "Conv1d": (50, 60, 5),
        "Embedding": (200, 100),
        "LSTM": (100, 60),
        "MultiheadAttention": (80, 4),
        "LayerNorm": (50,),
    }[name]
    theirs = dict(getattr(torch.nn, name)(*arguments).named_parameters())
    ours = dict(adapter(f"nn.{name}")(*arguments).parameters_and_names())
    assert sorted(ours) == sorted(theirs)
    for key, parameter in theirs.items():
        start, known = ours[key].asnumpy(), parameter.detach().numpy()
        assert start.shape == known.shape
        assert np.std(start) == pytest.approx(np.std(known), rel=0.2, abs=1e-7), key
        assert np.abs(start).max() == pytest.approx(np.abs(known).max(), rel=0.3, abs=1e-7), key


def test_users_train_a_small_network_with_the_namespaces():
    """A compiled step, a schedule, and parameter groups; the loss falls as in torch."""
    import mindspore as ms
    import torch
    from mindspore import Tensor, ops

    import mindspore_impl.nn
    import mindspore_impl.optim
    import pytorch_impl.nn
    import pytorch_impl.optim

    x, labels = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32), np.arange(16) % 3

    first, last = pytorch_impl.nn.Linear(4, 8), pytorch_impl.nn.Linear(8, 3)
    criterion = pytorch_impl.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = pytorch_impl.optim.AdamW(
        [{"params": first.parameters(), "weight_decay": 0.5}, {"params": last.parameters()}], lr=0.01
    )
    theirs, start = [], [p.detach().numpy().copy() for p in (*first.parameters(), *last.parameters())]
    for step in range(5):
        optimizer.param_groups[1]["lr"] = 0.01 / (step + 1)
        loss = criterion(last(torch.relu(first(torch.from_numpy(x)))), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())

    first, last = mindspore_impl.nn.Linear(4, 8), mindspore_impl.nn.Linear(8, 3)
    parameters = [first.weight, first.bias, last.weight, last.bias]
    for number, (parameter, value) in enumerate(zip(parameters, start, strict=True)):
        parameter.set_data(Tensor(value))
        parameter.name = f"parameter{number}"
    criterion = mindspore_impl.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = mindspore_impl.optim.AdamW(
        [{"params": parameters[:2], "weight_decay": 0.5}, {"params": parameters[2:]}], lr=0.01
    )

    def forward(x, labels):
        return criterion(last(ops.relu(first(x))), labels)

    differentiate = ms.value_and_grad(forward, None, ms.ParameterTuple(parameters[::-1]), return_ids=True)

    @ms.jit
    def train(x, labels):
        loss, gradients = differentiate(x, labels)
        return ops.depend(loss, optimizer(gradients))

    ours = []
    for step in range(5):
        ops.assign(optimizer.rates[1], Tensor(0.01 / (step + 1), ms.float32))
        ours.append(float(train(Tensor(x), Tensor(labels)).asnumpy()))
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert theirs[-1] < theirs[0]


def pair_of_parameters():
    """Two of one shape, whose gradients would fit each other."""
    import mindspore as ms

    return [ms.Parameter(ms.Tensor(np.array([1.0, 2.0], np.float32)), name=name) for name in ("first", "last")]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "RMSprop", "Adamax", "NAdam", "RAdam"])
def test_an_optimizer_pairs_gradients_with_parameters_whatever_their_order(name, compiled):
    import mindspore as ms
    import torch

    import mindspore_impl.optim
    import pytorch_impl.optim

    theirs = [torch.nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2)]
    optimizer = getattr(pytorch_impl.optim, name)(theirs, lr=0.1)
    (theirs[0].sum() + (theirs[1] * 5.0).square().sum()).backward()
    optimizer.step()

    first, last = pair_of_parameters()
    optimizer = getattr(mindspore_impl.optim, name)([first, last], lr=0.1)

    def forward():
        return first.sum() + ops.square(last * 5.0).sum()

    ops = ms.ops
    differentiate = ms.grad(forward, None, ms.ParameterTuple([last, first]), return_ids=True)

    def train():
        return optimizer(differentiate())

    (ms.jit(train) if compiled else train)()
    for ours, expected in zip((first, last), theirs, strict=True):
        np.testing.assert_allclose(ours.asnumpy(), expected.detach().numpy(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_optimizer_refuses_gradients_that_do_not_say_whose_they_are(compiled):
    import mindspore as ms

    from mindspore_impl.optim import SGD

    first, last = pair_of_parameters()
    optimizer, gradient = SGD([first, last], lr=0.1), ms.Tensor(np.ones(2, np.float32))

    def unnamed(gradient):
        return optimizer((gradient, gradient))

    def missing(gradient):
        return optimizer((("first", gradient),))

    def uneven(gradient):
        return optimizer((gradient, gradient), ["first"])

    for call, rule in ((unnamed, "names of their parameters"), (missing, "last has 0"), (uneven, "one name for each")):
        with pytest.raises(ValueError, match=rule):
            (ms.jit(call) if compiled else call)(gradient)
    np.testing.assert_array_equal(first.asnumpy(), [1.0, 2.0])

    def named(gradient):
        return optimizer((gradient, gradient * 2.0), ["last", "first"])

    (ms.jit(named) if compiled else named)(gradient)
    np.testing.assert_allclose(first.asnumpy(), [0.8, 1.8], rtol=1e-6)
    np.testing.assert_allclose(last.asnumpy(), [0.9, 1.9], rtol=1e-6)


def test_an_optimizer_of_one_parameter_takes_its_pair():
    import mindspore as ms

    from mindspore_impl.optim import SGD

    [first, _] = pair_of_parameters()
    for weights in (first, ms.ParameterTuple([first])):
        SGD([first], lr=0.1)(ms.grad(lambda: first.sum(), None, weights, return_ids=True)())
    np.testing.assert_allclose(first.asnumpy(), [0.8, 1.8], rtol=1e-6)


def test_every_module_starts_in_training_mode():
    """As in torch; MindSpore's cells start in evaluation mode, where a dropout does nothing."""
    import mindspore as ms

    import mindspore_impl.nn
    from common.api_mapping.row import fill
    from common.api_mapping.rows import registry

    evaluating = []
    for row in registry().values():
        if row.kind != "module":
            continue
        given = [ms.Tensor(np.ones(array.shape, array.dtype)) for array in arrays_of(row.cases[0].setup)]
        setup = fill(dict(row.cases[0].setup), iter(given), lambda value: value)
        module = getattr(mindspore_impl.nn, row.name.rpartition(".")[2])(**setup)
        evaluating += [cell for _, cell in module.cells_and_names() if not cell.training]
    assert evaluating == []


def test_a_mode_set_on_a_network_reaches_its_modules():
    import mindspore as ms

    from mindspore_impl import nn

    class Net(ms.nn.Cell):
        def __init__(self):
            super().__init__()
            self.dropout = nn.Dropout(0.5)
            self.other = nn.Dropout1d(0.5)

    net = Net()
    assert net.dropout.training
    assert net.other.training
    net.set_train(False)
    assert not (net.dropout.training)
    assert not (net.other.training)
