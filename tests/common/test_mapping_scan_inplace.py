"""The scanner on methods that change their tensor: what the adapters refuse is not proposed."""

from __future__ import annotations

import ast
import json

import pytest

from common.api_mapping.rows import registry
from common.api_mapping.scan import scan
from common.api_mapping.scan.inplace import refused


def call(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("text", "assigned"),
    [
        ("x[0].fill_(1.0)", "x[0] = value"),
        ("x[:, 1:].copy_(y)", "x[:, 1:] = value"),
        ("self.weight.data[0].zero_()", "self.weight.data[0] = 0"),
        ("x[0].view(-1).zero_()", "x[0] = 0"),
        ("x[mask].data.mul_(2)", "x[mask] = the result of mul()"),
        ("x.t().fill_(1.0)", "the tensor itself"),
        ("x.T.fill_(1.0)", "the tensor itself"),
        ("x.chunk(2)[0].fill_(1.0)", "the tensor itself"),
        ("x.transpose(0, 1).detach().add_(1)", "the tensor itself"),
        ("x.unbind(0)[1].exp_()", "the tensor itself"),
    ],
)
def test_a_write_to_a_view_of_a_part_comes_with_the_assignment_to_write(text, assigned):
    assert assigned in refused(call(text))


@pytest.mark.parametrize("text", ["x.fill_(1)", "x.data.fill_(1)", "x.view(-1).zero_()", "x.detach().add_(1)", "f(x)"])
def test_a_write_to_the_whole_tensor_is_no_such_view(text):
    assert refused(call(text)) == ""


@pytest.fixture
def report(tmp_path):
    """What the scanner says of code, with the in-place rows verified."""
    names = ("torch.Tensor.fill_", "torch.Tensor.zero_", "torch.nn.functional.relu")
    rows = {
        name: {"verdict": "adapted", "target": registry()[name].shim, "digest": registry()[name].digest()}
        for name in names
    }
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"device": "cpu", "versions": {}, "rows": rows}), encoding="utf-8")

    def scanned(code: str):
        file = tmp_path / "code.py"
        file.write_text(f"import torch\nimport torch.nn.functional as F\nx = torch.ones(2, 3)\n{code}\n", "utf-8")
        return [found for found in scan([file], "cpu", results).findings if found.line == 4]

    return scanned


def test_the_scanner_does_not_propose_a_refused_write(report):
    [found] = report("x[0].fill_(1.0)")
    assert (found.category, found.snippet) == ("unsupported", "")
    assert "x[0] = value" in found.change


def test_the_scanner_says_where_a_write_raises(report):
    [found] = report("x.fill_(1.0)")
    assert found.category == "needs adapting"
    assert "compiled graphs" in found.change
    assert "view of a part" in found.change


def test_the_scanner_takes_inplace_out_and_says_so(report):
    [found] = report("F.relu(x, inplace=True)")
    assert found.snippet == "F.relu(x)"
    assert "no inplace=" in found.change
