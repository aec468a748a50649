"""Changed copies of texts (Tang et al. 2019): words are masked or exchanged for others of the same part of speech, then
a few in a row are masked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.augmentation.tagging import OPEN
from common.random import Stream

__all__ = ["Augmentation", "Changes", "Vocabulary", "changed"]


@dataclass(frozen=True)
class Augmentation:
    """How texts are changed."""

    mask: float = 0.1  #: probability of a word to be masked
    same: float = 0.1  #: or to be exchanged for one of the same part of speech
    most: float = 0.5  #: share of the words of a text that are masked or exchanged at most, one by one
    run: float = 0.25  #: probability of a text that words in a row are masked as well
    longest: int = 5  #: words of such a row at most
    copies: int = 20  #: changed copies of every text, before equal ones are left out

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it)."""
        for name in ("mask", "same", "most", "run"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                yield name, f"must be between 0 and 1; received {value!r}"
        if self.mask + self.same > 1:
            yield "mask", f"and same must be at most 1 together; received {self.mask} and {self.same}"
        if not (self.mask + self.same) * self.most and not self.run:
            yield "mask", "same and run are 0, so that nothing is changed"
        for name in ("longest", "copies"):
            if getattr(self, name) < 1:
                yield name, f"must be at least 1; received {getattr(self, name)}"


@dataclass
class Changes:
    """How many words were seen and changed; statistics of a whole data set."""

    words: int = 0
    masked: int = 0
    exchanged: int = 0
    texts: int = 0
    runs: int = 0
    in_runs: int = 0


@dataclass(frozen=True)
class Vocabulary:
    """The words of a data set by part of speech, as often as they occur."""

    words: Mapping[str, tuple[str, ...]] = field(repr=False)
    sums: Mapping[str, np.ndarray] = field(repr=False)  #: of their counts

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Vocabulary:
        """Open classes alone: articles and the like are not exchanged."""
        counts: dict[str, Counter[str]] = {}
        for words, listed in zip(texts, tags, strict=True):
            for word, tag in zip(words, listed, strict=True):
                if tag in OPEN:
                    counts.setdefault(tag, Counter())[word] += 1
        ordered = {tag: sorted(found.items()) for tag, found in counts.items()}
        known = {tag: tuple(word for word, _ in found) for tag, found in ordered.items()}
        return cls(known, {tag: np.cumsum([count for _, count in found]) for tag, found in ordered.items()})

    def other(self, word: str, tag: str, share: float) -> str | None:
        """Another word of the same part of speech, in proportion to how often it occurs; None where there is none.

        Args:
            share: from 0 to 1, which decides.
        """
        known = self.words.get(tag, ())
        if not known or known == (word,):
            return None
        sums, own = self.sums[tag], bisect_left(known, word)
        before = int(sums[own - 1]) if own else 0
        count = int(sums[own]) - before if own < len(known) and known[own] == word else 0
        place = share * (int(sums[-1]) - count)
        place += count if place >= before else 0  # past the word itself
        return known[min(int(np.searchsorted(sums, place, side="right")), len(known) - 1)]


def changed(
    words: Sequence[str],
    tags: Sequence[str],
    vocabulary: Vocabulary,
    mask: str,
    how: Augmentation,
    stream: Stream,
    changes: Changes,
) -> list[str]:
    """A changed copy of a text. A word of it stays as it is at least, so that no text becomes one of masks alone.

    Args:
        mask: what stands for a masked word.
        changes: to which what is done is added.
    """
    found, count = list(words), len(words)
    left = int(how.most * count) if count > 1 else 0
    kept = set(range(count))
    changes.texts += 1
    changes.words += count
    for place in _order(count, stream):
        if left == 0:
            break
        drawn = stream.share()
        other = mask if drawn < how.mask else None
        if how.mask <= drawn < how.mask + how.same:
            other = vocabulary.other(words[place], tags[place], stream.share())
        if other is not None:
            changes.masked += other is mask
            changes.exchanged += other is not mask
            found[place] = other
            kept.discard(place)
            left -= 1
    if stream.share() < how.run:
        length = 1 + int(stream.share() * min(how.longest, count // 2)) if count > 1 else 0
        start = int(stream.share() * (count - length + 1))
        places = set(range(start, start + length))
        if length and kept - places:
            changes.runs += 1
            changes.in_runs += length
            for place in places:
                found[place] = mask
    return found


def _order(count: int, stream: Stream) -> list[int]:
    """All places, shuffled (Fisher and Yates)."""
    places = list(range(count))
    for last in range(count - 1, 0, -1):
        other = stream.below(last + 1)
        places[last], places[other] = places[other], places[last]
    return places
