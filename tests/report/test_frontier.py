"""The page of latencies: which artifacts no other one beats, and what stands on it."""

from __future__ import annotations

import pytest

from common.bench.latency import _one_metric
from common.errors import InputError
from common.report.frontier import frontier_page, on_the_frontier


def measured(**artifacts):
    found = {
        name: {
            "median": seconds,
            "p95": 2 * seconds,
            "sentences_per_second": 1 / seconds,
            "tokens_per_second": 32 / seconds,
            "ratio": seconds / 0.02,
            "bytes": size,
            "peak_memory_bytes": 10 * size,
            "score": score,
        }
        for name, (seconds, size, score) in artifacts.items()
    }
    return {"rows": 1, "tokens": 32, "threads": 1, "artifacts": found}


MEASURED = measured(native=(0.02, 9_000_000, 0.91), graph=(0.01, 9_000_000, 0.91), int8=(0.004, 2_000_000, 0.90))
ACCURACY = {"name": "accuracy", "higher_is_better": True, "split": "validation"}


def test_what_another_one_beats_is_not_on_the_frontier():
    points = {"a": (1.0, 5.0), "b": (2.0, 4.0), "c": (2.0, 5.0), "d": (1.0, 5.0)}
    assert on_the_frontier(points) == {"a", "b", "d"}
    assert on_the_frontier({"a": (1.0,)}) == {"a"}


def test_the_page_has_every_number_of_every_artifact():
    page = frontier_page({**MEASURED, "metric": ACCURACY})
    for part in (
        "1 x 32 tokens, 1 thread(s)",
        "20.0 ms",
        "40.0 ms",
        "3,200",
        "1.9 MiB",
        "accuracy (validation)",
        "<svg",
    ):
        assert part in page, part
    rows = {
        name: page.partition(f'<th scope="row">{name}</th>')[2].partition("</tr>")[0] for name in MEASURED["artifacts"]
    }
    assert {name: "yes" in row for name, row in rows.items()} == {"native": False, "graph": True, "int8": True}


def test_a_loss_is_better_where_it_is_lower():
    loss = {"name": "loss", "higher_is_better": False, "split": "test"}
    page = frontier_page({**measured(a=(0.01, 10, 0.5), b=(0.02, 10, 0.4)), "metric": loss})
    assert "<td>no</td>" not in page
    assert "best loss</dt><dd>0.4000</dd><dd>b</dd>" in page


def test_without_scores_the_page_has_latency_and_size():
    page = frontier_page(MEASURED)
    assert "accuracy" not in page
    assert "<svg" not in page
    assert "Latency and size" in page


def test_artifacts_of_different_metrics_are_not_compared():
    about = {"a": {"metric": "accuracy", "higher_is_better": True}, "b": {"metric": "loss", "higher_is_better": False}}
    with pytest.raises(InputError, match="received a: accuracy; b: loss"):
        _one_metric(about)
