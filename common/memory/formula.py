"""What a network keeps for its backward pass, by formula: for a backend whose graphs do not show it.

The modules of `ModelSpec` are walked in the order of the forward pass, once with every tensor that some backward
computation reads. A backend says in `Keeps` what its layers read; which tensors need a gradient at all, and which layers
share an input, is the same everywhere.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from common.edits import Edit
from common.errors import InputError
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.family import EACH
from common.models.modules import ATTENTION, OTHER, ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["Attended", "Keeps", "Layer", "kept", "probabilities"]

_WORD = 4  #: bytes of a float32


@dataclass(frozen=True)
class Attended:
    """Sizes of one attention."""

    rows: int
    heads: int
    queries: int
    length: int
    width: int  #: of all heads together
    dropped: bool  #: whether its probabilities are dropped out


@dataclass(frozen=True)
class Layer:
    """What the layer of an edit keeps."""

    input: bool  #: the module's own input, which others may keep as well
    scalars: int  #: besides it


@dataclass(frozen=True)
class Keeps:
    """Scalars that a backend's layers keep, each a function of the sizes."""

    norm: Callable[[int, int], int]  #: (rows, width) of a layer norm, its input and output apart
    norm_input: bool  #: whether a layer norm keeps its input as it is
    activation: Callable[[str, int, int], int]  #: (name, rows, width), between two matrices of a feed-forward part
    attention: Callable[[Attended], int]
    mask: Callable[[int], int]  #: of a dropout of so many scalars
    package: str  #: whose ``layers`` say, in functions ``kept(edit, rows) -> Layer``, what those of edits keep


def kept(spec: ModelSpec, plan: Plan, rows: int, length: int, keeps: Keeps) -> dict[str, int]:
    """Bytes by the path of the module that keeps them, for ``rows`` sequences of ``length`` tokens in float32.

    The embeddings' ids, and what a head keeps besides its inputs, are less than a thousandth and left out.

    Raises:
        InputError: the family's layers are others than the formula knows.
    """
    if not FAMILIES.get(spec.family).COUNTED:
        raise InputError(
            "The formula for what a step keeps is that of one sequence, attention and two feed-forward matrices; "
            f"{spec.family} has other layers. Use --backend pytorch, which counts the tensors themselves."
        )
    walk = _Walk(spec, plan, rows, length, keeps)
    walk.backbone()
    return {path: _WORD * count for path, count in walk.found.items() if count}


class _Walk:
    def __init__(self, spec: ModelSpec, plan: Plan, rows: int, length: int, keeps: Keeps):
        length += plan.prepended  # of keys and values alone that is more than they keep
        self.spec, self.keeps, self.rows, self.length = spec, keeps, rows, length
        self.edits, self.trained = {edit.path: edit for edit in plan.edits}, set(plan.shapes())
        self.found: Counter[str] = Counter()
        self.needs = False  # whether the hidden states need a gradient
        self._stored = False  # whether the present input of matrices is kept already
        dropouts = {name: spec.config.get(name) or 0.0 for name in FAMILIES.get(spec.family).DROPOUTS}
        self._probabilities = max((p for name, p in dropouts.items() if "att" in name), default=0.0) > 0
        self._hidden = max((p for name, p in dropouts.items() if "att" not in name), default=0.0) > 0

    def backbone(self) -> None:
        layout = self.spec.layout
        assert layout is not None  # of a family
        modules = self.spec.used()[: -len(layout.modules(1, 1))]
        attentions = [module for module in modules if module.kind is ATTENTION]
        at = [index for index, module in enumerate(modules) if module.kind is ATTENTION]
        # The last layer of a head that reads one position computes its queries and what follows for that position.
        last = at[-1] if at and layout.position != EACH and layout.dense else None
        if (
            last is not None and modules[last].arguments.span
        ):  # of a table of relative positions every query is computed
            last = None
        before = at[-2] if len(at) > 1 else -1  # a layer may be used several times
        tokens, mixed, inner = self.rows * self.length, False, False
        projections = {path for module in attentions for path in module.arguments.projections}
        spans = {path: module.arguments.span for module in attentions for path in module.arguments.positions}
        for index, module in enumerate(modules):
            if module.kind.lookup:
                self._lookup(module)
            elif module.kind.norm:
                self._norm(module, tokens)
            elif module.path in projections:
                query = last is not None and module.path == modules[last].arguments.projections[0]
                alone = query and index > before and not module.slices
                self._matrix(module, tokens, self.rows if alone else tokens)
            elif module.kind is ATTENTION:
                queries = 1 if index == last else self.length
                self._attention(module, queries)
                tokens = self.rows * queries
                self._stored, mixed = False, True
            elif module.path in spans:
                self._stored = False
                self._matrix(module, 2 * spans[module.path])
                self._stored = False
            elif module.kind is OTHER:
                self.needs = self.needs or not self.trained.isdisjoint(module.shapes())
            elif module.kind.windowed or (
                at and index < at[0]
            ):  # between the embeddings and the layers, or beside them
                self._matrix(module, tokens)
                self._stored = False
            else:
                self._matrix(module, tokens)
                inner = not mixed and not inner
                if inner and self.needs:
                    name = self.spec.config.get(FAMILIES.get(self.spec.family).ACTIVATION) or ""
                    self._beside(module, "activation", self.keeps.activation(name, tokens, module.out_features))
                if not inner and self.needs and self._hidden and not self._undropped(module):
                    self._beside(module, "dropout", self.keeps.mask(tokens * module.out_features))
                self._stored, mixed = False, False

        if self.needs and layout.tied_to and not layout.dense:
            self.found[layout.output] += tokens * modules[-1].out_features  # the loss keeps its gradient instead

    def _undropped(self, module: ModuleSpec) -> bool:
        return any(fnmatchcase(module.path, pattern) for pattern in FAMILIES.get(self.spec.family).UNDROPPED)

    def _beside(self, module: ModuleSpec, name: str, scalars: int) -> None:
        """What is kept beside ``module``, not by it."""
        self.found[f"{module.path.rpartition('.')[0]}.{name}"] += scalars

    def _lookup(self, module: ModuleSpec) -> None:
        self.needs = self.needs or f"{module.path}.weight" in self.trained or module.path in self.edits
        self._stored = False

    def _norm(self, module: ModuleSpec, tokens: int) -> None:
        own = any(f"{module.path}.{leaf}" in self.trained for leaf in ("weight", "bias"))
        self.needs = self.needs or own
        if self.needs:
            width = module.out_features
            self.found[module.path] += self.keeps.norm(tokens, width) + self.keeps.norm_input * tokens * width
        self._stored = False

    def _matrix(self, module: ModuleSpec, tokens: int, read: int | None = None) -> None:
        """Of ``tokens`` positions; ``read`` is how many of these it reads, which still keeps all of its input."""
        edit = self.edits.get(module.path)
        wanted = f"{module.path}.weight" in self.trained
        if edit is not None:
            layer = _layer(self.keeps.package, edit, tokens if read is None else read)
            self.found[module.path] += layer.scalars
            wanted = wanted or layer.input
        if wanted and not self._stored:
            self.found[module.path] += tokens * module.in_features
            self._stored = True
        self.needs = self.needs or wanted or edit is not None or f"{module.path}.bias" in self.trained

    def _attention(self, module: ModuleSpec, queries: int) -> None:
        if self.needs:
            heads, width = module.arguments.count, module.in_features
            sizes = Attended(self.rows, heads, queries, self.length, width, self._probabilities)
            self.found[module.path] += self.keeps.attention(sizes)


def _layer(package: str, edit: Edit, rows: int) -> Layer:
    found = getattr(importlib.import_module(f"{package}.layers.{edit.layer}"), "kept", None)
    if found is None:
        raise InputError(
            f"The layer {edit.layer} has no formula for what it keeps in {package}, so that its memory cannot be "
            "accounted for. Use --backend pytorch, which counts the tensors themselves."
        )
    return found(edit, rows)


def probabilities(sizes: Attended) -> int:
    """Number of the probabilities of one attention."""
    return math.prod((sizes.rows, sizes.heads, sizes.queries, sizes.length))
