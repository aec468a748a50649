"""Masked language modelling (Devlin et al. 2019): some tokens are hidden, and predicted from all others.

How texts become examples is said in `common.data.packing`. Of an example's n tokens, special ones aside,
round(probability * n), at least one, are targets: 80 % of them are replaced by the mask token, 10 % by any token, and
10 % stay. Which, is a function of (seed, epoch, example) alone, so that both backends and a resumed run see the same
masks; an evaluation sees those of a fixed key. Masks are others in every epoch (Liu et al. 2019), or ``duplicates``
different ones that return, as in BERT's data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from common.backend.batch import EVALUATION, IGNORE, Batch, Field
from common.backend.contract import Engine, EvalResult
from common.data.documents import Kind
from common.data.encoding import Columns, Encoded, Ragged
from common.data.packing import SENTENCES, Packing, columns_of, pack
from common.data.profile import TEXTS, Recognised
from common.data.roles import Role, read_texts
from common.distributed import Group
from common.errors import InputError
from common.metrics import LANGUAGE, language_metrics
from common.models.specs import ModelSpec
from common.tasks.collecting import Sums
from common.tasks.task import Answer, Draw, Evaluator, Task, TaskOptions
from common.tasks.texts import ENCODERS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["MEMBER", "HidingOptions", "MaskedLanguageModeling", "MaskingOptions"]

_TOP = 5  #: tokens that an answer lists for each mask


@dataclass(frozen=True)
class HidingOptions(TaskOptions):
    """What is hidden, and how."""

    probability: float = 0.15  #: share of the tokens that are targets
    mask_share: float = 0.8  #: of the targets, those replaced by the mask token
    random_share: float = 0.1  #: of the targets, those replaced by any token; the others stay
    whole_words: bool = False  #: hide all tokens of a word, or none
    dynamic: bool = True  #: other masks in every epoch; false: the same ones, of which there are ``duplicates``
    duplicates: int = 1  #: masks of an example that epochs take in turn; BERT's data had ten

    def key(self, key: tuple[int, int]) -> tuple[int, int]:
        """Under which the masks of ``(seed, epoch)`` are drawn."""
        seed, epoch = key
        return key if self.dynamic or key == EVALUATION else (seed, epoch % self.duplicates)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Shares outside of their range, and duplicates that are not used."""
        if self.duplicates < 1 or (self.dynamic and self.duplicates > 1):
            yield "duplicates", f"must be 1 or more, and 1 where masks are dynamic; received {self.duplicates}"
        if not 0 < self.probability < 1:
            yield "probability", f"must be greater than 0 and less than 1; received {self.probability}"
        for name in ("mask_share", "random_share"):
            if not 0 <= getattr(self, name) <= 1:
                yield name, f"must be between 0 and 1; received {getattr(self, name)}"
        if self.mask_share + self.random_share > 1 + 1e-9:
            yield (
                "random_share",
                f"and mask_share must not exceed 1; received {self.random_share} and {self.mask_share}",
            )


@dataclass(frozen=True)
class MaskingOptions(HidingOptions):
    """The same, and how examples are made of texts."""

    packing: Packing = "blocks"  #: how examples are filled with text, see `common.data.packing`
    documents: Kind = "blank_lines"  #: what separates documents, where sentences are packed

    def problems(self) -> Iterator[tuple[str, str]]:
        """Those of hiding, and a separator of documents that nothing reads."""
        yield from super().problems()
        if self.documents != "blank_lines" and self.packing not in SENTENCES:
            yield (
                "documents",
                f"is read where whole sentences are packed (packing: {' or '.join(SENTENCES)}); packing is {self.packing}",
            )


class MaskedLanguageModeling(Task):
    """Cross-entropy of the hidden tokens. ``labels[b, t]`` is the token that was at position t, IGNORE elsewhere."""

    name = "masked-language-modeling"
    head = "masked"
    new_head = False
    peft_type = None  # PEFT has no type for it; without one it loads the adapter into any model
    roles = (Role("text", "text_column", partial(read_texts, blank_lines=True)),)
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("labels", ("batch", "seq"), padding=IGNORE, default=IGNORE),)
    outputs: ClassVar[tuple[str, ...]] = ("right",)
    metrics = {**LANGUAGE, "accuracy": True}
    Options: ClassVar[type[HidingOptions]] = MaskingOptions
    options: Any

    def layout(self, family, config):
        """Raises InputError where the output has a weight of its own."""
        layout = super().layout(family, config)
        if layout is not None and config.get("tie_word_embeddings") is False:
            raise InputError(
                f"A {family.name} network's masked-token head shares the weight of its word embeddings here; config.json "
                'says "tie_word_embeddings": false. Use another checkpoint.'
            )
        return layout

    def recognise(self, profile):
        """A text; another task that reads it goes first."""
        text = profile.pick("text_column", (TEXTS,), ("text",))
        return Recognised({"text_column": text}, 1, "perplexity", ENCODERS) if text else None

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """``input_ids``, and ``words``: the number of each token's word, -1 for special tokens."""
        self.check_tokenizer(tokenizer, max_length)
        examples, truncated = pack(
            list(rows["text"]), tokenizer, max_length, self.options.packing, self.options.documents
        )
        return columns_of(examples), truncated

    def check_tokenizer(self, tokenizer, max_length, pair: bool = False) -> None:
        """Raises InputError where it has no mask token, or ``max_length`` leaves no room beside its special tokens."""
        if tokenizer.mask_token_id is None:
            raise InputError(
                "Masked language modelling needs a tokenizer with a mask token; this one has none. Use one such as BERT's, or "
                "train one: model.tokenizer: wordpiece:SIZE."
            )
        special = tokenizer.num_special_tokens_to_add(pair=pair)
        if max_length <= special + pair:
            raise InputError(
                f"data.max_length must exceed the {special} special tokens of the tokenizer by {1 + pair} or more; "
                f"received {max_length}."
            )

    def corrupt(self, batch, encoded, indices, key) -> Batch:
        """Hide tokens; see the module."""
        vocabulary, mask = encoded.tokens["vocabulary"], encoded.tokens["mask"]
        key = self.options.key(key)
        for row, example in enumerate(indices):
            words = encoded.columns["words"][example]
            stream = np.random.Philox(key=list(key), counter=[0, 0, 0, int(example) + 1])
            order, kind, other = np.asarray(stream.random_raw(3 * len(words)), np.uint64).reshape(3, -1)
            targets = _targets(words, order, self.options)
            ids = batch["input_ids"][row]
            batch["labels"][row, targets] = ids[targets]
            share = (kind[targets] >> np.uint64(11)).astype(np.float64) * 2.0**-53
            hidden = targets[share < self.options.mask_share]
            replaced = targets[
                (share >= self.options.mask_share) & (share < self.options.mask_share + self.options.random_share)
            ]
            ids[hidden] = mask
            ids[replaced] = (other[replaced] >> np.uint64(32)) * np.uint64(vocabulary) >> np.uint64(32)
        return batch

    def evaluator(self, encoded: Encoded) -> Evaluator:
        """Loss, pseudo-perplexity and accuracy over the hidden tokens."""
        return _Evaluator()

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """Each line with its mask tokens replaced by the most probable ones.

        Raises:
            InputError: a line has no mask token, or one beyond ``data.max_length``.
        """
        from common.data.batching import collate
        from common.training.prediction import refuse_not_finite

        tokenizer, data = trained.tokenizer, trained.config.data
        for row in rows:
            ids, positions = _masks(row["text"], tokenizer, data.max_length)
            columns = {"input_ids": Ragged.of([ids] * len(positions))}
            encoded = Encoded(self, trained.spec.schema, columns, tokenizer.pad_token_id, data.max_length)
            batch = collate(encoded, np.arange(len(positions)), len(positions), data.length_multiple)
            logits = engine.logits_at(batch, positions)
            refuse_not_finite({"logits": logits})
            yield _answer(row["text"], tokenizer, logits)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any token at the first position and at a third of the others."""
        mask = inputs["attention_mask"]
        chosen = (mask == 1) & (draw("hidden", mask.shape, 0, 3) == 0)
        chosen[:, 0] |= mask[:, 0] == 1
        tokens = draw("labels", mask.shape, 1, spec.config["vocab_size"])
        return {"labels": np.where(chosen, tokens, IGNORE).astype(np.int32)}


def _targets(words: np.ndarray, order: np.ndarray, options: MaskingOptions) -> np.ndarray:
    """Positions of the targets: the tokens (or words) of the smallest random numbers."""
    candidates = np.flatnonzero(words >= 0)
    count = max(1, int(options.probability * len(candidates) + 0.5))
    if not options.whole_words:
        return candidates[np.argsort(order[candidates], kind="stable")[:count]]
    groups = np.split(candidates, np.flatnonzero(np.diff(words[candidates])) + 1)
    groups = sorted((group for group in groups if len(group)), key=lambda group: order[group[0]])
    chosen: list[int] = []
    for group in groups:
        if not chosen or len(chosen) + len(group) <= count:
            chosen += group.tolist()
    return np.array(chosen, np.int64)


def _masks(text: str, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of ``text``, and the positions of its mask tokens."""
    ids = np.asarray(tokenizer(text, truncation=True, max_length=max_length)["input_ids"], np.int32)
    positions = np.flatnonzero(ids == tokenizer.mask_token_id).astype(np.int32)
    written = text.count(tokenizer.mask_token)
    if not written or len(positions) != written:
        raise InputError(
            f"A line must hold {tokenizer.mask_token} where a token is to be filled in, within the first {max_length} "
            f"tokens; received {text[:80]!r}."
        )
    return ids, positions


def _answer(text: str, tokenizer: PreTrainedTokenizerFast, logits: np.ndarray) -> Answer:
    parts, masks = text.split(tokenizer.mask_token), []
    filled = parts[0]
    for row, after in zip(logits.astype(np.float64), parts[1:], strict=True):
        powers = np.exp(row - row.max())
        best = np.argsort(-row, kind="stable")[:_TOP]
        tokens = [tokenizer.decode([index]).strip().removeprefix("##") for index in best]
        filled += tokens[0] + after
        masks.append(
            [
                {"token": token, "probability": round(float(powers[index] / powers.sum()), 6)}
                for token, index in zip(tokens, best, strict=True)
            ]
        )
    return Answer(filled, {"text": text, "filled": filled, "masks": masks})


class _Evaluator:
    def __init__(self) -> None:
        self._sums, self._right = Sums(), Sums()

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._sums.update(result.loss_sum, result.count)
        self._right.update(float(result.outputs["right"][: len(indices)].sum()), 0)

    def reduce(self, group: Group) -> None:
        self._sums.reduce(group)
        self._right.reduce(group)

    def metrics(self) -> dict[str, float]:
        scores = language_metrics(self._sums.loss, self._sums.count)
        return scores | {"accuracy": self._right.loss / self._sums.count}


MEMBER = MaskedLanguageModeling()
