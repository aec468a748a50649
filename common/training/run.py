"""``train``: one experiment in one backend, from its configuration to its summary and report."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from common import __version__
from common import backend as backends
from common.artifacts import storage
from common.backend import Engine
from common.config import ExperimentConfig, to_yaml
from common.data import BatchPlan, Encoded, save_tokenizer
from common.distributed import Group, micro_batch_size
from common.errors import InputError, InterruptedRunError, RunError, of_system
from common.files import write_atomic, write_json
from common.language import translated
from common.methods import METHODS
from common.methods.coverage import coverage_table
from common.methods.merge import merge_remarks
from common.tasks.task import Evaluator
from common.trackers.feeding import Feeder, Tracked, opening_of
from common.trackers.feeding import check as check_trackers
from common.training import adapters, fingerprints, meta, processes, system, teaching
from common.training import summary as summaries
from common.training.assembly import Inputs, build_engine, encode_split, prepare, refuse_absent
from common.training.evaluation import evaluated
from common.training.lock import locked
from common.training.loop import Trainer
from common.training.predictions import write_predictions
from common.training.progress import Progress
from common.training.rundir import FAILED, RunDirectory, settled
from common.training.unused import unused

__all__ = ["train"]

_SOURCES = ("model.source", "model.tokenizer", "model.vectors", "model.adapter", "distillation.teacher")
_OTHERS = "Resume it with the data, base model and tokenizer that it began with, or use --name for a new run."


def train(
    config: ExperimentConfig,
    backend_name: str,
    device: str | None = None,
    output: Path = Path("runs"),
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    test: bool = True,
    expected: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Train ``config`` into ``output/<name>/<backend>`` and return the summary that is also written there.

    Started by torchrun or msrun, it trains together with the other processes; all but the first return None.

    Args:
        device: cpu, cuda:0, ...; None takes the first accelerator, or the CPU.
        resume: continue an unfinished run; where there is none, begin it; a finished one is left as it is.
        overwrite: discard a run that is there.
        test: score the best state on the test split; a search does so for its winner only.
        expected: `fingerprints.of_inputs` when the run was planned; other data, base or tokenizer are refused.

    Raises:
        InputError: something given does not fit; nothing was written.
        RunError: training diverged or was interrupted.
    """
    run = RunDirectory(Path(output) / config.name / backend_name)
    backends.require(backend_name)
    if not (resume and run.complete()):
        refuse_absent(config)
    backend = backends.load(backend_name)
    device, group = processes.join(backend, device)
    if group is None:
        return None
    processes.check_alike(group, _started(config, resume=resume, overwrite=overwrite, test=test))
    if group.rank == 0:
        check_trackers(config.training.trackers)
        run.admit(config, resume, overwrite)
    progress = (progress or Progress()) if group.rank == 0 else processes.Silent()
    if resume and processes.agreed(group, group.rank == 0 and run.complete()):
        if group.rank == 0:
            _check_finished(run, config, progress)
        progress.say(translated("{path} is finished already; nothing is left to do.", path=run.path))
        return run.read_summary() if group.rank == 0 else None
    with processes.own_directory(run, group, resume) as own:
        summary = _train(config, backend_name, backend, device, group, own, resume, overwrite, progress, test, expected)
    return summary if group.rank == 0 else None


def _started(config: ExperimentConfig, **options: bool) -> dict[str, Any]:
    """What all processes of a job must be given alike. Where they find what they read may differ; that is hashed."""
    kept = {name: value for name, value in settled(config).items() if name not in _SOURCES}
    return {**kept, **{f"--{name}": value for name, value in options.items()}, "twinlora": __version__}


def _train(
    config: ExperimentConfig,
    backend_name: str,
    backend: ModuleType,
    device: str,
    group: Group,
    run: RunDirectory,
    resume: bool,
    overwrite: bool,
    progress: Progress,
    test: bool,
    expected: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Read everything, then lock the directory and train into it: what cannot be trained writes nothing."""
    reading = translated(
        "{name} with {backend} on {device}: reading {data} and {model}",
        name=config.name,
        backend=backend_name,
        device=device,
        data=config.data.name,
        model=config.model.source or translated("a new model"),
    )
    progress.say(reading)
    inputs = prepare(config)
    if expected is not None:
        _check_planned(expected, inputs)
    splits = [
        split
        for split in (("train", "validation", "test") if test else ("train", "validation"))
        if split in inputs.data.splits and split not in inputs.data.unlabelled
    ]
    encoded: dict[str, Encoded] = {split: encode_split(inputs, split) for split in splits}
    teacher = teaching.open_teacher(inputs)
    if teacher is not None:
        progress.say(translated("The teacher {name} reads the training split", name=config.distillation.teacher))
        if expected is not None:
            fingerprints.check_planned(expected, {"teacher": teacher.fingerprint})
        inputs, encoded = teaching.taught(inputs, encoded, teacher, backend, device)
    if config.meta.unlabelled is not None:
        if group.size > 1:
            raise InputError("Meta pseudo labels are computed in one process; this job has several.")
        inputs, encoded = meta.with_unlabelled(inputs, encoded)
        if expected is not None:
            _check_planned(expected, inputs)
    if group.size > 1:
        processes.check_alike(group, fingerprints.flat(fingerprints.of_beginning(inputs)))
    for note in inputs.data.notes:
        progress.say(note)
    progress.say(str(inputs.spec.head_origin))
    if inputs.spec.vectors is not None:
        progress.say(str(inputs.spec.vectors))
    progress.say(coverage_table(inputs.plan, inputs.spec, config.optimization))
    for remark in (*merge_remarks(inputs.plan, inputs.spec), *unused(inputs)):
        progress.say(f"note: {remark}")
    if config.training.shard and group.size == 1:
        progress.say(
            "training.shard divides the frozen weights among several processes; this one is alone and holds them all."
        )
    engine: Engine
    if config.meta.unlabelled is None:
        engine = build_engine(backend, device, config, inputs.spec, inputs.plan, group, inputs.beside)
    else:
        size = config.training.global_batch_size
        engine = meta.meta_engine(inputs, encoded.pop("unlabelled"), backend, device, size)
    if config.model.adapter is not None and not (resume and run.checkpoint.is_file()):
        engine.load_trainable(adapters.start(config.model.adapter, inputs))
        progress.say(
            f"Beginning from the adapter in {config.model.adapter}; a head in it is taken by the index of its classes"
        )
    session = _Session(run, inputs, encoded, backend_name, backend, device, engine)
    training, multiple = config.training, config.data.length_multiple
    micro_batch = micro_batch_size(training.global_batch_size, training.micro_batch_size, group)
    batches = BatchPlan(encoded["train"], training.global_batch_size, micro_batch, multiple, config.seed)
    validate = partial(session.score, "validation")
    trainer = Trainer(engine, batches, validate, session.save_best, config, run.checkpoint, progress)
    METHODS.get(inputs.plan.method).check_length(inputs.plan.options, trainer.total)
    with _kept(run), locked(run.path):
        if group.rank == 0:
            run.admit(config, resume, overwrite)  # again: another process may have trained here in the meantime
        _begin(session, trainer, resume, progress)
        with _tracked(session, trainer, config.training.trackers if group.rank == 0 else ()) as feeder:
            summary = _execute(session, trainer, progress)
            feeder.finish(summary)
        return summary


def _check_finished(run: RunDirectory, config: ExperimentConfig, progress: Progress) -> None:
    """Raise InputError where what a finished run was trained on has changed since: its scores are not those of what is
    there now. What is gone cannot be compared, which is said."""
    try:
        inputs = prepare(config)
        now, teacher = fingerprints.of_beginning(inputs), teaching.open_teacher(inputs)
        if teacher is not None:
            now["teacher"] = teacher.fingerprint
        if config.meta.unlabelled is not None:
            now["teacher"] = fingerprints.of_data(meta.unlabelled_texts(inputs))["train"]
    except InputError as error:
        progress.say(f"What {run.path} was trained on could not be compared with what is there now: {error}")
        return
    fingerprints.compare(run, now, _OTHERS)


def _check_planned(expected: Mapping[str, Any], inputs: Inputs) -> None:
    """Raise InputError where what is read is not what the run was planned with."""
    fingerprints.check_planned(expected, fingerprints.of_beginning(inputs))


@contextmanager
def _tracked(session: _Session, trainer: Trainer, names: Sequence[str]) -> Iterator[Feeder]:
    """Give the events of the run to the trackers ``names``, and close them whatever happens."""
    feeder = Feeder(names, opening_of(session.run, session.inputs.config, session.backend_name), trainer.progress.say)
    if names and trainer.kept_lines:  # a resumed run is whole in every tracker
        feeder.log(session.run.metrics, trainer.kept_lines)
    trainer.progress = Tracked(trainer.progress, feeder)
    try:
        yield feeder
    finally:
        feeder.finish(None)  # nothing, where it is closed already


@contextmanager
def _kept(run: RunDirectory) -> Iterator[None]:
    """Turn what the system refuses into an error that says what the run has saved: files appear whole or not at all."""
    try:
        yield
    except (OSError, MemoryError) as error:
        saved = "the last checkpoint is whole" if run.checkpoint.is_file() else "no checkpoint was saved yet"
        raise of_system(error, f"then continue with --resume: {saved} in {run.path}.") from error


def _begin(session: _Session, trainer: Trainer, resume: bool, progress: Progress) -> None:
    """Continue the run that is there, or begin one."""
    run = session.run
    if not (resume and run.checkpoint.is_file()):
        session.begin()
        return
    if not fingerprints.compare(run, fingerprints.of_inputs(session.inputs), _OTHERS):
        progress.say(f"{run.path} has no fingerprints.json: its data, base and tokenizer cannot be compared.")
    trainer.resume(run.metrics)
    run.summary.unlink(missing_ok=True)  # of an attempt that diverged
    progress.say(translated("Continuing after step {step} of {total}", step=trainer.step, total=trainer.total))


def _execute(session: _Session, trainer: Trainer, progress: Progress) -> dict[str, Any]:
    """Train, score the best state on the test split, write the report and last, since it says "finished", the
    summary."""
    try:
        status = trainer.run(session.run.metrics)
    except RunError:
        write_json(session.run.summary, session.summary(FAILED, None, trainer))
        raise
    if status == "interrupted":
        raise InterruptedRunError(
            f"Interrupted after step {trainer.step} of {trainer.total}; the state is saved. Continue with --resume."
        )
    test = None
    if "test" in session.encoded:
        session.engine.load_trainable(session.read_best())
        progress.say(translated("Scoring the best state on the test split"))
        test = session.score("test")
        session.keep("test")
    if not session.run.metrics.is_file():  # with what else was deleted nobody knows
        raise FileNotFoundError(errno.ENOENT, "The run directory was deleted during the run", str(session.run.path))
    summary = session.summary(status, test, trainer)
    if note := summary.get("findings", {}).get("note"):
        progress.say(f"note: {note}")
    from common.report import run_page
    from common.sharing import write_card

    run_page(session.run.path, summary)
    write_card(session.run, summary)
    write_json(session.run.summary, summary)
    return summary


@dataclass(frozen=True)
class _Session:
    """What a run reads and writes."""

    run: RunDirectory
    inputs: Inputs
    encoded: dict[str, Encoded]
    backend_name: str
    backend: ModuleType
    device: str
    engine: Engine
    seen: dict[str, Evaluator] = field(default_factory=dict)  #: of the last scoring of each split

    def begin(self) -> None:
        """Clear the directory and write what a run begins with."""
        self.run.clear()
        write_atomic(self.run.config, to_yaml(self.inputs.config))
        fingerprints.write(self.run, fingerprints.of_beginning(self.inputs))
        save_tokenizer(self.inputs.tokenizer, self.run.tokenizer)

    def score(self, split: str, check: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Metrics of one split."""
        config = self.inputs.config
        size, multiple = config.training.evaluation_batch_size, config.data.length_multiple
        self.seen[split] = evaluated(self.engine, self.encoded[split], size, multiple, check)
        return self.seen[split].metrics()

    def keep(self, split: str) -> None:
        """Write what the last scoring of a split says to each example."""
        data, task = self.inputs.data, self.inputs.task
        write_predictions(self.run.predictions(split), task, self.seen[split], data.splits[split], data.label_names)

    def save_best(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Write the best state so far; a whole model with its tokenizer."""
        plan = self.inputs.plan
        folder, kept = self.run.best(plan.artifact), storage(plan.artifact)
        folder.mkdir(exist_ok=True)  # without its parents: a run directory that was deleted is not made again
        about = {"backend": self.backend_name, "seed": str(self.inputs.config.seed), "step": str(step)}
        kept.save(folder, plan, self.inputs.spec, arrays, about | system.versions(self.backend_name))
        if kept.WHOLE:
            save_tokenizer(self.inputs.tokenizer, folder)
        self.keep("validation")  # which was just scored

    def read_best(self) -> dict[str, np.ndarray]:
        """The arrays of the best state."""
        plan = self.inputs.plan
        return storage(plan.artifact).load(self.run.best(plan.artifact), plan, self.inputs.spec)

    def summary(self, status: str, test: dict[str, float] | None, trainer: Trainer) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        sizes = {split: len(encoded) for split, encoded in self.encoded.items()}
        steps = trainer.batches.steps_per_epoch
        summary = summaries.of_run(self.run, self.inputs, sizes, steps, trainer.stopping.best_step)
        summary |= summaries.of_machine(self.backend_name, self.backend, self.device) | {"status": status, "test": test}
        compilations = self.engine.compilations
        summary["seconds"] |= {"compile": compilations.seconds, "data": trainer.data_seconds}
        summary |= trainer.movement.plain()
        found = (
            METHODS.get(self.inputs.plan.method).findings(self.inputs.plan, self.read_best())
            if status != FAILED
            else {}
        )
        summary |= {"findings": found} if found else {}
        summary |= {"batch_shapes": len(trainer.shapes), "compiled_graphs": compilations.count}
        return summary
