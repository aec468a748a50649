"""The unavoidable matrix products of a training step, counted from the model and the plan. Their time alone is the
roofline of a step.
 Counted: the forward products; a gradient with respect to a layer's input only where something before it is trained;
one with respect to a weight only where it is trained; LoRA's own; attention's products per head, in full (a causal
kernel may skip half). Positions that nobody reads are not counted: the last layer of a classifier works for the
classified position, the head of a language model for the scored ones. Nothing is counted twice for recomputation.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from common.backend import Batch
from common.edits import Edit
from common.errors import InputError
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.family import EACH, WRITTEN
from common.models.modules import ATTENTION, OTHER, RECURRENT, Heads, ModuleSpec, slice_features
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["Product", "flops", "step_products"]


@dataclass(frozen=True, order=True)
class Product:
    """``batch`` independent products ``(rows, inner) (inner, columns)``."""

    batch: int
    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.rows * self.inner * self.columns


def flops(products: Counter[Product]) -> int:
    """Of all products."""
    return sum(product.flops * times for product, times in products.items())


def step_products(spec: ModelSpec, plan: Plan, batch: Batch) -> Counter[Product]:
    """The products of one step on one batch, with multiplicities, from the modules of the model in their order.

    Raises:
        InputError: the family's modules are read off a network, so that their order and attention are not known.
    """
    if spec.layout is None:
        raise InputError(
            f"The roofline is known for {', '.join(FAMILIES.names())}; received {spec.family}. Leave it out with --no-limit."
        )
    rows, *columns = batch["input_ids"].shape
    count = _Count(spec, plan, rows, math.prod(columns))
    needs = _backbone(count)
    _head(count, TASKS.get(spec.task).targets(batch), needs)
    return count.products


class _Count:
    """Walks the network forward; ``needs`` says whether a tensor depends on anything trained, so that its gradient is
    formed."""

    def __init__(self, spec: ModelSpec, plan: Plan, rows: int, length: int):
        self.spec, self.config, self.rows, self.length = spec, spec.config, rows, length
        self.tokens = rows * length
        self.products: Counter[Product] = Counter()
        self.edits = {edit.path: edit for edit in plan.edits}
        self.trained = {parameter.name for parameter in plan.unfrozen}

    def add(self, rows: int, inner: int, columns: int, batch: int = 1) -> None:
        self.products[Product(batch, rows, inner, columns)] += 1

    def trains(self, path: str) -> bool:
        return any(f"{path}.{leaf}" in self.trained for leaf in ("weight", "bias"))

    def linear(self, path: str, tokens: int, inputs: int, outputs: int, needs: bool) -> bool:
        """Returns whether the output needs a gradient."""
        self.add(tokens, inputs, outputs)
        if needs:
            self.add(tokens, outputs, inputs)
        if f"{path}.weight" in self.trained:
            self.add(outputs, tokens, inputs)
        edit = self.edits.get(path)
        if edit:
            self._lora(edit, tokens, needs)
        return needs or edit is not None or self.trains(path)

    def recurrent(self, module: ModuleSpec, tokens: int, needs: bool) -> bool:
        """Every matrix of a recurrent module multiplies at each position; those of the first input come first."""
        trained = {leaf for leaf, _ in module.parameters if f"{module.path}.{leaf}" in self.trained}
        matrices = [(leaf, shape) for leaf, shape in module.parameters if leaf not in module.biased]
        for number, (leaf, (outputs, inputs)) in enumerate(matrices):
            self.add(tokens, inputs, outputs)
            if needs or (number and trained):
                self.add(tokens, outputs, inputs)
            if leaf in trained:
                self.add(outputs, tokens, inputs)
        return needs or bool(trained)

    def _lora(self, edit: Edit, tokens: int, needs: bool) -> None:
        rank = edit.arguments.rank
        stacked = len(edit.arguments.parts) * rank
        self.add(tokens, edit.module.in_features, stacked)
        for outputs in map(len, edit.arguments.parts):
            self.add(tokens, rank, outputs)  # times B
            self.add(tokens, outputs, rank)  # gradient of what A gives
            self.add(outputs, tokens, rank)  # gradient of B
        self.add(stacked, tokens, edit.module.in_features)  # gradient of A
        if needs:
            self.add(tokens, stacked, edit.module.in_features)

    def tied(self, module: ModuleSpec, rows: int, needs: bool) -> None:
        """An output whose weight is that of an embedding."""
        self.add(rows, module.in_features, module.out_features)
        if needs:
            self.add(rows, module.out_features, module.in_features)
        if f"{module.tied_to}.weight" in self.trained:
            self.add(module.out_features, rows, module.in_features)

    def embedding(self, path: str, tokens: int) -> bool:
        """An embedding looks up; only an adapter multiplies."""
        edit = self.edits.get(path)
        if edit:
            rank, width = edit.arguments.rank, edit.module.out_features
            self.add(tokens, rank, width)
            self.add(tokens, width, rank)
            self.add(width, tokens, rank)
        return edit is not None or self.trains(path)

    def attention(
        self, arguments: Heads, hidden: int, queries: int, needs: tuple[bool, bool, bool], table: bool
    ) -> bool:
        """Scores and mixing of ``queries`` positions a row; ``needs`` of query, key and value, ``table`` of relative
        positions, which queries or keys are multiplied with as far as the distances of a row reach."""
        width, batch = hidden // arguments.count, self.rows * arguments.count
        query, key, value = needs
        self.add(queries, width, self.length, batch)
        self.add(queries, self.length, width, batch)
        if query or key:
            self.add(queries, width, self.length, batch)  # gradient of the probabilities
        if query:
            self.add(queries, self.length, width, batch)
        if key:
            self.add(self.length, queries, width, batch)
        if value:
            self.add(self.length, queries, width, batch)
        reached = min(2 * self.length - 1, 2 * arguments.span)
        for _ in range(arguments.terms):
            self.add(queries, width, reached, batch)
            if query or key:
                self.add(queries, reached, width, batch)
            if table:
                self.add(reached, queries, width, batch)
        return any((*needs, table))


def _backbone(count: _Count) -> bool:
    """Returns whether the final states need a gradient. Residual connections make that true of every layer after the
    first one that is trained; the projections of an attention share one input."""
    layout = count.spec.layout
    assert layout is not None
    modules = count.spec.used()[: -len(layout.modules(1, 1))]
    attentions = [module for module in modules if module.kind is ATTENTION]
    at = [index for index, module in enumerate(modules) if module.kind is ATTENTION]
    projections = {path for module in attentions for path in module.arguments.projections}
    last = at[-1] if at and layout.position not in (EACH, WRITTEN) else None
    before = at[-2] if len(at) > 1 else -1  # a layer may be used several times
    needs, positions = False, count.tokens
    projected: dict[str, tuple[bool, bool, bool]] = {}
    spans = {path: module.arguments.span for module in attentions for path in module.arguments.positions}
    table = tabled = False  # whether the table of relative positions needs a gradient, and what is projected of it
    for index, module in enumerate(modules):
        if module.kind.lookup:
            rows = count.length if module.arguments == "positions" else count.tokens
            needs = count.embedding(module.path, rows) or needs
        elif module.path in projections:
            final = None if last is None or index <= before else modules[last]
            single = final is not None and module.path in final.arguments.projections
            projected[module.path] = _projection(count, module, final if single else None, needs)
        elif module.kind is ATTENTION:
            query, key, value = (projected[path][part] for part, path in enumerate(module.arguments.projections))
            queries = 1 if index == last else count.length
            found = (query, key, value)
            needs = count.attention(module.arguments, module.in_features, queries, found, tabled) or needs
            tabled = table
            positions = count.rows if index == last else positions
        elif module.path in spans:
            rows = 2 * spans[module.path]
            tabled = count.linear(module.path, rows, module.in_features, module.out_features, table) or tabled
        elif module.kind is OTHER:
            table = table or count.trains(module.path)
        elif module.kind is RECURRENT:
            needs = count.recurrent(module, positions, needs)
        elif module.kind.windowed:
            inputs = module.in_features * math.prod(module.arguments.kernel) // module.arguments.groups
            needs = count.linear(module.path, positions, inputs, module.out_features, needs) or needs
        elif module.kind.matrix:
            needs = count.linear(module.path, positions, module.in_features, module.out_features, needs) or needs
        else:
            needs = needs or count.trains(module.path)
    return needs


def _projection(count: _Count, module: ModuleSpec, last: ModuleSpec | None, needs: bool) -> tuple[bool, bool, bool]:
    """A projection of an attention, of which ``last`` reads the query at one position of a row; whether its query, key
    and value parts need a gradient."""
    path, inputs, outputs = module.path, module.in_features, module.out_features
    if not module.slices:
        alone = last is not None and path == last.arguments.projections[0]
        return (count.linear(path, count.rows if alone else count.tokens, inputs, outputs, needs),) * 3
    edit = count.edits.get(path)
    if last is None:
        whole = count.linear(path, count.tokens, inputs, outputs, needs)
    else:
        width = len(next(iter(slice_features(module.slices).values())))
        count.linear(path, count.tokens, inputs, outputs - width, needs)
        count.add(count.rows, inputs, width)
        if needs:
            count.add(count.rows, width, inputs)
        whole = needs or edit is not None or count.trains(path)
    if needs or count.trains(path) or not whole or edit is None:
        return (whole,) * 3
    adapted = slice_features(edit.arguments.slices or module.slices)
    query, key, value = (name in adapted for name in slice_features(module.slices))
    return query, key, value


def _head(count: _Count, targets: int, needs: bool) -> None:
    """The head at the positions that have a target."""
    layout = count.spec.layout
    assert layout is not None
    rows = targets if layout.position in (EACH, WRITTEN) else count.rows
    for module in count.spec.modules[-len(layout.modules(1, 1)) :]:
        if not module.kind.matrix:
            needs = needs or count.trains(module.path)
        elif not module.tied_to:
            needs = count.linear(module.path, rows, module.in_features, module.out_features, needs)
        else:
            count.tied(module, rows, needs)
