"""`twinlora predict`: one line of output for each line of input, whatever stands in either."""

from __future__ import annotations

import io
import json
import sys

import pytest
from test_training_run import setup  # noqa: F401  (a fixture)

import twinlora
from common.cli.main import main
from common.errors import InputError
from common.tasks.task import Answer

BAD = b"great fine\n\n\xff\xfe\nawful\n \t\npoor dull\n"


@pytest.fixture
def predict(setup, monkeypatch, capsys):  # noqa: F811
    """A function from (input, options) to (exit code, lines of output, standard error)."""
    setup.run(setup.config())

    def run(content, *options):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main(["predict", str(setup.folder), *options])
        captured = capsys.readouterr()
        return code, captured.out.split("\n")[:-1], captured.err

    return run


def test_bad_lines_are_reported_by_their_number_and_the_rest_is_answered(predict):
    code, lines, errors = predict(BAD)
    assert [bool(line) for line in lines] == [True, False, False, True, False, True]
    assert {line.partition("\t")[0] for line in lines} <= {"good", "bad", ""}
    assert code == 1
    for number in (2, 3, 5):
        assert f"standard input, line {number}: " in errors
    assert errors.count("error: ") == 3


def test_in_json_a_bad_line_is_an_object_with_its_number(predict):
    _, lines, _ = predict(BAD, "--json")
    objects = [json.loads(line) for line in lines]
    assert [found.get("line") for found in objects] == [None, 2, 3, None, 5, None]
    assert objects[0]["label"] == "good"


def test_an_object_without_its_key_is_an_error_of_its_line_and_no_table_without_a_header(predict):
    code, lines, _ = predict(b'{"text": "great"}\n{}\n{"words": ["great"]}\n', "--jsonl", "--json")
    assert code == 1
    said = [json.loads(line)["error"] for line in lines[1:]]
    assert said[0] == "standard input, line 2: an object with text was expected; found an empty one."
    assert said[1] == "standard input, line 3: an object with text was expected; found one with words."


def test_strict_stops_at_the_first_bad_line(predict):
    code, lines, errors = predict(BAD, "--strict")
    assert (code, len(lines)) == (2, 1)
    assert "line 2" in errors


def test_numbers_run_through_all_batches(predict):
    code, lines, errors = predict(b"good\n" * 70 + b"\n" + b"fine\n")
    assert (code, len(lines)) == (1, 72)
    assert "line 71: " in errors


def test_good_lines_alone_end_well(predict):
    assert predict(b"great\nawful\n")[0] == 0


def test_a_line_that_cannot_be_encoded_is_found_within_its_batch(predict, monkeypatch):
    from common.tasks import sequence_classification

    original = sequence_classification.MEMBER.__class__.predict

    def choosy(self, trained, engine, rows, options):
        if any(row["text"] == "poor" for row in rows):
            raise InputError("the tokenizer finds no token")
        return original(self, trained, engine, rows, options)

    monkeypatch.setattr(sequence_classification.MEMBER.__class__, "predict", choosy)
    _, lines, errors = predict(b"great\npoor\nawful\n")
    assert [bool(line) for line in lines] == [True, False, True]
    assert "standard input, line 2: the tokenizer" in errors


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\u2028b\x85c", "a\ud800b", "a\x00b"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_whatever_is_answered_takes_one_line(predict, monkeypatch, text, options):
    from common.tasks import sequence_classification

    answer = lambda self, trained, engine, rows, options: [Answer(text, {"text": text}) for _ in rows]  # noqa: E731
    monkeypatch.setattr(sequence_classification.MEMBER.__class__, "predict", answer)
    _, lines, _ = predict(b"one\ntwo\n", *options)
    assert [len(line.splitlines()) for line in lines] == [1, 1]
    assert all(character.isprintable() for line in lines for character in line)
    if options:
        assert json.loads(lines[0]) == {"text": text}


@pytest.mark.parametrize("options", [(), ("--jsonl",)])
def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(predict, options):
    line = b'{"text": "great fine"}\n' if options else b"great fine\n"
    plain, marked = (predict(mark + line * 2, *options, "--json") for mark in (b"", b"\xef\xbb\xbf"))
    assert marked == plain
    assert json.loads(marked[1][0])["text"] == "great fine"


def test_python_answers_what_the_command_does(predict, setup):  # noqa: F811
    _, lines, _ = predict(b"  great fine \n", "--json")
    opened = twinlora.open(setup.folder)
    assert opened.predict(["  great fine "]) == opened.predict([{"text": " great fine\n"}]) == [json.loads(lines[0])]
    for wrong in ("", " ", "a\ud800", {"words": "great"}, {"text": None}, {"text": "great\udc80"}):
        with pytest.raises(InputError, match=r"inputs, \[1\]"):
            opened.predict(["great", wrong])
    with pytest.raises(InputError, match="inputs must be a list of them; received one text: 'great'"):
        opened.predict("great")


class _NotFinite:
    def __init__(self, engine, value):
        self._engine, self._value = engine, value

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def eval_step(self, batch):
        found = self._engine.eval_step(batch)
        for output in found.outputs.values():
            output[0, 0] = self._value
        return found


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_no_answer(predict, monkeypatch, value):
    from common.exporting import runtime

    original = runtime.engine_of
    monkeypatch.setattr(runtime, "engine_of", lambda *given: _NotFinite(original(*given), value))
    code, lines, errors = predict(b"great\nawful\n", "--json")
    assert (code, lines) == (1, [])
    assert "gives logits that are not finite" in errors
