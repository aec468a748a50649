"""Encoder-decoders in both backends, against torch's own and each other: what may be seen of a target, what padding
changes, and texts that are written with and without what is kept."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from tests.support import assert_all_near, assert_near, build_engine
from tests.support_pairs import (
    FAMILIES_OF_PAIRS,
    LENGTHS,
    VOCABULARY,
    assert_gradients,
    full_plan,
    pair_batch,
    pair_spec,
)
from tests.tolerances import FAMILY, PADDING_ABS, STEP_LOSS

BEGIN, END, CONTEXT = 2, 3, 12
SOURCES = [[5, 9, 11, 4, 30, 3], [8, 3], [21, 22, 23, 24, 3]]


@pytest.fixture(scope="module", params=FAMILIES_OF_PAIRS)
def family(request):
    return request.param


def forward(backend, spec, batch):
    parity = importlib.import_module(f"{backend.__name__}.parity")
    return parity.forward(backend.build_model(spec, backend.device.select("cpu")), batch)


def without_labels(batch):
    return {name: array for name, array in batch.items() if name not in ("labels", "smoothing")}


def plain_logits(backend, spec, batch) -> np.ndarray:
    """``(batch, target, vocabulary)``, also behind the end of a target."""
    return forward(backend, spec, without_labels(batch))["logits"]


def test_a_later_token_of_the_target_changes_nothing_before_it(backend, family):
    spec = pair_spec(family)
    batch = pair_batch(spec)
    before = plain_logits(backend, spec, batch)
    changed = batch["decoder_input_ids"].copy()
    changed[:, 4] = (changed[:, 4] + 7) % VOCABULARY
    after = plain_logits(backend, spec, {**batch, "decoder_input_ids": changed})
    np.testing.assert_array_equal(after[:, :4], before[:, :4])
    assert (np.abs(after[:, 4:] - before[:, 4:]).max(-1) > 1e-3).all(), "the change is not seen at all"


def test_every_token_of_the_source_changes_what_is_written(backend, family):
    spec = pair_spec(family)
    batch = {name: np.repeat(array[:1], LENGTHS[0] + 1, 0) for name, array in pair_batch(spec).items()}
    places = np.arange(LENGTHS[0])
    batch["input_ids"][places, places] = (batch["input_ids"][places, places] + 7) % VOCABULARY
    found = plain_logits(backend, spec, batch)[:, -1]  # the last row is as it was
    assert (np.abs(found[:-1] - found[-1]).max(1) > 1e-4).all()


def test_more_padding_of_source_or_target_changes_nothing(backend, family):
    spec = pair_spec(family)
    batch = pair_batch(spec)
    wider = {name: np.pad(array, ((0, 0), (0, 5))) for name, array in batch.items() if name != "labels"}
    wider["labels"] = np.pad(batch["labels"], ((0, 0), (0, 5)), constant_values=IGNORE)
    width = batch["decoder_input_ids"].shape[1]
    found = plain_logits(backend, spec, wider)[:, :width]
    assert_near(found, plain_logits(backend, spec, batch), PADDING_ABS)
    ours, theirs = (build_engine(backend, spec, full_plan(spec), {}).gradients([given]) for given in (wider, batch))
    assert_gradients(ours, theirs)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_both_backends_have_the_same_states_logits_and_gradients(family):
    spec = pair_spec(family, {"label_smoothing": 0.2})
    batch = pair_batch(spec) | {"smoothing": np.array([0.2, 0.0, 0.2], np.float32)}
    found = [forward(load(name), spec, without_labels(batch)) for name in ("pytorch", "mindspore")]
    assert_all_near(found[1], found[0], FAMILY)
    engines = [build_engine(load(name), spec, full_plan(spec), {}) for name in ("pytorch", "mindspore")]
    assert engines[1].eval_step(batch).loss_sum == pytest.approx(engines[0].eval_step(batch).loss_sum, rel=1e-5)
    assert_gradients(engines[1].gradients([batch]), engines[0].gradients([batch]))


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.nightly
def test_the_losses_of_fifty_steps_with_dropout_are_the_same(family):
    spec = pair_spec(family, {"label_smoothing": 0.1}, dropout=0.1)
    smoothed = {"smoothing": np.full(len(LENGTHS), 0.1, np.float32)}
    steps = [[pair_batch(spec, f"step {step}") | smoothed] for step in range(4)]
    losses = []
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, full_plan(spec), {}, compile=None)
        handles = [engine.train_step(steps[step % 4], 1e-3) for step in range(50)]
        losses.append([loss / handle.count for (loss, _), handle in zip(engine.fetch(handles), handles, strict=True)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=STEP_LOSS)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.needs_pytorch
def test_smoothed_labels_are_those_of_torch_divided_over_the_whole_step(family):
    import torch

    spec = pair_spec(family, {"label_smoothing": 0.2})
    batch = pair_batch(spec)
    batch["smoothing"] = np.full(len(LENGTHS), 0.2, np.float32)
    engine = build_engine(load("pytorch"), spec, full_plan(spec), {})
    logits = torch.from_numpy(plain_logits(load("pytorch"), spec, batch))
    labels = torch.from_numpy(batch["labels"]).long()
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.2)
    rows = [{name: array[row : row + 1] for name, array in batch.items()} for row in range(len(LENGTHS))]
    handle = engine.train_step(rows, 1e-9)
    assert handle.count == int((batch["labels"] != IGNORE).sum())
    [(loss, _)] = engine.fetch([handle])
    assert loss / handle.count == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.needs_pytorch
def test_the_transformer_is_that_of_torch():
    import torch

    spec = pair_spec("transformer")
    config, batch = spec.config, pair_batch(spec)
    width, eps = config["d_model"], config["layer_norm_eps"]
    options = {"dropout": 0.0, "layer_norm_eps": eps, "batch_first": True}
    sizes = (width, config["num_heads"], config["d_ff"])
    encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(*sizes, **options), config["num_layers"])
    decoder = torch.nn.TransformerDecoder(torch.nn.TransformerDecoderLayer(*sizes, **options), config["num_layers"])
    arrays = {name: torch.from_numpy(array) for name, array in spec.arrays.items()}
    for part, module in (("encoder", encoder), ("decoder", decoder)):
        module.load_state_dict(_fused(arrays, f"model.{part}.layers.", config["num_layers"]))
    model = load("pytorch").build_model(spec, "cpu")
    padding = torch.from_numpy(batch["attention_mask"]) == 0
    source, target = (torch.from_numpy(batch[name]).long() for name in ("input_ids", "decoder_input_ids"))
    causal = torch.nn.Transformer.generate_square_subsequent_mask(target.shape[1])
    with torch.no_grad():
        memory = encoder.eval()(model.backbone.embed(source), src_key_padding_mask=padding)
        expected = decoder.eval()(
            model.backbone.embed(target), memory, tgt_mask=causal, memory_key_padding_mask=padding
        )
        found = model.backbone(source, (~padding).long(), target)
    assert_near(found.numpy(), expected.numpy(), FAMILY)


def _fused(arrays, prefix: str, layers: int) -> dict:
    """The parameters under the names of torch's layers, which have one projection for queries, keys and values."""
    names = {"fc1": "linear1", "fc2": "linear2", "self_attn_layer_norm": "norm1", "self_attn": "self_attn"}
    if "encoder" in prefix:
        names |= {"final_layer_norm": "norm2"}
    else:
        names |= {"encoder_attn_layer_norm": "norm2", "final_layer_norm": "norm3", "encoder_attn": "multihead_attn"}
    found = {}
    for layer in range(layers):
        for ours, theirs in names.items():
            path = f"{prefix}{layer}.{ours}"
            for leaf in ("weight", "bias"):
                if f"{path}.{leaf}" in arrays:
                    found[f"layers.{layer}.{theirs}.{leaf}"] = arrays[f"{path}.{leaf}"]
                    continue
                import torch

                parts = [arrays[f"{path}.{part}_proj.{leaf}"] for part in "qkv"]
                found[f"layers.{layer}.{theirs}.in_proj_{leaf}"] = torch.cat(parts)
                found[f"layers.{layer}.{theirs}.out_proj.{leaf}"] = arrays[f"{path}.out_proj.{leaf}"]
    return found


def test_attention_has_the_sum_one_over_the_real_tokens_of_a_source(backend):
    spec = pair_spec("transformer")
    batch = pair_batch(spec)
    found = build_engine(backend, spec, full_plan(spec), {}).attentions(batch)
    layers, heads = spec.config["num_layers"], spec.config["num_heads"]
    assert found.shape == (len(LENGTHS), layers, heads, batch["decoder_input_ids"].shape[1], max(LENGTHS))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(found[row, ..., :length].sum(-1), 1.0, atol=1e-5)
        assert not found[row, ..., length:].any()
    assert found.std() > 1e-3


def test_there_is_no_attention_without_one(backend):
    spec = pair_spec("seq2seq-lstm")
    assert build_engine(backend, spec, full_plan(spec), {}).attentions(pair_batch(spec)) is None


def written(backend, spec, **options):
    engine = build_engine(backend, spec, full_plan(spec), {})
    chosen = GenerationOptions(max_new_tokens=CONTEXT, **options)
    found = continue_tokens(engine, SOURCES, chosen, Stopping(frozenset([END])), CONTEXT, 4, opening=BEGIN)
    return [[(each.tokens, each.finish, each.score) for each in row] for row in found]


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "length_penalty": 0.6, "num_return_sequences": 2}])
def test_what_is_kept_changes_nothing_that_is_written(backend, family, options):
    spec = pair_spec(family)
    kept, again = (written(backend, spec, use_cache=cache, **options) for cache in (True, False))
    for ours, theirs in zip(kept, again, strict=True):
        assert [each[:2] for each in ours] == [each[:2] for each in theirs]
        for (_, _, score), (_, _, expected) in zip(ours, theirs, strict=True):
            assert score == (None if expected is None else pytest.approx(expected, rel=1e-4))


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_both_backends_write_the_same(family):
    spec = pair_spec(family)
    for options in ({}, {"num_beams": 3}):
        ours, theirs = (written(load(name), spec, **options) for name in ("pytorch", "mindspore"))
        assert [[each[:2] for each in row] for row in ours] == [[each[:2] for each in row] for row in theirs]


@pytest.mark.needs_pytorch
def test_a_search_over_all_sequences_finds_what_the_widest_beams_find(family):
    """Beams as wide as the vocabulary lose nothing in two steps: they must find the best of all pairs of tokens."""
    spec = pair_spec(family)
    engine = build_engine(load("pytorch"), spec, full_plan(spec), {})
    chosen = GenerationOptions(max_new_tokens=2, min_new_tokens=2, num_beams=VOCABULARY, length_penalty=1.0)
    [[best]] = continue_tokens(engine, SOURCES[:1], chosen, Stopping(frozenset([END])), CONTEXT, 4, opening=BEGIN)
    rows = np.array([[BEGIN, token] for token in range(VOCABULARY)], np.int32)
    source = np.repeat(np.array(SOURCES[:1], np.int32), VOCABULARY, 0)
    batch = {"input_ids": source, "attention_mask": np.ones_like(source), "decoder_input_ids": rows}
    batch["labels"] = np.full_like(rows, IGNORE)
    first, second = (log_softmax(engine.logits_at(batch, np.full(VOCABULARY, place, np.int32))) for place in (0, 1))
    first[:, END] = second[:, END] = -np.inf
    sums = first[0][:, None] + second
    assert best.tokens == list(np.unravel_index(sums.argmax(), sums.shape))
    assert best.score == pytest.approx(sums.max() / 2, rel=1e-4)


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
