"""Parts of speech of words: by a plain rule for English, or by a trained run that tags words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError

__all__ = ["OPEN", "Tagger", "by_rule", "by_run"]

Tagger = Callable[[Sequence[Sequence[str]]], list[list[str]]]  #: words of several texts to their tags
OPEN = ("ADJ", "ADV", "NOUN", "NUM", "PROPN", "VERB")  #: classes of words, as UD names them, that others can stand for

_CLOSED = {
    "DET": "a an the this that these those every each some any no both all another such",
    "PRON": "i you he she it we they me him her us them my your his its our their who whom whose which what myself "
    "itself himself herself themselves something nothing everything anyone someone one there",
    "ADP": "of in to for with on at by from about as into like through after over between out against during without "
    "before under around among off up down than despite upon within toward towards beyond per",
    "CCONJ": "and or but nor yet so",
    "SCONJ": "if because while although though since unless until whether when where",
    "AUX": "is are was were be been being am do does did have has had can could will would shall should may might must "
    "'s 're 'm 've 'd 'll ca wo",
    "PART": "not n't to",
    "ADV": "very too also just only even more most never always often ever still again quite rather almost here now "
    "then well much how why far soon",
}
_WORDS = {word: tag for tag, listed in _CLOSED.items() for word in listed.split()}
_ENDINGS = (
    ("ADV", ("ly",)),
    ("NOUN", ("tion", "sion", "ness", "ment", "ity", "ance", "ence", "ship", "hood", "ism", "ist", "ure", "er", "or")),
    ("ADJ", ("ous", "ful", "ive", "able", "ible", "less", "ish", "ical", "ic", "al", "ant", "ent", "est", "y")),
    ("VERB", ("ing", "ed", "ize", "ise", "ify")),
)
_SHORTEST = 3  #: letters before an ending


def by_rule(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Closed classes by a list, numbers and marks by their characters, the rest by their ending; what has none is a
    noun.

    Example:
        >>> by_rule([["a", "gorgeous", "movie", "!"]])
        [['DET', 'ADJ', 'NOUN', 'PUNCT']]
    """
    return [[_tag(word) for word in words] for words in texts]


def _tag(word: str) -> str:
    lowered = word.lower()
    if not any(character.isalnum() for character in word):
        return "PUNCT"
    if any(character.isdigit() for character in word):
        return "NUM"
    if lowered in _WORDS:
        return _WORDS[lowered]
    for tag, endings in _ENDINGS:
        if any(lowered.endswith(ending) and len(lowered) >= len(ending) + _SHORTEST for ending in endings):
            return tag
    return "NOUN"


def by_run(path: str | Path, backend: str | None = None, device: str | None = None) -> Tagger:
    """The tags of a run of the task that tags words.

    Raises:
        InputError: the run is of another task.
    """
    import twinlora

    run = twinlora.open(path, backend, device)

    def tag(texts: Sequence[Sequence[str]]) -> list[list[str]]:
        rows: list[Any] = [{"words": list(words)} for words in texts]
        answers = run.predict(rows)
        if any("tags" not in answer for answer in answers):
            raise InputError(f"--tagger must be a run that tags words; {path} is none.")
        return [[tag or "X" for tag in answer["tags"]] for answer in answers]

    return tag
