"""Words and a tag for each: reading them, and aligning the tags with the tokens that the words become."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend.batch import IGNORE
from common.chains import SCHEMES, converted, departure, scheme_names, scheme_of
from common.data.encoding import Columns, Ragged
from common.data.readers import Table
from common.data.roles import Reading, Role
from common.errors import InputError, nearest

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

__all__ = ["NO_TAG", "TAGS", "WORDS", "encode_words", "spans_in", "spans_only", "tag_names"]

NO_TAG = "_"  #: CoNLL-U's mark of a word without a tag; it is read, and no target
_CHUNK = 1000


def _lists(table: Table, reading: Reading) -> Iterator[tuple[int, list[Any]]]:
    for row, value in enumerate(table.column(reading.accepted)):
        if not isinstance(value, list) or not value:
            raise InputError(
                f"{table.where(row)}: a list of at least one item was expected in column {reading.accepted[-1]}; "
                f"found {value!r}. Correct or remove the row."
            )
        yield row, value


def read_words(table: Table, reading: Reading) -> list[list[str]]:
    """The words of every sentence.

    Raises:
        InputError: a row is no list of words, or a word is empty.
    """
    sentences = []
    for row, words in _lists(table, reading):
        for position, word in enumerate(words, 1):
            if not isinstance(word, str) or not word:
                raise InputError(f"{table.where(row)}: word {position} must be text and not empty; found {word!r}.")
        sentences.append(words)
    return sentences


def read_tags(table: Table, reading: Reading) -> list[list[int]]:
    """The index of every word's tag, or IGNORE for a word without one; empty where the tags of a test split may be
    missing and are.

    Raises:
        InputError: a row is no list of tags, or a tag is unknown.
    """
    if reading.unpublished and set(reading.accepted).isdisjoint(table.columns):
        return []
    indices = {name: index for index, name in enumerate(reading.label_names)}
    numbered = _numbered(table, reading.accepted) or reading.numbered
    known: dict[object, int | None] = dict(indices.items())
    known |= {number: indices.get(name) for number, name in enumerate(numbered)}
    known[NO_TAG] = IGNORE
    sentences = []
    for row, tags in _lists(table, reading):
        sentence = []
        for position, tag in enumerate(tags, 1):
            number = None if isinstance(tag, bool) else known.get(tag)
            if number is None:
                raise InputError(
                    f"{table.where(row)}: the tag of word {position} must be one of {', '.join(reading.label_names)}; "
                    f"found {tag!r}.{nearest(str(tag), reading.label_names)}"
                )
            sentence.append(number)
        sentences.append(sentence)
    return sentences


def spans_in(scheme: str) -> Callable[[Table, Reading], list[list[int]]]:
    """`read_tags` of tags that mark the same spans in ``scheme`` (`common.chains`); the data's may be of any."""

    def read(table: Table, reading: Reading) -> list[list[int]]:
        every = scheme_names(reading.label_names, SCHEMES[-1])
        numbers = {name: number for number, name in enumerate(reading.label_names)}
        sentences = []
        for tags in read_tags(table, replace(reading, label_names=every)):
            named = converted([None if tag == IGNORE else every[tag] for tag in tags], scheme)
            sentences.append([IGNORE if tag is None else numbers[tag] for tag in named])
        return sentences

    return read


def spans_only(table: Table, reading: Reading) -> list[list[int]]:
    """`read_tags` of tags that mark spans in one of the two schemes, which their names tell.

    Raises:
        InputError: a sentence is tagged in another scheme, as in IOB1, of which a span begins with B- only behind
            another one of its type. Those of a test split may be: they are scored, and not learned.
    """
    names, sentences = reading.label_names, read_tags(table, reading)
    if reading.unpublished:
        return sentences
    scheme = scheme_of(names)
    found = ([None if tag == IGNORE else names[tag] for tag in tags] for tags in sentences)
    broken = [(row, what) for row, tags in enumerate(found) if (what := departure(tags, scheme))]
    if broken:
        row, what = broken[0]
        raise InputError(
            f"model.task_options.constrained decodes spans of the scheme {scheme}, as which these tags were taken; "
            f"{table.where(row)} has {what}, and {len(broken)} of {len(sentences)} sentences depart from it. Set "
            f"model.task_options.scheme to {' or '.join(SCHEMES)}, in which the spans are written anew, or leave "
            "constrained out."
        )
    return sentences


def tag_names(tables: Sequence[Table], accepted: Sequence[str]) -> tuple[str, ...]:
    """The names that the training data carry with their numbers, or the sorted tags that occur in them.

    Raises:
        InputError: tags are numbers without names, or there are fewer than two.
    """
    published = _numbered(tables[0], accepted)
    if published:
        return tuple(name for name in published if name != NO_TAG)
    found = {tag for table in tables for tags in table.column(accepted) for tag in tags} - {NO_TAG}
    if not all(isinstance(tag, str) for tag in found):
        raise InputError(
            f"{tables[0].source}: tags must be names, or numbers in a parquet file that holds their names; found "
            f"{', '.join(sorted(map(repr, found))[:5])}."
        )
    if len(found) < 2:
        raise InputError(
            f"Tags of words need at least two names; column {accepted[0]} of {tables[0].source} has "
            f"{', '.join(sorted(found)) or 'none'}."
        )
    return tuple(sorted(found))


def _numbered(table: Table, accepted: Sequence[str]) -> tuple[str, ...]:
    column = next((name for name in accepted if name in table.columns), None)
    return () if column is None else table.classes.get(column, ())


WORDS = Role("words", "text_column", read_words)
TAGS = Role("tags", "label_column", read_tags, target=True)


def encode_words(rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Columns, int]:
    """Tokens of the words of each sentence, truncated to ``max_length``, and their tags.

    Columns along the sequence: ``input_ids``; ``labels``, the tag at a word's first token and IGNORE elsewhere;
    ``words``, the number of the word at its first token and -1 elsewhere. ``tags`` has one value a word: its tag, or
    IGNORE. Words without a token (cut off, or nothing to the tokenizer, as a lone zero-width space is to BERT's) are in
    ``tags`` alone.

    Returns:
        The columns, and the number of sentences of which tokens were cut off.

    Raises:
        InputError: ``max_length`` leaves no room beside the special tokens, a sentence has not one tag for each word,
            or none of its words has a token.
    """
    special = tokenizer.num_special_tokens_to_add(pair=False)
    if max_length <= special:
        raise InputError(
            f"data.max_length must exceed the {special} special tokens of the tokenizer; received {max_length}."
        )
    sentences = list(rows["words"])
    tags = list(rows["tags"]) if "tags" in rows.column_names else [[IGNORE] * len(words) for words in sentences]
    _check(sentences, tags)
    ids, labels, firsts, truncated = [], [], [], 0
    for row, (sequence, owners) in enumerate(_tokens(sentences, tokenizer, max_length)):
        truncated += len(sequence) > max_length
        starts = _first_tokens(owners)
        if not len(sequence) or (sentences[row] and (starts < 0).all()):
            raise InputError(f"Example {row + 1}: the tokenizer finds no token in {sentences[row]!r}. Remove it.")
        of_tags = np.asarray(tags[row] or [IGNORE], np.int32)
        ids.append(np.asarray(sequence[:max_length], np.int32))
        labels.append(np.where(starts >= 0, of_tags[starts], IGNORE).astype(np.int32))
        firsts.append(starts)
    columns = {"input_ids": ids, "labels": labels, "words": firsts, "tags": [np.asarray(t, np.int32) for t in tags]}
    return {name: Ragged.of(parts) for name, parts in columns.items()}, truncated


def _check(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[int]]) -> None:
    for row, (words, of_words) in enumerate(zip(sentences, tags, strict=True), 1):
        if len(words) != len(of_words):
            raise InputError(f"Example {row}: every word needs one tag; it has {len(words)} and {len(of_words)}.")


def _tokens(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Iterator[tuple[list[int], list[int | None]]]:
    """(ids, the word of each of those that are kept) of every sentence; ids that were cut off count, and are -1."""
    with _spaced(tokenizer):
        for start in range(0, len(sentences), _CHUNK):
            part = list(sentences[start : start + _CHUNK])
            whole = tokenizer(part, is_split_into_words=True, verbose=False)
            for row, ids in enumerate(whole["input_ids"]):
                if len(ids) <= max_length:
                    yield ids, whole.word_ids(row)
                    continue
                # The special tokens at the end (of BERT, [SEP]) must survive, so the tokenizer itself truncates.
                cut = tokenizer([part[row]], is_split_into_words=True, truncation=True, max_length=max_length)
                owners = cut.word_ids(0)
                if tokenizer.truncation_side == "left":
                    owners = _begun(owners, whole.word_ids(row))
                yield cut["input_ids"][0] + [-1] * (len(ids) - max_length), owners


def _begun(kept: list[int | None], owners: Sequence[int | None]) -> list[int | None]:
    """The words of the tokens that are left of a sentence; None also for the rest of a word of which the beginning is
    cut off."""
    first = next((owner for owner in kept if owner is not None), None)
    whole = kept.count(first) == owners.count(first)
    return [None if owner == first and not whole else owner for owner in kept]


def _first_tokens(owners: Sequence[int | None]) -> np.ndarray:
    """(tokens,) int32: the word that begins with a token; -1 for special tokens and the rest of words."""
    numbers = np.array([-1 if owner is None else owner for owner in owners], np.int32)
    before = np.concatenate([np.full(1, -1, np.int32), numbers[:-1]])
    return np.where(numbers != before, numbers, -1).astype(np.int32)


@contextmanager
def _spaced(tokenizer: PreTrainedTokenizerFast) -> Iterator[None]:
    """A byte-level tokenizer takes each word with the space before it, as in text (``add_prefix_space``), so that a
    word has the tokens it was pretrained with."""
    parts = _levels(tokenizer.backend_tokenizer.pre_tokenizer)
    levels = [level for level in parts if getattr(level, "add_prefix_space", None) is False]
    for level in levels:
        level.add_prefix_space = True
    try:
        yield
    finally:
        for level in levels:
            level.add_prefix_space = False


def _levels(pre_tokenizer: Any) -> Iterator[Any]:
    """The parts of a sequence of pre-tokenizers, or the one that there is."""
    from tokenizers.pre_tokenizers import Sequence as Several

    if not isinstance(pre_tokenizer, Several):
        yield pre_tokenizer
        return
    for index in itertools.count():
        try:
            yield pre_tokenizer[index]
        except IndexError:  # it has no length
            return
