"""Several adapters on one base model, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError

__all__ = ["Adapters", "open_adapters"]


class Adapters:
    """Adapters of one base model, which is in memory once.

        adapters = twinlora.open_adapters({"films": "runs/films/pytorch", "books": "peft_folder"})
        adapters.set_adapter("books")
        adapters.predict(["a slow first half ."])
        adapters.predict(["a slow first half .", "a fine cast ."], adapter_names=["books", "films"])

    Args:
        folders: run directories, or folders that PEFT wrote, by name. The first is active.
        backend, device: as of `twinlora.Run`.
        model, config: what folders of PEFT leave unsaid: the base model, and an experiment.

    Raises:
        InputError: a folder cannot be opened, or the adapters are not of one base model.
    """

    def __init__(
        self,
        folders: Mapping[str, str | Path],
        backend: str | None = None,
        device: str | None = None,
        model: str | None = None,
        config: str | None = None,
    ):
        from common.training.several import AdapterSet, open_set

        found = open_set({name: Path(folder) for name, folder in folders.items()}, config, model)
        self._set = AdapterSet(found, backend, device)

    def __repr__(self) -> str:
        return f"Adapters({', '.join(self.names)}; active: {self.active})"

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they were given."""
        return tuple(self._set.trained)

    @property
    def active(self) -> str:
        """The adapter that is used."""
        return self._set.active

    def set_adapter(self, name: str) -> None:
        """Use another one. The base model stays where it is.

        Raises:
            InputError: there is none of the name.
        """
        self._set.set_adapter(name)

    def predict(
        self,
        inputs: Sequence[str | Mapping[str, str]],
        adapter_names: Sequence[str | None] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """One answer for each input, as of `Run.predict`.

        Args:
            adapter_names: the adapter of each input, None for the base model; all are computed in the same batches. By
                default the active one.

        Raises:
            InputError: names and inputs are not equally many, or the adapters cannot be in one batch: they must be LoRA
                of linear layers, of a task that is no text generation, with the same names of classes, and read the
                texts alike.
        """
        from common.training.prediction import asked_rows

        trained = self._set.trained[self.active]
        task = trained.task
        rows = asked_rows(task, inputs)
        if adapter_names is None:
            engine = self._set.engine()
        else:
            self._check(rows, adapter_names)
            engine = self._set.mixed(adapter_names)
        return [dict(answer.full) for answer in task.predict(trained, engine, rows, options)]

    def generate(self, prompts: Sequence[str], batch_size: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """Continuations of prompts with the active adapter; see `Run.generate`."""
        from common.generation import GenerationOptions, generate

        trained, chosen = self._set.trained[self.active], GenerationOptions.of(options)
        found = generate(trained, self._set.engine(), prompts, chosen, batch_size=batch_size)
        return [text.record() for texts in found for text in texts]

    def _check(self, rows: Sequence[Any], names: Sequence[str | None]) -> None:
        trained = self._set.trained
        if len(rows) != len(names):
            raise InputError(f"There must be one adapter for each input; received {len(names)} for {len(rows)}.")
        if not next(iter(trained.values())).spec.head:
            raise InputError(
                "A task without a head of its own uses one adapter at a time: set_adapter. Leave adapter_names out."
            )
        labels = {found.labels for found in trained.values()}
        if len(labels) > 1:
            listed = "; ".join(f"{name}: {', '.join(found.labels or ())}" for name, found in trained.items())
            raise InputError(f"Adapters in one batch must have the same names of classes; they have {listed}.")
        self._set.check_reading(rows, names)


def open_adapters(
    folders: Mapping[str, str | Path],
    backend: str | None = None,
    device: str | None = None,
    model: str | None = None,
    config: str | None = None,
) -> Adapters:
    """Open several adapters of one base model; see `Adapters`."""
    return Adapters(folders, backend, device, model, config)
