"""A search as a source of jobs: trials in the order of their numbers, each decided from earlier ones.

Trial n is decided from the trials 0 to n - workers, which have ended by then, and pruned by comparison with these
alone. What is decided depends so neither on which of several workers was faster nor on where a study was killed: a
search that is continued replays its trials from their run directories and comes to the same decisions.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from common.errors import InputError
from common.reading import read_json
from common.studies import outcome as outcomes
from common.studies.conflicts import TRIAL, refuse_hidden
from common.studies.job import SCORE, Job
from common.studies.outcome import ENDED, RETRIED, Outcome, read_outcome, write_outcome
from common.studies.plan import Plan, Planned
from common.studies.points import Point, replaced
from common.studies.search.decisions import COMPLETE, FAILED, PRUNED, Trial, best, prune, require, suggest
from common.studies.search.record import plain_trial, store
from common.studies.search.space import Dimension, SearchSection, dimensions
from common.studies.sources import Source
from common.studies.status import logged
from common.tasks import TASKS
from common.training.rundir import RunDirectory

__all__ = ["Search", "evaluations", "read_space"]

_CORNERS = 64  #: combinations of ends that are all tried; of more, those of every two entries
_UNREADABLE = "Restore it from a copy, or remove it: it is made again."


def read_space(search: SearchSection) -> list[Dimension]:
    """The entries of the space.

    Raises:
        InputError: one does not fit; all are named.
    """
    found = list(dimensions(search))
    faults = [f"  search.space.{one[0]} {one[1]}" for one in found if not isinstance(one, Dimension)]
    if faults or not found:
        raise InputError("The space of a search is wrong:\n" + ("\n".join(faults) or "  it has no entry"))
    return [one for one in found if isinstance(one, Dimension)]


def evaluations(run: RunDirectory, metric: str) -> list[tuple[int, float]]:
    """(optimizer step, value) of every whole line of the log that is an evaluation; the untrained model's is left
    out."""
    events = [event for event in logged(run) if event["event"] == "evaluation" and event["step"] > 0]
    return [(event["step"], event[metric]) for event in events if metric in event]


def _pairs(ends: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Every combination of the ends of two entries; the others are at their first."""
    first = [one[0] for one in ends]
    for m, n in itertools.combinations(range(len(ends)), 2):
        for one, other in itertools.product(ends[m], ends[n]):
            yield (*first[:m], one, *first[m + 1 : n], other, *first[n + 1 :])


def _keys(dimension: Dimension) -> set[str]:
    """Every key that a value of the entry may set."""
    if dimension.settings is None:
        return {dimension.name}
    return {key for settings in dimension.settings.values() for key in settings}


class Search(Source):
    """The search in one point of the grid.

    Args:
        point: what all trials have in common.
        jobs: makes the job of a planned trial.
        changed: called where the plan has grown, or a trial has ended.
        retry: whether trials that failed are run again.
    """

    def __init__(
        self,
        plan: Plan,
        point: Point,
        jobs: Callable[..., Job],
        changed: Callable[[], None],
        retry: bool = False,
    ):
        assert plan.definition.search is not None
        require()
        self.section, self.space = plan.definition.search, read_space(plan.definition.search)
        self.metric = point.config.training.metric
        self.higher = TASKS.get(point.config.model.task).higher_is_better(self.metric)
        self.trials: list[Trial] = []
        self.planned: list[Planned] = []
        self.winner: dict[str, Any] | None = None
        self._plan, self.point, self._jobs, self._changed, self._retry = plan, point, jobs, changed, retry
        self._decided: tuple[Trial, Planned] | None = None  # the next trial, while it waits for another of its run
        self._left: list[Job] = []  # of trials that `replay` found begun
        self._seen: dict[int, int] = {}  # bytes of the log that were looked at for pruning, by trial
        self._scored = False
        entries = {f"the searched entry {one.name}": sorted(_keys(one)) for one in self.space}
        refuse_hidden({"the study": point.settings, **entries}, "search")
        self._check_ends()

    @property
    def name(self) -> str:
        """Of the study in optuna's storage."""
        return self.point.describe()

    def replay(self) -> None:
        """Take in the trials that have been begun, and run nothing: what is recorded of the search is then what was
        recorded of it before."""
        changed, self._changed = self._changed, lambda: None  # the record as it was stays until this one is whole
        while len(self.trials) < self.section.trials and self._known(len(self.trials)) is not None:
            trial, planned = self._decide(len(self.trials))
            begun = self._plan.directory.state(planned.entry()) != "missing"
            if not begun or self._waits(trial):
                break
            job = self._begin(trial, planned)
            self._left += [] if job is None else [job]
        if self._complete:
            self._score()
        self._changed = changed

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether ``point`` of an earlier plan is a trial of this search; one that is not decided yet may be."""
        label, number = point["label"], point["label"][TRIAL]
        common = {name: value for name, value in label.items() if name in self.point.label}
        if (common, point["seed"], point["backend"]) != (self.point.label, self.point.seed, self.point.backend):
            return False
        decided = [*self.planned, *([self._decided[1]] if self._decided else [])]
        again = number >= len(decided) or json.loads(json.dumps(decided[number].point.label)) == label
        return number < self.section.trials and again

    def next(self) -> Job | None:
        """The next trial that has not ended; after the last the scoring of the winner."""
        if self._left:
            return self._left.pop(0)
        while len(self.trials) < self.section.trials and self._known(len(self.trials)) is not None:
            trial, planned = self._decide(len(self.trials))
            if self._waits(trial):
                return None
            job = self._begin(trial, planned)
            if job is not None:
                return job
        if self._complete and not self._scored:
            self._scored = True
            return self._score()
        return None

    @property
    def _complete(self) -> bool:
        return len(self.trials) == self.section.trials and all(trial.state for trial in self.trials)

    def _waits(self, trial: Trial) -> bool:
        """Whether an earlier trial that has not ended has the same run, of which it runs the one."""
        return any(other.id == trial.id and other.state is None for other in self.trials)

    def watch(self, job: Job) -> str | None:
        if self.section.prune is None or job.kind == SCORE:
            return None
        size = job.run.metrics.stat().st_size if job.run.metrics.is_file() else 0
        trial = self._trial(job)
        if self._seen.get(trial.number) == size:
            return None
        self._seen[trial.number] = size
        return outcomes.PRUNED if self._pruned(trial) is not None else None

    def ended(self, job: Job, outcome: Outcome) -> None:
        if job.kind == SCORE:
            self._take_scores(job)
        elif outcome.status in ENDED:
            self._settle(self._trial(job), job, outcome)
        self._changed()

    def finish(self) -> None:
        """Write optuna's storage."""
        store(self._plan.directory.storage, self.name, self.higher, self.space, self.trials)

    def _check_ends(self) -> None:
        """Plan trials with the choices and the ends of all ranges: one that cannot be trained would end the search."""
        ends = [one.ends() for one in self.space]
        every = len(ends) < 3 or math.prod(map(len, ends)) <= _CORNERS
        for values in itertools.product(*ends) if every else _pairs(ends):
            chosen = {one.name: value for one, value in zip(self.space, values, strict=True)}
            self._plan.planned(replaced(self.point, self._settings(chosen), chosen))

    def _settings(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Key path to value for the parameters of a trial."""
        found: dict[str, Any] = {}
        for dimension in self.space:
            found |= dimension.keys(parameters[dimension.name])
        return found

    def plain(self) -> dict[str, Any]:
        """For ``search.json``."""
        return {
            "label": self.point.label,
            "seed": self.point.seed,
            "backend": self.point.backend,
            "metric": f"validation.{self.metric}",
            "higher_is_better": self.higher,
            "trials": [plain_trial(trial) for trial in self.trials],
            "winner": self.winner,
        }

    def _known(self, number: int) -> list[Trial] | None:
        """The trials that decide trial ``number``; None where one of them has not ended."""
        known = self.trials[: max(0, number - self.section.workers + 1)]
        return known if all(trial.state for trial in known) else None

    def _decide(self, number: int) -> tuple[Trial, Planned]:
        """The parameters of a trial, and its run."""
        if self._decided is None:
            visible = [trial for trial in self._known(number) or [] if trial.state != FAILED]
            parameters = suggest(self.section, self.space, self.higher, visible, number)
            label = {TRIAL: number, **parameters}
            planned = self._plan.planned(replaced(self.point, self._settings(parameters), label))
            self._decided = Trial(number, parameters, planned.id), planned
        return self._decided

    def _begin(self, trial: Trial, planned: Planned) -> Job | None:
        """The job of a trial; None where its run has ended already."""
        self._decided = None
        self.trials.append(trial)
        self.planned.append(planned)
        self._plan.write_config(planned)
        job = self._jobs(planned)
        found = self._plan.directory.outcome(planned.entry())
        again = self._retry and found is not None and found.status in RETRIED
        if found is not None and found.status in ENDED and not again:
            self._settle(trial, job, found)
        self._changed()
        return None if trial.state else job

    def _trial(self, job: Job) -> Trial:
        return next(trial for trial in self.trials if trial.id == job.id and trial.state is None)

    def _pruned(self, trial: Trial) -> list[tuple[int, float]] | None:
        """The values up to the evaluation after which the trial is pruned; None where it is not. After the last step
        nothing is left to prune."""
        known = [other for other in self._known(trial.number) or [] if other.state != FAILED]
        planned = self.planned[trial.number]
        run = self._plan.directory.run(planned.entry())
        values = evaluations(run, self.metric)
        for count, (step, _) in enumerate(values, start=1):
            if step < planned.steps and prune(self.section, self.space, self.higher, known, values[:count]):
                return values[:count]
        return None

    def _settle(self, trial: Trial, job: Job, outcome: Outcome) -> None:
        """The state of a trial whose run has ended: a function of its log, and not of how far the run came before it
        was pruned. A run that was pruned, and would not be now, has not ended."""
        pruned = self._pruned(trial)
        values = evaluations(job.run, self.metric)
        if pruned is not None:
            trial.state, trial.values = PRUNED, pruned
            if outcome.status != outcomes.PRUNED:
                write_outcome(job.outcome, dataclasses.replace(outcome, status=outcomes.PRUNED, error=None))
        elif job.run.complete():
            shape = {"validation": {...: float}}
            summary = read_json(job.run.summary, "the summary of a run", _UNREADABLE, shape)
            trial.state, trial.values, trial.value = COMPLETE, values, summary["validation"][self.metric]
        elif outcome.status in RETRIED:
            trial.state, trial.values = FAILED, values

    def _score(self) -> Job | None:
        """The job that scores the winner on the test split, where there is one and it has not been done."""
        found = best(self.trials, self.higher)
        if found is None:
            return None
        self.winner = {"number": found.number, "id": found.id, "parameters": found.parameters, "value": found.value}
        self.winner["test"] = None
        job = self._jobs(self.planned[found.number], kind=SCORE)
        self._take_scores(job)
        done = self.winner["test"] is not None or not self._plan.reader.has_test(self.point.config)
        self._changed()
        before = read_outcome(job.outcome)
        failed = before is not None and before.status in RETRIED and not self._retry
        return None if done or failed else job

    def _take_scores(self, job: Job) -> None:
        if self.winner is not None and job.scores.is_file():
            self.winner["test"] = read_json(job.scores, "the scores of a run", _UNREADABLE, {...: float})
