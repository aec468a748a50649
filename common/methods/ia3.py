"""(IA)^3 (Liu et al. 2022): frozen layers whose outputs, or inputs, are scaled feature by feature by trained
vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit, ParameterSpec
from common.errors import InputError
from common.methods.merge import rounded
from common.methods.method import Method, MethodOptions
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.targets import Match, Target, match
from common.methods.unfreezing import head_parameters
from common.models.modules import ModuleSpec, Slices, slice_features
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "IA3Arguments", "IA3Options", "Ones", "placed", "placement"]


@dataclass(frozen=True)
class IA3Options(MethodOptions):
    """Patterns of the layers whose outputs are scaled (in the paper those of keys and values), and of the layers whose
    inputs are (the paper's second feed-forward layer; PEFT's ``feedforward_modules``)."""

    targets: tuple[str, ...] = ()
    feedforward: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def problems(self) -> Iterator[tuple[str, str]]:
        """Nothing is named."""
        if not self.targets and not self.feedforward:
            yield "targets", f"or feedforward must be given for method {self.method}; both are empty"


@dataclass(frozen=True)
class IA3Arguments:
    """(IA)^3 of one module: y = l * (W x + b), or y = W (l * x) + b with ``of_input``."""

    of_input: bool = False
    slices: Slices = ()  #: scaled parts of a fused projection; empty scales all of it


@dataclass(frozen=True)
class Ones:
    """All ones."""

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 ones."""
        return np.ones(shape, np.float32)


def placement(edit: Edit) -> tuple[np.ndarray, np.ndarray]:
    """How l is spread over a fused output: P(l) = l[rows] * mask + (1 - mask).

    Returns:
        rows: int32 ``(out,)``, the element of l for each output feature (any where the feature is not scaled).
        mask: float32 ``(out,)``, 1 where the feature is scaled.
    """
    rows, mask = np.zeros(edit.module.out_features, np.int32), np.zeros(edit.module.out_features, np.float32)
    first = 0
    for features in slice_features(edit.arguments.slices).values():
        rows[features] = np.arange(first, first + len(features))
        mask[features] = 1.0
        first += len(features)
    return rows, mask


def placed(edit: Edit, scale: np.ndarray) -> np.ndarray:
    """P(l), of the dtype of ``scale``: one factor for each feature."""
    if not edit.arguments.slices:
        return scale
    rows, mask = placement(edit)
    return np.where(mask > 0, scale[rows], np.ones((), scale.dtype))


class IA3(Method):
    """Wraps the targets; trains their vectors, which start at one, and the task head."""

    name = "ia3"
    Options = IA3Options
    mergeable = True

    def plan(self, options: IA3Options, spec: ModelSpec) -> Plan:
        """One vector ``<path>.ia3_l`` for each target.

        Raises:
            InputError: a pattern matches nothing, no layer with inputs to scale, or slices of inputs.
        """
        written = [*options.feedforward, *options.targets]
        entry = "feedforward and targets" if options.feedforward else "targets"
        patterns_of = [Target(pattern) for pattern in written]
        found = match(patterns_of, options.exclude, spec, lambda m: m.kind.matrix, entry=entry)
        edits = {one.module.path: self._edit(one, one.target.pattern in options.feedforward) for one in found}
        patterns: dict[str, tuple[str, ...]] = dict.fromkeys(written, ())
        for one in found:
            patterns[one.target.pattern] += (one.module.path,)
        ordered = tuple(edits[module.path] for module in spec.modules if module.path in edits)
        return Plan(
            self.name, ordered, head_parameters(spec), spec.head, self.artifact, options, tuple(patterns.items())
        )

    def _edit(self, found: Match, of_input: bool) -> Edit:
        module: ModuleSpec = found.module
        if of_input and found.slices:
            raise InputError(
                f"Slices are parts of a layer's output; {found.target.pattern!r} of feedforward names slices of "
                f"{module.path}, whose input would be scaled. Leave out the brackets."
            )
        outputs = sum(stop - start for _, start, stop in found.slices) or module.out_features
        size = module.in_features if of_input else outputs
        parameter = ParameterSpec(f"{module.path}.ia3_l", (size,), "ia3_l", Ones(), decay=False)
        return Edit(module.path, "ia3", "wrap", module, IA3Arguments(of_input, found.slices), (parameter,))

    def example(self, targets: tuple[str, ...]) -> IA3Options:
        """The usual targets, the last of them by its input where it has no slices."""
        last = targets[-1:] if "[" not in targets[-1] and len(targets) > 1 else ()
        return IA3Options(self.name, targets[: len(targets) - len(last)], last)

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """Rows (or columns) of the weight, and the bias where the output is scaled, times l."""
        scale = placed(edit, arrays[edit.parameters[0].name].astype(np.float64))
        by_column = edit.arguments.of_input != edit.module.kind.transposed
        weight, error = rounded(base["weight"] * (scale[None, :] if by_column else scale[:, None]))
        if edit.arguments.of_input or "bias" not in base:
            return {"weight": weight}, error
        return {"weight": weight, "bias": rounded(base["bias"] * scale)[0]}, error

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Every scaled module by its own path."""
        if settings.get("peft_type") != "IA3":
            return None
        paths = {key.removesuffix(".ia3_l"): shape for key, shape in shapes.items() if key.endswith(".ia3_l")}
        inputs = [path for path, shape in paths.items() if len(shape) == 2 and shape[0] == 1]
        outputs = [path for path in paths if path not in inputs]
        return {"method": self.name, "targets": outputs, "feedforward": inputs}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's own format."""
        from common.methods.peft.ia3 import IA3Format

        return IA3Format()


MEMBER = IA3()
