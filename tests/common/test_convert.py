"""Converting PyTorch source: what is written, what is marked, and that nothing else changes. Needs no framework."""

from __future__ import annotations

import ast
import json
import re

import pytest

pytest.importorskip("libcst")

from common.api_mapping.convert import convert, convert_text, dumps, fix, parse_renames, report
from common.api_mapping.convert.plan import MARK
from common.errors import InputError
from tests.mindspore.porting.cases import NETWORKS

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def native(code: str) -> str:
    """The converted lines after the imports."""
    text = convert_text(HEAD + code, "native").text
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if not re.match(r"(from|import) \w*mindspore", line))
    return "\n".join(lines[start:])


def marks(code: str) -> list[tuple[int, str]]:
    """Line, counted from the first after the imports, and name of every mark."""
    return [(todo.line - 3, todo.name) for todo in convert_text(HEAD + code, "native").todos]


@pytest.mark.parametrize(
    ("torch", "mindspore"),
    [
        ("def f(x: torch.Tensor): return x.size(0)", "def f(x: ms.Tensor): return x.shape[0]"),
        ("def f(x: torch.Tensor): return x.size()", "def f(x: ms.Tensor): return x.shape"),
        ("def f(x): return x.view(x.size(0), -1)", "def f(x): return tensors.view(x, x.shape[0], -1)"),
        ("x = torch.zeros(2, 3, device=device)", "x = F.zeros(2, 3)"),
        ("x = torch.tensor([1], dtype=torch.long)", "x = F.tensor([1], dtype=ms.int64)"),
        ("y = torch.randn(2).cuda().to(device)", "y = ops.randn(2)"),
        ("y = torch.ones(2).to(torch.float16)", "y = F.ones(2).to(ms.float16)"),
        ("y = torch.ones(2).detach().cpu().numpy()", "y = tensors.detach(F.ones(2)).asnumpy()"),
        ("y = (torch.ones(2) + 1).softmax(dim=-1)", "y = F.softmax(F.ones(2) + 1, dim=-1)"),
        ("y = F.relu(torch.ones(2), inplace=True)", "y = F.relu(F.ones(2))"),
        ("y = torch.ones(2, 2).max(dim=1).indices", "y = F.max(F.ones(2, 2), dim=1)[1]"),
        ("y = torch.ones(2, 2).max(1).values", "y = F.max(F.ones(2, 2), 1)[0]"),
        ("m = nn.ReLU(True)", "m = nn.ReLU()"),
        ("m = nn.Sequential(nn.Linear(2, 3), nn.GELU())", "m = ms.nn.SequentialCell(nn.Linear(2, 3), nn.GELU())"),
        ("m = nn.Sequential()", "m = porting.Sequential()"),
        ("m = nn.ModuleDict({})", "m = porting.ModuleDict({})"),
        ("nn.init.normal_(w, std=0.02)", "init.normal_(w, std=0.02)"),
        ("w = nn.Linear(2, 2).weight\nw.data.fill_(1.0)", "w = nn.Linear(2, 2).weight\ninit.constant_(w, 1.0)"),
        ("with torch.no_grad():\n    y = torch.ones(2)", "y = F.ones(2)"),
        ("@torch.no_grad()\ndef f(): pass", "def f(): pass"),
        ("torch.manual_seed(1)", "porting.manual_seed(1)"),
        ("a = torch.from_numpy(b)", "a = ms.Tensor.from_numpy(b)"),
        ("m = nn.Linear(2, 2)\nm.train(); m.eval()", "m = nn.Linear(2, 2)\nm.set_train(); m.set_train(False)"),
        (
            "def f(lr_scheduler, s):\n    lr_scheduler.load_state_dict(s)",
            "def f(lr_scheduler, s):\n    lr_scheduler.load_state_dict(s)",
        ),
        ("m = nn.Linear(2, 2)\nm.load_state_dict(torch.load('p'))", "m = nn.Linear(2, 2)\nms.load_checkpoint('p', m)"),
        ("s = torch.optim.lr_scheduler.StepLR(o, 1)", "s = lr_scheduler.StepLR(o, 1)"),
        (
            "def f(x):\n    y = x.view(2)\n    y = y + 1\n    y += x",
            "def f(x):\n    y = tensors.view(x, 2)\n    y = y + 1\n    y = y + x",
        ),
    ],
)
def test_calls_are_written_for_mindspore(torch, mindspore):
    assert native(torch) == mindspore


def test_a_network_becomes_a_cell_in_training_mode_with_construct():
    code = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)  # kept

    def forward(self, x):
        # so is this
        return self.layer.forward( x )
"""
    assert native(code) == (
        """class Net(ms.nn.Cell):
    def __init__(self):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.layer = nn.Linear(2, 2)  # kept

    def construct(self, x):
        # so is this
        return self.layer( x )"""
    )


def test_the_usual_training_step_becomes_a_gradient_of_a_function():
    code = """def train(model, optimizer, batches):
    for x, y in batches:
        optimizer.zero_grad()
        out = model(x)
        loss = F.cross_entropy(out, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(out.argmax(1), loss.item())
"""
    written = native(code)
    assert (
        "            out = model(x)\n            loss = F.cross_entropy(out, y)\n            return loss, out"
        in written
    )
    assert "(loss, out), gradients = ms.value_and_grad(compute_loss, None, optimizer.parameters" in written
    assert written.index("value_and_grad") < written.index("gradients = porting.clip_grad_norm(gradients, 1.0)")
    assert written.index("clip_grad_norm") < written.index("optimizer(gradients)")
    assert "zero_grad" not in written
    assert marks(code) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\ny = torch.frobnicate(x)", [(2, "torch.frobnicate")]),
        ("a.backward()\nb.backward()\no.step()", [(1, ".backward"), (2, ".backward")]),
        ("def f(x):\n    x.view(-1)\n    x[0].fill_(1)", [(3, ".fill_")]),
        ("thing.forward(1)", [(1, ".forward")]),
        ("from torch.nn import *", [(1, "from torch.nn import *")]),
        ("x = torch.ones(3)\ny = x\ny += 1\nprint(x)", [(3, "y += ...")]),
        ("optimizer = torch.optim.SGD(p)\noptimizer.load_state_dict(s)", [(2, "optimizer.load_state_dict")]),
        ("def f(d_opt, s):\n    d_opt.load_state_dict(s)", [(2, "optimizer.load_state_dict")]),
        ("def f(model, c):\n    model.set_submodule('a.b', c)", [(2, ".set_submodule")]),
        ("w = nn.Linear(2, 2).weight\nw.data[0] = 1", [(2, ".data")]),
        ("y = torch.add(a, b, out=c)", [(1, "torch.add")]),
        ("if thing.frobnicate(torch.foo(1)): pass", [(1, "torch.foo")]),
    ],
)
def test_what_needs_a_person_is_marked_at_its_line(code, expected):
    assert marks(code) == expected
    assert convert_text(HEAD + code, "native").text.count(f"# {MARK}: ") == len(expected)


def test_names_of_the_file_are_not_shadowed_by_the_imports():
    written = convert_text(HEAD + "F_ = 1\ndef f(optim, ops): return torch.randn(2), optim, ops", "native").text
    assert "from mindspore import ops as ms_ops" in written
    assert "return ms_ops.randn(2), optim, ops" in written


def test_the_imports_style_changes_nothing_but_imports():
    code = HEAD + "from torch.utils.data import DataLoader  # kept\n\nx = torch.zeros(1).to('cuda')\n"
    assert convert_text(code, "imports").text == (
        "from mindspore_impl import torch_api as torch\n"
        "from mindspore_impl.torch_api import nn\n"
        "from mindspore_impl.torch_api.nn import functional as F\n"
        "from mindspore_impl.torch_api.utils.data import DataLoader  # kept\n\nx = torch.zeros(1).to('cuda')\n"
    )


@pytest.mark.parametrize("style", ["imports", "native"])
def test_every_network_converts_to_source_that_uses_torch_only_where_it_is_marked(style, tmp_path):
    for found in convert(NETWORKS, tmp_path, style):
        assert found.output
        tree = ast.parse(found.text)
        if style == "native":
            marked = {i + 1 for i, line in enumerate(found.text.splitlines()) if MARK in line}
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and node.id == "torch":
                    assert node.lineno - 1 in marked, f"{found.path}: {ast.unparse(node)} in line {node.lineno}"
        assert found.share >= 0.85


def test_a_folder_keeps_its_layout_and_a_broken_file_does_not_stop_the_others(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    (source / "a.py").write_text("import torch\nx = torch.ones(2)\n")
    (source / "sub/b.py").write_text("def f(:\n")
    results = convert(source, output, "native")
    assert (output / "a.py").read_text() == "from mindspore_impl import functional as F\nx = F.ones(2)\n"
    assert not (output / "sub").exists()
    [problem] = [problem for found in results for problem in found.problems]
    assert re.search(r"sub/b\.py:1 cannot be parsed: .*\.$", problem)
    assert problem in report(results)


@pytest.mark.parametrize("output", ["code.py", ".", "sub/../code.py"])
def test_a_file_is_never_written_over_itself(output, tmp_path):
    path = tmp_path / "code.py"
    path.write_text("import torch\n")
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="not written over itself"):
        convert(path, tmp_path / output)
    assert path.read_text() == "import torch\n"


@pytest.mark.parametrize("output", [".", "sub", ".."])
def test_a_folder_is_never_written_into_itself(output, tmp_path):
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("import torch\n")
    with pytest.raises(InputError, match="outside of the folder"):
        convert(folder, folder / output)


def test_cells_of_a_notebook_share_names_and_keep_magics(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["import torch"], "metadata": {}},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "import torch"],
            "outputs": [{"a": 1}],
            "metadata": {},
        },
        {
            "cell_type": "code",
            "source": ["x = torch.ones(2)\n", "%time y = x.softmax(-1)"],
            "outputs": [],
            "metadata": {},
        },
        {"cell_type": "code", "source": ["def f(:"], "outputs": [], "metadata": {}},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    [found] = convert(path, tmp_path / "b.ipynb", "native")
    written = json.loads((tmp_path / "b.ipynb").read_text())["cells"]
    assert written[0] == cells[0]
    assert "".join(written[1]["source"]) == "%matplotlib inline\nfrom mindspore_impl import functional as F"
    assert written[1]["outputs"] == []
    assert "".join(written[2]["source"]).splitlines()[0] == "x = F.ones(2)"
    assert "".join(written[2]["source"]).splitlines()[2] == "%time y = x.softmax(-1)"
    assert [todo.name for todo in found.todos] == ["magic"]
    assert written[3] == cells[3]
    assert len(found.problems) == 1


def test_the_report_counts_places_and_is_json_too(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("import torch\nx = torch.ones(2)\ny = torch.frobnicate(x)\n")
    results = convert(path, tmp_path / "b.py", "native")
    [row] = json.loads(dumps(results))["files"]
    assert (row["converted"], len(row["remaining"]), row["share"]) == (1, 1, 0.5)
    assert row["remaining"][0]["line"] == 3
    assert "1 of 2 places converted, 1 marked with TODO(torch->mindspore)" in report(results)


def test_fixing_one_file_refuses_what_cannot_be_parsed(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("x = (\n")
    with pytest.raises(InputError, match=r"a\.py:1 cannot be parsed"):
        fix(path)


RENAMED = """import ours
import ours.models as models
import torch
from ours.layers.block import Block
from elsewhere.ours import ours_too
from . import ours as local


class Net(torch.nn.Module):
    def forward(self, x):
        return ours.layers.act(Block(x)) + local.ours + models.one(x)
"""


@pytest.mark.parametrize("style", ["imports", "native"])
def test_a_package_that_is_converted_too_is_imported_under_its_new_name(style):
    text = convert_text(RENAMED, style, renames={"ours": "theirs"}).text
    for line in ("import theirs", "import theirs.models as models", "from theirs.layers.block import Block"):
        assert line in text.splitlines()
    assert "from elsewhere.ours import ours_too" in text
    assert "from . import ours as local" in text
    assert "theirs.layers.act(Block(x)) + local.ours + models.one(x)" in text


@pytest.mark.parametrize("given", ["ours", "ours=", "ours.a=b", "=b"])
def test_a_renaming_that_is_none_is_refused(given):
    with pytest.raises(InputError, match="OLD=NEW"):
        parse_renames([given])
