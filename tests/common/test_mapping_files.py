"""Files of the API mapping that went wrong somewhere: verifications, lock files, logs of calls, notebooks."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.api_mapping import lock
from common.api_mapping.report import describe, lines, read_document, summary, views
from common.api_mapping.rows import find
from common.api_mapping.scan import scan
from common.parity.suites.recorded import cases
from tests.mutations import EXAMPLES, mutated
from tests.support import refusal

ROWS = ("torch.relu", "torch.var", "torch.nn.Linear")
CALLS = {
    "schema": 1,
    "calls": [{"torch": "torch.relu", "arguments": ["float32 2x3"], "keywords": {"inplace": "False"}}],
}
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": ["import torch\n", "torch.relu(x)"]},
        {"cell_type": "markdown", "source": "x"},
    ],
    "metadata": {"kernelspec": {"language": "python"}},
    "nbformat": 4,
}
quick = settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def document():
    content = read_document()
    return content | {"rows": {name: content["rows"][name] for name in ROWS}}


@pytest.fixture(scope="module")
def locked():
    content = json.loads(lock.SHIPPED.read_text(encoding="utf-8"))
    return {name: {"rows": {row: entry["rows"][row] for row in ROWS}} for name, entry in content.items()}


def show(document_file, lock_file):
    content = read_document(document_file)
    found = views([find(name) for name in ROWS], content, [lock_file])
    summary(content["rows"].values()), [lines([view]) for view in found], [describe(view, content) for view in found]


@quick
@given(data=st.data())
def test_a_mutated_verification_or_lock_file_is_shown_or_refused(tmp_path, document, locked, data):
    which = data.draw(st.booleans())
    files = [tmp_path / "api_mapping.json", tmp_path / "lock.json"]
    for file, content, wrong in zip(files, (document, locked), (which, not which), strict=True):
        file.write_text(json.dumps(data.draw(mutated(content)) if wrong else content))
    message = refusal(lambda: show(*files))
    assert message is None or str(tmp_path) in message


@quick
@given(data=st.data())
def test_a_scan_says_what_is_wrong_with_a_mutated_verification(tmp_path, document, data):
    (tmp_path / "code.py").write_text("import torch\ntorch.relu(torch.var(x, 1))\n")
    (tmp_path / "results.json").write_text(json.dumps(data.draw(mutated(document))))
    report = scan([tmp_path / "code.py"], results=tmp_path / "results.json")
    assert len(report.findings) >= 2
    json.dumps(report.to_json())


@quick
@given(data=st.data())
def test_a_mutated_notebook_is_scanned_or_said_to_be_none(tmp_path, data):
    (tmp_path / "x.ipynb").write_text(json.dumps(data.draw(mutated(NOTEBOOK))))
    json.dumps(scan([tmp_path / "x.ipynb"]).to_json())


@quick
@given(data=st.data())
def test_a_mutated_log_of_calls_becomes_cases_or_is_refused(tmp_path, data):
    log = tmp_path / "calls.json"
    log.write_text(json.dumps(data.draw(mutated(CALLS))))
    message = refusal(lambda: cases({"log": str(log)}))
    assert message is None or message.strip()


@pytest.mark.parametrize(
    "argument", ["float32 99999999x99999999", "(" * 5000, "[" * 300 + "]" * 300, "float32 0-d-d", "{1: [}", "'"]
)
def test_a_described_argument_that_cannot_be_made_is_refused(tmp_path, argument):
    log = tmp_path / "calls.json"
    log.write_text(json.dumps({"calls": [{"torch": "torch.relu", "arguments": [argument], "keywords": {}}]}))
    message = refusal(lambda: cases({"log": str(log)}))
    assert message is None or "twinlora map record" in message


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"rows": NaN}', "\ud800", '{"cells": [{"cell_type": "code", "source": "\\ud800"}]}']
)
@pytest.mark.parametrize("name", ["x.ipynb", "x.py"])
def test_a_scan_survives_any_bytes(tmp_path, content, name):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    scan([tmp_path / name])
