"""Token classification and masked language modelling: both backends and `transformers` compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.config.schema import ModelConfig
from common.models.checkpoint import read_checkpoint, save_pretrained
from common.models.loading import load_model_spec
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import ACCUMULATION, BERT_LOGITS_ABS, GRADIENT

torch = pytest.importorskip("torch")
pytest.importorskip("mindspore")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

TOKENS, MASKED = "token-classification", "masked-language-modeling"
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SIZES |= {"max_position_embeddings": 32, "initializer_range": 0.3, "vocab_size": 60}
ROBERTA = {**SIZES, "max_position_embeddings": 34, "type_vocab_size": 1, "pad_token_id": 1}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "initializer_range": 0.3, "vocab_size": 60}
NETWORKS = {
    (MASKED, "bert"): (SIZES, "BertForMaskedLM", ("*.query", "*.output.dense")),
    (TOKENS, "bert"): (SIZES, "BertForTokenClassification", ("*.query",)),
    (MASKED, "roberta"): (ROBERTA, "RobertaForMaskedLM", ("*.query", "*.output.dense")),
    (TOKENS, "roberta"): (ROBERTA, "RobertaForTokenClassification", ("*.query",)),
    (TOKENS, "gpt2"): (GPT2, "GPT2ForTokenClassification", ("*.attn.c_attn[q,v]",)),
}
CASES = [pytest.param(*key, id="-".join(key)) for key in NETWORKS]


@pytest.fixture
def checkpoint(tmp_path):
    """A folder that `transformers` wrote, and the network in it, of which no parameter is zero or one."""

    def make(task, family):
        sizes, name, _ = NETWORKS[task, family]
        torch.manual_seed(0)
        dropouts = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
        dropouts = dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0) if family == "gpt2" else dropouts
        given = {"num_labels": 3, "pad_token_id": 0, **sizes, **dropouts}
        config = transformers.AutoConfig.for_model(family, **given)
        network = getattr(transformers, name)(config).eval()
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        network.save_pretrained(tmp_path / "theirs")
        return tmp_path / "theirs", network

    return make


def spec_of(folder, task, vocabulary=60):
    config = ModelConfig(str(folder), task, None, 0.0, {})
    return load_model_spec(config, TASKS.get(task).example_labels(), vocabulary, None, 0)


def padded(spec):
    """Rows of several lengths, padding, and rows that only fill the batch."""
    batch = example_batch(spec, [9, 5, 7, 1], "tests|token tasks", 12)
    filled = {name: np.concatenate([array, array[:1], array[:1]]) for name, array in batch.items()}
    filled["input_ids"][4:] = spec.config["pad_token_id"]
    filled["attention_mask"][4:] = 0
    filled["attention_mask"][4:, 0] = 1
    filled["labels"][4:] = IGNORE
    return batch, filled


def tensors(batch):
    return {name: torch.from_numpy(array).long() for name, array in batch.items()}


def largest(gradients):
    return max(np.abs(array).max() for array in gradients.values())


def assert_gradients(actual, expected, tolerance):
    """Relative to the largest of all: those of key biases are 0 but for rounding."""
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert np.abs(actual[name] - array).max() <= tolerance * largest(expected), name


@pytest.mark.parametrize(("task", "family"), CASES)
def test_logits_losses_and_gradients_are_those_of_transformers(checkpoint, task, family):
    folder, network = checkpoint(task, family)
    spec = spec_of(folder, task)
    batch, filled = padded(spec)
    result = network(**tensors(batch))
    result.loss.backward()
    count = int((batch["labels"] != IGNORE).sum())
    real = batch["attention_mask"] == 1
    assert spec.new_parameters == ()
    plan = plan_for(spec, method="full")
    expected = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan, {})
        for rows in (batch, filled):
            found = engine.eval_step(rows)
            assert found.count == count
            assert found.loss_sum / count == pytest.approx(result.loss.item(), rel=GRADIENT)
            assert_gradients(engine.gradients([rows]), expected, GRADIENT)
        for position in (0, 4):
            at = engine.logits_at(batch, np.array([min(position, n - 1) for n in real.sum(1)], np.int32))
            theirs = result.logits.detach().numpy()[np.arange(4), np.minimum(position, real.sum(1) - 1)]
            assert_near(at, theirs, BERT_LOGITS_ABS, absolute=True, what=name)


@pytest.mark.parametrize(("task", "family"), CASES)
@pytest.mark.parametrize("bias", ["none", "all"])
def test_both_backends_have_the_gradients_of_lora(checkpoint, task, family, bias):
    folder, _ = checkpoint(task, family)
    spec = spec_of(folder, task)
    _, batch = padded(spec)
    plan = plan_for(spec, NETWORKS[task, family][2], bias=bias)
    found = [build_engine(load(name), spec, plan).gradients([batch]) for name in ("pytorch", "mindspore")]
    assert largest(found[0]) > 0
    assert_gradients(found[1], found[0], GRADIENT)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_masked_loss_without_logits_is_the_plain_one(checkpoint, compiled, backend):
    if compiled and backend.__name__ == "pytorch_impl":
        pytest.skip("the plain path of PyTorch is the same code when compiled")
    folder, _ = checkpoint(MASKED, "bert")
    spec = spec_of(folder, MASKED)
    _, batch = padded(spec)
    plan = plan_for(spec, ("*.query",))
    fast, plain = (build_engine(backend, spec, plan, compile=compiled, plain=off) for off in ((), ("loss",)))
    assert_gradients(fast.gradients([batch]), plain.gradients([batch]), ACCUMULATION)
    mine, theirs = fast.eval_step(batch), plain.eval_step(batch)
    assert mine.loss_sum == pytest.approx(theirs.loss_sum, rel=ACCUMULATION)
    assert np.array_equal(mine.outputs["right"], theirs.outputs["right"])


def test_right_predictions_are_counted_for_each_row(backend, checkpoint):
    folder, network = checkpoint(MASKED, "bert")
    spec = spec_of(folder, MASKED)
    _, batch = padded(spec)
    best = network(**tensors({k: v for k, v in batch.items() if k != "labels"})).logits.argmax(-1).numpy()
    targets = batch["labels"] != IGNORE
    batch["labels"][0] = np.where(targets[0], best[0], IGNORE)
    batch["labels"][1] = np.where(targets[1], (best[1] + 1) % 60, IGNORE)
    right = build_engine(backend, spec, plan_for(spec, method="full"), {}).eval_step(batch).outputs["right"]
    assert right[0] == targets[0].sum() > 1
    assert right[1] == 0
    assert (right[4:] == 0).all()


def test_many_pieces_add_up_to_the_whole(backend, checkpoint, monkeypatch):
    import importlib

    folder, _ = checkpoint(MASKED, "bert")
    spec = spec_of(folder, MASKED)
    _, batch = padded(spec)
    engine = build_engine(backend, spec, plan_for(spec, ("*.query",)))
    whole, result = engine.gradients([batch]), engine.eval_step(batch)
    monkeypatch.setattr(importlib.import_module(f"{backend.__name__}.layers.loss"), "PIECE", 60 * 5)
    assert_gradients(engine.gradients([batch]), whole, ACCUMULATION)
    again = engine.eval_step(batch)
    assert again.loss_sum == pytest.approx(result.loss_sum, rel=ACCUMULATION)
    assert np.array_equal(again.outputs["right"], result.outputs["right"])


@pytest.mark.parametrize(("task", "family"), CASES)
def test_our_checkpoint_loads_in_transformers_without_a_word(checkpoint, tmp_path, task, family):
    folder, network = checkpoint(task, family)
    spec = spec_of(folder, task)
    save_pretrained(tmp_path / "ours", spec, spec.arrays)
    kind = type(network)
    loaded, report = kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch, _ = padded(spec)
    torch.testing.assert_close(loaded.eval()(**tensors(batch)).logits, network(**tensors(batch)).logits)
    assert read_checkpoint(tmp_path / "ours").keys() == read_checkpoint(folder).keys()


def test_a_classifier_on_a_masked_checkpoint_gets_a_new_pooler_which_is_trained_and_announced(checkpoint):
    from common.methods.coverage import coverage_table

    folder, _ = checkpoint(MASKED, "bert")
    spec = spec_of(folder, "sequence-classification")
    assert spec.head == ("bert.pooler.dense", "classifier")
    plan = plan_for(spec, ("*.query",))
    assert {"bert.pooler.dense.weight", "classifier.bias"} <= set(plan.shapes())
    assert "initialised here: bert.pooler.dense, classifier" in coverage_table(plan, spec)


def test_a_masked_head_that_the_checkpoint_lacks_is_new_and_trained(checkpoint, tmp_path):
    folder, network = checkpoint(MASKED, "bert")
    network.bert.save_pretrained(tmp_path / "encoder")
    spec = spec_of(tmp_path / "encoder", MASKED)
    transform = "cls.predictions.transform"
    assert spec.head == (f"{transform}.dense", f"{transform}.LayerNorm")
    assert spec_of(folder, MASKED).head == ()


@pytest.mark.parametrize(("task", "family"), [(MASKED, "bert"), (TOKENS, "bert")])
def test_peft_computes_with_the_adapter_and_the_merged_model_is_equal(checkpoint, tmp_path, task, family):
    peft = pytest.importorskip("peft")
    from common.artifacts import adapter
    from common.methods.merge import merged_model

    folder, network = checkpoint(task, family)
    spec = spec_of(folder, task)
    plan = plan_for(spec, NETWORKS[task, family][2])
    values = nonzero_values(plan) | {p.name: spec.arrays[p.name] for p in plan.unfrozen}
    adapter.save(tmp_path / "adapter", plan, spec, values)
    assert adapter.load(tmp_path / "adapter", plan, spec).keys() == values.keys()
    batch, _ = padded(spec)
    inputs = tensors({name: array for name, array in batch.items() if name != "labels"})
    adapted = peft.PeftModel.from_pretrained(network, str(tmp_path / "adapter")).eval()
    theirs = adapted(**inputs).logits.detach().numpy()
    engine = build_engine(load("pytorch"), spec, plan)
    ours = engine.logits_at(batch, np.zeros(4, np.int32))
    assert_near(ours, theirs[:, 0], BERT_LOGITS_ABS, absolute=True)
    merged, _ = merged_model(plan, spec, values)
    save_pretrained(tmp_path / "merged", merged, merged.arrays)
    again = type(network).from_pretrained(tmp_path / "merged").eval()(**inputs).logits.detach().numpy()
    assert_near(again[:, 0], ours, BERT_LOGITS_ABS, absolute=True)
