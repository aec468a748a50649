"""The contract of a head that may stand on every encoder: its options, and the layout that it gives a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from common.errors import InputError
from common.models.family import POOLED, Family, HeadLayout

__all__ = ["Readout", "ReadoutOptions", "bare"]


@dataclass(frozen=True)
class ReadoutOptions:
    """The entry ``model.task_options.head_options``. A head that has any derives a class with its fields."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it) for values of the right type that do not fit."""
        yield from ()


class Readout:
    """One head. Where it has modules of its own between the states and the output, ``READOUT`` of the backends' modules
    of its name computes them (`common.models.family.Reading`)."""

    name: ClassVar[str]
    Options: ClassVar[type[ReadoutOptions]] = ReadoutOptions

    def options(self, given: Mapping[str, Any]) -> Any:
        """Checked values of ``model.task_options.head_options``.

        Raises:
            InputError: everything that is wrong with them.
        """
        from common.config.convert import build

        faults: list[tuple[str, str]] = []
        found = build(self.Options, dict(given), (), lambda path, text: faults.append((".".join(path), text)), {})
        if not faults:
            faults += found.problems()
        if faults:
            raise InputError("; ".join(f"head_options.{entry} {text}" for entry, text in faults))
        return found

    def layout(
        self, given: Mapping[str, Any], own: HeadLayout, family: Family, config: Mapping[str, Any]
    ) -> HeadLayout:
        """The head on a network of ``family``.

        Args:
            given: as in `options`.
            own: the family's head for the task.

        Raises:
            InputError: the network gives one vector for a text and no states to read.
        """
        if own.position == POOLED:
            raise InputError(
                f"model.task_options.head: {self.name} reads the states of an encoder; a {family.name} network gives "
                "one vector for a text. Leave it out, or choose another network."
            )
        return self.on_states(self.options(given), own, family, config)

    def on_states(self, options: Any, own: HeadLayout, family: Family, config: Mapping[str, Any]) -> HeadLayout:
        """The same, of a network with states."""
        raise NotImplementedError

    @staticmethod
    def dropout(own: HeadLayout, family: Family, config: Mapping[str, Any]) -> float:
        """That of the family's own head, or of its hidden states where that has none."""
        return own.dropout or (config[family.DROPOUTS[0]] if family.DROPOUTS else 0.0)


def bare(architecture: str) -> str:
    """The network without a head, of one of ``transformers`` with one.

    Example:
        >>> bare("BertForSequenceClassification")
        'BertModel'
    """
    return architecture.partition("For")[0].removesuffix("Model") + "Model"
