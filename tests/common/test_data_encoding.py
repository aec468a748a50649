"""Encoding scores exactly the tokens it documents, and its cache never changes a result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.backend import IGNORE
from common.config.schema import DataConfig
from common.data import Ragged, TextData, evaluation_batches, load_tokenizer
from common.data import encode as encode_split
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS
from common.tasks.language_modeling import encode_prompts

CLASSES, LANGUAGE = TASKS.get("sequence-classification"), TASKS.get("language-modeling")

CORPUS = [
    "a few words of english text , and then some more words",
    "name[Blue Spice], food[French] || It serves French food.",
] * 10


@pytest.fixture(scope="module")
def bpe():
    return load_tokenizer("bpe:300", CORPUS)


def config(max_length):
    return DataConfig("files", None, {}, None, None, None, None, max_length, 8, {})


def text_data(label_names=None, **columns):
    from datasets import Dataset

    return TextData({"train": Dataset.from_dict(columns)}, label_names, frozenset())


def encode(data, split, tokenizer, settings, family="gpt2", task=LANGUAGE):
    return encode_split(data, split, tokenizer, settings, task, task.schema(FAMILIES.get(family)))


def example(encoded, row):
    """Inputs and, of a language model, the last label: everything that was read."""
    inputs, labels = encoded.columns["input_ids"][row].tolist(), encoded.labels
    return inputs if isinstance(labels, np.ndarray) else [*inputs, int(labels[row][-1])]


def targets(encoded):
    """Targets of all evaluation batches."""
    return sum(encoded.task.targets(batch) for _, batch in evaluation_batches(encoded, 3, 4))


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(alphabet="ab \n", max_size=12), min_size=2, max_size=8), max_length=st.integers(1, 9))
def test_packed_text_predicts_every_token_but_the_first_exactly_once(bpe, texts, max_length):
    encoded = encode(text_data(text=texts), "train", bpe, config(max_length), "gpt2")
    stream = [token for text in texts for token in [*bpe(text)["input_ids"], bpe.eos_token_id]]
    predicted = [token for row in range(len(encoded)) for token in example(encoded, row)[1:]]
    assert predicted == stream[1:]
    assert targets(encoded) == len(stream) - 1
    assert encoded.lengths.max() <= max_length
    assert encoded.lengths.min() >= 1


def test_completions_score_the_text_and_its_end_and_none_of_the_prompt(bpe):
    encoded = encode(text_data(text=["It is French."], prompt=["food[French]"]), "train", bpe, config(64), "gpt2")
    prompt = bpe("food[French] ||")["input_ids"]
    text = [*bpe(" It is French.")["input_ids"], bpe.eos_token_id]
    [(_, batch)] = evaluation_batches(encoded, 1, 1)
    assert batch["input_ids"][0].tolist() == [*prompt, *text][:-1]
    assert batch["labels"][0].tolist() == [IGNORE] * (len(prompt) - 1) + text
    assert targets(encoded) == len(text)
    assert encode_prompts(["food[French]"], bpe) == [prompt]


def test_a_completion_is_cut_at_max_length_and_counted_but_never_left_unscored(bpe):
    data = text_data(text=["word " * 50, "b"], prompt=["a", "a"])
    prompt = len(encode_prompts(["a"], bpe)[0])
    encoded = encode(data, "train", bpe, config(prompt), "gpt2")
    assert encoded.lengths.tolist() == [prompt, prompt]
    assert targets(encoded) == 2
    assert encoded.truncated == 2
    with pytest.raises(InputError, match=f"Example 1.*{prompt} tokens.*max_length above"):
        encode(data, "train", bpe, config(prompt - 1), "gpt2")


def test_truncated_bert_input_keeps_its_special_tokens(minilm_folder):
    tokenizer = load_tokenizer(str(minilm_folder))
    encoded = encode(
        text_data(("x", "y"), text=["hello " * 20, "hello"], label=[1, 0]),
        "train",
        tokenizer,
        config(6),
        "bert",
        CLASSES,
    )
    assert example(encoded, 0) == [101, 7592, 7592, 7592, 7592, 102]
    assert example(encoded, 1) == [101, 7592, 102]
    assert encoded.labels.tolist() == [1, 0]
    assert encoded.truncated == 1
    with pytest.raises(InputError, match="exceed the 2 special tokens"):
        encode(text_data(("x", "y"), text=["hello"], label=[1]), "train", tokenizer, config(2), "bert", CLASSES)


def test_unlabelled_examples_are_encoded_and_never_scored(bpe):
    encoded = encode(text_data(("x", "y"), text=["a", "b"]), "train", bpe, config(8), task=CLASSES)
    assert encoded.labels.tolist() == [IGNORE, IGNORE]
    assert targets(encoded) == 0


def test_language_modelling_needs_an_end_of_text_token(minilm_folder):
    with pytest.raises(InputError, match="end-of-text"):
        encode(text_data(text=["a b"]), "train", load_tokenizer(str(minilm_folder)), config(8), "bert")


def test_a_split_that_does_not_exist_is_named(bpe):
    with pytest.raises(InputError, match=r"no test split.*train"):
        encode(text_data(text=["a b"]), "test", bpe, config(8), "gpt2")


def test_text_without_a_token_to_predict_is_refused(bpe):
    with pytest.raises(InputError, match="at least two tokens"):
        encode(text_data(text=[""]), "train", bpe, config(8), "gpt2")


def as_bytes(encoded):
    def flat(column):
        parts = (column.values, column.starts, column.stops) if isinstance(column, Ragged) else (column,)
        return [part.tobytes() for part in parts]

    return {name: flat(column) for name, column in encoded.columns.items()} | {"truncated": encoded.truncated}


def test_the_cache_is_used_and_a_damaged_file_is_rebuilt(bpe, tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path))
    data = text_data(text=["some words here"] * 5)
    fresh = as_bytes(encode(data, "train", bpe, config(8), "gpt2"))
    [path] = tmp_path.rglob("*.cache")
    good = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("common.tasks.language_modeling._packed", None)  # not called when the cache answers
        assert as_bytes(encode(data, "train", bpe, config(8), "gpt2")) == fresh
    for position in (0, 40, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        assert as_bytes(encode(data, "train", bpe, config(8), "gpt2")) == fresh
        assert path.read_bytes() == good
    path.write_bytes(b"")
    assert as_bytes(encode(data, "train", bpe, config(8), "gpt2")) == fresh


def test_whatever_changes_the_tokens_or_labels_has_its_own_cache_file(bpe, tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path))
    other = load_tokenizer("bpe:290", CORPUS)
    names = ("x", "y")
    encode(text_data(names, text=["ab", "c"], label=[0, 1]), "train", bpe, config(8), task=CLASSES)
    encode(text_data(names, text=["a", "bc"], label=[0, 1]), "train", bpe, config(8), task=CLASSES)
    encode(text_data(names, text=["ab", "c"], label=[1, 1]), "train", bpe, config(8), task=CLASSES)
    encode(text_data(names, text=["ab", "c"], label=[0, 1]), "train", bpe, config(9), task=CLASSES)
    encode(text_data(names, text=["ab", "c"], label=[0, 1]), "train", other, config(8), task=CLASSES)
    encode(text_data(text=["ab", "c"]), "train", bpe, config(8), "gpt2")
    assert len(list(tmp_path.rglob("*.cache"))) == 6


def test_a_tokenizer_with_another_special_token_has_its_own_cache_file(tmp_path, monkeypatch):
    """Which token begins a text is no part of the tokenizer's model, and no less part of what is encoded."""
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path))
    tokenizer, data = load_tokenizer("words:20", CORPUS), text_data(prompt=["a b"], text=["b"])
    for begin in ("[BOS]", "[UNK]"):
        tokenizer.bos_token = begin
        encoded = encode(
            data, "train", tokenizer, config(8), family="transformer", task=TASKS.get("sequence-to-sequence")
        )
        assert encoded.columns["decoder_input_ids"][0][0] == tokenizer.bos_token_id


def test_a_cache_that_cannot_be_written_does_not_stop_a_run(bpe, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path / "file"))
    assert len(encode(text_data(text=["some words here"]), "train", bpe, config(4), "gpt2")) > 0
