"""Recurrent layers of both backends against torch.nn over packed sequences: outputs, states, gradients, and dropout."""

from __future__ import annotations

import numpy as np
import pytest

from common.dropout import kept, step_key
from common.models.recurrence import CELLS, Recurrence, recurrent

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.needs_pytorch
MINDSPORE = pytest.param("mindspore", marks=pytest.mark.needs_mindspore)
LATER = pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])
BACKENDS = ["pytorch", LATER]
LENGTHS, WIDTH, HIDDEN = [7, 1, 4, 6], 5, 3
CLOSE = 1e-6  #: relative to the largest value


def values(cell: str, layers: int, both: bool, seed: int = 0, batch: int = 4, length: int = 7):
    """Input, states and parameters of a layer, the latter of the size that torch's start with."""
    random = np.random.default_rng(seed)
    module = recurrent("layer", WIDTH, Recurrence(cell, HIDDEN, layers, both))
    weights = {name.removeprefix("layer."): shape for name, shape in module.shapes().items()}
    state = (layers * (1 + both), batch, HIDDEN)
    shapes = {"x": (batch, length, WIDTH), "h": state} | ({"c": state} if cell == "lstm" else {}) | weights
    scales = dict.fromkeys(weights, HIDDEN**-0.5)
    return {
        name: (scales.get(name, 1.0) * random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()
    }


def theirs(cell: str, layers: int, both: bool, given, lengths):
    """Outputs, final states and the gradient of everything by torch.nn, of the sum of all results times themselves."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    layer = {"tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    layer = layer(WIDTH, HIDDEN, layers, batch_first=True, bidirectional=both).double()
    tensors = {name: torch.from_numpy(array).double().requires_grad_() for name, array in given.items()}
    for name, parameter in layer.named_parameters():
        parameter.data = tensors[name].detach().clone()
    packed = pack_padded_sequence(tensors["x"], torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    found, end = layer(packed, (tensors["h"], tensors["c"]) if cell == "lstm" else tensors["h"])
    outputs, _ = pad_packed_sequence(found, batch_first=True, total_length=given["x"].shape[1])
    results = [outputs, *(end if cell == "lstm" else [end])]
    sum((result * result).sum() for result in results).backward()
    gradients = {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}
    gradients |= {name: parameter.grad for name, parameter in layer.named_parameters()}
    return [result.detach().numpy() for result in results], {name: g.numpy() for name, g in gradients.items()}


def ours(backend: str, cell: str, layers: int, both: bool, given, lengths, **options):
    """The same by a backend."""
    kind = {"tanh": "RNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    sizes = (WIDTH, HIDDEN, layers, both)
    states = ["h", "c"] if cell == "lstm" else ["h"]
    if backend == "pytorch":
        from pytorch_impl.layers import recurrent as ours_torch
        from pytorch_impl.layers.dropout import share_key

        layer = getattr(ours_torch, kind)("layer", *sizes, **options)
        tensors = {name: torch.from_numpy(given[name]).requires_grad_() for name in ("x", *states)}
        for name, parameter in layer.named_parameters():
            parameter.data = torch.from_numpy(given[name])
        layer.train(bool(options))
        share_key(layer, "cpu").set(0, 1, 0)
        hx = (tensors["h"], tensors["c"]) if cell == "lstm" else tensors["h"]
        outputs, end = layer(tensors["x"], torch.tensor(lengths), hx)
        results = [outputs, *(end if cell == "lstm" else [end])]
        sum((result * result).sum() for result in results).backward()
        gradients = {name: tensor.grad for name, tensor in (*tensors.items(), *layer.named_parameters())}
        gradients |= {name: parameter.grad for name, parameter in layer.named_parameters()}
        return [result.detach().numpy() for result in results], {name: g.numpy() for name, g in gradients.items()}
    import mindspore as ms

    from mindspore_impl.blocks.placing import placed
    from mindspore_impl.layers import recurrent as ours_ms
    from mindspore_impl.layers.dropout import share_key
    from mindspore_impl.layers.modules import assign

    layer = placed(getattr(ours_ms, kind)("layer", *sizes, **options), "layer")
    found = {parameter.name.removeprefix("layer."): parameter for parameter in layer.get_parameters()}
    for name, parameter in found.items():
        assign(parameter, given[name])
        parameter.requires_grad = True
    layer.set_train(bool(options))
    share_key(layer, "cpu").set(0, 1, 0)

    def total(x, places, h, c):
        outputs, end = layer(x, places, (h, c) if cell == "lstm" else h)
        results = (outputs, *end) if cell == "lstm" else (outputs, end)
        loss = (outputs * outputs).sum()
        for result in results[1:]:
            loss = loss + (result * result).sum()
        return loss, results

    weights = ms.ParameterTuple(found.values())
    function = ms.jit(ms.value_and_grad(total, (0, 2, 3), weights, has_aux=True))
    inputs = [given["x"], np.array(lengths, np.int32), given["h"], given.get("c", given["h"])]
    for _ in range(2):  # a graph may compute another gradient at its second execution
        (_, results), (by_input, by_weight) = function(*map(ms.Tensor, inputs))
    gradients = dict(zip(found, by_weight, strict=True)) | dict(zip(("x", "h", "c"), by_input, strict=True))
    gradients = {name: gradient.asnumpy() for name, gradient in gradients.items() if name in given}
    return [result.asnumpy() for result in results], gradients


def assert_close(found, expected, close: float = CLOSE) -> None:
    for index, (one, other) in enumerate(zip(found[0], expected[0], strict=True)):
        assert np.abs(one - other).max() <= close * max(1.0, np.abs(other).max()), index
    assert set(found[1]) == set(expected[1])
    largest = max(np.abs(gradient).max() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        assert np.abs(found[1][name] - gradient).max() <= close * largest, name


@pytest.mark.parametrize("backend", ["pytorch", MINDSPORE])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "both"), [pytest.param(1, False, marks=pytest.mark.nightly), (2, True)])
def test_layers_are_those_of_torch_over_packed_sequences(backend, cell, layers, both):
    given = values(cell, layers, both)
    assert_close(ours(backend, cell, layers, both, given, LENGTHS), theirs(cell, layers, both, given, LENGTHS))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_further_changes_nothing(backend, cell):
    given = values(cell, 2, True)
    wide = {**given, "x": np.concatenate([given["x"], np.full((4, 9, WIDTH), 5.0, np.float32)], 1)}
    results, gradients = ours(backend, cell, 2, True, given, LENGTHS)
    others, further = ours(backend, cell, 2, True, wide, LENGTHS)
    assert not others[0][:, 7:].any()
    assert not further["x"][:, 7:].any()
    others[0], further["x"] = others[0][:, :7], further["x"][:, :7]
    assert_close((others, further), (results, gradients))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_position_after_the_other_gives_the_same(backend):
    given = values("lstm", 1, False, batch=1)
    whole, _ = ours(backend, "lstm", 1, False, given, [7])
    state = {"h": given["h"], "c": given["c"]}
    for place in range(7):
        step = {**given, **state, "x": given["x"][:, place : place + 1]}
        (outputs, h, c), _ = ours(backend, "lstm", 1, False, step, [1])
        np.testing.assert_allclose(outputs[:, 0], whole[0][:, place], atol=CLOSE)
        state = {"h": h, "c": c}


@pytest.mark.nightly
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("cell", CELLS)
def test_both_backends_drop_the_same_at_all_positions(cell):
    given = values(cell, 2, True)
    dropped = {"dropout": 0.4, "recurrent_dropout": 0.3}
    found = [ours(name, cell, 2, True, given, LENGTHS, **dropped) for name in ("pytorch", "mindspore")]
    assert_close(*found)
    plain = ours("pytorch", cell, 2, True, given, LENGTHS)
    assert np.abs(found[0][0][0] - plain[0][0]).max() > 0.01


def test_a_mask_is_the_same_at_all_positions_and_of_its_own_in_each_row():
    from pytorch_impl.layers.dropout import share_key
    from pytorch_impl.layers.recurrent import VariationalDropout

    drop = VariationalDropout("layer", 0.5).train()
    share_key(drop, "cpu").set(3, 2, 1)
    found = drop(torch.ones(4, 6, 8)).numpy()
    mask = kept("layer.dropout", step_key(3, 2, 1), (4, 8), 0.5)
    np.testing.assert_array_equal(found, np.repeat(2.0 * mask[:, None], 6, 1).astype(np.float32))
    assert len({row.tobytes() for row in mask}) > 1
    assert drop.eval()(torch.ones(1, 2, 8)).eq(1).all()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("training", [True, False])
def test_kernels_keep_what_a_backward_pass_needs_wherever_gradients_are_formed(kind, training, monkeypatch):
    """cuDNN's refuse one otherwise: "cudnn RNN backward can only be called in training mode"."""
    from pytorch_impl.layers import recurrent as layers
    from pytorch_impl.layers.dropout import share_key

    made, kept_by_kernel = getattr(layers, kind), []
    kernel = made.function

    def watched(*arguments):
        kept_by_kernel.append(arguments[-2])
        return kernel(*arguments)

    monkeypatch.setattr(made, "function", staticmethod(watched))
    layer = made("layer", WIDTH, HIDDEN).train(training)
    share_key(layer, "cpu").set(0, 1, 0)
    x, lengths = torch.ones(2, 3, WIDTH), torch.tensor([3, 1])
    layer(x, lengths)[0].sum().backward()
    with torch.no_grad():
        layer(x, lengths)
    assert kept_by_kernel == [True, False]
