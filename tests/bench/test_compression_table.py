"""The table of compressed models: rows as they are given, columns as they were measured."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from common.errors import InputError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "compression.py"
spec = importlib.util.spec_from_file_location("compression", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def result(**entries):
    row = {
        "transform": "kronecker",
        "options": {"factor": 8, "terms": 2},
        "parameters_after": 1234567,
        "relative_error": 0.5,
        "compressed": {"pytorch": 0.5, "mindspore": 0.5},
        "trained": {"pytorch": 0.8, "mindspore": 0.81},
        **entries,
    }
    return {"base": {"accuracy": 0.9, "parameters": 7654321}, "rows": [row]}


def test_a_row_names_a_transform_and_options_of_their_types():
    assert script.parsed("tensor_train share=0.5 order=3 larger=true") == (
        "tensor_train",
        {"share": 0.5, "order": 3, "larger": True},
    )
    assert script.parsed("laser") == ("laser", {})
    with pytest.raises(InputError, match=r"NAME KEY=VALUE.*received 'svd 64'"):
        script.parsed("svd 64")


def test_columns_with_a_teacher_are_there_where_a_row_has_them():
    plain = script.table(result()).splitlines()
    assert plain[2] == "| none | 7,654,321 | 0 | 90.00 % | | |"
    assert plain[3] == "| kronecker factor 8, terms 2 | 1,234,567 | 0.500 | 50.00 % | 80.00 % | 81.00 % |"
    taught = script.table(result(taught={"pytorch": 0.85, "mindspore": 0.86})).splitlines()
    assert {line.count("|") for line in taught} == {9}
    assert taught[3].endswith("| 85.00 % | 86.00 % |")
