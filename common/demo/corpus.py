"""Real English text that every Python installation carries, as two domains: nothing is downloaded and nothing is
shipped.
 ``docstrings`` is the prose of the standard library's docstrings, one document per module, read from the source without
importing it. ``reference`` is the prose of the language reference behind ``help()``, one document per topic. The text
depends on the Python version only.
"""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import write_atomic

__all__ = ["Domain", "gather", "paragraphs", "write_domain"]

SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "dist-packages", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests", "turtledemo"}
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
HELD_OUT_IN = 10  # one document in ten is held out
TYPOGRAPHY = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
        "\u00a0": " ",
    }
)


@dataclass(frozen=True)
class Domain:
    """Paragraphs of one kind of text; no paragraph stands twice, in one split or across splits and domains."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]  #: of documents of which nothing is in ``train``

    @property
    def characters(self) -> int:
        """Length of the training text."""
        return sum(map(len, self.train))


def gather() -> tuple[Domain, Domain]:
    """Return the domains ``docstrings`` and ``reference``, the same in every call.

    Raises:
        InputError: this Python installation lacks the standard library's source or the language reference.
    """
    seen: set[str] = set()  # the smaller domain goes first and keeps what both contain
    reference = _split("reference", _topics(), seen)
    return _split("docstrings", _docstrings(Path(sysconfig.get_path("stdlib"))), seen), reference


def write_domain(domain: Domain, folder: Path) -> Path:
    """Write ``train.txt`` and ``validation.txt``, one paragraph a line, into a folder of the domain's name, and return
    that folder."""
    for split in ("train", "validation"):
        write_atomic(
            folder / domain.name / f"{split}.txt", "".join(paragraph + "\n" for paragraph in getattr(domain, split))
        )
    return folder / domain.name


def paragraphs(text: str) -> list[str]:
    """The prose of ``text``, one string without line breaks per paragraph; code, tables, grammar and headings are left
    out."""
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text.translate(TYPOGRAPHY)))
    return [block for block in blocks if _is_prose(block)]


def _is_prose(block: str) -> bool:
    """A capital first, the end of a sentence last, at least six words, and hardly anything but letters in between."""
    if not re.fullmatch(r"[A-Z\"'*].*[.:!?)]", block) or ">>>" in block or "::=" in block or len(block.split()) < 6:
        return False
    plain = sum(character.isalpha() or character in " ,.'" for character in block)
    return block.isascii() and plain >= 0.9 * len(block)


def _split(name: str, documents: Mapping[str, Iterable[str]], seen: set[str]) -> Domain:
    """Hold out documents by a checksum of their name, which a new document in a later Python does not change."""
    held_out = {title for title in documents if zlib.crc32(title.encode()) % HELD_OUT_IN == 0}
    parts: dict[str, list[str]] = {"validation": [], "train": []}
    for split in parts:  # validation first: what a held-out document shares with others is then held out as well
        for title in sorted(documents):
            if (title in held_out) == (split == "validation"):
                for paragraph in documents[title]:
                    if paragraph not in seen:
                        seen.add(paragraph)
                        parts[split].append(paragraph)
    if not all(parts.values()):
        raise InputError(
            f"The demonstration reads its text from this Python installation, and found no {name} text. Use a complete Python installation."
        )
    return Domain(name, tuple(parts["train"]), tuple(parts["validation"]))


def _topics() -> dict[str, list[str]]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise InputError(
            "The demonstration needs pydoc_data, which belongs to Python and is missing here. Use a complete Python installation."
        ) from error
    return {title: paragraphs(text) for title, text in topics.items()}


def _docstrings(library: Path) -> dict[str, list[str]]:
    documents = {}
    for path in library.rglob("*.py"):
        relative = path.relative_to(library)
        if not SKIPPED_FOLDERS.intersection(relative.parts):
            documents[relative.as_posix()] = [
                paragraph for text in _docstrings_of(path) for paragraph in paragraphs(text)
            ]
    return documents


def _docstrings_of(path: Path) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code has invalid escape sequences
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the library holds templates and files of old encodings on purpose
        return []
    nodes = (node for node in ast.walk(tree) if isinstance(node, DOCUMENTED))
    return [text for text in map(ast.get_docstring, nodes) if text]
