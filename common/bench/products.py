"""The unavoidable matrix products of a training step, counted from the model and the plan. Their time alone is the limit of a step's.

Counted: the forward products; a gradient with respect to a layer's input only where something before it is trained; one with respect to a weight only
where it is trained; LoRA's own; attention's products per head, in full (a causal kernel may skip half). Positions that nobody reads are not counted:
the last layer of a classifier works for the classified position, the head of a language model for the scored ones. Nothing is counted twice for
recomputation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from common.adaptation import Plan
from common.adaptation.plan import PlanStep
from common.backend import IGNORE, Batch
from common.errors import InputError
from common.models import ModelSpec

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
    """The products of one step on one batch, with multiplicities.

    Raises:
        InputError: the family is not counted here.
    """
    if spec.family not in _FAMILIES:
        raise InputError(
            f"The limit is known for {', '.join(_FAMILIES)}; received {spec.family}. Leave it out with --no-limit."
        )
    count = _Count(spec, plan, *batch["input_ids"].shape)
    _FAMILIES[spec.family](count, int((batch["labels"] != IGNORE).sum()))
    return count.products


class _Count:
    """Walks the network forward; ``needs`` says whether a tensor depends on anything trained, so that its gradient is formed."""

    def __init__(self, spec: ModelSpec, plan: Plan, rows: int, length: int):
        self.spec, self.config, self.rows, self.length = spec, spec.config, rows, length
        self.tokens = rows * length
        self.products: Counter[Product] = Counter()
        self.steps = {step.path: step for step in plan.steps}
        self.trained = plan.trained

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
        step = self.steps.get(path)
        if step:
            self._lora(step, tokens, needs)
        return needs or step is not None or self.trains(path)

    def _lora(self, step: PlanStep, tokens: int, needs: bool) -> None:
        rank = step.arguments.rank
        stacked = len(step.ranges) * rank
        self.add(tokens, step.in_features, stacked)
        for start, stop in step.ranges:
            self.add(tokens, rank, stop - start)  # times B
            self.add(tokens, stop - start, rank)  # gradient of what A gives
            self.add(stop - start, tokens, rank)  # gradient of B
        self.add(stacked, tokens, step.in_features)  # gradient of A
        if needs:
            self.add(tokens, stacked, step.in_features)

    def embedding(self, path: str, tokens: int) -> bool:
        """An embedding looks up; only an adapter multiplies."""
        step = self.steps.get(path)
        if step:
            rank, width = step.arguments.rank, step.out_features
            self.add(tokens, rank, width)
            self.add(tokens, width, rank)
            self.add(width, tokens, rank)
        return step is not None or self.trains(path)

    def attention(self, heads: int, hidden: int, queries: int, needs: tuple[bool, bool, bool]) -> bool:
        """Scores and mixing of ``queries`` positions a row; ``needs`` of query, key and value."""
        width, batch = hidden // heads, self.rows * heads
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
        return any(needs)


def _bert(count: _Count, scored: int) -> None:
    config, table = count.config, "bert.embeddings"
    hidden, inner, last = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"] - 1
    looked_up = [
        count.embedding(f"{table}.{name}", count.tokens) for name in ("word_embeddings", "token_type_embeddings")
    ]
    needs = (
        any(looked_up)
        or count.embedding(f"{table}.position_embeddings", count.length)
        or count.trains(f"{table}.LayerNorm")
    )
    for index in range(last + 1):
        path = f"bert.encoder.layer.{index}"
        queries = 1 if index == last else count.length
        positions = count.rows * queries
        qkv = tuple(count.linear(f"{path}.attention.self.{name}", positions if name == "query" else count.tokens, hidden, hidden, needs)
                    for name in ("query", "key", "value"))  # fmt: skip
        mixed = count.attention(config["num_attention_heads"], hidden, queries, qkv)
        out = count.linear(f"{path}.attention.output.dense", positions, hidden, hidden, mixed)
        needs = needs or out or count.trains(f"{path}.attention.output.LayerNorm")
        middle = count.linear(f"{path}.intermediate.dense", positions, hidden, inner, needs)
        needs = count.linear(f"{path}.output.dense", positions, inner, hidden, middle) or count.trains(
            f"{path}.output.LayerNorm"
        )
    needs = count.linear("bert.pooler.dense", count.rows, hidden, hidden, needs)
    count.linear("classifier", count.rows, hidden, config["num_labels"], needs)


def _gpt2(count: _Count, scored: int) -> None:
    config = count.config
    hidden, last = config["n_embd"], config["n_layer"] - 1
    inner, classifies = config["n_inner"] or 4 * hidden, count.spec.task == "sequence-classification"
    needs = any([count.embedding("transformer.wte", count.tokens), count.embedding("transformer.wpe", count.length)])
    for index in range(last + 1):
        path = f"transformer.h.{index}"
        queries = 1 if classifies and index == last else count.length
        positions = count.rows * queries
        entering = needs or count.trains(f"{path}.ln_1")
        mixed = count.attention(
            config["n_head"], hidden, queries, _qkv(count, f"{path}.attn.c_attn", hidden, positions, entering)
        )
        out = count.linear(f"{path}.attn.c_proj", positions, hidden, hidden, mixed)
        needs = needs or out
        middle = count.linear(f"{path}.mlp.c_fc", positions, hidden, inner, needs or count.trains(f"{path}.ln_2"))
        needs = count.linear(f"{path}.mlp.c_proj", positions, inner, hidden, middle) or needs
    needs = needs or count.trains("transformer.ln_f")
    if classifies:
        count.linear("score", count.rows, hidden, config["num_labels"], needs)
        return
    count.add(scored, hidden, config["vocab_size"])
    if needs:
        count.add(scored, config["vocab_size"], hidden)
    if "transformer.wte.weight" in count.trained:
        count.add(config["vocab_size"], scored, hidden)


def _qkv(count: _Count, path: str, hidden: int, queries: int, needs: bool) -> tuple[bool, bool, bool]:
    """The fused projection: the query for fewer positions where only those are read; which of its three parts need a gradient."""
    step = count.steps.get(path)
    if queries == count.tokens:
        whole = count.linear(path, count.tokens, hidden, 3 * hidden, needs)
    else:
        count.linear(path, count.tokens, hidden, 2 * hidden, needs)
        count.add(queries, hidden, hidden)
        if needs:
            count.add(queries, hidden, hidden)
        whole = needs or step is not None or count.trains(path)
    if needs or count.trains(path) or not whole or step is None:
        return (whole,) * 3
    return tuple(any(start <= part * hidden < stop for start, stop in step.ranges) for part in range(3))


_FAMILIES = {"bert": _bert, "gpt2": _gpt2}
