"""Generation token by token against `transformers.generate`, filters against its processors, and both backends
alike."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import load
from common.generation import filters as ours
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from tests.parity import generation
from tests.parity.generation import CASES, CONTEXT, END, TIE, VOCABULARY, differences, random_prompts, smallest_gap
from tests.support import TARGETS, assert_near, build_engine, plan_for, tiny_spec
from tests.tolerances import GPT2_LOGITS_ABS

torch = pytest.importorskip("torch")
processors = pytest.importorskip("transformers.generation.logits_process")


@pytest.fixture(scope="module")
def spec():
    return generation.lively_spec()


@pytest.fixture(scope="module")
def model(spec):
    return generation.reference_model(spec)


@pytest.fixture(scope="module")
def expected(model):
    """What `transformers` writes, once for both backends."""
    found = {}

    def of(name, prompts, size):
        if name not in found:
            batches = generation.batches(prompts, size)
            found[name] = [
                each for batch in batches for each in generation.reference(model, batch, CASES[name], generation.NEW)
            ]
        return found[name]

    return of


@pytest.fixture(scope="module")
def engines(spec):
    """The engine of a backend, compiled where it compiles: shapes are few here, and steps are many."""
    found = {}

    def of(backend, compile=None):
        if (backend.__name__, compile) not in found:
            found[backend.__name__, compile] = generation.engine_of(backend, spec, compile=compile)
        return found[backend.__name__, compile]

    return of


@pytest.mark.parametrize("name", CASES)
def test_every_search_writes_what_transformers_writes(backend, name, expected, engines, monkeypatch):
    """In batches of unequal prompts, some of which end early; what differs must be a tie."""
    engine, prompts, size = engines(backend), random_prompts(24), 12
    theirs = expected(name, prompts, size)
    batches = generation.batches(prompts, size)
    mine = [each for batch in batches for each in generation.ours(engine, batch, CASES[name], generation.NEW)]
    assert len({token for found in mine for tokens in found for token in tokens}) > 20
    differing = [number for number in range(len(prompts)) if mine[number] != theirs[number]]
    gaps = [smallest_gap(engine, prompts[n], CASES[name], generation.NEW, monkeypatch) for n in differing]
    assert all(gap <= TIE for gap in gaps), (differing, gaps)
    assert len(differing) <= 1


def test_a_difference_without_a_tie_is_seen(spec, model, engines, monkeypatch):
    engine = engines(load("pytorch"))
    changed = generation.engine_of(load("pytorch"), generation.lively_spec(seed=1))
    prompts = random_prompts(4)
    assert differences(engine, model, prompts, {}, 4)[0] == []
    numbers, _ = differences(changed, model, prompts, {}, 4)
    assert numbers
    assert smallest_gap(changed, prompts[numbers[0]], {}, generation.NEW, monkeypatch) > TIE


def written(engine, prompts, context=CONTEXT, **options):
    found = continue_tokens(engine, prompts, GenerationOptions(**options), Stopping(frozenset({END})), context, 8)
    return [[each.tokens for each in texts] for texts in found]


SAMPLED = [
    {"do_sample": True, "num_return_sequences": 4},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.95, "repetition_penalty": 1.2},
    {"do_sample": True, "num_beams": 4, "num_return_sequences": 2, "no_repeat_ngram_size": 2},
]


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("options", SAMPLED)
def test_both_backends_write_the_same_samples_for_a_seed(engines, options):
    prompts, size = random_prompts(24), 12
    given = {"max_new_tokens": 16, "seed": 5, **options}
    found = [
        [written(engines(load(name)), batch, **given) for batch in generation.batches(prompts, size)]
        for name in ("pytorch", "mindspore")
    ]
    assert found[0] == found[1]
    other = written(engines(load("pytorch")), prompts[:size], max_new_tokens=16, seed=6, **options)
    assert other != found[0][0]


@pytest.mark.parametrize("options", [{}, {"num_beams": 4}, {"do_sample": True}])
def test_without_a_cache_the_same_is_written(backend, engines, options):
    engine, prompts = engines(backend, compile=False), random_prompts(3)
    found = [written(engine, prompts, max_new_tokens=8, use_cache=cache, **options) for cache in (True, False)]
    assert found[0] == found[1]


def test_a_cache_gives_the_logits_of_the_whole_sequence(backend, engines):
    """Through steps, with rows that are copied, exchanged and left out in between."""
    engine = engines(backend, compile=False)
    rows = [[20, 21, 22], [23], [24, 25, 26, 27, 28, 29]]
    decoder = engine.decoder(64)
    ids = np.array([[0] * (8 - len(row)) + row for row in rows], np.int32)
    logits = decoder.prefill(ids, np.array([3, 1, 6], np.int32))
    assert_near(logits, whole(engine, rows), GPT2_LOGITS_ABS, absolute=True)
    for number, source in enumerate([[0, 1, 2], [0, 0, 1, 2], [1, 0, 3, 2], [3, 3, 0, 1], [2, 0, 1]]):
        rows = [rows[row] for row in source]
        if number:
            decoder.reorder(np.array(source, np.int32))
        tokens = np.arange(30, 30 + len(rows), dtype=np.int32) + number
        rows = [[*row, int(token)] for row, token in zip(rows, tokens, strict=True)]
        assert_near(decoder.step(tokens), whole(engine, rows), GPT2_LOGITS_ABS, absolute=True)


def whole(engine, rows):
    """Logits after the last token of each row, without a cache."""
    width = -(-max(map(len, rows)) // 8) * 8
    ids = np.array([row + [0] * (width - len(row)) for row in rows], np.int32)
    lengths = np.array([len(row) for row in rows], np.int32)
    mask = (np.arange(width) < lengths[:, None]).astype(np.int32)
    return engine.logits_at({"input_ids": ids, "attention_mask": mask, "labels": ids}, lengths - 1).copy()


def test_a_decoder_forgets_what_it_held(backend, engines):
    engine = engines(backend)
    prompts = random_prompts(12)
    first = written(engine, prompts, max_new_tokens=16)
    written(engine, random_prompts(12, name="others"), max_new_tokens=16)
    assert written(engine, prompts, max_new_tokens=16) == first


def test_beyond_the_context_the_last_tokens_are_read(backend):
    """As each backend writes without a cache, which computes the last tokens anew every time."""
    spec = tiny_spec("gpt2")
    engine = build_engine(backend, spec, plan_for(spec, (), bias="all"), {})
    prompts = [[3, 4, 5, 6, 7, 8, 9], [5]]
    found = written(engine, prompts, context=8, max_new_tokens=4, slide=True)
    assert found == written(engine, prompts, context=8, max_new_tokens=4, slide=True, use_cache=False)
    windows = [[*prompts[0], *found[0][0][:3]][-8:], [5, *found[1][0][:3]]]
    assert [int(row.argmax()) for row in whole(engine, windows)] == [texts[0][3] for texts in found]


def test_an_adapter_writes_the_same_merged_and_not(backend):
    spec = tiny_spec("gpt2", vocab_size=VOCABULARY)
    plan = plan_for(spec, TARGETS["gpt2"])
    engine = build_engine(backend, spec, plan)
    plain = build_engine(backend, spec, plan_for(spec, (), bias="all"), {})
    prompts = random_prompts(3, longest=8)
    adapted = written(engine, prompts, context=32, max_new_tokens=6)
    backend.merge(engine.model)
    assert written(engine, prompts, context=32, max_new_tokens=6) == adapted
    backend.unmerge(engine.model)
    assert written(engine, prompts, context=32, max_new_tokens=6) == adapted
    assert written(plain, prompts, context=32, max_new_tokens=6) != adapted


@pytest.mark.needs_mindspore
def test_nothing_is_compiled_again_within_a_bucket(engines):
    """Prompts of other lengths, other numbers of new tokens, other ways to choose."""
    engine = engines(load("mindspore"))
    for options in ({}, {"num_beams": 4}):
        written(engine, random_prompts(12), max_new_tokens=16, **options)
        before = engine.compilations.count
        for seed in range(3):
            prompts = [prompt[: 17 + seed] for prompt in [[30] * 24, *random_prompts(11, 16)]]
            written(engine, prompts, max_new_tokens=9 + seed, **options)
        assert engine.compilations.count == before
    written(engine, random_prompts(12), max_new_tokens=16, do_sample=True, seed=1)
    assert engine.compilations.count == before


SCORES = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 500)) * 3)
LEAST = (1, 3)


@pytest.mark.parametrize("least", LEAST)
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"top_k": 7}, lambda least: [processors.TopKLogitsWarper(7, min_tokens_to_keep=least)]),
        ({"top_p": 0.8}, lambda least: [processors.TopPLogitsWarper(0.8, min_tokens_to_keep=least)]),
        ({"min_p": 0.2}, lambda least: [processors.MinPLogitsWarper(0.2, min_tokens_to_keep=least)]),
        ({"typical_p": 0.6}, lambda least: [processors.TypicalLogitsWarper(0.6, min_tokens_to_keep=least)]),
        (
            {"temperature": 0.6, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.9},
            lambda least: [
                processors.TemperatureLogitsWarper(0.6),
                processors.TopKLogitsWarper(30, min_tokens_to_keep=least),
                processors.TopPLogitsWarper(0.9, min_tokens_to_keep=least),
                processors.MinPLogitsWarper(0.01, min_tokens_to_keep=least),
                processors.TypicalLogitsWarper(0.9, min_tokens_to_keep=least),
            ],
        ),
    ],
    ids=["top_k", "top_p", "min_p", "typical_p", "all"],
)
def test_filtered_distributions_are_those_of_transformers(mine, theirs, least):
    options, scores = GenerationOptions(**mine), SCORES
    for processor in theirs(least):
        scores = processor(torch.zeros(len(SCORES), 1, dtype=torch.long), scores)
    expected = torch.softmax(scores, -1).numpy()
    found = np.zeros_like(expected)
    for row, given in enumerate(SCORES.numpy()):
        tokens, left = ours.surviving(given, options.temperature, ours.filters(options, least))
        found[row, tokens] = ours.softmax(left)
    assert np.abs(found - expected).max() < 1e-6
    assert ((found > 0) == (expected > 0)).all()
    assert (found > 0).sum() < found.size / 2


def test_penalties_and_bans_are_those_of_transformers():
    history = torch.from_numpy(np.random.default_rng(1).integers(0, 12, (40, 30)))
    penalised = processors.RepetitionPenaltyLogitsProcessor(1.3)(history, SCORES.float())
    for size in (1, 2, 3):
        banned = processors.NoRepeatNGramLogitsProcessor(size)(history, penalised)
        for row in range(len(SCORES)):
            scores = SCORES[row].float().numpy().copy()
            ours.penalise(scores, history[row].numpy(), 1.3)
            scores[ours.repeated(history[row].numpy(), size)] = -np.inf
            assert np.array_equal(scores, banned[row].numpy())
        assert torch.isinf(banned).any()


def test_stop_strings_end_where_they_end_in_transformers(spec, model, engines):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {f"{chr(97 + i // 10)}{chr(97 + i % 10)}": i for i in range(VOCABULARY)}
    base = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="aa"))
    base.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(".."), "isolated")
    base.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=base)
    prompts, strings = random_prompts(12), ["d", "ge", "jb"]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    given = {"max_new_tokens": 12, "eos_token_id": END, "pad_token_id": 0, "do_sample": False}
    theirs = model.generate(ids, attention_mask=mask, stop_strings=strings, tokenizer=tokenizer, **given)
    stopping = Stopping(frozenset({END}), tuple(strings), tokenizer.decode)
    options = GenerationOptions(max_new_tokens=12, stop_strings=strings)
    found = continue_tokens(engines(load("pytorch")), prompts, options, stopping, CONTEXT, 8)
    for row, [continuation] in enumerate(found):
        assert continuation.tokens == theirs[row, width : width + len(continuation.tokens)].tolist()
        assert not theirs[row, width + len(continuation.tokens) :].any()
    finished = {continuation.finish for [continuation] in found}
    assert "stop" in finished
    assert len(finished) > 1


@pytest.mark.parametrize("dtype", ["bf16", "fp64"])
def test_other_arithmetic_has_a_cache_too(dtype):
    spec = tiny_spec("gpt2")
    engine = build_engine(load("pytorch"), spec, plan_for(spec, TARGETS["gpt2"]), dtype=dtype)
    prompts = [[3, 4, 5], [6]]
    found = written(engine, prompts, context=32, max_new_tokens=8)
    if dtype == "fp64":
        assert found == written(engine, prompts, context=32, max_new_tokens=8, use_cache=False)
    assert [len(texts[0]) for texts in found] == [8, 8]
