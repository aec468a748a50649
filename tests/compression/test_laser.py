"""Reduced ranks against NumPy, the search with made-up scores, and the command on a run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import twinlora
from common.cli.main import main
from common.compression import TRANSFORMS
from common.compression.behaviour import Behaviour
from common.compression.compress import read_options, transformed
from common.compression.transform import Score
from common.errors import InputError, RunError
from common.files import load_arrays
from common.training.assembly import open_trained
from common.training.opening import open_model
from common.training.rundir import RunDirectory
from tests.support import assert_identical, assert_near, tiny_spec

LASER = TRANSFORMS.get("laser")
LAYERS = [f"bert.encoder.layer.{i}.attention.self.query.weight" for i in range(2)]


class Made:
    """Scores that a function of the changed weights' ranks gives; counts what is asked."""

    metric = "accuracy"

    def __init__(self, score, higher_is_better=True):
        self.higher_is_better = higher_is_better
        self.score, self.asked, self.tests = score, [], []

    @staticmethod
    def ranks(changed):
        return {name: np.linalg.matrix_rank(array, tol=1e-4) for name, array in changed.items()}

    def validation(self, changed):
        self.asked.append(self.ranks(changed))
        return Score(*self.score(self.asked[-1]))

    def test(self, changed):
        self.tests.append(self.ranks(changed))
        return {"before": {"accuracy": 0.5}, "after": {"accuracy": 0.6}}


def searched(score, keeps=(0.5, 0.1)):
    made = Made(score)
    options = read_options(LASER, {"targets": ["*.query"], "keeps": list(keeps)})
    spec = tiny_spec("bert")
    changed, report = LASER.apply(spec, options, made)
    moved = {name for name in spec.arrays if not np.array_equal(spec.arrays[name], changed.arrays[name])}
    return made, moved, report


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_kept_share_gives_the_best_approximation_of_that_rank_in_either_layout(kind):
    spec = tiny_spec(kind)
    changed, report = transformed(spec, LASER, read_options(LASER, {"keep": 0.2}))
    assert changed.edits == ()
    assert report.after == report.before
    for module in report.modules:
        weight = spec.arrays[f"{module.path}.weight"].astype(np.float64)
        u, values, vt = np.linalg.svd(weight, full_matrices=False)
        assert module.details["rank"] == 3  # int(0.2 * 16)
        found = changed.arrays[f"{module.path}.weight"]
        assert_near(found, u[:, :3] * values[:3] @ vt[:3], 1e-6)
        assert np.linalg.matrix_rank(found, tol=1e-4) == 3
        assert module.error == pytest.approx(np.sqrt((values[3:] ** 2).sum() / (values**2).sum()), rel=1e-5)
    rest = {name: array for name, array in spec.arrays.items() if not name.endswith("weight") or array.ndim == 1}
    assert_identical({name: changed.arrays[name] for name in rest}, rest)
    _, least = transformed(spec, LASER, read_options(LASER, {"keep": 0.01}))
    assert {module.details["rank"] for module in least.modules} == {1}


def test_where_every_edit_makes_it_worse_nothing_is_edited():
    made, moved, report = searched(lambda ranks: (0.9 - 0.1 * len(ranks), -1.0))
    assert moved == set()
    assert report.findings["chosen"] == "no edit"
    assert report.findings["validation"]["no edit"] == 0.9
    assert {module.note for module in report.modules} == {"left as it is"}
    assert len(made.asked) == 1 + 2 * 2  # the model as it is, and every module with every share


def test_the_best_single_edit_is_found_and_the_smallest_share_counts_only_where_it_is_better():
    made, moved, report = searched(lambda ranks: (0.9 if ranks == {LAYERS[0]: 8} else 0.5 if ranks else 0.7, -1.0))
    assert moved == {LAYERS[0]}
    assert report.findings["chosen"] == "one edit"
    assert report.modules[0].details == {"rank": 8, "keep": 0.5}
    assert made.tests == [{LAYERS[0]: 8}]


def test_a_composition_begins_at_the_last_layer_with_the_smallest_share_that_does_no_harm():
    def score(ranks):
        return 0.7 + 0.1 * len(ranks) - (0.5 if ranks.get(LAYERS[0]) == 1 else 0.0), -1.0

    made, moved, report = searched(score)
    assert moved == set(LAYERS)
    assert report.findings["chosen"] == "composition"
    assert [module.details["rank"] for module in report.modules] == [8, 1]
    assert made.asked[5:] == [{LAYERS[1]: 1}, {LAYERS[1]: 1, LAYERS[0]: 8}]
    assert made.tests == [{LAYERS[1]: 1, LAYERS[0]: 8}]


def test_of_equal_metrics_the_lower_loss_is_chosen_and_of_equal_models_the_one_with_fewer_edits():
    assert searched(lambda ranks: (0.8, -1.0))[2].findings["chosen"] == "no edit"
    _, moved, report = searched(lambda ranks: (0.8, -0.5 if ranks == {LAYERS[1]: 8} else -1.0))
    assert moved == {LAYERS[1]}
    assert report.findings["chosen"] == "one edit"


def test_a_metric_of_which_less_is_better_is_reported_as_it_is():
    made = Made(lambda ranks: (-3.0 if ranks else -2.0, -1.0), higher_is_better=False)
    options = read_options(LASER, {"targets": ["*.query"], "keeps": [0.5]})
    findings = LASER.apply(tiny_spec("bert"), options, made)[1].findings
    assert findings["validation"] == {"no edit": 2.0, "one edit": 3.0, "composition": 2.0}
    assert findings["chosen"] == "no edit"


@pytest.mark.parametrize("seed", range(5))
def test_what_is_chosen_is_never_worse_on_validation_and_the_test_split_is_scored_once(seed):
    random = np.random.default_rng(seed)
    table = {}

    def score(ranks):
        return table.setdefault(str(sorted(ranks.items())), (float(random.random()), -1.0))

    made, _, report = searched(score)
    base = report.findings["validation"]["no edit"]
    assert (
        report.findings["validation"][report.findings["chosen"]] == max(report.findings["validation"].values()) >= base
    )
    assert len(made.tests) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.0}, "keep must be greater than 0 and less than 1"),
        ({"keeps": [0.5, 0.0]}, "keeps must be greater than 0 and less than 1"),
        ({"keeps": []}, "keeps must name at least one share"),
        ({"keep": 0.5, "targets": [{"pattern": "*.query", "rank": 2}]}, "targets have no rank here"),
        ({}, "needs scores of the model's behaviour on data; none were given"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        transformed(tiny_spec("bert"), LASER, read_options(LASER, options))


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_the_command_searches_a_run_and_writes_what_it_saw(base, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--with", "laser", "--set", "keeps=[0.1, 0.5]", "--targets", "*.query", "*.value", "*.output.dense"]
    assert main(["compress", str(base), *arguments, "--samples", "10", "--device", "cpu", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^validation: .*no edit 0\.\d{4}", printed, re.MULTILINE)
    written = json.loads((out / "compression.json").read_text())
    found = written["findings"]
    assert set(found["test"]) == {"before", "after"}
    assert len(found["trials"]) == 2 * len(written["modules"])
    edited = {module["path"] for module in written["modules"] if "rank" in module}
    before = open_model(base).spec.arrays
    arrays, _ = load_arrays(out / "model.safetensors")
    assert {f"{path}.weight" for path in edited} == {n for n, a in arrays.items() if not np.array_equal(a, before[n])}
    assert "twinlora" not in json.loads((out / "config.json").read_text())


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_the_test_split_is_given_once(base):
    observed = Behaviour(samples=4, device="cpu").of(base, open_model(base))
    scorer = observed.scorer(["bert.encoder.layer.0.attention.self.query"])
    first, again = scorer.validation({}), scorer.validation({})
    assert first == again
    zero = {LAYERS[0]: np.zeros((16, 16), np.float32)}
    assert scorer.validation(zero) != first
    found = scorer.test(zero)
    assert found["before"] != found["after"]
    with pytest.raises(RunError, match="scored once, after a search has ended"):
        scorer.test({})


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_search_is_scored_on_its_own_examples_alone(base):
    """Not on those that it left out, as if something had been said of them."""
    observed = Behaviour(samples=7, device="cpu").of(base, open_model(base))
    training = dataclasses.replace(observed.config.training, metric="accuracy")
    observed = dataclasses.replace(observed, config=dataclasses.replace(observed.config, training=training))
    scorer = observed.scorer([LAYERS[0].removesuffix(".weight")])
    data = open_trained(RunDirectory(base)).config.data
    rows = [line.rpartition(",") for line in Path(data.files["validation"]).read_text().splitlines()[1:]]
    chosen = [rows[index * len(rows) // 7] for index in range(7)]
    answers = twinlora.open(base, device="cpu").predict([text for text, _, _ in chosen])
    right = [answer["label"] == label for answer, (_, _, label) in zip(answers, chosen, strict=True)]
    losses = [-np.log(answer["probabilities"][label]) for answer, (_, _, label) in zip(answers, chosen, strict=True)]
    found = scorer.validation({})
    assert found.metric == pytest.approx(np.mean(right))
    assert -found.likelihood == pytest.approx(np.mean(losses), rel=1e-3)
