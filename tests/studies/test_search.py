"""A search decides from the trials so far alone, so that breaks and the speed of workers change nothing."""

import importlib.util
import json

import pytest

from common.errors import InputError
from common.studies.search.decisions import COMPLETE, Trial, best, prune, suggest
from common.studies.search.searching import read_space
from common.studies.search.space import PruneSection, SearchSection
from tests.studies.conftest import Studies, replace_worker

pytest.importorskip("optuna")

SPACE = {
    "optimization.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "adaptation.rank": {"low": 1, "high": 8},
    "targets": {"choices": {"qv": {"adaptation.targets": ["query", "value"]}, "q": {"adaptation.targets": ["query"]}}},
}
SECTION = SearchSection(trials=6, space=SPACE, startup_trials=2)
TEXT = """\
search:
  trials: 6
  startup_trials: 2
  workers: WORKERS
  prune: {startup_trials: 2}
  space: {optimization.learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}}
"""


def trials(count, section=SECTION):
    """Trials that were decided one after the other, with a made-up value."""
    space, found = read_space(section), []
    for number in range(count):
        parameters = suggest(section, space, True, found, number)
        value = -abs(parameters["optimization.learning_rate"] - 0.01)
        found.append(Trial(number, parameters, f"run{number}", COMPLETE, value, [(4, value - 1), (8, value)]))
    return found


def test_a_decision_depends_on_the_known_trials_alone():
    known = trials(5)
    space = read_space(SECTION)
    again = [suggest(SECTION, space, True, known[:number], number) for number in (4, 2, 3, 3)]
    assert again == [known[number].parameters for number in (4, 2, 3, 3)]
    assert suggest(SECTION, space, True, known[:4], 5) != known[4].parameters
    assert len({trial.parameters["optimization.learning_rate"] for trial in known}) == 5


def test_a_trial_is_pruned_where_it_is_worse_than_the_median():
    section = SearchSection(trials=6, space=SPACE, prune=PruneSection(startup_trials=3))
    known, space = trials(4), read_space(SECTION)
    median = sorted(trial.values[0][1] for trial in known)[1:3]
    assert prune(section, space, True, known, [(4, min(median) - 1)])
    assert not prune(section, space, True, known, [(4, max(median) + 1)])
    assert not prune(section, space, True, known[:2], [(4, -9.0)])
    assert not prune(SECTION, space, True, known, [(4, -9.0)])


def test_the_best_of_equal_trials_is_the_first():
    made = [Trial(n, {}, "", COMPLETE, value) for n, value in enumerate([0.5, 0.9, 0.9])] + [Trial(3, {}, "", "failed")]
    assert best(made, True).number == 1
    assert best(made, False).number == 0
    assert best(made[3:], True) is None


FAULTS = {
    "a.b": 3,
    "rank": {"low": 1, "high": 2},
    "a.c": {"low": 2, "high": 1},
    "a.d": {"low": 0, "high": 1, "log": True},
    "a.e": {"low": 0, "high": 1, "hihg": 2},
    "a.f": {"choices": [[1]]},
    "a.g": {"choices": [2, 2.0]},
    "a.h": {"low": -1.0e308, "high": 1.0e308},
    "a.i": {"low": 1, "high": 2, "step": 5},
    "b": {"choices": {"x": 1}},
}


def test_every_fault_of_a_space_is_named():
    with pytest.raises(InputError) as caught:
        read_space(SearchSection(trials=1, space=FAULTS))
    for name in FAULTS:
        assert f"search.space.{name} " in str(caught.value)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search that nothing happened to, with its folder of studies."""
    with pytest.MonkeyPatch.context() as patch:
        replace_worker(patch)
        studies = Studies(tmp_path_factory.mktemp("searched"))
        study, done = studies.run(TEXT.replace("WORKERS", "1"))
        assert done
        return studies, study


def record(study):
    return json.loads(study.directory.search.read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_speed_and_breaks_change_no_decision(studies, fake_runs, workers):
    """The slow and the fast trials change places; in the second study every trial is a call of its own."""
    text = TEXT.replace("WORKERS", str(workers))
    fake_runs({"learning_rate: 0.0": {"slow": 0.02}})
    whole, done = studies.run(text, name="whole", jobs=workers)
    assert done
    states = [trial["state"] for trial in record(whole)["searches"][0]["trials"]]
    assert len(states) == 6
    assert {"complete", "pruned"} <= set(states)
    fake_runs({})
    study = None
    for count in (1, 4, 6):  # the definition that is run grows; its earlier trials are replayed
        study, _ = studies.run(text.replace("trials: 6", f"trials: {count}", 1), name="broken", jobs=workers)
    assert record(study) == record(whole)
    trained = [call for call in studies.calls(study) if call.endswith("train")]
    assert len(trained) == len(set(trained)) == 6


def test_only_the_winner_meets_the_test_split(searched):
    studies, study = searched
    found = record(study)["searches"][0]
    winner = found["winner"]
    assert winner["test"] == {"accuracy": 0.5}
    assert [call for call in studies.calls(study) if call.endswith("score")] == [f"{winner['id']} score"]
    values = {trial["number"]: trial["value"] for trial in found["trials"] if trial["state"] == "complete"}
    assert winner["value"] == max(values.values())
    for point in study.directory.points():
        summary = study.directory.run(point).read_summary()
        assert summary is None or summary["test"] is None


def test_a_search_that_the_filters_leave_out_keeps_its_trials(studies, fake_runs):
    text = "axes: {data.max_length: [8, 16]}\n" + TEXT.replace("WORKERS", "1")
    study, _ = studies.run(text, filters={"max_length": ["8"]})
    first = record(study)["searches"]
    points = study.directory.points()
    assert len(points) == len(first[0]["trials"]) == 6
    study, _ = studies.run(text, filters={"max_length": ["16"]})
    after = record(study)["searches"]
    assert [one["label"] for one in after] == [{"data.max_length": 8}, {"data.max_length": 16}]
    assert after[0] == first[0]
    assert [point for point in study.directory.points() if point["label"]["data.max_length"] == 8] == points
    assert len(study.directory.points()) == 12
    assert set(studies.states(study)) <= {"finished", "pruned"}
    assert study.directory.read_plan()["fingerprints"]["inputs"].keys() == {p["id"] for p in study.directory.points()}
    whole, _ = studies.run(text)
    assert record(whole)["searches"] == after
    assert len([call for call in studies.calls(whole) if call.endswith("train")]) == 12


def test_trials_that_a_changed_search_would_lose_are_refused(studies, fake_runs):
    text = "axes: {data.max_length: [8, 16]}\n" + TEXT.replace("WORKERS", "1")
    study, _ = studies.run(text)
    before = record(study)
    changes = {"trials: 6": "trials: 5", "low: 1.0e-3": "low: 2.0e-3", "[8, 16]": "[8]"}
    for old, new in changes.items():
        with pytest.raises(InputError, match=r"runs? that this definition has not, first .*--drop"):
            studies.run(text.replace(old, new, 1))
        assert record(study) == before
        assert len(study.directory.points()) == 12
    dropped, _ = studies.run(text.replace("trials: 6", "trials: 5"), drop=True)
    assert len(dropped.directory.points()) == 10


def test_a_failed_trial_is_recorded_and_the_search_goes_on(studies, fake_runs, searched):
    rate = record(searched[1])["searches"][0]["trials"][1]["parameters"]["optimization.learning_rate"]
    fake_runs({f"learning_rate: {rate}": {"fail": "diverged"}})
    study, done = studies.run(TEXT.replace("WORKERS", "1"), name="failing")
    assert done
    states = [trial["state"] for trial in record(study)["searches"][0]["trials"]]
    assert states[1] == "failed"
    assert len(states) == 6


def test_the_trials_stand_in_optunas_storage(searched):
    import optuna

    study = searched[1]
    url = f"sqlite:///{study.directory.storage}"
    [name] = optuna.get_all_study_names(url)
    stored = optuna.load_study(study_name=name, storage=url).trials
    ours = record(study)["searches"][0]["trials"]
    assert [trial.params for trial in stored] == [trial["parameters"] for trial in ours]
    assert [trial.state.name.lower() for trial in stored] == [trial["state"] for trial in ours]
    assert [list(map(list, trial.intermediate_values.items())) for trial in stored] == [t["values"] for t in ours]


def test_trials_of_equal_parameters_are_one_run(studies, fake_runs):
    text = "search: {trials: 4, workers: 2, space: {adaptation.rank: {choices: [1, 2]}}}\n"
    study, done = studies.run(text, jobs=2)
    assert done
    found = record(study)["searches"][0]["trials"]
    assert [trial["state"] for trial in found] == ["complete"] * 4
    trained = [call for call in studies.calls(study) if call.endswith("train")]
    assert sorted(trained) == sorted({f"{trial['id']} train" for trial in found})


def test_a_searched_key_is_set_nowhere_else(studies, fake_runs):
    with pytest.raises(InputError, match="is an axis and a searched entry"):
        studies.run(
            "axes: {adaptation.rank: [1, 2]}\nsearch: {trials: 1, space: {adaptation.rank: {low: 1, high: 4}}}\n"
        )


CANNOT = {
    "optimization.lr: {low: 0.1, high: 1.0}": "optimization.lr is unknown",
    "adaptation.rank: {low: 1, high: 99}": "rank is 99",
    "adaptation.rank: {low: 1.0, high: 8.0}": "must be a whole number",
    "adaptation.rank: {choices: [2, 4, 200]}": "rank is 200",
    "m: {choices: {a: {adaptation.method: head}, b: {}}}, adaptation.rank: {low: 1, high: 4}": "adaptation.rank is unknown",
    "m: {choices: {a: {adaptation.rank: 3}}}, adaptation.rank: {low: 1, high: 8}": "adaptation.rank is set by both",
}  # fmt: skip


MANY = (
    "learning_rate",
    "weight_decay",
    "beta1",
    "beta2",
    "epsilon",
    "max_grad_norm",
)  # with two more, 256 combinations


@pytest.mark.parametrize("space", CANNOT)
def test_a_space_with_trials_that_cannot_be_trained_is_refused_before_anything_is_written(studies, fake_runs, space):
    with pytest.raises(InputError) as caught:
        studies.run(f"search: {{trials: 2, space: {{{space}}}}}")
    assert CANNOT[space] in str(caught.value)
    assert not studies.output.exists()


def test_two_values_that_do_not_fit_together_are_found_among_many_combinations(studies, fake_runs):
    many = ", ".join(f"optimization.{name}: {{low: 0.1, high: 0.2}}" for name in MANY)
    pair = "training.global_batch_size: {choices: [8, 12]}, training.micro_batch_size: {choices: [4, 8]}"
    with pytest.raises(InputError, match=r"must divide training\.global_batch_size = 12; received 8"):
        studies.run(f"search: {{trials: 2, space: {{{pair}, {many}}}}}")
    assert not studies.output.exists()


def test_a_search_without_optuna_is_refused_before_anything_is_written(studies, fake_runs, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "optuna" else find(name, *rest)
    )
    with pytest.raises(InputError, match=r"twinlora\[search\]"):
        studies.run("search: {trials: 2, space: {adaptation.rank: {low: 1, high: 4}}}\n")
    assert not studies.output.exists()
