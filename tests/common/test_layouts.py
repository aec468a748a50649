"""Files as people have them: published folders, headerless files, other separators and encodings, blank ends,
unlabelled test files."""

from __future__ import annotations

import json

import pytest

from common.cli.main import main
from common.config.schema import DataConfig
from common.data import load_dataset
from common.data.readers import Form, read_table
from common.errors import InputError
from common.tasks import TASKS

CLASSIFICATION = TASKS.get("sequence-classification")
ROWS = [("ein guter Film", "pos"), ("schlecht", "neg"), ("größer; besser", "pos"), ("nie wieder", "neg")]


def config(name="files", directory=None, **changes):
    given = {"files": {}, "text_column": None, "text_pair_column": None, "label_column": "label", "prompt_column": None}
    given |= {"max_length": 32, "length_multiple": 8, "max_examples": {}}
    return DataConfig(name=name, directory=None if directory is None else str(directory), **(given | changes))


def read(path, content, written="utf-8", task=CLASSIFICATION, **changes):
    """The training and validation rows of one file, in the file's order."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode(written))
    files = dict.fromkeys(("train", "validation"), str(path))
    data = load_dataset(config(files=files, **changes), task)
    train = data.splits["train"].to_dict()
    return [(text, data.label_names[label]) for text, label in zip(train["text"], train["label"], strict=True)]


def separated(mark, header=True, rows=ROWS):
    return "".join(f"{mark.join(row)}\n" for row in ([("text", "label")] if header else []) + rows)


PLAIN = [(text.replace("; ", ", "), label) for text, label in ROWS]
LAYOUTS = {
    "semicolons": ("a.csv", separated(";", rows=PLAIN), {"separator": ";"}, PLAIN),
    "bars in a text file": ("a.txt", separated("|"), {"separator": "|"}, ROWS),
    "a tsv without a header": ("a.tsv", separated("\t", header=False), {"columns": ("text", "label")}, ROWS),
    "a csv without a header": ("a.csv", separated(",", header=False), {"columns": ("text", "label")}, ROWS),
    "columns that the file names too": ("a.csv", separated(","), {"columns": ("text", "label")}, ROWS),
    "label text lines": (
        "a.txt",
        "".join(f"{label} {text}\n" for text, label in ROWS),
        {"separator": " ", "columns": ("label", "text")},
        ROWS,
    ),
    "row numbers of pandas": (
        "a.csv",
        ",text,label\n0,gut,pos\n1,schlecht,neg\n",
        {},
        [("gut", "pos"), ("schlecht", "neg")],
    ),
    "unnamed row numbers": (
        "a.tsv",
        "Unnamed: 0\ttext\tlabel\n0\tgut\tpos\n1\tx\tneg\n",
        {},
        [("gut", "pos"), ("x", "neg")],
    ),
    "blank lines at the end": ("a.csv", separated(",") + "\n  \n\n", {}, ROWS),
    "blank lines at the end of a tsv": ("a.tsv", separated("\t") + "\n\n", {}, ROWS),
    "blank lines at the end of jsonl": (
        "a.jsonl",
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS) + "\n\n",
        {},
        ROWS,
    ),
    "keys that only some objects have": (
        "a.jsonl",
        '{"text": "gut", "label": "pos", "id": 1}\n{"label": "neg", "text": "x", "note": null}\n',
        {},
        [("gut", "pos"), ("x", "neg")],
    ),
    "spaces in the header": ("a.csv", "text , label\ngut,pos\nx,neg\n", {}, [("gut", "pos"), ("x", "neg")]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_its_rows(tmp_path, layout):
    name, content, changes, rows = LAYOUTS[layout]
    assert read(tmp_path / name, content, **changes) == rows


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_an_encoding_is_a_setting(tmp_path, encoding, name):
    objects = [{"text": text, "label": label} for text, label in ROWS]
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    contents = {
        ".csv": separated(","),
        ".tsv": separated("\t"),
        ".jsonl": lines,
        ".json": json.dumps(objects, ensure_ascii=False),
    }
    assert read(tmp_path / name, contents[f".{name[2:]}"], encoding, encoding=encoding) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "changes", "part"),
    [
        ("a.csv", separated(";", rows=PLAIN[:2]), {}, "seem to be separated by ';': set data.separator"),
        ("a.csv", separated(",").encode("latin-1"), {}, "line 4: text must be UTF-8 text; byte"),
        ("a.csv", separated(",").encode("utf-16"), {}, "set data.encoding: utf-16"),
        ("a.csv", separated(","), {"columns": ("text", "label", "id")}, "3 fields were expected"),
        ("a.csv", "a,1\n\nb,2\n", {"columns": ("text", "label")}, "line 2: 2 columns were expected"),
        ("a.csv", separated(",", header=False), {}, "A file without a header needs data.columns"),
        (
            "a.txt",
            "pos gut\nneg\n",
            {"separator": " ", "columns": ("label", "text")},
            "line 2: 2 columns were expected",
        ),
        (
            "a.jsonl",
            '{"text": "gut", "label": "pos"}\n{"txt": "x", "label": "neg"}\n',
            {},
            "line 2: a text was expected",
        ),
        ("a.jsonl", "".join(f'{{"text{i}": 1}}\n' for i in range(1001)), {}, "more than 1000 different keys"),
    ],
)
def test_what_does_not_fit_is_said_with_the_setting_that_helps(tmp_path, name, content, changes, part):
    with pytest.raises(InputError, match=part.replace(".", r"\.")):
        read(tmp_path / name, content, **changes)


def test_a_folder_of_classes_stands_for_a_file(tmp_path):
    for label, texts in {"spam": ["buy", "buy now"], "ham": ["hello\n"]}.items():
        (tmp_path / "mails" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (tmp_path / "mails" / label / f"{number}.txt").write_text(text)
    (tmp_path / "mails" / ".cache").mkdir()
    files = dict.fromkeys(("train", "validation"), "mails")
    data = load_dataset(config(directory=tmp_path, files=files), CLASSIFICATION)
    assert data.label_names == ("ham", "spam")
    assert data.splits["train"].to_dict() == {"text": ["hello", "buy", "buy now"], "label": [0, 1, 1]}
    (tmp_path / "mails" / "ham" / "0.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"mails, ham/0\.txt: a text was expected"):
        load_dataset(config(directory=tmp_path, files=files), CLASSIFICATION)


def test_imdb_is_read_as_it_is_published(shared_data):
    data = load_dataset(config("imdb", shared_data("imdb_sample"), label_column=None), CLASSIFICATION)
    assert data.label_names == ("negative", "positive")
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 2700, "validation": 300, "test": 1000}
    assert sum(data.splits["test"]["label"]) == 500
    folder = shared_data("imdb_sample") / "test"
    first = min(path.name for path in (folder / "neg").glob("*.txt"))
    assert data.splits["test"]["text"][0] == (folder / "neg" / first).read_text(encoding="utf-8").strip()


def test_imdb_without_its_folders_says_which_it_looks_for(tmp_path):
    (tmp_path / "train" / "pos").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"The test file is missing .* the folders neg and pos in a folder of each split"
    ):
        load_dataset(config("imdb", tmp_path, label_column=None), CLASSIFICATION)


def test_ag_news_as_published_is_also_a_file_without_a_header(shared_data):
    """By the registered name, and as anybody's csv file: the same texts and the same classes."""
    folder = shared_data("ag_news_sample")
    named = load_dataset(config("ag_news", folder, label_column=None), CLASSIFICATION)
    assert named.label_names == ("World", "Sports", "Business", "Sci/Tech")
    columns = ("label", "title", "text")
    own = load_dataset(config(files={"train": str(folder / "test.csv")}, columns=columns), CLASSIFICATION)
    assert own.label_names == ("1", "2", "3", "4")
    rows = {split: own.splits[split].to_dict() for split in ("train", "validation")}
    pairs = [pair for found in rows.values() for pair in zip(found["text"], found["label"], strict=True)]
    published = list(zip(named.splits["test"]["text"], named.splits["test"]["label"], strict=True))
    assert len(published) == len(pairs) == 1000
    # The registered data set joins title and description; what was read here is the description alone.
    ends = {(text.split()[-1], label) for text, label in published}
    assert {(text.split()[-1], label) for text, label in pairs} == ends


@pytest.mark.parametrize("missing", ["no column", "an empty column", "-1 in every row"])
def test_an_unlabelled_test_file_is_not_scored_and_said_so(tmp_path, missing):
    (tmp_path / "train.csv").write_text(separated(","), encoding="utf-8")
    test = {
        "no column": "text\na\nb\n",
        "an empty column": "text,label\na,\nb,\n",
        "-1 in every row": "text,label\na,-1\nb,-1\n",
    }
    (tmp_path / "test.csv").write_text(test[missing])
    data = load_dataset(config(directory=tmp_path, files={"train": "train.csv", "test": "test.csv"}), CLASSIFICATION)
    assert data.unlabelled == {"test"}
    assert any("test split were not published" in note for note in data.notes)


def test_minus_one_is_a_class_where_the_training_data_have_it(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,-1\nb,1\nc,-1\n")
    (tmp_path / "test.csv").write_text("text,label\na,-1\n")
    data = load_dataset(config(directory=tmp_path, files={"train": "train.csv", "test": "test.csv"}), CLASSIFICATION)
    assert not data.unlabelled
    assert data.splits["test"]["label"][:] == [0]


@pytest.fixture
def hub(monkeypatch):
    """A data set of the hub with splits of other names and numbered classes."""
    import datasets

    features = datasets.Features({"sentence": datasets.Value("string"), "y": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"sentence": ["a", "b", "c"], "y": [1, 0, 1]}
    found = {split: datasets.Dataset.from_dict(rows, features) for split in ("training", "dev")}
    asked = []

    def load(*arguments):
        asked.append(arguments)
        return datasets.DatasetDict(found)

    monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")  # the stand-in is asked
    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def test_any_data_set_of_the_hub_is_read_by_its_id(hub):
    names = {"text_column": "sentence", "label_column": "y"}
    given = config(
        "hub", hub="owner/name", hub_config="small", splits={"train": "training", "validation": "dev"}, **names
    )
    data = load_dataset(given, CLASSIFICATION)
    assert hub == [("owner/name", "small")]
    assert data.label_names == ("no", "yes")
    assert data.splits["train"].to_dict() == {"text": ["a", "b", "c"], "label": [1, 0, 1]}
    with pytest.raises(
        InputError, match=r"should have the split train; it has training, dev\. Name its splits in data\.splits"
    ):
        load_dataset(config("hub", hub="owner/name", **names), CLASSIFICATION)
    with pytest.raises(InputError, match="should have the split none"):
        load_dataset(
            config("hub", hub="owner/name", splits={"train": "training", "test": "none"}, **names), CLASSIFICATION
        )


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("data.encoding=utf-9", "must be an encoding of text that Python knows"),
        ("data.encoding=zip", "must be an encoding of text that Python knows"),
        ("data.separator=ab", "must be one character"),
        ("data.columns=[a, a]", "must be a name that no other column has"),
        ("data.hub=owner/name", "belongs to data.name: hub"),
        ("data.name=hub", "must be the id of a data set"),
    ],
)
def test_a_setting_of_a_layout_that_cannot_be_is_refused(tmp_path, capsys, setting, part):
    (tmp_path / "a.yaml").write_text(
        "data: {name: files, files: {train: a.csv}, label_column: label}\nmodel: {source: x}\ntraining: {global_batch_size: 1}\n"
        "adaptation: {method: head}\n"
    )
    assert main(["inspect", str(tmp_path / "a.yaml"), "--set", setting]) == 2
    assert part in capsys.readouterr().err


def test_the_line_in_which_excel_names_the_separator_is_no_row(tmp_path):
    rows = 'sep=;\r\ntext;label\r\n"a; b";pos\r\nc;neg;\r\n'
    (tmp_path / "a.csv").write_bytes(rows.encode("utf-8-sig"))
    with pytest.raises(InputError, match=r"line 4: 2 columns were expected \(text, label\); found 3"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(rows.replace("neg;", "neg").encode())
    table = read_table(tmp_path / "a.csv")
    assert table.columns == {"text": ["a; b", "c"], "label": ["pos", "neg"]}
    assert list(table.lines) == [3, 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "gb18030"])
def test_a_mark_of_the_byte_order_is_no_part_of_the_first_column(encoding, tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufefftext,label\ngut,pos\n".encode(encoding))
    assert list(read_table(tmp_path / "a.csv", Form(encoding)).columns) == ["text", "label"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_not_read_as_text_of_zeros(encoding, tmp_path):
    (tmp_path / "a.txt").write_bytes("a text\nanother one\n".encode(encoding))
    with pytest.raises(InputError, match=f"set data.encoding: {encoding}"):
        read_table(tmp_path / "a.txt")
    assert read_table(tmp_path / "a.txt", Form(encoding)).columns == {"text": ["a text", "another one"]}
    (tmp_path / "b.txt").write_text("a text\0\nanother one\n")
    assert read_table(tmp_path / "b.txt").columns == {"text": ["a text\0", "another one"]}
