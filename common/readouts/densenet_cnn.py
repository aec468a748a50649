"""Densely connected convolutions over all states of an encoder, and the head `cnn` on what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.models.dense_columns import DenseColumns
from common.models.family import Family, HeadLayout, Reading
from common.models.modules import LAYER_NORM, ModuleSpec
from common.models.words import condensed, sizes_problem, windows
from common.readouts.readout import Readout, ReadoutOptions, bare

__all__ = ["MEMBER", "DenseNetCnnOptions"]

PATH = "densenet_cnn"  #: of its modules


@dataclass(frozen=True)
class DenseNetCnnOptions(ReadoutOptions):
    """Sizes."""

    kernel_sizes: tuple[tuple[int, ...], ...] = ((1, 1), (3, 3), (3, 5), (3, 7), (3, 9))  #: of each level, one a column
    first_filters: int = 200  #: of the first level
    filters: int = 100  #: of every other level
    trunk_size: int = 400  #: of what the columns give together
    window_sizes: tuple[int, ...] = (2, 3, 4)  #: widths of the windows
    window_filters: int = 256  #: of every width
    condensed_size: int = 256  #: of the hidden layer

    def problems(self) -> Iterator[tuple[str, str]]:
        """Sizes that are none."""
        levels = self.kernel_sizes
        odd = all(size % 2 == 1 and size > 0 for level in levels for size in level)
        if not levels or not levels[0] or len({len(level) for level in levels}) > 1 or not odd:
            yield (
                "kernel_sizes",
                f"must be lists of odd integers, one for each level and equally long; received {[*map(list, levels)]}",
            )
        yield from (
            ("window_sizes", text.removeprefix("window_sizes "))
            for text in sizes_problem("window_sizes", self.window_sizes)
        )
        for name in ("first_filters", "filters", "trunk_size", "window_filters", "condensed_size"):
            if getattr(self, name) < 1:
                yield name, f"must be greater than 0; received {getattr(self, name)}"


class _Trunk(DenseColumns):
    """The trunk of the classifier, over the states of an encoder."""

    prefix = PATH


class DenseNetCnn(Readout):
    """Columns of densely connected convolutions, a norm, windows and the hidden layer."""

    name = "densenet_cnn"
    Options = DenseNetCnnOptions

    def on_states(
        self, options: DenseNetCnnOptions, own: HeadLayout, family: Family, config: Mapping[str, Any]
    ) -> HeadLayout:
        """Trunk, norm, windows and the hidden layer."""
        dropout, sizes = self.dropout(own, family, config), vars(options)
        trunk, filters, size = options.trunk_size, options.window_filters, options.condensed_size
        modules = (
            *_Trunk().trunk({**sizes, "embedding_size": family.backbone(config).width}),
            ModuleSpec(f"{PATH}.trunk_norm", LAYER_NORM, trunk, trunk),
            *windows(f"{PATH}.windows", trunk, filters, options.window_sizes),
            *condensed(f"{PATH}.condensed", filters * len(options.window_sizes), size),
        )
        reading = Reading(self.name, PATH, modules, size, {**sizes, "dropout": dropout})
        return HeadLayout(
            bare(own.architecture), reading.position, "classifier", named=False, dropout=dropout, reading=reading
        )


MEMBER = DenseNetCnn()
