"""Recurrent modules as data: names, shapes and start values, and budgets of parameters."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from common.models.recurrence import CELLS, Recurrence, initial, parameter_count, recurrent, width_of_budget


def torch_layer(cell: str, inputs: int, hidden: int, layers: int, bidirectional: bool):
    torch = pytest.importorskip("torch")
    layer = {"tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    return layer(inputs, hidden, layers, bidirectional=bidirectional)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_names_and_shapes_are_those_of_torch(cell, bidirectional):
    module = recurrent("layer", 5, Recurrence(cell, 3, 2, bidirectional))
    theirs = torch_layer(cell, 5, 3, 2, bidirectional)
    shapes = {f"layer.{name}": tuple(parameter.shape) for name, parameter in theirs.named_parameters()}
    assert module.shapes() == shapes
    assert list(module.shapes()) == list(shapes)
    assert module.biases() == {name: shape for name, shape in shapes.items() if "bias" in name}
    assert parameter_count(5, module.arguments) == sum(parameter.numel() for parameter in theirs.parameters())
    assert module.out_features == 3 * (1 + bidirectional)


def test_weights_start_within_the_bound_of_torch_and_the_forget_gate_open():
    module = recurrent("layer", 5, Recurrence("lstm", 16, forget_bias=1.0))
    values = {name: initial(module, name, shape, 3) for name, shape in module.shapes().items()}
    assert 0.2 < np.abs(values["layer.weight_hh_l0"]).max() <= 0.25
    assert values["layer.bias_ih_l0"].reshape(4, 16).any(axis=1).tolist() == [False, True, False, False]
    assert set(values["layer.bias_ih_l0"][16:32]) == {1.0}
    assert not values["layer.bias_hh_l0"].any()


def test_an_unknown_cell_is_refused():
    with pytest.raises(InputError, match=r"must be one of tanh, lstm, gru; received 'lstn'.*lstm"):
        recurrent("layer", 5, Recurrence("lstn", 3))


@pytest.mark.parametrize("cell", CELLS)
def test_the_width_of_a_budget_is_the_largest_that_fits(cell):
    def total(hidden: int) -> int:
        return parameter_count(88, Recurrence(cell, hidden)) + (hidden + 1) * 88

    hidden = width_of_budget(20_000, 88, 88, cell)
    assert total(hidden) <= 20_000 < total(hidden + 1)
    with pytest.raises(InputError, match="budget of 100"):
        width_of_budget(100, 88, 88, cell)
