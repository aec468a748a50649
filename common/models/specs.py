"""What a model is before it is built: its modules, their shapes and its arrays, by canonical (Hugging Face) name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ModelSpec", "ModuleSpec"]


@dataclass(frozen=True)
class ModuleSpec:
    """One module that owns parameters.

    ``kind``: ``linear`` stores its weight ``(out, in)``, ``conv1d`` (GPT-2) ``(in, out)``, ``embedding`` ``(in, out)`` = (rows, width),
    ``layernorm`` ``(out,)``, ``other`` lists its ``parameters``. ``slices`` names the parts of a fused projection as half-open ranges of its output features.
    """

    path: str
    kind: str
    in_features: int
    out_features: int
    bias: bool = True
    slices: tuple[tuple[str, int, int], ...] = ()
    tied_to: str | None = None  #: path of the module whose weight this one shares (the language-model head)
    parameters: tuple[
        tuple[str, tuple[int, ...]], ...
    ] = ()  #: of kind ``other``: a module read off a network, by name and shape

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name to shape; a tied weight is listed by its owner only."""
        if self.kind == "other":
            return {f"{self.path}.{name}": shape for name, shape in self.parameters}
        weight = {
            "linear": (self.out_features, self.in_features),
            "conv1d": (self.in_features, self.out_features),
            "embedding": (self.in_features, self.out_features),
            "layernorm": (self.out_features,),
        }[self.kind]
        shapes = {} if self.tied_to else {f"{self.path}.weight": weight}
        if self.bias:
            shapes[f"{self.path}.bias"] = (self.out_features,)
        return shapes


@dataclass(frozen=True)
class ModelSpec:
    """A model ready to be built by either backend: every parameter has its starting value in ``arrays``."""

    family: str  #: bert, gpt2, or any other transformers model_type (PyTorch only)
    task: str  #: sequence-classification or language-modeling
    config: Mapping[str, Any]  #: the Hugging Face configuration
    modules: tuple[ModuleSpec, ...]
    head: tuple[str, ...]  #: paths of the task head's modules, trained with every method
    arrays: Mapping[str, np.ndarray] = field(repr=False)  #: canonical name to float32 array
    fingerprint: str = ""  #: sha256 over the arrays that came from the checkpoint
    source: str | None = None
    new_parameters: tuple[str, ...] = ()  #: drawn here because the checkpoint has none (a new head), by name

    @property
    def shared(self) -> frozenset[str]:
        """Paths of the modules whose weight another module shares."""
        return frozenset(module.tied_to for module in self.modules if module.tied_to)

    def parameter_count(self) -> int:
        """Number of scalars in the base model, tied weights once."""
        return sum(int(np.prod(shape)) for module in self.modules for shape in module.shapes().values())
