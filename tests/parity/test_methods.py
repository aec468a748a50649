"""Methods besides LoRA: start, merging, counts, both backends, and PEFT's own layers with the same file."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.backend import load
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_model
from common.methods.targets import Target
from common.models.checkpoint import save_pretrained
from tests.support import assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, MERGE_ROUNDING, MERGED_ABS, STEP_LOSS

LORA = {"rank": 2, "alpha": 3.0}
WHERE = {
    "bert": ("*.query", "*.value", "*.intermediate.dense", "*.output.dense"),
    "gpt2": ("*.c_attn", "*.c_fc", "*.c_proj"),
    "gpt2-classifier": ("*.c_attn", "*.mlp.c_proj"),
}
METHODS_TRIED = {
    "ia3": lambda kind: {"targets": WHERE[kind][:2], "feedforward": WHERE[kind][2:]},
    "dora": lambda kind: {"targets": tuple(map(Target, WHERE[kind])), **LORA},
    "dora-dropout": lambda kind: {
        "targets": tuple(map(Target, WHERE[kind])),
        **LORA,
        "dropout": 0.2,
        "bias": "lora_only",
    },
    "bottleneck": lambda kind: {"targets": WHERE[kind][-1:], "size": 3},
    "bottleneck-relu": lambda kind: {"targets": WHERE[kind], "size": 3, "activation": "relu"},
    "ln_tuning": lambda kind: {},
    "lora-pissa": lambda kind: {"targets": tuple(map(Target, WHERE[kind])), **LORA, "init": "pissa"},
    "lora-olora": lambda kind: {
        "targets": (Target(WHERE[kind][0] + ("[q,v]" if kind != "bert" else "")),),
        **LORA,
        "init": "olora",
        "rank_stabilized": True,
        "dropout": 0.2,
    },
    "lora-plus": lambda kind: {
        "targets": tuple(map(Target, WHERE[kind])),
        **LORA,
        "init": "gaussian",
        "lora_plus_ratio": 4.0,
    },
    "adalora": lambda kind: {
        "targets": WHERE[kind],
        "initial_rank": 4,
        "target_rank": 2,
        "alpha": 8.0,
        "total_steps": 1000,
        "initial_steps": 100,
        "orthogonality": 0.0,
    },
    "vera": lambda kind: {"targets": WHERE[kind], "rank": 6, "projection_seed": 3},
    "vera-dropout": lambda kind: {
        "targets": WHERE[kind],
        "rank": 6,
        "dropout": 0.2,
        "bias": "vera_only",
        "save_projection": False,
    },
    "loretta_adp": lambda kind: {"targets": WHERE[kind][-1:], "size": 6, "activation": "tanh"},
    "loretta_rep": lambda kind: {"targets": WHERE[kind], "rank": 4, "tensor_rank": 2},
}
PEFT = ("lora-pissa", "lora-olora", "ia3", "dora", "dora-dropout", "ln_tuning", "vera", "vera-dropout", "adalora")
LATER = ("bottleneck-relu", "vera-dropout", "lora-plus")  #: further options of a method that is tried
MERGEABLE = ("lora-pissa", "lora-olora", "ia3", "dora", "dora-dropout", "vera", "loretta_rep", "adalora")
every = pytest.mark.parametrize("kind", ["bert", "gpt2", pytest.param("gpt2-classifier", marks=pytest.mark.nightly)])


each = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.nightly] if name in LATER else []) for name in METHODS_TRIED],
)


def plan_of(spec, method, **options):
    found = METHODS.get(method)
    return found.plan(found.Options(method, **options), spec)


def planned(name, kind, spec):
    return plan_of(spec, name.partition("-")[0], **METHODS_TRIED[name](kind))


def outputs(engine, batch):
    """Class logits, or logits at each row's last real token."""
    if engine.plan.head:
        return engine.eval_step(batch).outputs["logits"]
    return engine.logits_at(batch, batch["attention_mask"].sum(1).astype(np.int32) - 1)


def trained_engine(backend, name, kind, steps=3):
    spec = tiny_spec(kind)
    plan = planned(name, kind, spec)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    batch = make_batch(kind, [7, 4, 12])
    for _ in range(steps):
        engine.train_step([batch], 3e-2)
    return spec, plan, engine, batch


@every
@each
def test_an_adapted_model_starts_as_the_base_model_and_then_changes(backend, name, kind):
    spec = tiny_spec(kind)
    plan, batch = planned(name, kind, spec), make_batch(kind, [7, 4, 12])
    expected = outputs(build_engine(backend, spec, plan_for(spec, (), bias="all"), {}), batch)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    assert_near(outputs(engine, batch), expected, BERT_LOGITS_ABS, absolute=True)
    for _ in range(2):
        engine.train_step([batch], 3e-2)
    moved = engine.trainable()
    for name_, array in plan.initial_values(0).items():
        assert not np.array_equal(moved[name_], array), name_
    assert np.abs(outputs(engine, batch) - expected).max() > 1e-3


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@every
@each
def test_both_backends_have_the_same_gradients_and_losses(name, kind):
    spec, batch = tiny_spec(kind, dropout=0.0), make_batch(kind, [7, 4, 12])
    plan = planned(name, kind, spec)
    rng = np.random.default_rng(0)
    values = {
        key: (array + rng.normal(0, 0.1, array.shape)).astype(np.float32)
        for key, array in plan.initial_values(0).items()
    }
    engines = [build_engine(load(backend), spec, plan, values) for backend in ("pytorch", "mindspore")]
    gradients = [engine.gradients([batch]) for engine in engines]
    assert set(gradients[0]) == set(plan.shapes())
    for key, expected in gradients[0].items():
        assert_near(gradients[1][key], expected, GRADIENT)
    losses = [[engine.fetch([engine.train_step([batch], 1e-2)])[0][0] for _ in range(8)] for engine in engines]
    np.testing.assert_allclose(losses[1], losses[0], rtol=STEP_LOSS)


@every
@pytest.mark.parametrize("name", MERGEABLE)
def test_a_merged_model_gives_the_logits_of_the_adapted_one(backend, name, kind):
    spec, plan, engine, batch = trained_engine(backend, name, kind)
    trained, expected = engine.trainable(), outputs(engine, batch)
    errors = backend.merge(engine.model)
    assert all(0.0 < error <= MERGE_ROUNDING for error in errors.values()), errors
    assert_near(outputs(engine, batch), expected, MERGED_ABS, absolute=True)
    backend.unmerge(engine.model)
    assert outputs(engine, batch).tobytes() == expected.tobytes()
    merged, errors = merged_model(plan, spec, trained)
    assert set(errors) == {edit.path for edit in plan.edits}
    again = build_engine(backend, merged, plan_for(merged, (), bias="all"), {})
    assert_near(outputs(again, batch), expected, MERGED_ABS, absolute=True)


@pytest.mark.parametrize("name", ["bottleneck", "loretta_adp"])
def test_what_is_not_linear_is_not_merged(backend, name):
    spec, plan, engine, batch = trained_engine(backend, name, "bert")
    before = outputs(engine, batch)
    with pytest.raises(InputError, match="cannot be merged"):
        backend.merge(engine.model)
    with pytest.raises(InputError, match="cannot be merged"):
        merged_model(plan, spec, engine.trainable())
    assert outputs(engine, batch).tobytes() == before.tobytes()


@pytest.mark.needs_pytorch
@every
@pytest.mark.parametrize("name", PEFT)
def test_peft_computes_our_logits_from_our_file_and_writes_it_back(backend, name, kind, tmp_path):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    spec, plan, engine, batch = trained_engine(backend, name, kind)
    trained, expected = engine.trainable(), outputs(engine, batch)
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    save_adapter(tmp_path / "ours", plan, spec, trained)
    network = transformers.AutoModelForSequenceClassification if spec.head else transformers.AutoModelForCausalLM
    model = peft.PeftModel.from_pretrained(network.from_pretrained(tmp_path / "base"), tmp_path / "ours").eval()
    inputs = {key: torch.from_numpy(array).long() for key, array in batch.items() if key != "labels"}
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    theirs = logits if spec.head else logits[np.arange(3), batch["attention_mask"].sum(1) - 1]
    assert_near(theirs, expected, BERT_LOGITS_ABS, absolute=True)
    model.save_pretrained(tmp_path / "theirs")
    for key, array in load_adapter(tmp_path / "theirs", plan, spec).items():
        assert array.tobytes() == trained[key].tobytes(), key


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("name", ["ia3", "dora", "ln_tuning", "vera", "adalora"])
def test_peft_trains_as_we_do(name):
    """Gradients of PEFT's own layers from the same start, without dropout."""
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    backend = load("pytorch")
    spec, plan, engine, batch = trained_engine(backend, name, "bert")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(Path(folder) / "base", spec, spec.arrays)
        save_adapter(Path(folder) / "ours", plan, spec, engine.trainable())
        network = transformers.AutoModelForSequenceClassification.from_pretrained(Path(folder) / "base")
        model = peft.PeftModel.from_pretrained(network, Path(folder) / "ours", is_trainable=True).eval()
    model(**{key: torch.from_numpy(array).long() for key, array in batch.items()}).loss.backward()
    theirs = {key: p.grad.numpy() for key, p in model.named_parameters() if p.grad is not None}
    compared = 0
    for key, ours in engine.gradients([batch]).items():
        path, _, leaf = key.rpartition(".")
        places = [k for k in theirs if f".{path}." in f".{k}" and (leaf in k)]
        if name == "ln_tuning":
            places = [k for k in places if "ln_tuning" in k or "modules_to_save" in k]
        assert len(places) == 1, (key, places)
        assert_near(ours.reshape(theirs[places[0]].shape), theirs[places[0]], GRADIENT)
        compared += 1
    assert compared == len(plan.shapes())


def test_slices_of_ia3_scale_their_own_features_and_no_others(backend, tmp_path):
    spec = tiny_spec("gpt2")
    plan = plan_of(spec, "ia3", targets=("*.c_attn[k,v]",))
    width = spec.config["n_embd"]
    assert plan.counts()["ia3_l"] == 2 * width * spec.config["n_layer"]
    rng = np.random.default_rng(0)
    values = {name: rng.normal(1, 0.3, shape).astype(np.float32) for name, shape in plan.shapes().items()}
    engine = build_engine(backend, spec, plan, values)
    merged, _ = merged_model(plan, spec, values)
    batch = make_batch("gpt2", [7, 4])
    again = build_engine(backend, merged, plan_for(merged, (), bias="all"), {})
    assert_near(outputs(again, batch), outputs(engine, batch), MERGED_ABS, absolute=True)
    name = "transformer.h.0.attn.c_attn.weight"
    assert np.array_equal(merged.arrays[name][:, :width], spec.arrays[name][:, :width])
    save_adapter(tmp_path, plan, spec, values)
    for key, array in load_adapter(tmp_path, plan, spec).items():
        assert np.array_equal(array, values[key])
    fused = plan_of(spec, "ia3", targets=("*.c_attn[k]",))
    with pytest.raises(InputError, match="scales others"):
        load_adapter(tmp_path, fused, spec)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_rows_of_zeros_have_no_direction_for_dora(kind):
    spec = tiny_spec(kind)
    plan = planned("dora", kind, spec)
    name = f"{plan.edits[0].path}.weight"
    weight = spec.arrays[name].copy()
    weight[(slice(None), 1) if plan.edits[0].module.kind.transposed else 1] = 0.0
    damaged = dataclasses.replace(spec, arrays={**spec.arrays, name: weight})
    with pytest.raises(InputError, match=rf"{plan.edits[0].path} 1 of \d+ rows are zero"):
        dict(planned("dora", kind, damaged).initial_values(0))


@each
def test_an_adapter_names_its_base_model_so_that_other_programs_open_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "base").mkdir(parents=True)
    spec = dataclasses.replace(tiny_spec("bert"), source="models/base")
    plan = planned(name, "bert", spec)
    if plan.artifact != "adapter":
        return
    values = {key: np.ones(shape, np.float32) for key, shape in plan.shapes().items()}
    save_adapter(tmp_path / "adapter", plan, spec, values | dict(plan.initial_values(0)))
    written, _, _ = read_adapter(tmp_path / "adapter")
    assert written["base_model_name_or_path"] == str(tmp_path / "models" / "base")


def test_what_a_method_cannot_adapt_is_refused_by_name():
    spec = tiny_spec("gpt2")
    for method, options, said in (
        ("dora", {"targets": (Target("*.wte"),), **LORA}, "adapts whole linear layers"),
        ("dora", {"targets": (Target("*.c_attn[q]"),), **LORA}, "adapts whole linear layers"),
        ("ia3", {"feedforward": ("*.c_attn[q]",)}, "Leave out the brackets"),
        ("bottleneck", {"targets": ("*.c_attn[q]",)}, "Leave out the brackets"),
        ("ln_tuning", {"targets": ("*.c_attn",)}, "matches none"),
        ("vera", {"targets": ("*.c_attn[q]",), "rank": 4}, "Leave out the brackets"),
        ("loretta_adp", {"targets": ("*.c_attn[q]",)}, "Leave out the brackets"),
        ("loretta_rep", {"targets": ("*.c_attn",), "replaced": ("*.attn.c_attn",)}, "either adapted or replaced"),
    ):
        with pytest.raises(InputError, match=said):
            plan_of(spec, method, **options)
    for method, options in (("ia3", {}), ("bottleneck", {}), ("bottleneck", {"targets": ("a",), "size": 0})):
        assert list(METHODS.get(method).Options(method, **options).problems())


def test_an_adapter_of_lora_is_not_read_as_dora_nor_the_reverse(tmp_path):
    spec = tiny_spec("bert")
    plans = [plan_for(spec, ("*.query",)), plan_of(spec, "dora", targets=(Target("*.query"),), **LORA)]
    for number, plan in enumerate(plans):
        values = {name: np.ones(shape, np.float32) for name, shape in plan.shapes().items()}
        save_adapter(tmp_path / str(number), plan, spec, values)
    with pytest.raises(InputError, match="use_dora = True is not supported"):
        load_adapter(tmp_path / "1", plans[0], spec)
    with pytest.raises(InputError, match="use_dora must be true"):
        load_adapter(tmp_path / "0", plans[1], spec)
    written = json.loads((tmp_path / "1" / "adapter_config.json").read_text())
    assert written["use_dora"] is True


@each
def test_decoding_with_a_cache_gives_the_logits_of_the_whole_sequence(backend, name):
    _, _, engine, _ = trained_engine(backend, name, "gpt2")
    decoder = engine.decoder(16)
    rows = np.array([[3, 4, 5, 6], [7, 8, 9, 10], [11, 12, 13, 14]], np.int32)
    found = [decoder.prefill(rows, np.full(3, 4, np.int32))]
    for token in (20, 21):
        tokens = np.full(3, token, np.int32)
        rows = np.concatenate([rows, tokens[:, None]], 1)
        found.append(decoder.step(tokens))
    for length, logits in enumerate(found, 4):
        given = {"input_ids": rows[:, :length], "attention_mask": np.ones((3, length), np.int32)}
        whole = engine.logits_at({**given, "labels": given["input_ids"]}, np.full(3, length - 1, np.int32))
        assert_near(logits, whole, BERT_LOGITS_ABS, absolute=True)
