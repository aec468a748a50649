"""The licence that the card of a model names."""

from __future__ import annotations

import re
from pathlib import Path

from common.data.sources import resolve_folder
from common.errors import InputError

__all__ = ["licence_of"]

_LARGEST = 2**20  #: bytes of a card


def licence_of(source: str | None) -> str | None:
    """The licence's identifier in the card (``README.md``) of a model that is here, such as ``apache-2.0``; None where
    there is no card, or it names none. Nothing is downloaded."""
    card = _card(source) if source else None
    if card is None:
        return None
    from huggingface_hub.repocard import metadata_load

    try:
        found = (metadata_load(card) or {}).get("license") if card.stat().st_size <= _LARGEST else None
    except Exception:  # a card that others wrote: whatever is wrong with it, it names no licence
        return None
    return found if isinstance(found, str) and re.fullmatch(r"[\w.+-]{1,60}", found) else None


def _card(source: str) -> Path | None:
    try:
        folder = resolve_folder(source)
    except InputError:
        return None
    if folder is None:
        return _card_of_the_hub(source)
    return folder / "README.md" if (folder / "README.md").is_file() else None


def _card_of_the_hub(name: str) -> Path | None:
    """The card that came with a model of the hub when it was downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "README.md")
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None
