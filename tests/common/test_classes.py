"""What is not a class does not become one: scores, lists, missing values and free text are refused with advice."""

from __future__ import annotations

import json

import pytest

from common.config.schema import DataConfig
from common.data import load_dataset
from common.errors import InputError
from common.tasks import TASKS

TASK = TASKS.get("sequence-classification")


def load(tmp_path, labels, names=(), kind="jsonl"):
    path = tmp_path / f"train.{kind}"
    if kind == "jsonl":
        lines = (json.dumps({"text": f"text {i}", "label": label}) for i, label in enumerate(labels))
        path.write_text("\n".join(lines) + "\n")
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        rows = {"text": [f"text {i}" for i in range(len(labels))], "label": labels}
        pyarrow.parquet.write_table(pyarrow.table(rows), path)
    else:
        path.write_text("\n".join(["text\tlabel", *(f"text {i}\t{label}" for i, label in enumerate(labels))]) + "\n")
    files = {"train": str(path), "validation": str(path)}
    config = DataConfig("files", None, files, "text", None, "label", None, 16, 8, {}, tuple(names))
    data = load_dataset(config, TASK)
    return data.label_names, data.splits["train"]["label"][:]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b", 4.5], r"line 3: .* found 4\.5: it looks like a score\. Set model\.task to .*regression"),
        (["a", "b", ["a", "b"]], r"line 3: .* found \[\"a\", \"b\"\]: it is a list of labels\. .*multi-label"),
        (["a", "b", '["a","b"]'], r"line 3: .*it is a list of labels\. .*multi-label"),
        (["a", "b", None], r"line 3: .* found None: it is missing\. Correct or remove the row"),
        (["a", "b", float("nan")], r"line 3: .*NaN is no number in JSON"),
        (["a", "b", {"c": 1}], r"line 3: .* it is a dict"),
    ],
)
def test_a_value_that_is_no_class_is_refused_with_its_line(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, labels)
    with pytest.raises(InputError, match=message):
        load(tmp_path, labels, ("a", "b"))


@pytest.mark.parametrize(("labels", "found"), [([1.0, 0.0, float("nan")], "nan"), ([1, 0, None], "None")])
def test_parquet_is_read_by_type_too(tmp_path, labels, found):
    with pytest.raises(InputError, match=rf"line 3: .* found {found}: it is missing"):
        load(tmp_path, labels, kind="parquet")


def test_white_space_and_the_writing_of_a_number_make_no_class(tmp_path):
    assert load(tmp_path, [" pos", "pos", "neg "]) == (("neg", "pos"), [1, 1, 0])
    assert load(tmp_path, [1, 1.0, 0, "1", "0.0"]) == (("0", "1"), [1, 1, 0, 1, 0])
    assert load(tmp_path, [1.0, 2.0], kind="parquet") == (("1", "2"), [0, 1])


def test_a_class_may_be_called_none(tmp_path):
    assert load(tmp_path, ["None", "some"]) == (("None", "some"), [0, 1])


def test_scores_in_text_are_not_classes_unless_they_are_named_so(tmp_path):
    scores = [str(number / 4) for number in range(205)]
    with pytest.raises(InputError, match=r"numbers such as 0\.25, which look like scores.*regression.*label_names"):
        load(tmp_path, scores, kind="tsv")
    assert load(tmp_path, ["0.5", "1.0"], ("0.5", "1.0"), kind="tsv") == (("0.5", "1.0"), [0, 1])


def test_a_label_of_its_own_for_every_example_is_refused_unless_they_are_named(tmp_path):
    names = [f"name {number}" for number in range(40)]
    with pytest.raises(InputError, match=r"holds 40 different labels in 40 rows.*label_column.*label_names"):
        load(tmp_path, names)
    assert load(tmp_path, names, names)[0] == tuple(names)
    assert len(load(tmp_path, names * 2)[0]) == 40


PUBLISHED = '"3","A title","A text"\n"4","Other","More"\n"1","x","y, z"\n"2","u","v"\n'


@pytest.mark.parametrize("header", ["", "Class Index,Title,Description\n"], ids=["published", "Kaggle's"])
def test_classes_that_are_counted_from_1_are_recognised(tmp_path, header):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text(header + PUBLISHED)
    config = DataConfig("ag_news", str(tmp_path), {}, None, None, None, None, 16, 8, {})
    test = load_dataset(config, TASK).splits["test"]
    assert test["label"][:] == [2, 3, 0, 1]
    assert test["text"][:2] == ["A title A text", "Other More"]
    (tmp_path / "test.csv").write_text(header + PUBLISHED.replace('"4"', '"0"'))
    with pytest.raises(InputError, match=r"test\.csv, line [23]: the number of a class from 1 to 4 .* found '0'"):
        load_dataset(config, TASK)


def test_the_form_of_the_hub_counts_from_0(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("text,label\na,0\nb,3\n")
    config = DataConfig("ag_news", str(tmp_path), {}, None, None, None, None, 16, 8, {})
    assert load_dataset(config, TASK).splits["test"]["label"][:] == [0, 3]


def test_the_published_sample_is_read(shared_data):
    folder = shared_data("ag_news_sample")
    config = DataConfig("ag_news", str(folder), {}, None, None, None, None, 16, 8, {})
    data = load_dataset(config, TASK)
    assert set(data.splits["test"]["label"][:]) == {0, 1, 2, 3}
    assert data.splits["test"]["label"][0] == 2
    assert data.splits["test"]["text"][0].startswith("Fears for T N pension after talks Unions representing")
