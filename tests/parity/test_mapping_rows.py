"""`twinlora map verify` over every row, file by file, and the lock file that chose the targets."""

from __future__ import annotations

import pytest

from common.api_mapping.rows import registry
from common.api_mapping.running import open_backends, selected, unprobed
from common.api_mapping.verify import CALLS
from tests.parity.mapped import FILES, troubles

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def locked() -> dict[str, dict]:
    """What the shipped lock file says of this version of MindSpore on the CPU."""
    return dict(open_backends("cpu").locked)


@pytest.mark.parametrize("calls", [1, pytest.param(CALLS, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("file", FILES)
def test_every_call_of_every_row_is_as_in_torch(file, calls):
    assert troubles(FILES[file], calls=calls) == []


def test_the_lock_file_holds_the_rows_of_the_registry_and_no_others(locked):
    assert sorted(set(registry()) - set(locked)) == []
    assert sorted(set(locked) - set(registry())) == []


def test_the_lock_file_tells_of_every_candidate_and_chose_the_first_that_is_right(locked):
    assert unprobed(registry().values(), locked) == []
    for name, row in registry().items():
        told = locked[name]
        own = [target for target in row.targets if target != row.shim]
        assert sorted([*told["passed"], *(target for target in told["rejected"] if target != row.shim)]) == sorted(
            own
        ), name
        right = [
            target
            for target in row.targets
            if target in told["passed"] or (target == row.shim and target not in told["rejected"])
        ]
        assert told["target"] == right[0], name


def test_every_chosen_target_resolves(locked):
    from mindspore_impl.mapping import resolve

    assert [name for name, told in locked.items() if not callable(resolve(told["target"]))] == []


@pytest.mark.parametrize(
    "name",
    [
        "torch.tanh",
        "torch.var",
        "torch.gather",
        "torch.bmm",
        "nn.functional.linear",
        "Tensor.view",
        "nn.LayerNorm",
        "optim.SGD",
    ],
)
def test_probing_again_chooses_the_same(name, locked):
    """Not for rows as torch.matmul: over nothing MindSpore's kernels return what is in memory, now and then the right
    0."""
    from common.api_mapping.probe import probe

    backends = open_backends("cpu")
    [(name, found)] = probe(selected([name]), backends.torch, backends.mindspore)
    for part in ("target", "passed", "rejected"):
        assert list(found[part]) == list(locked[name][part]), part
