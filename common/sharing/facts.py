"""What a card says of a run, read off its summary, which older versions may have written with fewer entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common import modelscope
from common.data import DATASETS
from common.data.registry import HUB
from common.data.sources import hub_id
from common.methods import METHODS
from common.sharing.licence import licence_of
from common.tasks import TASKS

__all__ = ["Facts", "facts_of", "in_peft_format"]

#: what the network of a task is called by ``transformers``, and its kind on the hub, by the head that the task uses
_NETWORKS = {
    "sequence": ("AutoModelForSequenceClassification", "text-classification"),
    "token": ("AutoModelForTokenClassification", "token-classification"),
    "causal": ("AutoModelForCausalLM", "text-generation"),
    "masked": ("AutoModelForMaskedLM", "fill-mask"),
}


@dataclass(frozen=True)
class Facts:
    """One adapter or model.

    Args:
        base: the base model as the experiment names it; None for one from scratch.
        base_id: its id on the hub; None where it has none that is known.
        network: the class of ``transformers`` that has its head; None where there is none.
        peft: whether PEFT reads the adapter.
        plain: whether the network is one that ``transformers`` has, without structural edits.
        entries: of the base model's configuration that the experiment changes.
    """

    name: str
    backend: str
    task: str
    method: str
    whole: bool
    peft: bool
    plain: bool
    base: str | None
    base_id: str | None
    licence: str | None
    network: str | None
    pipeline: str | None
    labels: tuple[str, ...]
    added: bool
    data: str
    data_id: str | None
    data_config: str | None
    summary: Mapping[str, Any] = field(repr=False)
    entries: Mapping[str, Any] = field(default_factory=dict)
    agreement: str | None = None


def facts_of(
    summary: Mapping[str, Any],
    settings: Mapping[str, Any],
    whole: bool,
    peft: bool,
    base_id: str | None = None,
    agreement: str | None = None,
) -> Facts:
    """Facts of a run.

    Args:
        summary: its ``summary.json``.
        settings: its configuration as plain data.
        whole: whether the model is stored, with the adapter merged or trained as a whole.
        peft: whether the adapter's format is PEFT's.
        base_id: id of the base model on the hub, where the user names it.
        agreement: a sentence of how the run agrees with that of the other backend.
    """
    model, data = settings["model"], settings["data"]
    source = model.get("source")
    network, pipeline = _NETWORKS.get(TASKS.get(model["task"]).head, (None, None))
    data_id, data_config = _data_of_the_hub(data)
    return Facts(
        name=str(settings.get("name")),
        backend=str(summary.get("backend")),
        task=model["task"],
        method=settings["adaptation"]["method"],
        whole=whole,
        peft=peft,
        plain=not (summary.get("model") or {}).get("structural_edits"),
        base=source,
        base_id=base_id or hub_id(source),
        licence=licence_of(base_id or source),
        network=network,
        pipeline=pipeline,
        labels=tuple(map(str, (summary.get("data") or {}).get("labels") or ())),
        added=bool(model.get("add_tokens")),
        data=data["name"],
        data_id=data_id,
        data_config=data_config,
        summary=summary,
        entries=(model.get("config") or {}) if source else {},
        agreement=agreement,
    )


def _data_of_the_hub(data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Id and configuration of a data set on the Hugging Face hub; None where it is not from there."""
    if data["name"] == HUB:
        name = data.get("hub") or ""
        return (None, None) if name.startswith(modelscope.PREFIX) else (name or None, data.get("hub_config"))
    entry = DATASETS.get(data["name"])
    return (entry.hub or None, entry.hub_config) if entry else (None, None)


def in_peft_format(method: str, settings: Mapping[str, Any]) -> bool:
    """Whether PEFT reads an adapter.

    Args:
        settings: its ``adapter_config.json``.
    """
    return METHODS.get(method).peft is not None and bool(settings.get("peft_type"))
