"""Adapting a network of one's own, in either framework."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

__all__ = ["Adapted", "adapt"]

_COMPUTATION = "computation"  #: in the metadata of a file, see `common.methods.plan.Plan.computation`


class Adapted:
    """A network that `adapt` has rewritten in place."""

    def __init__(self, model: Any, plan: Any, backend: Any, trainable: frozenset[str]):
        self.model, self.plan, self._backend, self._trainable = model, plan, backend, trainable
        self._merged = False

    def __repr__(self) -> str:
        return f"Adapted({type(self.model).__name__}, {self.plan.method}, {self.counts()['total']:,} trained)"

    def counts(self) -> dict[str, int]:
        """Trained scalars by component, and their total."""
        return self.plan.counts()

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of every trained array by name, float32."""
        return self._backend.adapting.read(self.model, self.plan)

    def merge(self) -> dict[str, float]:
        """Fold the updates into the weights; returns the relative rounding error by module path."""
        errors = self._backend.merge(self.model)
        self._merged = True
        return errors

    def unmerge(self) -> None:
        """Put every weight back, exactly."""
        self._backend.unmerge(self.model)
        self._merged = False

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within the block, the network computes without the added layers.

        Raises:
            InputError: the updates are merged into the weights.
        """
        if self._merged:
            raise InputError("Merged updates are part of the weights and cannot be switched off. Call unmerge first.")
        self._backend.adapting.set_enabled(self.model, False)
        try:
            yield
        finally:
            self._backend.adapting.set_enabled(self.model, True)

    def remove(self, merge: bool = False) -> None:
        """Take the added layers out again: the network has the modules that it had, and trains what it trained.

        What the plan trained of the network itself, such as biases or a head, keeps its new values. A second
        call changes nothing.

        Args:
            merge: fold the updates into the weights first; otherwise they are lost, even where `merge` had been called.

        Raises:
            InputError: ``merge``, and an adapter has no merged form; nothing was changed.
        """
        if merge and not self._merged:
            self.merge()
        self._backend.adapting.remove(self.model, self._trainable, merge)

    def save(self, file: str | Path) -> None:
        """Write the trained arrays as one safetensors file, which either backend loads, and in its metadata what the
        plan computes with them."""
        from common.files import save_arrays

        save_arrays(Path(file), self.arrays(), {_COMPUTATION: json.dumps(self.plan.computation())})

    def load(self, file: str | Path) -> None:
        """Strict inverse of ``save``.

        Raises:
            InputError: the file is missing, damaged or of another plan, also one that differs in a scale alone; or the
                updates are merged into the weights. Nothing was changed.
        """
        from common.files import load_arrays

        arrays, metadata = load_arrays(Path(file))
        _refuse_other(Path(file), metadata, self.plan)
        self._backend.adapting.write(self.model, self.plan, arrays)


def _refuse_other(file: Path, metadata: Mapping[str, str], plan: Any) -> None:
    """Raise InputError where the arrays of a file were trained under other settings, which their shapes do not show."""
    from common.reading import parse_json
    from common.terminal import notice

    if _COMPUTATION not in metadata:
        notice(f"{file} does not say which plan it is of, so that names and shapes alone are compared.")
        return
    shape = {...: {"layer": str}}
    found = parse_json(metadata[_COMPUTATION], f"{file}", "the plan of its arrays", "Save it again.", shape)
    planned = plan.computation()
    if found.keys() != planned.keys():  # the names of the arrays say which
        return
    problems = [
        f"{path}: {entry} is {found[path].get(entry)!r} in the file and {planned[path].get(entry)!r} in the plan"
        for path in planned
        for entry in dict.fromkeys((*planned[path], *found[path]))
        if found[path].get(entry) != planned[path].get(entry)
    ]
    if problems:
        listed = "\n  ".join(problems[:20])
        raise InputError(
            f"Arrays are loaded into the plan that they were trained with; {file} is of another one:\n  {listed}\n"
            "Adapt the network with the settings of the file."
        )


def adapt(model: Any, plan: Mapping[str, Any], seed: int = 0) -> Adapted:
    """Rewrite a network of your own by a plan, in place, and freeze the rest::

        net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
        adapted = twinlora.adapt(net, {"method": "lora", "rank": 2, "alpha": 4, "targets": ["0"]})
        optimizer = torch.optim.AdamW(p for p in net.parameters() if p.requires_grad)

    Dropout of the adapters draws from the framework's own generator, since no engine counts the steps here.

    Args:
        model: a ``torch.nn.Module`` or a ``mindspore.nn.Cell``. Its linear layers and convolutions can be targets, in
            PyTorch also embeddings and GPT-2's ``Conv1D``.
        plan: as the section ``adaptation`` of an experiment.
        seed: of the start values.

    Raises:
        InputError: the plan has an unknown entry, a pattern matches nothing, or the network is adapted already.
    """
    from common import backend as backends
    from common.config import adaptation_options
    from common.methods import METHODS

    origins = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    name = next((name for name, framework in backends.BACKENDS.items() if framework in origins), None)
    if name is None:
        raise InputError(f"A torch.nn.Module or a mindspore.nn.Cell is adapted; received {type(model).__name__}.")
    backend = backends.load(name)
    options = adaptation_options(dict(plan))
    method = METHODS.get(options.method)
    found = method.plan(options, backend.adapting.outline(model))
    if method.needs_engine or method.steering(found) is not None:
        raise InputError(
            f"Method {found.method} acts in every step of a training, which a loop of your own does not tell it of. Use "
            "twinlora train, or another method."
        )
    trainable = backend.adapting.adapt(model, found, found.initial_values(seed))
    return Adapted(model, found, backend, trainable)
