"""Inputs that no row chose, on every function: MindSpore gives what torch gives, or raises an error."""

from __future__ import annotations

import pytest

from common.api_mapping.derived import silently_different
from common.api_mapping.running import open_backends
from tests.parity.mapped import FILES

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

ANY_OF_EQUALS = "which of equal values is found, neither library says"
NO_SHAPE = "torch keeps the shape of an image without pixels, as no other image's"
#: Row, part of the call's text and why it may differ. None of them is a wrong value.
KNOWN = {
    "torch.kthvalue": ("int", ANY_OF_EQUALS),
    "torch.topk": ("int", ANY_OF_EQUALS),
    "torch.pixel_unshuffle": ("0", NO_SHAPE),
    "torch.nn.functional.pixel_unshuffle": ("0", NO_SHAPE),
    "torch.nn.functional.multi_margin_loss": ("0x3", "torch returns memory for a mean over nothing"),
    "torch.special.polygamma": ("float64", "torch's trigamma is accurate to 1e-9 in float64, the adapter's to 1e-15"),
    "torch.nn.functional.scaled_dot_product_attention": ("nan", "torch's fused kernel loses NaN, which its plain one keeps, as here"),
}  # fmt: skip


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.nightly)], ids=["alternate", "every"])
@pytest.mark.parametrize("file", [name for name in FILES if name not in ("tensor", "special", "random", "optimizers")])
def test_inputs_that_no_row_chose_are_answered_as_in_torch_or_refused(file, step, tmp_path, monkeypatch):
    from mindspore_impl.mapping_memory import spoil_memory

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the shipped lock file chooses
    backends, seen, wrong = open_backends("cpu"), set(), []
    for row in FILES[file][::step]:
        target = backends.locked[row.name]["target"]
        if row.kind != "function" or row.stochastic or target in seen:
            continue
        seen.add(target)
        part, _ = KNOWN.get(row.name, ("", ""))
        function = backends.mindspore.resolve(target)
        for case, problem in silently_different(row, function, backends.torch, backends.mindspore, spoil_memory):
            if not part or part not in case:
                wrong.append(f"{row.name}({case}): {problem}")
    assert wrong == []
