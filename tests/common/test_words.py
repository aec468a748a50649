"""Words and tags are read from every documented form, and each tag meets the first token of its word."""

from __future__ import annotations

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from common.backend import IGNORE
from common.config.schema import DataConfig
from common.data import load_dataset, load_tokenizer
from common.data.conll import read_conll, read_conllu
from common.data.words import encode_words
from common.errors import InputError
from common.tasks import TASKS

TASK = TASKS.get("token-classification")
CONLL = "Ann\tB-person\nsaw\tO\n\t\nRome\tB-location\r\n\n"
CONLLU = """\
# text = It doesn't
1\tIt\tit\tPRON\tP\t_\t2\tx\t_\t_
2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdoes\tdo\tAUX\t_\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\t_\t_\t2\tx\t_\t_
3.1\tleft\tleave\tVERB\t_\t_\t_\t_\t_\t_

1\tGo\tgo\t_\t_\t_\t0\troot\t_\t_
"""


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return folder


def config(name, folder=None, **changes):
    given = dict.fromkeys(("text_column", "text_pair_column", "label_column", "prompt_column"))
    sizes = {"max_length": 32, "length_multiple": 8, "max_examples": {}}
    more = {"label_names": (), "label_separator": None} if hasattr(DataConfig, "label_names") else {}
    directory = None if folder is None else str(folder)
    return DataConfig(**{"name": name, "directory": directory, "files": {}, **given, **sizes, **more, **changes})


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "saw", "rome", "un", "##able", "##s", "!"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return load_tokenizer(str(folder))


def encoded(tokenizer, words, tags=None, max_length=16):
    columns = {"words": words} | ({} if tags is None else {"tags": tags})
    return encode_words(Dataset.from_dict(columns), tokenizer, max_length)


@pytest.mark.parametrize(
    ("name", "sizes", "words"),
    [("wnut17", (3394, 1009, 1287), (62730, 15733, 23394)), ("ud_pos", (3457, 1118, 1121), None)],
)
def test_real_data_has_the_published_sentences(shared_data, name, sizes, words):
    data = load_dataset(config(name, shared_data(name)), TASK)
    splits = [data.splits[split] for split in ("train", "validation", "test")]
    assert tuple(map(len, splits)) == sizes
    if words:
        assert tuple(sum(map(len, split["words"])) for split in splits) == words
    assert {tag for split in splits for tags in split["tags"] for tag in tags} <= set(range(len(data.label_names)))
    assert all(len(row["words"]) == len(row["tags"]) for row in splits[1])


def test_conll_lines_become_sentences_and_a_lone_tab_ends_one(tmp_path):
    table = read_conll(write(tmp_path, a__conll=CONLL) / "a.conll")
    assert table.columns == {"tokens": [["Ann", "saw"], ["Rome"]], "tags": [["B-person", "O"], ["B-location"]]}
    assert table.lines == [1, 4]


def test_conll_2003s_four_columns_and_document_marks_are_read(tmp_path):
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"
    folder = write(tmp_path, train__txt=text, valid__txt=text, test__txt=text)
    data = load_dataset(config("conll2003", folder), TASK)
    assert data.splits["test"].to_dict() == {"words": [["EU", "rejects"]], "tags": [[3, 0]]}


def test_the_mark_of_a_document_takes_no_sentence_with_it(tmp_path):
    """In the Dutch data of CoNLL 2002 the first sentence of a document follows without a blank line."""
    text = "-DOCSTART- -DOCSTART- O\nDe Art O\nRomeinen N B-MISC\n\n-DOCSTART- -DOCSTART- O\n\nEr Adv O\n"
    table = read_conll(write(tmp_path, a__conll=text) / "a.conll")
    assert table.columns["tokens"] == [["De", "Romeinen"], ["Er"]]
    assert table.columns["tags"] == [["O", "B-MISC"], ["O"]]
    assert table.lines == [2, 7]


def test_conllu_has_syntactic_words_alone(tmp_path):
    table = read_conllu(write(tmp_path, a__conllu=CONLLU) / "a.conllu")
    assert table.columns["tokens"] == [["It", "does", "n't"], ["Go"]]
    assert table.columns["upos"] == [["PRON", "AUX", "PART"], ["_"]]
    folder = write(tmp_path, **{f"en-ud-{split}__conllu": CONLLU for split in ("train", "dev", "test")})
    data = load_dataset(config("ud_pos", folder), TASK)
    assert data.splits["train"]["tags"][1] == [IGNORE]  # a word without a tag is no target


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.conll", "Ann\tO\nsaw\n", "line 2: 2 fields were expected"),
        ("a.conll", "Ann\tO\n\tO\n", "line 2: 2 fields were expected"),
        ("a.conll", "Ann\n", "a word and its tag on each line"),
        ("a.conllu", "1\tAnn\tNOUN\n", "line 1: CoNLL-U has 10 fields"),
        ("a.conllu", "x\tAnn" + "\t_" * 8 + "\n", "line 1: CoNLL-U has 10 fields"),
    ],
)
def test_a_defective_line_is_reported_with_its_number(tmp_path, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        load_dataset(config("files", files={"train": str(tmp_path / file)}, label_column="tags"), TASK)


def own(tmp_path, rows, **changes):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_dataset(config("files", files={"train": str(path)}, label_column="ner_tags", **changes), TASK)


def test_lists_of_names_are_read_and_the_classes_are_their_sorted_names(tmp_path):
    rows = [{"tokens": ["Ann", "saw"], "ner_tags": ["B-x", "O"]}, {"tokens": ["Rome"], "ner_tags": ["O"]}]
    data = own(tmp_path, rows)
    assert data.label_names == ("B-x", "O")
    assert sorted([*data.splits["train"]["tags"], *data.splits["validation"]["tags"]]) == [[0, 1], [1]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"], "ner_tags": [0]}, "tags must be names"),
        ({"tokens": "a b", "ner_tags": ["O", "B-x"]}, "a list of at least one item was expected in column tokens"),
        ({"tokens": [], "ner_tags": []}, "a list of at least one item"),
        ({"tokens": ["a", ""], "ner_tags": ["O", "B-x"]}, "word 2 must be text and not empty"),
    ],
)
def test_what_is_no_list_of_words_and_tags_is_refused(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        own(tmp_path, [{"tokens": ["a", "b"], "ner_tags": ["O", "B-x"]}, row])


def features(names):
    return Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})


@pytest.mark.parametrize("source", ["parquet", "hub"])
def test_numbered_tags_have_the_names_that_are_published_with_them(tmp_path, monkeypatch, source):
    rows = {"tokens": [["EU", "said"], ["x"]], "ner_tags": [[1, 0], [0]]}
    table = Dataset.from_dict(rows, features(["O", "B-ORG"]))
    if source == "parquet":
        for split in ("train", "validation", "test"):
            table.to_parquet(tmp_path / f"{split}.parquet")
        data = load_dataset(config("conll2003", tmp_path), TASK)
    else:
        loaded = dict.fromkeys(("train", "validation", "test"), table)
        monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")  # the stand-in is asked
        monkeypatch.setattr("datasets.load_dataset", lambda *given, **options: loaded)
        data = load_dataset(config("conll2003"), TASK)
    assert [[data.label_names[tag] for tag in tags] for tags in data.splits["train"]["tags"]] == [["B-ORG", "O"], ["O"]]


def test_a_data_set_without_a_place_on_the_hub_asks_for_a_folder():
    with pytest.raises(InputError, match=r"--data-dir FOLDER.*ud-train"):
        load_dataset(config("ud_pos"), TASK)


def test_the_first_token_of_a_word_has_its_tag_and_no_other_token_has(bert):
    columns, truncated = encoded(bert, [["Ann", "unables", "\u200b", "!"]], [[3, 1, 2, 0]])
    assert bert.convert_ids_to_tokens(columns["input_ids"][0]) == ["[CLS]", "ann", "un", "##able", "##s", "!", "[SEP]"]
    assert columns["labels"][0].tolist() == [IGNORE, 3, 1, IGNORE, IGNORE, 0, IGNORE]
    assert columns["words"][0].tolist() == [-1, 0, 1, -1, -1, 3, -1]
    assert columns["tags"][0].tolist() == [3, 1, 2, 0]  # the third word has no token, and stays in the count
    assert truncated == 0


def test_words_that_are_cut_off_keep_their_tags_and_special_tokens_survive(bert):
    columns, truncated = encoded(bert, [["ann", "unable", "rome"], ["ann"]], [[0, 1, 2], [3]], max_length=4)
    assert bert.convert_ids_to_tokens(columns["input_ids"][0]) == ["[CLS]", "ann", "un", "[SEP]"]
    assert columns["words"][0].tolist() == [-1, 0, 1, -1]
    assert columns["tags"][0].tolist() == [0, 1, 2]
    assert truncated == 1


def test_the_rest_of_a_word_whose_beginning_is_cut_off_is_not_its_first_token(bert, monkeypatch):
    """Of a tokenizer that cuts at the left: the word is not seen, as one that is cut off altogether."""
    monkeypatch.setattr(bert, "truncation_side", "left")
    columns, truncated = encoded(bert, [["ann", "unables", "rome"]], [[0, 1, 2]], max_length=5)
    assert bert.convert_ids_to_tokens(columns["input_ids"][0]) == ["[CLS]", "##able", "##s", "rome", "[SEP]"]
    assert columns["words"][0].tolist() == [-1, -1, -1, 2, -1]
    assert columns["labels"][0].tolist() == [IGNORE, IGNORE, IGNORE, 2, IGNORE]
    assert truncated == 1
    columns, _ = encoded(bert, [["ann", "unables", "rome"]], [[0, 1, 2]], max_length=6)
    assert columns["words"][0].tolist() == [-1, 1, -1, -1, 2, -1]
    columns, _ = encoded(bert, [["ann", "!", "unables", "!"]], [[0, 1, 2, 3]], max_length=4)
    assert columns["words"][0].tolist() == [-1, -1, 3, -1]


@settings(deadline=None, max_examples=60)
@given(sentence=st.lists(st.sampled_from(["ann", "unable", "unables", "\u200b", "!", "zz"]), min_size=1, max_size=9))
def test_every_word_with_a_token_is_found_once_and_in_order(bert, sentence):
    if set(sentence) == {"\u200b"}:
        with pytest.raises(InputError, match="finds no token"):
            encoded(bert, [sentence])
        return
    columns, _ = encoded(bert, [sentence], [list(range(len(sentence)))], max_length=64)
    starts, labels = columns["words"][0], columns["labels"][0]
    assert starts[starts >= 0].tolist() == [i for i, word in enumerate(sentence) if word != "\u200b"]
    assert np.array_equal(labels[starts >= 0], starts[starts >= 0])
    assert (labels[starts < 0] == IGNORE).all()


def test_a_byte_level_tokenizer_reads_each_word_behind_a_space_and_is_left_as_it_was():
    tokenizer = load_tokenizer("bpe:300", ["the man the man the man"] * 20)
    before = tokenizer.backend_tokenizer.to_str()
    columns, _ = encoded(tokenizer, [["the", "man"]], [[0, 1]])
    assert columns["input_ids"][0].tolist() == tokenizer(" the man")["input_ids"]
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize(
    ("words", "tags", "max_length", "message"),
    [
        ([["ann", "saw"]], [[0]], 16, "Example 1: every word needs one tag; it has 2 and 1"),
        ([["ann"]], [[0]], 2, "must exceed the 2 special tokens"),
    ],
)
def test_tags_that_do_not_fit_their_words_are_refused(bert, words, tags, max_length, message):
    with pytest.raises(InputError, match=message):
        encoded(bert, words, tags, max_length)


def test_the_metric_must_be_one_of_the_tag_set():
    assert set(TASK.measured(("O", "B-x"))) == {"loss", "accuracy", "precision", "recall", "f1", "unseen_words"}
    assert set(TASK.measured(("NOUN", "VERB"))) == {"loss", "accuracy", "f1_macro", "unseen_words"}
