"""Llama and its relatives in both backends, against `transformers`' own networks, PEFT, and each other."""

from __future__ import annotations

import dataclasses
import importlib
import json

import numpy as np
import pytest

from common.artifacts import adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods import METHODS
from common.models import FAMILIES, rotary
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks import TASKS
from tests.support import assert_all_near, assert_near, build_engine, nonzero_values, plan_for, widen
from tests.tolerances import GRADIENT, PADDING_ABS, STEP_LOSS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, PADDING, LABELS = 50, 1, ("a", "b", "c")
ARCHITECTURES = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral"}
HEADS = {
    "language-modeling": "ForCausalLM",
    "sequence-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
}
CAUSAL = "language-modeling"
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
NEAR = 1e-5  #: of the largest value: what two orders of the same float32 sums differ by
nightly = pytest.mark.nightly
SMALL = [
    ("llama", "language-modeling"),
    ("qwen2", "sequence-classification"),
    ("qwen3", "language-modeling"),
    ("mistral", "token-classification"),
]
OTHERS = [
    pytest.param(family, task, marks=nightly)
    for family in ARCHITECTURES
    for task in HEADS
    if (family, task) not in SMALL
]


def settings(family: str, **entries):
    """A configuration of `transformers`: groups of two heads share keys."""
    sizes = {"vocab_size": VOCABULARY, "pad_token_id": PADDING, "bos_token_id": 2, "eos_token_id": 3}
    tiny = FAMILIES.get(family).tiny(hidden=32, heads=4)
    return getattr(transformers, f"{ARCHITECTURES[family]}Config")(**{**sizes, **tiny, **entries})


def reference(family: str, task: str = CAUSAL, **entries):
    """A network of `transformers` with no parameter near 0 or 1."""
    torch.manual_seed(0)
    labels = {} if task == CAUSAL else {"num_labels": len(LABELS)}
    model = getattr(transformers, f"{ARCHITECTURES[family]}{HEADS[task]}")(settings(family, **labels, **entries))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    return model.eval()


def spec_of(folder, task: str = CAUSAL, dropout: float | None = 0.0):
    labels = None if task == CAUSAL else LABELS
    return load_model_spec(ModelConfig(str(folder), task, None, dropout, {}), labels, VOCABULARY, PADDING, 0)


def make_batch(task: str = CAUSAL, seed: int = 0, lengths=(9, 1, 18, 5)) -> dict[str, np.ndarray]:
    """Rows of uneven length."""
    width, random = max(lengths), np.random.default_rng(seed)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int32)
    ids = np.where(mask == 1, random.integers(4, VOCABULARY, mask.shape), PADDING)
    if task == CAUSAL:
        labels = np.where(mask == 1, random.integers(0, VOCABULARY, mask.shape), -100)
    elif task == "token-classification":
        labels = np.where(mask == 1, random.integers(0, len(LABELS), mask.shape), -100)
    else:
        labels = random.integers(0, len(LABELS), len(lengths))
    return {name: a.astype(np.int32) for name, a in (("input_ids", ids), ("attention_mask", mask), ("labels", labels))}


def inputs_of(batch):
    return {name: torch.from_numpy(batch[name]).long() for name in ("input_ids", "attention_mask")}


def ours(backend, spec, batch) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits of the bare network, and its hidden states."""
    parity = importlib.import_module(f"{backend.__name__}.parity")
    found = parity.forward(backend.build_model(spec, backend.device.select("cpu")), without_labels(batch))
    return found["logits"], [found[name] for name in sorted(found) if name.startswith("hidden")]


def without_labels(batch):
    return {name: array for name, array in batch.items() if name != "labels"}


def saved(folder, *given, **entries):
    model = reference(*given, **entries)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(("family", "task"), [*SMALL, *OTHERS])
def test_logits_hidden_states_and_gradients_are_those_of_transformers(backend, family, task, tmp_path):
    model, batch = saved(tmp_path, family, task), make_batch(task)
    spec = spec_of(tmp_path, task)
    assert spec.new_parameters == ()
    expected = model(**inputs_of(batch), output_hidden_states=True)
    logits, states = ours(backend, spec, batch)
    real = batch["attention_mask"] == 1
    rows = slice(None) if task == "sequence-classification" else real
    assert_near(logits[rows], expected.logits.detach().numpy()[rows], NEAR)
    assert len(states) == len(expected.hidden_states) == 3
    for mine, other in zip(states, expected.hidden_states, strict=True):
        assert_near(mine[real], other.detach().numpy()[real], NEAR)
    labels = torch.from_numpy(batch["labels"]).long()
    torch.nn.functional.cross_entropy(expected.logits.flatten(0, -2), labels.flatten()).backward()
    theirs = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    engine = build_engine(backend, spec, plan_for(spec, method="full"))
    mine = engine.gradients([batch])
    assert set(mine) == set(theirs)
    largest = max(np.abs(array).max() for array in theirs.values())
    for name, array in theirs.items():
        if np.abs(array).max() > 1e-6 * largest:  # a key's bias has none: softmax does not see what all scores share
            assert_near(mine[name], array, NEAR, what=name)


POSITIONS = {
    "linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 1e4}}),
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "tied": ("qwen2", {"tie_word_embeddings": True}),
    "biases": ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 6}),
    "whole window": ("mistral", {"sliding_window": None}),
    "window of one": ("mistral", {"sliding_window": 1}),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_networks_of_other_configurations_give_their_logits(backend, name, tmp_path):
    family, entries = POSITIONS[name]
    model, batch = saved(tmp_path, family, CAUSAL, **entries), make_batch()
    logits, _ = ours(backend, spec_of(tmp_path), batch)
    real = batch["attention_mask"] == 1
    assert_near(logits[real], model(**inputs_of(batch)).logits.detach().numpy()[real], NEAR)


@pytest.mark.parametrize("kind", ["default", "linear", "llama3"])
def test_older_configurations_say_the_same(kind, backend, tmp_path):
    """``rope_theta`` and ``rope_scaling``, which earlier versions of `transformers` wrote."""
    given = {"default": {}, "linear": {"type": "linear", "factor": 4.0}, "llama3": LLAMA3}[kind]
    scaling = {key: value for key, value in given.items() if key != "rope_theta"} or None
    saved(tmp_path, "llama")
    path = tmp_path / "config.json"
    entries = json.loads(path.read_text())
    del entries["rope_parameters"]
    path.write_text(json.dumps(entries | {"rope_theta": 5e5, "rope_scaling": scaling}))
    model, batch = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval(), make_batch()
    real = batch["attention_mask"] == 1
    expected = model(**inputs_of(batch)).logits.detach().numpy()
    assert_near(ours(backend, spec_of(tmp_path), batch)[0][real], expected[real], NEAR)


def test_the_first_length_of_llama3_may_stand_outside_of_the_positions(backend, tmp_path):
    """There, `transformers` reads it before the entry inside."""
    saved(tmp_path, "llama", rope_parameters={**LLAMA3, "original_max_position_embeddings": 32})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"original_max_position_embeddings": 8}))
    model, batch = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval(), make_batch()
    real = batch["attention_mask"] == 1
    expected = model(**inputs_of(batch)).logits.detach().numpy()
    assert_near(ours(backend, spec_of(tmp_path), batch)[0][real], expected[real], NEAR)


@pytest.mark.parametrize("width", [8, 80, 128])
@pytest.mark.parametrize("kind", ["default", "linear", "llama3"])
def test_angles_are_those_of_transformers(width, kind):
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    extra = {"default": {}, "linear": {"factor": 3.3}, "llama3": LLAMA3}[kind]
    given = {"rope_type": kind, "rope_theta": 5e5, **extra}
    config = transformers.LlamaConfig(hidden_size=2 * width, num_attention_heads=2, rope_parameters=dict(given))
    theirs = LlamaRotaryEmbedding(config)
    mine = rotary.frequencies({"rope_parameters": given}, width)
    np.testing.assert_allclose(mine, theirs.inv_freq.numpy(), rtol=5e-7)
    cosines, sines = theirs(torch.zeros(1), torch.arange(40)[None])
    for found, expected in zip(rotary.tables(mine, np.arange(40)), (cosines, sines), strict=True):
        np.testing.assert_allclose(found, expected[0].numpy(), atol=5e-6)


@pytest.mark.parametrize(("family", "task"), [*SMALL, *OTHERS])
def test_a_folder_goes_to_transformers_and_back_unchanged(family, task, tmp_path):
    saved(tmp_path / "theirs", family, task)
    spec = spec_of(tmp_path / "theirs", task)
    moved = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    save_pretrained(tmp_path / "ours", spec, moved)
    network = getattr(transformers, f"{ARCHITECTURES[family]}{HEADS[task]}")
    again, report = network.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert (again.config.architectures, again.config.model_type) == ([network.__name__], family)
    again.save_pretrained(tmp_path / "back")
    back = spec_of(tmp_path / "back", task).arrays
    assert {name: array.tobytes() for name, array in back.items()} == {n: a.tobytes() for n, a in moved.items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A saved language model of every family."""
    found = {}
    for family in ARCHITECTURES:
        found[family] = tmp_path_factory.mktemp(family)
        saved(found[family], family)
    return found


@pytest.mark.parametrize("family", ["qwen3", "mistral"])
def test_further_padding_changes_nothing(backend, folders, family):
    spec, batch = spec_of(folders[family]), make_batch()
    real = batch["attention_mask"] == 1
    near, _ = ours(backend, spec, batch)
    wide, _ = ours(backend, spec, widen(batch, 24))
    assert_near(wide[:, : real.shape[1]][real], near[real], PADDING_ABS, absolute=True)


def both(spec, plan, **options):
    values = nonzero_values(plan)
    return [build_engine(load(name), spec, plan, values, **options) for name in ("pytorch", "mindspore")]


@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("family", "steps", "compile"),
    [("qwen3", 4, None), *(pytest.param(family, 50, False, marks=nightly) for family in ARCHITECTURES)],
)
def test_losses_of_lora_with_dropout_agree(folders, family, steps, compile):
    """The masks of the attention's probabilities are equal, though heads share their keys."""
    spec = spec_of(folders[family], dropout=0.2)
    assert spec.config["attention_dropout"] == 0.2
    plan = plan_for(spec, FAMILIES.get(family).TARGETS, dropout=0.1)
    engines = [
        build_engine(load(name), spec, plan, nonzero_values(plan), compile=mode)
        for name, mode in (("pytorch", False), ("mindspore", compile))
    ]
    losses, batches = [], [make_batch(seed=0), make_batch(seed=1)]
    for engine in engines:
        handles = [engine.train_step(batches, 2e-3) for _ in range(steps)]
        losses.append([loss for loss, _ in engine.fetch(handles)])
    assert_near(np.array(losses[1]), np.array(losses[0]), STEP_LOSS)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("plain", [(), ("fused", "attention", "loss")])
def test_every_gradient_agrees_in_every_linear_layer(folders, plain):
    spec = spec_of(folders["qwen2"])
    plan = plan_for(spec, ("all-linear",))
    assert {edit.path.rpartition(".")[2] for edit in plan.edits} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    expected, actual = (engine.gradients([make_batch()]) for engine in both(spec, plan, plain=plain))
    assert_all_near(actual, expected, GRADIENT)


@pytest.mark.needs_mindspore
def test_an_output_of_its_own_is_adapted_where_it_is_named(folders):
    spec = spec_of(folders["llama"])
    plan = plan_for(spec, ("lm_head", "q_proj"))
    expected, actual = (engine.gradients([make_batch()]) for engine in both(spec, plan))
    assert any(name.startswith("lm_head") for name in expected)
    assert_all_near(actual, expected, GRADIENT)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_prefixes_are_as_wide_as_the_keys_and_pefts(folders, family, tmp_path):
    peft = pytest.importorskip("peft")
    spec = spec_of(folders[family])
    method = METHODS.get("prefix")
    plan = method.plan(method.Options("prefix", tokens=3), spec)
    engines = [build_engine(load(name), spec, plan, plan.initial_values(0)) for name in ("pytorch", "mindspore")]
    batch = make_batch()
    expected, actual = (engine.gradients([batch]) for engine in engines)
    assert_all_near(actual, expected, GRADIENT)
    adapter.save(tmp_path, plan, spec, engines[0].trainable())
    base = transformers.AutoModelForCausalLM.from_pretrained(folders[family])
    model = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    last = batch["attention_mask"].sum(1) - 1
    with torch.no_grad():
        theirs = model(**inputs_of(batch)).logits.numpy()[np.arange(len(last)), last]
    assert_near(engines[1].logits_at(batch, last.astype(np.int32)), theirs, NEAR)


@pytest.mark.needs_pytorch
def test_peft_loads_our_adapter_and_we_load_its_own(folders, tmp_path):
    peft = pytest.importorskip("peft")
    spec = spec_of(folders["llama"])
    plan = plan_for(spec, FAMILIES.get("llama").TARGETS)
    arrays = {n: normal(3, n, shape, 0.3) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    base = transformers.LlamaForCausalLM.from_pretrained(folders["llama"])
    model = peft.PeftModel.from_pretrained(base, str(tmp_path / "ours")).eval()
    engine = build_engine(load("pytorch"), spec, plan)
    engine.load_trainable(arrays)
    batch = make_batch()
    last = batch["attention_mask"].sum(1).astype(np.int32) - 1
    with torch.no_grad():
        theirs = model(**inputs_of(batch)).logits.numpy()[np.arange(len(last)), last]
    assert_near(engine.logits_at(batch, last), theirs, NEAR)
    model.save_pretrained(tmp_path / "theirs")
    assert_all_near(adapter.load(tmp_path / "theirs", plan, spec), arrays, 0.0)


def test_an_adapter_of_pefts_that_repeats_the_output_it_adapts_is_read(folders, tmp_path):
    """And one that repeats another output than the model's is not."""
    peft = pytest.importorskip("peft")
    from safetensors.torch import load_file, save_file

    spec = spec_of(folders["llama"])
    plan = plan_for(spec, ("q_proj", "lm_head"))
    arrays = {n: normal(3, n, shape, 0.3) for n, shape in plan.shapes().items()}
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    base = transformers.LlamaForCausalLM.from_pretrained(folders["llama"])
    peft.PeftModel.from_pretrained(base, str(tmp_path / "ours")).save_pretrained(tmp_path / "theirs")
    path, key = tmp_path / "theirs" / "adapter_model.safetensors", "base_model.model.lm_head.base_layer.weight"
    written = load_file(path)
    assert key in written
    assert_all_near(adapter.load(tmp_path / "theirs", plan, spec), arrays, 0.0)
    save_file(written | {key: written[key] + 1}, path)
    with pytest.raises(InputError, match=f"{key}: unexpected"):
        adapter.load(tmp_path / "theirs", plan, spec)


def test_rms_norms_are_norms(folders):
    spec = spec_of(folders["qwen3"])
    plan = plan_for(spec, method="ln_tuning")
    trained = {parameter.name for parameter in plan.unfrozen}
    assert "model.norm.weight" in trained
    assert "model.layers.1.self_attn.k_norm.weight" in trained
    assert len(trained) == 2 * 4 + 1
    assert not any(parameter.decay for parameter in plan.unfrozen)
    whole = plan_for(spec, method="full")
    assert {p.name for p in whole.unfrozen if not p.decay} == trained


@pytest.mark.parametrize(
    ("family", "entries", "problem"),
    [
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_type must be one of"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "factor of the rotary positions"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor must be 1"),
        ("llama", {"num_key_value_heads": 3}, "must be a multiple of num_key_value_heads"),
        ("llama", {"head_dim": 7}, "must be even"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window must be false"),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types must be"),
        ("mistral", {"layer_types": ["full_attention", "sliding_attention"]}, "must be 'sliding_attention' in every"),
        (
            "mistral",
            {"layer_types": ["sliding_attention"] * 2, "sliding_window": None},
            "must be 'full_attention' in every",
        ),
        ("mistral", {"sliding_window": 0}, "sliding_window must be null or greater than 0"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(folders, family, entries, problem, tmp_path):
    import shutil

    shutil.copytree(folders[family], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError, match=problem):
        spec_of(tmp_path)


def test_a_token_that_pads_and_ends_keeps_its_row(folders):
    """As where a tokenizer has no padding of its own."""
    family = FAMILIES.get("llama")
    alone, shared = ({"pad_token_id": 3, "bos_token_id": 2, "eos_token_id": end} for end in (4, [4, 3]))
    assert family.padded({**family.DEFAULTS, **alone}) == ("model.embed_tokens",)
    assert family.padded({**family.DEFAULTS, **shared}) == ()


@pytest.mark.needs_mindspore
@nightly
def test_a_network_of_full_size_agrees(tmp_path):
    """The shape of Qwen2.5-0.5B with fewer words."""
    sizes = {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2}
    entries = {**sizes, "intermediate_size": 4864, "max_position_embeddings": 32768, "tie_word_embeddings": True}
    torch.manual_seed(0)
    config = settings("qwen2", vocab_size=8000, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **entries)
    model = transformers.Qwen2ForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    spec = load_model_spec(ModelConfig(str(tmp_path), CAUSAL, None, 0.0, {}), None, 8000, PADDING, 0)
    batch = make_batch(lengths=(128, 77))
    expected = model(**inputs_of(batch)).logits.detach().numpy()
    real = batch["attention_mask"] == 1
    for name in ("pytorch", "mindspore"):
        assert_near(ours(load(name), spec, batch)[0][real], expected[real], NEAR, what=name)


def test_every_task_with_a_head_is_there():
    config = {**FAMILIES.get("llama").DEFAULTS, "hidden_size": 32}
    heads = {task.name for task in TASKS if task.head in ("causal", "sequence", "token")}
    assert heads <= {task.name for task in TASKS if task.layout(FAMILIES.get("llama"), {**config}) is not None}
    assert dataclasses.is_dataclass(TASKS.get(CAUSAL).layout(FAMILIES.get("llama"), config))
