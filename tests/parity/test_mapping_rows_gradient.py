"""Calls compiled together with their gradients, each called three times with other inputs. Every row:
`scripts/verify_modes.py`."""

from __future__ import annotations

import pytest

from common.api_mapping.arrays import normal
from common.api_mapping.row import Row, case
from common.api_mapping.rows import registry
from common.api_mapping.running import open_backends, selected, verify_rows
from common.api_mapping.verify import CALLS, has_gradient, references, try_target
from tests.parity.mapped import FILES

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
STEP = 64  #: of the rows with a gradient in a file every 64th is tried, and always those that were wrong once
ONCE_WRONG = ("torch.nn.functional.pad", "torch.nn.ZeroPad1d", "torch.nn.ConstantPad1d", "torch.nn.ZeroPad2d")


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tried(rows: tuple[Row, ...]) -> list[str]:
    having = [row.name for row in rows if not row.in_place and any(has_gradient(row, tried) for tried in row.cases)]
    return [name for i, name in enumerate(having) if i % STEP == 0 or name in ONCE_WRONG]


@pytest.mark.parametrize("file", [name for name in FILES if tried(FILES[name])])
def test_compiled_gradients_are_as_in_torch(file):
    for row, results in verify_rows(selected(tried(FILES[file])), open_backends("cpu"), "gradient", CALLS):
        assert [(row.name, f.case, f.message) for f in results["gradient"].outcome.failures] == []
        assert results["gradient"].outcome.cases > 0


def test_a_gradient_that_is_wrong_from_the_second_execution_on_is_found():
    """As that of MindSpore's own pad."""
    from mindspore import ops

    backends = open_backends("cpu")
    row = Row("torch.nn.functional.pad", ("ops.pad",), (case(normal(3, 4), (1, 2)),))
    known = references(row, backends.torch, CALLS)
    for mode, expected in (("pynative", 0), ("gradient", 1)):
        outcome = try_target(row, "ops.pad", ops.pad, backends.mindspore, known, mode, CALLS)
        assert len(outcome.failures) == expected
    assert outcome.failures[0].message.endswith("(call 2)")


def test_gradients_of_weights_are_compiled_and_compared_too():
    from mindspore import ops

    from mindspore_impl.mapping import resolve

    backends, row = open_backends("cpu"), registry()["torch.nn.Bilinear"]

    class Planted(resolve("shim.nn.Bilinear")):
        def construct(self, input1, input2):
            return super().construct(input1, input2) + ops.stop_gradient(self.bias) - self.bias

    for kind, right in ((resolve("shim.nn.Bilinear"), True), (Planted, False)):
        outcome = try_target(
            row, "", kind, backends.mindspore, references(row, backends.torch, CALLS), "gradient", CALLS
        )
        assert outcome.passed == right


def test_cases_without_a_gradient_are_left_out():
    backends = open_backends("cpu")
    [(_, results)] = verify_rows([registry()["torch.argmax"]], backends, "gradient", CALLS)
    assert (results["gradient"].verdict, results["gradient"].outcome.cases) == ("no gradient", 0)
