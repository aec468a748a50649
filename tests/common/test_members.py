"""A member of an axis costs its own files: nothing else names it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import common
from common.compression import TRANSFORMS
from common.errors import InputError
from common.members import file_name
from common.methods import METHODS
from common.models import FAMILIES
from common.models.layers import LAYERS
from common.optimizers import OPTIMIZERS
from common.readouts import READOUTS
from common.tasks import TASKS

ROOT = Path(common.__file__).resolve().parents[1]
AXES = {
    "family": FAMILIES,
    "task": TASKS,
    "method": METHODS,
    "transform": TRANSFORMS,
    "layer": LAYERS,
    "optimizer": OPTIMIZERS,
    "readout": READOUTS,
}
NAMES = {name for members in AXES.values() for name in members.names()}
_COLUMN = {"prompt"}  #: a column of data, and what a text is continued from
#: words that are also something else in these files: what they mean there
OTHER_MEANINGS = {
    "common/training/summary.py": {"head"},  # where the task head of a model comes from
    "common/backend/contract.py": {"lora"},  # a fast path, as users name it in training.plain
    "pytorch_impl/layers/lora.py": {"lora"},  # asks for that fast path
    "common/methods/plan.py": {"head"},  # a component of the counts
    "common/methods/combining.py": {"svd"},  # a way of combining adapters, by PEFT's name
    "common/studies/search/space.py": {"prune"},  # the section of a search that says when trials are given up
    "common/studies/search/decisions.py": {"prune"},  # the function that decides it
    "common/bench/generate.py": _COLUMN,
    "common/bench/kinds.py": _COLUMN,
    "common/cli/commands/generate.py": _COLUMN,
    "common/cli/commands/init.py": _COLUMN,
    "common/data/registry.py": _COLUMN,
    "common/data/roles.py": _COLUMN,
    "common/generation/outputs.py": _COLUMN,
    "common/generation/splits.py": _COLUMN,
    "common/sharing/facts.py": {"token-classification"},  # a kind of model, by the hub's name
    "common/tasks/data_to_text.py": _COLUMN,
    "common/tasks/language_modeling.py": _COLUMN,
    "common/tasks/task.py": _COLUMN,
    "common/models/structure.py": {"head"},  # an entry of config.json
    "common/training/opening.py": {"head"},
    "common/tasks/texts.py": {"head"},  # an entry of model.task_options
    "pytorch_impl/mapping_peer.py": {"int8"},  # a dtype
}


def literals(path: Path) -> set[str]:
    """Strings of a module that are compared, passed or stored; not its documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    }


def sources() -> list[Path]:
    """Every module but those of the mapping, whose strings are torch's and MindSpore's names, and the peers, which are
    programs about one network."""
    packages = ("common", "pytorch_impl", "mindspore_impl")
    found = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    return [
        path for path in found if not {"api_mapping", "shims", "torch_api", "peers"} & set(path.relative_to(ROOT).parts)
    ]


def test_no_literal_names_a_member_outside_its_own_files():
    own = {file_name(name) for name in NAMES}
    problems = []
    for path in sources():
        if path.stem in own:
            continue
        allowed = OTHER_MEANINGS.get(path.relative_to(ROOT).as_posix(), set())
        problems += [f"{path.relative_to(ROOT)}: {name!r}" for name in sorted((literals(path) & NAMES) - allowed)]
    assert problems == []


def test_a_planted_literal_is_found(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""bert."""\n\n\ndef f(family):\n    """bert."""\n    return family == "bert"\n')
    assert literals(path) & NAMES == {"bert"}


@pytest.mark.parametrize("axis", AXES)
def test_every_member_is_found_by_its_file_and_carries_its_name(axis):
    members = AXES[axis]
    assert members.names()
    for name in members.names():
        assert members.get(name).name == name
        assert members.get(name.replace("-", "_")) is members.get(name)
        assert name in members


@pytest.mark.parametrize("axis", AXES)
def test_an_unknown_member_is_answered_with_the_nearest(axis):
    name = AXES[axis].names()[0]
    with pytest.raises(InputError, match=f"Nearest: .*{name}"):
        AXES[axis].get(f"{name}x")
