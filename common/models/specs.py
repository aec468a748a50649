"""A model before it is built: its modules, their shapes and its arrays, by canonical (Hugging Face) name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.backend.batch import BatchSchema
from common.edits import Edit
from common.models.companions import Companion
from common.models.family import HeadLayout
from common.models.heads import HeadOrigin
from common.models.modules import ModuleSpec
from common.models.vectors import Coverage
from common.strict import Expected, expected

__all__ = ["ModelSpec", "ModuleSpec"]


@dataclass(frozen=True)
class ModelSpec:
    """A model ready to be built by either backend: every parameter has its start value in ``arrays``."""

    family: str  #: a member of `common.models.families`, or any other ``model_type`` (PyTorch only)
    task: str  #: a member of `common.tasks`
    config: Mapping[str, Any]  #: the Hugging Face configuration
    modules: tuple[ModuleSpec, ...]  #: in the order of the forward pass
    head: tuple[str, ...]  #: paths of the task head's new modules, trained with every method
    arrays: Mapping[str, np.ndarray] = field(repr=False)  #: canonical name to float32 array
    schema: BatchSchema = field(default_factory=lambda: BatchSchema(()))  #: of its batches
    layout: HeadLayout | None = None  #: of its head; None where the network brings its own
    edits: tuple[Edit, ...] = ()  #: structural changes of the base network, by transforms; `modules` are those after
    history: tuple[Mapping[str, Any], ...] = ()  #: one record for each transform that was applied, ready for JSON
    fingerprint: str = ""  #: sha256 over the arrays that came from the checkpoint
    source: str | None = None
    order: tuple[str, ...] = ()  #: of the base network, see `common.models.family.Backbone`
    extended: tuple[str, ...] = ()  #: weights with rows of tokens that were added, trained with every method
    new_parameters: tuple[str, ...] = ()  #: initialised here because the checkpoint has none (a new head), by name
    head_origin: HeadOrigin = field(
        default_factory=HeadOrigin
    )  #: whether its head was loaded, reordered or initialised

    vectors: Coverage | None = None  #: of published word vectors, where it starts from some
    task_options: Mapping[str, Any] = field(
        default_factory=dict
    )  #: those that decide the head, where it is no usual one
    companion: Companion | None = None  #: a second network that is trained with it; `modules` and `arrays` have its

    @property
    def shared(self) -> frozenset[str]:
        """Paths of the modules whose weight another module shares."""
        return frozenset(module.tied_to for module in self.modules if module.tied_to)

    @property
    def frozen(self) -> frozenset[str]:
        """Names of the parameters that no method trains, by its family's configuration: of a module that a transform has
        replaced, what stands for them."""
        from common.models import FAMILIES

        names = set(FAMILIES.get(self.family).frozen(self.config) if self.family in FAMILIES else ())
        for edit in self.edits:  # the last one of a path stands on the one before
            before = edit.module.shapes().keys()
            if names & before:
                names |= edit.shapes().keys() - before
        return frozenset(names)

    def used(self) -> tuple[ModuleSpec, ...]:
        """The modules in the order of the forward pass, as often as they are used."""
        by_path = {module.path: module for module in self.modules}
        head = (module for module in self.modules if module.path not in self.order)
        return (*(by_path[path] for path in self.order), *head)

    @property
    def perturbed_width(self) -> int:
        """Of the embeddings that adversarial training perturbs; 0 where its family has none."""
        from common.models import FAMILIES

        norm = FAMILIES.get(self.family).EMBEDDING_NORM if self.family in FAMILIES else None
        paths = {module.path.partition(".")[2]: module.in_features for module in self.modules}
        return 0 if norm is None else paths[norm]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter's shape by name; tied weights once."""
        return {name: shape for module in self.modules for name, shape in module.shapes().items()}

    def integers(self) -> dict[str, np.dtype]:
        """Parameters that hold integers, with their dtypes; every other one is float32."""
        return {name: dtype for module in self.modules for name, dtype in module.integers().items()}

    def expected(self) -> dict[str, Expected]:
        """What strict loading expects under every name."""
        integers = self.integers()
        return {name: expected(shape, integers.get(name)) for name, shape in self.shapes().items()}

    def bytes(self) -> int:
        """Size of the parameters, tied weights once: 4 bytes a number, and of integers as many as they have."""
        integers, word = self.integers(), np.dtype(np.float32)
        return sum(integers.get(name, word).itemsize * math.prod(shape) for name, shape in self.shapes().items())

    def counts(self) -> dict[str, int]:
        """Scalars of every module by its path, tied weights once: of one whose weight is stored in few bits, which
        share bytes and have scales, those of the weight."""
        from common.models.layers import LAYERS

        stood_for = {edit.path: edit.module for edit in self.edits}
        narrow = {edit.path for edit in self.edits if LAYERS.get(edit.layer).frozen}
        found = {}
        for module in self.modules:
            if module.path in narrow and module.dtypes:  # unless a later edit stands in its place
                module = stood_for[module.path]
            found[module.path] = sum(math.prod(shape) for shape in module.shapes().values())
        return found

    def parameter_count(self) -> int:
        """Number of scalars in the base model, see `counts`."""
        return sum(self.counts().values())
