"""RoBERTa in both backends, against `transformers`' own networks, PEFT, and each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common import tasks
from common.artifacts import adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods.targets import Target
from common.models import loading
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks.task import Task
from tests.support import assert_all_near, assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, STEP_LOSS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, PADDING, LABELS = 50, 1, ("a", "b", "c")
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
FAMILIES = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta"}
HEADS = {"sequence": "ForSequenceClassification", "token": "ForTokenClassification", "masked": "ForMaskedLM"}


class _OfHead(Task):
    """A task that is nothing but a head."""

    name, FIELDS, peft_type = "of-head", (), None

    def __init__(self, head: str):
        self.head = head

    def configured(self, given):
        return self


def spec_of(folder, head: str, seed: int = 0, dropout: float | None = 0.0, patch=None):
    """The specification of a folder; of heads other than ``sequence`` through a task that is nothing but the head."""
    labels = None if head == "masked" else LABELS
    if head == "sequence":
        config = ModelConfig(str(folder), "sequence-classification", None, dropout, {})
        return load_model_spec(config, labels, VOCABULARY, PADDING, seed)
    task = _OfHead(head)
    task.entries = lambda _: Task.entries(task, labels)
    for module in (loading, tasks):
        patch.setattr(module, "TASKS", {task.name: task})
    return load_model_spec(ModelConfig(str(folder), task.name, None, dropout, {}), labels, VOCABULARY, PADDING, seed)


def reference(family: str, head: str):
    """A network of `transformers` with no parameter near 0 or 1."""
    torch.manual_seed(0)
    labels = {} if head == "masked" else {"num_labels": len(LABELS)}
    config = getattr(transformers, f"{FAMILIES[family]}Config")(**SIZES, **labels)
    model = getattr(transformers, f"{FAMILIES[family]}{HEADS[head]}")(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    return model.eval()


def make_batch(seed: int = 0, fill: bool = True) -> dict[str, np.ndarray]:
    """Rows of uneven length up to every position, a padding id inside a text, and a row that only fills the batch."""
    lengths, width = [9, 1, 18, 5], 18
    random = np.random.default_rng(seed)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int32)
    ids = np.where(mask == 1, random.integers(3, VOCABULARY, mask.shape), PADDING)
    ids[2, 4] = PADDING
    labels = random.integers(0, len(LABELS), len(lengths))
    if fill:
        ids, mask = (
            np.concatenate([array, np.full((1, width), value)]) for array, value in ((ids, PADDING), (mask, 0))
        )
        mask[-1, 0], labels = 1, np.append(labels, -100)
    return {name: a.astype(np.int32) for name, a in (("input_ids", ids), ("attention_mask", mask), ("labels", labels))}


def theirs(model, batch) -> np.ndarray:
    ids, mask = (torch.from_numpy(batch[name]).long() for name in ("input_ids", "attention_mask"))
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits.numpy()


def ours(backend, spec, batch, plain: tuple[str, ...] = ()) -> np.ndarray:
    """Logits of the bare network, without an engine or a task's loss."""
    model = backend.build_model(spec, backend.device.select("cpu"))
    model.plain = plain
    if backend.__name__ == "pytorch_impl":
        with torch.no_grad():
            return model.logits({name: torch.from_numpy(array).long() for name, array in batch.items()}).numpy()
    import mindspore

    return model.logits({name: mindspore.Tensor(array) for name, array in batch.items()}).asnumpy()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_a_folder_of_transformers_gives_its_logits(backend, family, head, tmp_path, monkeypatch):
    model, batch = reference(family, head), make_batch()
    model.save_pretrained(tmp_path)
    spec = spec_of(tmp_path, head, patch=monkeypatch)
    assert spec.new_parameters == ()
    expected, real = theirs(model, batch), batch["attention_mask"] == 1
    rows = slice(None) if head == "sequence" else real  # nobody reads what stands at padding
    assert np.abs(expected).max() > 0.5
    assert_near(ours(backend, spec, batch)[rows], expected[rows], BERT_LOGITS_ABS, absolute=True)
    if head == "sequence":
        whole = ours(backend, spec, batch, ("last_layer",))
        assert_near(whole, expected, BERT_LOGITS_ABS, absolute=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_a_saved_folder_loads_in_transformers_without_a_word(family, head, tmp_path, monkeypatch):
    reference(family, head).save_pretrained(tmp_path / "theirs")
    spec = spec_of(tmp_path / "theirs", head, patch=monkeypatch)
    moved = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    save_pretrained(tmp_path / "ours", spec, moved)
    network = getattr(transformers, f"{FAMILIES[family]}{HEADS[head]}")
    again, report = network.from_pretrained(tmp_path / "ours", dtype=torch.float32, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert again.config.architectures == [network.__name__]
    assert again.config.model_type == family
    batch = make_batch()
    rows = slice(None) if head == "sequence" else batch["attention_mask"] == 1
    actual = ours(load("pytorch"), dataclasses.replace(spec, arrays=moved), batch)
    assert_near(actual[rows], theirs(again.eval(), batch)[rows], BERT_LOGITS_ABS, absolute=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved RoBERTa classifier."""
    path = tmp_path_factory.mktemp("roberta")
    reference("roberta", "sequence").save_pretrained(path)
    return path


def test_hidden_states_are_those_of_transformers(backend, folder):
    spec, batch = spec_of(folder, "sequence"), make_batch()
    ids, mask = (torch.from_numpy(batch[name]).long() for name in ("input_ids", "attention_mask"))
    with torch.no_grad():
        base = transformers.RobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
        expected = base(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    model = backend.build_model(spec, backend.device.select("cpu"))
    if backend.__name__ == "pytorch_impl":
        with torch.no_grad():
            actual = [x.numpy() for x in model.hidden_states({"input_ids": ids, "attention_mask": mask})]
    else:
        import mindspore

        actual = [x.asnumpy() for x in model.hidden_states({k: mindspore.Tensor(v) for k, v in batch.items()})]
    assert len(actual) == len(expected) == 3
    real = batch["attention_mask"] == 1
    for mine, other in zip(actual, expected, strict=True):
        assert_near(mine[real], other.numpy()[real], BERT_LOGITS_ABS, absolute=True)


def both(spec, plan, **settings):
    values = nonzero_values(plan)
    return [build_engine(load(name), spec, plan, values, **settings) for name in ("pytorch", "mindspore")]


def without_zeros(gradients):
    """Without the keys' biases: softmax does not see what is added to every score, so that their gradient is 0."""
    return {name: array for name, array in gradients.items() if not name.endswith("key.bias")}


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("method", ["lora", "full", "head"])
def test_every_gradient_agrees_where_a_padding_id_stands_in_a_text(folder, method):
    spec = spec_of(folder, "sequence")
    tables = ("*.word_embeddings", "*.position_embeddings", Target("*.token_type_embeddings", rank=1))
    plan = plan_for(spec, ("*.query", "*.value", *tables) if method == "lora" else (), method=method)
    expected, actual = (without_zeros(engine.gradients([make_batch()])) for engine in both(spec, plan))
    assert_all_near(actual, expected, GRADIENT)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_padding_row_gets_no_gradient_from_a_padding_id_in_a_text(family):
    """As in `torch`, whose tables have a ``padding_idx``; an attended padding id is the only one that could have it."""
    from common.models import FAMILIES as MEMBERS

    entries = {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3, **MEMBERS.get(family).tiny()}
    config = ModelConfig(None, "sequence-classification", None, 0.0, entries)
    spec = load_model_spec(config, LABELS, VOCABULARY, PADDING, 0)
    batch = make_batch()
    given = {field.name: batch.get(field.name, np.zeros_like(batch["input_ids"])) for field in spec.schema.fields}
    table = f"{family}.embeddings.word_embeddings.weight"
    for engine in both(spec, plan_for(spec, (), method="full")):
        gradient = engine.gradients([given])[table]
        assert not gradient[PADDING].any()
        assert gradient[given["input_ids"][2, 3]].any()


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile", [False, None])
def test_losses_of_training_with_dropout_agree(folder, compile):
    """The masks of the backends are equal, those of the head's two dropouts included."""
    spec = spec_of(folder, "sequence", dropout=0.2)
    layout = spec.layout
    assert (layout.dropout, layout.dense_dropout) == (0.2, 0.2)
    assert layout.dropout_path != layout.dense_dropout_path
    plan = plan_for(spec, ("*.query", "*.value"), dropout=0.1, bias="lora_only")  # a key's bias has no gradient
    engines = [
        build_engine(load(name), spec, plan, nonzero_values(plan), compile=mode)
        for name, mode in (("pytorch", False), ("mindspore", compile))
    ]
    losses, batches = [], [make_batch(0), make_batch(1)]
    before = sum(engines[0].eval_step(batch).loss_sum for batch in batches)
    for engine in engines:
        handles = [engine.train_step(batches, 2e-3) for _ in range(8)]
        losses.append([loss for loss, _ in engine.fetch(handles)])
    assert_near(np.array(losses[1]), np.array(losses[0]), STEP_LOSS)
    assert sum(engines[0].eval_step(batch).loss_sum for batch in batches) < before  # without dropout, which is noise
    assert_all_near(engines[1].trainable(), engines[0].trainable(), 1e-3)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("bias", ["none", "all"])
def test_peft_loads_our_classifier_adapter_and_we_load_its_own(folder, bias, tmp_path):
    peft = pytest.importorskip("peft")
    spec = spec_of(folder, "sequence")
    plan = plan_for(spec, ("query", "value"), bias=bias)
    arrays = {n: normal(3, n, shape, 0.3) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    assert adapter.read_adapter(tmp_path / "ours")[0]["modules_to_save"] == ["classifier"]
    base = transformers.RobertaForSequenceClassification.from_pretrained(folder)
    model = peft.PeftModel.from_pretrained(base, str(tmp_path / "ours")).eval()
    engine = build_engine(load("pytorch"), spec, plan)
    engine.load_trainable(arrays)
    batch = make_batch()
    expected = engine.eval_step(batch).outputs["logits"]
    assert_near(theirs(model, batch), expected, BERT_LOGITS_ABS, absolute=True)
    model.save_pretrained(tmp_path / "theirs")
    back = adapter.load(tmp_path / "theirs", plan, spec)
    assert_all_near(back, arrays, 0.0)


@pytest.mark.needs_pytorch
def test_the_bias_of_a_tied_masked_head_moves_to_peft_and_back(tmp_path, monkeypatch):
    peft = pytest.importorskip("peft")
    reference("roberta", "masked").save_pretrained(tmp_path / "base")
    spec = spec_of(tmp_path / "base", "masked", patch=monkeypatch)
    monkeypatch.setattr("common.methods.peft.lora.TASKS", loading.TASKS)
    plan = plan_for(spec, ("query",), bias="all")
    arrays = {n: normal(4, n, shape, 0.3) for n, shape in plan.shapes().items()}
    assert "lm_head.bias" in arrays
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    base = transformers.RobertaForMaskedLM.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(base, str(tmp_path / "ours")).eval()
    with torch.no_grad():
        assert_near(model.base_model.model.lm_head.decoder.bias.numpy(), arrays["lm_head.bias"], 0.0)
    model.save_pretrained(tmp_path / "theirs")
    assert_all_near(adapter.load(tmp_path / "theirs", plan, spec), arrays, 0.0)


def test_positions_end_before_those_of_padding(folder):
    spec = spec_of(folder, "sequence")
    assert loading.FAMILIES.get("roberta").positions(spec.config) == 18


def test_a_tokenizer_that_pads_with_another_id_is_refused(folder):
    config = ModelConfig(str(folder), "sequence-classification", None, None, {})
    with pytest.raises(InputError, match=r"padding id 1.*it pads with 0"):
        load_model_spec(config, LABELS, VOCABULARY, 0, 0)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"is_decoder": True}, "is_decoder must be false"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type must be 'absolute'"),
        ({"max_position_embeddings": 2}, "must exceed the padding id"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(folder, entries, problem, tmp_path):
    import json
    import shutil

    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError, match=problem):
        spec_of(tmp_path, "sequence")


def test_an_untied_masked_head_is_refused(tmp_path, monkeypatch):
    model = reference("roberta", "masked")
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false'))
    with pytest.raises(InputError, match="tie_word_embeddings must be true"):
        spec_of(tmp_path, "masked", patch=monkeypatch)
