"""The work of a scan grows with the size of what is scanned, and what is kept for later can not go stale. Work is counted,
not timed."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.api_mapping import snippets
from common.api_mapping.scan import calls, scan
from common.api_mapping.scan.calls import uses
from common.api_mapping.scan.findings import Finding, Report
from common.api_mapping.scan.formats import FORMATS, render
from common.api_mapping.scan.sources import Source, Unit, parse
from common.resources import package_folder

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
PROGRAMS = {
    "one name": lambda n: "x = g(x)\nx.view(1)\n" * n,
    "one name of a tensor": lambda n: "x = F.relu(a)\n" + "x = x + 1\nx.view(1)\n" * n,
    "a chain of names": lambda n: "".join(f"x{i + 1} = g(x{i})\nx{i}.view(1)\n" for i in range(n)),
    "a chain from below": lambda n: "".join(f"x{i}.view(1)\nx{i} = x{i + 1}.abs()\n" for i in range(n)),
    "names that need each other": lambda n: "".join(
        f"x{i} = x{(i + 1) % n} + x{i * 7 % n} + x{i * 13 % n}\nx{i}.view(1)\n" for i in range(n)
    ),
    "a second name": lambda n: "g = F.relu\n" * n + "g(x)\n" * n,
    "an imported name": lambda n: "from own import x\n" * n + "x.y.view(1)\n" * n,
    "functions": lambda n: "".join(f"def f{i}(x):\n    x = F.relu(x)\n    return x.view(1)\n" for i in range(n)),
    "classes": lambda n: "".join(
        f"class A{i}(nn.Module):\n    def forward(self, x):\n        return self.a(x).view(1)\n" for i in range(n)
    ),
    "a long chain": lambda n: "x = y" + ".abs()" * min(n, 160) + "\n",
}


def steps(work) -> int:
    """How many lines of the project's Python run."""
    counted = Counter()

    def trace(frame, event, argument):
        if "api_mapping" not in frame.f_code.co_filename:
            return None
        counted[event] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted["line"]


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_work_grows_with_the_size(program):
    def cost(size: int) -> int:
        unit = parse(HEAD + program(size))
        assert isinstance(unit, Unit)
        return steps(lambda: uses(Source("code.py", [unit])))

    cost(2)
    small, large = cost(40), cost(160)
    assert large < 5 * small, (small, large)  # four times as much; sixteen times would be quadratic


@pytest.mark.parametrize("format", FORMATS)
def test_the_work_of_a_report_grows_with_its_files(format):
    def cost(files: int) -> int:
        names = [f"{number}.py" for number in range(files)]
        found = [
            Finding(
                name, None, 1, 1, 1, 2, "torch.abs", "call", False, False, "covered", "torch.abs", "", "", "", "", ()
            )
            for name in names
        ]
        return steps(lambda: render(Report("cpu", None, files=names, findings=found), format))

    cost(2)
    assert cost(160) < 5 * cost(40)


def test_sources_of_adapters_are_read_once_for_a_scan(tmp_path, monkeypatch):
    read = []
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, **given: read.append(self) or original(self, **given))
    (tmp_path / "code.py").write_text(HEAD + "torch.linalg.svdvals(x)\nx.index_add(0, i, s)\nnn.Linear(2, 3)\n" * 50)
    snippets._adapters.cache_clear()
    assert len(scan([tmp_path / "code.py"]).findings) == 150
    assert max(Counter(path for path in read if path.parent.name == "shims").values()) == 1


def test_adapters_are_those_that_python_sees():
    listed = {}
    for file in sorted((package_folder("mindspore_impl") / "shims").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                for name in ast.literal_eval(node.value):
                    listed.setdefault(name, f"mindspore_impl.shims.{file.stem}")
    assert len(listed) > 500
    assert {name: snippets.adapter_module(f"shim.{name}") for name in listed} == listed


def test_nothing_of_one_file_is_used_for_the_next():
    """Expressions are kept by their nodes; an id would be given to a node of the next file."""
    for number in range(300):
        plain = number % 2
        unit = parse(f"import torch\nx = {'[1]' if plain else 'torch.abs(y)'}\nx.view({number})\n")
        assert isinstance(unit, Unit)
        found = [use.by_name for use in uses(Source("code.py", [unit])) if use.kind == "method"]
        assert found == ([] if plain else [False])
        del unit


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "code.py"
    for code, names in (("torch.abs(x)", ["torch.abs"]), ("torch.tanh(x)", ["torch.tanh"]), ("1", [])):
        path.write_text(f"import torch\n{code}\n")
        assert [found.name for found in scan([path]).findings] == names


def test_files_without_torch_are_not_walked(monkeypatch):
    walked = []
    original = calls.walk
    monkeypatch.setattr(calls, "walk", lambda *given: walked.append(1) or original(*given))
    for code, expected in (
        ("import numpy\nnumpy.abs(1)", []),
        ("import \uff54\uff4f\uff52\uff43\uff48\ntorch.abs(1)", ["torch.abs"]),
    ):
        unit = parse(code)
        assert isinstance(unit, Unit)
        assert [use.name for use in uses(Source("code.py", [unit]))] == expected
    assert walked == [1]
