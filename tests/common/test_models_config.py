"""Entries of a model's configuration are checked before anything is built from them."""

from __future__ import annotations

import pytest

from common.errors import InputError
from common.models.loading import load_model_spec
from tests.support import VOCABULARY, model_config, tiny_spec


@pytest.mark.parametrize(
    ("kind", "entry", "value"),
    [
        ("gpt2", "n_layer", "3"),
        ("gpt2", "n_layer", 1.5),
        ("gpt2", "n_embd", True),
        ("bert", "hidden_size", -16),
        ("bert", "layer_norm_eps", "1e-12"),
        ("bert", "hidden_act", 3),
    ],
)
def test_an_entry_of_another_type_is_an_input_error_that_names_it(kind, entry, value):
    labels = ("a", "b") if kind == "bert" else None
    with pytest.raises(InputError, match=rf"model\.config\.{entry} must be .*received {value!r}"):
        load_model_spec(model_config(kind, **{entry: value}), labels, VOCABULARY, 0, 0)


def test_every_wrong_entry_is_told_at_once():
    with pytest.raises(InputError, match=r"n_layer must.*; model\.config\.n_head must") as raised:
        load_model_spec(model_config("gpt2", n_layer="3", n_head=[2]), None, VOCABULARY, 0, 0)
    assert "config.json" in str(raised.value)


def test_whole_numbers_may_stand_for_fractions():
    assert tiny_spec("bert", layer_norm_eps=0).config["layer_norm_eps"] == 0
