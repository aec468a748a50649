"""The probabilities of a network's attention, from its hidden states and weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.models import FAMILIES
from common.models.modules import ATTENTION, LINEAR, Heads
from common.models.specs import ModelSpec

__all__ = ["attention_problems", "heads_of", "probabilities"]


def _attentions(spec: ModelSpec) -> list[Heads]:
    return [module.arguments for module in spec.modules if module.kind is ATTENTION]


def heads_of(spec: ModelSpec) -> list[int]:
    """Attention heads of every layer."""
    return [heads.count for heads in _attentions(spec)]


def attention_problems(student: ModelSpec, teacher: ModelSpec, prepended: int, which: str) -> Iterator[str]:
    """Why the probabilities of two networks cannot be compared.

    Args:
        prepended: virtual tokens of the student.
        which: layers, ``last`` or ``all``.
    """
    for name, spec in (("its", teacher), ("the student's", student)):
        if FAMILIES.get(spec.family).PARTS is None:
            yield f"{name} family {spec.family} has attention of another form; use distillation.attention=none"
            return
    kinds = {module.path: module.kind for module in teacher.modules}
    factored = [path for heads in _attentions(teacher) for path in heads.projections if kinds[path] is not LINEAR]
    if factored:
        yield f"its projection {factored[0]} is no plain linear layer; multiply it out with --dense"
    if prepended:
        yield "the student attends to virtual tokens, which the teacher does not have; use another adaptation.method"
    ours, theirs = heads_of(student), heads_of(teacher)
    pairs = [(ours[-1], theirs[-1])]
    if which == "all" and len(theirs) % len(ours) == 0:
        each = len(theirs) // len(ours)
        pairs = [(count, theirs[(layer + 1) * each - 1]) for layer, count in enumerate(ours)]
    different = [pair for pair in pairs if pair[0] != pair[1]]
    if different:
        yield f"a layer of the student has {different[0][0]} heads, and the teacher's {different[0][1]}"
    if len({theirs for _, theirs in pairs}) > 1:
        yield "its layers have different numbers of heads; use distillation.attention_layers=last"


def probabilities(spec: ModelSpec, layer: int, states: np.ndarray) -> np.ndarray:
    """softmax(q k^T / sqrt(width)) of one sequence without padding, ``(heads, seq, seq)`` float32.

    Args:
        spec: of a family whose ``PARTS`` are known.
        states: what the layer gets, ``(seq, hidden)``.
    """
    heads = _attentions(spec)[layer]
    query, key = (
        _projected(spec, path, states).reshape(len(states), heads.count, -1) for path in heads.projections[:2]
    )
    scores = np.einsum("qhw,khw->hqk", query, key) / np.sqrt(query.shape[-1])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def _projected(spec: ModelSpec, path: str, states: np.ndarray) -> np.ndarray:
    return states @ spec.arrays[f"{path}.weight"].T + spec.arrays[f"{path}.bias"]
