"""Torch's own test databases, run through the mapping: some operators, modules and optimizers. All of them: `twinlora map verify --peer opinfo`."""

from __future__ import annotations

import pytest

from common.api_mapping import peer
from common.api_mapping.rows import registry
from common.api_mapping.running import open_halves
from common.cli.main import main

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
pytest.importorskip("expecttest")
OPERATORS = ("torch.add", "torch.gather", "torch.nn.functional.pad", "torch.Tensor.mul_", "torch.nn.functional.gelu")
MODULES = ("torch.nn.BatchNorm1d", "torch.nn.Linear", "torch.nn.ZeroPad2d", "torch.nn.LayerNorm")


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def run(suite: str, names: tuple[str, ...], limit: int, mode: str = "pynative") -> list[peer.Finding]:
    from mindspore_impl.mapping_memory import spoil_memory as spoil
    from pytorch_impl.mapping_peer import SUITES

    halves = open_halves("cpu")
    samples = SUITES[suite]({name: registry()[name] for name in names}, limit)
    return list(peer.run(samples, halves.torch, halves.mindspore, halves.mindspore.named, mode, spoil))


def wrong(findings: list[peer.Finding]) -> list[peer.Finding]:
    return [finding for finding in findings if finding.kind in ("different", "accepted")]


def test_no_sample_of_an_operator_differs_without_an_error():
    findings = run("operators", OPERATORS, 6)
    assert {finding.row for finding in findings} == set(OPERATORS)
    assert wrong(findings) == []
    assert sum(finding.kind == "equal" for finding in findings) > 0.7 * len(findings)


@pytest.mark.parametrize("mode", ["graph", "gradient"])
def test_no_compiled_sample_differs_without_an_error(mode):
    findings = run("operators", ("torch.add", "torch.nn.functional.pad"), 2, mode)
    assert findings
    assert wrong(findings) == []


def test_no_sample_of_a_module_or_an_optimizer_differs_without_an_error():
    findings = run("modules", MODULES, 4) + run("optimizers", ("torch.optim.SGD", "torch.optim.AdamW"), 2)
    assert {finding.row for finding in findings} == {*MODULES, "torch.optim.SGD", "torch.optim.AdamW"}
    assert wrong(findings) == []


def test_a_wrong_function_and_one_that_accepts_what_torch_refuses_are_found():
    from mindspore import ops

    from pytorch_impl.mapping_peer import operators

    halves, row = open_halves("cpu"), registry()["torch.add"]

    def planted(x, y, *, alpha=1):
        return ops.add(x, y) * 1.01

    found = list(peer.run(operators({"torch.add": row}, 2), halves.torch, halves.mindspore, lambda _: planted))
    assert {"different"} <= {finding.kind for finding in found}
    assert "output 0: at [" in next(finding.message for finding in found if finding.kind == "different")

    def lenient(input, *_, **__):
        return input

    gather = registry()["torch.gather"]
    found = list(peer.run(operators({"torch.gather": gather}, 1), halves.torch, halves.mindspore, lambda _: lenient))
    assert "accepted" in {finding.kind for finding in found}


def test_the_summary_counts_by_row():
    findings = [peer.Finding("a", "equal", "0", ""), peer.Finding("a", "refused", "1", "f(x)", "no kernel")]
    found = peer.summary(findings)
    assert found["total"]["equal"] == found["total"]["refused"] == 1
    assert found["rows"] == {"a": {"equal": 1, "refused": 1}}
    assert [finding["message"] for finding in found["findings"]] == ["no kernel"]


def test_the_command_writes_what_it_found(tmp_path, capsys):
    path = tmp_path / "peer.json"
    code = main(
        ["map", "verify", "torch.add", "--peer", "opinfo", "--limit", "1", "--device", "cpu", "--json", str(path)]
    )
    assert code == 0
    assert "0 different" in capsys.readouterr().out
    assert path.is_file()
    assert main(["map", "verify", "torch.add", "--peer", "other"]) == 2
