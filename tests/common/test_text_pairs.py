"""Pairs of texts are encoded as `transformers` encodes them, for tokenizers with and without token types."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizerFast, PreTrainedTokenizerFast, RobertaTokenizerFast

from common.config.schema import DataConfig
from common.data import TextData, encode
from common.data.texts import encode_texts
from common.models import FAMILIES
from common.tasks import TASKS

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
PAIRS = {
    "text": ["a b c", "a b c d e f g h i j a b", "a", 'a " b', "a b c d e f"],
    "text_pair": ["d e", "d", "d e f g h i j a b c d e", "?", "d e f g h i"],
}
LENGTHS = (5, 8, 9, 32)


@pytest.fixture(params=["bert", "roberta"])
def tokenizer(request, tmp_path) -> PreTrainedTokenizerFast:
    """One with ``[CLS] A [SEP] B [SEP]`` and token types 0 and 1, or ``<s> A </s></s> B </s>`` and none."""
    if request.param == "bert":
        (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        return BertTokenizerFast(str(tmp_path / "vocab.txt"))
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    model.add_tokens(sorted(alphabet))
    model.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return RobertaTokenizerFast(tokenizer_object=model)


@pytest.mark.parametrize("length", LENGTHS)
def test_ids_and_types_are_those_of_the_tokenizer_cutting_the_longer_text_first(tokenizer, length):
    columns, truncated = encode_texts(Dataset.from_dict(PAIRS), tokenizer, length)
    whole = tokenizer(PAIRS["text"], PAIRS["text_pair"], verbose=False)["input_ids"]
    for row, pair in enumerate(zip(PAIRS["text"], PAIRS["text_pair"], strict=True)):
        expected = tokenizer(*pair, truncation="longest_first", max_length=length, return_token_type_ids=True)
        assert columns["input_ids"][row].tolist() == expected["input_ids"]
        assert columns["token_type_ids"][row].tolist() == expected["token_type_ids"]
        special = [token for token in columns["input_ids"][row] if token in tokenizer.all_special_ids]
        assert len(special) >= tokenizer.num_special_tokens_to_add(pair=True)
    assert truncated == sum(len(ids) > length for ids in whole)


def test_types_distinguish_the_two_texts_where_the_tokenizer_has_them(tokenizer):
    columns, _ = encode_texts(Dataset.from_dict(PAIRS), tokenizer, 32)
    types = columns["token_type_ids"][0]
    assert types.tolist() == ([0] * 5 + [1] * 3 if isinstance(tokenizer, BertTokenizerFast) else [0] * len(types))


def test_single_texts_have_no_column_of_types(tokenizer):
    columns, _ = encode_texts(Dataset.from_dict({"text": PAIRS["text"]}), tokenizer, 32)
    assert set(columns) == {"input_ids"}


def test_pairs_are_read_from_the_cache_as_they_were_encoded(tokenizer, monkeypatch, tmp_path):
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path / "cache"))
    rows = Dataset.from_dict(PAIRS | {"label": [0, 1, 0, 1, 0]})
    data = TextData({"train": rows}, ("no", "yes"), frozenset())
    config = DataConfig("files", None, {}, "text", "text_pair", "label", None, 9, 8, {})
    task, family = TASKS.get("sequence-classification"), FAMILIES.get("bert")
    first = encode(data, "train", tokenizer, config, task, task.schema(family))
    monkeypatch.setattr(type(task), "encode", lambda *_: pytest.fail("encoded anew"))
    second = encode(data, "train", tokenizer, config, task, task.schema(family))
    assert set(first.columns) == set(second.columns) == {"input_ids", "token_type_ids", "labels"}
    for name in ("input_ids", "token_type_ids"):
        for row in range(len(rows)):
            np.testing.assert_array_equal(first.columns[name][row], second.columns[name][row])
    assert first.truncated == second.truncated > 0


def test_a_pair_and_its_reverse_have_their_own_cache(tokenizer, monkeypatch, tmp_path):
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path))
    config = DataConfig("files", None, {}, "text", "text_pair", "label", None, 32, 8, {})
    task, family = TASKS.get("sequence-classification"), FAMILIES.get("bert")
    found = []
    for names in (("text", "text_pair"), ("text_pair", "text")):
        rows = Dataset.from_dict(
            {name: PAIRS[source] for name, source in zip(("text", "text_pair"), names, strict=True)}
        )
        data = TextData({"train": rows}, ("no", "yes"), frozenset({"train"}))
        encoded = encode(data, "train", tokenizer, config, task, task.schema(family))
        found.append(encoded.columns["input_ids"][0].tolist())
    assert found[0] != found[1]
