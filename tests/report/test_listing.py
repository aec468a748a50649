"""Listing run directories: what is found, asked for, sorted and shown."""

from __future__ import annotations

import json

import pytest

from common.cli.main import main
from tests.report.planted import plant

CONFIG = """name: begun
model: {source: null, task: sequence-classification, tokenizer: "bpe:300", config: {model_type: bert}}
data: {name: emotion}
adaptation: {method: lora, rank: 8, alpha: 16, targets: ["*.query"]}
training: {global_batch_size: 4, metric: accuracy}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = plant(tmp_path_factory.mktemp("runs"))
    for run in path.glob("runs/*/pytorch"):
        (run / "config.yaml").write_text("name: planted\n")
    return path


def listed(capsys, *arguments):
    assert main(["runs", *map(str, arguments), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_runs_are_found_at_any_depth(folder, capsys):
    found = listed(capsys, folder)
    assert len(found) == 8
    assert [run["path"] for run in found] == sorted(run["path"] for run in found)


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        (["seed=1"], 4),
        (["method=lora", "seed!=1"], 4),
        (["trainable.total>1000000"], 4),
        (["validation.accuracy>=0.9"], 2),
        (["settings.training.metric=accuracy"], 8),
        (["training.metric=accuracy"], 8),
        (["name~*3"], 1),
        (["seed<0"], 0),
    ],
)
def test_conditions_choose_runs(folder, capsys, conditions, count):
    given = [word for condition in conditions for word in ("--where", condition)]
    assert len(listed(capsys, folder, *given)) == count


def test_runs_are_sorted_by_a_field_in_either_direction(folder, capsys):
    ascending = [run["test.accuracy"] for run in listed(capsys, folder, "--sort", "test.accuracy")]
    descending = [run["test.accuracy"] for run in listed(capsys, folder, "--sort=-test.accuracy")]
    assert ascending == sorted(ascending)
    assert descending == sorted(descending, reverse=True)


def test_the_table_has_the_metric_and_readable_sizes(folder, capsys):
    assert main(["runs", str(folder), "--where", "seed=0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert {"validation.accuracy", "test.accuracy", "trainable.total"} <= set(lines[0].split())
    assert "3.00 GiB" in lines[1]
    assert "109,486,854" in lines[1]


def test_chosen_columns_and_what_differs_are_shown(folder, capsys, tmp_path):
    for rank in (2, 8):
        run = tmp_path / f"{rank}/pytorch"
        run.mkdir(parents=True)
        (run / "metrics.jsonl").touch()
        (run / "config.yaml").write_text(CONFIG.replace("rank: 8", f"rank: {rank}"))
    assert main(["runs", str(tmp_path), "--columns", "status", "--differ"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "status", "adaptation.rank"]
    assert [row.split()[1:] for row in rows] == [["unfinished", "2"], ["unfinished", "8"]]


def test_what_cannot_be_read_is_said_and_left_out(folder, capsys, tmp_path):
    run = tmp_path / "broken/pytorch"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("name: [")
    (run / "metrics.jsonl").touch()
    assert main(["runs", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == "no runs"
    assert "left out" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "seed"], "FIELD=VALUE"),
        (["--where", "sead=1"], "seed"),
        (["--sort", "test.acuracy"], "test.accuracy"),
        (["--columns", "nothing.there"], "No run has a field"),
    ],
)
def test_a_wrong_condition_or_field_is_refused(folder, capsys, arguments, message):
    assert main(["runs", str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["runs", str(tmp_path / "no")]) == 2
    assert f"There is no folder {tmp_path / 'no'}." in capsys.readouterr().err


def test_one_who_has_not_trained_yet_is_told_where_runs_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 2
    assert "There is no folder runs. twinlora train makes runs/ where it is called" in capsys.readouterr().err
