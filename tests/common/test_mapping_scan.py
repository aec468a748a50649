"""The scanner: what it finds in source, where, and what it says of it. Nothing here depends on which rows the mapping
has, save a few."""

from __future__ import annotations

import builtins
import importlib.util
import json
import keyword
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from common.api_mapping import lock
from common.api_mapping.rows import registry
from common.api_mapping.scan import CATEGORIES, FORMATS, render, scan, structure
from common.api_mapping.scan import knowledge as known
from common.api_mapping.scan.calls import Use, uses
from common.api_mapping.scan.names import FUNCTIONS, LAYERS, METHODS
from common.api_mapping.scan.notebook import parse_cell
from common.api_mapping.scan.sources import Source, Unit, decode, find, parse
from common.errors import InputError
from tests.support import HANGS

ROOT = Path(common.__file__).resolve().parents[1]
SOFTMAX = "torch.nn.functional.softmax"


def found(code: str) -> list[Use]:
    """The uses in a piece of code."""
    unit = parse(code)
    assert isinstance(unit, Unit), unit
    return uses(Source("code.py", [unit]))


def names(code: str, *kinds: str) -> list[str]:
    """Their names, in the order of the text."""
    return [use.name for use in found(code) if not kinds or use.kind in kinds]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A CPU with MindSpore 2.10.0, five rows, and a lock and a verification of four of them. Returns a function that
    scans code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(lock, "SHIPPED", tmp_path / "none.json")
    monkeypatch.setattr(known, "_version", lambda: "2.10.0")
    monkeypatch.setattr(known, "_device", lambda: "cpu")
    known_here = ("torch.abs", "torch.tanh", "torch.nn.functional.gelu", "torch.add", "torch.acos")
    monkeypatch.setattr(known, "registry", lambda: {name: registry()[name] for name in known_here})
    rows = {
        "torch.abs": {"target": "mint.abs", "passed": ["mint.abs", "ops.abs"], "rejected": {}},
        "torch.tanh": {"target": "shim.tanh", "passed": [], "rejected": {"mint.tanh": "off"}},
        "torch.nn.functional.gelu": {"target": "shim.gelu", "passed": ["ops.gelu"], "rejected": {}},
        "torch.add": {"target": None, "passed": [], "rejected": {"mint.add": "The kernel Add unregistered."}},
    }
    lock.save(lock.user_file(), "cpu", "2.10.0", rows)
    verdicts = {
        "torch.abs": "exact",
        "torch.tanh": "adapted",
        "torch.nn.functional.gelu": "rounding",
        "torch.add": "unsupported here",
    }
    results = tmp_path / "verification.json"
    results.write_text(
        json.dumps(
            {
                "schema": 1,
                "device": "cpu",
                "rows": {name: {"verdict": verdict, "error": 1e-7} for name, verdict in verdicts.items()},
            }
        )
    )
    monkeypatch.chdir(tmp_path)

    def run(code: str = "", *paths, file: str = "code.py"):
        if not paths:
            Path(file).write_text(code, encoding="utf-8")
        return scan(paths or [file], results=results)

    return run


# --- names
# -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.nn.functional.softmax(x)",
        "import torch as t\nt.nn.functional.softmax(x)",
        "import torch.nn.functional\ntorch.nn.functional.softmax(x)",
        "import torch.nn.functional as F\nF.softmax(x)",
        "from torch import nn\nnn.functional.softmax(x)",
        "from torch.nn import functional as F\nF.softmax(x)",
        "from torch.nn.functional import softmax as s\ns(x)",
        "import torch\nF = torch.nn.functional\nsoft = F.softmax\nsoft(x)",
        "def f(x):\n    import torch.nn.functional as F\n    return F.softmax(x)",
        "def f(x):\n    return F.softmax(x)\nimport torch.nn.functional as F",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\ntorch.nn.functional.softmax(x)",
        "import torch\ndef f():\n    global F\n    F = torch.nn.functional\ndef g(x):\n    return F.softmax(x)",
        "import torch\nnames = [torch.nn.functional.softmax(x) for x in y]",
        "import torch\nf = lambda x: torch.nn.functional.softmax(x)",
        "import torch\nasync def f(x):\n    async with g() as h:\n        return torch.nn.functional.softmax(x)",
        "import torch\nmatch x:\n    case [y]:\n        torch.nn.functional.softmax(y)",
    ],
)
def test_every_way_to_name_a_function(code):
    assert names(code, "call") == [SOFTMAX]
    assert not any(use.guessed or use.by_name for use in found(code))


@pytest.mark.parametrize(
    "code",
    [
        "import torch\nfrom . import functional as F\nF.softmax(x)",
        "import torch\nfrom .nn import functional as F\nF.softmax(x)",
        "import torch\nfrom .torch import nn\nnn.Linear(2, 3)",
        "import torchvision\ntorchvision.ops.nms(x)",
        "import torch.nn.functional as F\ndef f(F):\n    return F.relu6(1, 2, 3)",
        "from torch import nn\ndef f(nn=3):\n    return nn.Linear(1)",
        "import torch_scatter as torch2\ntorch2.scatter(x)",
        "softmax(x)",
        "class A:\n    from torch import nn\n    def f(self):\n        return nn.Linear(2, 3)",
    ],
)
def test_other_names_are_left_alone(code):
    assert names(code, "call") == []


def test_an_import_of_everything_is_a_guess():
    [use] = found("from torch.nn import *\nLinear(3, 4)\nnames(1)\nprint(2)")
    assert use.name == "torch.nn.Linear"
    assert use.guessed
    assert names("from torch.nn import *\ndef Linear(x): ...\nLinear(3, 4)") == []


def test_bases_references_types_and_forward():
    code = (
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nclass A(nn.Module):\n    def forward(self, x: torch.Tensor):\n"
        "        return x.type(torch.float32)\nTABLE = {'gelu': F.gelu}\n@torch.jit.script\ndef f(): ...\n"
    )
    kinds = {use.name: use.kind for use in found(code)}
    assert kinds == {
        "torch.nn.Module": "base",
        "torch.nn.Module.forward": "definition",
        "torch.Tensor": "name",
        "torch.Tensor.type": "method",
        "torch.float32": "name",
        "torch.nn.functional.gelu": "reference",
        "torch.jit.script": "reference",
    }


def test_a_function_of_autograd_keeps_its_forward():
    code = "import torch\nclass A(torch.autograd.Function):\n    @staticmethod\n    def forward(context, x): ...\nclass B:\n    def forward(self): ...\n"
    assert names(code, "definition") == []


IDENTIFIERS = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and not hasattr(builtins, name) and name not in ("x", "y", "torch")
)


@settings(max_examples=60, deadline=None)
@given(
    alias=IDENTIFIERS,
    form=st.sampled_from(
        [
            "import torch as {0}\n{1}{0}.nn.functional.softmax(x)",
            "from torch import nn as {0}\n{1}{0}.functional.softmax(x)",
            "import torch.nn.functional as {0}\n{1}{0}.softmax(x)",
            "from torch.nn.functional import softmax as {0}\n{1}{0}(x)",
            "import torch\n{0} = torch.nn.functional.softmax\n{1}{0}(x)",
        ]
    ),
    blank=st.integers(0, 30),
    before=st.sampled_from(["", "y = ", "print('ä'); ", "if 1: "]),
)
def test_any_alias_is_resolved_at_its_place(alias, form, blank, before):
    code = form.format(alias, "\n" * blank + before)
    [use] = [use for use in found(code) if use.kind == "call"]
    assert use.name == SOFTMAX
    line, column = use.start
    assert code.split("\n")[line - 1][column - 1 :].startswith(alias)
    assert column == len(before) + 1


# --- methods
# ---------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        '", ".join(parts)',
        "'a b'.split()",
        "f'{x}'.split('b')",
        "text.split(',')",
        "text.split(sep)",
        "row.split(maxsplit=1)",
        "names.append(1)",
        "options.get('a')",
        "options.values()",
        "[3, 1].sort()",
        "names.sort()",
        "names.sort(key=len)",
        "seen.add(3)",
        "{}.items()",
        "np.sum(x)",
        "np.linalg.norm(x)",
        "np.zeros(3).sum()",
        "math.sqrt(2)",
        "os.path.expand('a')",
        "logger.log(10, 'text')",
        "self.foo()",
        "self.view(3)",
        "cls.view(3)",
        "super().transpose(1)",
        "trainer.train(data)",
        "open('a').read().split('x')",
        "a.shape.index(3)",
        "init.zeros_(x)",
        "Other.view(x)",
        "words.sum()",
        "count.mean()",
        "array.mean()",
        "array.reshape(2).sum()",
    ],
)
def test_methods_of_other_objects_are_no_findings(line):
    code = (
        "import torch, math, os, logging\nimport numpy as np\nfrom .own import init, Other\nlogger = logging.getLogger()\n"
        "def f(self, cls, x, text: str, row, sep, names, options, seen, trainer, data, a, words: list[str], count: int | None, array: np.ndarray):\n"
        f"    {line}\n"
    )
    assert [use.name for use in found(code) if use.start[0] == 6] == []


@pytest.mark.parametrize(
    ("line", "method", "by_name"),
    [
        ("x.view(-1)", "view", True),
        ("t.view(-1)", "view", False),
        ("o.view(-1)", "view", False),
        ("self.weight.transpose(0, 1)", "transpose", True),
        ("torch.abs(x).sum()", "sum", False),
        ("x.split(3, dim=-1)", "split", True),
        ("t.split(3)", "split", False),
        ("t.sort()", "sort", False),
        ("x.sort(descending=True)", "sort", True),
        ("(t + 1).mean()", "mean", False),
        ("t[0].mean()", "mean", False),
        ("made.mean()", "mean", False),
        ("x.scatter_(0, i, v)", "scatter_", True),
    ],
)
def test_methods_of_tensors(line, method, by_name):
    code = f"import torch\ndef f(self, x, i, v, t: torch.Tensor, o: 'torch.Tensor | None'):\n    made = torch.abs(x)\n    {line}\n"
    [use] = [use for use in found(code) if use.kind == "method"]
    assert use.name == f"torch.Tensor.{method}"
    assert use.by_name == by_name


def test_methods_are_only_looked_for_where_torch_is_imported():
    assert names("import numpy as np\ndef f(x):\n    return x.view(-1)") == []
    assert names("from torch import Tensor\ndef f(x):\n    return x.view(-1)") == ["torch.Tensor.view"]


def test_a_method_in_a_chain_stands_where_its_name_stands():
    [first, second] = found("import torch\ny = (x\n     .transpose(1, 2)\n     .contiguous())")
    assert (first.name, first.start, first.end) == ("torch.Tensor.transpose", (3, 7), (3, 16))
    assert (second.name, second.start) == ("torch.Tensor.contiguous", (4, 7))


def test_methods_of_layers():
    code = (
        "import torch\nfrom torch import nn\nclass A(nn.Module):\n    def __init__(self):\n        self.register_buffer('a', None)\n        self.own()\n"
        "    def own(self):\n        self.train()\nmodel.eval()\nmodel.train()\nnn.Linear(2, 3).parameters()\n"
        "class Trainer:\n    def f(self):\n        self.train()\n"
    )
    called = [(use.name.rpartition(".")[2], use.start[0], use.by_name) for use in found(code) if use.kind == "method"]
    assert called == [
        ("register_buffer", 5, False),
        ("train", 8, False),
        ("eval", 9, True),
        ("train", 10, True),
        ("parameters", 11, False),
    ]


@pytest.mark.parametrize(
    "code",
    [
        "x = y" + ".abs()" * 250,
        "x = " + " + ".join(["torch.abs(a)"] * 400),
        "\n".join(["a = a + a"] * 200 + ["a.view(1)"]),
        "\n".join([f"a{i + 1} = a{i} + a{i}" for i in range(250)] + ["a250.view(1)"]),
        "\n".join(["x = x.T"] * 300 + ["x.view(3)", "x()"]),
        "def f(x: " + " | ".join(["A"] * 400) + "):\n    x.view(1)",
    ],
)
def test_long_and_circular_code_ends(code):
    began = time.perf_counter()
    assert found(f"import torch\n{code}")
    assert time.perf_counter() - began < HANGS


# --- verdicts
# --------------------------------------------------------------------------------------------------------------------------------------


def test_what_is_said_of_each_kind_of_row(machine):
    report = machine(
        "import torch, torch.nn.functional as F\na = torch.abs(x)\nb = torch.tanh(x)\nc = F.gelu(torch.abs(x), approximate='tanh')\n"
        "d = torch.add(x, y)\ne = torch.not_there(x)\nwith torch.no_grad():\n    f = x.abs()\ng = torch.acos(x)\nh = torch.abs(x, out=a)\n"
    )
    told = {found.line: found for found in reversed(report.findings)}  # the first of a line
    assert [(told[line].category, told[line].verdict, told[line].target) for line in (2, 3, 4, 5, 6)] == [
        ("covered", "exact", "mint.abs"),
        ("needs adapting", "adapted", "shim.tanh"),
        ("covered", "rounding", "ops.gelu"),
        ("unsupported", "unsupported here", ""),
        ("unknown", "no row", ""),
    ]
    assert told[2].snippet == "mint.abs(x)"
    assert told[2].imports == ("from mindspore import mint",)
    assert told[3].snippet == "F.tanh(x)"
    assert told[3].imports == ("from mindspore_impl import functional as F",)
    assert "float64" in told[3].change
    assert told[5].change.endswith("unregistered.")
    assert told[7].category == "structure"
    assert told[7].row == ""
    assert told[9].verdict == "not verified"
    assert told[9].category == "unknown"
    assert told[10].category == "needs adapting"
    assert told[10].snippet == "mint.abs(x)"
    assert "out=" in told[10].change
    assert told[4].snippet == "ops.gelu(mint.abs(x), approximate='tanh')"
    method = next(found for found in report.findings if found.kind == "method")
    assert (method.row, method.by_name_only, method.snippet) == ("torch.abs", True, "mint.abs(x)")
    assert "torch.abs" in method.change
    assert report.counts() == {"covered": 4, "needs adapting": 2, "structure": 1, "unknown": 2, "unsupported": 1}
    assert report.exit_code == 1


def test_exit_code_0_needs_a_verified_row_for_every_call(machine):
    assert (
        machine(
            "import torch\nclass A(torch.nn.Module):\n    def forward(self, x: torch.Tensor):\n        return torch.abs(x)\n"
        ).exit_code
        == 0
    )
    assert machine("x = 1\n").exit_code == 0
    assert machine("import torch\ntorch.acos(x)\n").exit_code == 1


def test_structure_never_counts_as_verified(machine):
    report = machine(
        "import torch\nfrom torch import nn\nnn.Parameter(x)\nnn.ModuleList()\nx.to('cuda')\ntorch.device('cpu')\ntorch.distributed.barrier()\n"
    )
    assert report.counts()["structure"] == len(report.findings) == 5
    assert {found.verdict for found in report.findings} == {"advice"}
    assert all(found.change or found.target for found in report.findings)


def test_private_paths_and_second_names_lead_to_the_row(machine):
    report = machine(
        "import torch\ntorch.absolute(x)\ntorch.nn.functional.tanh(x)\ntorch.nn.modules.module.Module()\ntorch.nn.Module.forward(a, x)\n"
    )
    assert [found.row for found in report.findings] == ["torch.abs", "torch.tanh", "", ""]
    assert [found.name for found in report.findings[2:]] == ["torch.nn.Module", "torch.nn.Module.forward"]


def test_a_method_is_not_always_the_function_of_that_name(machine, monkeypatch):
    monkeypatch.setattr(
        known,
        "registry",
        lambda: {name: registry()["torch.abs"] for name in ("torch.abs", "torch.permute", "torch.where", "torch.abs_")},
    )
    report = machine("import torch\nx.abs()\nx.permute(0, 2, 1)\nx.where(y, z)\nx.abs_()\n")
    assert [found.row for found in report.findings] == ["torch.abs", "", "", ""]


def test_nothing_is_verified_without_a_verification(machine, tmp_path):
    Path("code.py").write_text("import torch\ntorch.abs(x)\n")
    for content in (None, "not json", "[]", '{"rows": 3}'):
        path = tmp_path / "other.json"
        if content is not None:
            path.write_text(content)
        report = scan(["code.py"], results=path)
        assert report.counts()["unknown"] == 1
        assert report.findings[0].verdict == "not verified"
        assert report.notes


def test_a_verification_counts_only_where_it_was_made(machine, tmp_path):
    Path("code.py").write_text("import torch\ntorch.abs(x)\n")
    rows = {"torch.abs": {"verdict": "exact", "digest": registry()["torch.abs"].digest()}}
    path = tmp_path / "other.json"

    def verdict(**content) -> str:
        path.write_text(json.dumps({"device": "cpu", "versions": {"mindspore": "2.10.0"}, "rows": rows} | content))
        return scan(["code.py"], results=path).findings[0].verdict

    assert verdict() == "exact"
    assert verdict(rows=[{"name": "torch.abs", "verdict": "exact"}, 3, {}]) == "exact"
    assert verdict(device="ascend:0") == "not verified"
    assert verdict(versions={"mindspore": "2.9.0"}) == "not verified"
    assert verdict(rows={"torch.abs": {"verdict": "exact", "digest": "of an older row"}}) == "not verified"
    assert verdict(rows={"torch.abs": {"verdict": 3}, "torch.tanh": None}) == "not verified"
    assert (
        verdict(rows={"torch.abs": {"verdict": "failed", "failures": [{"case": "3x4", "message": "off"}]}}) == "failed"
    )


def test_a_machine_without_mindspore_is_told_so(machine, monkeypatch):
    monkeypatch.setattr(known, "_version", lambda: None)
    report = machine("import torch\ntorch.abs(x)\n")
    assert report.findings[0].target == "mint.abs"
    assert any("not installed" in note for note in report.notes)
    monkeypatch.setattr(known, "_device", lambda: "ascend")
    report = machine("import torch\ntorch.abs(x)\n")
    assert report.findings[0].verdict == "not verified"
    assert any("map probe" in note for note in report.notes)


# --- files
# -----------------------------------------------------------------------------------------------------------------------------------------


def test_the_code_is_read_and_never_run(machine, tmp_path):
    machine("import torch\nopen('ran', 'w').write('x')\nraise SystemExit(3)\ntorch.abs(x)\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        (b"# -*- coding: latin-1 -*-\nimport torch\ns = '\xe9'; torch.abs(x)\n", 3, ""),
        (b"\xef\xbb\xbfimport torch\ntorch.abs(x)\n", 2, ""),
        (b"import torch\r\n\r\ntorch.abs(x)\r\n", 3, ""),
        (b"import torch\ns = '\xe9\xff'; torch.abs(x)\n", 2, "latin-1"),
        (b"# coding: klingon\nimport torch\ntorch.abs(x)\n", 3, "klingon"),
        (b"# coding: rot13\nimport torch\ntorch.abs(x)\n", 3, "latin-1"),
        ("import torch\ntorch.abs(x)\n".encode("utf-16"), 2, "UTF-16"),
        ("import torch\ns = '日本'; torch.abs(x)\n".encode(), 2, ""),
    ],
)
def test_encodings(machine, content, line, told):
    Path("code.py").write_bytes(content)
    report = machine("", "code.py")
    assert [(found.name, found.line) for found in report.findings] == [("torch.abs", line)]
    assert report.problems == []
    assert bool(told) == bool(report.notes)
    assert told in " ".join(report.notes)


def test_columns_are_characters(machine):
    report = machine("import torch\ns = '日本'; torch.abs(x)\n")
    assert (report.findings[0].column, report.findings[0].end_column) == (11, 20)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("import torch\ndef f(:\n", "bad.py:2 cannot be parsed: invalid syntax"),
        ("print 'x'\n", "bad.py:1 cannot be parsed"),
        ("x = 1\ny\0 = 2\n", "bad.py:2 cannot be parsed: it holds a null byte"),
        ("x = " + "-" * 100_000 + "1", "bad.py cannot be parsed: it is nested too deeply"),
        ("x = " + "(" * 500 + ")" * 500, "bad.py:1 cannot be parsed: too many nested parentheses"),
        ("#" * (21 * 2**20), "bad.py is larger than 20 MB"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_scanned(machine, content, told):
    Path("bad.py").write_text(content)
    Path("good.py").write_text("import torch\ntorch.abs(x)\n")
    report = machine("", "bad.py", "good.py")
    [problem] = report.problems
    assert problem.startswith(told)
    assert [found.file for found in report.findings] == ["good.py"]
    assert report.exit_code == 1  # what was not read was not verified
    for format in FORMATS:
        assert "bad.py" in render(report, format)


def test_folders(machine, tmp_path):
    for name in (
        "b.py",
        "a/z.py",
        "a/b/c.ipynb",
        ".hidden/x.py",
        ".venv/x.py",
        "node_modules/x.py",
        "env/pyvenv.cfg",
        "env/x.py",
        "a/data.csv",
        "a/__pycache__/x.py",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"cells": []}' if name.endswith("ipynb") else "import torch\n")
    (tmp_path / "tree" / "a" / "loop").symlink_to(tmp_path / "tree", target_is_directory=True)
    (tmp_path / "tree" / "again.py").symlink_to(tmp_path / "tree" / "b.py")
    (tmp_path / "tree" / "broken.py").symlink_to(tmp_path / "tree" / "nowhere.py")
    (tmp_path / "tree" / "circle.py").symlink_to(tmp_path / "tree" / "circle.py")
    os.mkfifo(tmp_path / "tree" / "pipe.py")
    (tmp_path / "empty").mkdir()
    report = machine("", "tree", "tree/b.py", "empty", "nowhere", "tree/pipe.py")
    assert sorted(report.files) == ["tree/a/b/c.ipynb", "tree/a/z.py", "tree/again.py"]  # b.py is again.py
    assert report.files[0] == "tree/again.py"
    assert report.problems == [
        "empty holds no Python file and no notebook.",
        "nowhere does not exist.",
        "tree/pipe.py is not a file that can be read.",
    ]


def test_nothing_to_scan_is_an_input_error(machine):
    Path("empty").mkdir()
    for paths in ([], ["nowhere.py"], ["empty"]):
        with pytest.raises(InputError) as error:
            scan(paths)
        assert error.value.exit_code == 2
        assert "expected" in str(error.value)


def test_ten_times_the_lines_take_about_ten_times_as_long(machine):
    """In this process's own time, so that a busy machine does not count."""
    block = "def f(x, y):\n    z = torch.abs(x).view(-1)\n    if z.sum() > 0:\n        z = F.gelu(z + y)\n    return torch.tanh(z)\n"
    taken = []
    for repetitions in (200, 2000):
        began = time.process_time()
        report = machine("import torch\nimport torch.nn.functional as F\n" + block * repetitions)
        for format in FORMATS:
            render(report, format)
        taken.append(time.process_time() - began)
        assert len(report.findings) == 5 * repetitions
    assert taken[1] < 40 * taken[0]  # what grows with the square takes 100 times as long


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_decoded(content):
    text, _ = decode(content)
    assert isinstance(text, str)
    unit = parse(text)
    assert isinstance(unit, Unit | tuple)


# --- notebooks
# -------------------------------------------------------------------------------------------------------------------------------------


def notebook(*cells: str, **more) -> str:
    kinds = [{"cell_type": "markdown", "source": "# Title"}]
    return json.dumps(
        {
            "cells": kinds + [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells],
            "nbformat": 4,
            **more,
        }
    )


def test_notebooks_share_names_between_cells_and_count_lines_in_each(machine):
    report = machine(
        notebook(
            "%matplotlib inline\nimport torch\n!pip install x",
            "y = torch.abs(\n    x)",
            "def f(:",
            "%%bash\nls torch",
            "z = 7\n\nx = torch.tanh(y)",
        ),
        file="n.ipynb",
    )
    assert [(found.name, found.cell, found.line) for found in report.findings] == [
        ("torch.abs", 3, 1),
        ("torch.tanh", 6, 3),
    ]
    assert report.problems == ["n.ipynb, cell 4 line 1 cannot be parsed: invalid syntax."]
    assert "cell 3 1:5" in render(report)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "3",
        '{"cells": 3}',
        '{"cells": [3]}',
        '{"worksheets": [{}, 3]}',
        "\x00",
        '{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}',
    ],
)
def test_what_is_no_notebook_is_told(machine, content):
    report = machine(content, file="n.ipynb")
    [problem] = report.problems
    assert problem.startswith("n.ipynb is not a notebook")


def test_old_notebooks(machine):
    report = machine(
        json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": ["import torch\n", "torch.abs(x)"]}]}]}),
        file="n.ipynb",
    )
    assert [(found.cell, found.line) for found in report.findings] == [(1, 2)]


def test_only_magics_are_taken_out():
    unit = parse_cell(
        "x = (7\n% 3)\ns = '''\n%d items\n!ls\n'''\n%time y\nfiles = !ls\nhelp?\nif x:\n    %run a.py\n!echo 'open\\\n  still'\nlast = 1"
    )
    assert isinstance(unit, Unit)
    assert [node.lineno for node in unit.tree.body] == [1, 3, 7, 8, 9, 10, 12, 14]
    assert not isinstance(parse_cell("%matplotlib inline\nx = = 3"), Unit)
    assert isinstance(parse_cell("%%timeit -n 3\nx = 3"), Unit)
    assert parse_cell("%%writefile a.py\nx = = 3").tree.body == []


MAGICS = st.sampled_from(
    [
        "%matplotlib inline",
        "!ls -l 'x'",
        "?torch",
        "torch?",
        "%time torch.tanh(1)",
        "out = !ls",
        "%load_ext (",
        "! echo {x",
    ]
)
PYTHON = st.sampled_from(
    [
        "",
        "# note",
        "x = 3",
        "y = {'a': [1,\n 2]}",
        "text = '''\n%d\n'''",
        "def f():\n    return 3",
        "for i in x:\n    !ls\n",
    ]
)


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(st.lists(st.one_of(MAGICS, PYTHON), max_size=6), min_size=1, max_size=4), data=st.data())
def test_lines_of_a_notebook_stay_right(cells, data):
    wanted = data.draw(st.integers(0, len(cells) - 1))
    place = data.draw(st.integers(0, len(cells[wanted])))
    lines = [*cells[wanted][:place], "torch.abs(x)", *cells[wanted][place:]]
    texts = ["\n".join(lines) if number == wanted else "\n".join(cell) for number, cell in enumerate(cells)]
    units = [parse_cell(text) for text in ["import torch", *texts]]
    assert all(isinstance(unit, Unit) for unit in units), texts
    for number, unit in enumerate(units):
        unit.cell = number
    [use] = [use for use in uses(Source("n.ipynb", units)) if use.kind == "call"]
    assert use.unit.cell == wanted + 1
    assert texts[wanted].split("\n")[use.start[0] - 1] == "torch.abs(x)"


# --- formats
# ---------------------------------------------------------------------------------------------------------------------------------------

CODE = (
    "import torch\nfrom torch import nn\nclass Model(nn.Module):\n    def forward(self, x: torch.Tensor):\n        a = torch.abs(x | 3)\n"
    "        b = torch.tanh({'a`|b': x}['a`|b'])\n        return torch.some_function_with_a_rather_long_name_that_does_not_exist(a, b.view(-1), x[0](1))\n"
)


def test_text_fits_a_terminal(machine):
    report = machine(CODE)
    text = render(report)
    lines = text.splitlines()
    assert max(map(len, (line for line in lines if "some_function" not in line))) <= 80
    rows = [line for line in lines if "  covered   " in line or "needs adapting  " in line]
    assert len(rows) == 2
    assert len({line.index("covered" if "covered" in line else "needs") for line in rows}) == 1
    assert "  5:13  torch.abs" in text
    assert "write: F.tanh(" in text
    assert "from mindspore import mint" in text
    assert text.endswith("\n")
    assert "torch is not used" in render(machine("x = 1\n"))
    assert "Every call has a verified row or advice." in render(machine("import torch\ntorch.abs(x)\n"))


def test_names_of_files_cannot_send_commands_to_the_terminal(machine):
    report = machine(CODE, file="\x1b[31mred\n.py")
    for format in ("text", "markdown"):
        assert "\x1b" not in render(report, format)
    assert "\\x1b[31mred" in render(report)


def test_markdown_is_a_table(machine):
    lines = render(machine(CODE), "markdown").splitlines()
    table = [line for line in lines if line.startswith("| `code.py:")]
    assert len(table) == 6
    for line in table:
        assert line.replace("\\|", "").count("|") == 7, line
    assert any("`` F.tanh({'a`\\|b': x}['a`\\|b']) ``" in line for line in table)
    assert lines.count("|---|---|---|---|---|---|") == 2


def test_json_holds_everything(machine):
    report = machine(CODE)
    content = json.loads(render(report, "json"))
    assert content["exit_code"] == report.exit_code == 1
    assert len(content["findings"]) == len(report.findings)
    assert content["summary"]["covered"] == 1
    assert content["files"] == {"code.py": report.counts()}
    assert set(content["findings"][0]) >= {
        "file",
        "line",
        "column",
        "name",
        "row",
        "target",
        "verdict",
        "category",
        "change",
        "snippet",
        "by_name_only",
    }


def test_sarif_is_what_the_standard_asks_for(machine):
    Path("dir with space").mkdir()
    Path("dir with space/n.ipynb").write_text(notebook("import torch\ntorch.abs(x)"))
    Path("code.py").write_text(CODE)
    Path("bad.py").write_text("def f(:\n")
    report = machine("", "code.py", "dir with space", "bad.py")
    content = json.loads(render(report, "sarif"))
    assert set(content) == {"$schema", "version", "runs"}
    assert content["version"] == "2.1.0"
    [run] = content["runs"]
    driver = run["tool"]["driver"]
    rules = driver["rules"]
    assert driver["name"]
    assert len({rule["id"] for rule in rules}) == len(rules) == len(CATEGORIES)
    assert all(
        rule["shortDescription"]["text"]
        and rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        for rule in rules
    )
    assert run["columnKind"] == "unicodeCodePoints"
    assert len(run["results"]) == sum(found.counted for found in report.findings) == 7
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] in ("pass", "fail")
        assert (result["kind"] == "pass") == (result["level"] == "none")  # any other kind than fail has no level
        assert result["message"]["text"]
        assert "](" not in result["message"]["text"]
        [location] = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri in ("code.py", "dir%20with%20space/n.ipynb")
        region = location["physicalLocation"].get("region")
        assert (region is None) == uri.endswith("ipynb")
        if region:
            assert set(region) == {"startLine", "startColumn", "endLine", "endColumn"}
            assert 1 <= region["startLine"] <= region["endLine"]
            assert region["startColumn"] < region["endColumn"] or region["startLine"] < region["endLine"]
        else:
            assert location["logicalLocations"] == [{"name": "cell 2", "kind": "module"}]
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert [note["level"] for note in invocation["toolExecutionNotifications"]] == ["error"]


# --- the tables
# ------------------------------------------------------------------------------------------------------------------------------------


def test_no_framework_is_imported(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    program = f"""
import sys
from common.api_mapping.scan import FORMATS, render, scan
report = scan([{str(tmp_path)!r}])
for format in FORMATS:
    render(report, format)
print("LOADED", [name for name in ("torch", "mindspore", "transformers") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stderr[-2000:]


def attribute(name: str):
    """What a dotted name of an installed package stands for."""
    package, *parts = name.split(".")
    found = importlib.import_module(package)
    for part in parts:
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(f"{found.__name__}.{part}")
    return found


@pytest.mark.needs_pytorch
def test_the_names_are_torchs():
    import torch

    for listed, place in ((METHODS, torch.Tensor), (LAYERS, torch.nn), (FUNCTIONS, torch.nn.functional)):
        there = sum(hasattr(place, name) for name in listed)
        assert there >= 0.97 * len(listed) >= 100  # other versions lack some
    for name in [*structure.NAMES, *(f"torch.Tensor.{name}" for name in structure._METHODS)]:
        attribute(name)
    inherited = [name for name in structure.LAYER_METHODS if name != "reset_parameters"]
    assert all(hasattr(torch.nn.Module, name) for name in inherited)


@pytest.mark.needs_mindspore
def test_the_advice_names_what_mindspore_has():
    told = [
        *structure.NAMES.values(),
        *structure._METHODS.values(),
        *structure._SECTIONS.values(),
        *(entry for entry, _ in structure.LAYER_METHODS.values()),
    ]
    targets = {entry.target for entry in told if entry.target.startswith("mindspore.")}
    assert len(targets) > 50
    for target in sorted(targets):
        attribute(target)


@pytest.mark.nightly
def test_this_repositorys_own_torch_code_is_scanned():
    files, problems = find([ROOT / "pytorch_impl"])
    assert len(files) >= 10
    assert problems == []
    report = scan([ROOT / "pytorch_impl"])
    assert report.problems == []
    assert sum(report.counts().values()) > 100


def test_the_coverage_page(machine, tmp_path):
    spec = importlib.util.spec_from_file_location("scan_coverage", ROOT / "scripts" / "bench" / "scan_coverage.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = machine(
        "import torch\ntorch.abs(x)\ntorch.tanh(x)\ntorch.nope(x)\ntorch.nope(x)\nx.to('cpu')\ny: torch.Tensor\n"
    )
    text = script.page([("code.py", "1.0", report)], ["peft/layer.py"])
    assert "| `code.py` | 1.0 | 5 | 2 | 1 | 2 | 50.0 % | 1 |" in text
    assert "- `code.py`: `torch.nope` (2)" in text
    assert "peft/layer.py is not installed" in text
    script.main(["-o", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text().count("| `pytorch_impl` |") == 1
