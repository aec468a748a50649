"""English and Chinese: every message has both, with the same fields, and what programs read stays English."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import pkgutil
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

import common
from common.cli import commands
from common.cli.main import main
from common.errors import InputError
from common.language import LANGUAGES, catalogue, chosen, speaking, translated
from common.report import compare_runs, run_page
from tests.common.test_report_pages import read, write_run

SOURCES = Path(common.__file__).parent
CHINESE = re.compile("[\u4e00-\u9fff\uff01-\uff5e]")  #: letters, and punctuation in full width
#: words of a page in Chinese that stay as they are: names, units, and what the user wrote
NAMES = re.compile(
    r"\b([\w.]*[_.][\w.]*|PyTorch|MindSpore|twinlora|LoRA|CPU|GiB|KiB|tiny|lora|files|gpt2|ms|min|python|cpu|Some)\b"
)


def messages() -> set[str]:
    """Literals of ``translated(...)`` in the sources, and the line of every command."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "translated":
                assert isinstance(node.args[0], ast.Constant) or path.name == "main.py", f"{path}: {node.lineno}"
                found |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    subparsers = argparse.ArgumentParser().add_subparsers()
    for one in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{one.name}").add_parser(subparsers)
    return found | {action.help for action in subparsers._choices_actions}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_message_has_a_translation_with_the_same_fields_and_no_other_is_kept(language):
    kept = catalogue(language)["messages"]
    assert set(kept) == messages()
    for english, other in kept.items():
        assert fields(english) == fields(other), english
        assert CHINESE.search(other), english
    assert all(CHINESE.search(other) or "F1" in other for other in catalogue(language)["terms"].values())


def test_the_language_is_the_option_then_the_variable_then_the_locale():
    assert chosen("zh", {"TWINLORA_LANG": "en"}) == "zh"
    assert chosen(None, {"TWINLORA_LANG": "en", "LANG": "zh_CN.UTF-8"}) == "en"
    assert chosen(None, {"LANG": "zh_CN.UTF-8"}) == "zh"
    assert chosen(None, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) == "en"
    assert chosen(None, {"LANG": "de_DE.UTF-8"}) == "en"
    with pytest.raises(InputError, match="TWINLORA_LANG must be one of en, zh; received 'fr'"):
        chosen(None, {"TWINLORA_LANG": "fr"})


@pytest.mark.parametrize("pages", ["one", "two"])
def test_a_page_in_chinese_has_no_english_sentence(tmp_path, pages):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", noise=1e-6, backend="mindspore")
    with speaking("zh"):
        path = run_page(first) if pages == "one" else compare_runs(first, second, tmp_path / "c.html")
    assert '<html lang="zh">' in path.read_text(encoding="utf-8")
    left = [word for text in read(path).words for word in re.findall(r"[A-Za-z]{2,}", NAMES.sub(" ", text))]
    assert set(left) <= {"adaptation", "optimization", "rank", "targets", "seed", "max", "pattern"}


def test_a_terminal_without_chinese_letters_gets_escapes():
    done = subprocess.run(
        [sys.executable, "-m", "twinlora", "--lang", "zh", "--help"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u6309\\u914d\\u7f6e" in done.stdout


def test_help_and_refusals_are_in_the_language_asked_for(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        main(["--lang", "zh", "--help"])
    shown = capsys.readouterr().out
    assert "按配置微调模型" in shown
    assert "fine-tune" not in shown
    assert main(["--lang", "zh", "inspect", "no_such_experiment"]) == 2
    assert capsys.readouterr().err.startswith("错误\uff1a")
    monkeypatch.setenv("TWINLORA_LANG", "fr")
    assert main(["inspect", "bert_sst2"]) == 2
    assert "TWINLORA_LANG must be one of en, zh" in capsys.readouterr().err
    monkeypatch.delenv("TWINLORA_LANG")
    with pytest.raises(SystemExit) as caught:
        main(["--lang", "fr", "inspect"])
    assert caught.value.code == 2


def test_json_stays_english_in_every_language(capsys, monkeypatch):
    from common import doctor

    monkeypatch.setattr(doctor, "examine", lambda: [doctor._cache()])
    assert main(["--lang", "zh", "doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["part"] == "cache"
    with speaking("en"):
        assert translated("next:") == "next:"
