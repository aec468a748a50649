"""Changed copies of texts: how much is changed, by a seed, and that no row is empty or twice there."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from common.augmentation.augment import augmented
from common.augmentation.tagging import by_rule, by_run
from common.augmentation.words import Augmentation, Changes, Vocabulary, changed
from common.cli.main import main
from common.config import load_config
from common.data import load_dataset
from common.errors import InputError
from common.random import Stream
from common.tasks import configured

MASK = "[MASK]"


def texts(count=200, seed=0):
    random = np.random.default_rng(seed)
    nouns, verbs, rest = (
        ["film", "actor", "plot", "scene", "music"],
        ["played", "directed", "loved"],
        ["the", "of", "is"],
    )
    words = np.array(nouns + verbs + rest)
    rows = []
    for index in range(count):
        rows.append({"text": " ".join(random.choice(words, random.integers(1, 20))), "label": "ab"[index % 2]})
    return rows


def test_words_are_changed_as_often_as_the_probabilities_say():
    _, record = augmented(texts(), Augmentation(copies=10, run=0.0, most=1.0), 0, MASK)
    found = record["changes"]
    openly = 8 / 11  # of the words, which have others of their part of speech
    spread = 3 / np.sqrt(found["words"])
    assert found["masked"] / found["words"] == pytest.approx(0.1, abs=spread)
    assert found["exchanged"] / found["words"] == pytest.approx(0.1 * openly, abs=spread)
    _, record = augmented(texts(), Augmentation(mask=0.0, same=0.0, copies=10), 0, MASK)
    longer = [row for row in texts() if len(row["text"].split()) > 1]
    assert record["changes"]["runs"] / record["changes"]["texts"] == pytest.approx(0.25 * len(longer) / 200, abs=0.04)
    assert 1 <= record["changes"]["in_runs"] / record["changes"]["runs"] <= 5


def test_the_rows_are_new_each_once_none_is_empty_and_labels_stay():
    rows = texts()
    found, record = augmented(rows, Augmentation(copies=8), 3, MASK)
    listed = [row["text"] for row in found]
    assert len(set(listed)) == len(listed) == record["added"] > 400
    assert not set(listed) & {row["text"] for row in rows}
    assert all(set(text.split()) - {MASK} for text in listed)
    by_text = {len(row["text"].split()) for row in rows}
    assert {len(text.split()) for text in listed} <= by_text
    assert record["copies"] - record["left_out_as_equal"] == record["added"]
    assert {row["label"] for row in found} == {"a", "b"}


def test_at_most_the_share_of_a_text_is_changed_one_by_one():
    rows = [["played", "film", "directed", "plot"]]
    vocabulary = Vocabulary.of(rows * 2, by_rule(rows * 2))
    how = Augmentation(mask=0.5, same=0.5, most=0.5, run=0.0)
    for counter in range(50):
        found = changed(rows[0], by_rule(rows)[0], vocabulary, MASK, how, Stream((0, 0), counter), Changes())
        assert sum(ours != theirs for ours, theirs in zip(found, rows[0], strict=True)) <= 2


def test_words_are_exchanged_for_others_of_their_part_of_speech():
    rows = [row["text"].split() for row in texts()]
    tags = by_rule(rows)
    known = {
        word: tag for words, listed in zip(rows, tags, strict=True) for word, tag in zip(words, listed, strict=True)
    }
    found, _ = augmented(texts(), Augmentation(mask=0.0, same=0.4, run=0.0, copies=4), 1, MASK)
    originals = [row["text"].split() for row in texts()]
    assert found
    for row in found[:200]:
        words = row["text"].split()
        matched = [o for o in originals if len(o) == len(words) and [known[w] for w in o] == [known[w] for w in words]]
        assert matched
    assert known["the"] == "DET"
    assert known["film"] == "NOUN"
    assert known["loved"] == "VERB"


def test_equal_seeds_give_equal_rows_and_others_do_not():
    first, again, other = (augmented(texts(), Augmentation(copies=3), seed, MASK)[0] for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_pairs_are_changed_together():
    rows = [{"text": "the film is good", "text_pair": "the plot is bad", "label": "a"}] * 2
    found, _ = augmented(rows, Augmentation(copies=5), 0, MASK)
    assert found
    assert {tuple(row) for row in found} == {("text", "text_pair", "label")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask": 1.5}, "mask must be between 0 and 1"),
        ({"mask": 0.6, "same": 0.6}, "at most 1 together"),
        ({"copies": 0}, "copies must be at least 1"),
        ({"mask": 0.0, "same": 0.0, "run": 0.0}, "nothing is changed"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    assert any(message in f"{name} {text}" for name, text in Augmentation(**settings).problems())


def test_the_command_writes_data_and_an_experiment_that_reads_them(tmp_path, capsys):
    for split in ("train", "validation"):
        rows = texts(30, seed=len(split))
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = tmp_path / "trial.yaml"
    config.write_text(
        "model: {config: {model_type: bert}, tokenizer: bpe:300}\n"
        f"data: {{name: files, files: {{train: {tmp_path}/train.jsonl, validation: {tmp_path}/validation.jsonl}}, "
        "text_column: text, label_column: label, max_length: 32}\ntraining: {global_batch_size: "
        "4}\nadaptation: {method: full}\n"
    )
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        assert main(["augment", str(config), "-o", str(folder), "--copies", "3", "--seed", "4"]) == 0
    assert "30 texts" in capsys.readouterr().out
    assert (folders[0] / "train.jsonl").read_bytes() == (folders[1] / "train.jsonl").read_bytes()
    record = json.loads((folders[0] / "augmentation.json").read_text())
    written = load_config(folders[0] / "experiment.yaml")
    data = load_dataset(written.data, configured(written.model))
    assert len(data.splits["train"]) == 30 + record["added"]
    assert len(data.splits["validation"]) == 30
    assert data.label_names == ("a", "b")
    assert main(["augment", str(config), "-o", str(folders[0])]) == 2
    assert main(["augment", str(config), "-o", str(tmp_path / "x"), "--mask", "2"]) == 2
    assert "mask must be between 0 and 1" in capsys.readouterr().err


def test_other_tasks_are_refused(tmp_path):
    from datasets import Dataset

    from common.data.loading import TextData
    from common.data.own import require_classes

    data = TextData({"train": Dataset.from_dict({"words": [["a"]], "tags": [[0]]})}, ("x",), frozenset())
    with pytest.raises(
        InputError, match="is for texts, or pairs of texts, of one class each; the rows have tags, words"
    ):
        require_classes(data, "Augmentation")


def test_a_run_that_tags_words_is_a_tagger_and_others_are_refused(monkeypatch):
    import twinlora

    class Tagged:
        def predict(self, rows):
            return [
                {"words": row["words"], "tags": [word.upper() for word in row["words"][:-1]] + [None]} for row in rows
            ]

    class Classified:
        def predict(self, rows):
            return [{"label": "a"} for _ in rows]

    monkeypatch.setattr(twinlora, "open", lambda path, backend, device: {"tags": Tagged(), "other": Classified()}[path])
    assert by_run("tags")([["a", "b"], ["c"]]) == [["A", "X"], ["X"]]
    with pytest.raises(InputError, match="must be a run that tags words; other is none"):
        by_run("other")([["a"]])


def test_another_word_comes_in_proportion_to_its_count_whichever_word_it_stands_for():
    """The share of the word itself falls to all others, and not to the one that follows it in the alphabet."""
    counts = {"ant": 1, "bee": 90, "cat": 3, "dog": 6}
    text = [word for word, count in counts.items() for _ in range(count)]
    vocabulary = Vocabulary.of([text], [["NOUN"] * len(text)])
    for word in (*counts, "eel"):
        others = {other: count for other, count in counts.items() if other != word}
        draws = 10 * sum(others.values())
        found = Counter(vocabulary.other(word, "NOUN", (draw + 0.5) / draws) for draw in range(draws))
        assert found == {other: 10 * count for other, count in others.items()}
