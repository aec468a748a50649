"""Published word vectors: every text form is read, words are found by the documented rule, the others keep their start
values, and what is wrong with a file is said."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from common.config import load_config
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods import METHODS
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.vectors import Words, filled, read_vectors, words_of

GLOVE = "the 1 2 3\nfilm 0.5 -1e-2 4\n. . 7 8 9\nthe 9 9 9\nbad 4 5 6\n"
WORDS = Words({"[PAD]": 0, "[UNK]": 1, "the": 2, "Film": 3, "gone": 4}, frozenset((0, 1)))


@pytest.mark.parametrize("header", ["", "5 3\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_text_form_gives_the_same_vectors(header, packed, tmp_path):
    path = tmp_path / "vectors"
    content = (header + GLOVE).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    found, width = read_vectors(path, {"the", "bad", "."})
    assert width == 3
    assert {word: vector.tolist() for word, vector in found.items()} == {"the": [1, 2, 3], "bad": [4, 5, 6]}
    assert found["the"].dtype == np.float32


def test_a_line_that_is_no_utf8_belongs_to_no_word(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"\xff\xfe 1 2\nthe 3 4\n")
    assert read_vectors(tmp_path / "v.txt", {"the"})[0]["the"].tolist() == [3, 4]


def test_words_are_found_as_written_or_in_lower_case_and_others_keep_their_start(tmp_path):
    (tmp_path / "v.txt").write_text(GLOVE)
    start = np.arange(15, dtype=np.float32).reshape(5, 3)
    table, coverage = filled(start, tmp_path / "v.txt", WORDS)
    assert table[2].tolist() == [1, 2, 3]
    assert table[3].tolist() == pytest.approx([0.5, -0.01, 4])
    assert np.array_equal(table[[0, 1, 4]], start[[0, 1, 4]])
    assert (coverage.words, coverage.exact, coverage.lowered) == (3, 1, 1)
    assert coverage.plain()["unknown"] == 1
    assert "2 of 3 words (66.7 %)" in str(coverage)


@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_the_words_of_a_file_are_those_with_a_vector_once_and_in_order(header, tmp_path):
    """`. .` is a word with a space in it, which no tokenizer of words finds."""
    (tmp_path / "v.txt").write_text(f"{header}{GLOVE}of course 7 8 9\n")
    assert words_of(tmp_path / "v.txt") == ["the", "film", "bad"]
    (tmp_path / "v.txt").write_text("")
    with pytest.raises(InputError, match="holds no vector"):
        words_of(tmp_path / "v.txt")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.vectors_vocabulary=true"], "model.vectors, which is null"),
        (["model.vectors_vocabulary=true", "model.vectors=v.txt", "model.tokenizer=bpe:900"], "of whole words"),
        (["model.vectors_vocabulary=true", "model.vectors=v.txt", "model.tokenizer=words"], "of whole words"),
    ],
)
def test_a_vocabulary_of_vectors_needs_a_file_and_whole_words(overrides, message):
    with pytest.raises(InputError, match=message):
        load_config("textcnn_sst2", overrides)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no vector"),
        (b"3 2\n", "holds no vector"),
        (b"the 1 2\nfilm 1\n", "line 2: a vector of 2 numbers"),
        (b"2 2\nthe 1 2 3\nfilm 4 5 6\n", "line 2: a vector of 2 numbers was expected, .*; found 3"),
        (b"the 1 2\nfilm 4 5 6\n", "line 2: a vector of 2 numbers"),
        (b"the 1 x\n", "line 1: numbers were expected"),
        (b"the 1 nan\n", "finite"),
        (b"\x00\x01the 1 2\n", "binary"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (gzip.compress(b"the 1 2\n" * 999, mtime=0)[:40] + b"\xff" * 60, "cannot be read"),
        (b"the " + b"1" * 2**20, "line 1, is longer"),
    ],
)
def test_a_defective_file_is_refused_with_the_place(content, message, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        filled(np.zeros((5, 2), np.float32), path, WORDS)


def test_a_missing_file_and_another_width_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_vectors(tmp_path / "absent.txt", {"the"})
    (tmp_path / "v.txt").write_text(GLOVE)
    with pytest.raises(InputError, match="3 numbers a word, the table 2"):
        filled(np.zeros((5, 2), np.float32), tmp_path / "v.txt", WORDS)


def section(family, vectors=None, **entries):
    return ModelConfig(None, "sequence-classification", None, None, {"model_type": family, **entries}, vectors=vectors)


def spec_of(family, vectors=None, **entries):
    config = section(family, vectors, embedding_size=3, **entries)
    return load_model_spec(config, ("a", "b"), 5, 0, 7, WORDS)


def test_a_network_of_words_starts_from_them_and_says_so(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(GLOVE)
    random, given = spec_of("textcnn"), spec_of("textcnn", str(path))
    name = "textcnn.embeddings.weight"
    assert given.arrays[name][2].tolist() == [1, 2, 3]
    assert np.array_equal(given.arrays[name][[0, 1, 4]], random.arrays[name][[0, 1, 4]])
    assert np.abs(random.arrays[name]).max() <= 0.25
    assert not given.arrays[name][0].any()
    assert given.vectors is not None
    assert given.vectors.exact == 1
    assert given.fingerprint != random.fingerprint


def test_both_tables_of_two_channels_start_alike_and_one_of_them_stays(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(GLOVE)
    spec = spec_of("textcnn", str(path), embedding="multichannel")
    moving, still = (f"textcnn.{table}.weight" for table in ("embeddings", "static_embeddings"))
    assert np.array_equal(spec.arrays[moving], spec.arrays[still])
    method = METHODS.get("full")
    trained = method.plan(method.Options("full"), spec).shapes()
    assert moving in trained
    assert still not in trained


def test_a_family_without_a_table_of_words_refuses_vectors(tmp_path):
    config = section("bert", str(tmp_path / "v.txt"), **FAMILIES.get("bert").tiny())
    with pytest.raises(InputError, match="the family bert has none"):
        load_model_spec(config, ("a", "b"), 5, 0, 7, WORDS)
