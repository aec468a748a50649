"""``twinlora init`` finds out what data are, and writes an experiment file that reads every row of them."""

import json

import pytest

from common.cli.main import main
from common.config import load_config
from common.data import load_dataset
from common.data.profile import Column
from common.tasks import TASKS

SENTENCES = [
    f"the {a} film was {b} and {c}" for a in ("old", "new", "long") for b in ("dull", "fine") for c in "abcdefg"
]
CHINESE = [
    f"这部电影{a}很{b} 我{c}喜欢它"
    for a in ("真的", "确实", "有时")
    for b in ("好看", "无聊")
    for c in ("很", "不", "非常", "最", "太", "还", "更")
]


def rows(*columns):
    return [dict(zip(columns[::2], values, strict=True)) for values in zip(*columns[1::2], strict=True)]


def csv(found, header=True, separator=","):
    lines = [separator.join(map(str, row.values())) for row in found]
    return "\n".join(([separator.join(found[0])] if header else []) + lines) + "\n"


def jsonl(found):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)


CLASSES = ["bad", "good"] * 21
WORDS = [["Ann", "flew", "to", "Rome", f"number{n}"] for n in range(42)]
CASES = {
    "classes": ("data.csv", csv(rows("text", SENTENCES, "label", CLASSES)), "sequence-classification",
                {"text_column": "text", "label_column": "label"}),
    "numbered classes beside an index": ("data.csv", csv(rows("id", range(42), "review", SENTENCES, "stars", [1, 2, 3] * 14)),
                "sequence-classification", {"text_column": "review", "label_column": "stars"}),
    "a pair": ("data.tsv", csv(rows("sentence1", SENTENCES, "sentence2", SENTENCES[::-1], "label", CLASSES), separator="\t"),
                "sequence-classification", {"text_column": "sentence1", "text_pair_column": "sentence2", "label_column": "label"}),
    "scores": ("data.jsonl", jsonl(rows("text", SENTENCES, "score", [n / 8 for n in range(42)])), "regression",
                {"text_column": "text", "label_column": "score"}),
    "lists of labels": ("data.jsonl", jsonl(rows("text", SENTENCES, "topics", [["a"], ["a", "b"], []] * 14)),
                "multi-label-classification", {"text_column": "text", "label_column": "topics"}),
    "tags": ("data.jsonl", jsonl(rows("tokens", WORDS, "ner_tags", [["B-PER", "O", "O", "B-LOC", "O"]] * 42)),
                "token-classification", {"text_column": "tokens", "label_column": "ner_tags"}),
    "conll": ("data.conll", "".join("Ann\tB-PER\nflew\tO\n\n" for _ in range(12)), "token-classification",
                {"text_column": "tokens", "label_column": "tags"}),
    "prompts": ("data.jsonl", jsonl(rows("prompt", SENTENCES, "completion", SENTENCES[::-1])), "language-modeling",
                {"text_column": "completion", "prompt_column": "prompt"}),
    "plain text": ("data.txt", "\n".join(SENTENCES), "language-modeling", {"text_column": "text"}),
    "text and class between semicolons": ("data.txt", csv(rows("text", SENTENCES, "label", CLASSES), False, ";"),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "a csv file with semicolons": ("data.csv", csv(rows("text", SENTENCES, "label", CLASSES), True, ";"),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "a csv file with semicolons and quotation marks": ("data.csv", csv(rows('"text"', [f'"{s}; or not"' for s in SENTENCES], '"label"', CLASSES), True, ";"),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "a csv file with tabs": ("data.csv", csv(rows("text", SENTENCES, "label", CLASSES), True, "\t"),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "a tsv file with commas": ("data.tsv", csv(rows("text", SENTENCES, "label", CLASSES)),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "a class that is called as its column": ("data.csv", csv(rows("text", ["text", *SENTENCES[1:]], "label", ["label", *CLASSES[1:]])),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "texts with semicolons, one in a line": ("data.csv", csv(rows("text", [f"{s}; or not" for s in SENTENCES])), "language-modeling",
                {"text_column": "text"}),
    "the separator as Excel names it": ("data.csv", "sep=;\r\n" + csv(rows("text", SENTENCES, "label", CLASSES), True, ";"),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "the same with a header": ("data.txt", csv(rows("text", SENTENCES, "label_name", CLASSES), True, ";"),
                "sequence-classification", {"text_column": "text", "label_column": "label_name"}),
    "the class as the first word": ("data.txt", csv(rows("label", CLASSES, "text", SENTENCES), False, " "),
                "sequence-classification", {"text_column": "text", "label_column": "label"}),
    "Chinese": ("data.csv", csv(rows("评论", CHINESE, "标签", ["好", "坏"] * 21)), "sequence-classification",
                {"text_column": "评论", "label_column": "标签"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_data_are_recognised_and_the_file_reads_them(case, tmp_path, monkeypatch, capsys):
    name, content, task, columns = CASES[case]
    (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 0
    said = capsys.readouterr().out
    assert f"task        {task}" in said
    config = load_config("data.yaml", [])
    assert config.model.task == task
    assert {entry: getattr(config.data, entry) for entry in columns} == columns
    others = {"text_column", "text_pair_column", "label_column", "prompt_column"} - set(columns)
    assert [entry for entry in others if getattr(config.data, entry)] == []
    data = load_dataset(config.data, TASKS.get(task))
    assert sum(map(len, data.splits.values())) in (42, 12)
    assert ("chinese" in config.model.source) == (case == "Chinese")


def test_splits_are_found_in_a_folder_and_their_overlap_is_said(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "reviews"
    folder.mkdir()
    whole = rows("text", SENTENCES, "label", CLASSES)
    (folder / "train.csv").write_text(csv([*whole[:30], {"text": SENTENCES[0], "label": "good"}]))
    (folder / "dev.csv").write_text(csv(whole[28:36]))
    (folder / "my-test.csv").write_text(csv(whole[36:]))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "reviews"]) == 0
    said = capsys.readouterr().out
    assert "2 of 8 different examples of validation also stand in train" in said
    assert "1 examples of train occur with different labels, first 'the old film" in said
    assert load_config("reviews.yaml", []).data.files == {
        "train": "train.csv", "validation": "dev.csv", "test": "my-test.csv"
    }  # fmt: skip
    assert main(["init", "reviews"]) == 2
    assert "--force" in capsys.readouterr().err


def test_a_folder_of_classes_is_one_split(tmp_path, monkeypatch):
    for label in ("neg", "pos"):
        (tmp_path / "films" / label).mkdir(parents=True)
        for n in range(5):
            (tmp_path / "films" / label / f"{n}.txt").write_text(SENTENCES[n] + label)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "films", "-o", "x.yaml", "--model", "some/model"]) == 0
    config = load_config("x.yaml", [])
    assert config.model.source == "some/model"
    assert config.data.label_column == "label"


REFUSED = {
    "no header": (csv(rows("2", CLASSES, "England to play South Africa in the final next week", SENTENCES)), [], "seems to have no header"),
    "the first line is an example": (csv(rows("a film that is good", SENTENCES, "good", CLASSES)), [], "'good' is also one of its values"),
    "the first line is an example, in unlike order": (csv(rows("bad", CLASSES, "a film that is bad", SENTENCES)), [], "'bad' is also one of its values"),
    "the first line has a score": (csv(rows("a fine film", SENTENCES, "0.55", [n / 8 for n in range(42)])), [], "names no columns, '0.55' for one"),
    "UTF-16 without a mark": ("\0".join(csv(rows("text", SENTENCES, "label", CLASSES))) + "\0", [], "set data.encoding: utf-16-le"),
    "nothing to predict": (csv(rows("a", [n / 3 for n in range(42)], "b", [n / 7 for n in range(42)])), [], "No task recognises"),
    "no such column": (csv(rows("text", SENTENCES, "label", CLASSES)), ["--label", "lable"], "Nearest: label"),
    "a row that cannot be read": (csv(rows("text", [*SENTENCES[:-1], ""], "label", CLASSES)), [], "a text was expected"),
    "columns of the same name": (csv(rows("text", SENTENCES, "label", CLASSES)).replace("text,label", "text,text"), [], "received 'text', 'text'"),
    "no such encoding": (csv(rows("text", SENTENCES, "label", CLASSES)), ["--encoding", "utf8mb4"], "no encoding of text 'utf8mb4'"),
    "an encoding of bytes": (csv(rows("text", SENTENCES, "label", CLASSES)), ["--encoding", "base64"], "no encoding of text 'base64'"),
    "another encoding": (csv(rows("text", ["好", *SENTENCES[1:]], "label", CLASSES)), ["--encoding", "ascii"], "must be ascii text"),
    "no such task": (csv(rows("text", SENTENCES, "label", CLASSES)), ["--task", "regresion"], "Nearest: regression"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_writes_nothing(case, tmp_path, monkeypatch, capsys):
    content, options, expected = REFUSED[case]
    (tmp_path / "data.csv").write_text(content)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data.csv", *options]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "data.yaml").exists()


def test_a_named_column_serves_as_it_is_told(tmp_path, monkeypatch):
    stars = rows("title", SENTENCES, "body", SENTENCES[::-1], "stars", [1, 2, 3] * 14)
    (tmp_path / "data.csv").write_text(csv(stars))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data.csv", "--text", "title", "--label", "stars", "--task", "regression"]) == 0
    config = load_config("data.yaml", [])
    assert (config.model.task, config.data.text_column, config.data.label_column) == ("regression", "title", "stars")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "empty"),
        ([None, ""], "empty"),
        (["x"] * 5, "constant"),
        (list(range(100)), "identifier"),
        ([n * 7 % 90 for n in range(300)], "number"),
        ([True, False] * 4, "class"),
        ([0.5, 1.0], "number"),
        ([float("nan"), 1.0], "constant"),
        (["yes", "no"] * 40, "class"),
        ([{"a": 1}, {"b": 2}] * 3, "objects"),
        ([["a"], "b"], "objects"),
        ([[0.5], [1.0]], "objects"),
    ],
)
def test_the_kind_of_a_column(values, kind):
    assert Column("x", values).kind == kind


@pytest.mark.parametrize("labels", [CLASSES, [f"c{number}" for number in range(21)] * 2])
def test_a_label_that_is_named_is_of_one_class(labels, tmp_path, monkeypatch):
    (tmp_path / "data.csv").write_text(csv(rows("text", SENTENCES, "label", labels)))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data.csv", "--label", "label"]) == 0
    assert load_config("data.yaml", []).model.task == "sequence-classification"


@pytest.mark.parametrize("labels", [["only"] * 42, [f"c{number}" for number in range(21)] * 2])
def test_a_label_that_is_not_used_is_said(labels, tmp_path, monkeypatch, capsys):
    (tmp_path / "data.csv").write_text(csv(rows("text", SENTENCES, "label", labels)))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data.csv"]) == 0
    assert load_config("data.yaml", []).model.task == "language-modeling"
    assert "note: Column label (" in capsys.readouterr().out


def test_commands_can_be_copied_where_a_path_has_spaces(tmp_path, monkeypatch, capsys):
    (tmp_path / "my data.csv").write_text(csv(rows("text", SENTENCES, "label", CLASSES)))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my data.csv"]) == 0
    assert "twinlora inspect 'my data.yaml' " in capsys.readouterr().out
    assert "twinlora train 'my data.yaml' " in (tmp_path / "my data.yaml").read_text()


def test_the_experiment_never_replaces_the_data(tmp_path, monkeypatch, capsys):
    content = csv(rows("text", SENTENCES, "label", CLASSES))
    (tmp_path / "data.csv").write_text(content)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data.csv", "-o", "./data.csv", "--force"]) == 2
    assert "holds the data" in capsys.readouterr().err
    assert (tmp_path / "data.csv").read_text() == content


@pytest.mark.parametrize(("count", "epochs"), [(42, 20), (200, 17), (3000, 3)])
def test_few_examples_are_read_more_often(count, epochs, tmp_path, monkeypatch, capsys):
    """200 rows of three epochs are 36 steps, after which an adapter answers as chance does."""
    monkeypatch.chdir(tmp_path)
    labels = ["bad", "good"] * (count // 2)
    texts = [f"a {label} film, number {number}" for number, label in enumerate(labels)]
    (tmp_path / "data.csv").write_text(csv(rows("text", [f'"{text}"' for text in texts], "label", labels)))
    assert main(["init", "data.csv"]) == 0
    assert load_config("data.yaml", []).training.epochs == epochs
