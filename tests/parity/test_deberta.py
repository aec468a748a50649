"""DeBERTa's families in both backends, against `transformers`' own networks, PEFT, and each other."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from common import tasks
from common.artifacts import adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import loading
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks.task import Task
from tests.support import assert_all_near, assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, PADDING_ABS, STEP_LOSS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, PADDING, LABELS = 50, 0, ("a", "b", "c")
BOTH = ["c2p", "p2c"]
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": BOTH,
}
V3 = {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 6}
VARIANTS = {  #: family and entries
    "v1": ("Deberta", {}),
    "v1 short table": ("Deberta", {"max_relative_positions": 5, "type_vocab_size": 2, "position_biased_input": True}),
    "v1 c2p": ("Deberta", {"pos_att_type": ["c2p"]}),
    "v1 p2c": ("Deberta", {"pos_att_type": "p2c"}),
    "v1 contents": ("Deberta", {"pos_att_type": []}),
    "v2": ("DebertaV2", {"type_vocab_size": 2, "position_biased_input": True, "embedding_size": 8}),
    "v2 convolution": ("DebertaV2", {"conv_kernel_size": 3, "conv_act": "gelu", **V3}),
    "v2 own projections": (
        "DebertaV2",
        {"position_buckets": 8, "max_relative_positions": 9, "pos_att_type": "p2c|c2p"},
    ),
    "v3": ("DebertaV2", V3),
    "v3 p2c": ("DebertaV2", {**V3, "pos_att_type": ["p2c"]}),
    "v3 c2p": ("DebertaV2", {**V3, "pos_att_type": ["c2p"]}),
}
MAIN = ("v1", "v3")
TARGETS = {"v1": ("*.in_proj[q,v]", "*.pos_proj"), "v3": ("query_proj", "value_proj", "*.intermediate.dense")}
TARGETS["v2 convolution"] = ("query_proj", "*.encoder.conv.conv")
HEADS = {"sequence": "ForSequenceClassification", "token": "ForTokenClassification", "masked": "ForMaskedLM"}


class _OfHead(Task):
    """A task that is nothing but a head."""

    name, FIELDS, peft_type = "of-head", (), None

    def __init__(self, head: str):
        self.head = head

    def configured(self, given):
        return self


def spec_of(folder, head: str, patch=None, dropout: float | None = 0.0, entries=None):
    """The specification of a folder; of heads other than ``sequence`` through a task that is nothing but the head."""
    labels, entries = None if head in ("masked", "replaced") else LABELS, entries or {}
    if head == "sequence":
        config = ModelConfig(str(folder), "sequence-classification", None, dropout, entries)
        return load_model_spec(config, labels, VOCABULARY, PADDING, 0)
    task = _OfHead(head)
    task.entries = lambda _: Task.entries(task, labels)
    for module in (loading, tasks):
        patch.setattr(module, "TASKS", {task.name: task})
    return load_model_spec(ModelConfig(str(folder), task.name, None, dropout, entries), labels, VOCABULARY, PADDING, 0)


def reference(variant: str, head: str, **entries):
    """A network of `transformers` with no parameter as it starts."""
    torch.manual_seed(0)
    labels = {} if head == "masked" else {"num_labels": len(LABELS)}
    family, own = VARIANTS[variant]
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **own, **labels, **entries})
    model = getattr(transformers, f"{family}{HEADS[head]}")(config)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, float(name.endswith("LayerNorm.weight")), 0.3)
    return model.eval()


def make_batch(seed: int = 0, width: int = 18) -> dict[str, np.ndarray]:
    """Rows of uneven length, with two types of tokens."""
    lengths = [9, 1, 18, 5]
    random = np.random.default_rng(seed)
    mask = np.arange(18) < np.array(lengths)[:, None]
    found = {
        "input_ids": np.where(mask, random.integers(3, VOCABULARY, mask.shape), PADDING),
        "attention_mask": mask,
        "token_type_ids": mask & (np.arange(18) > 3),
    }
    found = {name: np.pad(array, ((0, 0), (0, width - 18))).astype(np.int32) for name, array in found.items()}
    return found | {"labels": random.integers(0, len(LABELS), len(lengths)).astype(np.int32)}


def tensors(backend, batch):
    if backend.__name__ == "pytorch_impl":
        return {name: torch.from_numpy(array).long() for name, array in batch.items()}
    import mindspore

    return {name: mindspore.Tensor(array) for name, array in batch.items()}


def read(backend, spec, batch, what):
    """What ``what`` computes of the bare network and a batch, as arrays."""
    model = backend.build_model(spec, backend.device.select("cpu"))
    with torch.no_grad():
        found = what(model, tensors(backend, batch))
    return [x.numpy() if isinstance(x, torch.Tensor) else x.asnumpy() for x in found]


def ours(backend, spec, batch) -> np.ndarray:
    return read(backend, spec, batch, lambda model, inputs: [model.logits(inputs)])[0]


def theirs(model, batch) -> np.ndarray:
    types = {} if model.config.type_vocab_size == 0 else {"token_type_ids": batch["token_type_ids"]}
    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], **types}
    with torch.no_grad():
        return model(**{name: torch.from_numpy(array).long() for name, array in given.items()}).logits.numpy()


@pytest.mark.parametrize(
    ("variant", "head"),
    [(variant, "sequence") for variant in VARIANTS] + [(v, head) for v in MAIN for head in ("token", "masked")],
)
def test_a_folder_of_transformers_gives_its_logits(backend, variant, head, tmp_path, monkeypatch):
    model, batch = reference(variant, head), make_batch()
    model.save_pretrained(tmp_path)
    spec = spec_of(tmp_path, head, monkeypatch)
    assert spec.new_parameters == ()
    expected = theirs(model, batch)
    assert np.ptp(expected, 0).max() > 0.3  # rows differ
    assert_near(ours(backend, spec, batch), expected, 1e-5)


def test_the_masked_head_of_the_published_checkpoints_is_read_where_legacy_is_false(backend, tmp_path, monkeypatch):
    model, batch = reference("v3", "masked", legacy=False), make_batch()
    model.save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "masked", monkeypatch)
    assert "lm_predictions.lm_head.dense.weight" in spec.arrays
    assert_near(ours(backend, spec, batch), theirs(model, batch), 1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("variant", [*MAIN, "v2 convolution"])
def test_a_folder_that_goes_through_transformers_comes_back_byte_by_byte(variant, head, tmp_path, monkeypatch):
    reference(variant, head).save_pretrained(tmp_path / "theirs")
    spec = spec_of(tmp_path / "theirs", head, monkeypatch)
    moved = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    save_pretrained(tmp_path / "ours", spec, moved)
    network = getattr(transformers, f"{VARIANTS[variant][0]}{HEADS[head]}")
    again, report = network.from_pretrained(tmp_path / "ours", dtype=torch.float32, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    again.save_pretrained(tmp_path / "again")
    back = spec_of(tmp_path / "again", head, monkeypatch)
    assert set(back.arrays) == set(moved)
    assert all(back.arrays[name].tobytes() == moved[name].tobytes() for name in moved)


@pytest.mark.parametrize("variant", MAIN)
def test_hidden_states_are_those_of_transformers_padding_included(backend, variant, tmp_path):
    model, batch = reference(variant, "sequence"), make_batch()
    model.save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "sequence")
    ids, mask = (torch.from_numpy(batch[name]).long() for name in ("input_ids", "attention_mask"))
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    actual = read(backend, spec, batch, lambda net, inputs: net.hidden_states(inputs))
    assert len(actual) == len(expected) == 3
    for mine, other in zip(actual, expected, strict=True):
        assert_near(mine, other.numpy(), 1e-5)


@pytest.mark.parametrize("variant", [*MAIN, "v2 convolution"])
def test_more_padding_changes_nothing(backend, variant, tmp_path):
    reference(variant, "sequence").save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "sequence")
    narrow, wide = (ours(backend, spec, make_batch(width=width)) for width in (18, 23))
    assert_near(wide, narrow, PADDING_ABS, absolute=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A saved classifier of each main variant, and one of every other."""
    found = {}
    for variant in VARIANTS:
        found[variant] = tmp_path_factory.mktemp("deberta")
        reference(variant, "sequence").save_pretrained(found[variant])
    return found


def both(spec, plan, compile=(False, False), **settings):
    values = nonzero_values(plan)
    names = zip(("pytorch", "mindspore"), compile, strict=True)
    return [build_engine(load(name), spec, plan, values, compile=mode, **settings) for name, mode in names]


def without_zeros(gradients):
    """Without those that are 0 in exact arithmetic: softmax does not see what a key's bias adds to every score, where no
    term of positions holds keys."""
    largest = max(np.abs(array).max() for array in gradients.values())
    return {name: array for name, array in gradients.items() if np.abs(array).max() > 1e-6 * largest}


@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("variant", "method"),
    [("v1", "full"), ("v3", "full"), ("v1", "lora"), ("v2 convolution", "full"), ("v2 convolution", "lora")],
)
def test_every_gradient_is_that_of_transformers(folders, variant, method):
    spec = spec_of(folders[variant], "sequence")
    plan = plan_for(spec, TARGETS[variant] if method == "lora" else (), method=method)
    expected, actual = (engine.gradients([make_batch()]) for engine in both(spec, plan))
    kept = without_zeros(expected)
    assert len(kept) >= len(expected) - 2
    assert_all_near({name: actual[name] for name in kept}, kept, GRADIENT)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize(("method", "targets"), [("bitfit", ("*",)), ("lora", ("pos_proj", "pos_q_proj", "in_proj"))])
def test_projections_of_positions_are_trained_as_their_input_is_frozen(folders, method, targets):
    """`transformers` scales what such a projection gives in place."""
    spec = spec_of(folders["v1"], "sequence")
    plan = plan_for(spec, targets, method=method) if method == "lora" else plan_for(spec, method=method)
    expected, actual = (without_zeros(engine.gradients([make_batch()])) for engine in both(spec, plan))
    assert any("pos_q_proj" in name for name in expected)
    assert_all_near({name: actual[name] for name in expected}, expected, GRADIENT)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("variant", MAIN)
@pytest.mark.parametrize("plain", [(), pytest.param(("attention", "fused"), marks=pytest.mark.nightly)])
def test_compiled_training_with_dropout_gives_the_losses_of_transformers(folders, variant, plain):
    """The masks of the backends are equal: of probabilities, of the table of positions, and of the head's two dropouts."""
    if plain and variant == MAIN[0]:
        pytest.skip("the plain way of one variant stands for both")
    spec = spec_of(folders[variant], "sequence", dropout=0.2)
    assert (spec.layout.dropout, spec.layout.dense_dropout) == (0.2, 0.2)
    plan = plan_for(spec, TARGETS[variant], dropout=0.1)
    losses, batches = [], [make_batch(0), make_batch(1)]
    engines = both(spec, plan, compile=(False, None), plain=frozenset(plain))
    for engine in engines:
        handles = [engine.train_step(batches, 2e-3) for _ in range(6)]
        losses.append([loss for loss, _ in engine.fetch(handles)])
    assert_near(np.array(losses[1]), np.array(losses[0]), STEP_LOSS)
    assert len({round(loss, 6) for loss in losses[0]}) == 6
    assert_all_near(engines[1].trainable(), engines[0].trainable(), 1e-3)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_first_position_alone_has_the_gradients_of_the_whole_layer(folders, variant):
    spec = spec_of(folders[variant], "sequence")
    engines = [
        build_engine(load("pytorch"), spec, plan_for(spec, method="full"), plain=frozenset(plain))
        for plain in ((), ("last_layer",))
    ]
    alone, whole = (engine.gradients([make_batch()]) for engine in engines)
    kept = without_zeros(whole)
    assert_all_near({name: alone[name] for name in kept}, kept, GRADIENT)


@pytest.mark.parametrize("length", [1, 2, 18])
@pytest.mark.parametrize("variant", [*MAIN, "v2 convolution", "v1 contents"])
def test_the_first_position_alone_is_that_of_the_whole_layer(backend, variant, length, folders):
    spec = spec_of(folders[variant], "sequence")
    batch = {name: array[:, :length] if array.ndim == 2 else array for name, array in make_batch().items()}

    def both_ways(model, inputs):
        whole = model.hidden_states(inputs)[-1]
        return [model.encode(inputs, "first"), whole.reshape(len(batch["labels"]), length, -1)[:, 0]]

    assert_near(*read(backend, spec, batch, both_ways), 1e-5)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("variant", MAIN)
def test_networks_of_the_published_base_shape_give_the_logits_of_transformers(backend, variant, tmp_path):
    """Twelve layers of width 768 under published start values, texts of up to 96 tokens."""
    torch.manual_seed(0)
    family, own = VARIANTS[variant]
    shape = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    buckets = {"position_buckets": 256} if variant == "v3" else {}
    entries = {**SIZES, **own, **buckets, **shape, "vocab_size": 1000, "max_position_embeddings": 512, "num_labels": 3}
    config = getattr(transformers, f"{family}Config")(**entries)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    model.save_pretrained(tmp_path)
    lengths, random = np.array([96, 40, 7]), np.random.default_rng(0)
    mask = (np.arange(96) < lengths[:, None]).astype(np.int32)
    ids = (random.integers(3, 1000, mask.shape) * mask).astype(np.int32)
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}
    spec = load_model_spec(ModelConfig(str(tmp_path), "sequence-classification", None, 0.0, {}), LABELS, 1000, 0, 0)
    assert_near(ours(backend, spec, batch), theirs(model, batch), 1e-5)


@pytest.mark.needs_mindspore
@pytest.mark.nightly
@pytest.mark.parametrize("variant", MAIN)
def test_fifty_steps_of_lora_give_the_losses_of_transformers(folders, variant):
    spec = spec_of(folders[variant], "sequence", dropout=0.1)
    engines = both(spec, plan_for(spec, TARGETS[variant], dropout=0.1), compile=(False, None))
    losses = []
    for engine in engines:
        handles = [engine.train_step([make_batch(step)], 1e-3) for step in range(50)]
        losses.append(np.array([loss for loss, _ in engine.fetch(handles)]))
    assert_near(losses[1], losses[0], STEP_LOSS)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("variant", MAIN)
@pytest.mark.parametrize("bias", ["none", "all"])
def test_peft_loads_our_adapter_and_we_load_its_own(folders, variant, bias, tmp_path):
    peft = pytest.importorskip("peft")
    spec = spec_of(folders[variant], "sequence")
    plan = plan_for(spec, TARGETS[variant], bias=bias)
    arrays = {n: normal(3, n, shape, 0.3) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    kind = getattr(transformers, f"{VARIANTS[variant][0]}ForSequenceClassification")
    model = peft.PeftModel.from_pretrained(kind.from_pretrained(folders[variant]), str(tmp_path / "ours")).eval()
    engine = build_engine(load("pytorch"), spec, plan)
    engine.load_trainable(arrays)
    batch = make_batch()
    expected = engine.eval_step(batch).outputs["logits"]
    assert_near(theirs(model, batch), expected, BERT_LOGITS_ABS, absolute=True)
    model.save_pretrained(tmp_path / "theirs")
    assert_all_near(adapter.load(tmp_path / "theirs", plan, spec), arrays, 0.0)


def test_bitfit_trains_the_biases_of_query_and_value_which_bias_all_leaves_out_as_peft_does(folders):
    spec = spec_of(folders["v1"], "sequence")
    own = {f"deberta.encoder.layer.{layer}.attention.self.{part}_bias" for layer in range(2) for part in "qv"}
    assert own <= set(plan_for(spec, method="bitfit").shapes())
    assert not own & set(plan_for(spec, TARGETS["v1"], bias="all").shapes())


def test_slices_of_the_fused_projection_are_the_rows_of_every_head(folders):
    """Of ``in_proj``, the rows of the values of all heads alone move what `transformers` calls values."""
    spec = spec_of(folders["v1"], "sequence")
    edit = plan_for(spec, ("*.layer.0.*.in_proj[v]",)).edits[0]
    model = reference("v1", "sequence")
    attention = model.deberta.encoder.layer[0].attention.self
    with torch.no_grad():
        x = torch.randn(1, 5, SIZES["hidden_size"])
        before = attention.transpose_for_scores(attention.in_proj(x)).chunk(3, dim=-1)
        attention.in_proj.weight[torch.from_numpy(edit.arguments.parts[0]).long()] += 1.0
        after = attention.transpose_for_scores(attention.in_proj(x)).chunk(3, dim=-1)
    moved = [(new - old).abs() for new, old in zip(after, before, strict=True)]
    assert moved[0].max() == moved[1].max() == 0.0
    assert moved[2].min() > 1e-3


def test_keys_and_values_before_the_sequence_are_refused(folders):
    spec = spec_of(folders["v3"], "sequence")
    with pytest.raises(InputError, match="takes none in transformers"):
        plan_for(spec, method="prefix", tokens=3)


@pytest.mark.parametrize(
    ("variant", "entries", "problem"),
    [
        ("v1", {"relative_attention": False}, "relative_attention must be true"),
        ("v1", {"pos_att_type": ["c2p", "p2p"]}, "pos_att_type must list"),
        ("v1", {"pos_att_type": "c2p|c2p"}, "at most once"),
        ("v1", {"pos_att_type": 3}, "pos_att_type must list"),
        ("v1", {"talking_head": True}, "talking_head must be false"),
        ("v1", {"pooler_hidden_size": 8}, "pooler_hidden_size must be 16"),
        ("v1", {"legacy": False, "embedding_size": 8}, "embedding_size must be hidden_size"),
        ("v1", {"legacy": "no"}, "legacy must be true or false"),
        ("v1", {"enhanced_mask_decoder": True, "position_biased_input": True}, "enhanced_mask_decoder needs"),
        ("v3", {"attention_head_size": 4}, "attention_head_size must be 8"),
        ("v3", {"position_buckets": 1}, "position_buckets must be from 2"),
        ("v3", {"position_buckets": 46}, "less than twice the largest distance"),
        ("v3", {"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd must be one of"),
        ("v3", {"conv_kernel_size": 4}, "conv_kernel_size must be odd"),
        ("v3", {"max_relative_positions": -2}, "an integer of at least -1"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(folders, variant, entries, problem, tmp_path):
    shutil.copytree(folders[variant], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError, match=problem):
        spec_of(tmp_path, "sequence")
