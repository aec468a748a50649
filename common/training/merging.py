"""A run as one model folder, with the adapter folded in."""

from __future__ import annotations

from pathlib import Path

from common.config import to_plain
from common.data import save_tokenizer
from common.errors import InputError
from common.exporting import is_export
from common.files import new_folder, refuse_existing, write_atomic
from common.methods.merge import merged_model
from common.models import structure, weights
from common.models.checkpoint import save_pretrained
from common.models.specs import ModelSpec
from common.training.assembly import Trained

__all__ = ["write_merged"]


def write_merged(
    trained: Trained,
    out: Path,
    dense: bool = False,
    dtype: str | None = None,
    shard_size: str | int = weights.SHARD_SIZE,
) -> dict[str, float]:
    """Write config.json, model.safetensors, the tokenizer and a card into ``out``; needs no framework.

    Args:
        dense: multiply out what a transform factored, so that ``transformers`` loads the folder.
        dtype: ``float32``, ``bfloat16`` or ``float16``, to which the weights are rounded; None rounds nothing.
        shard_size: of a file of weights, above which there are several: bytes, or such as ``5GB``.

    Returns:
        The relative rounding error of every merged weight.

    Raises:
        InputError: ``out`` exists, the adapter has no merged form, or the run is an exported model.
    """
    refuse_existing(out)
    if is_export(trained.run.path):
        raise InputError(f"{trained.run.path} is an exported model. Merge the run that it was made of.")
    spec, errors = merged_model(trained.plan, trained.spec, trained.arrays, dense)
    if dense:
        spec = structure.dense(spec)
    with new_folder(out) as folder:
        save_pretrained(folder, spec, spec.arrays, dtype, shard_size)
        save_tokenizer(trained.tokenizer, folder)
        _write_card(folder, trained, spec)
    return errors


def _write_card(folder: Path, trained: Trained, spec: ModelSpec) -> None:
    from common.sharing.card import CARD, Place, card_of
    from common.sharing.facts import facts_of

    summary = dict(trained.summary)
    model = {"parameters": spec.parameter_count(), **(summary.get("model") or {})}
    summary["model"] = {**model, "structural_edits": len(spec.edits)}
    settings = summary.get("settings") or to_plain(trained.config)
    facts = facts_of(summary, settings, whole=True, peft=False)
    write_atomic(folder / CARD, card_of(facts, Place(".", ".", "In this folder")))
