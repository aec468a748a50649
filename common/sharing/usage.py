"""How an adapter or model is loaded, as code that runs as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.sharing.facts import Facts

__all__ = ["Place", "usage"]


@dataclass(frozen=True)
class Place:
    """Where the files are, seen from whoever reads the card.

    Args:
        folder: of the artifact.
        tokenizer: of the tokenizer.
        said: how the folder is introduced.
        remote: whether it is a repository of a hub.
    """

    folder: str
    tokenizer: str
    said: str
    remote: bool = False


def usage(facts: Facts, place: Place) -> Iterator[str]:
    """Paragraphs of Markdown."""
    code = _whole(facts, place) if facts.whole else _adapter(facts, place)
    if code:
        yield f"{place.said}, with {'transformers' if facts.whole else 'PEFT and transformers'}:"
        yield "```python\n" + "\n".join(code) + "\n```"
    elif not facts.plain:
        yield "The base model has layers that transformers does not have, so that twinlora alone loads it."
    elif not facts.whole and not facts.peft:
        yield f"PEFT has no method `{facts.method}`, so that twinlora alone loads it."
    yield "With twinlora, in PyTorch or MindSpore:"
    yield "```sh\n" + "\n".join(_here(facts, place)) + "\n```"


def _labelled(facts: Facts) -> str:
    """Keyword arguments that give the head its classes."""
    if facts.labels:
        return f", num_labels={len(facts.labels)}, id2label={dict(enumerate(facts.labels))!r}"
    return ", num_labels=1" if facts.pipeline == "text-classification" else ""


def _adapter(facts: Facts, place: Place) -> list[str]:
    if not (facts.peft and facts.plain and facts.network and facts.base):
        return []
    changed = "".join(f", {key}={value!r}" for key, value in facts.entries.items() if key.isidentifier())
    base = facts.base_id or "BASE_MODEL"
    remark = "" if facts.base_id else "  # its folder"
    lines = [
        "from peft import PeftModel",
        f"from transformers import AutoTokenizer, {facts.network}",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({place.tokenizer!r})",
        f"base = {facts.network}.from_pretrained({base!r}{_labelled(facts)}{changed}){remark}",
        "base.config.pad_token_id = tokenizer.pad_token_id",
    ]
    if facts.added:
        lines.append("base.resize_token_embeddings(len(tokenizer))")
    return [*lines, f"model = PeftModel.from_pretrained(base, {place.folder!r}).eval()"]


def _whole(facts: Facts, place: Place) -> list[str]:
    if not (facts.plain and facts.network):
        return []
    return [
        f"from transformers import AutoTokenizer, {facts.network}",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({place.tokenizer!r})",
        f"model = {facts.network}.from_pretrained({place.folder!r}).eval()",
    ]


def _here(facts: Facts, place: Place) -> Iterator[str]:
    folder = place.folder
    if place.remote:
        folder = place.folder.partition("/")[2]
        yield f"hf download {place.folder} --local-dir {folder}"
    if facts.whole:
        yield f"twinlora train EXPERIMENT --model {folder} --backend mindspore    # trains it further"
    else:
        base = facts.base_id or "BASE_MODEL"
        yield f"twinlora predict {folder} --model {base} --backend mindspore    # one text a line"
