"""Outputs of each backend against `transformers` itself, from the same checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from common.config.schema import ModelConfig
from common.data import load_tokenizer
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from tests.support import assert_near, build_engine, make_batch, model_config, plan_for, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, GPT2_LOGITS_ABS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SENTENCES = [
    "a gorgeous , witty , seductive movie .",
    "it 's slow -- very , very slow .",
    "the film is strictly routine , although the title itself promises rather more than the 90 minutes that follow could ever hope to deliver .",
    "no .",
]


def frozen_engine(backend, spec):
    """An engine of the model as it is: nothing but the head, or a bias, is trained."""
    return build_engine(
        backend, spec, plan_for(spec, (), method="head") if spec.head else plan_for(spec, (), bias="all"), {}
    )


def reference(folder, task, batch):
    """Logits of `transformers`, loaded from the folder by its own code; no weight may be missing, left over or at
    random."""
    network = (
        transformers.AutoModelForSequenceClassification
        if task == "sequence-classification"
        else transformers.AutoModelForCausalLM
    )
    model, report = network.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    inputs = {name: torch.from_numpy(array).long() for name, array in batch.items() if name != "labels"}
    with torch.no_grad():
        return model.eval()(**inputs).logits.numpy()


def test_pretrained_encoder_gives_the_logits_of_transformers(backend, minilm_folder, tmp_path):
    spec = load_model_spec(
        ModelConfig(str(minilm_folder), "sequence-classification", None, 0.0, {}), ("negative", "positive"), 30522, 0, 3
    )
    arrays = dict(spec.arrays) | {"classifier.weight": 20 * spec.arrays["classifier.weight"]}  # logits of order 1
    save_pretrained(tmp_path, spec, arrays)
    loaded = load_model_spec(
        ModelConfig(str(tmp_path), "sequence-classification", None, 0.0, {}), ("negative", "positive"), 30522, 0, 4
    )
    assert loaded.new_parameters == ()
    encoded = load_tokenizer(str(minilm_folder))(SENTENCES, padding=True, return_tensors="np")
    batch = {name: encoded[name].astype(np.int32) for name in ("input_ids", "attention_mask")} | {
        "labels": np.zeros(4, np.int32)
    }
    batch["token_type_ids"] = (np.arange(batch["input_ids"].size).reshape(4, -1) % 2).astype(np.int32) * batch[
        "attention_mask"
    ]
    assert batch["attention_mask"].min() == 0
    expected = reference(tmp_path, "sequence-classification", batch)
    assert np.abs(expected).max() > 0.3
    assert_near(
        frozen_engine(backend, loaded).eval_step(batch).outputs["logits"], expected, BERT_LOGITS_ABS, absolute=True
    )


@pytest.fixture(scope="module")
def twelve_layers(tmp_path_factory):
    """A GPT-2 small of random weights with a short vocabulary, a batch, and the logits of `transformers`."""
    config = model_config(
        "gpt2", n_embd=768, n_layer=12, n_head=12, n_positions=64, vocab_size=500, initializer_range=0.04
    )
    spec = load_model_spec(config, None, 500, 0, 0)
    folder = tmp_path_factory.mktemp("gpt2")
    save_pretrained(folder, spec, spec.arrays)
    batch = make_batch("gpt2", [33, 7, 1, 20], vocabulary=500)
    return spec, batch, reference(folder, "language-modeling", batch)


@pytest.mark.slow
def test_gpt2_of_twelve_layers_gives_the_logits_of_transformers(backend, twelve_layers):
    spec, batch, expected = twelve_layers
    assert np.abs(expected).max() > 1.0
    engine = frozen_engine(backend, spec)
    for position in (0, 6, 32):
        positions = np.minimum(position, batch["attention_mask"].sum(1) - 1).astype(np.int32)
        assert_near(
            engine.logits_at(batch, positions), expected[np.arange(4), positions], GPT2_LOGITS_ABS, absolute=True
        )


@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt2-classifier"])
@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"bert": {"hidden_act": "gelu_new"}, "gpt2": {"activation_function": "gelu"}},
        {"bert": {"hidden_act": "relu"}, "gpt2": {"n_inner": 20}},
    ],
    ids=["default", "other-gelu", "relu-or-inner"],
)
def test_tiny_model_of_each_kind_gives_the_logits_of_transformers(backend, kind, entries, tmp_path):
    spec = tiny_spec(kind, **entries.get(kind.partition("-")[0], {}))
    save_pretrained(tmp_path, spec, spec.arrays)
    batch = make_batch(kind, [9, 1, 16, 5])
    expected = reference(tmp_path, spec.task, batch)
    engine = frozen_engine(backend, spec)
    if spec.head:
        assert_near(engine.eval_step(batch).outputs["logits"], expected, BERT_LOGITS_ABS, absolute=True)
    else:
        positions = batch["attention_mask"].sum(1).astype(np.int32) - 1
        assert_near(
            engine.logits_at(batch, positions), expected[np.arange(4), positions], BERT_LOGITS_ABS, absolute=True
        )
        logits = torch.from_numpy(expected).double().flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(batch["labels"]).long().flatten(), reduction="sum"
        )
        result = engine.eval_step(batch)
        assert result.loss_sum == pytest.approx(loss.item(), rel=1e-6)
        assert (result.count, dict(result.outputs)) == (31, {})


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_hidden_states_are_those_of_transformers(backend, kind, tmp_path):
    spec = tiny_spec(kind)
    save_pretrained(tmp_path, spec, spec.arrays)
    batch = make_batch(kind, [6, 10])
    inputs = {name: array for name, array in batch.items() if name != "labels"}
    model = transformers.AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = model(
            **{name: torch.from_numpy(array).long() for name, array in inputs.items()}, output_hidden_states=True
        ).hidden_states
    actual = hidden_states(backend, spec, inputs)
    assert len(actual) == len(expected) == 3
    for ours, theirs in zip(actual, expected, strict=True):
        real = inputs["attention_mask"] == 1  # padding positions hold values nobody reads
        assert_near(ours[real], theirs.numpy()[real], BERT_LOGITS_ABS, absolute=True)


def hidden_states(backend, spec, inputs):
    model = backend.build_model(spec, backend.device.select("cpu"))
    if backend.__name__ == "pytorch_impl":
        with torch.no_grad():
            given = {name: torch.from_numpy(array).long() for name, array in inputs.items()}
            return [state.numpy() for state in model.hidden_states(given)]
    import mindspore

    given = {name: mindspore.Tensor(array) for name, array in inputs.items()}
    return [state.asnumpy() for state in model.hidden_states(given)]
