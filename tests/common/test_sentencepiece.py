"""DeBERTa-v2's tokenizers: from tokenizer.json, and from a SentencePiece model where that package is installed."""

from __future__ import annotations

import pytest

from common.data import load_tokenizer
from common.data.tokenization import save_tokenizer
from common.errors import InputError

transformers = pytest.importorskip("transformers")

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
PIECES = ("▁the", "▁cat", "s", "▁sat", "▁", "t", "h", "e", "c", "a")
TEXTS = ("the cats sat", "the cat [MASK]")


def own():
    """A tokenizer of transformers with a small vocabulary."""
    vocabulary = [(piece, 0.0) for piece in SPECIAL] + [(piece, -1.0 - 0.3 * i) for i, piece in enumerate(PIECES)]
    return transformers.DebertaV2Tokenizer(vocab=vocabulary)


def test_a_folder_with_tokenizer_json_encodes_pairs_as_transformers_does(tmp_path):
    theirs = own()
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(str(tmp_path))
    expected = theirs(*TEXTS)
    assert expected["token_type_ids"][-1] == 1
    assert expected["input_ids"][1:5] == theirs.convert_tokens_to_ids(["▁the", "▁cat", "s", "▁sat"])
    found = ours(*TEXTS, return_token_type_ids=True)
    assert (found["input_ids"], found["token_type_ids"]) == (expected["input_ids"], expected["token_type_ids"])
    assert (ours.pad_token_id, ours.mask_token_id) == (0, 4)
    save_tokenizer(ours, tmp_path / "again")
    assert load_tokenizer(str(tmp_path / "again"))(*TEXTS)["input_ids"] == expected["input_ids"]


def test_a_sentencepiece_model_is_read_as_transformers_reads_it(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = ["the cats sat on the mat", "the cat and the rat sat", "a mat is a mat"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(tmp_path / "spm"), vocab_size=30, hard_vocab_limit=False,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
        unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    theirs, ours = transformers.DebertaV2Tokenizer.from_pretrained(tmp_path), load_tokenizer(str(tmp_path))
    found = ours(*TEXTS)
    assert found["input_ids"] == theirs(*TEXTS)["input_ids"]
    assert found["input_ids"][0] == 1
    assert ours.mask_token_id in found["input_ids"]
    save_tokenizer(ours, tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
    assert load_tokenizer(str(tmp_path / "saved"))(*TEXTS)["input_ids"] == found["input_ids"]


def test_a_sentencepiece_model_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "spm.model").write_bytes(b"")
    monkeypatch.setattr("common.data.tokenization.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install sentencepiece protobuf"):
        load_tokenizer(str(tmp_path))
