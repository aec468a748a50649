"""DistilBERT, ELECTRA, ALBERT and MPNet in both backends, against `transformers`' own networks, PEFT, and each other."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from common import tasks
from common.artifacts import adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods.merge import merged_model
from common.models import FAMILIES, loading
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks.task import Task
from tests.support import assert_all_near, assert_identical, assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import FAMILY, MERGED_ABS, PADDING_ABS, STEP_LOSS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, LABELS = 50, ("a", "b", "c")
_BERT = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 20}
_DISTILBERT = {"dim": 24, "n_heads": 3, "hidden_dim": 40, "n_layers": 2, "max_position_embeddings": 20}
#: by name of the case: family, what transformers calls its networks, entries of the configuration
CASES = {
    "distilbert": ("distilbert", "DistilBert", _DISTILBERT),
    "electra": ("electra", "Electra", {**_BERT, "embedding_size": 16, "num_hidden_layers": 2}),
    "electra-wide": ("electra", "Electra", {**_BERT, "embedding_size": 24, "num_hidden_layers": 1}),
    "albert": ("albert", "Albert", {**_BERT, "embedding_size": 16, "num_hidden_layers": 3}),
    "albert-groups": (
        *("albert", "Albert"),
        {**_BERT, "embedding_size": 16, "num_hidden_layers": 3, "num_hidden_groups": 2, "inner_group_num": 2},
    ),
    "mpnet": ("mpnet", "MPNet", {**_BERT, "max_position_embeddings": 22, "num_hidden_layers": 2}),
}
MAIN = ("distilbert", "electra", "albert-groups", "mpnet")
HEADS = {
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "masked": "ForMaskedLM",
    "replaced": "ForPreTraining",
}
NETWORKS = [
    (case, head)
    for case, (family, *_) in CASES.items()
    for head in HEADS
    if (case in MAIN or head == "masked") and (head != "replaced" or family == "electra")
]


class _OfHead(Task):
    """A task that is nothing but a head."""

    name, FIELDS, peft_type = "of-head", (), None

    def __init__(self, head: str):
        self.head = head

    def configured(self, given):
        return self


def spec_of(folder, head: str, dropout: float | None = 0.0, patch=None):
    """The specification of a folder; of heads other than ``sequence`` through a task that is nothing but the head."""
    labels = LABELS if head in ("sequence", "token") else None
    padding = json.loads((folder / "config.json").read_text())["pad_token_id"]
    if head == "sequence":
        config = ModelConfig(str(folder), "sequence-classification", None, dropout, {})
        return load_model_spec(config, labels, VOCABULARY, padding, 0)
    task = _OfHead(head)
    task.entries = lambda _: Task.entries(task, labels)
    for module in (loading, tasks):
        patch.setattr(module, "TASKS", {task.name: task})
    return load_model_spec(ModelConfig(str(folder), task.name, None, dropout, {}), labels, VOCABULARY, padding, 0)


def reference(case: str, head: str, **entries):
    """A network of `transformers` of which no parameter has its start value. With wider ones the gradients of ALBERT's
    queries, in float32 themselves, are far from those in float64."""
    torch.manual_seed(0)
    _, name, sizes = CASES[case]
    labels = {"num_labels": len(LABELS)} if head in ("sequence", "token") else {}
    config = getattr(transformers, f"{name}Config")(vocab_size=VOCABULARY, **{**sizes, **labels, **entries})
    model = getattr(transformers, f"{name}{HEADS[head]}")(config)
    for name, parameter in model.named_parameters():
        is_norm = parameter.ndim == 1 and name.endswith("weight")
        torch.nn.init.normal_(parameter, 1.0 if is_norm else 0.0, 0.2)
    return model.eval()


def make_batch(case: str, seed: int = 0, width: int = 18) -> dict[str, np.ndarray]:
    """Rows of uneven length, of two types of tokens."""
    lengths, padding = np.array([9, 1, 18, 5]), FAMILIES.get(CASES[case][0]).DEFAULTS["pad_token_id"]
    random = np.random.default_rng(seed)
    mask = np.arange(width) < lengths[:, None]
    found = {
        "input_ids": np.where(mask, random.integers(3, VOCABULARY, (4, 20))[:, :width], padding),
        "attention_mask": mask,
        "token_type_ids": mask & (np.arange(width) >= lengths[:, None] // 2),
        "labels": random.integers(0, len(LABELS), len(lengths)),
    }
    return {name: array.astype(np.int32) for name, array in found.items()}


def inputs_of(case: str, batch):
    """What a network of `transformers` takes."""
    names = [field.name for field in FAMILIES.get(CASES[case][0]).INPUTS]
    return {name: torch.from_numpy(batch[name]).long() for name in names}


def theirs(case: str, model, batch) -> np.ndarray:
    with torch.no_grad():
        logits = model(**inputs_of(case, batch)).logits.numpy()
    return logits[..., None] if logits.shape == batch["input_ids"].shape else logits


def ours(backend, spec, batch, compute, plain: tuple[str, ...] = ()) -> list[np.ndarray]:
    """What ``compute`` gives of the bare network, without an engine or a task's loss."""
    model = backend.build_model(spec, backend.device.select("cpu"))
    model.plain = plain
    if backend.__name__ == "pytorch_impl":
        with torch.no_grad():
            found = compute(model, {name: torch.from_numpy(array).long() for name, array in batch.items()})
            return [x.numpy() for x in found]
    import mindspore

    return [x.asnumpy() for x in compute(model, {name: mindspore.Tensor(array) for name, array in batch.items()})]


def logits(model, batch):
    return [model.logits(batch)]


def real(batch, head: str):
    """What is read of logits: of heads of every position not what stands at padding."""
    return slice(None) if head == "sequence" else batch["attention_mask"] == 1


@pytest.mark.parametrize(("case", "head"), NETWORKS)
def test_a_folder_of_transformers_gives_its_logits(backend, case, head, tmp_path, monkeypatch):
    model, batch = reference(case, head), make_batch(case)
    model.save_pretrained(tmp_path)
    spec = spec_of(tmp_path, head, patch=monkeypatch)
    assert spec.new_parameters == ()
    rows, expected = real(batch, head), theirs(case, model, batch)
    assert np.ptp(expected[rows], axis=0).max() > 0.2, "every input gives the same"
    assert_near(ours(backend, spec, batch, logits)[0][rows], expected[rows], FAMILY)
    if head == "sequence":
        whole = ours(backend, spec, batch, logits, ("last_layer",))[0]
        assert_near(whole, expected, FAMILY)


@pytest.mark.parametrize(("case", "head"), NETWORKS)
def test_a_folder_comes_back_from_transformers_bit_by_bit(case, head, tmp_path, monkeypatch):
    reference(case, head).save_pretrained(tmp_path / "theirs")
    spec = spec_of(tmp_path / "theirs", head, patch=monkeypatch)
    moved = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    save_pretrained(tmp_path / "ours", spec, moved)
    family, name, _ = CASES[case]
    network = getattr(transformers, f"{name}{HEADS[head]}")
    again, report = network.from_pretrained(tmp_path / "ours", dtype=torch.float32, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert again.config.architectures == [network.__name__]
    assert again.config.model_type == family
    again.save_pretrained(tmp_path / "back")
    assert_identical(spec_of(tmp_path / "back", head, patch=monkeypatch).arrays, moved)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Saved classifiers by case."""
    root = tmp_path_factory.mktemp("encoders")
    for case in MAIN:
        reference(case, "sequence").save_pretrained(root / case)
    return {case: root / case for case in MAIN}


@pytest.mark.parametrize("case", MAIN)
def test_hidden_states_are_those_of_transformers(backend, case, folders):
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case)
    with torch.no_grad():
        base = getattr(transformers, f"{CASES[case][1]}Model").from_pretrained(folders[case]).eval()
        expected = base(**inputs_of(case, batch), output_hidden_states=True).hidden_states
    found = ours(backend, spec, batch, lambda model, inputs: model.hidden_states(inputs))
    assert len(found) == len(expected) == FAMILIES.get(spec.family).backbone(spec.config).layers + 1
    for mine, other in zip(found, expected, strict=True):
        assert_near(mine[real(batch, "token")], other.numpy()[real(batch, "token")], FAMILY)


def reference_gradients(case: str, folder, batch) -> dict[str, np.ndarray]:
    """Of the mean cross-entropy, by name."""
    model = getattr(transformers, f"{CASES[case][1]}ForSequenceClassification").from_pretrained(folder).eval()
    model(**inputs_of(case, batch), labels=torch.from_numpy(batch["labels"]).long()).loss.backward()
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters() if parameter.grad is not None}


def without_keys(arrays):
    """Without the keys' biases: softmax does not see what is added to every score, so that their gradient is 0."""
    return {name: array for name, array in arrays.items() if not name.endswith(("key.bias", "k_lin.bias", ".k.bias"))}


@pytest.mark.parametrize("case", MAIN)
def test_every_gradient_is_that_of_transformers(backend, case, folders):
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case)
    engine = build_engine(backend, spec, plan_for(spec, (), method="full"))
    given = {field.name: batch[field.name] for field in spec.schema.fields}
    actual = without_keys(engine.gradients([given]))
    assert_all_near(actual, without_keys(reference_gradients(case, folders[case], batch)), FAMILY)


@pytest.mark.parametrize("case", MAIN)
def test_gradients_of_a_tied_head_are_those_of_transformers(backend, case, tmp_path):
    """With respect to the table that the head shares, and to a bias of its own."""
    model, batch = reference(case, "masked"), make_batch(case)
    model.save_pretrained(tmp_path)
    config = ModelConfig(str(tmp_path), "masked-language-modeling", None, 0.0, {})
    spec = load_model_spec(config, None, VOCABULARY, model.config.pad_token_id, 0)
    chosen = (batch["attention_mask"] == 1) & (batch["input_ids"] % 3 == 0)
    labels = np.where(chosen, batch["input_ids"] - 1, -100).astype(np.int32)
    engine = build_engine(backend, spec, plan_for(spec, (), method="full"))
    given = {field.name: {**batch, "labels": labels}[field.name] for field in spec.schema.fields}
    model(**inputs_of(case, batch), labels=torch.from_numpy(labels).long()).loss.backward()
    expected = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    assert_all_near(without_keys(engine.gradients([given])), without_keys(expected), FAMILY)


@pytest.mark.parametrize("case", MAIN)
def test_a_base_model_without_heads_gets_new_ones(case, folders, tmp_path):
    """As its authors publish it, under names without the prefix; then the heads of both tasks start anew."""
    base = getattr(transformers, f"{CASES[case][1]}Model").from_pretrained(folders[case])
    base.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for task, labels in (("sequence-classification", LABELS), ("masked-language-modeling", None)):
        given = ModelConfig(str(tmp_path), task, None, 0.0, {})
        spec = load_model_spec(given, labels, VOCABULARY, config["pad_token_id"], 0)
        prefix = FAMILIES.get(spec.family).backbone(spec.config).prefix
        new = [name for name in spec.new_parameters if not name.startswith(f"{prefix}.")]
        assert new
        assert set(new) == {name for name in spec.shapes() if not name.startswith(f"{prefix}.")}
        for name, parameter in base.named_parameters():
            if f"{prefix}.{name}" in spec.arrays:
                assert_identical({name: spec.arrays[f"{prefix}.{name}"]}, {name: parameter.detach().numpy()})


@pytest.mark.nightly
@pytest.mark.parametrize("case", MAIN)
def test_base_size_gives_the_hidden_states_of_transformers(backend, case):
    """The published width, heads and vocabulary; ALBERT's base, whose defaults are those of xxlarge."""
    family = FAMILIES.get(CASES[case][0])
    sizes = {"num_hidden_layers": 6} if case in ("electra", "mpnet") else {}
    if family.name == "albert":
        sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    config = ModelConfig(None, "sequence-classification", None, 0.0, {"model_type": family.name, **sizes})
    vocabulary = family.DEFAULTS["vocab_size"]
    spec = load_model_spec(config, LABELS, vocabulary, family.DEFAULTS["pad_token_id"], 0)
    network = getattr(transformers, f"{CASES[case][1]}ForSequenceClassification")
    built = getattr(transformers, f"{CASES[case][1]}Config")(
        **{k: v for k, v in spec.config.items() if k != "num_labels"}
    )
    model = network(built).eval()
    arrays = {name: torch.from_numpy(array) for name, array in spec.arrays.items()}
    assert model.load_state_dict(arrays, strict=False).unexpected_keys == []
    batch = make_batch(case)
    with torch.no_grad():
        expected = model(**inputs_of(case, batch), output_hidden_states=True)
    found = ours(backend, spec, batch, lambda model, inputs: [*model.hidden_states(inputs), model.logits(inputs)])
    rows = real(batch, "token")
    for mine, other in zip(found, expected.hidden_states, strict=False):
        assert_near(mine[rows], other.numpy()[rows], FAMILY)
    assert_near(found[-1], expected.logits.numpy(), FAMILY)


@pytest.mark.parametrize("case", MAIN)
def test_more_padding_changes_nothing(backend, case, folders):
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case)
    wide = make_batch(case, width=20)
    assert (wide["input_ids"][:, :18] == batch["input_ids"]).all()
    short, wide = (ours(backend, spec, given, logits)[0] for given in (batch, wide))
    assert_near(wide, short, PADDING_ABS, absolute=True)


def losses_of_training(name: str, case: str, spec, plan, steps: int, **settings):
    """Losses of some steps, and what was trained."""
    engine = build_engine(load(name), spec, plan, nonzero_values(plan), **settings)
    names = [field.name for field in spec.schema.fields]
    batches = [{field: make_batch(case, seed)[field] for field in names} for seed in range(2)]
    handles = [engine.train_step(batches, 2e-3) for _ in range(steps)]
    return np.array([loss for loss, _ in engine.fetch(handles)]), engine.trainable()


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("case", MAIN)
@pytest.mark.parametrize(("steps", "compile"), [(3, False), pytest.param(50, None, marks=pytest.mark.nightly)])
def test_losses_of_training_with_dropout_agree(case, folders, steps, compile):
    """The masks of the backends are equal, wherever a network drops something."""
    spec = spec_of(folders[case], "sequence", dropout=0.2)
    plan = plan_for(spec, FAMILIES.get(spec.family).TARGETS, dropout=0.1)
    expected, theirs = losses_of_training("pytorch", case, spec, plan, steps)
    actual, mine = losses_of_training("mindspore", case, spec, plan, steps, compile=compile)
    assert len(set(expected)) == steps
    assert_near(actual, expected, STEP_LOSS)
    assert_all_near(mine, theirs, 1e-3)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("case", MAIN)
def test_peft_loads_our_adapter_and_we_load_its_own(case, folders, tmp_path):
    peft = pytest.importorskip("peft")
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case)
    plan = plan_for(spec, FAMILIES.get(spec.family).TARGETS)
    arrays = {n: normal(3, n, shape, 0.3) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    network = getattr(transformers, f"{CASES[case][1]}ForSequenceClassification")
    model = peft.PeftModel.from_pretrained(network.from_pretrained(folders[case]), str(tmp_path / "ours")).eval()
    engine = build_engine(load("pytorch"), spec, plan)
    engine.load_trainable(arrays)
    given = {field.name: batch[field.name] for field in spec.schema.fields}
    assert_near(engine.eval_step(given).outputs["logits"], theirs(case, model, batch), FAMILY)
    model.save_pretrained(tmp_path / "theirs")
    assert_all_near(adapter.load(tmp_path / "theirs", plan, spec), arrays, 0.0)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("case", MAIN)
def test_peft_puts_our_virtual_tokens_before_a_sequence(case, folders, tmp_path):
    """They have the width of the table of words, which may be less than that of the layers."""
    peft = pytest.importorskip("peft")
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case, width=16)
    batch = {name: array[[0, 3]] for name, array in batch.items()}
    plan = plan_for(spec, method="prompt", tokens=2)
    arrays = {n: normal(5, n, shape, 0.5) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path, plan, spec, arrays)
    network = getattr(transformers, f"{CASES[case][1]}ForSequenceClassification")
    model = peft.PeftModel.from_pretrained(network.from_pretrained(folders[case]), str(tmp_path)).eval()
    engine = build_engine(load("pytorch"), spec, plan)
    engine.load_trainable(arrays)
    given = {field.name: batch[field.name] for field in spec.schema.fields}
    assert_near(engine.eval_step(given).outputs["logits"], theirs(case, model, batch), FAMILY)


def tiny(family: str, **entries):
    """A network from scratch; entries over those of its tests."""
    known = {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3, **FAMILIES.get(family).tiny()}
    config = ModelConfig(None, "sequence-classification", None, 0.0, {**known, **entries})
    return load_model_spec(config, LABELS, VOCABULARY, FAMILIES.get(family).DEFAULTS["pad_token_id"], 0)


def test_shared_layers_have_one_adapter_and_are_counted_once():
    two, eight = (tiny("albert", num_hidden_layers=layers) for layers in (2, 8))
    assert two.shapes() == eight.shapes()
    plan = plan_for(eight, ("*.query",))
    layer = "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query"
    assert [edit.path for edit in plan.edits] == [layer]
    assert [module.path for module in eight.used()].count(layer) == 8


@pytest.mark.parametrize(("method", "others"), [("full", {}), ("lora", {(1, 16, 4, 16): 1})])
def test_every_use_of_a_shared_layer_is_counted(method, others):
    """ALBERT's products are those of an ELECTRA of its sizes, whose layers have parameters of their own; with LoRA there
    is one more in ELECTRA's head, whose dense layer is new."""
    from common.bench.products import Product, step_products

    counts = []
    for family in ("electra", "albert"):
        spec = tiny(family, num_hidden_layers=5)
        given = {field.name: make_batch("electra")[field.name] for field in spec.schema.fields}
        plan = plan_for(spec, ("*.query", "*.value") if method == "lora" else (), method=method)
        counts.append(step_products(spec, plan, given))
    assert counts[1].total() > 5 * 6
    assert counts[0] - counts[1] == {Product(*sizes): count for sizes, count in others.items()}
    assert not counts[1] - counts[0]


@pytest.mark.parametrize("case", MAIN)
def test_a_merged_adapter_is_in_every_use_of_its_module(backend, case, folders):
    spec, batch = spec_of(folders[case], "sequence"), make_batch(case)
    plan = plan_for(spec, FAMILIES.get(spec.family).TARGETS)
    engine = build_engine(backend, spec, plan)
    given = {field.name: batch[field.name] for field in spec.schema.fields}
    found, errors = merged_model(plan, spec, engine.trainable())
    assert set(errors) == {edit.path for edit in plan.edits}
    merged = ours(backend, found, batch, logits)[0]
    assert_near(merged, engine.eval_step(given).outputs["logits"], MERGED_ABS, absolute=True)


def test_the_uses_of_a_shared_layer_have_masks_of_their_own():
    """With everything but the attention's dropout switched off, a pass with equal masks would give other losses."""
    spec = tiny("albert", num_hidden_layers=2, attention_probs_dropout_prob=0.5)
    spec = dataclasses.replace(spec, config={**spec.config, "attention_probs_dropout_prob": 0.5})
    model = load("pytorch").build_model(spec, "cpu")
    from pytorch_impl.hf_bridge.surgery import count_dropouts
    from pytorch_impl.layers.dropout import share_key

    count_dropouts(model, model.backbone)
    share_key(model, "cpu")
    attention = model.get_submodule("albert.encoder.albert_layer_groups.0.albert_layers.0.attention")
    masks = []
    attention.probabilities.register_forward_hook(lambda *_: None)
    ask = attention.probabilities.mask

    def observed(shape):
        found = ask(shape)
        masks.append(found.factor(torch.ones(shape)))
        return found

    attention.probabilities.mask = observed
    batch = make_batch("albert")
    model.train()
    model.logits({name: torch.from_numpy(batch[name]).long() for name in batch})
    assert len(masks) == 2
    assert (masks[0][:, :, :1] != masks[1]).float().mean() > 0.3


@pytest.mark.parametrize("family", ["distilbert", "albert", "mpnet"])
def test_prefix_tuning_is_refused_where_attention_takes_no_keys_and_values(family):
    with pytest.raises(InputError, match="takes none in transformers"):
        plan_for(tiny(family), method="prefix", tokens=3)


def test_the_buckets_of_distances_are_those_of_transformers():
    from common.models.families.mpnet import buckets

    encoder = transformers.models.mpnet.modeling_mpnet.MPNetEncoder
    positions = torch.arange(512)
    expected = encoder.relative_position_bucket(positions[None, :] - positions[:, None]).numpy()
    assert (buckets(512) == expected).all()
    assert len(np.unique(expected)) == 31  # number 16 would be a key behind the query at distance 0


def test_sinusoidal_positions_are_those_of_transformers():
    config = transformers.DistilBertConfig(vocab_size=VOCABULARY, **_DISTILBERT, sinusoidal_pos_embds=True)
    expected = transformers.DistilBertModel(config).embeddings.position_embeddings.weight.detach().numpy()
    spec = tiny("distilbert", **_DISTILBERT, sinusoidal_pos_embds=True)
    assert_near(spec.arrays["distilbert.embeddings.position_embeddings.weight"], expected, 1e-7)


@pytest.mark.parametrize(
    ("case", "entries", "problem"),
    [
        ("electra", {"is_decoder": True}, "is_decoder must be false"),
        ("electra", {"embedding_size": 0}, "embedding_size must be at least 1"),
        ("electra", {"position_embedding_type": "relative_key"}, "position_embedding_type must be 'absolute'"),
        ("albert-groups", {"num_hidden_groups": 4}, "num_hidden_groups must be num_hidden_layers at most"),
        ("albert-groups", {"inner_group_num": 0}, "inner_group_num must be at least 1"),
        ("mpnet", {"pad_token_id": 0}, "pad_token_id must be 1"),
        ("mpnet", {"relative_attention_num_buckets": 16}, "must be at least 32"),
        ("distilbert", {"n_heads": 5}, "dim must be a multiple of n_heads"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(case, entries, problem, folders, tmp_path):
    shutil.copytree(folders[case], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError, match=problem):
        spec_of(tmp_path, "sequence")
