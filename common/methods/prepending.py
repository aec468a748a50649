"""Virtual tokens before the sequences of a model: what the methods that train them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit, ParameterSpec
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.unfreezing import head_parameters
from common.models import FAMILIES
from common.models.family import INPUT_IDS
from common.models.modules import ATTENTION, ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["PrependArguments", "PrependOptions", "Prepending", "before", "linear_init", "located", "word_table"]


@dataclass(frozen=True)
class PrependOptions(MethodOptions):
    """``tokens`` has no default."""

    tokens: int = 0  #: virtual ones, before every sequence

    @property
    def prepended(self) -> int:
        """They take positions of the model."""
        return self.tokens

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        if self.tokens < 1:
            yield (
                "tokens",
                f"must be given for method {self.method}, as a number greater than 0; received {self.tokens!r}",
            )


@dataclass(frozen=True)
class PrependArguments:
    """Virtual tokens of one model."""

    tokens: int
    width: int  #: of what one token gives
    layers: int
    heads: int
    pairs: int  #: heads of keys and values
    kept: int  #: width of the keys of a layer, all heads together
    fields: tuple[tuple[str, int], ...]  #: what the inputs besides the ids hold at the virtual tokens


class Prepending(Method):
    """Wraps the table of the words; trains what stands before the sequence, and the task head. There is no weight that
    it could be merged into."""

    layer: str  #: of the backends

    def width(self, table: ModuleSpec, attentions: Sequence[ModuleSpec]) -> int:
        """Of what one virtual token gives: that of the table's rows."""
        return table.out_features

    def arguments(self, options: Any, sizes: PrependArguments) -> Any:
        """The layer's settings, a subclass of `PrependArguments`."""
        return sizes

    def parameters(
        self, options: Any, sizes: PrependArguments, path: str, spec: ModelSpec
    ) -> tuple[ParameterSpec, ...]:
        """What is trained besides the head; names begin with ``path`` and a dot."""
        raise NotImplementedError

    def plan(self, options: Any, spec: ModelSpec) -> Plan:
        """One edit, of the table of the words.

        Raises:
            InputError: the network is of no family that is described here, or has no attention.
        """
        module = word_table(spec)
        attentions = [found for found in spec.modules if found.kind is ATTENTION]
        if not attentions:
            raise InputError(
                f"adaptation.method {self.name} puts virtual tokens before what attention reads; a {spec.family} "
                "network has none. Use another method."
            )
        if not self.suits(spec.modules):
            raise InputError(
                f"adaptation.method {self.name} puts virtual tokens before one sequence; a {spec.family} network reads "
                "one and writes another. Use a method with targets."
            )
        inputs = FAMILIES.get(spec.family).INPUTS
        fields = tuple((field.name, int(field.default or 0)) for field in inputs if field is not INPUT_IDS)
        first = attentions[0]
        counts = sorted({found.arguments.count for found in attentions})
        if len(counts) > 1:
            raise InputError(
                f"The method {self.name} gives every layer keys and values of the same heads; this model has layers of "
                f"{', '.join(map(str, counts))} heads. Use another method."
            )
        heads, pairs = first.arguments.count, first.arguments.pairs
        kept = first.in_features // heads * pairs
        layers = FAMILIES.get(spec.family).backbone(spec.config).layers
        sizes = PrependArguments(options.tokens, self.width(module, attentions), layers, heads, pairs, kept, fields)
        trained = self.parameters(options, sizes, module.path, spec)
        edit = Edit(module.path, self.layer, "prepend", module, self.arguments(options, sizes), trained)
        return Plan(self.name, (edit,), head_parameters(spec), spec.head, self.artifact, options)

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is attention, which is known of described families alone, and all of it is of one sequence."""
        attentions = [module.arguments for module in modules if module.kind is ATTENTION]
        return bool(attentions) and not any(heads.memory for heads in attentions)

    def example(self, targets: tuple[str, ...]) -> MethodOptions:
        """Three tokens."""
        options: Any = self.Options
        return options(self.name, tokens=3)


def word_table(spec: ModelSpec) -> ModuleSpec:
    """The table in which the ids of a batch are looked up.

    Raises:
        InputError: the network is of no family that is described here, or has no such table.
    """
    if spec.layout is None:
        raise InputError(
            f"Virtual tokens are put before the sequences of the families {', '.join(FAMILIES.names())}; received "
            f"{spec.family}. Use a method with targets."
        )
    assert INPUT_IDS.bound is not None
    rows = spec.config[INPUT_IDS.bound]
    found = (module for module in spec.modules if module.kind.lookup and module.in_features == rows)
    table = next(found, None)
    if table is None:
        raise InputError(
            f"Virtual tokens stand before what a table of {rows} words gives; this model has no such table as a module "
            "of its own. Use a method that changes modules."
        )
    return table


def linear_init(inputs: int) -> float:
    """The bound of torch's start values of a linear layer, weight and bias."""
    return inputs**-0.5


def before(input_ids: np.ndarray, lengths: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are padded on the left, with ``ids`` between padding and text, and their lengths.

    Args:
        input_ids: ``(rows, columns)`` int32.
        lengths: ``(rows,)`` int32.
        ids: ``(tokens,)`` int32.
    """
    rows, columns = input_ids.shape
    found = np.zeros((rows, columns + len(ids)), input_ids.dtype)
    for row, length in enumerate(lengths):
        text = input_ids[row, columns - length :]
        found[row, columns - length :] = np.concatenate([ids, text])
    return found, lengths + np.int32(len(ids))


def located(padded: np.ndarray, first: int, columns: int) -> np.ndarray:
    """The position ``(rows, columns)`` of what stands in each column: of ``first`` columns that hold no tokens, and of
    tokens behind padding, whose own positions mean nothing.

    Args:
        padded: number of columns of padding after the first ones, ``(rows, 1)``.
    """
    places = np.arange(columns)
    return np.where(places < first, places, places - padded)
