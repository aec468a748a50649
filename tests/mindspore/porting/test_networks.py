"""Networks written in PyTorch, converted and run beside the original."""

from __future__ import annotations

import pytest

pytest.importorskip("libcst")

from common.api_mapping.checking import check, table
from common.api_mapping.checking.inputs import arguments, draw_inputs
from common.api_mapping.convert import STYLES, convert
from tests.mindspore.porting.cases import CASES, Ported

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
ATTENTION = next(case for case in CASES if case.file == "attention")


@pytest.fixture
def compared(tmp_path):
    """A function that converts a network and compares it with the original."""

    def run(case: Ported, style: str, compiled: bool, edit=lambda text: text):
        new = tmp_path / f"{case.file}.py"
        convert(case.path, new, style)
        new.write_text(edit(new.read_text()))
        return check(case.path, new, case.name, arguments(case.init), draw_inputs(case.inputs), compiled=compiled)

    return run


@pytest.mark.parametrize(("file", "style"), [("crf", "native"), ("nanogpt", "imports"), ("llama_block", "native")])
def test_a_converted_network_has_the_outputs_gradients_and_steps_of_the_original(file, style, compared):
    case = next(case for case in CASES if case.file == file)
    found = compared(case, style, compiled=False)
    assert all(item.equal() for item in found), table(found)
    assert {item.what for item in found} == {"outputs", "gradients", "3 SGD steps"}


@pytest.mark.parametrize(
    "change",
    [("math.sqrt(d_k)", "d_k"), ("F.softmax(scores, dim=-1)", "F.softmax(scores, dim=-2)"), ("-1e9", "-1.0")],
)
def test_a_wrong_conversion_is_found(change, compared):
    def edit(text: str) -> str:
        assert change[0] in text
        return text.replace(*change)

    assert not all(item.equal() for item in compared(ATTENTION, "native", False, edit))


def test_a_network_that_cannot_be_compiled_is_not_equal(compared):
    def edit(text: str) -> str:
        return text.replace("        x, self.attn =", "        unused = 1\n        del unused\n        x, self.attn =")

    found = compared(ATTENTION, "native", True, edit)
    assert all(item.equal() for item in found if item.how == "eager"), table(found)
    assert all(item.refused for item in found if item.how == "compiled"), table(found)


@pytest.mark.nightly
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}.{case.name}")
def test_every_network_is_equal_in_pynative(case, style, compared):
    found = compared(case, style, compiled=False)
    assert all(item.equal() for item in found), table(found)
