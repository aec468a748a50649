"""HAN: each backend against the paper's formulas in NumPy's float64, both against each other; its two attentions;
padding by words and by sentences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config import load_config
from common.config.schema import ModelConfig
from common.errors import InputError
from common.memory.account import take
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks.example import example_batch
from tests.support import assert_all_near, assert_identical, assert_near, build_engine, plan_for
from tests.tolerances import FAMILY, GRADIENT, PADDING_ABS, STEP_LOSS

VOCABULARY, LABELS = 40, ("a", "b", "c")
LENGTHS = (13, 1, 5, 8)  #: tokens; a sentence has five
VARIANTS = {
    "paper": {},
    "means": {"pooling": "mean"},
    "word vectors": {"pooling": "mean", "encoder": "none"},
    "attention to word vectors": {"encoder": "none"},
}


def often(values, *main):
    """``values``, of which all but ``main`` are for the nightly run."""
    return [value if value in main else pytest.param(value, marks=pytest.mark.nightly) for value in values]


def spec_of(variant="paper", dropout=0.0, source=None):
    """A small network of which no parameter but the padding's row is 0."""
    sizes = {"model_type": "han", "vocab_size": VOCABULARY, "embedding_size": 6, "hidden_size": 4, "attention_size": 5}
    if source is not None:
        sizes, variant = {}, "paper"
    config = ModelConfig(source, "sequence-classification", None, dropout, {**sizes, **VARIANTS[variant]})
    spec = load_model_spec(config, LABELS, VOCABULARY, 0, 3)
    if source is not None:
        return spec
    shifted = {name: array + normal(1, name, array.shape, 0.3) for name, array in spec.arrays.items()}
    shifted["han.embeddings.weight"][0] = 0.0
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec, seed=0):
    return dict(example_batch(spec, LENGTHS, f"han|{seed}"))


def engine_of(backend, spec, **given):
    return build_engine(backend, spec, plan_for(spec, method="full"), **given)


def attentions_of(backend, spec, batch):
    """Of words and of sentences."""
    reading = __import__(f"{backend.__name__}.reading", fromlist=["x"])
    model = backend.build_model(spec, backend.device.select("cpu"))
    return reading.document_attentions(model, {name: batch[name] for name in ("input_ids", "attention_mask")})


# The definition


class Oracle:
    """One document, a list of sentences, each a list of ids."""

    def __init__(self, spec):
        self.config = spec.config
        self.arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}

    def gru(self, x, path):
        """Both directions, ``(positions, 2 * hidden)``; torch's equations of nn.GRU."""
        found = []
        for suffix, order in (("", slice(None)), ("_reverse", slice(None, None, -1))):
            w, u, b, c = (
                self.arrays[f"{path}.{leaf}_l0{suffix}"] for leaf in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, states = np.zeros(u.shape[1]), []
            for row in x[order]:
                (ri, zi, ni), (rh, zh, nh) = np.split(w @ row + b, 3), np.split(u @ h + c, 3)
                r, z = 1 / (1 + np.exp(-(ri + rh))), 1 / (1 + np.exp(-(zi + zh)))
                h = (1 - z) * np.tanh(ni + r * nh) + z * h
                states.append(h)
            found.append(np.stack(states)[order])
        return np.concatenate(found, 1)

    def pooled(self, x, level):
        """The vector and the weights."""
        if self.config["encoder"] == "gru":
            x = self.gru(x, f"han.{level}_gru")
        if self.config["pooling"] == "mean":
            weights = np.full(len(x), 1 / len(x))
        else:
            path = f"han.{level}_attention"
            u = np.tanh(x @ self.arrays[f"{path}.dense.weight"].T + self.arrays[f"{path}.dense.bias"])
            scores = u @ self.arrays[f"{path}.context.weight"][0]
            weights = np.exp(scores) / np.exp(scores).sum()
        return weights @ x, weights

    def __call__(self, document):
        """Logits, the weights of each sentence's words, the weights of sentences."""
        table = self.arrays["han.embeddings.weight"]
        vectors, words = zip(*(self.pooled(table[ids], "word") for ids in document), strict=True)
        vector, sentences = self.pooled(np.stack(vectors), "sentence")
        return self.arrays["classifier.weight"] @ vector + self.arrays["classifier.bias"], words, sentences


def documents(batch):
    """Ids of the sentences of each row."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    return [
        [row[s][real[s] == 1] for s in range(len(row)) if real[s].any()] for row, real in zip(ids, mask, strict=True)
    ]


@pytest.mark.parametrize("variant", often(VARIANTS, "paper"))
def test_logits_are_those_of_the_papers_formulas_in_float64(backend, variant):
    spec = spec_of(variant)
    batch = batch_of(spec)
    assert [len(document) for document in documents(batch)] == [3, 1, 1, 2]
    expected = np.stack([Oracle(spec)(document)[0] for document in documents(batch)])
    assert_near(engine_of(backend, spec).eval_step(batch).outputs["logits"], expected, FAMILY)


@pytest.mark.parametrize("variant", often(("paper", "means"), "paper"))
def test_the_two_attentions_are_the_papers_and_sum_to_one_over_what_is_real(backend, variant):
    spec = spec_of(variant)
    batch = batch_of(spec)
    words, sentences = attentions_of(backend, spec, batch)
    mask = batch["attention_mask"]
    assert not words[mask == 0].any()
    assert not sentences[~mask.any(-1)].any()
    np.testing.assert_allclose(sentences.sum(-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(words.sum(-1), mask.any(-1), atol=1e-6)
    for row, document in enumerate(documents(batch)):
        _, of_words, of_sentences = Oracle(spec)(document)
        assert_near(sentences[row, : len(document)], of_sentences, FAMILY)
        for number, weights in enumerate(of_words):
            assert_near(words[row, number, : len(weights)], weights, FAMILY)


@pytest.mark.parametrize("variant", often(("paper", "means"), "paper"))
@pytest.mark.parametrize("more", often([(3, 0), (0, 4), (2, 2)], (2, 2)), ids=["sentences", "words", "both"])
def test_padding_further_changes_nothing(backend, variant, more):
    """Neither outputs nor gradients; what stands in the padding is not read."""
    spec = spec_of(variant)
    batch = batch_of(spec)
    wide = {
        name: np.pad(array, ((0, 0), (0, more[0]), (0, more[1]))) if array.ndim == 3 else array
        for name, array in batch.items()
    }
    wide["input_ids"][wide["attention_mask"] == 0] = 17
    engine = engine_of(backend, spec)
    for name, expected in engine.eval_step(batch).outputs.items():
        assert_near(engine.eval_step(wide).outputs[name], expected, PADDING_ABS, absolute=True)
    assert_all_near(engine.gradients([wide]), engine.gradients([batch]), GRADIENT)
    before, after = (attentions_of(backend, spec, given) for given in (batch, wide))
    rows, count, width = batch["input_ids"].shape
    assert_near(after[0][:, :count, :width], before[0], PADDING_ABS, absolute=True)
    assert_near(after[1][:, :count], before[1], PADDING_ABS, absolute=True)
    assert not after[0][:, count:].any()
    assert not after[0][:, :, width:].any()
    assert rows == len(LENGTHS)


# Both backends


def both(spec, **given):
    return [engine_of(load(name), spec, **given) for name in ("pytorch", "mindspore")]


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_every_gradient_agrees():
    spec = spec_of()
    expected, actual = (engine.gradients([batch_of(spec, 1), batch_of(spec, 2)]) for engine in both(spec))
    assert_all_near(actual, expected, GRADIENT)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("steps", [5, pytest.param(50, marks=pytest.mark.nightly)])
def test_losses_agree_with_dropout_under_the_papers_optimizer(steps):
    spec = spec_of(dropout=0.3)
    found = []
    for engine in both(spec, optimizer="sgd", momentum=0.9):
        handles = [engine.train_step([batch_of(spec, step % 4)], 0.05) for step in range(steps)]
        found.append(
            np.array([loss / handle.count for (loss, _), handle in zip(engine.fetch(handles), handles, strict=True)])
        )
    assert_near(found[1], found[0], STEP_LOSS)
    assert found[0][-1] != found[0][0]


def test_a_network_is_saved_and_loaded_exactly(tmp_path, backend):
    spec = spec_of()
    save_pretrained(tmp_path, spec, spec.arrays)
    again = spec_of(source=str(tmp_path))
    assert_identical(again.arrays, spec.arrays)
    assert again.new_parameters == ()
    batch = batch_of(spec)
    first, second = (engine_of(backend, one).eval_step(batch).outputs["logits"] for one in (spec, again))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(("entry", "value"), [("encoder", "lstm"), ("pooling", "max"), ("embedding", "multichannel")])
def test_an_unknown_variant_is_refused(entry, value):
    config = ModelConfig(None, "sequence-classification", None, None, {"model_type": "han", entry: value})
    with pytest.raises(InputError, match=f"{entry} must be one of .*; received '{value}'"):
        load_model_spec(config, LABELS, VOCABULARY, 0, 0)


@pytest.mark.needs_pytorch
def test_the_memory_of_a_recurrent_network_has_no_account():
    config = load_config("han_imdb")
    with pytest.raises(InputError, match="packed sequences of its recurrent layers"):
        take(load("pytorch"), config, 4, 20)


@pytest.mark.needs_pytorch
def test_bfloat16_reads_every_sentence_of_a_document_of_more_than_256():
    import torch

    from pytorch_impl.models.han import backbone

    config = {"vocab_size": 4, "embedding_size": 2, "hidden_size": 1, "dropout": 0.0, "encoder": "gru"}
    torch.manual_seed(0)
    model = backbone({**config, "pooling": "attention", "attention_size": 2})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    vectors = torch.ones(1, 257, 2, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        model.sentences(vectors, torch.ones(1, 257, dtype=torch.bfloat16))[0].sum().backward()
    assert vectors.grad[0, -1].abs().max() > 0
