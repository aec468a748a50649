"""GLUE's data sets are read by name from every layout in which they are distributed, with the published classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from common.config.schema import DataConfig
from common.data import DATASETS, load_dataset
from common.errors import InputError
from common.tasks import TASKS

GLUE = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")


def load(name: str, folder: Path, **changes):
    entries = {"files": {}, "max_length": 32, "length_multiple": 8, "max_examples": {}} | dict.fromkeys(
        ("text_column", "text_pair_column", "label_column", "prompt_column")
    )
    config = DataConfig(name=name, directory=str(folder), **(entries | changes))
    return load_dataset(config, TASKS.get("regression" if name == "stsb" else "sequence-classification"))


def write(folder: Path, **files: list[str]) -> Path:
    """Files of lines, each named by its stem and ``.tsv`` unless it has an extension of its own (after ``__``)."""
    for name, lines in files.items():
        stem, _, extension = name.partition("__")
        (folder / f"{stem}.{extension or 'tsv'}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "folder", "sizes", "classes"),
    [
        ("rte", "rte", (2490, 277, 3000), {"train": (1249, 1241), "validation": (146, 131)}),
        (
            "mrpc",
            "mrpc",
            (3668, 408, 1725),
            {"train": (1194, 2474), "validation": (129, 279), "test": (578, 1147)},
        ),
        ("cola", "cola", (8551, 1043, 1063), {"train": (2528, 6023), "validation": (322, 721)}),
        (
            "sst2",
            "sst2",
            (67349, 872, 1821),
            {"train": (29780, 37569), "validation": (428, 444), "test": (912, 909)},
        ),
    ],
)
def test_real_data_have_the_published_rows_and_classes(shared_data, name, folder, sizes, classes):
    data = load(name, shared_data(folder))
    assert tuple(len(data.splits[split]) for split in ("train", "validation", "test")) == sizes
    found = {split: Counter(rows["label"]) for split, rows in data.splits.items() if "label" in rows.column_names}
    assert {split: (counts[0], counts[1]) for split, counts in found.items()} == classes
    assert data.unlabelled == {"train", "validation", "test"} - set(classes)
    assert bool(data.notes) == bool(data.unlabelled)


@pytest.mark.parametrize(("folder", "unlabelled"), [("stsb", {"test"}), ("stsb/original", set())])
def test_real_similarity_scores_lie_between_0_and_5_in_both_layouts(shared_data, folder, unlabelled):
    data = load("stsb", shared_data(folder))
    assert [len(rows) for rows in data.splits.values()] == [5749, 1500, 1379]
    assert data.unlabelled == unlabelled
    for split in {"train", "validation", "test"} - unlabelled:
        scores = data.splits[split]["score"]
        assert (min(scores), max(scores)) == (0.0, 5.0)
    assert data.label_names is None


def test_real_similarity_pairs_are_the_same_in_both_layouts(shared_data):
    ours, theirs = (load("stsb", shared_data(folder)).splits for folder in ("stsb", "stsb/original"))
    for split in ("train", "validation"):
        pairs = [
            list(zip(*(rows[split][name] for name in ("text", "text_pair", "score")), strict=True))
            for rows in (ours, theirs)
        ]
        differ = sum(a != b for a, b in zip(*pairs, strict=True))
        assert differ <= 0.02 * len(pairs[0])  # GLUE's copy rewrites some quotation marks
    assert ours["test"]["text"][:20] == theirs["test"]["text"][:20]


def test_real_paraphrases_held_out_are_those_that_glue_lists(shared_data):
    folder = shared_data("mrpc")
    listed = (folder / "dev_ids.tsv").read_text().splitlines()
    lines = (folder / "msr_paraphrase_train.txt").read_text(encoding="utf-8-sig").splitlines()[1:]
    wanted = {row[3].strip() for row in (line.split("\t") for line in lines) if "\t".join(row[1:3]) in listed}
    assert set(load("mrpc", folder).splits["validation"]["text"]) == wanted


MNLI = ["promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "s1_parse", "s2_parse"]
LAYOUTS = {
    "qnli": {
        "train": ["index\tquestion\tsentence\tlabel", '0\tWho said "no?\tNobody did.\tnot_entailment'],
        "dev": ["index\tquestion\tsentence\tlabel", "0\tWhere?\tThere.\tentailment"],
        "test": ["index\tquestion\tsentence", "0\tWhen?\tThen."],
    },
    "wnli": {
        "train": ["index\tsentence1\tsentence2\tlabel", "0\tIt broke.\tThe cup broke.\t1"],
        "dev": ["index\tsentence1\tsentence2\tlabel", "0\tIt fell.\tThe cup fell.\t0"],
        "test": ["index\tsentence1\tsentence2", "0\tIt fell.\tThe cup fell."],
    },
    "mrpc": {
        "train": ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", '1\t1\t2\tHe said " no .\tHe said no .'],
        "dev": ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t3\t4\tYes .\tNo ."],
        "test": ["index\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t5\t6\tYes .\tNo ."],
    },
    "mnli": {
        "train": [
            "\t".join(["index", *MNLI, "sentence1", "sentence2", "label1", "gold_label"]),
            "\t".join(["0", *"abcdefg", "One.", "Two.", "neutral", "neutral"]),
        ],
        **{
            f"dev_{kind}": [
                "\t".join(
                    ["index", *MNLI, "sentence1", "sentence2", *(f"label{i}" for i in range(1, 6)), "gold_label"]
                ),
                "\t".join(["0", *"abcdefg", f"{kind}.", "Two.", *["entailment"] * 5, label]),
            ]
            for kind, label in (("matched", "contradiction"), ("mismatched", "entailment"))
        },
        **{
            f"test_{kind}": [
                "\t".join(["index", *MNLI, "sentence1", "sentence2"]),
                "\t".join(["0", *"abcdefg", "One.", "Two."]),
            ]
            for kind in ("matched", "mismatched")
        },
    },
    "qqp": {
        "train": [
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
            "1\t2\t3\tHow?\tWhy?\t0",
            "4\t5\t6\tA question that ends",  # a line break inside of a question
            "7\t8\t9\tWho?\t\t1",
        ],
        "dev": ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tHow?\tHow so?\t1"],
        "test": ["id\tquestion1\tquestion2", "0\tWould it?\tWill it?"],
    },
}
EXPECTED = {
    "qnli": [('Who said "no?', "Nobody did.", 1)],
    "wnli": [("It broke.", "The cup broke.", 1)],
    "mrpc": [('He said " no .', "He said no .", 1)],
    "mnli": [("One.", "Two.", 1)],
    "qqp": [("How?", "Why?", 0), ("Who?", "", 1)],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_glue_folders_are_read_with_their_own_headers(tmp_path, name):
    data = load(name, write(tmp_path, **LAYOUTS[name]))
    train = data.splits["train"]
    assert list(zip(train["text"], train["text_pair"], train["label"], strict=True)) == EXPECTED[name]
    assert {"test"} <= data.unlabelled
    assert any("not scored" in note for note in data.notes)


def test_both_validation_splits_of_mnli_are_there(tmp_path):
    data = load("mnli", write(tmp_path, **LAYOUTS["mnli"]))
    assert list(data.splits) == ["train", "validation", "test", "validation_mismatched", "test_mismatched"]
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.splits["validation"].to_dict() == {"text": ["matched."], "text_pair": ["Two."], "label": [2]}
    assert data.splits["validation_mismatched"].to_dict() == {
        "text": ["mismatched."],
        "text_pair": ["Two."],
        "label": [0],
    }
    assert data.unlabelled == {"test", "test_mismatched"}


def test_mnli_from_the_hub_has_its_splits_renamed(monkeypatch):
    import datasets

    names = ("train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched")
    loaded = {
        name: datasets.Dataset.from_dict(
            {"premise": [name], "hypothesis": ["x"], "label": [-1 if "test" in name else 1], "idx": [0]}
        )
        for name in names
    }
    asked = []
    monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")  # the stand-in is asked
    monkeypatch.setattr(datasets, "load_dataset", lambda *given: asked.append(given) or loaded)
    config = DataConfig("mnli", None, {}, None, None, None, None, 32, 8, {})
    data = load_dataset(config, TASKS.get("sequence-classification"))
    assert asked == [("nyu-mll/glue", "mnli")]
    assert {split: rows["text"][0] for split, rows in data.splits.items()} == {
        "train": "train",
        "validation": "validation_matched",
        "test": "test_matched",
        "validation_mismatched": "validation_mismatched",
        "test_mismatched": "test_mismatched",
    }
    assert data.unlabelled == {"test", "test_mismatched"}


def test_damaged_lines_of_qqp_are_left_out_and_counted(tmp_path):
    data = load("qqp", write(tmp_path, **LAYOUTS["qqp"]))
    assert len(data.splits["train"]) == 2
    assert any(note.startswith("1 damaged lines") for note in data.notes)


def test_a_short_line_of_other_data_is_an_error_with_its_line(tmp_path):
    write(tmp_path, **LAYOUTS["qnli"])
    write(tmp_path, train=[*LAYOUTS["qnli"]["train"], "1\tHow?"])
    with pytest.raises(InputError, match=r"train\.tsv, line 3: 4 columns were expected"):
        load("qnli", tmp_path)


PUBLISHED = ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t1\t2\tA .\tB .", "0\t3\t4\tC .\tD ."]


def test_paraphrases_as_published_need_the_list_of_held_out_pairs(tmp_path):
    write(tmp_path, msr_paraphrase_train__txt=PUBLISHED, msr_paraphrase_test__txt=PUBLISHED[:2])
    with pytest.raises(InputError, match=r"instead of validation: dev_ids\.tsv"):
        load("mrpc", tmp_path)
    write(tmp_path, dev_ids=["3\t4"])
    data = load("mrpc", tmp_path)
    assert {split: rows["text"] for split, rows in data.splits.items()} == {
        "train": ["A ."],
        "validation": ["C ."],
        "test": ["A ."],
    }
    assert data.unlabelled == frozenset()


def test_held_out_pairs_that_are_not_in_the_training_file_are_an_error(tmp_path):
    write(tmp_path, msr_paraphrase_train__txt=PUBLISHED, msr_paraphrase_test__txt=PUBLISHED, dev_ids=["3\t4", "3\t5"])
    with pytest.raises(InputError, match=r"dev_ids\.tsv, line 2: .* there is none with 3, 5"):
        load("mrpc", tmp_path)


def test_the_similarity_benchmark_is_read_from_its_publishers_csv_files(tmp_path):
    short = 'main-captions\tMSRvid\t2012test\t0001\t5.000\tA "plane.\tAn air plane.'
    long = "main-news\theadlines\t2016\t0012\t4\tOne.\tTwo.\thttp://a\thttp://b"
    write(tmp_path, **{f"sts-{split}__csv": [short, long] for split in ("train", "dev", "test")})
    data = load("stsb", tmp_path)
    assert data.splits["test"].to_dict() == {
        "text": ['A "plane.', "One."],
        "text_pair": ["An air plane.", "Two."],
        "score": [5.0, 4.0],
    }


def test_scores_from_the_hub_are_found_and_the_unpublished_ones_left_out(tmp_path):
    from datasets import Dataset

    for split, scores in (("train", [5.0, 3.8]), ("validation", [0.0, -1.0]), ("test", [-1.0, -1.0])):
        rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": scores, "idx": [0, 1]}
        Dataset.from_dict(rows).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    data = load("stsb", tmp_path)
    assert data.splits["validation"]["score"] == [0.0, -1.0]
    assert data.unlabelled == {"test"}


def test_scores_are_no_classes():
    config = DataConfig("stsb", None, {}, None, None, None, None, 32, 8, {})
    with pytest.raises(InputError, match=r"needs label, which data set stsb does not have: .* score"):
        load_dataset(config, TASKS.get("sequence-classification"))


def test_every_task_of_glue_is_registered():
    assert {name for name, entry in DATASETS.items() if entry.hub == "nyu-mll/glue"} == set(GLUE) - {"sst2"}
    assert DATASETS["sst2"].hub == "stanfordnlp/sst2"
