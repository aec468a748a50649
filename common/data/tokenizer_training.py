"""New tokenizers, trained on the training split: KIND:SIZE, with SIZE tokens.

bpe         byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) with one special token, which begins, ends and
            pads; for causal language models
masked-bpe  the same with RoBERTa's special tokens, a mask token among them
wordpiece   lower-cased WordPiece with BERT's

Whole words, for networks that have a vector for each: the most frequent ones of the training split, and [UNK] for all
others. Nothing is added at the ends of a text; [PAD] is 0, [UNK] 1, [BOS] 2 and [EOS] 3.

words        lower-cased, split at white space and around punctuation
words-cased  the same as it is written
tokens       split at white space alone, as it is written: for texts that are tokenised already, lists of words (one
             token each), morphemes or jamo
tokens-lowered  the same in lower case
characters   every character, the space included

Further words, those of a file of vectors, may follow the SIZE tokens of any of these kinds but characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from common.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["END_OF_TEXT", "is_trained", "of_words", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_BYTES = 256
_MOST = 2_000_000  #: tokens; the library takes memory for them before it trains
_LETTERS = 1000  #: of a WordPiece vocabulary; others are unknown
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_WORDS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")


def is_trained(source: str) -> bool:
    """Whether ``source`` names a tokenizer that is trained, not one that is there."""
    return source.partition(":")[0] in _KINDS and ":" in source


def of_words(source: str) -> bool:
    """Whether ``source`` names a tokenizer that is trained and of which every word is one token."""
    return is_trained(source) and source.partition(":")[0] in _WHOLE


def train_tokenizer(source: str, corpus: Iterable[str] | None, words: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Train the tokenizer KIND:SIZE on ``corpus``.

    Args:
        words: that follow the SIZE tokens of a tokenizer of whole words, unless they are among these. One that the
            tokenizer would divide or write otherwise could never be found, and is left out.

    Raises:
        InputError: the size is none or too small, there is no corpus, or ``words`` are given to another kind.
    """
    kind, _, size = source.partition(":")
    special = {"bpe": _BYTES, "masked-bpe": _BYTES + len(_ROBERTA) - 1, "wordpiece": len(_BERT)}
    least = special.get(kind, len(_WORDS)) + 1
    if not size.isdecimal() or len(size) > len(str(_MOST)) or not least <= int(size) <= _MOST:
        raise InputError(
            f"A trained tokenizer is written {kind}:SIZE with SIZE at least {least} (the special tokens, and every byte "
            f"of a byte-level one) and at most {_MOST:,}; received {source[:100]!r}."
        )
    if corpus is None:
        raise InputError(
            f"The tokenizer {source} is trained on a corpus, and none was given. Load the tokenizer saved with the run "
            "instead."
        )
    words = list(words)
    if words and not of_words(source):
        raise InputError(
            f"Words of a file of vectors join the vocabulary of whole words ({', '.join(_WHOLE)}); received the tokenizer "
            f"{source}. Use one of these, or leave model.vectors_vocabulary out."
        )
    return _WHOLE[kind](int(size), corpus, words=words) if words else _KINDS[kind](int(size), corpus)


def _bpe(size: int, corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    model = _byte_level(size, corpus, (END_OF_TEXT,))
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token"), END_OF_TEXT)
    return PreTrainedTokenizerFast(tokenizer_object=model, **special)


def _masked_bpe(size: int, corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    begin, pad, end, unknown, mask = _ROBERTA
    model = _byte_level(size, corpus, _ROBERTA)
    ends = ((end, model.token_to_id(end)), (begin, model.token_to_id(begin)))
    model.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    special = {"bos_token": begin, "cls_token": begin, "eos_token": end, "sep_token": end}
    special |= {"pad_token": pad, "unk_token": unknown, "mask_token": mask}
    return PreTrainedTokenizerFast(tokenizer_object=model, **special)


def _wordpiece(size: int, corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    pad, unknown, begin, end, mask = _BERT
    corpus, normalizer, splitter = (
        list(corpus),
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
    )
    alphabet = _alphabet(normalizer.normalize_str(text) for text in corpus)
    # The trainer numbers continuing letters in the order of a hash table, and ties are broken by these numbers: given
    # beforehand, they are the same in every process.
    first = [*_BERT, *(f"##{letter}" for letter in alphabet)]
    trained = Tokenizer(models.WordPiece(unk_token=unknown))
    trained.normalizer, trained.pre_tokenizer = normalizer, splitter
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=first,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    trained.train_from_iterator(corpus, trainer)
    model = Tokenizer(models.WordPiece(trained.get_vocab(), unk_token=unknown))
    model.normalizer, model.pre_tokenizer = normalizer, splitter
    model.decoder = decoders.WordPiece()
    ids = [(token, model.token_to_id(token)) for token in (begin, end)]
    model.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", pair=f"{begin} $A {end} $B:1 {end}:1", special_tokens=ids
    )
    special = {"cls_token": begin, "sep_token": end, "pad_token": pad, "unk_token": unknown, "mask_token": mask}
    return PreTrainedTokenizerFast(tokenizer_object=model, **special)


def _words(
    size: int, corpus: Iterable[str], lower: bool = True, punctuation: bool = True, words: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])])
    splitter = pre_tokenizers.BertPreTokenizer() if punctuation else pre_tokenizers.WhitespaceSplit()
    return _whole(size, corpus, normalizer, splitter, words=words)


def _characters(size: int, corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    splitter = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    return _whole(size, corpus, normalizers.NFC(), splitter, decoders.Fuse())


def _whole(
    size: int, corpus: Iterable[str], normalizer: Any, splitter: Any, decoder: Any = None, words: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    """The most frequent parts that ``splitter`` makes, those of one count in their order as text; then ``words``."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    pad, unknown, begin, end = _WORDS

    def parts(text: str) -> list[str]:
        return [part for part, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]

    counts: Counter[str] = Counter()
    for text in corpus:
        counts.update(parts(text))
    known = sorted(counts.keys() - set(_WORDS), key=lambda part: (-counts[part], part))[: size - len(_WORDS)]
    vocabulary = {part: number for number, part in enumerate((*_WORDS, *known))}
    for word in words:
        if parts(word) == [word]:
            vocabulary.setdefault(word, len(vocabulary))
    model = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    model.normalizer, model.pre_tokenizer = normalizer, splitter
    if decoder is not None:
        model.decoder = decoder
    special = {"pad_token": pad, "unk_token": unknown, "bos_token": begin, "eos_token": end}
    return PreTrainedTokenizerFast(tokenizer_object=model, **special)


def _alphabet(texts: Iterable[str]) -> list[str]:
    """The most frequent characters, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    known = sorted((letter for letter in counts if not letter.isspace()), key=lambda letter: (-counts[letter], letter))
    return sorted(known[:_LETTERS])


def _byte_level(size: int, corpus: Iterable[str], special: tuple[str, ...]):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(corpus, trainer)
    return model


_WHOLE: dict[str, Callable[..., Any]] = {
    "words": _words,
    "words-cased": partial(_words, lower=False),
    "tokens": partial(_words, lower=False, punctuation=False),
    "tokens-lowered": partial(_words, punctuation=False),
}
_KINDS: dict[str, Callable[[int, Iterable[str]], Any]] = {
    "bpe": _bpe,
    "masked-bpe": _masked_bpe,
    "wordpiece": _wordpiece,
    **_WHOLE,
    "characters": _characters,
}
