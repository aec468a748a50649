"""Generation of Llama and its relatives with a cache, token by token against `transformers.generate`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from common.methods import METHODS
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.random import normal
from tests.parity import generation
from tests.parity.generation import CASES, CONTEXT, END, TIE, VOCABULARY, random_prompts, smallest_gap
from tests.support import assert_near, build_engine, plan_for

torch = pytest.importorskip("torch")
nightly = pytest.mark.nightly
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
KINDS = {
    "llama": ("llama", {"rope_parameters": LLAMA3}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {}),
    "mistral": ("mistral", {"sliding_window": 7}),
}
NEW = generation.NEW


def lively_spec(kind: str):
    """A small network that writes many different tokens and ends now and then; two heads share keys."""
    family, entries = KINDS[kind]
    sizes = {**FAMILIES.get(family).tiny(hidden=32, heads=4, positions=CONTEXT), "initializer_range": 0.5}
    ends = {"vocab_size": VOCABULARY, "eos_token_id": END, "bos_token_id": 2}
    config = {"model_type": family, **sizes, **ends, **entries}
    spec = load_model_spec(ModelConfig(None, "language-modeling", None, 0.0, config), None, VOCABULARY, 0, 0)
    arrays = {name: array + normal(0, f"shift.{name}", array.shape, 0.2) for name, array in spec.arrays.items()}
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        if name in arrays:
            arrays[name][END : END + 5] *= 1.3
    return dataclasses.replace(spec, arrays=arrays)


def engine_of(backend, spec, **given):
    """The model as it is; norms are what could be trained, since there are no biases."""
    return build_engine(backend, spec, plan_for(spec, method="ln_tuning"), {}, **given)


@pytest.fixture(scope="module")
def engines():
    """The engine of a backend, compiled where it compiles."""
    found = {}

    def of(backend, kind):
        key = backend.__name__, kind
        if key not in found:
            found[key] = engine_of(backend, lively_spec(kind), compile=None)
        return found[key]

    return of


def written(engine, prompts, **options):
    found = continue_tokens(engine, prompts, GenerationOptions(**options), Stopping(frozenset({END})), CONTEXT, 8)
    return [[each.tokens for each in texts] for texts in found]


@pytest.mark.parametrize(
    "kind", ["llama", *(pytest.param(kind, marks=nightly) for kind in ("qwen2", "qwen3", "mistral"))]
)
def test_every_search_writes_what_transformers_writes(backend, kind, engines, monkeypatch, request):
    """In batches of unequal prompts, some of which end early; what differs must be a tie."""
    names = CASES if request.config.getoption("--nightly") else ("greedy", "beams 4", "greedy, late end")
    engine, prompts, size = engines(backend, kind), random_prompts(16), 8
    model, tokens = generation.reference_model(lively_spec(kind)), set()
    for name in names:
        batches = list(generation.batches(prompts, size))
        theirs = [each for batch in batches for each in generation.reference(model, batch, CASES[name], NEW)]
        mine = [each for batch in batches for each in generation.ours(engine, batch, CASES[name], NEW)]
        tokens |= {token for found in mine for one in found for token in one}
        differing = [number for number in range(len(prompts)) if mine[number] != theirs[number]]
        gaps = [smallest_gap(engine, prompts[n], CASES[name], NEW, monkeypatch) for n in differing]
        assert all(gap <= TIE for gap in gaps), (name, differing, gaps)
        assert len(differing) <= 1
    assert len(tokens) > 20


@pytest.mark.needs_mindspore
def test_both_backends_write_the_same_samples_for_a_seed(engines):
    given = {"max_new_tokens": 16, "seed": 5, "do_sample": True, "num_return_sequences": 2}
    prompts = random_prompts(8)
    found = [written(engines(load(name), "llama"), prompts, **given) for name in ("pytorch", "mindspore")]
    assert found[0] == found[1]
    assert written(engines(load("pytorch"), "llama"), prompts, **{**given, "seed": 6}) != found[0]


@pytest.mark.parametrize("kind", ["qwen3", "mistral"])
def test_a_cache_gives_the_logits_of_the_whole_sequence(backend, kind):
    """Through steps, with rows that are copied, exchanged and left out in between, and beyond a window."""
    engine = engine_of(backend, lively_spec(kind), compile=False)
    rows = [[20, 21, 22], [23], [24, 25, 26, 27, 28, 29, 30, 31]]
    decoder = engine.decoder(64)
    ids = np.array([[0] * (8 - len(row)) + row for row in rows], np.int32)
    logits = decoder.prefill(ids, np.array([3, 1, 8], np.int32))
    assert_near(logits, whole(engine, rows), 1e-5)
    for number, source in enumerate([[0, 1, 2], [0, 0, 1, 2], [1, 0, 3, 2], [3, 3, 0, 1], [2, 0, 1]]):
        rows = [rows[row] for row in source]
        if number:
            decoder.reorder(np.array(source, np.int32))
        tokens = np.arange(30, 30 + len(rows), dtype=np.int32) + number
        rows = [[*row, int(token)] for row, token in zip(rows, tokens, strict=True)]
        assert_near(decoder.step(tokens), whole(engine, rows), 1e-5)


def whole(engine, rows):
    """Logits after the last token of each row, without a cache."""
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows], np.int32)
    lengths = np.array([len(row) for row in rows], np.int32)
    mask = (np.arange(width) < lengths[:, None]).astype(np.int32)
    return engine.logits_at({"input_ids": ids, "attention_mask": mask, "labels": ids}, lengths - 1).copy()


def test_a_window_that_a_network_never_reads_is_none_with_a_cache_either(backend):
    """Configurations of networks without a window carry the entry now and then."""
    spec, rows = lively_spec("llama"), [[20, 21, 22, 23, 24, 25], [26, 27]]
    spec = dataclasses.replace(spec, config={**spec.config, "sliding_window": 2})
    engine = engine_of(backend, spec, compile=False)
    decoder = engine.decoder(16)
    ids = np.array([[0] * (6 - len(row)) + row for row in rows], np.int32)
    assert_near(decoder.prefill(ids, np.array([6, 2], np.int32)), whole(engine, rows), 1e-5)
    assert_near(decoder.step(np.array([30, 31], np.int32)), whole(engine, [[*rows[0], 30], [*rows[1], 31]]), 1e-5)


def test_shared_keys_stay_shared_in_the_cache(backend):
    engine = engine_of(backend, lively_spec("llama"), compile=False)
    decoder = engine.decoder(16)
    decoder.prefill(np.array([[20, 21]], np.int32), np.array([2], np.int32))
    cache, width = decoder._cache, 32 // 4
    if backend.__name__ == "pytorch_impl":
        assert tuple(cache.shape) == (
            2,
            2,
            1,
            2,
            16,
            width,
        )  # (layers, key and value, rows, heads of keys, columns, width)
    else:
        assert cache._keys[0].shape == (1 * 2 * 16, width)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("mistral", "prefix"),
        *(
            pytest.param(*pair, marks=nightly)
            for pair in (("llama", "prefix"), ("llama", "prompt"), ("mistral", "prompt"))
        ),
    ],
)
def test_virtual_tokens_are_read_before_a_prompt(backend, kind, method):
    found, spec = METHODS.get(method), lively_spec(kind)
    plan = found.plan(found.Options(method, tokens=3), spec)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    prompts = random_prompts(4, longest=9)
    with_cache, without = (written(engine, prompts, max_new_tokens=8, use_cache=cache) for cache in (True, False))
    assert with_cache == without
    plain = engine_of(backend, spec)
    assert with_cache != written(plain, prompts, max_new_tokens=8)
