"""What a row's text promises, its calls try: a promise that no call tries hides a fault, and so does an input that is
left out without a reason."""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable

import pytest

from common.api_mapping.arrays import Array
from common.api_mapping.derived import derived
from common.api_mapping.row import Case, Row, arrays_of
from common.api_mapping.rows import find, registry


def arrays(row: Row) -> list[Array]:
    return [array for case in row.cases for array in arrays_of(case)]


def numbers(row: Row) -> list[float]:
    """Given values and plain arguments of all calls, those that are refused included."""
    refused = [array for case in row.refusals for array in arrays_of(case)]
    found = [value for array in (*arrays(row), *refused) for value in array.data]
    for case in row.cases:
        plain = (*case.arguments, *case.keywords.values(), *case.setup.values())
        found += [value for value in plain if isinstance(value, int | float)]
    return found


def has_dtype(name: str) -> Callable[[Row], bool]:
    return lambda row: any(array.dtype == name for array in arrays(row)) or name in " ".join(map(str, row.cases))


def tries_nothing(row: Row) -> bool:
    return any(0 in array.shape for array in arrays(row)) or "[]" in " ".join(map(str, row.cases))


def repeats_places(row: Row) -> bool:
    """Some call has a place more than once: named, or drawn from fewer places than there are."""
    return any(
        array.dtype == "int64"
        and (len(set(array.data)) < len(array.data) or (array.kind == "integers" and math.prod(array.shape) > 1))
        for array in arrays(row)
    )


def broadcasts(row: Row) -> bool:
    def differ(case: Case) -> bool:
        shapes = {array.shape for array in arrays_of(case)}
        return len(shapes) > 1

    return any(map(differ, row.cases))


PROMISES: dict[str, Callable[[Row], bool]] = {
    r"\bNaN\b": lambda row: any(map(cmath.isnan, numbers(row))),
    r"\binfinit": lambda row: any(map(cmath.isinf, numbers(row))),
    r"\b(of|over|for|takes|and) nothing\b|\bempty\b": tries_nothing,
    r"\brepeated (places|indices)\b": repeats_places,
    r"\bbroadcast": broadcasts,
    r"\bfloat16\b": has_dtype("float16"),
    r"\buint8\b": has_dtype("uint8"),
    r"\bfloat64\b.*\bdigits\b|\bdigits\b.*\bfloat64\b": has_dtype("float64"),
    r"\bnear 0\b": lambda row: any(0 < abs(value) <= 1e-5 for value in numbers(row)),
    r"\bnear 1\b": lambda row: any(0 < abs(abs(value) - 1) <= 1e-4 for value in numbers(row)),
    r"\b(is|are) refused\b": lambda row: bool(row.refusals),
    r"\bwhole numbers\b|\bintegers\b": lambda row: (
        any("int" in array.dtype or array.dtype == "bool" for array in arrays(row))
        or any(isinstance(value, int) for value in numbers(row))
    ),
}


def promised(row: Row) -> str:
    return f"{row.adaptation}; {row.note}"


@pytest.mark.parametrize("words", PROMISES)
def test_what_a_text_promises_is_tried(words):
    told = [
        row for row in registry().values() if re.search(words, promised(row)) and row.kind in ("function", "method")
    ]
    assert told, "no text holds these words"
    assert [row.name for row in told if not PROMISES[words](row)] == []


def test_a_promise_that_no_call_tries_is_seen():
    import dataclasses

    row = find("torch.amax")
    blind = dataclasses.replace(row, cases=tuple(case for case in row.cases if "nan" not in str(case)))
    assert PROMISES[r"\bNaN\b"](row)
    assert not PROMISES[r"\bNaN\b"](blind)


REDUCTIONS = """
    sum mean prod nansum nanmean amax amin std var std_mean var_mean logsumexp cumsum logcumsumexp norm quantile sort argsort cummax cummin all any
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_meet_nan_and_nothing(name):
    row = find(f"torch.{name}")
    refused = [array for case in row.refusals for array in arrays_of(case)]
    if name not in ("std", "var", "std_mean", "var_mean"):  # whose NaN is that of the mean
        assert PROMISES[r"\bNaN\b"](row)
    assert tries_nothing(row) or any(0 in array.shape for array in refused)


@pytest.mark.parametrize("name", ["sum", "mean", "norm", "std", "var", "cumsum", "logsumexp", "nansum", "nanmean"])
def test_sums_of_many_numbers_are_tried(name):
    assert max(math.prod(array.shape) for array in arrays(find(f"torch.{name}"))) >= 600_000


def test_derived_inputs_are_none_that_the_row_has_and_of_every_kind():
    row = find("torch.trace")
    made = list(derived(row))
    texts = " ".join(map(str, made))
    assert not {str(case) for case in made} & {str(case) for case in row.cases}
    assert all(word in texts for word in ("float16", "float64", "uint8", "int32", "nan", "0x", "0-d"))
    assert not any(case.gradient for case in made)
