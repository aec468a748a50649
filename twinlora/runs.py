"""Training from Python, and using what was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.backend import Engine
    from common.config import ExperimentConfig
    from common.training.assembly import Trained

__all__ = ["Run", "open", "train"]

Overrides = Mapping[str, Any] | Sequence[str]


class Run:
    """A finished run directory::

        run = twinlora.open("runs/bert_sst2/pytorch")
        run.predict(["a gorgeous , witty , seductive movie ."])
        run.evaluate("validation")

    Args:
        path: the directory, ``runs/NAME/BACKEND``.
        backend: ``pytorch`` or ``mindspore``; that of the run by default.
        device: ``cpu``, ``cuda``, ``ascend``, ...; by default the first accelerator, or the CPU.

    Raises:
        InputError: it is no finished run, or its base model is not here.
    """

    def __init__(self, path: str | Path, backend: str | None = None, device: str | None = None):
        from common.exporting import is_export, open_export
        from common.training.assembly import open_trained
        from common.training.rundir import RunDirectory

        self.path = Path(path)
        self._backend, self._device = backend, device
        self._trained: Trained = (
            open_export(self.path) if is_export(self.path) else open_trained(RunDirectory(self.path))
        )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def summary(self) -> dict[str, Any]:
        """``summary.json``: sizes, seconds, memory, versions, scores."""
        return self._trained.summary

    @property
    def config(self) -> ExperimentConfig:
        """The resolved configuration."""
        return self._trained.config

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes; None for a task without."""
        return self._trained.labels

    @cached_property
    def _engine(self) -> Engine:
        from common.exporting.runtime import engine_of

        return engine_of(self._trained, self._backend, self._device)

    def predict(self, inputs: Sequence[str | Mapping[str, str]], **options: Any) -> list[dict[str, Any]]:
        """One answer for each input, as ``twinlora predict --json`` gives it.

        Args:
            inputs: texts, or mappings of the task's columns such as ``{"text": ..., "text_pair": ...}``.
            options: of language models: those of `generate`, which writes more than one text.

        Raises:
            InputError: an input has no text, or is too long where it must not be cut.
            RunError: the model gives no finite numbers.
        """
        from common.training.prediction import asked_rows

        task = self._trained.task
        rows = asked_rows(task, inputs)
        return [dict(answer.full) for answer in task.predict(self._trained, self._engine, rows, options)]

    def generate(self, prompts: Sequence[str], batch_size: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """Continuations of prompts, of a causal language model; texts to them, of an encoder-decoder::

            run = twinlora.open("runs/gpt2_e2e/pytorch")
            run.generate(["name[The Eagle], food[French]"], num_beams=10, length_penalty=0.8, no_repeat_ngram_size=4)

        Args:
            prompts: written as the run's data: without the separator that follows a prompt in training.
            batch_size: prompts that are continued together.
            options: those of `common.generation.GenerationOptions`, named as in ``transformers.GenerationConfig``.

        Returns:
            ``num_return_sequences`` records for each prompt: ``prompt``, ``text``, ``tokens``, ``finish`` (``end``,
            ``stop`` or ``length``), and ``score`` of beams.

        Raises:
            InputError: the options do not fit, the run is no language model, or a prompt exceeds the context.
        """
        from common.generation import GenerationOptions, generate

        chosen = GenerationOptions.of(options)
        found = generate(self._trained, self._engine, prompts, chosen, batch_size=batch_size)
        return [text.record() for texts in found for text in texts]

    def attention(self, source: str, target: str | None = None) -> dict[str, Any]:
        """How much every token that an encoder-decoder writes attended to every token of ``source``.

        Args:
            target: what is written; None: what the model writes, the most probable token each time.

        Returns:
            ``source`` and ``target``, lists of tokens, ``text``, ``mean``, a list for each written token with the sum
            1, and ``weights`` of every layer and head.

        Raises:
            InputError: the network has no such attention, or a text exceeds the context.
        """
        from common.generation.attention import attention_of

        return attention_of(self._trained, self._engine, source, target).record()

    def evaluate(self, split: str = "test", data_dir: str | Path | None = None) -> dict[str, float]:
        """Metrics of a split of the run's data set.

        Raises:
            InputError: the split does not exist or its labels were not published.
        """
        from common.training.evaluation import score

        return score(self._trained, self._engine, split, data_dir)

    def merge(
        self, out: str | Path, dense: bool = False, dtype: str | None = None, shard_size: str | int = "5GB"
    ) -> Path:
        """Write the model with its adapter folded in as a Hugging Face checkpoint folder with a card; needs no framework.

        Args:
            dense: multiply out what a transform factored, so that transformers loads the folder.
            dtype: ``float32``, ``bfloat16`` or ``float16``, to which the weights are rounded; None rounds nothing.
            shard_size: of a file of weights, above which there are several.

        Raises:
            InputError: ``out`` exists, the adapter has no merged form, or this is an exported model.
        """
        from common.training.merging import write_merged

        out = Path(out)
        write_merged(self._trained, out, dense, dtype, shard_size)
        return out


def open(path: str | Path, backend: str | None = None, device: str | None = None) -> Run:
    """Open a finished run directory; see `Run`."""
    return Run(path, backend, device)


def train(
    config: str | Path,
    backend: str,
    overrides: Overrides = (),
    name: str | None = None,
    device: str | None = None,
    output: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
) -> Run | None:
    """Train an experiment and return its run::

        run = twinlora.train("bert_sst2", "pytorch", {"data.directory": "data/SST-2", "training.epochs": 1})

    Args:
        config: a YAML file, or the name of a shipped experiment.
        backend: ``pytorch`` or ``mindspore``.
        overrides: changed settings by dotted name, or a list of ``"section.key=value"`` in YAML.
        name: of the run directory; that of the file by default.
        resume: continue an unfinished run, or begin it.
        overwrite: discard the run that is there.

    Returns:
        The run; None in all but the first of several processes.

    Raises:
        InputError: something given does not fit; nothing was written.
        RunError: training diverged or was interrupted.
    """
    from common.config import load_config
    from common.training.run import train as run_training

    if isinstance(overrides, Mapping):
        overrides = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    experiment = load_config(config, list(overrides), name)
    summary = run_training(experiment, backend, device, Path(output), resume, overwrite)
    return None if summary is None else Run(Path(output) / experiment.name / backend, device=device)
