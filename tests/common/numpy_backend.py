"""A third backend, for tests of what is shared: softmax regression on the mean word embedding, in NumPy.
 It trains the head only (method ``head``), has dropout whose masks depend on (seed, step), and records what it is asked
to do.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from common.backend import IGNORE, EvalResult, StepHandle
from common.backend.capabilities import Capabilities
from common.compilation import Compilations
from common.distributed import ALONE
from common.tasks import TASKS


class Engine:
    """Implements `common.backend.Engine` with SGD with momentum."""

    group = ALONE
    poison: int | None = None  #: the step whose loss becomes NaN
    on_step = staticmethod(lambda step: None)

    def __init__(self, model, plan, settings, group=ALONE):
        self.embeddings = model.arrays["bert.embeddings.word_embeddings.weight"].astype(np.float64)
        self.settings, self.names = settings, tuple(parameter.name for parameter in plan.unfrozen)
        self.values = {name: model.arrays[name].copy() for name in self.names}
        self.momentum = {name: np.zeros_like(value) for name, value in self.values.items()}
        self.compilations = Compilations()
        self.step = 0
        self.fetched: list[int] = []

    def train_step(self, micro_batches, learning_rate):
        count, total = TASKS.get("sequence-classification").step_targets(micro_batches), 0.0
        gradients = {name: np.zeros(value.shape) for name, value in self.values.items()}
        random = np.random.default_rng([self.settings.seed, self.step])
        for batch in micro_batches:
            features, rows = self._features(batch), batch["labels"] != IGNORE
            features = features * (random.random(features.shape) > 0.1)
            probabilities, loss = self._loss(features, batch["labels"])
            total += loss
            probabilities[rows, batch["labels"][rows]] -= 1
            probabilities[~rows] = 0
            gradients["classifier.weight"] += probabilities.T @ features / count
            gradients["classifier.bias"] += probabilities.sum(0) / count
        norm = float(np.sqrt(sum((gradient**2).sum() for gradient in gradients.values())))
        for name, gradient in gradients.items():
            self.momentum[name] = (0.9 * self.momentum[name] + gradient).astype(np.float32)
            self.values[name] = (self.values[name] - learning_rate * self.momentum[name]).astype(np.float32)
        self.step += 1
        self.on_step(self.step)
        return StepHandle(float("nan") if self.step == self.poison else total, norm, count)

    def fetch(self, handles):
        self.fetched.append(len(handles))
        return [(handle.loss_sum, handle.grad_norm) for handle in handles]

    def eval_step(self, batch):
        features = self._features(batch)
        _, loss = self._loss(features, batch["labels"])
        return EvalResult(
            loss, int((batch["labels"] != IGNORE).sum()), {"logits": self._logits(features).astype(np.float32)}
        )

    def trainable(self):
        return {name: value.copy() for name, value in self.values.items()}

    def frozen(self):
        yield "bert.embeddings.word_embeddings.weight", self.embeddings.astype(np.float32)

    def load_trainable(self, arrays):
        assert set(arrays) == set(self.names)
        self.values = {name: array.copy() for name, array in arrays.items()}

    def state(self):
        return {
            "step": np.int64(self.step).reshape(()),
            **{f"exp_avg.{name}": value.copy() for name, value in self.momentum.items()},
        }

    def load_state(self, arrays):
        self.step = int(arrays["step"])
        self.momentum = {name: arrays[f"exp_avg.{name}"].copy() for name in self.names}

    def _features(self, batch):
        mask = batch["attention_mask"][..., None]
        return (self.embeddings[batch["input_ids"]] * mask).sum(1) / mask.sum(1)

    def _logits(self, features):
        return features @ self.values["classifier.weight"].T + self.values["classifier.bias"]

    def _loss(self, features, labels):
        logits = self._logits(features)
        probabilities = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        rows = labels != IGNORE
        return probabilities, float(-np.log(probabilities[rows, labels[rows]]).sum())


def backend():
    """A package-like object with what `common` expects of a backend."""
    device = SimpleNamespace(
        select=lambda name: name or "cpu", describe=lambda name: None, peak_memory=lambda name: None
    )
    return SimpleNamespace(
        distributed=None,
        capabilities=lambda device: Capabilities("pytorch", other_families=True),
        model_problems=lambda spec: [],
        Engine=type("Engine", (Engine,), {}),
        build_model=lambda spec, device: spec,
        rewrite=lambda model, plan, values: None,
        device=device,
    )
