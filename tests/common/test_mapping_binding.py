"""What a namespace binds: verified targets and shims, and an error where there is neither. Needs no framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from common.api_mapping import lock, names
from common.api_mapping.binding import EVERYWHERE, bind, chosen_target, refuses, refusing
from common.api_mapping.names import Name, index, named
from common.api_mapping.rows import registry
from common.errors import InputError
from common.files import write_json

PLACE = ("Ascend", "2.11.0")
OWN = Name("torch.abs", ("mint.abs", "ops.abs"))
SHIMMED = Name("torch.var", ("mint.var", "shim.var"))


def entry(target: str | None, passed: tuple[str, ...] = (), **rejected: str) -> dict:
    return {
        "target": target,
        "passed": list(passed),
        "rejected": {k.replace("__", "."): v for k, v in rejected.items()},
    }


def bound(row: Name, locked: dict, known: tuple[str, ...] = ("mint.abs", "ops.abs", "mint.var", "shim.var")):
    """What ``row`` is bound to where the framework has the ``known`` targets."""

    def resolve(target: str) -> str:
        if target not in known:
            raise AttributeError(target)
        return target

    return bind({"name": row}, locked, resolve, refusing, PLACE)["name"]


# The index


def test_the_index_of_names_is_that_of_the_rows():
    """python -m common.api_mapping.names writes it."""
    assert names.FILE.read_text(encoding="utf-8") == names.text(registry())
    assert {name: (row.targets, row.kind, row.section, row.shim) for name, row in index().items()} == {
        name: (row.targets, row.kind, row.section, row.shim) for name, row in registry().items()
    }


def test_of_two_rows_of_one_name_the_later_section_counts():
    assert named("torch", "torch.nn.functional")["softmax"].name == "torch.nn.functional.softmax"
    assert named("torch.nn.functional", "torch")["softmax"].name == "torch.softmax"
    assert "Linear" not in named("torch.nn")
    assert named("torch.nn", kinds=("module",))["Linear"].name == "torch.nn.Linear"


IMPORTS = """
import gc, importlib, sys
for name in ("functional", "nn", "optim", "linalg", "special"):
    importlib.import_module(f"{sys.argv[1]}_impl.{name}")
from common.api_mapping.row import Case, Row
print([name for name in sys.modules if name.startswith("common.api_mapping.rows")])
print(sum(type(found) in (Case, Row) for found in gc.get_objects()))
"""


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
    ],
)
def test_importing_the_namespaces_builds_no_case(backend):
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS, backend], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["[]", "0"]


# Choosing


def test_what_was_verified_here_is_bound():
    assert bound(OWN, {"torch.abs": entry("ops.abs", ("ops.abs",))}) == "ops.abs"
    assert bound(SHIMMED, {"torch.var": entry("mint.var", ("mint.var",))}) == "mint.var"


def test_without_a_verification_the_shim_is_bound():
    assert bound(SHIMMED, {}) == "shim.var"


def test_without_a_verification_and_a_shim_calling_the_name_says_how_to_probe():
    function = bound(OWN, {})
    assert refuses(function)
    assert function.__name__ == "abs"
    with pytest.raises(InputError) as told:
        function([1.0], dim=3)
    assert str(told.value) == (
        "torch.abs needs a target that was verified on ascend with MindSpore 2.11.0; none of its candidates "
        "(mint.abs, ops.abs) was. Run: twinlora map probe torch.abs --device ascend"
    )


@pytest.mark.parametrize("name", ["torch.nn.Some", "torch.optim.Some"])
def test_an_unverified_module_or_optimizer_is_a_class_that_cannot_be_constructed(name):
    made = bound(Name(name, ("mint.Some",)), {})
    assert isinstance(made, type)
    assert made.__name__ == "Some"
    with pytest.raises(InputError, match=f"twinlora map probe {name} --device ascend"):
        made(3, bias=False)
    with pytest.raises(InputError, match="needs a target"):
        type("Derived", (made,), {})()


def test_candidates_that_were_rejected_are_told_with_the_reason():
    with pytest.raises(InputError, match=r"was \(mint.abs: wrong sign; ops.abs: no kernel\)"):
        bound(OWN, {"torch.abs": entry(None, mint__abs="wrong sign", ops__abs="no kernel")})()


def test_a_shim_that_was_rejected_here_is_not_bound():
    with pytest.raises(InputError, match=r"shim\.var: off by one"):
        bound(SHIMMED, {"torch.var": entry("shim.var", mint__var="no kernel", shim__var="off by one")})()


def test_a_locked_target_that_is_no_longer_a_candidate_is_not_bound():
    assert refuses(bound(OWN, {"torch.abs": entry("numpy.abs", ("numpy.abs",))}))
    assert bound(SHIMMED, {"torch.var": entry("ops.var", ("ops.var",))}) == "shim.var"


def test_a_verified_target_that_this_framework_lacks_is_told():
    with pytest.raises(InputError, match=r"ops.abs is not in this MindSpore. Run: twinlora map probe torch.abs"):
        bound(OWN, {"torch.abs": entry("ops.abs", ("ops.abs",))}, known=())()


def test_no_row_of_the_registry_is_bound_to_an_unverified_candidate():
    wrong = {
        name: target
        for name, row in registry().items()
        if (target := chosen_target(row, {})) not in (None, row.shim, EVERYWHERE.get(name))
    }
    assert wrong == {}
    assert sum(chosen_target(row, {}) is None for row in registry().values()) > 100


def test_operators_bound_everywhere_have_no_shim_and_passed_where_they_were_probed():
    for name, target in EVERYWHERE.items():
        assert index()[name].shim is None
        assert target in index()[name].targets
        for rows in lock.entries(lock.SHIPPED).values():
            assert target in rows[name]["passed"], name


# Lock files


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A user's and a shipped lock file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lock, "SHIPPED", tmp_path / "shipped.json")
    return lock.user_file(), lock.SHIPPED


def test_a_users_row_replaces_the_shipped_one_and_leaves_the_others(files):
    user, shipped = files
    lock.save(shipped, "CPU", "2.10.0", {"torch.abs": entry("mint.abs"), "torch.var": entry("shim.var")})
    lock.save(user, "cpu", "2.10.0", {"torch.abs": entry("ops.abs")})
    assert lock.load("CPU", "2.10.0") == {"torch.abs": entry("ops.abs"), "torch.var": entry("shim.var")}


def test_another_version_or_device_has_no_rows(files):
    _, shipped = files
    lock.save(shipped, "CPU", "2.10.0", {"torch.abs": entry("mint.abs")})
    assert lock.load("CPU", "2.10.1") == {}
    assert lock.load("Ascend", "2.10.0") == {}
    assert lock.load("CPU:0", "2.10.0") != {}


def test_an_empty_lock_file_has_no_rows(files):
    write_json(files[0], {})
    assert lock.load("CPU", "2.10.0") == {}
