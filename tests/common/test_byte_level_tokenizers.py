"""Byte-level tokenizers: the vocabulary decides whether raw files are RoBERTa's or GPT-2's, and saving keeps them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.data import load_tokenizer
from common.data.texts import encode_texts
from common.errors import InputError

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # RoBERTa's, with its ids 0, 1, 2, 3
TEXT, PAIR = "the film is good", "a <mask> one"


def raw_files(folder, special):
    """``vocab.json`` and ``merges.txt`` of a small byte-level vocabulary."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator([TEXT, "a good one is good"] * 3, trainer)
    folder.mkdir(exist_ok=True)
    model.model.save(str(folder))
    return folder


@pytest.fixture
def saved(tmp_path):
    """A tokenizer of transformers, and the folder in which it saved itself."""
    tokenizer = transformers.RobertaTokenizerFast.from_pretrained(raw_files(tmp_path / "raw", SPECIAL))
    tokenizer.save_pretrained(tmp_path / "saved")
    return tokenizer, tmp_path / "saved"


@pytest.mark.parametrize("form", ["saved", "raw"])
def test_roberta_folders_encode_pairs_as_transformers_does_and_reload_equal(saved, form, tmp_path):
    theirs, folder = saved
    ours = load_tokenizer(str(folder if form == "saved" else tmp_path / "raw"))
    expected = theirs(TEXT, PAIR)["input_ids"]
    start, end, mask = 0, 2, 4
    assert (expected[0], expected[-1], expected.count(end), expected.count(mask)) == (start, end, 3, 1)
    assert ours(TEXT, PAIR)["input_ids"] == expected
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert (ours.mask_token, ours.mask_token_id, ours.pad_token_id, len(ours)) == ("<mask>", mask, 1, len(theirs))
    ours.save_pretrained(tmp_path / "run")
    again = load_tokenizer(str(tmp_path / "run"))
    assert again.backend_tokenizer.to_str() == ours.backend_tokenizer.to_str()
    assert again.special_tokens_map == ours.special_tokens_map
    assert transformers.RobertaTokenizerFast.from_pretrained(tmp_path / "run")(TEXT, PAIR)["input_ids"] == expected


def test_cut_pairs_keep_every_special_token(saved):
    import datasets

    tokenizer = load_tokenizer(str(saved[1]))
    rows = datasets.Dataset.from_dict({"text": [TEXT], "text_pair": [PAIR]})
    whole = tokenizer(TEXT, PAIR)["input_ids"]
    columns, truncated = encode_texts(rows, tokenizer, len(whole) - 2)
    ids = columns["input_ids"][0].tolist()
    assert truncated == 1
    assert len(ids) == len(whole) - 2
    assert (ids[0], ids[-1], ids.count(2)) == (0, 2, 3)
    assert not np.any(columns["token_type_ids"][0])  # one type: there is no row of the table for another


def test_raw_files_of_gpt2_stay_those_of_gpt2(tmp_path):
    tokenizer = load_tokenizer(str(raw_files(tmp_path / "raw", ["<|endoftext|>"])))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.cls_token) == (0, 0, None)
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"]) == TEXT


def test_raw_files_that_name_no_special_token_are_refused(tmp_path):
    folder = raw_files(tmp_path / "raw", ["[end]"])
    with pytest.raises(InputError, match="holds neither"):
        load_tokenizer(str(folder))
    (folder / "vocab.json").write_text(json.dumps({"a": 0})[:-1])
    with pytest.raises(InputError, match="a vocabulary, an object from token to id, must be JSON"):
        load_tokenizer(str(folder))
