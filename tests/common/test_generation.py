"""Generation without a framework: searches over models whose logits are known, contexts, ends, streams, options."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError, RunError
from common.generation.choosing import top
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from common.generation.streaming import TextStream
from common.generation.texts import generate
from common.tasks.language_modeling import MEMBER as TASK
from common.tasks.sequence_classification import MEMBER as CLASSES

LETTERS = "abcdefghij"


class Counting:
    """A language model over 10 tokens: after token t comes t + 1. Checks what it is given."""

    def __init__(self, lead=5.0):
        self.shapes, self.lead = [], lead

    def decoder(self, capacity):
        return None

    def logits_at(self, batch, positions):
        rows = np.arange(len(positions))
        self.shapes.append(batch["input_ids"].shape)
        assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int32
        assert (batch["attention_mask"].sum(1) == positions + 1).all()
        return self._after(batch["input_ids"][rows, positions])

    def _after(self, tokens):
        logits = np.zeros((len(tokens), 10), np.float32)
        logits[np.arange(len(tokens)), (tokens + 1) % 10] = self.lead
        return logits


class Cached(Counting):
    """The same with a decoder, which remembers what it read."""

    def decoder(self, capacity):
        self.capacity, self.read, self.lengths = capacity, None, None
        return self

    def prefill(self, input_ids, lengths):
        assert input_ids.dtype == lengths.dtype == np.int32
        self.read, self.lengths = input_ids, lengths
        return self._after(input_ids[:, -1])

    def step(self, tokens):
        assert tokens.dtype == np.int32
        self.read = np.hstack([self.read, tokens[:, None]])
        assert self.read.shape[1] <= self.capacity
        return self._after(tokens)

    def reorder(self, source):
        assert source.dtype == np.int32
        self.read = self.read[source]


def continued(engine, prompts, end=9, context=16, decode=None, **options):
    stopping = Stopping(frozenset({end}), GenerationOptions(**options).stops, decode)
    found = continue_tokens(engine, prompts, GenerationOptions(**options), stopping, context, 4)
    return [[stopping.without_end(each.tokens) for each in texts] for texts in found]


def firsts(*given, **options):
    return [texts[0] for texts in continued(*given, **options)]


@pytest.mark.parametrize("engine", [Counting(), Cached()])
def test_greedy_search_follows_the_model_and_stops_at_the_end_token(engine):
    found = firsts(engine, [[2], [0, 6], [9]], max_new_tokens=5)
    assert found == [[3, 4, 5, 6, 7], [7, 8], [0, 1, 2, 3, 4]]
    assert set(engine.shapes) <= {(3, 4), (3, 8)}


def test_a_cache_reads_every_prompt_once_and_every_chosen_token_once():
    engine = Cached()
    continued(engine, [[2], [0, 6], [4, 4, 1]], max_new_tokens=4)
    assert engine.shapes == []
    assert engine.lengths.tolist() == [1, 2, 3]
    assert engine.read.tolist() == [[0, 0, 0, 2, 3, 4, 5], [0, 0, 0, 6, 7, 8, 9], [0, 4, 4, 1, 2, 3, 4]]


@pytest.mark.parametrize("engine", [Counting(), Cached()])
def test_beyond_the_context_the_last_tokens_are_read(engine):
    found = firsts(engine, [[1] * 30 + [2]], end=99, context=6, max_new_tokens=8, slide=True)
    assert found == [[3, 4, 5, 6, 7, 8, 9, 0]]
    assert set(engine.shapes) == {(1, 6)}


def test_a_cache_serves_until_the_context_is_full():
    engine = Cached()
    assert firsts(engine, [[1, 2]], end=99, context=6, max_new_tokens=8, slide=True) == [[3, 4, 5, 6, 7, 8, 9, 0]]
    assert engine.read[0, -6:].tolist() == [1, 2, 3, 4, 5, 6]
    assert engine.shapes == [(1, 6)] * 3


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}])
def test_what_exceeds_the_context_is_refused(options):
    with pytest.raises(InputError, match=r"context of 8 tokens.*received 9.*--slide"):
        continued(Counting(), [[1], [1] * 9], context=8, **options)
    with pytest.raises(InputError, match=r"7 tokens and 3 new ones exceed the context of 8.*at most 2.*--slide"):
        continued(Counting(), [[1] * 7], context=8, max_new_tokens=3, **options)
    assert len(firsts(Counting(), [[1] * 7], context=8, max_new_tokens=2, end=99, **options)[0]) == 2


@pytest.mark.parametrize("engine", [Counting(), Cached()])
def test_by_default_each_prompt_gets_what_its_context_has_room_for(engine):
    found = firsts(engine, [[1] * 8, [1, 1], [1]], context=8, end=99)
    assert [len(tokens) for tokens in found] == [1, 7, 8]
    assert len(firsts(engine, [[1]], context=500, end=99)[0]) == 64


def test_an_empty_prompt_is_refused():
    with pytest.raises(InputError, match="at least one token"):
        continued(Counting(), [[1], []])
    assert continued(Counting(), []) == []


def test_samples_repeat_for_a_seed_and_follow_the_softmax():
    options = {"max_new_tokens": 1, "temperature": 2.0, "num_return_sequences": 4000}
    draws = continued(Counting(), [[4]], seed=3, **options)
    assert draws == continued(Counting(), [[4]], seed=3, **options)
    assert draws != continued(Counting(), [[4]], seed=4, **options)
    expected = math.exp(2.5) / (math.exp(2.5) + 9)
    assert sum(draw == [5] for draw in draws[0]) / 4000 == pytest.approx(expected, abs=0.03)


def test_a_sample_depends_on_its_prompt_and_number_alone():
    options = {"max_new_tokens": 6, "do_sample": True, "num_return_sequences": 2}
    prompts = [[1, 2], [3], [4, 5, 6]]
    together = continued(Counting(1.0), prompts, end=99, **options)
    apart = [continued(Counting(1.0), [prompt], end=99, **options)[0] for prompt in reversed(prompts)]
    assert together == apart[::-1]
    assert together[0][0] != together[0][1]
    assert continued(Counting(1.0), [[3]], end=99, max_new_tokens=6, do_sample=True)[0][0] == together[1][0]


def test_the_beams_of_one_prompt_differ_and_the_best_comes_first():
    [found] = continued(Counting(1.0), [[2]], end=99, num_beams=3, num_return_sequences=3, max_new_tokens=3)
    assert found[0] == [3, 4, 5]
    assert len({tuple(tokens) for tokens in found}) == 3


class Certain(Counting):
    """Token 9 ends a text after the first token, and is the only other one that has a chance."""

    def _after(self, tokens):
        logits = super()._after(tokens)
        logits[:, 9] = self.lead - 1
        return logits


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"early_stopping": "never"}])
def test_beams_that_never_began_end_nothing_and_are_no_texts(options):
    """Of a sample with few tokens left there are fewer sequences than beams at first."""
    given = {"num_beams": 4, "do_sample": True, "top_k": 1, "max_new_tokens": 5, "num_return_sequences": 4, **options}
    stopping = Stopping(frozenset({9}))
    [found] = continue_tokens(Certain(), [[2]], GenerationOptions(**given), stopping, 16, 4)
    assert all(each.score > -1e6 for each in found)
    assert len({tuple(each.tokens) for each in found}) == 4


def test_fewer_texts_than_asked_for_are_an_error():
    given = {"num_beams": 12, "max_new_tokens": 1, "num_return_sequences": 12}
    with pytest.raises(RunError, match=r"has 10 continuations, of which 12 are asked for"):
        continued(Counting(), [[2]], end=99, **given)
    with pytest.raises(RunError, match="ruled out by no_repeat_ngram_size"):
        continued(
            Counting(), [list(range(10))], end=99, context=40, max_new_tokens=3, no_repeat_ngram_size=1, num_beams=2
        )


def test_a_text_that_may_not_end_early_is_not_cut_by_the_default():
    assert len(firsts(Counting(), [[1]], context=500, min_new_tokens=100)[0]) == 100
    assert len(firsts(Counting(), [[1]], context=69, min_new_tokens=69)[0]) == 69


def test_sampled_beams_repeat_for_a_seed():
    options = {"num_beams": 3, "num_return_sequences": 3, "do_sample": True, "max_new_tokens": 5, "end": 99}
    first = continued(Counting(1.0), [[2], [3]], seed=1, **options)
    assert first == continued(Counting(1.0), [[2], [3]], seed=1, **options)
    assert first != continued(Counting(1.0), [[2], [3]], seed=2, **options)


def test_every_token_ruled_out_is_an_error():
    with pytest.raises(RunError, match="ruled out by no_repeat_ngram_size"):
        continued(Counting(), [list(range(10))], end=99, context=40, max_new_tokens=30, no_repeat_ngram_size=1)


def test_logits_that_are_not_finite_are_an_error():
    class Diverged(Counting):
        def logits_at(self, batch, positions):
            return super().logits_at(batch, positions) * np.float32(np.nan)

    with pytest.raises(RunError, match="not finite"):
        continued(Diverged(), [[1]])


@pytest.mark.parametrize("count", [1, 7, 20])
def test_the_largest_are_found_in_order_with_the_first_of_equals(count):
    random = np.random.default_rng(0)
    for size in (20, 5000):
        scores = random.integers(0, 40, size).astype(np.float32)
        expected = sorted(range(size), key=lambda i: (-scores[i], i))[:count]
        assert top(scores, count).tolist() == expected


def decode(tokens):
    return "".join(LETTERS[token] for token in tokens)


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"top_k": 1, "do_sample": True}])
def test_text_ends_with_the_token_that_completes_a_stop_string(options):
    [[tokens]] = continued(Counting(9.0), [[1]], decode=decode, stop_strings=["zz", "ef"], max_new_tokens=8, **options)
    assert decode(tokens) == "cdef"
    assert Stopping(frozenset(), ("zz", "ef"), decode).cut("cdefg") == "cd"


def test_stop_strings_need_a_tokenizer():
    with pytest.raises(InputError, match="needs a tokenizer"):
        Stopping(frozenset(), ("x",))


def run_of(task=TASK, columns=("text",), context=16):
    """A trained run whose tokens are letters."""

    class Tokenizer:
        eos_token_id = 9
        decode = staticmethod(decode)

        def __len__(self):
            return 10

        def __call__(self, text, **_):
            return {"input_ids": [LETTERS.index(letter) for letter in text]}

    data = SimpleNamespace(max_length=context, length_multiple=4)
    config = SimpleNamespace(data=data, training=SimpleNamespace(evaluation_batch_size=2))
    return SimpleNamespace(
        tokenizer=Tokenizer(), config=config, summary={"data": {"columns": list(columns)}}, task=task
    )


def test_texts_come_in_the_order_of_their_prompts_whatever_the_batches():
    prompts = ["b", "", "ab", "c", "aabb"]
    for size in (None, 1, 3, 9):
        found = list(generate(run_of(), Counting(), prompts, GenerationOptions(max_new_tokens=3), batch_size=size))
        assert [(text.prompt, text.text, text.finish) for [text] in found] == [
            ("b", "cde", "length"),
            ("", "abc", "length"),
            ("ab", "cde", "length"),
            ("c", "def", "length"),
            ("aabb", "cde", "length"),
        ]


def test_a_text_says_why_it_ended():
    options = GenerationOptions(max_new_tokens=3, stop_strings="d", num_beams=1)
    found = [text for [text] in generate(run_of(), Counting(), ["g", "b"], options)]
    assert [(text.text, text.finish, text.tokens) for text in found] == [("hi", "end", (7, 8)), ("c", "stop", (2, 3))]
    assert found[0].record() == {"prompt": "g", "text": "hi", "tokens": [7, 8], "finish": "end"}


@pytest.mark.parametrize("stops", [(), ("ef",), ("fx", "f")])
def test_a_stream_is_the_text_in_pieces(stops):
    pieces = {}

    def emit(prompt, sample, text):
        pieces[prompt] = [*pieces.get(prompt, []), text]

    options = GenerationOptions(max_new_tokens=6, stop_strings=stops)
    found = list(generate(run_of(), Counting(), ["b", "h", "a"], options, emit))
    assert {number: "".join(parts) for number, parts in pieces.items()} == {
        number: text.text for number, [text] in enumerate(found)
    }
    assert len(pieces[2]) >= 2


def test_a_stream_holds_back_characters_that_are_not_complete():
    written = []
    codes = list("é!".encode())
    text = lambda tokens: bytes(codes[token] for token in tokens).decode(errors="replace")  # noqa: E731
    stream = TextStream(lambda prompt, sample, piece: written.append(piece), Stopping(frozenset(), (), text))
    for token in range(3):
        stream.token(0, 0, token)
    assert written == ["é", "!"]


@pytest.mark.parametrize(
    ("prompts", "size", "said"),
    [
        ("ab", None, "prompts must be a list of them; received one text: 'ab'"),
        (["ab"], 0, "batch_size must be at least 1; received 0"),
        (["ab"], -1, "batch_size must be at least 1; received -1"),
    ],
)
def test_what_would_be_no_prompts_is_refused(prompts, size, said):
    with pytest.raises(InputError, match=said):
        list(generate(run_of(), Counting(), prompts, GenerationOptions(), batch_size=size))


@pytest.mark.parametrize("prompt", ["a\ud800", "\udc80"])
def test_a_prompt_is_text(prompt):
    with pytest.raises(InputError, match=r"A prompt must be text: \[1\] holds an incomplete Unicode character"):
        list(generate(run_of(), Counting(), ["a", prompt], GenerationOptions()))


def test_a_run_of_another_task_writes_no_text():
    with pytest.raises(InputError, match="trained for sequence-classification"):
        list(generate(run_of(CLASSES), Counting(), ["a"], GenerationOptions()))
    with pytest.raises(InputError, match=r"below the vocabulary's size 10; received 10"):
        list(generate(run_of(), Counting(), ["a"], GenerationOptions(eos_token_id=10)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1; received 0"),
        ({"max_new_tokens": 1.5}, "max_new_tokens must be an integer; received 1.5"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"temperature": float("nan")}, "temperature must be a finite number"),
        ({"temperature": float("inf")}, "temperature must be a finite number"),
        ({"temperature": 0, "do_sample": True}, "do_sample needs a temperature above 0"),
        ({"temperature": 0, "top_k": 5}, "top_k would have no effect, since temperature is 0"),
        ({"do_sample": False, "top_p": 0.5}, "top_p would have no effect, since do_sample is false"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1"),
        ({"min_p": 1.1}, "min_p must be from 0 to 1"),
        ({"typical_p": 2.0}, "typical_p must be above 0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0"),
        ({"num_beams": 0}, "num_beams must be at least 1"),
        ({"length_penalty": 0.5}, "length_penalty would have no effect without beams"),
        ({"early_stopping": "sometimes", "num_beams": 2}, 'early_stopping must be true, false or "never"'),
        ({"num_return_sequences": 2}, "would give the same text each time"),
        ({"num_return_sequences": 3, "num_beams": 2}, "at most num_beams = 2; received 3"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens must be at most max_new_tokens = 4"),
        ({"stop_strings": ("",)}, "stop_strings must be texts that are not empty"),
        ({"eos_token_id": -1}, "eos_token_id must not be negative"),
        ({"max_tokens": 4}, "no option 'max_tokens'. Nearest: "),
        ({"temperature": 1e-320}, "temperature must be 0, or from 1e-30 to 1e+30; received"),
        ({"repetition_penalty": 1e300}, "repetition_penalty must be from 1e-30 to 1e+30; received 1e+300"),
        ({"length_penalty": 5000.0, "num_beams": 2}, "length_penalty must be from -50 to 50; received 5000.0"),
        ({"length_penalty": -5000.0, "num_beams": 2}, "length_penalty must be from -50 to 50; received -5000.0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_the_rule(given, message):
    with pytest.raises(InputError) as caught:
        GenerationOptions.of(given)
    assert message in str(caught.value)


def test_sampling_is_on_where_one_of_its_options_is_set():
    assert not GenerationOptions().sampling
    assert not GenerationOptions(temperature=0).sampling
    for given in ({"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.9}, {"min_p": 0.1}, {"typical_p": 0.5}):
        assert GenerationOptions(**given).sampling
    assert GenerationOptions(do_sample=True).sampling
