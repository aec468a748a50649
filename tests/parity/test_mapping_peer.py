"""Torch's own test databases, run through the mapping: some operators, modules and optimizers. All of them: `twinlora
map verify --peer opinfo`."""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping import peer
from common.api_mapping.arrays import integers
from common.api_mapping.row import case
from common.api_mapping.rows import registry
from common.api_mapping.running import open_backends
from common.cli.main import main

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
pytest.importorskip("expecttest")
OPERATORS = ("torch.add", "torch.gather", "torch.nn.functional.pad", "torch.Tensor.mul_", "torch.nn.functional.gelu")
#: Rows in whose samples a difference was found once.
CURED = (
    "torch.addmm", "torch.addcdiv", "torch.combinations", "torch.cross", "torch.diff", "torch.dot", "torch.fliplr",
    "torch.fmax", "torch.fmin", "torch.fmod", "torch.gt", "torch.heaviside", "torch.hypot", "torch.index_add",
    "torch.isclose", "torch.kthvalue", "torch.ldexp", "torch.lerp", "torch.linspace", "torch.logaddexp2",
    "torch.movedim", "torch.multinomial", "torch.remainder", "torch.roll", "torch.rsub", "torch.scatter",
    "torch.searchsorted", "torch.sort", "torch.std_mean", "torch.topk", "torch.Tensor.half", "torch.Tensor.fmax",
    "torch.nn.functional.adaptive_max_pool2d", "torch.nn.functional.embedding", "torch.nn.functional.layer_norm",
    "torch.nn.functional.local_response_norm", "torch.nn.functional.normalize", "torch.nn.functional.rrelu",
    "torch.nn.functional.soft_margin_loss",
)  # fmt: skip
MODULES = ("torch.nn.BatchNorm1d", "torch.nn.Linear", "torch.nn.ZeroPad2d", "torch.nn.LayerNorm")


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def run(suite: str, names: tuple[str, ...], limit: int, mode: str = "pynative") -> list[peer.Finding]:
    from mindspore_impl.mapping_memory import spoil_memory as spoil
    from pytorch_impl.mapping_peer import SUITES

    backends = open_backends("cpu")
    samples = SUITES[suite]({name: registry()[name] for name in names}, limit)
    return list(peer.run(samples, backends.torch, backends.mindspore, backends.mindspore.named, mode, spoil))


def wrong(findings: list[peer.Finding]) -> list[peer.Finding]:
    return [finding for finding in findings if finding.kind in ("different", "accepted")]


def test_no_sample_of_an_operator_differs_without_an_error():
    findings = run("operators", OPERATORS, 6)
    assert {finding.row for finding in findings} == set(OPERATORS)
    assert wrong(findings) == []
    assert sum(finding.kind == "equal" for finding in findings) > 0.7 * len(findings)


@pytest.mark.nightly
def test_no_sample_of_a_row_that_was_cured_differs_again():
    findings = run("operators", CURED, 2)
    assert {finding.row for finding in findings} == set(CURED)
    assert wrong(findings) == []
    errors = [finding for finding in findings if finding.sample.startswith("error")]
    assert sum(finding.kind == "equal" for finding in errors) >= 0.9 * len(errors)


@pytest.mark.nightly
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

    backends, row = open_backends("cpu"), registry()["torch.add"]

    def planted(x, y, *, alpha=1):
        return ops.add(x, y) * 1.01

    found = list(peer.run(operators({"torch.add": row}, 2), backends.torch, backends.mindspore, lambda _: planted))
    assert {"different"} <= {finding.kind for finding in found}
    assert "output 0: at [" in next(finding.message for finding in found if finding.kind == "different")

    def lenient(input, *_, **__):
        return input

    gather = registry()["torch.gather"]
    found = list(
        peer.run(operators({"torch.gather": gather}, 1), backends.torch, backends.mindspore, lambda _: lenient)
    )
    assert "accepted" in {finding.kind for finding in found}


def test_the_summary_counts_by_row():
    findings = [peer.Finding("a", "equal", "0", ""), peer.Finding("a", "refused", "1", "f(x)", "no kernel")]
    found = peer.summary(findings)
    assert found["total"]["equal"] == found["total"]["refused"] == 1
    assert found["rows"] == {"a": {"equal": 1, "refused": 1}}
    assert [finding["message"] for finding in found["findings"]] == ["no kernel"]


def test_what_is_listed_as_not_wrong_is_no_more_than_that():
    from dataclasses import replace

    backends, row = open_backends("cpu"), registry()["torch.topk"]
    topk = backends.mindspore.resolve("shim.topk")
    [sample] = [s for s in operators_of("torch.topk") if s.label == "sample 0 int64"]

    def elsewhere(*arguments, **keywords):
        values, places = topk(*arguments, **keywords)
        return values, places * 0

    sample = replace(sample, arrays=(np.array([3, 1, 3, 0]),), case=case(integers(4), 2))
    sample = replace(sample, row=replace(row, cases=(sample.case,)))

    def last(*arguments, **keywords):
        values, places = topk(*arguments, **keywords)
        return values, 2 - places

    def kind(function):
        return next(peer.run([sample], backends.torch, backends.mindspore, lambda _: function)).kind

    assert {kind(topk), kind(last)} == {"equal", "known"}
    assert kind(elsewhere) == "different"


def operators_of(name: str) -> list[peer.Sample]:
    from pytorch_impl.mapping_peer import operators

    return list(operators({name: registry()[name]}, 2))


def test_the_page_counts_samples_by_kind_and_names_refusals():
    from common.api_mapping import peer_report

    findings = [
        peer.Finding("torch.add", "equal", "sample 0 float32", ""),
        peer.Finding("torch.add", "refused", "sample 1 float32", "f(x)", "no kernel"),
        peer.Finding("torch.add", "refused", "sample 2 float32", "f(y)", "no kernel"),
        peer.Finding("torch.add", "accepted", "error 0", "f(2)", "TypeError"),
        peer.Finding("torch.nn.Linear", "equal", "sample 0 training", ""),
        peer.Finding("torch.nn.Linear", "not compared", "sample 1 training", ""),
    ]
    found = peer_report.document(findings, registry(), 8)
    told = {line[0]: dict(zip(peer_report.HEAD, line, strict=True)) for line in peer_report.lines(found)}
    assert told["operators"]["equal"] == "1 (33.3%)"
    assert told["error inputs"]["accepted"] == "1 (100.0%)"
    assert told["modules"]["equal"] == "1 (100.0%)"
    assert peer_report.of_row(found, "torch.add") == [
        "samples of torch's tests: 1 equal, 2 refused, 1 accepted",
        "refused: no kernel",
    ]
    assert peer_report.of_row(found, "torch.sub") == []
    assert [finding["call"] for finding in found["left"]] == ["f(2)"]


def test_a_run_of_one_suite_keeps_the_others_and_their_day():
    from common.api_mapping import peer_report
    from common.errors import InputError

    first = [
        peer.Finding("torch.add", "refused", "sample 0 float32", "f(x)", "no kernel"),
        peer.Finding("torch.add", "accepted", "error 0", "f(2)", "TypeError"),
        peer.Finding("torch.nn.Linear", "refused", "sample 0 training", "", "no layer"),
    ]
    before = {**peer_report.document(first, registry(), 8), "date": "2026-01-02"}
    before.pop("dates")  # as documents were before
    found = peer_report.document(
        [peer.Finding("torch.nn.Linear", "equal", "sample 0 training", "")], registry(), 8, before
    )
    assert found["suites"]["modules"]["equal"] == found["suites"]["operators"]["refused"] == 1
    assert found["suites"]["modules"]["refused"] == 0
    assert found["rows"] == {"torch.add": {"refused": 1, "accepted": 1}, "torch.nn.Linear": {"equal": 1}}
    assert found["refused"] == {"torch.add": ["no kernel"]}
    assert [one["row"] for one in found["left"]] == ["torch.add"]
    assert found["dates"]["operators"] == "2026-01-02" != found["dates"]["modules"]
    assert f"2026-01-02 (operators, error inputs, optimizers), {found['date']} (modules)" in peer_report.sentence(found)
    with pytest.raises(InputError, match="limit"):
        peer_report.document([], registry(), 4, before)


def test_the_command_writes_what_it_found(tmp_path, capsys):
    path = tmp_path / "peer.json"
    code = main(
        ["map", "verify", "torch.add", "--peer", "opinfo", "--limit", "1", "--device", "cpu", "--json", str(path)]
    )
    assert code == 0
    assert "0 different" in capsys.readouterr().out
    assert path.is_file()
    assert main(["map", "verify", "torch.add", "--peer", "other"]) == 2
