"""The page of a document as a network read it: sentences with their weights, and words shaded by theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomic
from common.language import translated
from common.report.elements import Html, details, escape, legend, note, page, section, table

if TYPE_CHECKING:
    from common.training.documents import Document, ReadSentence

__all__ = ["document_page"]

_LISTED = 20  #: words of the table


def document_page(found: Document, title: str, out: Path) -> Path:
    """Write one self-contained HTML file, in the language of the block (`common.language.speaking`), and return its
    path.

    A sentence's bar is as long as its weight is beside the largest; a word is as dark as its weight is beside the
    largest of its sentence.
    """
    largest = max(sentence.weight for sentence in found.sentences)
    lead = translated("The model's answer: {answer}", answer=found.answer.plain.replace("\t", ", "))
    keys = legend(
        (("a", translated("weight of the sentence")), ("b", translated("weight of the word in its sentence")))
    )
    listed = Html("".join(_sentence(sentence, largest) for sentence in found.sentences))
    about = translated("The weights of the sentences have the sum 1, and so have those of the words of each sentence.")
    write_atomic(out, page(title, lead, section(translated("The text"), note(about), keys, listed), _words(found)))
    return out


def _sentence(sentence: ReadSentence, largest: float) -> Html:
    most = max(word.weight for word in sentence.words)
    words = "".join(_word(word.text, word.weight, word.weight / most) for word in sentence.words)
    bar = f'<span style="--w: {sentence.weight / largest:.3f}"></span>'
    return Html(f'<div class="read"><div><b>{sentence.weight:.3f}</b>{bar}</div><p>{words}</p></div>')


def _word(text: str, weight: float, share: float) -> str:
    inside = text.rstrip()
    shade = f"background: color-mix(in srgb, var(--b) calc({share:.3f} * var(--most)), transparent)"
    return f'<mark style="{shade}" title="{weight:.3f}">{escape(inside)}</mark>{escape(text[len(inside) :])}'


def _words(found: Document) -> Html:
    """Those that count most for the whole: the weight in the sentence times the sentence's."""
    every = [
        (s.weight * word.weight, word, number, s) for number, s in enumerate(found.sentences, 1) for word in s.words
    ]
    every.sort(key=lambda one: -one[0])
    rows = [
        (word.text.strip(), number, f"{s.weight:.3f}", f"{word.weight:.3f}", f"{product:.4f}")
        for product, word, number, s in every[:_LISTED]
    ]
    head = (
        translated("word"),
        translated("sentence"),
        translated("weight of the sentence"),
        translated("weight of the word in its sentence"),
        translated("product"),
    )
    return details(translated("Words with the largest weights"), table(head, rows))
