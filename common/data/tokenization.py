"""``load_tokenizer``: a fast tokenizer from the hub, a folder, raw vocabulary files, or trained on the training split.

Only ``PreTrainedTokenizerFast`` and its direct subclasses are used: ``AutoTokenizer`` would import torch into every process that has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from common.data.sources import resolve_folder
from common.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["END_OF_TEXT", "load_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_BPE = "bpe:"
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  #: special tokens of its vocabulary
_BYTES = 256
_SPECIAL = re.compile(r"\[[^\]]*\]|<[^>]*>")  #: how vocabularies write special tokens, such as [CLS]


def load_tokenizer(source: str, corpus: Iterable[str] | None = None) -> PreTrainedTokenizerFast:
    """Load or train a tokenizer; one without a padding token (GPT-2) pads with its end-of-text token.

    Args:
        source: hub id, local folder, ``python:PACKAGE/FOLDER``, or ``bpe:SIZE``. A folder holds ``tokenizer.json``, or
            ``vocab.txt`` (BERT WordPiece, lower-cased unless its entries have upper-case letters), or ``vocab.json``
            and ``merges.txt`` (byte-level BPE: RoBERTa's where the vocabulary has its special tokens, else GPT-2's).
        corpus: texts that ``bpe:SIZE`` is trained on.

    Raises:
        InputError: nothing usable is at ``source``, or ``bpe:SIZE`` is malformed or has no corpus.
    """
    if source.startswith(_BPE):
        return _train_bpe(source, corpus)
    folder = resolve_folder(source)
    tokenizer = _from_hub(source) if folder is None else _from_folder(folder)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(
                f"The tokenizer {source} has neither a padding nor an end-of-text token, so that no batch can be padded. Use another one."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _from_folder(folder: Path) -> PreTrainedTokenizerFast:
    from transformers import BertTokenizer, PreTrainedTokenizerFast

    if (folder / "tokenizer.json").is_file():
        kind = PreTrainedTokenizerFast
    elif (folder / "vocab.txt").is_file():
        kind = BertTokenizer
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        kind = _byte_level(folder)
    else:
        raise InputError(
            f"A tokenizer folder holds tokenizer.json, or vocab.txt, or vocab.json and merges.txt; {folder} has none of them."
        )
    options = {"do_lower_case": False} if kind is BertTokenizer and _is_cased(folder) else {}
    try:
        return kind.from_pretrained(folder, **options)
    except Exception as error:  # the Rust library raises bare Exception for a malformed file
        raise InputError(
            f"The tokenizer files in {folder} cannot be read: {error}. They may be truncated; copy or download them again."
        ) from error


def _is_cased(folder: Path) -> bool:
    """Whether a vocab.txt has entries with upper-case letters, special tokens aside, and no setting says what it is."""
    try:
        entries = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        file = folder / "tokenizer_config.json"
        settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError):  # whoever reads them next says what is wrong
        return False
    if isinstance(settings, dict) and "do_lower_case" in settings:
        return False
    # "ℝ" is upper-case without a lower-case form, and stands in uncased vocabularies too.
    return any(entry != entry.lower() for entry in entries if not _SPECIAL.fullmatch(entry.strip()))


def _byte_level(folder: Path) -> type[PreTrainedTokenizerFast]:
    """The class of raw byte-level files, whose vocabulary alone says how sequences begin and end."""
    from transformers import GPT2Tokenizer, RobertaTokenizer

    path = folder / "vocab.json"
    try:
        vocabulary = set(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} must be a JSON object from token to id; it cannot be read: {error}.") from error
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
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The tokenizer {source!r} is no local folder and could not be loaded from the Hugging Face hub: {error}. "
            "Check the name and the connection, or give a local folder in model.tokenizer."
        ) from error


def _train_bpe(source: str, corpus: Iterable[str] | None) -> PreTrainedTokenizerFast:
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) with one special token, which begins, ends and pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    size = source.removeprefix(_BPE)
    if not size.isdecimal() or int(size) <= _BYTES:
        raise InputError(
            f"A trained tokenizer is written bpe:SIZE with SIZE at least {_BYTES + 1} (every byte and the end of text); received {source!r}."
        )
    if corpus is None:
        raise InputError(
            f"The tokenizer {source} is trained on a corpus, and none was given. Load the tokenizer saved with the run instead."
        )
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=int(size), special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=model, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT
    )
