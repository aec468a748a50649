"""DoRA (Liu et al. 2024): LoRA of a weight's directions, with a trained magnitude for each output feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.edits import Edit, ParameterSpec
from common.errors import InputError
from common.methods import lora
from common.methods.lora import Lora, LoraArguments, LoraOptions
from common.methods.merge import rounded
from common.methods.peft.format import PeftFormat
from common.methods.starts import FROM_WEIGHT
from common.methods.targets import Match
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "Dora", "RowNorms", "edit_of"]


@dataclass(frozen=True, eq=False)
class RowNorms:
    """Start value of the magnitudes: the norm of every output's row of the base weight, so that nothing changes."""

    weight: np.ndarray = field(repr=False)
    transposed: bool = False

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 norms ``(out,)``, computed in float64.

        Raises:
            InputError: one is zero, by which the layer would divide.
        """
        exact = np.asarray(self.weight, np.float64)
        norms = np.linalg.norm(exact, axis=0 if self.transposed else 1).astype(np.float32)
        if not norms.all():
            raise InputError(
                f"DoRA trains the direction of every output's row of a weight, which a row of zeros has not; of "
                f"{name.rpartition('.')[0]} {np.count_nonzero(norms == 0)} of {len(norms)} rows are zero. Leave it out of "
                "the targets, or use method lora."
            )
        return norms


def edit_of(
    module: ModuleSpec, arguments: LoraArguments, weight: np.ndarray, init: str = "kaiming", ratio: float = 1.0
) -> Edit:
    """The edit of ``module``: LoRA's parameters, and ``<path>.lora_magnitude_vector`` (out,), as in PEFT.

    Args:
        weight: of the base model, as stored.
        init: of A, see `common.methods.starts`.
        ratio: by which the learning rate of B is larger.
    """
    edit = lora.edit_of(module, arguments, init, ratio=ratio)
    norms = RowNorms(weight, module.kind.transposed)
    magnitude = ParameterSpec(
        f"{module.path}.lora_magnitude_vector", (module.out_features,), "lora_magnitude_vector", norms, decay=False
    )
    return Edit(module.path, "dora", "wrap", module, edit.arguments, (*edit.parameters, magnitude))


class Dora(Lora):
    """y = m / |W + s B A| * (W + s B A) x + b, where |.| is the norm of each output's row (eq. 5 of the paper), which
    is a constant for the gradient (section 4.3)."""

    name = "dora"

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a matrix."""
        return any(module.kind.matrix for module in modules)

    def edit(self, found: Match, options: LoraOptions, spec: ModelSpec) -> Edit:
        """Raises InputError for embeddings, slices, and modules without a weight of their own."""
        module = found.module
        if not module.kind.matrix or found.slices:
            what = f"slices of {module.path}" if found.slices else f"{module.path}, a {module.kind.name} module"
            raise InputError(
                "DoRA adapts whole linear layers: the magnitudes belong to all outputs of a weight; "
                f"{found.target.pattern!r} names {what}. Leave it out, or use method lora."
            )
        if options.init in FROM_WEIGHT:
            raise InputError(
                f"DoRA starts with B = 0; init: {options.init} is of method lora. Use init: kaiming or gaussian."
            )
        weight = spec.arrays.get(f"{module.path}.weight")
        if weight is None:
            raise InputError(
                f"DoRA needs the weight of every layer it adapts; {module.path} is a {module.kind.name} module, which "
                "has none as it stands. Use method lora, or adapt the model before it is compressed."
            )
        return edit_of(module, self.arguments(found, options), weight, options.init, options.lora_plus_ratio)

    def example(self, targets: tuple[str, ...]) -> LoraOptions:
        """Rank 8 of the usual targets, whole."""
        whole = [target.partition("[")[0] for target in targets]
        return super().example(tuple(dict.fromkeys(whole)))

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> None:
        """The update is none of low rank."""
        return None

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """m / |V| * V with V = W + s B A."""
        left, right = self.factors(edit, arrays)
        exact = base["weight"].astype(np.float64) + left @ right
        axis = 0 if edit.module.kind.transposed else 1
        magnitude = arrays[edit.parameters[-1].name].astype(np.float64)
        factor = magnitude / np.linalg.norm(exact, axis=axis)
        weight, error = rounded(exact * np.expand_dims(factor, axis))
        return {"weight": weight}, error

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """As LoRA's."""
        from common.methods.peft.lora import section

        found = section(settings, shapes)
        return {"method": self.name, **found} if found is not None and settings.get("use_dora") else None

    @property
    def peft(self) -> PeftFormat:
        """PEFT's LoRA format with ``use_dora``."""
        from common.methods.peft.dora import DoraFormat

        return DoraFormat()


MEMBER = Dora()
