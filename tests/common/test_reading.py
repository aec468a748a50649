"""Whatever a file holds, it is read or refused in one sentence that names the file, the place and what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.reading import (
    check_shape,
    parse_json,
    plain_problem,
    read_bytes,
    read_json_lines,
    read_text,
    safe_child,
)
from tests.mutations import EXAMPLES
from tests.support import refusal

WHAT, REMEDY = "the summary of a run", "Train again."


def said(content, shape=object):
    return refusal(lambda: parse_json(content, "f.json", WHAT, REMEDY, shape))


CASES = {
    b"": "column 1",
    b"{": "column 2",
    b'{"a": 1,}': "must be JSON",
    b'{\n"a": 1\n"b": 2}': "line 3, column 1",
    b'{"a": 1, "a": 2}': "'a' is given twice",
    b"[NaN]": "NaN is no number in JSON",
    b'{"a": [1, -Infinity]}': "-Infinity is no number",
    b'{"a": [0, 1e999]}': r"a[1] must be a finite number",
    b'{"r": 1%s}' % (b"0" * 400): "r must be an integer of at most 256 bits; it has",
    b'{"r": 1%s}' % (b"0" * 5000): "an integer is too long",
    b'{"a": {"b": ["\\ud800"]}}': r"a.b[0] holds an incomplete Unicode character: '\ud800'",
    b'{"a\\udfff": 1}': "a key of the value holds an incomplete Unicode character",
    b"[" * 3_000 + b"]" * 3_000: "nested more than 100 levels deep",
    b"[" * 100_000: "nested more than 100 levels deep",
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000: "nested more than 100 levels deep",
    b"caf\xe9": "line 1: the summary of a run must be UTF-8 text; byte 3, 0xe9, is not",
    b'\n"\xff"': "line 2",
    b"\x00": "must be JSON",
    b"\xff\xfe{\x00}\x00": "must be UTF-8",
}


@pytest.mark.parametrize("content", CASES, ids=[str(number) for number in range(len(CASES))])
def test_each_fault_is_said_with_its_place_and_what_to_do(content):
    message = said(content)
    assert message.startswith("f.json")
    assert CASES[content] in message
    assert message.endswith(REMEDY)
    assert len(message) < 500


def test_a_pair_of_surrogates_is_one_character_and_a_byte_order_mark_is_none():
    assert parse_json(b'\xef\xbb\xbf["\\ud83d\\ude00"]', "f", WHAT, REMEDY) == ["\U0001f600"]


SHAPE = {
    "steps": int,
    "test?": {"loss": float},
    "names?": [str],
    "best": int | None,
    "versions?": {...: str},
    "old?": (None, {"a": int}),
}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "it must be an object; received a list"),
        (None, "received null"),
        ({}, "lacks 'steps'"),
        ({"steps": True, "best": 1}, "steps must be an integer; received true or false, True"),
        ({"steps": 1.0, "best": 1}, "steps must be an integer; received a number, 1.0"),
        ({"steps": 1, "best": "1"}, "best must be an integer or null; received text, '1'"),
        ({"steps": 1, "best": None, "test": {"loss": "0"}}, "test.loss must be a number"),
        ({"steps": 1, "best": None, "test": []}, "test must be an object; received a list"),
        ({"steps": 1, "best": None, "names": {"a": 1}}, "names must be a list; received an object"),
        ({"steps": 1, "best": None, "names": ["a", 3]}, "names[1] must be text"),
        ({"steps": 1, "best": None, "versions": {"torch": 2}}, "versions.torch must be text"),
        ({"steps": 1, "best": None, "old": {"a": "1"}}, "old.a must be an integer"),
        ({"steps": 1, "best": None, "old": 3}, "old must be an object; received an integer, 3"),
    ],
)
def test_another_form_is_said_with_its_place(value, problem):
    assert problem in said(json.dumps(value), SHAPE)


def test_the_form_asked_for_passes_with_further_keys():
    value = {
        "steps": 3,
        "best": None,
        "test": {"loss": 1},
        "names": [],
        "versions": {"torch": "2"},
        "new": [1],
        "old": None,
    }
    assert parse_json(json.dumps(value), "f", WHAT, REMEDY, SHAPE) == value


def test_a_value_that_is_not_from_json_is_checked_the_same(recwarn):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested" in plain_problem(deep)
    with pytest.raises(InputError, match="must be true or false"):
        check_shape(1, bool, "f", WHAT, REMEDY)


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("absent", "folder", "file/below", "x" * 300, "null\0byte", "loop"):
        message = refusal(lambda name=name: read_bytes(tmp_path / name, WHAT, REMEDY))
        assert str(tmp_path / name) in message
        assert REMEDY in message


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for root")
def test_a_file_without_permission_is_named(tmp_path):
    (tmp_path / "x").touch(mode=0)
    assert "Permission denied" in refusal(lambda: read_bytes(tmp_path / "x", WHAT, REMEDY))


def test_a_file_is_not_read_beyond_its_limit(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_text(tmp_path / "x", WHAT, REMEDY, limit=5) == "12345"
    assert "at most 4 bytes" in refusal(lambda: read_bytes(tmp_path / "x", WHAT, REMEDY, limit=4))
    assert "at most 1,000 bytes" in refusal(lambda: read_bytes(Path("/dev/zero"), WHAT, REMEDY, limit=1000))


def test_lines_are_counted_and_blank_ones_left_out(tmp_path):
    (tmp_path / "x").write_text('{"a": "\u2028"}\n\n  \n[1]\nnull')
    places = [place for place, _ in read_json_lines(tmp_path / "x", WHAT, REMEDY)]
    assert [place.rpartition(" ")[2] for place in places] == ["1", "4", "5"]
    assert "line 4" in refusal(lambda: list(read_json_lines(tmp_path / "x", WHAT, REMEDY, dict)))


def test_a_file_of_lines_may_be_larger_than_what_is_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("common.reading._LARGEST", 20)
    (tmp_path / "x").write_bytes(b"[1, 2, 3]\n" * 9 + b'"caf\xe9"\n')
    lines = read_json_lines(tmp_path / "x", WHAT, REMEDY)
    assert [next(lines) for _ in range(9)] == [(f"{tmp_path / 'x'}, line {n}", [1, 2, 3]) for n in range(1, 10)]
    assert "line 10: the summary of a run must be UTF-8" in refusal(lambda: next(lines))
    (tmp_path / "x").write_text("[1]\n" + "[1, 2, 3, 4, 5, 6, 7]")
    assert "line 2: the summary of a run has at most 20 bytes in a line" in refusal(
        lambda: list(read_json_lines(tmp_path / "x", WHAT, REMEDY))
    )
    assert "cannot be read: Is a directory" in refusal(lambda: list(read_json_lines(tmp_path, WHAT, REMEDY)))


@pytest.mark.parametrize("name", ["model-1.safetensors", "a/b.safetensors", "a..b", "...", "ä"])
def test_a_name_inside_the_folder_is_taken(tmp_path, name):
    assert safe_child(tmp_path, name, "index.json") == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a\\..\\x",
        "a\0b",
        "a\nb",
        "\ud800",
        None,
        3,
        ["a"],
        {"a": 1},
        "a/..",
    ],
)
def test_a_name_outside_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"index\.json.*relative names inside"):
        safe_child(tmp_path, name, "index.json")


def test_a_link_in_the_folder_may_lead_elsewhere_as_in_the_cache_of_the_hub(tmp_path):
    (tmp_path / "blob").write_text("x")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "m.safetensors").symlink_to(tmp_path / "blob")
    assert safe_child(tmp_path / "snapshot", "m.safetensors", "index.json").read_text() == "x"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["steps", "test", "best"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=EXAMPLES)
@given(values, st.data())
def test_mutated_json_is_read_or_refused(value, data):
    """Values of any form, with some bytes replaced, removed or put in."""
    content = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"[", b"}", b'"', b"\\u", b"\xff", b"1e999", b",", b"\n"])
        )
    message = said(bytes(content), SHAPE)
    assert message is None or message.startswith("f.json")
