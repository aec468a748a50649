"""The table of measured results says what the summaries say."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import pytest

from common.errors import InputError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "table.py"
spec = importlib.util.spec_from_file_location("table", SCRIPT)
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

SUMMARY = {
    "status": "finished",
    "device": "cpu",
    "steps": 651,
    "validation": {"accuracy": 0.7, "loss": 0.5, "matthews_correlation": 0.4},
    "test": {"accuracy": 0.9, "loss": 0.25},
    "before": {"accuracy": 0.5, "loss": 0.69, "matthews_correlation": 0.0},
    "seconds": {"total": 100.4, "training": 90, "evaluation": 10, "compile": 0},
    "seconds_per_step": 0.123,
    "peak_memory_bytes": 512 * 2**20,
    "versions": {"python": "3.11.7", "framework": "2.13.0"},
    "hardware": {"cpu": "Some CPU", "cores": 2, "threads": 2, "memory_bytes": 8 * 2**30, "accelerator": None},
    "settings": {
        "seed": 0,
        "data": {"name": "sst2", "directory": "/a"},
        "training": {"metric": "accuracy", "compile": None},
    },
}


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "docs").mkdir()
    return tmp_path


def add_run(checkout, job, backend, seed, **changes):
    summary = copy.deepcopy(SUMMARY) | {"name": f"{job}-seed{seed}", "backend": backend, "seed": seed} | changes
    path = checkout / "runs" / summary["name"] / backend / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(summary))


def write(checkout):
    table.main([str(checkout / "runs"), "--root", str(checkout)])
    return (checkout / "docs/results.md").read_text()


def test_a_row_holds_the_median_and_the_range_of_the_seeds(checkout):
    for seed, accuracy in ((1, 0.91), (2, 0.89), (3, 0.9)):
        add_run(checkout, "bert_sst2", "pytorch", seed, test={"accuracy": accuracy, "loss": 1 - accuracy})
    assert (
        "| bert_sst2 | PyTorch | accuracy, test | 0.5000 | 0.9000 (0.8900 to 0.9100) | 0.1000 | 651 | 100 | 0.123 | 512 MiB | 1, 2, 3 |"
        in write(checkout)
    )


def test_the_page_is_the_same_however_often_it_is_written(checkout):
    add_run(checkout, "bert_sst2", "pytorch", 1)
    first = write(checkout)
    assert first.startswith("# Measured results\n")
    assert "\n| job " in first
    assert write(checkout) == first


def test_the_table_stands_in_the_docs_and_the_numbers_as_json(checkout):
    add_run(checkout, "bert_sst2", "pytorch", 1)
    add_run(checkout, "bert_sst2", "mindspore", 1)
    assert "| bert_sst2 | MindSpore |" in write(checkout)
    assert [run["backend"] for run in json.loads((checkout / "docs" / "results.json").read_text())] == [
        "pytorch",
        "mindspore",
    ]


def test_validation_is_reported_and_named_where_the_test_labels_are_unknown(checkout):
    settings = SUMMARY["settings"] | {"training": {"metric": "matthews_correlation", "compile": None}}
    add_run(checkout, "bert_cola", "mindspore", 1, test=None, settings=settings)
    assert "| bert_cola | MindSpore | matthews_correlation, validation | 0.0000 | 0.4000 | 0.5000 |" in write(checkout)


def test_perplexity_before_and_after_is_shown(checkout):
    settings = SUMMARY["settings"] | {"training": {"metric": "perplexity", "compile": None}}
    add_run(
        checkout,
        "gpt2_e2e",
        "pytorch",
        1,
        settings=settings,
        before={"perplexity": 81.204},
        test={"perplexity": 9.876, "loss": 2.29},
    )
    assert "| gpt2_e2e | PyTorch | perplexity, test | 81.20 | 9.88 | 2.2900 |" in write(checkout)


def test_the_distance_of_the_backends_and_the_conditions_are_told(checkout):
    add_run(checkout, "bert_sst2", "pytorch", 1)
    add_run(
        checkout,
        "bert_sst2",
        "mindspore",
        1,
        test={"accuracy": 0.8966, "loss": 0.3},
        versions={"python": "3.11.7", "framework": "2.10.0"},
    )
    page = write(checkout)
    assert "- bert_sst2: accuracy differs by 0.0034 at most (PyTorch against MindSpore, medians, test)." in page
    assert "- MindSpore on cpu: python 3.11.7, framework 2.10.0; Some CPU, 2 threads on 2 cores, 8 GiB." in page


def test_runs_that_differ_in_more_than_seed_place_and_compilation_are_refused(checkout):
    add_run(checkout, "bert_sst2", "pytorch", 1)
    harmless = SUMMARY["settings"] | {
        "seed": 5,
        "data": {"name": "sst2", "directory": "/b"},
        "training": {"metric": "accuracy", "compile": True},
    }
    add_run(checkout, "bert_sst2", "mindspore", 1, settings=harmless)
    write(checkout)
    add_run(checkout, "bert_sst2", "mindspore", 2, settings=SUMMARY["settings"] | {"adaptation": {"rank": 4}})
    before = (checkout / "docs/results.md").read_text()
    with pytest.raises(InputError, match="bert_sst2 must have the same settings"):
        write(checkout)
    assert (checkout / "docs/results.md").read_text() == before


def test_failed_runs_are_left_out_aloud(checkout, capsys):
    add_run(checkout, "bert_sst2", "pytorch", 1)
    add_run(checkout, "bert_sst2", "pytorch", 2, status="failed", test=None)
    assert "| 1 |" in write(checkout)
    assert "bert_sst2-seed2" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_unreadable_summary_is_an_error_that_names_it(checkout, text):
    path = checkout / "runs" / "x" / "pytorch" / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=r"x/pytorch/summary\.json"):
        write(checkout)


def test_no_runs_is_an_error(checkout):
    with pytest.raises(InputError, match="there are none"):
        write(checkout)
