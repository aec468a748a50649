r"""Tokens as the scripts of evaluation campaigns make them.

`mteval` is the tokenization of NIST's mteval-v13a, lower-cased, as the E2E challenge's script applies it for BLEU and
NIST. `penn` follows Stanford's PTBTokenizer 3.4.1 with the punctuation removed, lower-cased, which that script (by
coco-caption) applies for ROUGE-L, CIDEr and METEOR.
"""

from __future__ import annotations

import re

__all__ = ["mteval", "penn"]

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_MTEVAL = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),  # but not after a digit
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),  # nor before one
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def mteval(text: str) -> list[str]:
    """Lower-cased tokens of mteval-v13a; of an empty text one empty token, as there."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in _MTEVAL:
        text = pattern.sub(replacement, text)
    return [token.lower() for token in re.sub(r"\s+", " ", text).strip().split(" ")]


_ABBREVIATIONS = """
    mr. mrs. ms. dr. prof. sr. jr. st. rev. hon. gen. gov. lt. col. maj. sgt. capt. sen. rep. inc. ltd. co. corp. bros.
    vs. etc. e.g. i.e. cf. al. ave. blvd. rd. mt. ft. vol. pp. fig. jan. feb. mar. apr. jun. jul. aug. sep. sept. oct.
    nov. dec. mon. tue. wed. thu. fri. sat. sun. u.s. u.k. u.n. a.m. p.m.
"""
_SPECIAL = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "£": "#", "€": "$"}
_LETTERS = "A-Za-zÀ-ɏ"
_PIECES = re.compile(
    rf"""(?:[{_LETTERS}]\.){{2,}}                                        # U.S.
      | (?<![\w.])[A-Z]\.(?=\s+\S)                                     # the J. of J. Smith
      | \d+(?:[.,:]\d+)*(?:[{_LETTERS}]*\b|(?=m\b|mm\b|kg\b))(?:[-/&][{_LETTERS}0-9]+)+   # 5-star  08/26
      | [+-]?\d+[.,]\d+(?:[.,]\d+)*                                   # 8.3 of 8.3m
      | [+-]?\d+(?:[{_LETTERS}0-9]+)?                                  # 5th
      | [.]\d+
      | '[ns](?=\s)                                                   # rock 'n roll
      | [{_LETTERS}0-9]+(?:[-_&/@'\u2019.][{_LETTERS}0-9]+)*   # family-friendly
      | \.{{2,}} | -{{2,}} | ``| '' | \S""",
    re.VERBOSE,
)
_KNOWN = frozenset(_ABBREVIATIONS.split())
_CLITIC = re.compile(r"(?i)^(.+?)(n['\u2019]t|['\u2019](?:s|m|d|re|ve|ll))$")
_JOINED = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na")}
_REMOVED = frozenset(
    [
        "''",
        "'",
        "``",
        "`",
        ".",
        "?",
        "!",
        ",",
        ":",
        "-",
        "--",
        "...",
        ";",
        '"',
        "\u2019",
        "\u2018",
        "\u201c",
        "\u201d",
        "..",
        "\u2013",
        "\u2014",
    ]
)


def penn(text: str) -> list[str]:
    """Lower-cased tokens of the Penn treebank without punctuation."""
    found: list[str] = []
    for match in _PIECES.finditer(text):
        found += _split(match[0].lower())
    return [token for token in _abbreviated(found) if token not in _REMOVED]


def _split(piece: str) -> list[str]:
    clitic = _CLITIC.match(piece)
    if clitic:
        return [*_split(clitic[1]), clitic[2].replace("\u2019", "'")]
    return list(_JOINED.get(piece, (_SPECIAL.get(piece, piece),)))


def _abbreviated(tokens: list[str]) -> list[str]:
    """With the full stop at known abbreviations."""
    return [
        f"{token}." if f"{token}." in _KNOWN and place + 1 < len(tokens) and tokens[place + 1] == "." else token
        for place, token in enumerate(tokens)
    ]
