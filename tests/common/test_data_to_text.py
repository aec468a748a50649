"""Data-to-text sets are read in every form they are published in, linearised as in the experiments of Hu et al."""

from __future__ import annotations

import gzip
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.backend import IGNORE
from common.config import load_config
from common.data import load_dataset, load_tokenizer
from common.data.formats import webnlg
from common.errors import InputError
from common.tasks import TASKS
from common.tasks.data_to_text import linear
from tests.mutations import EXAMPLES, mutated
from tests.support import refusal

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TASK = TASKS.get("data-to-text")


def load(name: str, folder: Path):
    overrides = [f"data.name={name}", f"data.directory={json.dumps(str(folder))}", "model.task=data-to-text"]
    return load_dataset(load_config("gpt2_e2e", [*overrides, "training.metric=loss"]).data, TASK)


def xml(category: str, triples: list[str], texts: list[tuple[str, str]]) -> str:
    facts = "".join(f"<mtriple>{triple}</mtriple>" for triple in triples)
    lexes = "".join(f'<lex comment="{comment}" lid="Id1">{text}</lex>' for comment, text in texts)
    entry = (
        f'<entry category="{category}" eid="Id1" size="1"><modifiedtripleset>{facts}</modifiedtripleset>{lexes}</entry>'
    )
    return f"<benchmark><entries>{entry}</entries></benchmark>"


def challenge(folder: Path) -> Path:
    """The challenge's layout with one entry a file; the test set has two, one unseen."""
    airport = xml("Airport", ["A_B | city | C", "A_B | runway | 9"], [("good", "A B is in C."), ("toFix", "bad")])
    unseen = xml("Politician", ["D | won | E"], [("good", "D won E."), ("good", "E was won by D.")])
    both = airport.replace("</entries></benchmark>", unseen.removeprefix("<benchmark><entries>"))
    for split in ("train", "dev"):
        (folder / split / "2triples").mkdir(parents=True)
        (folder / split / "2triples" / "a.xml").write_text(airport)
    (folder / "test").mkdir()
    (folder / "test" / "testdata_with_lex.xml.gz").write_bytes(gzip.compress(both.encode()))
    return folder


def test_webnlgs_challenge_has_its_seen_and_unseen_parts(tmp_path):
    splits = load("webnlg", challenge(tmp_path)).splits
    assert list(splits["train"]["prompt"]) == ["A_B : city : C | A_B : runway : 9"]
    assert list(splits["train"]["text"]) == ["A B is in C."]
    assert list(splits["test"]["prompt"]) == ["A_B : city : C | A_B : runway : 9", "D : won : E", "D : won : E"]
    assert list(splits["test_seen"]["text"]) == ["A B is in C."]
    assert list(splits["test_unseen"]["text"]) == ["D won E.", "E was won by D."]


def test_the_json_files_of_hu_et_al_read_as_the_challenges_own(tmp_path):
    entry = {
        "category": "Airport",
        "lexicalisations": [{"lex": "A B is in C.", "comment": "good"}, {"lex": "bad", "comment": "toFix"}],
        "modifiedtripleset": [{"subject": "A_B", "property": "city", "object": "C"}],
    }
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"entries": [{"1": entry}]}))
    splits = load("webnlg", tmp_path).splits
    assert list(splits["validation"]["prompt"]) == ["A_B : city : C"]
    assert list(splits["validation"]["text"]) == ["A B is in C."]


def test_dart_lowers_its_properties(tmp_path):
    item = {
        "tripleset": [["Mars", "HAS_MOON", "Phobos"], ["Mars", "Size", "small"]],
        "annotations": [{"source": "x", "text": "T"}],
    }
    for name in ("train", "dev", "test"):
        (tmp_path / f"dart-v1.1.1-full-{name}.json").write_text(json.dumps([item]))
    splits = load("dart", tmp_path).splits
    assert list(splits["train"]["prompt"]) == ["Mars : has_moon : Phobos | Mars : size : small"]


def test_e2e_is_read_from_lines_and_from_formatted_objects(tmp_path):
    lines, objects = tmp_path / "lines", tmp_path / "objects"
    lines.mkdir()
    objects.mkdir()
    for name in ("train", "valid", "test"):
        (lines / f"{name}.txt").write_text("name : A | food : B||A serves B . \n")
        (objects / f"{name}_formatted.jsonl").write_text(
            json.dumps({"context": "name : A | food : B", "completion": "A serves B ."}) + "\n"
        )
    for folder in (lines, objects):
        for rows in load("e2e", folder).splits.values():
            assert (list(rows["prompt"]), list(rows["text"])) == (["name : A | food : B"], ["A serves B ."])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "train/2triples/a.xml").write_text("<benchmark>"), "cannot be read as XML"),
        (lambda folder: (folder / "train/2triples/a.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><a/>'), "without document type"),
        (lambda folder: (folder / "train/2triples/a.xml").write_text(xml("Food", ["only two | parts"], [("good", "x")])), "subject | property | object"),
        (lambda folder: (folder / "test/testdata_with_lex.xml.gz").write_bytes(b"not gzip"), "cannot be unpacked"),
    ],
)  # fmt: skip
def test_a_defective_file_of_webnlg_is_named(tmp_path, change, message):
    change(challenge(tmp_path))
    found = refusal(lambda: load("webnlg", tmp_path))
    assert found is not None
    assert message in found


def test_a_line_of_e2e_without_separator_is_named(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a||b\nno separator\n")
    with pytest.raises(InputError, match="line 2: a line of the form context"):
        load("e2e", tmp_path)


WEBNLG_ENTRY = {
    "category": "A",
    "lexicalisations": [{"lex": "A B.", "comment": "good"}],
    "modifiedtripleset": [{"subject": "A", "property": "b", "object": "C"}],
}
WEBNLG = {"entries": [{"1": WEBNLG_ENTRY}]}
DART = [{"tripleset": [["Mars", "MOON", "Phobos"]], "annotations": [{"source": "x", "text": "T"}]}]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), value=st.sampled_from([("webnlg", "train.json", WEBNLG), ("dart", "dart-v1-full-train.json", DART)])
)
def test_a_mutated_file_is_read_or_refused(tmp_path, data, value):
    name, file, content = value
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(json.dumps(data.draw(mutated(content))))
    read = importlib.import_module(f"common.data.formats.{name}").read
    message = refusal(lambda: read(folder))
    assert message is None or file in message or name in message


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400), st.binary(max_size=3), st.booleans())
def test_a_damaged_file_of_xml_is_read_or_refused(tmp_path, place, damage, packed):
    if not (tmp_path / "train").exists():
        challenge(tmp_path)
    content = xml("Airport", ["A_B | city | C"], [("good", "A B is in C.")]).encode()
    content = gzip.compress(content, mtime=0) if packed else content
    place %= len(content)
    path = tmp_path / "test" / "testdata_with_lex.xml"
    path = path.with_suffix(".xml.gz") if packed else path
    for other in (tmp_path / "test").iterdir():
        other.unlink()
    path.write_bytes(content[:place] + damage + content[place + 1 :])
    message = refusal(lambda: webnlg.read(tmp_path))
    assert message is None or "test" in message


def test_a_folder_without_any_of_the_layouts_says_what_is_looked_for(tmp_path):
    with pytest.raises(InputError, match="the folders train, dev and test of the challenge"):
        load("webnlg", tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs {DATA}")
def test_webnlg_2017_has_its_published_sizes():
    splits = load("webnlg", DATA / "webnlg2017").splits
    assert {name: (len(rows), len(set(rows["prompt"]))) for name, rows in splits.items()} == {
        "train": (18025, 6888),
        "validation": (2258, 870),
        "test": (4928, 1862),
        "test_seen": (2495, 971),
        "test_unseen": (2433, 891),
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ("name[The Eagle], eatType[coffee shop], priceRange[more than £30]", "name : The Eagle | Type : coffee shop | price : more than £ 30"),
        ("familyFriendly[yes], near[Café Rouge]", "family friendly : yes | near : Café Rouge"),
        ("A_B : city : C", "A_B : city : C"),
        ("name[a] and more", "name[a] and more"),
        ("", ""),
    ],
)  # fmt: skip
def test_facts_are_linearised_and_anything_else_is_left_alone(facts, expected):
    assert linear(facts) == expected


@given(st.lists(st.tuples(st.sampled_from(["name", "food", "area"]), st.text("ab c", min_size=1)), min_size=1))
def test_linearising_twice_changes_nothing(facts):
    once = linear(", ".join(f"{slot}[{value}]" for slot, value in facts))
    assert linear(once) == once
    assert once.count(" | ") == len(facts) - 1


def encoded(**options):
    from datasets import Dataset

    tokenizer = load_tokenizer("bpe:300", ["name : A | food : B", "A serves B."] * 3)
    rows = Dataset.from_dict({"prompt": ["name[A], food[B]"], "text": ["A serves B."]})
    return TASK.configured(options).encode(rows, tokenizer, 64)[0], tokenizer


@pytest.mark.parametrize(("separator", "text"), [(None, "<|endoftext|>"), (" ||", " ||")])
def test_an_example_is_facts_separator_text_and_end(separator, text):
    columns, tokenizer = encoded(separator=separator)
    assert tokenizer.decode(columns["input_ids"][0]) == f"name : A | food : B{text} A serves B."
    assert columns["labels"][0][-1] == tokenizer.eos_token_id


def test_the_text_and_its_end_are_predicted_and_with_the_switch_the_facts_too():
    columns, tokenizer = encoded()
    labels = columns["labels"][0]
    assert tokenizer.decode(labels[labels != IGNORE]) == " A serves B.<|endoftext|>"
    everything, _ = encoded(target_only=False)
    assert (everything["labels"][0] != IGNORE).all()
    assert np.array_equal(everything["labels"][0][:-1], everything["input_ids"][0][1:])


def test_smoothing_is_a_column_of_its_own_only_where_it_is_asked_for():
    assert "smoothing" not in encoded()[0]
    assert encoded(label_smoothing=0.1)[0]["smoothing"].tolist() == [np.float32(0.1)]
    with pytest.raises(InputError, match="label_smoothing must be at least 0"):
        TASK.configured({"label_smoothing": 1.0})


def test_a_causal_language_model_that_names_no_task_is_opened_as_the_general_one(tmp_path):
    from common.models.checkpoint import save_pretrained
    from common.training.opening import task_of
    from tests.support import tiny_spec

    spec = tiny_spec("gpt2")
    general = TASKS.get("language-modeling")
    causal = {task.name for task in TASKS if task.head == general.head}
    assert causal == {"data-to-text", "instruction-tuning", "language-modeling"}
    save_pretrained(tmp_path, spec, spec.arrays)
    given = json.loads((tmp_path / "config.json").read_text())
    assert task_of(str(tmp_path), {**given, "architectures": ["GPT2LMHeadModel"]}).name == "language-modeling"


@pytest.mark.parametrize("name", ["data-to-text", "language-modeling"])
@pytest.mark.parametrize("begins", [False, True])
def test_prompts_begin_as_the_tokenizer_begins_texts(name, begins):
    """Llama's tokenizers put a token before every text, in training and where a text is written."""
    from datasets import Dataset
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer("bpe:280", ["name : A | food : B"] * 3, ["<begin>"])
    if begins:
        tokenizer.bos_token = "<begin>"
        special = [("<begin>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<begin> $A", special_tokens=special)
    rows = Dataset.from_dict({"prompt": ["name : A"], "text": ["A sells B."]})
    task = TASKS.get(name)
    columns, _ = task.encode(rows, tokenizer, 64)
    ids, labels = columns["input_ids"][0].tolist(), columns["labels"][0].tolist()
    assert (ids.count(tokenizer.bos_token_id), ids[0] == tokenizer.bos_token_id) == (
        (1, True) if begins else (int(name == "data-to-text"), False)
    )
    [prompt] = task.prompt_ids(["name : A"], tokenizer, ["prompt", "text"])
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt) - 1] == [IGNORE] * (len(prompt) - 1)
    assert tokenizer.decode([label for label in labels if label != IGNORE]) == f" A sells B.{tokenizer.eos_token}"
