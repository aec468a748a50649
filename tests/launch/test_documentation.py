"""The two languages of docs/modelarts.md say the same, and nothing that can be set is missing."""

import re

import pytest

from common.launch.arguments import parse
from common.launch.leader import job_directory
from common.launch.processes import ROOT
from common.launch.topology import READ

ENGLISH, CHINESE = (ROOT / "docs" / "modelarts.md").read_text(encoding="utf-8").split("\n---\n")


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_everything_that_can_be_set_is_described(text, capsys, tmp_path):
    with pytest.raises(SystemExit):
        parse(["--help"])
    options = set(re.findall(r"^  (--\w+)", capsys.readouterr().out, re.MULTILINE))
    assert len(options) == 14
    assert {option for option in options if f"`{option}" not in text} == set()
    assert {name for name in READ if f"`{name}`" not in text} == set()
    for name in ("MA_VJ_NAME", "JOB_ID", "TORCHELASTIC_RUN_ID"):
        assert "unique-7" in job_directory({name: "unique-7"}, "run", tmp_path).name
        assert f"`{name}`" in text


def test_both_languages_show_the_same_commands_and_symptoms():
    english, chinese = (
        re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
        for text in (ENGLISH, CHINESE)
    )
    assert len(english) > 20
    assert [
        text for text in english if text not in ("adapter/", "env.json", "logs/", "trace/", "metrics.jsonl")
    ] == chinese


def test_the_symptoms_are_messages_of_this_code():
    sources = "".join(
        path.read_text(encoding="utf-8")
        for package in ("launch", "training")
        for path in (ROOT / "common" / package).glob("*.py")
    )
    table = ENGLISH.split("## Troubleshooting")[1]
    quoted = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    parts = [
        part.strip()
        for text in quoted
        for part in re.split(r"\.\.\.|;|1800 s|--device", text)
        if len(part.strip()) > 12
    ]
    assert len(parts) >= 8
    assert [part for part in parts if part not in sources.replace("`", "")] == []


def test_it_says_what_was_not_run():
    assert "Nothing of this was run on ModelArts" in ENGLISH
    assert "从未在 ModelArts" in CHINESE
