"""The page of generated texts: complete, self-contained, with what differs marked; and the files it is made of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.generation.outputs import read_outputs, read_references
from common.metrics.text.scoring import score_texts
from common.report.texts import texts_page
from tests.mutations import EXAMPLES, mutated
from tests.support import refusal

RECORDS = [
    {"prompt": "name[<A>]", "text": "The <b>A</b> serves fish.", "references": ["A serves fish & more."], "tokens": [1, 2], "seconds": 0.5, "finish": "end"},
    {"prompt": "name[B]", "text": "B is cheap.", "references": ["B is cheap.", "B costs little."], "tokens": [3], "seconds": 0.0, "finish": "length"},
]  # fmt: skip


class Balanced(HTMLParser):
    """Collects what is written and checks that every tag is closed."""

    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.marks: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "mark":
            self.marks.append(data)


def written(folder, name: str, texts: list[str]):
    records = [{**record, "text": text} for record, text in zip(RECORDS, texts, strict=True)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_outputs(folder / f"{name}.jsonl")


def page(folder, systems):
    references = systems[0].references
    scores = score_texts([system.texts for system in systems], references, ["bleu-e2e"], resamples=10)
    content = texts_page(systems, references, scores, folder / "page.html").read_text()
    parsed = Balanced()
    parsed.feed(content)
    assert parsed.open == []
    assert parsed.links == []
    assert "url(" not in content
    return content, parsed.marks


def test_words_that_the_first_system_does_not_have_are_marked(tmp_path):
    first = written(tmp_path, "first", [record["text"] for record in RECORDS])
    second = written(tmp_path, "second", ["The <b>A</b> sells fish today.", "B is cheap."])
    content, marks = page(tmp_path, [first, second])
    assert marks == ["sells fish today."]
    assert "&lt;b&gt;A&lt;/b&gt;" in content
    assert "A serves fish &amp; more." in content
    assert "1 of 2 inputs have different texts" in content
    assert re.search(r"first</th><td>[\d.]+</td><td>3</td><td>500.0 ms</td><td>6.0000</td><td>50.0 %", content)
    assert "p&nbsp;=&nbsp;" in content


def test_of_one_system_words_that_no_reference_has_are_marked(tmp_path):
    content, marks = page(tmp_path, [written(tmp_path, "only", ["A serves bread.", "B is cheap."])])
    assert marks == ["bread."]
    assert "Differences" not in content


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    systems = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        systems.append(written(tmp_path / folder, "texts", [folder, folder]))
    content, _ = page(tmp_path, systems)
    assert "a/texts" in content
    assert "b/texts" in content


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "at least one text"),
        ("a.jsonl", "[1]\n", "an object was expected"),
        ("a.jsonl", '{"text": 1}\n', 'object 1: a text "text" was expected'),
        ("a.jsonl", '{"text": "a", "references": []}\n', '"references" must be a list of texts'),
        ("a.jsonl", '{"text": "a"}\n{bad\n', "line 2"),
        ("a.txt", "", "at least one text"),
    ],
)
def test_a_defective_file_of_outputs_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    found = refusal(lambda: read_outputs(tmp_path / name))
    assert found is not None
    assert message in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\nb\n\nc\n", [["a", "b"], ["c"]]),
        ("a\nb\n\n\n\nc", [["a", "b"], ["c"]]),
        ("a\nb\n", [["a"], ["b"]]),
        ("\n\na\n\nb\n", [["a"], ["b"]]),
    ],
)
def test_references_are_grouped_by_blank_lines_as_in_the_e2e_script(tmp_path, content, expected):
    (tmp_path / "references.txt").write_text(content)
    assert read_references(tmp_path / "references.txt") == expected


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_outputs_are_shown_or_refused(tmp_path, data):
    lines = data.draw(mutated(RECORDS))
    lines = lines if isinstance(lines, list) else [lines]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def action():
        found = read_outputs(tmp_path / "a.jsonl")
        if found.references:
            page(tmp_path, [found])

    message = refusal(action)
    assert message is None or message.strip()


def test_texts_for_other_prompts_are_not_compared(tmp_path, capsys):
    from common.cli.main import main

    lines = [{"prompt": name, "text": f"a {name}", "references": ["a cat", "a dog"]} for name in ("cat", "dog")]
    for name, content in (("first", lines), ("second", lines[::-1]), ("plain", [{"text": "a cat"}, {"text": "a"}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in content))
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("first", "second", "plain")}
    assert main(["score", files["first"], files["second"]]) == 2
    assert "texts for other prompts, the first of them object 1" in capsys.readouterr().err
    assert main(["score", files["first"], files["plain"], "--resamples", "10"]) == 0
