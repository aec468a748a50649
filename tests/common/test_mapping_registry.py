"""The registry of the mapping as data: complete, consistent with the adapters' sources, and drawn alike everywhere.
Needs no framework."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import common
from common.api_mapping import arrays, rows
from common.api_mapping.arrays import Array, draw
from common.api_mapping.row import Row, arrays_of, case, cotangents, draw_all
from common.api_mapping.rows import digest, find, registry, search
from common.api_mapping.tolerance import CLASSES, GRADIENT
from common.errors import InputError
from tests.support import HANGS

ROOT = Path(common.__file__).resolve().parents[1]
ADAPTERS = ROOT / "mindspore_impl" / "shims"
SECTIONS = {"fft", "linalg", "nn", "optim", "special", "tensor"}  #: modules of adapters whose names carry the module's
#: The 53 functions of the 2022 mapping table (MindSpore 1.7) that this project started from.
TABLE_OF_2022 = """
    abs acos add arange argmax argmin argsort asin atan atan2 bartlett_window bincount bitwise_and bitwise_or flip floor floor_divide fmod from_numpy full
    full_like gather ge gt hamming_window hann_window histc meshgrid min mm mul multinomial ne neg norm numel ones ones_like poisson pow tanh tensor Tensor
    tensordot topk trace transpose unique unsqueeze var where zeros zeros_like
""".split()  # noqa: SIM905


def named() -> list[Row]:
    return list(registry().values())


# Rows


def test_every_row_has_one_place():
    files = [importlib.import_module(f"{rows.__name__}.{found.name}") for found in pkgutil.iter_modules(rows.__path__)]
    held = [row.name for file in files for row in file.ROWS]
    assert len(held) == len(set(held))
    assert held == list(registry())


def test_a_name_that_stands_twice_is_refused(monkeypatch):
    from common.api_mapping.rows import special

    monkeypatch.setattr(special, "ROWS", (*special.ROWS, find("torch.abs")))
    registry.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"torch\.abs stands twice"):
            registry()
    finally:
        monkeypatch.undo()
        registry.cache_clear()
    assert "torch.abs" in registry()


def test_the_53_rows_of_the_2022_table_are_there_with_their_targets():
    assert len(TABLE_OF_2022) == 53
    assert sorted(row.name for row in named() if row.legacy) == sorted(f"torch.{name}" for name in TABLE_OF_2022)


def test_there_is_enough_to_port_a_transformer_with():
    assert len(registry()) >= 250
    modules = "Linear Embedding LayerNorm Conv1d Conv2d LSTM GRU MultiheadAttention Dropout CrossEntropyLoss GELU"
    optimizers = "SGD Adam AdamW Adagrad Adadelta RMSprop"
    wanted = {f"torch.nn.{name}" for name in modules.split()} | {f"torch.optim.{name}" for name in optimizers.split()}
    assert wanted - set(registry()) == set()


def test_every_row_has_cases_and_none_twice():
    assert [row.name for row in named() if not row.cases] == []
    assert [row.name for row in named() if len(set(map(repr, row.cases))) < len(row.cases)] == []


def test_targets_name_places_of_mindspore_and_at_most_one_adapter():
    known = ("mint.", "ops.", "Tensor.", "nn.", "experimental.", "shim.")
    for row in named():
        assert row.targets, row.name
        assert len(set(row.targets)) == len(row.targets), row.name
        assert [target for target in row.targets if not target.startswith(known)] == [], row.name
        assert sum(target.startswith("shim.") for target in row.targets) <= 1, row.name


def test_every_adapter_that_is_named_stands_in_the_sources():
    """Read, not imported: the registry is of use without MindSpore."""
    offered = set()
    for file in ADAPTERS.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        written = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        written |= {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        written |= {
            alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        [*listed] = [
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        ]
        exported = {item.value for names in listed for item in names.elts}
        assert exported <= written, file
        section = file.relative_to(ADAPTERS).parts[0].removesuffix(".py")
        offered |= {f"shim.{section}.{name}" if section in SECTIONS else f"shim.{name}" for name in exported}
    named_there = {row.shim: row.name for row in named() if row.shim}
    assert {shim: name for shim, name in named_there.items() if shim not in offered} == {}


def test_what_an_adapter_changes_is_told_exactly_where_there_is_one():
    assert [row.name for row in named() if bool(row.adaptation) != bool(row.shim)] == []


def test_every_tolerance_class_exists_for_values_and_gradients():
    assert {row.tolerance for row in named()} <= set(CLASSES)
    assert set(CLASSES) == set(GRADIENT)


def test_every_limit_names_some_call():
    assert [
        (row.name, part) for row in named() for part in row.limits if not any(part in str(tried) for tried in row.cases)
    ] == []


# Inputs


def fingerprint() -> str:
    """Of every input and cotangent of every row of functions."""
    found = hashlib.sha256()
    for row in named():
        for tried in row.cases:
            drawn = [*draw_all(row, tried), *cotangents(row, tried, [array.shape for array in arrays_of(tried)])]
            for array in drawn:
                found.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def test_inputs_and_digests_are_the_same_in_another_process():
    program = "from tests.common.test_mapping_registry import *; print(fingerprint(), digest())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert run.stdout.split() == [fingerprint(), digest()], run.stderr[-2000:]


def test_inputs_are_these_bits_on_every_host():
    """Integers that no library may change: the counter-based generator's raw output, scaled by powers of two."""
    assert draw(Array("uniform", (3,), low=0.0, high=1.0), "key").tolist() == [
        0.22783935070037842,
        0.38930732011795044,
        0.9159237742424011,
    ]
    assert draw(Array("integers", (4,), "int64", -5, 6), "key").tolist() == [-3, -1, 5, 1]
    assert draw(Array("permutation", (5,), "int64"), "key").tolist() == [4, 0, 1, 3, 2]
    assert draw(Array("normal", (2,), "float64"), "key").tolist() == [-0.2709759994642084, 0.9519462824931385]


@pytest.mark.parametrize(
    "spec",
    [
        arrays.normal(40, 50), arrays.wide(40, 50), arrays.uniform(40, 50, low=-1, high=2), arrays.integers(40, 50), arrays.boolean(40, 50),
        arrays.permutation(4, 9), arrays.sorted_values(4, 9), arrays.spd(5), arrays.values(1.0, 2.0, shape=(2, 1)), arrays.normal(), arrays.normal(0, 3),
    ],
    ids=str,
)  # fmt: skip
def test_each_kind_of_array_is_what_its_name_says(spec):
    drawn = draw(spec, "a")
    assert (drawn.shape, drawn.dtype.name) == (spec.shape, spec.dtype)
    np.testing.assert_array_equal(drawn, draw(spec, "a"))
    if drawn.size > 2:
        assert not np.array_equal(drawn, draw(spec, "b"))
    if spec.kind == "uniform":
        assert spec.low <= drawn.min() < spec.low + 0.1 * (spec.high - spec.low)
        assert spec.high - 0.1 * (spec.high - spec.low) < drawn.max() < spec.high
    if spec.kind == "integers":
        assert set(np.unique(drawn)) == set(range(int(spec.low), int(spec.high)))
    if spec.kind == "normal" and drawn.size > 1000:
        assert abs(drawn.mean()) < 0.1
        assert abs(drawn.std() - 1) < 0.05
    if spec.kind == "permutation":
        np.testing.assert_array_equal(np.sort(drawn, -1), np.broadcast_to(np.arange(9), drawn.shape))
    if spec.kind == "sorted":
        assert (np.diff(drawn) > 0).all()
    if spec.kind == "spd":
        assert (np.linalg.eigvalsh(drawn) > 0.5).all()


def test_two_calls_of_a_row_draw_other_numbers():
    row = find("torch.add")
    drawn = [draw_all(row, tried)[0].tobytes() for tried in row.cases if tried.arguments[0] == arrays.normal(3, 4)]
    assert len(drawn) > 2
    assert len(set(drawn)) == len(drawn)


# Digests


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {"cases": row.cases[1:]},
        lambda row: {"cases": (dataclasses.replace(row.cases[0], gradient=not row.cases[0].gradient), *row.cases[1:])},
        lambda row: {"cases": (*row.cases, case(arrays.normal(7)))},
        lambda row: {"targets": row.targets[::-1]},
        lambda row: {"tolerance": "reduction"},
        lambda row: {"limits": {"3x4": "known"}},
        lambda row: {"note": "new"},
    ],
)
def test_a_digest_changes_with_the_row(change, monkeypatch):
    row = find("torch.exp")
    changed = dataclasses.replace(row, **change(row))
    assert changed.digest() != row.digest()
    assert dataclasses.replace(row).digest() == row.digest()
    before = digest()
    monkeypatch.setattr(rows, "registry", lambda: {**registry(), row.name: changed})
    assert digest() != before


# Looking up


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("torch.var", "torch.var"),
        ("var", "torch.var"),
        ("gelu", "torch.nn.functional.gelu"),
        ("softmax", "torch.softmax"),
        ("view", "torch.Tensor.view"),
        ("Linear", "torch.nn.Linear"),
        ("AdamW", "torch.optim.AdamW"),
        ("nn.functional.relu", "torch.nn.functional.relu"),
    ],
)
def test_rows_are_found_by_short_names(given, name):
    assert find(given).name == name


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("torch.varr", "torch.var"), ("cros_entropy", "cross_entropy"), ("torch.nn.Liner", "torch.nn.Linear")],
)
def test_an_unknown_name_tells_the_nearest(given, nearest):
    with pytest.raises(InputError, match="has no row") as told:
        find(given)
    assert repr(given) in str(told.value)
    assert nearest in str(told.value).partition("Nearest: ")[2].partition(".` ")[0]
    assert "twinlora map list" in str(told.value)


def test_a_name_like_no_other_is_refused_without_advice():
    with pytest.raises(InputError, match="has no row 'qqqqqqqq'") as told:
        find("qqqqqqqq")
    assert "Nearest" not in str(told.value)


def test_search_reads_names_targets_and_notes_in_any_case():
    assert find("torch.gather") in search("GATHER_ELEMENTS")
    assert find("torch.floor") in search("ops.floor")
    assert find("torch.var") in search("unbiased")
    assert search("no such words anywhere") == []
