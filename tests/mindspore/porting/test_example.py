"""The worked example of docs/porting.md, executed as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from common.cli.main import main

ROOT = Path(__file__).parents[3]
PAGES = ("docs/porting.md", "docs/porting.zh-CN.md")


def blocks(page: str, kind: str) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def run_program(path: str, capsys) -> str:
    """What a program prints."""
    capsys.readouterr()
    code = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
    exec(code, {"__name__": "__main__", "__file__": path})
    return capsys.readouterr().out


def test_both_pages_have_the_same_program_commands_and_results():
    for kind in ("python", "sh", "text"):
        assert blocks(PAGES[0], kind) == blocks(PAGES[1], kind)
    tables = [re.findall(r"^\| `.*$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE) for page in PAGES]
    assert len(tables[0]) == len(tables[1])


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_example_converts_checks_and_trains_with_torchs_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = blocks(PAGES[0], "python")[0]
    Path("spirals.py").write_text(program, encoding="utf-8")
    _, convert, check, train, native, _ = (shlex.split(text) for text in blocks(PAGES[0], "sh"))
    report, table, printed, step, _ = blocks(PAGES[0], "text")

    assert main(convert[1:]) == 0
    assert capsys.readouterr().out == report
    assert main([*check[1:], "--eager"]) == 0
    shown = capsys.readouterr().out.splitlines()
    expected = [line for line in table.splitlines() if "compiled" not in line]
    assert [line.split()[:-1] for line in shown] == [line.split()[:-1] for line in expected]

    original = run_program("spirals.py", capsys)
    assert run_program(train[1], capsys) == original == printed
    assert main(native[1:]) == 0
    assert step in Path("spirals_native.py").read_text(encoding="utf-8")


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_example_of_transformers_prints_torchs_numbers(tmp_path, monkeypatch):
    pytest.importorskip("peft")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program, command, printed = (blocks(PAGES[0], kind)[-1] for kind in ("python", "sh", "text"))
    install = "from mindspore_impl import torch_api\n\ntorch_api.install()\n"
    assert install in program
    for source in (program.replace(install, ""), program):
        Path("lora_bert.py").write_text(source, encoding="utf-8")
        assert command.split() == ["python", "lora_bert.py"]
        ended = subprocess.run([sys.executable, "lora_bert.py"], capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert [line for line in ended.stdout.splitlines() if line.startswith("step")] == printed.splitlines()
