"""What the families of networks on whole words have in common: their table, where it starts and whether it is
trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from common.models.family import POOLED, Family, HeadLayout
from common.models.modules import CONVOLUTION, EMBEDDING, LAYER_NORM, LINEAR, ModuleSpec, Window
from common.random import uniform

__all__ = ["BOTH", "STATIC", "TRAINED", "WordFamily"]

TRAINED, STATIC, BOTH = "trained", "static", "multichannel"  #: of the configuration's entry ``embedding``
_UNKNOWN = 0.25  #: bound of the vectors that no file gives (Kim 2014)


class WordFamily(Family):
    """A family whose first module is a table of words, ``PREFIX.embeddings``. Its configuration has the entries
    ``embedding`` (whether the table is trained) and ``embedding_size``."""

    prefix: ClassVar[str]
    EMBEDDINGS: ClassVar[tuple[str, ...]] = (TRAINED, STATIC)  #: what ``embedding`` may be
    HEADS: ClassVar[tuple[str, ...]] = ()
    DROPOUTS: ClassVar[tuple[str, ...]] = ("dropout",)
    COUNTED = False

    @property
    def table(self) -> str:
        """Path of the table."""
        return f"{self.prefix}.embeddings"

    def tables(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """The table, and with two channels the one that is not trained."""
        rows, width = config["vocab_size"], config["embedding_size"]
        paths = [self.table, *([self.still] if config["embedding"] == BOTH else [])]
        return [ModuleSpec(path, EMBEDDING, rows, width, bias=False) for path in paths]

    @property
    def still(self) -> str:
        """Path of the second table where there are two channels."""
        return f"{self.prefix}.static_embeddings"

    def frozen(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The table where it is static, or the one of two."""
        paths = {TRAINED: (), STATIC: (self.table,), BOTH: (self.still,)}[config["embedding"]]
        return tuple(f"{path}.weight" for path in paths)

    def positions(self, config: Mapping[str, Any]) -> None:
        """Any length."""

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The tables."""
        return (self.table, self.still)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """An ``embedding`` that is none, or no padding row."""
        if config["embedding"] not in self.EMBEDDINGS:
            yield f"embedding must be one of {', '.join(self.EMBEDDINGS)}; received {config['embedding']!r}"
        if config["pad_token_id"] is None:
            yield "pad_token_id must be given, since its row is 0 and never trained"

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Words uniform in ±0.25 (Kim 2014), both tables alike, padding 0; norms 1 and 0; weights and biases uniform in
        ±1 / sqrt(inputs), as torch's layers start."""
        if module.kind is EMBEDDING:
            value = uniform(seed, f"{self.table}.weight", shape, _UNKNOWN)
            value[config["pad_token_id"]] = 0.0
            return value
        if module.kind.norm:
            return np.full(shape, float(name.endswith(".weight")), np.float32)
        weight = module.kind.weight(module)
        assert weight is not None  # every other module of these families has one
        return uniform(seed, name, shape, float(np.prod(weight[1:])) ** -0.5)


class Classifier(WordFamily):
    """One vector for a text, and a linear layer on it."""

    architecture: ClassVar[str]

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Of whole texts alone."""
        if name != "sequence":
            return None
        return HeadLayout(
            f"{self.architecture}ForSequenceClassification", POOLED, "classifier", dropout=config["dropout"]
        )


def windows(path: str, inputs: int, filters: int, sizes: Sequence[int]) -> list[ModuleSpec]:
    """Convolutions of several widths side by side."""
    return [
        ModuleSpec(f"{path}.convolutions.{index}", CONVOLUTION, inputs, filters, arguments=Window((size,)))
        for index, size in enumerate(sizes)
    ]


def condensed(path: str, inputs: int, outputs: int) -> list[ModuleSpec]:
    """A norm, a linear layer, and a norm."""
    return [
        ModuleSpec(f"{path}.norm", LAYER_NORM, inputs, inputs),
        ModuleSpec(f"{path}.linear", LINEAR, inputs, outputs),
        ModuleSpec(f"{path}.output_norm", LAYER_NORM, outputs, outputs),
    ]


def sizes_problem(entry: str, value: Any, odd: bool = False) -> Iterator[str]:
    """Widths of convolutions that are none."""
    whole = isinstance(value, list | tuple) and all(isinstance(size, int) and size > 0 for size in value)
    if not whole or not value:
        yield f"{entry} must be a list of integers greater than 0; received {value!r}"
    elif odd and any(size % 2 == 0 for size in value):
        yield f"{entry} must be odd, so that a window has a middle; received {value!r}"


__all__ += ["Classifier", "condensed", "sizes_problem", "windows"]
