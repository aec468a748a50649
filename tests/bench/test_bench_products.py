"""The unavoidable products against counts by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.bench.products import Product, flops, step_products
from common.errors import InputError
from tests.support import plan_for, tiny_spec

ROWS, LENGTH, RANK = 2, 5, 2
TOKENS = ROWS * LENGTH
HIDDEN, INNER, HEADS, LABELS, VOCABULARY = 16, 24, 2, 3, 60


def batch(kind: str) -> dict[str, np.ndarray]:
    """Of which one position is not scored, where positions are."""
    labels = np.zeros((ROWS, LENGTH) if kind == "gpt2" else ROWS, np.int32)
    if kind == "gpt2":
        labels[0, -1] = -100
    return {"input_ids": np.ones((ROWS, LENGTH), np.int32), "labels": labels}


def product(rows: int, inner: int, columns: int, batch: int = 1) -> int:
    return 2 * batch * rows * inner * columns


def lora(tokens: int, inputs: int, outputs: int, entering: bool) -> int:
    """x A, times B, gradients of B, of what A gives, of A, and of x."""
    return (3 if entering else 2) * product(tokens, inputs, RANK) + 3 * product(tokens, RANK, outputs)


def test_bert_with_lora_on_query_and_value():
    spec = tiny_spec("bert")
    found = step_products(spec, plan_for(spec, ["*.query", "*.value"], rank=RANK), batch("bert"))
    square, width = product(TOKENS, HIDDEN, HIDDEN), HIDDEN // HEADS
    scores = product(LENGTH, width, LENGTH, ROWS * HEADS)
    first = 3 * square + 2 * lora(
        TOKENS, HIDDEN, HIDDEN, entering=False
    )  # nothing before it is trained: no gradient of its input
    first += 2 * scores + 3 * scores  # of the probabilities, the query and the value, and of no key
    first += 2 * square + 4 * product(TOKENS, HIDDEN, INNER)  # output, intermediate and output, forward and backward
    one, single = product(ROWS, HIDDEN, HIDDEN), product(1, width, LENGTH, ROWS * HEADS)
    last = 2 * (one + 2 * square) + lora(ROWS, HIDDEN, HIDDEN, True) + lora(TOKENS, HIDDEN, HIDDEN, True) + 6 * single
    last += 2 * one + 4 * product(ROWS, HIDDEN, INNER)
    head = 2 * one + 3 * product(ROWS, HIDDEN, LABELS)
    assert flops(found) == first + last + head


def test_gpt2_language_model_with_lora_on_query_and_value():
    spec = tiny_spec("gpt2", n_layer=1)
    found = step_products(spec, plan_for(spec, ["*.c_attn[q,v]"], rank=RANK), batch("gpt2"))
    scores = product(LENGTH, HIDDEN // HEADS, LENGTH, ROWS * HEADS)
    expected = product(TOKENS, HIDDEN, 3 * HIDDEN) + 2 * lora(TOKENS, HIDDEN, HIDDEN, entering=False) + 5 * scores
    expected += (
        2 * product(TOKENS, HIDDEN, HIDDEN)
        + 4 * product(TOKENS, HIDDEN, 4 * HIDDEN)
        + 2 * product(TOKENS - 1, HIDDEN, VOCABULARY)
    )
    assert flops(found) == expected


def test_gpt2_classifier_computes_its_last_layer_for_one_position():
    spec = tiny_spec("gpt2-classifier", n_layer=1)
    found = step_products(spec, plan_for(spec, ["*.mlp.c_fc"], rank=RANK), batch("gpt2-classifier"))
    scores, one = product(1, HIDDEN // HEADS, LENGTH, ROWS * HEADS), product(ROWS, HIDDEN, HIDDEN)
    expected = (
        one + product(TOKENS, HIDDEN, 2 * HIDDEN) + 2 * scores + one
    )  # frozen, with nothing trained before it: forward alone
    expected += (
        3 * product(ROWS, HIDDEN, 4 * HIDDEN)
        + lora(ROWS, HIDDEN, 4 * HIDDEN, entering=False)
        + 3 * product(ROWS, HIDDEN, LABELS)
    )
    assert flops(found) == expected


def test_full_training_multiplies_every_matrix_three_times():
    """Twice as much backward as forward, as is well known, but for the first layer's input."""
    spec = tiny_spec("gpt2", n_layer=1)
    full = plan_for(spec, [], method="full")
    found = step_products(spec, full, batch("gpt2"))
    matrices = product(TOKENS, HIDDEN, 12 * HIDDEN) + product(TOKENS - 1, HIDDEN, VOCABULARY)
    assert flops(found) == 3 * (matrices + 2 * product(LENGTH, HIDDEN // HEADS, LENGTH, ROWS * HEADS))


def test_a_head_alone_needs_no_gradient_of_the_network():
    spec = tiny_spec("bert", num_hidden_layers=1)
    found = step_products(spec, plan_for(spec, [], method="head"), batch("bert"))
    assert found[Product(1, LABELS, ROWS, HIDDEN)] == 1  # the gradient of its weight
    assert Product(1, ROWS, LABELS, HIDDEN) not in found


def test_a_network_whose_modules_were_read_off_it_is_refused():
    spec = dataclasses.replace(tiny_spec("bert"), layout=None)
    with pytest.raises(InputError, match=r"roofline is known for .*bert, .*gpt2"):
        step_products(spec, plan_for(spec, ["*.query"]), batch("bert"))
