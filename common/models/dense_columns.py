"""The trunk of two classifiers: columns of densely connected convolutions side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from common.models.modules import CONVOLUTION, ModuleSpec, Window
from common.models.words import TRAINED, Classifier, sizes_problem

__all__ = ["DenseColumns"]


class DenseColumns(Classifier):
    """Every level of a column reads all levels before it; a convolution of width 1 mixes the input with the last
    levels.

    ``kernel_sizes`` has a list for each level: the widths of its convolutions, one for each column.
    """

    SIZE = {"hidden": "embedding_size", "inner": "trunk_size"}
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "vocab_size": 20000,
        "embedding": TRAINED,
        "embedding_size": 300,
        "first_filters": 200,
        "filters": 100,
        "trunk_size": 400,
        "condensed_size": 256,
        "dropout": 0.3,
        "pad_token_id": 0,
    }

    def trunk(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """The convolutions, column by column."""
        path, width = f"{self.prefix}.trunk", config["embedding_size"]
        first, filters, levels = config["first_filters"], config["filters"], config["kernel_sizes"]
        columns, found = len(levels[0]), []
        for column in range(columns):
            inputs = width
            for index, sizes in enumerate(levels):
                outputs = filters if index else first
                place, window = f"{path}.columns.{column}.levels.{index}", Window((sizes[column],))
                found.append(ModuleSpec(place, CONVOLUTION, inputs, outputs, arguments=window))
                inputs = outputs + (inputs if index else 0)
        last = filters if len(levels) > 1 else first
        mixed = width + columns * last
        return [*found, ModuleSpec(f"{path}.mix", CONVOLUTION, mixed, config["trunk_size"], arguments=Window((1,)))]

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Levels of unequal numbers of columns, and widths that are none."""
        yield from super().problems(config, given)
        levels = config["kernel_sizes"]
        if not isinstance(levels, list) or not levels or not all(isinstance(sizes, list) for sizes in levels):
            yield f"kernel_sizes must be a list of lists, one for each level; received {levels!r}"
            return
        for index, sizes in enumerate(levels):
            yield from sizes_problem(f"kernel_sizes[{index}]", sizes, odd=True)
            if len(sizes) != len(levels[0]):
                yield f"kernel_sizes must have one width for each column in every level; received {levels!r}"

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With few filters."""
        found = super().tiny(**sizes)
        width = found["embedding_size"]
        return {**found, "first_filters": width, "filters": width // 2, "condensed_size": width}
