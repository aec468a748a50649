"""The report of a study: its figures, its files, and that it is a function of the study directory."""

from __future__ import annotations

import csv
import itertools
import json
import math

import numpy as np
import pytest

from common.cli.main import main
from common.errors import InputError
from common.report.study import statistics
from common.report.study.records import read_study
from common.report.study.tables import Cell, Column, fill
from common.report.study.write import report_tables, write_report
from tests.report.planted import plant

ROWS = {"title": "All", "rows": ["model", "optimization.learning_rate"], "columns": ["validation.accuracy"]}


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_follow_the_axes_and_show_means_spreads_and_published_figures(tmp_path):
    table = fill(read_study(plant(tmp_path)), read_study(tmp_path).tables[0])
    assert table.head == (
        "model",
        "learning rate",
        "accuracy, %",
        "accuracy, % (published)",
        "steps",
        "trainable total",
    )
    assert [row[:2] for row in table.rows] == [("FT", "0.001"), ("FT", "0.0001"), ("LoRA", "0.001"), ("LoRA", "0.0001")]
    assert table.rows[0][2:4] == ("90.05 ± 0.07", "93.70")
    assert table.rows[2][2:4] == ("88.05 ± 0.07", "\u2013")
    assert table.rows[0][5] == "109,486,854"
    assert table.notes == ("model FT, learning rate 0.001: the base model is smaller",)


def test_a_transposed_table_of_the_best_combinations_has_a_column_for_each(tmp_path):
    table = fill(read_study(plant(tmp_path)), read_study(tmp_path).tables[1])
    assert table.head == ("model", "FT", "LoRA")
    assert table.rows[0] == ("test accuracy", "0.8805 ± 0.0007", "0.8605 ± 0.0007")
    assert table.rows[1][0] == "outcome seconds"


def test_the_best_of_a_metric_of_which_less_is_better_has_the_least(tmp_path):
    study = read_study(plant(tmp_path))
    layout = {**ROWS, "select": {"by": "validation.loss", "per": ["model"], "highest": None}}
    assert [row[:2] for row in fill(study, layout).rows] == [("FT", "0.001"), ("LoRA", "0.001")]
    layout["select"]["by"] = "validation.accuracy"
    assert [row[:2] for row in fill(study, layout).rows] == [("FT", "0.001"), ("LoRA", "0.001")]
    layout["select"]["by"] = "seconds.total"
    with pytest.raises(InputError, match=r"The table All: .*seconds\.total .*no metric.*select\.highest"):
        fill(study, layout)


def test_the_same_directory_gives_the_same_bytes(tmp_path):
    plant(tmp_path / "study")
    write_report(tmp_path / "study")
    write_report(tmp_path / "study", tmp_path / "again")
    first, second = files(tmp_path / "study/report"), files(tmp_path / "again")
    assert first == second
    assert {"report.html", "report.md", "tables/01-table-2-validation-test.tex"} <= set(first)
    assert b"http" not in first["report.html"].replace(b"http://www.w3.org", b"")  # it loads nothing


def test_tables_are_written_as_latex_csv_and_markdown(tmp_path):
    write_report(plant(tmp_path))
    folder = tmp_path / "report/tables"
    latex = (folder / "01-table-2-validation-test.tex").read_text()
    assert r"\caption{Table 2: validation \& test}" in latex
    assert r"90.05 $\pm$ 0.07 & 93.70" in latex
    rows = list(csv.reader((folder / "01-table-2-validation-test.csv").open(newline="")))
    assert rows[1][:3] == ["FT", "0.001", "90.05 ± 0.07"]
    assert len({len(row) for row in rows}) == 1
    assert "| FT | 0.001 | 90.05 ± 0.07 | 93.70 |" in (tmp_path / "report/report.md").read_text()


def test_missing_and_failed_runs_are_named_with_their_reason_and_left_out(tmp_path):
    plant(tmp_path, states={0: ("failed", "CUDA out of <memory>"), 7: ("missing", None)})
    write_report(tmp_path)
    text, page = ((tmp_path / f"report/report.{ending}").read_text() for ending in ("md", "html"))
    assert "CUDA out of <memory>" in text
    assert "CUDA out of &lt;memory&gt;" in page
    assert "it was not begun" in text
    assert "8 runs (1 failed, 6 finished, 1 missing)" in text
    assert "90.10 (1 of 2)" in text  # the seed that is left


def test_differences_between_the_best_are_tested_where_seeds_suffice(tmp_path):
    few, many = (report_tables(read_study(plant(tmp_path / str(seeds), seeds)))[2] for seeds in (2, 6))
    assert few.rows[0][:5] == ("FT", "LoRA", "+0.0200", "2", "\u2013")
    assert many.rows[0][3:5] == ("6", measured_p(6))
    assert float(many.rows[0][5]) <= 1


def test_runs_of_one_seed_in_two_backends_are_no_further_evidence(tmp_path):
    both = ("pytorch", "mindspore")
    for seeds in (3, 6):
        one, two = (
            report_tables(read_study(plant(tmp_path / f"{seeds}-{len(backends)}", seeds, backends=backends)))[2]
            for backends in (both[:1], both)
        )
        assert two.rows == one.rows
        assert two.rows[0][3] == str(seeds)


def test_a_table_says_what_its_rows_are_means_over_besides_seeds(tmp_path):
    plant(tmp_path / "one")
    assert fill(read_study(tmp_path / "one"), {**ROWS}).notes == ()
    plant(tmp_path / "two", backends=("pytorch", "mindspore"))
    study = read_study(tmp_path / "two")
    assert fill(study, {**ROWS}).notes == ("Figures are means over the runs of a row, which differ in backend too.",)
    assert fill(study, {**ROWS, "rows": [*ROWS["rows"], "backend"]}).notes == ()
    merged = fill(study, {**ROWS, "rows": ["model"]})
    assert merged.notes[0].endswith("differ in learning rate, backend too.")
    best = {"by": "validation.accuracy", "per": ["model"]}
    assert fill(study, {**ROWS, "rows": ["model"], "select": best}).notes[0].endswith("differ in backend too.")


def measured_p(pairs: int) -> str:
    """All differences have one sign: two of the 2^n patterns are as extreme."""
    return f"{2 / 2**pairs:.4f}"


def test_the_randomisation_test_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.array([0.3, -0.1, 0.4, 0.25, -0.05, 0.1, 0.2])
    expected = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert statistics.exchanged(values) == pytest.approx(expected.pvalue)
    assert statistics.exchanged(values[:4]) is None
    assert 0 < statistics.exchanged(np.tile(values, 3)) < 0.01


def test_patterns_that_are_as_far_from_0_are_counted_whatever_their_sums_round_to():
    """Accuracies of 872 examples: the differences are integers over 872, and p is that of the integers."""
    assert statistics.exchanged([0.1, 0.2, -0.3, 0.4, -0.4]) == 1.0
    random = np.random.default_rng(0)
    for _ in range(300):
        first = random.integers(700, 860, 7)
        second = first + random.integers(-4, 5, 7)
        apart = first - second
        patterns = np.array(list(itertools.product((-1, 1), repeat=7))) @ apart
        expected = np.mean(np.abs(patterns) >= abs(apart.sum()))
        found = statistics.exchanged([a / 872 - b / 872 for a, b in zip(first.tolist(), second.tolist(), strict=True)])
        assert found == pytest.approx(expected), apart


def test_mcnemar_agrees_with_the_binomial_test_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for first_only, second_only in itertools.product((0, 1, 7, 40), (0, 3, 12)):
        first = np.array([True] * first_only + [False] * second_only + [True] * 5)
        second = np.array([False] * first_only + [True] * second_only + [True] * 5)
        count = first_only + second_only
        expected = stats.binomtest(first_only, count).pvalue if count else 1.0
        assert statistics.mcnemar(first, second) == pytest.approx(expected)


def test_spread_is_the_deviation_of_a_sample():
    assert statistics.spread([1.0]) is None
    assert statistics.spread([1.0, 2.0, 4.0]) == pytest.approx(math.sqrt(7 / 3))


def test_examples_and_matrices_of_the_best_models_are_on_the_page(tmp_path):
    page = write_report(plant(tmp_path)).read_text()
    assert page.count('class="confusion"') == 2
    assert "&lt;today&gt;" in page
    assert "Right in some models" in page


def test_a_search_is_shown_with_its_winner_and_its_test_scores(tmp_path):
    plant(tmp_path)
    trials = [
        {"number": n, "id": f"{n}", "parameters": {"optimization.learning_rate": 10.0**-n}, "state": state,
         "value": value, "step": 10, "values": []}
        for n, (state, value) in enumerate([("complete", 0.8), ("pruned", None)])
    ]  # fmt: skip
    search = {"label": {"model": "FT"}, "seed": 1, "backend": "pytorch", "metric": "validation.accuracy",
              "higher_is_better": True, "trials": trials, "winner": {"number": 0, "test": {"accuracy": 0.75}}}  # fmt: skip
    (tmp_path / "search.json").write_text(json.dumps({"searches": [search]}))
    table = report_tables(read_study(tmp_path))[-1]
    assert table.title == "Search: model FT, pytorch, seed 1"
    assert [row[0] for row in table.rows] == ["0 (winner)", "1"]
    assert table.notes == ("The winner on the test split: accuracy 0.7500.",)


def test_a_study_without_tables_gets_one_of_everything(tmp_path):
    plan = json.loads((plant(tmp_path) / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**plan, "tables": []}))
    table = report_tables(read_study(tmp_path))[0]
    assert len(table.rows) == 4
    assert {"validation accuracy", "test accuracy"} <= set(table.head)


def test_accounts_of_memory_are_drawn_once_they_are_kept(tmp_path):
    plant(tmp_path)
    account = {"total": 10 * 2**30, "weights": 2**30, "gradients": 2**30, "optimizer": 2**31, "activations": 6 * 2**30}
    kept = {f"{n:016x}": {**account, "weights": 2**30 * (1 + n // 4)} for n in range(8)}
    (tmp_path / "memory.json").write_text(json.dumps(kept))
    page = write_report(tmp_path).read_text()
    assert "Memory of a training step" in page
    assert ">model FT<" in page
    assert ">model LoRA<" in page


def test_a_study_without_a_finished_run_and_a_folder_that_is_none_are_refused(tmp_path, capsys):
    plant(tmp_path / "study", states=dict.fromkeys(range(8), ("missing", None)))
    with pytest.raises(InputError, match="at least one finished run"):
        write_report(tmp_path / "study")
    assert main(["study", "report", str(tmp_path)]) == 2
    assert "study.json" in capsys.readouterr().err


def test_the_command_prints_the_path_of_the_page(tmp_path, capsys):
    plant(tmp_path)
    assert main(["study", "report", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out/report.html")


def test_a_deviation_has_the_decimals_of_its_column():
    """None, where the column says none: not those of a figure on its own."""
    cell = Cell(Column("peak_memory_bytes", "Memory", 1e-6, 0), (983.2, 990.4), None)
    assert cell.text == "987 ± 5"
