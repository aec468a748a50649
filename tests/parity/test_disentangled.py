"""Attention of contents and relative positions, and the enhanced mask decoder, against double loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.models.relative import Distances, buckets
from tests.parity.test_deberta import MAIN, VARIANTS, make_batch, read, reference, spec_of
from tests.support import assert_all_near, assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import GRADIENT

torch = pytest.importorskip("torch")

erf = np.vectorize(math.erf)


def linear(arrays, path, x):
    y = x @ arrays[f"{path}.weight"].T
    return y + arrays[f"{path}.bias"] if f"{path}.bias" in arrays else y


def norm(arrays, path, x, eps=1e-7):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return scaled * arrays[f"{path}.weight"] + arrays[f"{path}.bias"]


def contents(variant, arrays, path, x, queries, heads):
    """Query, key and value of every head, ``(heads, seq, width)``; of a fused projection by the rows of each head."""
    if variant != "v1":
        parts = [linear(arrays, f"{path}.{name}_proj", y) for name, y in (("query", queries), ("key", x), ("value", x))]
        return [part.reshape(len(x), heads, -1).transpose(1, 0, 2) for part in parts]
    weight, width = arrays[f"{path}.in_proj.weight"], x.shape[1] // heads
    found = []
    for part, (y, bias) in enumerate(((queries, "q_bias"), (x, None), (x, "v_bias"))):
        rows = [weight[(3 * head + part) * width : (3 * head + part + 1) * width] for head in range(heads)]
        added = np.zeros(x.shape[1]) if bias is None else arrays[f"{path}.{bias}"]
        found.append(np.stack([y @ row.T + added[h * width : (h + 1) * width] for h, row in enumerate(rows)]))
    return found


def positions(variant, arrays, path, table, heads):
    """Projected tables of keys and queries, ``(heads, rows, width)``."""
    names = ("pos_proj", "pos_q_proj") if variant == "v1" else ("key_proj", "query_proj")
    return [linear(arrays, f"{path}.{name}", table).reshape(len(table), heads, -1).transpose(1, 0, 2) for name in names]


def row_of(variant, distance, length, config):
    """The row for a distance of what a network reads of its table, as the paper defines it."""
    if variant == "v1":
        span = min(length, config["max_position_embeddings"])
        return min(max(distance + span, 0), 2 * span - 1)
    number, largest = config["position_buckets"], config["max_position_embeddings"]
    middle, size = number // 2, abs(distance)
    if size > middle:
        size = middle + math.ceil(math.log(size / middle) / math.log((largest - 1) / middle) * (middle - 1))
    return min(max(int(math.copysign(size, distance)) + number, 0), 2 * number - 1)


def attention(variant, spec, arrays, path, x, queries, mask):
    """The mixed values of one text, ``(seq, hidden)``, score by score."""
    config, length = spec.config, len(x)
    heads = config["num_attention_heads"]
    table = arrays["deberta.encoder.rel_embeddings.weight"]
    if variant == "v1":
        middle, span = len(table) // 2, min(length, config["max_position_embeddings"])
        table = table[middle - span : middle + span]
    else:
        table = norm(arrays, "deberta.encoder.LayerNorm", table)
    query, key, value = contents(variant, arrays, path, x, queries, heads)
    near_key, near_query = positions(variant, arrays, path, table, heads)
    mixed = []
    for h in range(heads):
        scores = np.full((length, length), -np.inf)
        for i in range(length):
            for j in np.flatnonzero(mask):
                row = row_of(variant, i - j, length, config)
                terms = query[h, i] @ key[h, j], query[h, i] @ near_key[h, row], key[h, j] @ near_query[h, row]
                scores[i, j] = sum(terms) / math.sqrt(3 * query.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed.append(weights / weights.sum(-1, keepdims=True) @ value[h])
    return np.concatenate(mixed, -1)


def layer(variant, spec, arrays, path, x, queries, mask):
    """One encoder layer of one text."""
    mixed = attention(variant, spec, arrays, f"{path}.attention.self", x, queries, mask)
    y = norm(
        arrays, f"{path}.attention.output.LayerNorm", queries + linear(arrays, f"{path}.attention.output.dense", mixed)
    )
    inner = linear(arrays, f"{path}.intermediate.dense", y)
    inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
    return norm(arrays, f"{path}.output.LayerNorm", y + linear(arrays, f"{path}.output.dense", inner))


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Networks of the main variants with arrays that nothing is symmetric in."""
    found = {}
    for variant in MAIN:
        folder = tmp_path_factory.mktemp("deberta")
        reference(variant, "sequence").save_pretrained(folder)
        found[variant] = spec_of(folder, "sequence")
    return found


@pytest.mark.parametrize("variant", MAIN)
def test_scores_are_those_of_a_double_loop(backend, variant, specs):
    spec, batch = specs[variant], make_batch()
    arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}
    before, after = read(backend, spec, batch, lambda model, inputs: model.hidden_states(inputs))[:2]
    for row, mask in enumerate(batch["attention_mask"] == 1):
        x = before[row].astype(np.float64)
        expected = layer(variant, spec, arrays, "deberta.encoder.layer.0", x, x, mask)
        assert_near(after[row][mask], expected[mask], 1e-5)


def enhanced(variant, folder, patch):
    """A masked language model with the decoder, and every array as wanted."""
    reference(variant, "masked", position_biased_input=False).save_pretrained(folder)
    spec = spec_of(folder, "masked", patch, entries={"enhanced_mask_decoder": True})
    table = "deberta.embeddings.position_embeddings.weight"
    assert spec.new_parameters == (table,)
    spec.arrays[table][:] = np.random.default_rng(0).normal(0, 0.5, spec.arrays[table].shape)
    return spec


@pytest.mark.parametrize("variant", MAIN)
def test_the_enhanced_mask_decoder_is_that_of_the_paper(backend, variant, tmp_path, monkeypatch):
    """Two more applications of the last layer, with queries that begin with absolute positions."""
    spec, batch = enhanced(variant, tmp_path, monkeypatch), make_batch()
    arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}
    every = read(backend, spec, batch, lambda model, inputs: model.hidden_states(inputs))
    decoded = read(backend, spec, batch, lambda model, inputs: [model.encode(inputs, "each")])[0]
    decoded = decoded.reshape(every[0].shape)
    for row, mask in enumerate(batch["attention_mask"] == 1):
        x = every[-2][row].astype(np.float64)
        queries = x + arrays["deberta.embeddings.position_embeddings.weight"][: len(x)]
        for _ in range(2):
            queries = layer(variant, spec, arrays, "deberta.encoder.layer.1", x, queries, mask)
        assert_near(decoded[row][mask], queries[mask], 1e-5)
        assert np.abs(every[-1][row][mask] - queries[mask]).max() > 0.1


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("variant", MAIN)
def test_backends_train_the_enhanced_mask_decoder_alike(variant, tmp_path):
    """Through the task, from a folder that was saved with it."""
    reference(variant, "masked").save_pretrained(tmp_path / "plain")
    entries = {"enhanced_mask_decoder": True}
    config = ModelConfig(str(tmp_path / "plain"), "masked-language-modeling", None, 0.1, entries)
    first = load_model_spec(config, None, 50, 0, 0)
    save_pretrained(tmp_path / "enhanced", first, first.arrays)
    config = ModelConfig(str(tmp_path / "enhanced"), "masked-language-modeling", None, 0.1, {})
    spec = load_model_spec(config, None, 50, 0, 0)
    assert spec.new_parameters == ()
    assert spec.layout.states == "decoded_states"
    plan, batch = plan_for(spec, method="full"), make_batch()
    batch["labels"] = np.where(np.arange(18) % 3 == 0, batch["input_ids"], -100) * batch["attention_mask"] - 100 * (
        1 - batch["attention_mask"]
    )
    batch["labels"] = batch["labels"].astype(np.int32)
    engines = [build_engine(load(name), spec, plan, nonzero_values(plan)) for name in ("pytorch", "mindspore")]
    expected, actual = (engine.gradients([batch]) for engine in engines)
    table = "deberta.embeddings.position_embeddings.weight"
    assert np.abs(expected[table]).max() > 1e-4
    largest = max(np.abs(array).max() for array in expected.values())
    kept = {name: array for name, array in expected.items() if np.abs(array).max() > 1e-6 * largest}
    assert_all_near({name: actual[name] for name in kept}, kept, GRADIENT)


def test_buckets_are_those_of_transformers_for_a_wide_range():
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    for number in (2, 3, 4, 7, 8, 16, 33, 64, 128, 255, 256, 512):
        for largest in (5, 10, 24, 33, 64, 100, 128, 256, 512, 513, 1000, 2048, 4096):
            if number // 2 < largest - 1:
                distances = np.arange(-3 * largest, 3 * largest + 1)
                expected = make_log_bucket_position(torch.from_numpy(distances), number, largest).long().numpy()
                assert np.array_equal(buckets(distances, number, largest), expected), (number, largest)


@pytest.mark.parametrize("length", [1, 3, 5, 9])
@pytest.mark.parametrize("variant", [*MAIN, "v1 short table", "v2 own projections"])
def test_rows_for_all_distances_are_those_that_transformers_gathers(variant, length):
    family, _ = VARIANTS[variant]
    model = reference(variant, "sequence").deberta
    attention = model.encoder.layer[0].attention.self
    states = torch.zeros(1, length, 16)
    relative = model.encoder.get_rel_pos(states)[0].long()
    span = getattr(attention, "pos_ebd_size", None) or min(length, attention.max_relative_positions)
    expected = torch.clamp(relative + span, 0, 2 * span - 1).numpy()
    config = {**model.config.to_dict()}
    rows = Distances.of(config, family == "Deberta").rows(length)
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    assert np.array_equal(rows[distance + length], expected)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("exchanged", [False, True])
def test_diagonals_and_their_gradient_stay_right_when_a_graph_runs_again(exchanged):
    """Compiled, several times, with the backward pass that is written out, against indexing."""
    import mindspore as ms

    from mindspore_impl.blocks import disentangled

    length, start = 7, 7 if exchanged else 6
    index = start + np.arange(length)[:, None] * (2 * length - 1) + np.arange(length)
    step = ms.jit(ms.grad(_weighted(disentangled, start, exchanged)))
    for seed in range(3):
        random = np.random.default_rng(seed)
        x, g = random.normal(size=(4, length, 2 * length)), random.normal(size=(4, length, length))
        expected = np.zeros((4, 2 * length * length))
        np.add.at(expected, (slice(None), index), g.transpose(0, 2, 1) if exchanged else g)
        x, g = (ms.Tensor(array.astype(np.float32)) for array in (x, g))
        found = disentangled.diagonals(x, start, exchanged, False).asnumpy()
        wanted = x.asnumpy().reshape(4, -1)[:, index]
        assert np.array_equal(found, wanted.transpose(0, 2, 1) if exchanged else wanted)
        assert_near(step(x, g).asnumpy().reshape(4, -1), expected, 1e-6)


def _weighted(disentangled, start, exchanged):
    return lambda x, g: (disentangled.diagonals(x, start, exchanged, True) * g).sum()


@pytest.mark.parametrize("variant", MAIN)
def test_the_discriminator_of_replaced_tokens_reads_each_state_beside_the_first(
    backend, variant, tmp_path, monkeypatch
):
    """As in the published head: norm of the sum, dense layer, activation, one output."""
    reference(variant, "sequence").save_pretrained(tmp_path)
    spec, batch = spec_of(tmp_path, "replaced", monkeypatch), make_batch()
    generator = np.random.default_rng(0)
    for name in [name for name in spec.arrays if name.startswith("mask_predictions")]:
        spec.arrays[name][...] = generator.normal(0, 0.5, spec.arrays[name].shape)
    arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}
    last = read(backend, spec, batch, lambda model, inputs: model.hidden_states(inputs))[-1].astype(np.float64)
    x = norm(arrays, "mask_predictions.LayerNorm", last + last[:, :1])
    inner = linear(arrays, "mask_predictions.dense", x)
    expected = linear(arrays, "mask_predictions.classifier", inner * 0.5 * (1 + erf(inner / math.sqrt(2))))
    actual = read(backend, spec, batch, lambda model, inputs: [model.logits(inputs)])[0]
    assert actual.shape == (*batch["input_ids"].shape, 1)
    assert_near(actual, expected, 1e-5)
