"""Data sets load from every documented local form, and each planted defect is reported with its file and line."""

import json

import pytest

from common.config.schema import DataConfig
from common.data import DATASETS, load_dataset
from common.errors import InputError
from common.tasks import TASKS

CLASSIFICATION, LANGUAGE = TASKS.get("sequence-classification"), TASKS.get("language-modeling")


def config(name, directory=None, **changes):
    settings = {
        "files": {},
        "text_column": None,
        "text_pair_column": None,
        "label_column": None,
        "prompt_column": None,
        "max_length": 32,
        "length_multiple": 8,
        "max_examples": {},
    }
    return DataConfig(name=name, directory=None if directory is None else str(directory), **(settings | changes))


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


SST2 = {"train__txt": "good film \t1\nbad film\t0\n", "valid__txt": "so so\t0\n", "test__txt": "fine\t1"}
COLA_ROW = "gj04\t1\t\tA sentence.\n"
VALID = {
    "sst2": SST2,
    "cola": {"train__tsv": COLA_ROW, "dev__tsv": COLA_ROW.rstrip(), "test__tsv": "index\tsentence\n0\tNo label.\n"},
    "snips": {f"{split}__txt": "play a song \tPlayMusic\r\n" for split in ("train", "valid", "test")},
    "emotion": {f"{split}__txt": "text;label_name\ni feel fine;joy\n" for split in ("train", "val", "test")},
    "wikitext2": {f"{split}__txt": " \n = Title = \n \n Some text . \n" for split in ("train", "valid", "test")},
    "e2e": {
        f"{split}__csv": '"mr","ref"\n"name[A], food[B]","A serves\nB."\n'
        for split in ("trainset", "devset", "testset_w_refs")
    },
}
USUAL = {name: CLASSIFICATION if "label" in entry.roles else LANGUAGE for name, entry in DATASETS.items()}


def load(name, folder, **changes):
    return load_dataset(config(name, folder, **changes), USUAL[name])


@pytest.mark.parametrize(
    ("name", "folder", "sizes"),
    [
        ("sst2", "sst2", (67349, 872, 1821)),
        ("sst2", "sst2-sentences", (6920, 872, 1821)),
        ("cola", "cola", (8551, 1043, 1063)),
        ("snips", "snips", (13084, 700, 700)),
        ("emotion", "emotion", (16000, 2000, 2000)),
        ("wikitext2", "wikitext2", (36718, 3760, 4358)),
        ("e2e", "e2e", (42061, 4672, 4693)),
    ],
)
def test_real_data_has_the_published_rows(shared_data, name, folder, sizes):
    data = load(name, shared_data(folder))
    assert tuple(len(data.splits[split]) for split in ("train", "validation", "test")) == sizes
    assert data.unlabelled == ({"test"} if name == "cola" else frozenset())


def test_real_wikitext2_has_the_published_tokens(shared_data):
    data = load("wikitext2", shared_data("wikitext2"))
    counts = [sum(len(text.split()) + 1 for text in split["text"]) for split in data.splits.values()]
    assert counts == [2_088_628, 217_646, 245_569]


def test_real_e2e_has_the_published_meaning_representations(shared_data):
    data = load("e2e", shared_data("e2e"))
    assert [len(set(split["prompt"])) for split in data.splits.values()] == [4862, 547, 630]


def test_sst2_label_forms_agree_on_real_validation_sentences(shared_data):
    tab, first = (load("sst2", shared_data(folder)).splits["validation"] for folder in ("sst2", "sst2-sentences"))
    tab, first = (dict(zip(split["text"], split["label"], strict=True)) for split in (tab, first))
    shared = tab.keys() & first.keys()  # the forms write brackets differently
    assert len(shared) > 800
    assert {text: tab[text] for text in shared} == {text: first[text] for text in shared}


def test_each_local_form_gives_texts_labels_and_prompts(tmp_path):
    data = {name: load(name, write(tmp_path / name, **files)) for name, files in VALID.items()}
    assert data["sst2"].splits["train"].to_dict() == {"text": ["good film", "bad film"], "label": [1, 0]}
    assert data["sst2"].label_names == ("negative", "positive")
    assert data["cola"].splits["validation"].to_dict() == {"text": ["A sentence."], "label": [1]}
    assert data["cola"].splits["test"].to_dict() == {"text": ["No label."]}
    assert data["snips"].splits["test"].to_dict() == {
        "text": ["play a song"],
        "label": [data["snips"].label_names.index("PlayMusic")],
    }
    assert data["emotion"].splits["train"].to_dict() == {"text": ["i feel fine"], "label": [1]}
    assert data["wikitext2"].splits["train"].to_dict() == {"text": ["", " = Title =", "", " Some text ."]}
    assert data["e2e"].splits["test"].to_dict() == {"text": ["A serves\nB."], "prompt": ["name[A], food[B]"]}
    columns = [data[name].splits["train"].column_names for name in ("sst2", "wikitext2", "e2e")]
    assert columns == [["text", "label"], ["text"], ["text", "prompt"]]


def test_sst2_is_also_read_with_the_label_first(tmp_path):
    folder = write(tmp_path, train__txt="1 good film\n0 bad\n", valid__txt="0 x\n", test__txt="1 y\n")
    assert load("sst2", folder).splits["train"].to_dict() == {"text": ["good film", "bad"], "label": [1, 0]}


def test_a_header_is_recognised_and_a_byte_order_mark_ignored(tmp_path):
    folder = write(
        tmp_path,
        train__tsv="\ufeffsentence\tlabel\ngood\t1\n",
        dev__tsv="sentence\tlabel\nbad\t0\n",
        test__tsv="index\tsentence\n0\tx\n",
    )
    data = load("sst2", folder)
    assert data.splits["train"].to_dict() == {"text": ["good"], "label": [1]}
    assert data.unlabelled == {"test"}


@pytest.mark.parametrize("extension", ["csv", "jsonl", "json", "parquet"])
def test_hub_layouts_are_read_with_an_unlabelled_test_split(tmp_path, extension):
    from datasets import Dataset

    folder = tmp_path / "data"
    folder.mkdir()
    for split, label in (("train", 1), ("validation", 0), ("test", -1)):
        rows = Dataset.from_dict(
            {"idx": [0, 1], "sentence": ['a "quoted", text', "line\nbreak"], "label": [label, label]}
        )
        path = folder / (f"{split}-00000-of-00001.parquet" if extension == "parquet" else f"{split}.{extension}")
        if extension == "csv":
            rows.to_csv(path)
        elif extension == "parquet":
            rows.to_parquet(path)
        elif extension == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text(json.dumps(list(rows)))
    data = load("sst2", tmp_path)
    assert data.splits["train"].to_dict() == {"text": ['a "quoted", text', "line\nbreak"], "label": [1, 1]}
    assert data.unlabelled == {"test"}
    assert data.splits["test"].column_names == ["text"]


def test_shards_are_joined_in_order_and_a_missing_one_is_an_error(tmp_path):
    folder = write(tmp_path, valid__txt="x\t0\n", test__txt="y\t1\n")
    write(
        folder,
        **{
            "train-00000-of-00002.csv": "sentence,label\nfirst,0\n",
            "train-00001-of-00002.csv": "sentence,label\nsecond,1\n",
        },
    )
    assert load("sst2", folder).splits["train"]["text"][:] == ["first", "second"]
    (folder / "train-00000-of-00002.csv").unlink()
    with pytest.raises(InputError, match="train-00000-of-00002"):
        load("sst2", folder)


DEFECTS = [
    ("sst2", "train__txt", "good\t1\nno tab here\n", ["train.txt, line 2", "2 columns", "found 1"]),
    ("sst2", "train__txt", "good\t1\n\nbad\t0\n", ["train.txt, line 2", "2 columns"]),
    ("sst2", "train__txt", "good\t1\nbad\t2\n", ["train.txt, line 2", "negative, positive", "'2'"]),
    ("sst2", "train__txt", "good\t1\nbad\t-1\n", ["train.txt, line 2", "'-1'"]),
    ("sst2", "train__txt", "good\t-1\nbad\t-1\n", ["train.txt, line 1", "'-1'"]),
    ("sst2", "train__txt", "good\t1\n \t0\n", ["train.txt, line 2", "text"]),
    ("sst2", "train__txt", "1 good\n0 \n", ["train.txt, line 2", "text"]),
    ("sst2", "train__txt", "1 good\nbad\n", ["train.txt, line 2", "2 columns"]),
    ("sst2", "train__txt", b"good\t1\nna\xefve\t0\n", ["train.txt, line 2", "UTF-8", "0xef"]),
    ("sst2", "train__txt", "good\t1\n".encode("utf-16"), ["train.txt, line 1", "UTF-8"]),
    ("sst2", "train__txt", "", ["train.txt", "empty"]),
    ("sst2", "test__txt", "a\t-1\nb\t1\n", ["test.txt, line 1", "'-1'"]),
    ("cola", "train__tsv", COLA_ROW + "gj04\t1\tA sentence.\n", ["train.tsv, line 2", "4 columns", "found 3"]),
    ("cola", "dev__tsv", "index\tsentence\n0\tNo label.\n", ["dev.tsv", "label"]),
    ("cola", "test__tsv", "index\tsentence\n", ["test.tsv", "empty"]),
    ("snips", "valid__txt", "play a song\tPlayMusik\n", ["valid.txt, line 1", "PlayMusik", "Nearest: PlayMusic"]),
    ("emotion", "train__txt", "text;label_name\na;b;joy\n", ["train.txt, line 2", "2 columns", "found 3"]),
    ("emotion", "val__txt", "text;label_name\n", ["val.txt", "empty"]),
    ("wikitext2", "valid__txt", " \n \n", ["valid.txt", "blank"]),
    ("e2e", "trainset__csv", 'mr,ref\n"name[A]","x"\n"name[B]"\n', ["trainset.csv, line 3", "2 columns", "found 1"]),
    ("e2e", "trainset__csv", 'mr,ref\n"name[A]","two\nlines"\n"name[B]",""\n', ["trainset.csv, line 4", "ref"]),
    ("e2e", "trainset__csv", 'mr,ref\n"name[A]","never closed\n', ["trainset.csv, line 2", "quotation mark"]),
    ("e2e", "trainset__csv", "mr,reff\na,b\n", ["trainset.csv", "human_reference or ref", "mr, reff"]),
    ("e2e", "trainset__csv", "mr,mr\na,b\n", ["trainset.csv, line 1", "differ"]),
]


@pytest.mark.parametrize(("name", "file", "content", "expected"), DEFECTS)
def test_a_defect_is_reported_with_file_line_and_expectation(tmp_path, name, file, content, expected):
    write(tmp_path, **(VALID[name] | {file: content}))
    with pytest.raises(InputError) as caught:
        load(name, tmp_path)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("train.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"\n', ["line 2", "JSON"]),
        ("train.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"}\n', ["line 2", "missing"]),
        ("train.jsonl", '{"text": "a", "label": "x"}\n[1]\n', ["line 2", "list"]),
        ("train.jsonl", '{"text": "a", "label": "x"}\n{"text": null, "label": "y"}\n', ["line 2", "None"]),
        ("train.json", '{"text": "a"}', ["list of objects"]),
        ("train.json", '[\n{"text": "a"},\n{"text": }]', ["line 3", "JSON"]),
        ("train.parquet", "PAR1 not really", ["parquet"]),
        ("train.csv", "txt,label\na,x\nb,y\n", ["column text", "Nearest: txt"]),
        ("train.csv", "text,label\na,x\nb,x\n", ["at least two labels"]),
        ("train.csv", "text,label\na,x\nb,y\nc,\n", ["line 4", "''"]),
        ("train.tsv", "text\tlabel\na\tx\ty\n", ["line 2", "2 columns"]),
        ("train.docx", "text", ["extension", ".csv"]),
        ("train.csv", "", ["empty", "label"]),
        ("train.json", "[]", ["empty", "label"]),
    ],
)
def test_a_defect_in_a_users_file_is_reported(tmp_path, file, content, expected):
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError) as caught:
        load_dataset(config("files", files={"train": str(tmp_path / file)}, label_column="label"), CLASSIFICATION)
    for part in (file, *expected):
        assert part in str(caught.value)


def test_users_labels_are_sorted_and_integers_by_value(tmp_path):
    write(tmp_path, words__csv="t,y\na,b\nb,a\nc,b\n", numbers__csv="t,y\na,10\nb,2\nc,10\n", val__csv="t,y\na,c\n")
    words = load_dataset(
        config(
            "files",
            tmp_path,
            files={"train": "words.csv", "validation": "words.csv"},
            text_column="t",
            label_column="y",
        ),
        CLASSIFICATION,
    )
    numbers = load_dataset(
        config(
            "files",
            tmp_path,
            files={"train": "numbers.csv", "validation": "numbers.csv"},
            text_column="t",
            label_column="y",
        ),
        CLASSIFICATION,
    )
    assert (words.label_names, words.splits["train"]["label"][:]) == (("a", "b"), [1, 0, 1])
    assert (numbers.label_names, numbers.splits["train"]["label"][:]) == (("2", "10"), [1, 0, 1])
    with pytest.raises(InputError, match=r"val\.csv, line 2.*'c'"):
        load_dataset(
            config(
                "files",
                tmp_path,
                files={"train": "words.csv", "validation": "val.csv"},
                text_column="t",
                label_column="y",
            ),
            CLASSIFICATION,
        )


def test_users_files_serve_language_modelling_with_and_without_a_prompt(tmp_path):
    write(
        tmp_path,
        lines__txt="def f():\n    return 1\n\n",
        pairs__jsonl='{"q": "a", "text": "b"}\n{"q": "c", "text": "d"}\n',
    )
    text = load_dataset(config("files", tmp_path, files={"train": "lines.txt", "validation": "lines.txt"}), LANGUAGE)
    assert text.splits["train"].to_dict() == {"text": ["def f():", "    return 1", ""]}
    pairs = load_dataset(
        config("files", tmp_path, files={"train": "pairs.jsonl", "validation": "pairs.jsonl"}, prompt_column="q"),
        LANGUAGE,
    )
    assert pairs.splits["train"].to_dict() == {"text": ["b", "d"], "prompt": ["a", "c"]}


def test_a_missing_validation_split_is_a_fixed_tenth_of_train(tmp_path):
    rows = [(f"review {i}", i // 50) for i in range(100)]  # sorted by label, as imdb is
    content = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    write(tmp_path, train__csv=content, test__csv=content)
    data, again = (load("imdb", tmp_path) for _ in range(2))
    train, validation = (
        list(zip(data.splits[split]["text"], data.splits[split]["label"], strict=True))
        for split in ("train", "validation")
    )
    assert (len(train), len(validation)) == (90, 10)
    assert sorted(train + validation) == sorted(rows)
    assert again.splits["train"].to_dict() == data.splits["train"].to_dict()
    assert {label for _, label in train[:20]} == {0, 1}


def test_max_examples_keeps_the_first_and_checks_its_keys(tmp_path):
    write(tmp_path, **SST2)
    data = load("sst2", tmp_path, max_examples={"train": 1, "test": 99})
    assert [len(split) for split in data.splits.values()] == [1, 1, 1]
    assert data.splits["train"]["text"][:] == ["good film"]
    for bad in ({"dev": 1}, {"train": 0}):
        with pytest.raises(InputError, match="max_examples"):
            load("sst2", tmp_path, max_examples=bad)


def test_a_missing_folder_file_or_ambiguous_file_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist.*valid"):
        load("sst2", tmp_path / "nowhere")
    write(tmp_path, **SST2)
    write(tmp_path, train__csv="sentence,label\na,1\n")
    with pytest.raises(InputError, match=r"ambiguous: train\.csv, train\.txt"):
        load("sst2", tmp_path)
    (tmp_path / "train.csv").unlink()
    (tmp_path / "valid.txt").unlink()
    with pytest.raises(InputError, match=r"validation file is missing.*dev"):
        load("sst2", tmp_path)


@pytest.mark.parametrize(
    ("settings", "task", "expected"),
    [
        ({"name": "e2e"}, CLASSIFICATION, "one of sst2, cola, .*emotion, snips"),
        ({"name": "files", "files": {"train": "a.csv"}}, CLASSIFICATION, "data.label_column"),
        (
            {"name": "files", "files": {"train": "a.csv"}, "label_column": "y"},
            LANGUAGE,
            "does not read data.label_column",
        ),
        (
            {"name": "files", "files": {"train": "a.csv"}, "label_column": "y", "prompt_column": "q"},
            LANGUAGE,
            "does not read data.label_column",
        ),
        ({"name": "files", "files": {"test": "a.csv"}}, LANGUAGE, "train"),
        ({"name": "files", "files": {"train": "a.csv", "dev": "b.csv"}}, LANGUAGE, "dev"),
        ({"name": "files", "files": {"train": "no/such/file.csv"}}, LANGUAGE, "no/such/file.csv"),
        ({"name": "sst3"}, CLASSIFICATION, "sst2"),
        ({"name": None}, CLASSIFICATION, "must be one of"),
        ({"name": "sst2", "text_column": "t", "files": {"train": "x"}}, CLASSIFICATION, "data.text_column, data.files"),
    ],
)
def test_a_request_that_makes_no_sense_says_what_fits(settings, task, expected):
    with pytest.raises(InputError, match=expected):
        load_dataset(config(**settings), task)


def test_a_task_runs_on_every_data_set_that_has_what_it_needs(tmp_path):
    data = load_dataset(config("sst2", write(tmp_path, **SST2)), LANGUAGE)
    assert data.splits["train"].column_names == ["text"]
    assert data.label_names is None


def test_an_unreachable_hub_names_the_local_alternative(monkeypatch):
    import datasets

    def fail(*_):
        raise ConnectionError("no route")

    monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")  # the connection breaks later
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match=r"stanfordnlp/sst2.*no route.*--data-dir"):
        load_dataset(config("sst2"), CLASSIFICATION)


def test_the_hub_is_asked_by_its_id_and_its_columns_are_read(monkeypatch):
    import datasets

    asked = []

    def hub(*arguments):
        asked.append(arguments)
        rows = {"sentence": ["a ", "b"], "label": [0, 1], "idx": [0, 1]}
        return datasets.DatasetDict(
            {
                split: datasets.Dataset.from_dict(rows | ({"label": [-1, -1]} if split == "test" else {}))
                for split in ("train", "validation", "test")
            }
        )

    monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")
    monkeypatch.setattr(datasets, "load_dataset", hub)
    data = load_dataset(config("cola"), CLASSIFICATION)
    assert asked == [("nyu-mll/glue", "cola")]
    assert data.splits["train"].to_dict() == {"text": ["a", "b"], "label": [0, 1]}
    assert data.unlabelled == {"test"}


def test_a_missing_text_without_labels_is_no_text_that_reads_none(tmp_path):
    from common.data.own import read_unlabelled

    path = tmp_path / "more.jsonl"
    path.write_text('{"text": " one "}\n{"text": ""}\n{"text": "one"}\n')
    settings = config("files")
    assert read_unlabelled(path, settings, ["text"]) == [{"text": "one"}]
    for missing in ("null", "3", "NaN"):
        path.write_text(f'{{"text": "one"}}\n{{"text": {missing}}}\n')
        with pytest.raises(InputError, match=r"more\.jsonl, line 2"):
            read_unlabelled(path, settings, ["text"])


def test_a_sorted_split_of_which_the_first_examples_are_kept_says_which_classes_it_lost(tmp_path):
    rows = "".join(f"text {number}\t{number // 10}\n" for number in range(20))
    folder = write(tmp_path, train__txt=rows, valid__txt=rows, test__txt=rows)
    notes = load_dataset(config("sst2", folder, max_examples={"train": 15, "test": 10}), CLASSIFICATION).notes
    assert notes == (
        "data.max_examples keeps the first 10 examples of the test split, which are of 1 of its 2 classes.",
    )
