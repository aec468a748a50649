"""Pairs of sequences as data: columns, ends, batches, parallel files; and sinusoidal positions."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from common.backend.batch import IGNORE
from common.data.batching import collate
from common.data.encoding import Encoded
from common.data.folders import read_folder
from common.data.parallel import read_parallel, sides
from common.data.readers import read_table
from common.data.registry import DATASETS
from common.data.tokenization import load_tokenizer
from common.errors import InputError
from common.metrics.text.scoring import score_texts
from common.models import FAMILIES
from common.models.sinusoids import sinusoids
from common.tasks import TASKS

TASK = TASKS.get("sequence-to-sequence")
PAIRS = {"prompt": ["ein hund", "zwei alte hunde rennen"], "text": ["a dog runs", "two"]}


@pytest.fixture(scope="module")
def tokenizer():
    return TASK.fitted(load_tokenizer("tokens:40", [*PAIRS["prompt"], *PAIRS["text"]]))


def spelled(tokenizer, ids) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens([int(token) for token in ids]))


def encoded(tokenizer, length: int = 16, **options) -> Encoded:
    task = TASK.configured(options)
    columns, truncated = task.encode(Dataset.from_dict(PAIRS), tokenizer, length)
    schema = task.schema(FAMILIES.get("transformer"))
    return Encoded(task, schema, columns, tokenizer.pad_token_id, length, truncated)


def test_a_source_ends_and_a_target_begins_and_ends(tokenizer):
    columns = encoded(tokenizer).columns
    assert spelled(tokenizer, columns["input_ids"][1]) == "zwei alte hunde rennen [EOS]"
    assert spelled(tokenizer, columns["decoder_input_ids"][0]) == "[BOS] a dog runs"
    assert spelled(tokenizer, columns["labels"][0]) == "a dog runs [EOS]"


def test_a_source_is_read_from_its_last_token_where_it_is_reversed(tokenizer):
    found = encoded(tokenizer, reverse_source=True)
    assert spelled(tokenizer, found.columns["input_ids"][1]) == "rennen hunde alte zwei [EOS]"
    assert spelled(tokenizer, found.columns["labels"][0]) == "a dog runs [EOS]"
    [written] = TASK.configured({"reverse_source": True}).prompt_ids(["ein hund"], tokenizer, ())
    assert spelled(tokenizer, written) == "hund ein [EOS]"


def test_what_exceeds_the_context_is_cut_and_counted(tokenizer):
    found = encoded(tokenizer, 3)
    assert found.truncated == 2
    assert spelled(tokenizer, found.columns["input_ids"][1]) == "zwei alte [EOS]"
    assert spelled(tokenizer, found.columns["decoder_input_ids"][0]) == "[BOS] a dog"
    assert spelled(tokenizer, found.columns["labels"][0]) == "a dog runs"
    assert encoded(tokenizer, 5).truncated == 0


def test_source_and_target_of_a_batch_are_padded_each_to_its_own_length(tokenizer):
    split = encoded(tokenizer, label_smoothing=0.1)
    batch = collate(split, np.array([1, 0]), 3, 2)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, 6)
    assert batch["decoder_input_ids"].shape == batch["labels"].shape == (3, 4)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert (batch["labels"] != IGNORE).sum(1).tolist() == [2, 4, 0]
    assert not batch["decoder_input_ids"][0, 2:].any()
    assert batch["smoothing"].tolist() == [np.float32(0.1)] * 2 + [0.0]
    assert collate(split, np.array([1]), 1, 2)["labels"].shape == (1, 2)


@pytest.mark.parametrize("kind", ["bpe:300", "masked-bpe:300", "wordpiece:60", "words:40", "characters:40"])
def test_every_trained_tokenizer_gets_ends_and_writes_a_target_back(kind):
    found = TASK.fitted(load_tokenizer(kind, [*PAIRS["prompt"], *PAIRS["text"]]))
    columns, _ = TASK.encode(Dataset.from_dict(PAIRS), found, 64)
    assert columns["labels"][0][-1] == TASK.ends(found)[0][0] == columns["input_ids"][0][-1]
    assert columns["decoder_input_ids"][0][0] == TASK.opening(found)
    assert found.decode(columns["labels"][0][:-1]).strip() == "a dog runs"


def test_a_smoothing_out_of_range_is_refused():
    with pytest.raises(InputError, match="label_smoothing must be at least 0 and less than 1; received 1"):
        TASK.configured({"label_smoothing": 1.0})


def test_parallel_files_become_columns_packed_or_not(tmp_path):
    (tmp_path / "train.de").write_text("eins\r\nzwei\u2028drei\n\n", encoding="utf-8")
    (tmp_path / "train.en").write_bytes(b"one\ntwo three\n\n")
    table = read_table(tmp_path / "train.{de,en}")
    assert table.columns == {"de": ["eins", "zwei\u2028drei"], "en": ["one", "two three"]}
    for name in ("de", "en"):
        (tmp_path / f"packed.{name}.gz").write_bytes(gzip.compress((tmp_path / f"train.{name}").read_bytes()))
    assert read_parallel(tmp_path / "packed.{de,en}.gz").columns == table.columns
    assert table.where(1).endswith("train.{de,en}, line 2")


def test_parallel_files_of_different_lengths_and_broken_ones_are_refused(tmp_path):
    (tmp_path / "a.de").write_text("eins\nzwei\n")
    (tmp_path / "a.en").write_text("one\n")
    with pytest.raises(InputError, match=r"same number of lines.*a\.de has 2, .*a\.en has 1"):
        read_parallel(tmp_path / "a.{de,en}")
    (tmp_path / "a.de.gz").write_bytes(gzip.compress(b"eins\n" * 1000)[:-9])
    (tmp_path / "a.en.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be unpacked by gzip"):
        read_parallel(tmp_path / "a.{de,en}.gz")
    with pytest.raises(InputError, match="must differ; received de, de"):
        sides(Path("a.{de,de}"))
    with pytest.raises(InputError, match=r"a\.fr"):
        read_parallel(tmp_path / "a.{de,fr}")


def test_multi30k_is_found_in_a_folder_of_its_files(tmp_path):
    for stem in ("train", "val", "test_2016_flickr"):
        for name in ("de", "en"):
            (tmp_path / f"{stem}.{name}.gz").write_bytes(gzip.compress(f"{stem} {name}\n".encode()))
    tables = read_folder(DATASETS["multi30k"], tmp_path)
    assert {split: table.columns for split, [table] in tables.items()} == {
        split: {"de": [f"{stem} de"], "en": [f"{stem} en"]}
        for split, stem in (("train", "train"), ("validation", "val"), ("test", "test_2016_flickr"))
    }


def test_a_position_further_on_is_a_rotation_that_depends_on_the_distance_alone():
    width, table = 16, sinusoids(200, 16).astype(np.float64)
    for distance in (1, 7, 50):
        rates = 10000.0 ** (-np.arange(0, width, 2) / width)
        turned = np.zeros((width, width))
        for pair, rate in enumerate(rates):
            cosine, sine = np.cos(distance * rate), np.sin(distance * rate)
            turned[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = [[cosine, sine], [-sine, cosine]]
        np.testing.assert_allclose(table[distance:], table[:-distance] @ turned.T, atol=1e-6)
    assert np.abs(table[1:] - table[:-1]).max() > 0.5


def test_positions_are_those_of_the_definition():
    table = sinusoids(6, 6)
    assert table[5, 2] == pytest.approx(np.sin(5 / 10000 ** (2 / 6)), abs=1e-7)
    assert table[5, 3] == pytest.approx(np.cos(5 / 10000 ** (2 / 6)), abs=1e-7)
    assert sinusoids(3, 5).shape == (3, 5)


def test_a_text_is_exact_where_its_words_are_those_of_a_reference():
    [found] = score_texts(
        [["a b", "a  b ", "b a", "A b"]], [["x", "a b"], ["a b"], ["a b"], ["a b"]], ["exact"]
    ).systems
    assert found["exact"].value == 50.0
