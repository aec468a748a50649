"""The peer `mindpet`: LoRADense of mindpet in the straightforward MindSpore cells of the same BERT, with MindSpore's
default settings.

mindpet is no dependency. Install it apart and name the folder, for example:

    pip install --no-deps --target build/mindpet mindpet==1.0.4
    PYTHONPATH=build/mindpet twinlora bench step --subjects mindspore,mindpet
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend import Batch
from common.bench.cases import Case
from common.errors import InputError
from common.models.specs import ModelSpec

_NAMES = ("input_ids", "attention_mask", "token_type_ids", "labels")


class Encoder(nn.Cell):
    """BERT for classification as one would write it down: three-dimensional states, every layer for every position."""

    def __init__(self, case: Case, dense: Any):
        super().__init__()
        config = case.spec.config
        hidden, eps = config["hidden_size"], config["layer_norm_eps"]
        self.word, self.token_type = (
            nn.Embedding(config["vocab_size"], hidden),
            nn.Embedding(config["type_vocab_size"], hidden),
        )
        self.position = nn.Embedding(config["max_position_embeddings"], hidden)
        self.norm = nn.LayerNorm((hidden,), epsilon=eps)
        self.dropout = nn.Dropout(p=config["hidden_dropout_prob"])
        self.layers = nn.CellList(
            [Layer(config, f"bert.encoder.layer.{index}", dense) for index in range(config["num_hidden_layers"])]
        )
        self.pooler, self.classifier = nn.Dense(hidden, hidden), nn.Dense(hidden, config["num_labels"])

    def construct(self, input_ids, attention_mask, token_type_ids):
        positions = ops.arange(input_ids.shape[1])
        x = self.dropout(self.norm(self.word(input_ids) + self.token_type(token_type_ids) + self.position(positions)))
        mask = (1.0 - attention_mask.astype(ms.float32)).expand_dims(1).expand_dims(1) * -1e30
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(self.dropout(ops.tanh(self.pooler(x[:, 0]))))


class Layer(nn.Cell):
    """Self-attention and feed-forward."""

    def __init__(self, config: Mapping[str, Any], path: str, dense: Any):
        super().__init__()
        hidden, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value = (
            dense(f"{path}.attention.self.{name}", hidden, hidden) for name in ("query", "key", "value")
        )
        self.output = dense(f"{path}.attention.output.dense", hidden, hidden)
        self.norm = nn.LayerNorm((hidden,), epsilon=eps)
        self.up, self.down = (
            dense(f"{path}.intermediate.dense", hidden, inner),
            dense(f"{path}.output.dense", inner, hidden),
        )
        self.last_norm = nn.LayerNorm((hidden,), epsilon=eps)
        self.gelu = nn.GELU(approximate=False)
        self.dropout, self.probabilities = (
            nn.Dropout(p=config["hidden_dropout_prob"]),
            nn.Dropout(p=config["attention_probs_dropout_prob"]),
        )

    def construct(self, x, mask):
        batch, length, hidden = x.shape
        query, key, value = (
            layer(x).reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3)
            for layer in (self.query, self.key, self.value)
        )
        scores = ops.matmul(query, key.transpose(0, 1, 3, 2)) / math.sqrt(hidden // self.heads) + mask
        mixed = (
            ops.matmul(self.probabilities(ops.softmax(scores, -1)), value)
            .transpose(0, 2, 1, 3)
            .reshape(batch, length, hidden)
        )
        x = self.norm(x + self.dropout(self.output(mixed)))
        return self.last_norm(x + self.dropout(self.down(self.gelu(self.up(x)))))


class MindPet:
    """Implements `common.bench.subjects.Subject`."""

    note = "computes every layer for every position, as written down; clips gradients by ops.clip_by_global_norm"

    def __init__(self, case: Case, device: str | None):
        if case.spec.family != "bert" or case.config.training.dtype != "fp32" or case.config.adaptation.bias != "none":
            raise InputError(
                "The peer mindpet is a BERT in float32 with frozen biases; the case is another. Leave mindpet out of --subjects."
            )
        self.device = device or "cpu"
        if device:
            ms.set_device({"gpu": "GPU", "cuda": "GPU", "ascend": "Ascend"}.get(device.partition(":")[0], "CPU"))
        self.model = Encoder(case, _dense(case))
        _load(self.model, case.spec)
        optimization, model = case.config.optimization, self.model
        if optimization.optimizer != "adamw":
            raise InputError(
                f"The peer mindpet trains with AdamW; optimization.optimizer of the case is {optimization.optimizer}. "
                "Leave mindpet out of --subjects."
            )
        for name, parameter in model.parameters_and_names():
            parameter.requires_grad = "mindpet" in name or name.startswith("classifier")
        weights = ms.ParameterTuple(model.trainable_params())
        optimizer = nn.AdamWeightDecay(
            weights, optimization.learning_rate, optimization.beta1, optimization.beta2, optimization.epsilon, 0.0
        )
        bound = optimization.max_grad_norm

        def loss(input_ids, attention_mask, token_type_ids, labels):
            return ops.cross_entropy(model(input_ids, attention_mask, token_type_ids), labels)

        differentiate = ms.value_and_grad(loss, None, weights)

        def step(*inputs):
            value, gradients = differentiate(*inputs)
            if bound is not None:
                gradients = ops.clip_by_global_norm(gradients, bound)
            return ops.depend(value, optimizer(gradients))

        self._step, self._loss = ms.jit(step), ms.jit(loss)

    def step(self, batch: Batch) -> Tensor:
        self.model.set_train(True)
        return self._step(*_inputs(batch))

    def losses(self, handles: Sequence[Tensor]) -> list[float]:
        return [float(handle.asnumpy()) for handle in handles]

    def check_loss(self, batch: Batch) -> float:
        self.model.set_train(False)
        return float(self._loss(*_inputs(batch)).asnumpy())


def build(name: str, case: Case, device: str | None) -> MindPet:
    """The peer. Raises InputError where mindpet is not installed or cannot do the case."""
    return MindPet(case, device)


def _dense(case: Case) -> Any:
    """Makes a layer of the path: LoRADense where a target fits, nn.Dense elsewhere."""
    layer = _lora_dense()
    adaptation = case.config.adaptation

    def dense(path: str, inputs: int, outputs: int) -> nn.Cell:
        if not any(fnmatchcase(path, target.pattern) for target in adaptation.targets):
            return nn.Dense(inputs, outputs)
        return layer(inputs, outputs, adaptation.rank, adaptation.alpha, adaptation.dropout, compute_dtype=ms.float32)

    return dense


def _lora_dense() -> Any:
    """mindpet's layer itself. Its packages' ``__init__`` import commands and adapters that need mindformers; they are
    passed over."""
    found = importlib.util.find_spec("mindpet")
    if found is None:
        raise InputError(f"The peer mindpet needs mindpet 1.0.4, which is not installed. {__doc__.partition('. ')[2]}")
    [folder] = found.submodule_search_locations
    for name, path in (("mindpet", folder), ("mindpet.delta", f"{folder}/delta")):
        package = sys.modules.setdefault(name, ModuleType(name))
        package.__path__ = [path]
    return importlib.import_module("mindpet.delta.lora").LoRADense


def _load(model: nn.Cell, spec: ModelSpec) -> None:
    """The base weights of the case, so that the losses are those of the others."""
    ours = {
        "bert.embeddings.word_embeddings.weight": "word.embedding_table",
        "bert.embeddings.position_embeddings.weight": "position.embedding_table",
        "bert.embeddings.token_type_embeddings.weight": "token_type.embedding_table",
        "bert.embeddings.LayerNorm": "norm",
        "bert.pooler.dense": "pooler",
        "attention.self.": "",
        "attention.output.dense": "output",
        "attention.output.LayerNorm": "norm",
        "intermediate.dense": "up",
        "output.dense": "down",
        "output.LayerNorm": "last_norm",
        "bert.encoder.layer": "layers",
    }
    parameters: dict[str, Parameter] = {
        name: parameter for name, parameter in model.parameters_and_names() if "mindpet" not in name
    }
    for name, array in spec.arrays.items():
        target = name
        for theirs, here in ours.items():
            target = target.replace(theirs, here)
        if "norm" in target:
            target = target.replace("weight", "gamma").replace("bias", "beta")
        parameters.pop(target).set_data(Tensor(np.array(array)))
    if parameters:
        raise InputError(f"The peer needs every weight of the case; it has none for {', '.join(parameters)}.")


def _inputs(batch: Batch) -> tuple[Tensor, ...]:
    real = batch["labels"] >= 0
    return tuple(Tensor(batch[name][real]) for name in _NAMES)
