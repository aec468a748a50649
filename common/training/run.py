"""``train``: one experiment in one backend, from its configuration to its summary and report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from common import backend as backends
from common.adaptation import coverage_table
from common.adaptation.peft_format import load_adapter, save_adapter
from common.backend import Engine
from common.config import ExperimentConfig, to_yaml
from common.data import BatchPlan, Encoded
from common.distributed import Group, micro_batch_size
from common.errors import RunError
from common.files import load_arrays, write_atomic, write_json
from common.models import save_pretrained
from common.training import processes, system
from common.training import summary as summaries
from common.training.assembly import Inputs, build_engine, encode_split, prepare
from common.training.evaluation import evaluate
from common.training.loop import Trainer
from common.training.progress import Progress
from common.training.rundir import RunDirectory

__all__ = ["train"]


def train(
    config: ExperimentConfig,
    backend_name: str,
    device: str | None = None,
    output: Path = Path("runs"),
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """Train ``config`` into ``output/<name>/<backend>`` and return the summary that is also written there.

    Started by torchrun or msrun, it trains together with the other processes; all but the first return None.

    Args:
        device: cpu, cuda:0, ...; None takes the first accelerator, or the CPU.
        resume: continue an unfinished run; where there is none, begin it; a finished one is left as it is.
        overwrite: discard a run that is there.

    Raises:
        InputError: something given does not fit; nothing was written.
        RunError: training diverged or was interrupted.
    """
    backend = backends.load(backend_name)
    run = RunDirectory(Path(output) / config.name / backend_name)
    device, group = processes.join(backend, device)
    if group is None:
        return None
    if group.rank == 0:
        run.admit(config, resume, overwrite)
    progress = (progress or Progress()) if group.rank == 0 else processes.Silent()
    if resume and run.complete():
        progress.say(f"{run.path} is finished already; nothing is left to do.")
        return run.read_summary() if group.rank == 0 else None
    with processes.own_directory(run, group, resume) as own:
        summary = _train(config, backend_name, backend, device, group, own, resume, progress)
    return summary if group.rank == 0 else None


def _train(
    config: ExperimentConfig,
    backend_name: str,
    backend: ModuleType,
    device: str,
    group: Group,
    run: RunDirectory,
    resume: bool,
    progress: Progress,
) -> dict[str, Any]:
    progress.say(
        f"{config.name} with {backend_name} on {device}: reading {config.data.name} and {config.model.source or 'a new model'}"
    )
    inputs = prepare(config)
    splits = [
        split
        for split in ("train", "validation", "test")
        if split in inputs.data.splits and split not in inputs.data.unlabelled
    ]
    encoded = {split: encode_split(inputs, split) for split in splits}
    progress.say(coverage_table(inputs.plan, inputs.spec))
    if config.training.shard and group.size == 1:
        progress.say(
            "training.shard divides the frozen weights among several processes; this one is alone and holds them all."
        )
    engine = build_engine(backend, device, config, inputs.spec, inputs.plan, group)
    session = _Session(run, inputs, encoded, backend_name, backend, device, engine, progress)
    session.begin(resume)
    return session.execute()


class _Session:
    """One run under way."""

    def __init__(
        self,
        run: RunDirectory,
        inputs: Inputs,
        encoded: dict[str, Encoded],
        backend_name: str,
        backend: ModuleType,
        device: str,
        engine: Engine,
        progress: Progress,
    ):
        self.run, self.inputs, self.encoded, self.config = run, inputs, encoded, inputs.config
        self.backend_name, self.backend, self.device, self.engine, self.progress = (
            backend_name,
            backend,
            device,
            engine,
            progress,
        )
        training, multiple = self.config.training, self.config.data.length_multiple
        micro_batch = micro_batch_size(training.global_batch_size, training.micro_batch_size, engine.group)
        self.batches = BatchPlan(encoded["train"], training.global_batch_size, micro_batch, multiple, self.config.seed)
        validate = partial(self.score, "validation")
        self.trainer = Trainer(engine, self.batches, validate, self.save_best, self.config, run.checkpoint, progress)

    def begin(self, resume: bool) -> None:
        """Continue from the checkpoint, or clear the directory and write what a run begins with."""
        if resume and self.run.checkpoint.is_file():
            self.trainer.resume()
            self.progress.say(f"Continuing after step {self.trainer.step} of {self.trainer.total}")
            return
        self.run.clear()
        write_atomic(self.run.config, to_yaml(self.config))
        self.inputs.tokenizer.save_pretrained(self.run.tokenizer)

    def execute(self) -> dict[str, Any]:
        """Train, score the best state on the test split, write summary and report."""
        try:
            status = self.trainer.run(self.run.metrics)
        except RunError:
            self.summarize("failed", None)
            raise
        if status == "interrupted":
            raise RunError(
                f"Interrupted after step {self.trainer.step} of {self.trainer.total}; the state is saved. Continue with --resume."
            )
        test = None
        if "test" in self.encoded:
            self.engine.load_trainable(self._read_best())
            self.progress.say("Scoring the best state on the test split")
            test = self.score("test")
        summary = self.summarize(status, test)
        from common.report import run_page

        run_page(self.run.path)
        return summary

    def score(self, split: str, check: Any = lambda: None) -> dict[str, float]:
        """Metrics of one split."""
        multiple = self.config.data.length_multiple
        return evaluate(
            self.engine,
            self.encoded[split],
            self.config.model.task,
            self.config.training.evaluation_batch_size,
            multiple,
            check,
        )

    def save_best(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the best state so far: a checkpoint with its tokenizer for full fine-tuning, an adapter otherwise."""
        spec, plan = self.inputs.spec, self.inputs.plan
        folder = self.run.best(plan.method)
        if plan.method == "full":
            save_pretrained(folder, spec, arrays)
            self.inputs.tokenizer.save_pretrained(folder)
        else:
            about = {"backend": self.backend_name, "seed": str(self.config.seed), "step": str(self.trainer.step)}
            save_adapter(folder, plan, spec, arrays, about | system.versions(self.backend_name))

    def _read_best(self) -> dict[str, np.ndarray]:
        folder = self.run.best(self.inputs.plan.method)
        if self.inputs.plan.method == "full":
            return load_arrays(folder / "model.safetensors")[0]
        return load_adapter(folder, self.inputs.plan, self.inputs.spec)

    def summarize(self, status: str, test: dict[str, float] | None) -> dict[str, Any]:
        """Write ``summary.json``."""
        sizes = {split: len(encoded) for split, encoded in self.encoded.items()}
        summary = summaries.of_run(
            self.run, self.inputs, sizes, self.batches.steps_per_epoch, self.trainer.stopping.best_step
        )
        summary |= summaries.of_machine(self.backend_name, self.backend, self.device) | {"status": status, "test": test}
        compilations = self.trainer.engine.compilations
        summary["seconds"] |= {"compile": compilations.seconds, "data": self.trainer.data_seconds}
        summary |= {"batch_shapes": len(self.trainer.shapes), "compiled_graphs": compilations.count}
        write_json(self.run.summary, summary)
        return summary
