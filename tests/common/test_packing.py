"""Raw text becomes examples: documents, sentences, whole words of every kind of tokenizer, packing, static masks."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from common.backend import IGNORE
from common.data import load_tokenizer
from common.data.batching import BatchPlan, collate, evaluation_batches
from common.data.documents import documents, sentences
from common.data.encoding import Encoded, Ragged
from common.data.packing import pack, pieces, word_numbers
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS

TASK = TASKS.get("masked-language-modeling")
SCHEMA = TASK.schema(FAMILIES.get("bert"))
TEXT = "unhappily the unthinkable naïve café , rethinking ! 北京 unhappily the rethinking"
CORPUS = ["unhappily the unthinkable rethinking", "the naïve café , 北京 !", "happily thinking"] * 20


def unigram():
    """A SentencePiece-like tokenizer that takes a whole text for one word, as many that were converted do."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    model = Tokenizer(models.Unigram())
    model.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model.decoder = decoders.Metaspace()
    special = ["<pad>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    model.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")


TOKENIZERS = {
    "wordpiece": lambda: load_tokenizer("wordpiece:70", CORPUS),
    "byte-level": lambda: load_tokenizer("masked-bpe:300", CORPUS),
    "sentencepiece": unigram,
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_begin_where_the_text_has_white_space_for_every_kind_of_tokenizer(kind):
    tokenizer = TOKENIZERS[kind]()
    text = "unhappily rethinking  the unthinkable"
    [piece] = pieces([text], tokenizer, add_special_tokens=False)
    assert len(piece) > 4, "words of several tokens are what is tested"
    spelled = ["".join(tokenizer.decode(piece.ids[piece.words == n]).split()) for n in range(piece.words.max() + 1)]
    assert [word for word in spelled if word] == text.split()


def test_tokens_of_one_character_and_lone_marks_of_white_space_begin_no_word():
    # "é" in two byte-level tokens behind a space; a lone mark of the space before "b"
    assert word_numbers("a é", [0, 1, 1], [(0, 1), (2, 3), (2, 3)]).tolist() == [0, 1, 1]
    assert word_numbers("a bc", [0, 0, 0, 0], [(0, 1), (1, 2), (2, 3), (3, 4)]).tolist() == [0, 1, 1, 1]
    assert word_numbers("ab", [None, 0, 0, None], [(0, 0), (0, 1), (1, 2), (0, 0)]).tolist() == [-1, 0, 0, -1]


def test_sentences_add_up_to_their_line():
    line = 'He said " no . " Then J. went . i.e. here ? 1 more… Yes!'
    assert "".join(sentences(line)) == line
    assert sentences(line)[0] == 'He said " no .'
    assert sentences("下雨了。我们走吧！好") == ["下雨了。", "我们走吧！", "好"]  # noqa: RUF001
    assert sentences("  ") == []


def test_documents_end_at_blank_lines_headings_or_with_their_text():
    lines = ["", " = One =", "A b. C d.", "", " = = Part = =", "E f.", " = Two =", "G h."]
    assert documents(lines, "headings") == [["A b.", " C d.", "E f."], ["G h."]]
    assert documents(["A b.", "C d.", "", "E f."], "blank_lines") == [["A b.", "C d."], ["E f."]]
    assert documents(["A b. C d.\nE f.", "G h."], "texts") == [["A b.", " C d.", "E f."], ["G h."]]


@pytest.mark.parametrize("crossing", [True, False])
def test_whole_sentences_are_packed_while_they_fit_and_no_token_is_lost(crossing):
    tokenizer = TOKENIZERS["wordpiece"]()
    texts = [
        "the",
        "",
        "the !",
        "",
        "the café. The naïve ! the",
        "happily thinking",
        "",
        "unhappily the. The the the the.",
        "the ! " * 12,
    ]
    packing = "full_sentences" if crossing else "doc_sentences"
    found, truncated = pack(texts, tokenizer, 16, packing, "blank_lines")
    whole = [
        tokenizer(sentence, add_special_tokens=False)["input_ids"]
        for document in documents(texts, "blank_lines")
        for sentence in document
    ]
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    assert [i for piece in found for i in piece.ids if i not in special] == [i for ids in whole for i in ids]
    assert truncated == 0
    assert max(map(len, found)) <= 16
    inside = [piece.ids[1:-1].tolist().count(tokenizer.sep_token_id) for piece in found]
    assert (sum(inside) > 0) == crossing
    assert all((piece.words[piece.ids == tokenizer.sep_token_id] == -1).all() for piece in found)
    short = [ids for ids in whole if len(ids) <= 14]
    assert all(
        any(ids == piece.ids[i : i + len(ids)].tolist() for piece in found for i in range(len(piece))) for ids in short
    )


def million(**options):
    """Random tokens of words of one to three, in 2,000 rows of 512: no tokenizer is asked."""
    random = np.random.default_rng(0)
    ids = random.integers(5, 30000, 2000 * 512).astype(np.int32)
    words = np.cumsum(np.concatenate([np.ones(n, bool) * (np.arange(n) == 0) for n in random.integers(1, 4, 600_000)]))[
        : len(ids)
    ]
    starts = np.arange(0, len(ids), 512)
    columns = {
        "input_ids": Ragged(ids, starts, starts + 512),
        "words": Ragged(words.astype(np.int32), starts, starts + 512),
    }
    return Encoded(TASK.configured(options), SCHEMA, columns, 0, 512, 0, {"mask": 4, "vocabulary": 30000})


@pytest.mark.parametrize("whole", [False, True])
def test_over_a_million_tokens_the_shares_are_those_of_the_recipe(whole):
    encoded = million(whole_words=whole)
    original = encoded.columns["input_ids"].values
    rows = [collate(encoded, np.arange(i, i + 100), 100, 512) for i in range(0, 2000, 100)]
    done = [
        encoded.task.corrupt(batch, encoded, np.arange(i * 100, i * 100 + 100), (3, 1)) for i, batch in enumerate(rows)
    ]
    ids, labels = (np.concatenate([batch[name].ravel() for batch in done]) for name in ("input_ids", "labels"))
    targets = labels != IGNORE
    assert targets.mean() == pytest.approx(0.15, rel=0.01)
    assert (ids[targets] == 4).mean() == pytest.approx(0.8, rel=0.01)
    assert (ids[targets] == original[targets]).mean() == pytest.approx(0.1, abs=0.01)
    other = targets & (ids != 4) & (ids != original)
    assert other.sum() / targets.sum() == pytest.approx(0.1, abs=0.01)
    assert np.abs(np.bincount(ids[other] // 3000, minlength=10) / other.sum() - 0.1).max() < 0.01  # any token alike
    assert np.array_equal(ids[~targets], original[~targets])
    by_column = targets.reshape(-1, 512).mean(0)
    assert np.abs(by_column - 0.15).max() < 0.05  # no place is preferred: 6 standard deviations


def labels_of(encoded, epoch):
    return np.concatenate(
        [
            batch["labels"][np.argsort(batch["input_ids"][:, 0])]
            for [batch] in BatchPlan(encoded, 2, None, 8, 5).epoch(epoch)
        ]
    )


def test_static_masks_return_and_dynamic_ones_do_not():
    rows = [np.arange(5, 45, dtype=np.int32)] * 2
    columns = {"input_ids": Ragged.of(rows), "words": Ragged.of(rows)}

    def masks(epoch, **options):
        task = TASK.configured(options)
        encoded = Encoded(task, SCHEMA, columns, 0, 64, 0, {"mask": 4, "vocabulary": 60})
        batch = collate(encoded, np.arange(2), 2, 8)
        return task.corrupt(batch, encoded, np.arange(2), (5, epoch))["labels"]

    static = {"dynamic": False}
    assert np.array_equal(masks(0, **static), masks(1, **static))
    assert not np.array_equal(masks(0), masks(1))
    ten = {"dynamic": False, "duplicates": 10}
    assert np.array_equal(masks(3, **ten), masks(13, **ten))
    assert len({masks(epoch, **ten).tobytes() for epoch in range(10)}) == 10
    found = []
    for options in ({}, static, ten):
        encoded = Encoded(TASK.configured(options), SCHEMA, columns, 0, 64, 0, {"mask": 4, "vocabulary": 60})
        found.append(next(evaluation_batches(encoded, 2, 8))[1]["labels"])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_duplicates_of_dynamic_masks_and_unknown_packings_are_refused():
    with pytest.raises(InputError, match="duplicates must be 1 or more, and 1 where masks are dynamic"):
        TASK.configured({"duplicates": 10})
    with pytest.raises(InputError, match=r"packing must be.*full_sentences"):
        TASK.configured({"packing": "sentences"})


@pytest.mark.parametrize("kind", ["wordpiece:80", "masked-bpe:300"])
def test_a_trained_tokenizer_is_the_same_again_and_is_read_back(kind, tmp_path):
    from common.data import save_tokenizer

    tokenizer = load_tokenizer(kind, CORPUS)
    save_tokenizer(tokenizer, tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert load_tokenizer(kind, CORPUS).get_vocab() == tokenizer.get_vocab()
    for one in (tokenizer, again):
        ids = one("the café", "thinking")["input_ids"]
        assert ids[0] == one.cls_token_id
        assert ids[-1] == one.sep_token_id
        assert one.mask_token_id is not None
        assert ids == tokenizer("the café", "thinking")["input_ids"]
    with pytest.raises(InputError, match=f"{kind.split(':')[0]}:SIZE with SIZE at least"):
        load_tokenizer(f"{kind.split(':')[0]}:5", CORPUS)


def test_examples_of_packed_sentences_are_trained_on_with_their_masks():
    tokenizer = TOKENIZERS["byte-level"]()
    task = TASK.configured({"packing": "full_sentences", "whole_words": True})
    columns, _ = task.encode(Dataset.from_dict({"text": CORPUS}), tokenizer, 32)
    encoded = Encoded(task, SCHEMA, columns, 1, 32, 0, {"mask": tokenizer.mask_token_id, "vocabulary": len(tokenizer)})
    [batch], *_ = BatchPlan(encoded, 4, None, 8, 0).epoch(0)
    assert ((batch["labels"] != IGNORE).sum(1) > 0).all()
