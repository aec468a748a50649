"""Tokenizers of whole words and of characters: what is a token, in which order, and what is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from datasets import Dataset

from common.data import load_tokenizer
from common.data.words import encode_words
from common.errors import InputError

CORPUS = ["The film isn't bad .", "the film , the FILM", "나/NP 는/JX ㅎ ㅏ ㄴ ㄱ ㅡ ㄹ"]
SPECIAL = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]


def tokens(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("words", "THE film isn't", ["the", "film", "isn", "'", "t"]),
        ("words-cased", "The FILM film", ["The", "FILM", "film"]),
        ("words-cased", "THE", ["[UNK]"]),
        ("tokens", "The isn't bad.", ["The", "isn't", "[UNK]"]),
        ("tokens", "나/NP 는/JX", ["나/NP", "는/JX"]),
        ("tokens-lowered", "THE isn't bad.", ["the", "isn't", "[UNK]"]),
        ("tokens", "ㅎ ㅏ ㄴ", ["ㅎ", "ㅏ", "ㄴ"]),
        ("characters", "a f\n", ["a", " ", "f", "[UNK]"]),
    ],
)
def test_every_kind_splits_as_documented(kind, text, expected):
    tokenizer = load_tokenizer(f"{kind}:100", CORPUS)
    assert tokens(tokenizer, text) == expected
    assert tokenizer.convert_ids_to_tokens(range(4)) == SPECIAL
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)


def test_the_most_frequent_words_are_kept_and_equal_counts_stand_in_the_order_of_text():
    tokenizer = load_tokenizer("words:7", ["b b b a c c", "d a c"])
    assert tokenizer.convert_ids_to_tokens(range(4, 7)) == ["b", "c", "a"]
    assert len(tokenizer) == 7
    assert tokens(tokenizer, "d") == ["[UNK]"]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("words", ["seoul", "café"]),
        ("words-cased", ["seoul", "Seoul", "café"]),
        ("tokens", ["seoul", "Seoul", "isn't", "café"]),
        ("tokens-lowered", ["seoul", "isn't", "café"]),
    ],
)
def test_further_words_follow_those_of_the_corpus_where_a_text_can_have_them(kind, known):
    further = ["b", "seoul", "Seoul", "isn't", "café", "cafe\u0301", "seoul", "[PAD]", "[MASK] x"]
    tokenizer = load_tokenizer(f"{kind}:6", ["b b a a c"], words=further)
    assert tokenizer.convert_ids_to_tokens(range(4, len(tokenizer))) == ["a", "b", *known]
    assert tokens(tokenizer, "seoul c") == ["seoul", "[UNK]"]


@pytest.mark.parametrize("kind", ["characters", "bpe", "masked-bpe", "wordpiece"])
def test_tokenizers_of_parts_of_words_take_no_further_words(kind):
    with pytest.raises(InputError, match="join the vocabulary of whole words"):
        load_tokenizer(f"{kind}:300", CORPUS, words=["seoul"])


def test_characters_are_joined_again_without_spaces_between_them():
    tokenizer = load_tokenizer("characters:50", CORPUS)
    text = "the bad film"
    assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("kind", ["words", "words-cased", "tokens", "tokens-lowered", "characters"])
def test_a_saved_tokenizer_of_words_is_the_same(kind, tmp_path):
    tokenizer = load_tokenizer(f"{kind}:60", CORPUS)
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again(CORPUS)["input_ids"] == tokenizer(CORPUS)["input_ids"]
    assert again.all_special_ids == tokenizer.all_special_ids
    assert again.pad_token_id == 0


def test_another_process_makes_the_same_vocabulary():
    made = f"load_tokenizer('words:12', {CORPUS!r})"
    code = f"from common.data import load_tokenizer; print(sorted({made}.get_vocab().items()))"
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8", timeout=600).stdout
    assert other.strip() == str(sorted(load_tokenizer("words:12", CORPUS).get_vocab().items()))


def test_words_of_a_list_are_one_token_each():
    sentence = ["U.S.", "isn't", "a", "co-op", "."]
    tokenizer = load_tokenizer("tokens:60", [" ".join(sentence)])
    columns, _ = encode_words(Dataset.from_dict({"words": [sentence]}), tokenizer, 16)
    assert tokenizer.convert_ids_to_tokens(columns["input_ids"][0].tolist()) == sentence
    assert columns["words"][0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("source", ["words:4", "words:", "tokens:x", "characters:0"])
def test_a_size_that_holds_no_word_is_refused(source):
    with pytest.raises(InputError, match="at least 5"):
        load_tokenizer(source, CORPUS)
