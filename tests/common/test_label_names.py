"""``data.label_names`` fixes the names of the classes and their order."""

from __future__ import annotations

import pytest

from common.config import load_config
from common.config.schema import DataConfig
from common.data import load_dataset
from common.errors import InputError
from common.tasks import TASKS

TASK = TASKS.get("sequence-classification")


def load(tmp_path, labels, names, name="files"):
    for split in ("train", "validation", "test"):
        header = "sentence\tlabel" if name != "files" else "text\tlabel"
        lines = [header, *(f"text {i}\t{label}" for i, label in enumerate(labels))]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    if name == "files":
        files = {split: str(tmp_path / f"{split}.tsv") for split in ("train", "validation")}
        config = DataConfig("files", None, files, "text", None, "label", None, 16, 8, {}, names)
    else:
        config = DataConfig(name, str(tmp_path), {}, None, None, None, None, 16, 8, {}, names)
    return load_dataset(config, TASK)


def test_without_them_the_sorted_labels_are_the_classes(tmp_path):
    data = load(tmp_path, ["pos", "neg"], ())
    assert (data.label_names, data.splits["train"]["label"][:]) == (("neg", "pos"), [1, 0])


def test_they_are_the_classes_in_their_order(tmp_path):
    data = load(tmp_path, ["pos", "neg"], ("pos", "neutral", "neg"))
    assert (data.label_names, data.splits["train"]["label"][:]) == (("pos", "neutral", "neg"), [0, 2])


def test_one_class_in_the_data_is_enough_where_two_are_named(tmp_path):
    assert load(tmp_path, ["pos", "pos"], ("neg", "pos")).splits["train"]["label"][:] == [1, 1]


def test_data_may_number_them(tmp_path):
    assert load(tmp_path, ["1", "0"], ("neg", "pos")).splits["train"]["label"][:] == [1, 0]


def test_names_that_are_numbers_stand_for_themselves(tmp_path):
    assert load(tmp_path, ["2", "1"], ("1", "2")).splits["train"]["label"][:] == [1, 0]
    with pytest.raises(InputError, match="the label must be one of 1, 2; found '0'"):
        load(tmp_path, ["0", "1"], ("1", "2"))


@pytest.mark.parametrize("label", ["neutral", "2", "-1", ""])
def test_a_label_outside_of_them_is_an_error_with_its_line(tmp_path, label):
    with pytest.raises(InputError, match=r"train\.tsv, line 3: the label must be one of neg, pos; found"):
        load(tmp_path, ["pos", label], ("neg", "pos"))


def test_published_classes_may_be_reordered_and_keep_their_numbers(tmp_path):
    data = load(tmp_path, ["1", "0", "positive"], ("positive", "negative"), "sst2")
    assert (data.label_names, data.splits["train"]["label"][:]) == (("positive", "negative"), [0, 1, 0])


def test_published_classes_cannot_be_renamed(tmp_path):
    with pytest.raises(InputError, match=r"must hold the classes of sst2 in any order: negative, positive; received"):
        load(tmp_path, ["1", "0"], ("good", "bad"), "sst2")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('["a", "a"]', r"data\.label_names\.1 repeats 'a'"),
        ('["a", ""]', r"data\.label_names\.1 must not be empty"),
        ('["a", " b"]', r"data\.label_names\.1 must not be empty, or begin or end with white space"),
        ("[0, 1]", r"data\.label_names\.0 must be text; received 0; put it in quotes"),
    ],
)
def test_names_that_are_no_names_are_refused_in_the_configuration(names, message):
    with pytest.raises(InputError, match=message):
        load_config("bert_sst2", [f"data.label_names={names}"])


def test_classes_of_a_configuration_are_read_by_their_index_and_not_by_their_place():
    """As a tool that sorts JSON by its keys writes them."""
    from types import SimpleNamespace

    from common.training import adapters
    from common.training.opening import classes_of

    given = {"id2label": {str(index): f"class{index}" for index in (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9)}}
    expected = tuple(f"class{index}" for index in range(11))
    assert classes_of(given) == expected
    config = SimpleNamespace(data=SimpleNamespace(name="files", label_names=()))
    assert adapters._labels(config, {}, given) == expected
