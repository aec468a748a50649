"""Convolutions over all states of an encoder, as those of a classifier of words (`cnn-classifier`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.models.family import Family, HeadLayout, Reading
from common.models.words import condensed, sizes_problem, windows
from common.readouts.readout import Readout, ReadoutOptions, bare

__all__ = ["MEMBER", "Cnn", "CnnOptions"]

PATH = "cnn"  #: of its modules


@dataclass(frozen=True)
class CnnOptions(ReadoutOptions):
    """Sizes."""

    kernel_sizes: tuple[int, ...] = (2, 3, 4, 5, 6)  #: widths of the windows
    filters: int = 256  #: of every width
    condensed_size: int = 256  #: of the hidden layer

    def problems(self) -> Iterator[tuple[str, str]]:
        """Sizes that are none."""
        yield from (
            ("kernel_sizes", text.removeprefix("kernel_sizes "))
            for text in sizes_problem("kernel_sizes", self.kernel_sizes)
        )
        for name in ("filters", "condensed_size"):
            if getattr(self, name) < 1:
                yield name, f"must be greater than 0; received {getattr(self, name)}"


class Cnn(Readout):
    """Windows of several widths, the largest answer of every filter, a norm, a linear layer and another norm."""

    name = "cnn"
    Options = CnnOptions

    def on_states(self, options: CnnOptions, own: HeadLayout, family: Family, config: Mapping[str, Any]) -> HeadLayout:
        """Windows and the hidden layer."""
        width, size, dropout = family.backbone(config).width, options.condensed_size, self.dropout(own, family, config)
        modules = (
            *windows(f"{PATH}.windows", width, options.filters, options.kernel_sizes),
            *condensed(f"{PATH}.condensed", options.filters * len(options.kernel_sizes), size),
        )
        reading = Reading(self.name, PATH, modules, size, {**vars(options), "dropout": dropout})
        return HeadLayout(
            bare(own.architecture), reading.position, "classifier", named=False, dropout=dropout, reading=reading
        )


MEMBER = Cnn()
