"""The training loop, written once for both backends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.backend import Batch, Engine, StepHandle
from common.compilation import shapes_remark
from common.config.schema import ExperimentConfig
from common.data import BatchPlan
from common.errors import InputError, RunError
from common.tasks import Task
from common.training.checkpoint import load_checkpoint, mark_best, marked_best, save_checkpoint
from common.training.interruption import Interrupted, Interruption
from common.training.movement import STEPS, Movement
from common.training.progress import Progress
from common.training.runlog import RunLog, check_log
from common.training.schedule import evaluation_due, learning_rate, total_steps, warmup_remark, warmup_steps
from common.training.stopping import EarlyStopping

__all__ = ["Trainer", "tokens_of"]

_SHOWN = 32  #: examples of a step that diverged


@dataclass(frozen=True)
class _Pending:
    """A step whose loss may still be on the device."""

    step: int
    handle: StepHandle
    learning_rate: float
    tokens: int


class Trainer:
    """Trains ``engine`` on ``batches`` as ``config`` says; evaluates, keeps the best, stops early, checkpoints.

    Losses are fetched from the device every ``log_every_steps`` only; the steps in between share the elapsed time
    evenly in the log.

    Args:
        evaluate: metrics of the validation split; calls its argument before every batch, which may raise to interrupt
            it.
        save_best: writes the trained arrays of the best state so far, of the step that is given.
        checkpoint: the file of the last state.
    """

    def __init__(
        self,
        engine: Engine,
        batches: BatchPlan,
        evaluate: Callable[[Callable[[], None]], dict[str, float]],
        save_best: Callable[[Mapping[str, np.ndarray], int], None],
        config: ExperimentConfig,
        checkpoint: Path,
        progress: Progress,
    ):
        self.engine, self.batches, self.evaluate, self.save_best = engine, batches, evaluate, save_best
        self.config, self.checkpoint, self.progress = config, checkpoint, progress
        self.total = total_steps(config.training, batches.steps_per_epoch)
        self.warmup = warmup_steps(config.optimization, self.total)
        higher = batches.encoded.task.higher_is_better(config.training.metric)
        self.stopping = EarlyStopping(higher, config.training.patience)
        self.step = 0
        self.evaluated_step = -1
        self._elapsed = 0.0  # seconds of the run before this process
        self.kept_lines = 0  #: of the log, which a resumed run continues
        self._pending: list[_Pending] = []
        self.data_seconds = 0.0  #: that steps waited for their batches
        self.shapes: set[tuple[int, ...]] = (
            set()
        )  #: of the batches so far in this process, for each of which a graph is compiled

    def resume(self, log: Path) -> None:
        """Continue from the checkpoint: the rest of the run is what it would have been without the break.

        Raises:
            InputError: the checkpoint lies beyond the end of the training, or ``log`` is not the one it continues.
        """
        progress = load_checkpoint(self.checkpoint, self.engine)
        if not 0 <= progress["step"] <= self.total:
            raise InputError(
                f"{self.checkpoint} must lie within the {self.total} steps of this training; it is of step "
                f"{progress['step']}. Get the run directory from a copy, or start again with --overwrite."
            )
        check_log(log, progress["log_lines"], progress["step"], progress["evaluated_step"])
        self.step, self.evaluated_step = progress["step"], progress["evaluated_step"]
        self._elapsed, self.kept_lines = progress["seconds"], progress["log_lines"]
        self.data_seconds = progress.get("data_seconds", 0.0)
        self.stopping.load_state(progress["stopping"])
        self._say(_resized(progress.get("micro_batch"), self.batches.micro_batch_size))
        written, best = marked_best(self.checkpoint), self.stopping.best_step
        if written not in (None, best):
            self.stopping.forget()
            self._say(
                f"the run ended while the best state of step {best or 'none'} was replaced by that of step {written}; the next "
                "evaluation is the best again"
            )

    def run(self, log: Path) -> str:
        """Train to the end, appending to ``log``; return ``finished``, ``stopped_early``, or ``interrupted`` (the state
        is saved then).

        Raises:
            RunError: the loss is not finite.
        """
        self._started = self._group_started = time.perf_counter()
        self._log = RunLog(log, self.kept_lines)
        self._say(warmup_remark(self.warmup, self.total))
        self.movement = Movement(self.engine)
        self._movement_due = min(self.step + STEPS, self.total)
        self.progress.start(self.total, self.step)
        try:
            with Interruption() as interruption:
                return self._train(interruption)
        except Interrupted:
            self._flush()
            self._save()
            return "interrupted"
        finally:
            self.progress.close()
            self._log.close()

    def _train(self, interruption: Interruption) -> str:
        stream = self._stream()
        while True:
            if self.evaluated_step != self.step and evaluation_due(
                self.step, self.total, self.config.training, self.batches.steps_per_epoch
            ):
                self._flush()
                self._evaluate(interruption)
            if self.step == self.total or self.stopping.exhausted:
                self._say(self.movement.check_frozen())
                return "finished" if self.step == self.total else "stopped_early"
            self._check(interruption)
            begun = time.perf_counter()
            micro_batches = next(stream)
            self.data_seconds += time.perf_counter() - begun
            self._train_step(micro_batches)
            self._count_shapes(micro_batches)

    def _check(self, interruption: Interruption) -> None:
        """End between two steps if that was asked for; all processes of a job after the same step, about which they
        speak when losses are fetched anyway."""
        group = self.engine.group
        if group.size == 1:
            interruption.check()
        elif (
            self.step % self.config.training.log_every_steps == 0
            and group.sum_array(np.array([interruption.requested], np.float32))[0] > 0
        ):
            raise Interrupted

    def _stream(self) -> Iterator[Sequence[Batch]]:
        """The micro-batches of every step from the present one on."""
        epoch, done = divmod(self.step, self.batches.steps_per_epoch)
        while True:
            yield from self.batches.epoch(epoch, done)
            epoch, done = epoch + 1, 0

    def _train_step(self, micro_batches: Sequence[Batch]) -> None:
        self.step += 1
        rate = learning_rate(self.step, self.total, self.warmup, self.config.optimization, self.batches.steps_per_epoch)
        handle = self.engine.train_step(micro_batches, rate)
        tokens = sum(tokens_of(self.batches.encoded.task, batch) for batch in micro_batches)
        self._pending.append(_Pending(self.step, handle, rate, tokens))
        if (
            self.step == 1 or self.step % self.config.training.log_every_steps == 0
        ):  # the first alone: it holds the compilation
            self._flush()
        if self.step == self._movement_due:
            self._say(self.movement.check_trained(min(STEPS, self.total)))

    def _flush(self) -> None:
        """Fetch the pending losses and log them."""
        pending, self._pending = self._pending, []
        values = self.engine.fetch([entry.handle for entry in pending])
        start, now = self._group_started, time.perf_counter()
        self._group_started = now
        for index, (entry, (loss_sum, norm)) in enumerate(zip(pending, values, strict=True), start=1):
            loss = loss_sum / entry.handle.count
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise RunError(
                    f"Step {entry.step} gave loss {loss} and gradient norm {norm} at learning rate {entry.learning_rate:.3g}: training diverged. Its "
                    f"examples are, by their numbers in the training split from 1, {self._examples(entry.step)}. Lower "
                    f"optimization.learning_rate, lengthen the warm-up or train in fp32.{self._best_so_far()}"
                )
            duration = (now - start) / len(pending)
            seconds = self._seconds(start + index * duration)
            event = {
                "event": "step",
                "step": entry.step,
                "epoch": self._epoch(entry.step),
                "loss": loss,
                "grad_norm": norm,
            }
            event |= {
                "learning_rate": entry.learning_rate,
                "tokens": entry.tokens,
                "seconds": seconds,
                "duration": duration,
            }
            self._log.write(event)
            self.progress.step(event)

    def _evaluate(self, interruption: Interruption) -> None:
        """Score the validation split; the untrained model (step 0) is never the best."""
        begun = time.perf_counter()
        metrics = self.evaluate(interruption.check if self.engine.group.size == 1 else lambda: None)
        now = time.perf_counter()
        best = self.step > 0 and self.stopping.update(self.step, metrics[self.config.training.metric])
        event = {
            "event": "evaluation",
            "step": self.step,
            "epoch": self._epoch(self.step),
            "split": "validation",
            **metrics,
        }
        event |= {"best": best, "seconds": self._seconds(now), "duration": now - begun}
        self._log.write(event)
        self.progress.evaluation(event)
        if best:
            mark_best(self.checkpoint, self.step)
            self.save_best(self.engine.trainable(), self.step)
        self.evaluated_step = self.step
        self._save()
        self._group_started = time.perf_counter()

    def _save(self) -> None:
        progress: dict[str, Any] = {
            "step": self.step,
            "evaluated_step": self.evaluated_step,
            "log_lines": self._log.lines,
        }
        progress |= {
            "seconds": self._seconds(time.perf_counter()),
            "data_seconds": self.data_seconds,
            "micro_batch": self.batches.micro_batch_size,
            "stopping": self.stopping.state(),
        }
        save_checkpoint(self.checkpoint, self.engine, progress)

    def _seconds(self, moment: float) -> float:
        return self._elapsed + moment - self._started

    def _epoch(self, step: int) -> float:
        return step / self.batches.steps_per_epoch

    def _best_so_far(self) -> str:
        if self.stopping.best_step is None:
            return " No state was kept before."
        return (
            f" The last good state is that of step {self.evaluated_step}. The best state, of step {self.stopping.best_step}, "
            "is kept: eval and predict open it."
        )

    def _examples(self, step: int) -> str:
        epoch, done = divmod(step - 1, self.batches.steps_per_epoch)
        numbers = sorted(int(index) + 1 for index in self.batches.indices(epoch)[done])
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        return ", ".join(map(str, numbers[:_SHOWN])) + more

    def _count_shapes(self, micro_batches: Sequence[Batch]) -> None:
        fields = self.batches.encoded.schema.fields
        for batch in micro_batches:
            lengths = [batch[field.name].shape[1] for field in fields if field.per_token]
            sizes = (size for array in batch.values() for size in array.shape)
            shape = (*sizes, max(lengths, default=batch["input_ids"].shape[-1]))
            if shape not in self.shapes:
                self.shapes.add(shape)
                if self.engine.compilations.count:
                    self._say(shapes_remark(self.shapes, self.config.data.length_multiple))

    def _say(self, remark: str | None) -> None:
        if remark:
            self.progress.say(f"note: {remark}")


def _resized(before: int | None, now: int) -> str | None:
    """What to say of a run that continues with other micro-batches than it began with, as with another number of
    processes."""
    if before in (None, now):
        return None
    return (
        f"the run began with micro-batches of {before} sequences and continues with {now}, so that the masks of dropout, and "
        "the bits, are not those of a run without the break; for these start as many processes as before"
    )


def tokens_of(task: Task, batch: Batch) -> int:
    """Real tokens of a batch; rows that only fill it up do not count."""
    return int(batch["attention_mask"][task.real_rows(batch)].sum())
