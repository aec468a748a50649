"""Replaced-token detection (Clark et al. 2020, ELECTRA; He et al. 2023, DeBERTaV3).

A generator, a smaller network of the same family with its masked-token head, fills in hidden tokens; the network itself,
the discriminator, tells of every token whether it is the original. Both are trained together:

    loss = mean over the hidden tokens of the generator's cross-entropy
         + detection_weight * mean over the real tokens of the discriminator's binary cross-entropy

A hidden token is replaced by a sample of the generator's distribution: the first token at which the sum of the
probabilities, in float64 and in the order of the vocabulary, exceeds a uniform number of the batch, which is a function of
(seed, epoch, example, place). Both backends so sample the same token, unless rounding moves a sum across the number. No
gradient flows through a sample, and one that is the original by chance counts as original.

How both share word embeddings is said in `common.models.companions`. What is stored is the discriminator, an ordinary
checkpoint of the family, and the generator in a folder inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import Engine, EvalResult
from common.data.encoding import Encoded, Ragged
from common.distributed import Group
from common.metrics import mean_loss
from common.metrics.detection import area_under_curve
from common.models.companions import Sharing, Wish
from common.models.family import EACH, HeadLayout
from common.models.specs import ModelSpec
from common.tasks import masked_language_modeling
from common.tasks.collecting import Sums
from common.tasks.masked_language_modeling import MaskedLanguageModeling, MaskingOptions
from common.tasks.task import Answer, Draw, Evaluator

if TYPE_CHECKING:
    from common.config.schema import ModelConfig
    from common.training.assembly import Trained

__all__ = ["GENERATOR", "MEMBER", "DetectionOptions", "ReplacedTokenDetection"]

GENERATOR = "generator"
_SLOTS = 8  #: numbers of hidden tokens are rounded up to it, so that graphs are compiled for few shapes
_ORIGINAL, _REPLACED = 1, 2


@dataclass(frozen=True)
class DetectionOptions(MaskingOptions):
    """Those of masked language modelling, and the generator."""

    detection_weight: float = 50.0  #: of the discriminator's loss
    embeddings: Sharing = "gradient-disentangled"  #: how word embeddings are shared, see `common.models.companions`
    generator: dict[str, Any] = field(default_factory=dict)  #: entries of its configuration; by default half the layers
    generator_source: str | None = None  #: hub id or folder of a pretrained one; null: a new one

    def problems(self) -> Iterator[tuple[str, str]]:
        """Values outside of their range."""
        yield from super().problems()
        if self.detection_weight < 0:
            yield "detection_weight", f"must be 0 or more; received {self.detection_weight}"


class ReplacedTokenDetection(MaskedLanguageModeling):
    """``labels[b, t]`` and ``input_ids`` as in masked language modelling; ``positions[b, k]``, the places of the hidden
    tokens in order, -1 behind the last; ``uniforms[b, k]`` in [0, 1); ``scale[b]`` weighs the discriminator's loss of a row,
    see `weighted`. ``logits`` ``(batch, seq)`` are of "replaced"."""

    name = "replaced-token-detection"
    head = "replaced"
    FIELDS = (
        *MaskedLanguageModeling.FIELDS,
        Field("positions", ("batch", "masked"), padding=-1, default=-1),
        Field("uniforms", ("batch", "masked"), "float32", default=0.0),
        Field("scale", ("batch",), "float32", default=1.0),  # which it is in evaluation
    )
    outputs = ("right", "logits", "replaced")
    metrics = {
        "loss": False,
        "generator_loss": False,
        "generator_accuracy": True,
        "detection_loss": False,
        "auc": True,
        "detection_accuracy": True,
        "recall_original": True,
        "recall_replaced": True,
    }
    Options = DetectionOptions

    # Model

    def layout(self, family, config):
        """The family's, or a dense layer and one output; None where there is no masked-token head for a generator."""
        masked = masked_language_modeling.MEMBER.layout(family, config)
        if masked is None:
            return None
        own = HeadLayout(
            masked.architecture.replace("ForMaskedLM", "Model"),
            EACH,
            "discriminator_predictions.dense_prediction",
            named=False,
            outputs=1,
            dense="discriminator_predictions.dense",
            activation=masked.activation,
        )
        return family.head(self.head, config) or own

    def companion(self, family: Any, config: Mapping[str, Any], model: ModelConfig, folder: Path | None) -> Wish:
        """The generator: that of the checkpoint, where it has one."""
        stored = None if folder is None else folder / GENERATOR
        source = str(stored) if stored is not None and stored.is_dir() else self.options.generator_source
        entries = dict(self.options.generator)
        if source is None:
            layers = family.SIZE["layers"]
            sizes = {key: config[key] for key in family.DEFAULTS}
            entries = {**sizes, layers: max(1, config[layers] // 2), **entries}
        masked = masked_language_modeling.MEMBER
        section = dataclasses.replace(
            model, source=source, task=masked.name, config=entries, task_options={}, adapter=None
        )
        return Wish(GENERATOR, section, masked.layout(family, config).tied_to, self.options.embeddings)

    # Data

    def recognise(self, profile):
        """Never: what is raw text may be anything."""
        return None

    def corrupt(self, batch, encoded, indices, key) -> Batch:
        """Hide tokens, and give every hidden one a uniform number."""
        batch = super().corrupt(batch, encoded, indices, key)
        length = int(self.options.probability * batch["labels"].shape[1] + 0.5)
        batch |= _slots(batch["labels"], length)
        for row, example in enumerate(indices):
            count = int((batch["positions"][row] >= 0).sum())
            stream = np.random.Philox(key=list(self.options.key(key)), counter=[0, 0, 1, int(example) + 1])
            batch["uniforms"][row, :count] = _unit(np.asarray(stream.random_raw(count), np.uint64))
        return batch

    def weighted(self, micro_batches: Sequence[Batch]) -> list[Batch]:
        """The loss is divided by the number of hidden tokens; ``scale`` makes of the discriminator's the mean over the
        real tokens of the step, times its weight."""
        hidden = sum(map(self.targets, micro_batches))
        tokens = sum(int(self.real(batch).sum()) for batch in micro_batches)
        scale = np.float32(self.options.detection_weight * hidden / max(tokens, 1))
        return [{**batch, "scale": np.full_like(batch["scale"], scale)} for batch in micro_batches]

    def real(self, batch: Batch) -> np.ndarray:
        """Which tokens the discriminator is scored on, bool ``(batch, seq)``."""
        return (batch["attention_mask"] == 1) & self.real_rows(batch)[:, None]

    def evaluator(self, encoded: Encoded) -> Evaluator:
        """Losses of both networks, and how well replaced tokens are distinguished from original ones."""
        return _Evaluator(self, len(encoded), encoded.max_length)

    # Use

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """Each line with the probability of every token that it was replaced; marked where that is more probable."""
        from common.data.batching import collate
        from common.training.prediction import refuse_not_finite

        tokenizer, data = trained.tokenizer, trained.config.data
        for row in rows:
            given = tokenizer(row["text"], truncation=True, max_length=data.max_length)
            columns = {"input_ids": Ragged.of([np.asarray(given["input_ids"], np.int32)])}
            encoded = Encoded(self, trained.spec.schema, columns, tokenizer.pad_token_id, data.max_length)
            batch = collate(encoded, np.arange(1), 1, data.length_multiple)
            logits = engine.eval_step(batch | _slots(batch["labels"], 1)).outputs["logits"][0]
            refuse_not_finite({"logits": logits[: len(given["input_ids"])]})
            yield _answer(row["text"], tokenizer, given, logits)

    # Tests, parity and benchmarks

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Hidden tokens, and uniform numbers in steps of 1/1000."""
        found = super().example_targets(spec, inputs, draw)
        found |= _slots(found["labels"], 1)
        shape = found["positions"].shape
        uniforms = (draw("uniforms", shape, 0, 1000) / 1000).astype(np.float32)
        return {**found, "uniforms": uniforms, "scale": np.full(shape[0], 2.5, np.float32)}


def _unit(words: np.ndarray) -> np.ndarray:
    """Float32 in [0, 1), of 24 random bits."""
    return ((words >> np.uint64(40)).astype(np.float64) * 2.0**-24).astype(np.float32)


def _slots(labels: np.ndarray, least: int) -> dict[str, np.ndarray]:
    """``positions`` and empty ``uniforms`` of labels ``(batch, seq)``, for ``least`` hidden tokens a row or more."""
    hidden = labels != IGNORE
    most = max(int(hidden.sum(1).max()), least, 1)
    shape = (len(labels), -(-most // _SLOTS) * _SLOTS)
    positions = np.full(shape, -1, np.int32)
    for row, mask in enumerate(hidden):
        places = np.flatnonzero(mask)
        positions[row, : len(places)] = places
    return {"positions": positions, "uniforms": np.zeros(shape, np.float32)}


def _answer(text: str, tokenizer: Any, given: Any, logits: np.ndarray) -> Answer:
    marked, found = [], []
    for token, owner, logit in zip(given.tokens(0), given.word_ids(0), logits.astype(np.float64), strict=False):
        if owner is not None:
            found.append({"token": token, "probability": round(float(1 / (1 + np.exp(-logit))), 6)})
            marked.append(f"[{token}]" if logit > 0 else token)
    return Answer(tokenizer.convert_tokens_to_string(marked), {"text": text, "tokens": found})


class _Evaluator:
    def __init__(self, task: ReplacedTokenDetection, examples: int, length: int):
        self._task = task
        self._generator, self._right = Sums(), Sums()
        self._logits = np.zeros((examples, length), np.float32)
        self._kinds = np.zeros((examples, length), np.float32)  # 0: no token

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        rows, width = len(indices), batch["labels"].shape[1]
        real = self._task.real(batch)[:rows]
        logits, replaced = result.outputs["logits"][:rows], result.outputs["replaced"][:rows] > 0
        self._logits[indices, :width] = np.where(real, logits, 0)
        self._kinds[indices, :width] = np.where(real, np.where(replaced, _REPLACED, _ORIGINAL), 0)
        detection = float(_losses(logits, replaced)[real].sum())
        self._generator.update(result.loss_sum - detection, result.count)
        self._right.update(float(result.outputs["right"][:rows].sum()), 0)

    def reduce(self, group: Group) -> None:
        self._generator.reduce(group)
        self._right.reduce(group)
        self._logits, self._kinds = group.sum_array(self._logits), group.sum_array(self._kinds)

    def metrics(self) -> dict[str, float]:
        real = self._kinds > 0
        logits, replaced = self._logits[real], self._kinds[real] == _REPLACED
        generator = mean_loss(self._generator.loss, self._generator.count)
        detection = mean_loss(float(_losses(logits, replaced).sum()), int(real.sum()))
        called = logits > 0
        return {
            "loss": generator + self._task.options.detection_weight * detection,
            "generator_loss": generator,
            "generator_accuracy": self._right.loss / self._generator.count,
            "detection_loss": detection,
            "auc": area_under_curve(logits, replaced),
            "detection_accuracy": float((called == replaced).mean()),
            "recall_original": _share(~called[~replaced]),
            "recall_replaced": _share(called[replaced]),
        }


def _losses(logits: np.ndarray, replaced: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of every token, float64."""
    x = logits.astype(np.float64)
    return np.logaddexp(0.0, x) - x * replaced


def _share(booleans: np.ndarray) -> float:
    return float(booleans.mean()) if len(booleans) else 0.0


MEMBER = ReplacedTokenDetection()
