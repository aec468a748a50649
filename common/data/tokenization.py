"""``load_tokenizer``: a fast tokenizer from the hub, a folder, raw vocabulary files, or trained on the training split.
 Only ``PreTrainedTokenizerFast`` and its direct subclasses are used: ``AutoTokenizer`` would import torch into every
process that has it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from common import hub
from common.data.sources import resolve_folder
from common.data.tokenizer_training import END_OF_TEXT, is_trained, train_tokenizer
from common.errors import InputError
from common.reading import read_json, read_text
from common.writing import write_atomic

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["END_OF_TEXT", "load_tokenizer", "refusing", "save_tokenizer"]

_PIECES = "spm.model"  #: of DeBERTa-v2 and DeBERTaV3
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  #: special tokens of its vocabulary
_REMEDY = "Copy or download the tokenizer again, or save it with save_pretrained."
_PROBE = ["The naïve Café, 12.5% of ΑΒΓ 北京", "😀"]  #: texts that every tokenizer must make something of
_SPECIAL = re.compile(r"\[[^\]]*\]|<[^>]*>")  #: how vocabularies write special tokens, such as [CLS]


def load_tokenizer(
    source: str, corpus: Iterable[str] | None = None, added: Sequence[str] = (), words: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    """Load or train a tokenizer; one without a padding token (GPT-2) pads with its end-of-text token.

    Args:
        source: hub id, local folder, ``python:PACKAGE/FOLDER``, or KIND:SIZE, such as ``bpe:4096``, of one that is
            trained (`common.data.tokenizer_training`). A folder holds ``tokenizer.json``, or
            ``vocab.txt`` (BERT WordPiece, lower-cased unless its entries have upper-case letters), or ``spm.model``
            (DeBERTa-v2's SentencePiece, which needs the packages sentencepiece and protobuf), or ``vocab.json``
            and ``merges.txt`` (byte-level BPE: RoBERTa's where the vocabulary has its special tokens, else GPT-2's).
        corpus: texts that a new one is trained on.
        added: tokens that it gets, each found in a text before the text is split further.
        words: that a new one of whole words knows beside those of ``corpus``.

    Raises:
        InputError: nothing usable is at ``source``, KIND:SIZE is malformed or has no corpus, or a token of ``added``
            is a token already.
    """
    if is_trained(source):
        return _with_tokens(train_tokenizer(source, corpus, words), source, added)
    folder = resolve_folder(source)
    tokenizer = _from_hub(source) if folder is None else _from_folder(folder)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(
                f"The tokenizer {source} has neither a padding nor an end-of-text token, so that no batch can be padded. Use another one."
            )
        tokenizer.pad_token = tokenizer.eos_token
    with refusing(f"The tokenizer {source}"):
        tokenizer(_PROBE, verbose=False)
    return _with_tokens(tokenizer, source, added)


def _with_tokens(tokenizer: PreTrainedTokenizerFast, source: str, added: Sequence[str]) -> PreTrainedTokenizerFast:
    known = tokenizer.get_vocab()
    taken = [token for token in added if token in known]
    if taken:
        raise InputError(
            f"model.add_tokens lists tokens that are new; {taken[0]!r} is in the vocabulary of {source} already. Remove "
            "it: a token of the vocabulary needs no adding."
        )
    if added and (count := tokenizer.add_tokens(list(added))) != len(added):
        raise InputError(f"model.add_tokens must be {len(added)} different tokens; the tokenizer took {count} of them.")
    return tokenizer


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn every failure of the Rust library, which raises bare `Exception` and panics with a `BaseException`, into an
    error that says ``what`` cannot be used."""
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        reason = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
        raise InputError(
            f"{what} cannot be read: {reason}. Its files may be truncated or changed; copy or download them again."
        ) from error


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a tokenizer's files as `save_pretrained` does, each whole and on the disk, or not at all.

    Raises:
        OSError: the disk is full, the folder is read-only, ...
    """
    with tempfile.TemporaryDirectory(prefix="twinlora-") as scratch:
        try:
            tokenizer.save_pretrained(scratch)
        except OSError:
            raise
        except Exception as error:  # the Rust library has no OSError
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error), scratch) from error
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                write_atomic(Path(folder) / path.relative_to(scratch), path.read_bytes())


def _from_folder(folder: Path) -> PreTrainedTokenizerFast:
    from transformers import BertTokenizer, PreTrainedTokenizerFast

    if (folder / "tokenizer.json").is_file():
        kind = PreTrainedTokenizerFast
    elif (folder / "vocab.txt").is_file():
        kind = BertTokenizer
    elif (folder / _PIECES).is_file():
        kind = _of_pieces(folder)
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        kind = _byte_level(folder)
    else:
        raise InputError(
            f"A tokenizer folder holds tokenizer.json, or vocab.txt, or {_PIECES}, or vocab.json and merges.txt; {folder} has none "
            "of them."
        )
    options = {"do_lower_case": False} if kind is BertTokenizer and _is_cased(folder) else {}
    with refusing(f"The tokenizer in {folder}"):
        return kind.from_pretrained(folder, trust_remote_code=False, **options)


def _of_pieces(folder: Path) -> type:
    """DeBERTa-v2's tokenizer, which `transformers` makes of a SentencePiece model with that package.

    Raises:
        InputError: it is not installed.
    """
    from transformers import DebertaV2Tokenizer

    missing = [name for name in ("sentencepiece", "google.protobuf") if not _installed(name)]
    if missing:
        raise InputError(
            f"Reading {folder / _PIECES} needs the packages sentencepiece and protobuf; {', '.join(missing)} is not installed. "
            "pip install sentencepiece protobuf, or save the tokenizer elsewhere with save_pretrained, which writes tokenizer.json."
        )
    return DebertaV2Tokenizer


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def _is_cased(folder: Path) -> bool:
    """Whether a vocab.txt has entries with upper-case letters, special tokens aside, and no setting says what it is."""
    entries = read_text(folder / "vocab.txt", "a vocabulary", _REMEDY).split("\n")
    file = folder / "tokenizer_config.json"
    settings = read_json(file, "the settings of a tokenizer", _REMEDY, dict) if file.is_file() else {}
    if "do_lower_case" in settings:
        return False
    # "ℝ" is upper-case without a lower-case form, and stands in uncased vocabularies too.
    return any(entry != entry.lower() for entry in entries if not _SPECIAL.fullmatch(entry.strip()))


def _byte_level(folder: Path) -> type[PreTrainedTokenizerFast]:
    """The class of raw byte-level files, whose vocabulary alone says how sequences begin and end."""
    from transformers import GPT2Tokenizer, RobertaTokenizer

    path = folder / "vocab.json"
    vocabulary = set(read_json(path, "a vocabulary, an object from token to id,", _REMEDY, {...: int}))
    if vocabulary.issuperset(_ROBERTA):
        return RobertaTokenizer
    if END_OF_TEXT not in vocabulary and not (folder / "tokenizer_config.json").is_file():
        raise InputError(
            f"A folder of vocab.json and merges.txt alone must hold the special tokens of GPT-2 ({END_OF_TEXT}) or of "
            f"RoBERTa ({' '.join(_ROBERTA)}) in its vocabulary; {path} holds neither. Save the tokenizer with "
            "save_pretrained, which writes tokenizer.json."
        )
    return GPT2Tokenizer


def _from_hub(source: str) -> PreTrainedTokenizerFast:
    with hub.obtaining(hub.tokenizer(source)):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(source, trust_remote_code=False)
