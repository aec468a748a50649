"""Arrays that a head shares with other modules, under the names that checkpoints have for them."""

from __future__ import annotations

import numpy as np
import pytest

from common.config.schema import ModelConfig
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from tests.support import assert_identical

VOCABULARY = 40
#: by family and task: the name of an array, and the other one of the same array
NAMES = {
    ("gpt2", "language-modeling"): ("transformer.wte.weight", "lm_head.weight"),
    ("llama", "language-modeling"): ("model.embed_tokens.weight", "lm_head.weight"),
    ("distilbert", "masked-language-modeling"): (
        "distilbert.embeddings.word_embeddings.weight",
        "vocab_projector.weight",
    ),
    ("bert", "masked-language-modeling"): ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ("mpnet", "masked-language-modeling"): ("lm_head.bias", "lm_head.decoder.bias"),
}


def spec_of(family: str, task: str, source=None, **given):
    entries = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny()}
    entries |= {"tie_word_embeddings": True} if family == "llama" else {}
    config = ModelConfig(source and str(source), task, None, 0.0, given if source else entries)
    padding = FAMILIES.get(family).DEFAULTS.get("pad_token_id")
    return load_model_spec(config, None, VOCABULARY, padding or 0, 0)


def rewritten(folder, change):
    """The folder's arrays after ``change``."""
    arrays = load_arrays(folder / "model.safetensors")[0]
    change(arrays)
    save_arrays(folder / "model.safetensors", arrays, {"format": "pt"})


@pytest.fixture(params=NAMES, ids=["-".join(key) for key in NAMES])
def written(request, tmp_path):
    """Family, task, both names and the folder of a model without zeros."""
    spec = spec_of(*request.param)
    arrays = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    save_pretrained(tmp_path, spec, arrays)
    return *request.param, *NAMES[request.param], tmp_path


def test_an_array_is_read_under_either_name_or_both(written):
    family, task, owner, other, folder = written
    expected = dict(spec_of(family, task, folder).arrays)

    def rename(arrays):
        arrays[other] = arrays.pop(owner)

    def repeat(arrays):
        arrays[owner] = arrays[other].copy()

    for change in (rename, repeat):
        rewritten(folder, change)
        spec = spec_of(family, task, folder)
        assert spec.new_parameters == ()
        assert_identical(spec.arrays, expected)


def test_two_values_of_one_array_are_refused(written):
    """`transformers` unties them then."""
    family, task, owner, other, folder = written

    def contradict(arrays):
        arrays[other] = np.nextafter(arrays[owner], np.float32(9))

    rewritten(folder, contradict)
    with pytest.raises(InputError, match=f"{other} and {owner} must be equal"):
        spec_of(family, task, folder)


def test_the_advice_for_an_output_of_its_own_works(tmp_path):
    spec = spec_of("llama", "language-modeling")
    save_pretrained(tmp_path, spec, spec.arrays)
    own = normal(2, "own", (VOCABULARY, 16), 1.0)
    rewritten(tmp_path, lambda arrays: arrays.update({"lm_head.weight": own}))
    with pytest.raises(InputError, match=r"Set model.config.tie_word_embeddings to false"):
        spec_of("llama", "language-modeling", tmp_path)
    found = spec_of("llama", "language-modeling", tmp_path, tie_word_embeddings=False)
    assert_identical({"lm_head.weight": found.arrays["lm_head.weight"]}, {"lm_head.weight": own})
