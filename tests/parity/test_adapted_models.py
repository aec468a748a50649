"""Adapted models of each backend: their start, switching, merging, and PEFT reading and writing what they trained."""

from __future__ import annotations

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import save as save_adapter
from common.backend import load
from common.errors import InputError
from common.methods.merge import merged_model
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from tests.support import (
    KINDS,
    TARGETS,
    assert_identical,
    assert_near,
    build_engine,
    make_batch,
    model_config,
    nonzero_values,
    plan_for,
    tiny_spec,
    unfrozen,
)
from tests.tolerances import BERT_LOGITS_ABS, MERGE_ROUNDING, MERGED_ABS

WIDE = {
    "bert": ("*.dense", "*.key", "*.word_embeddings"),
    "gpt2": ("*.c_proj", "*.c_fc", "*.wpe"),
    "gpt2-classifier": ("*.wte", "*.c_attn"),
}


def outputs(engine, batch) -> np.ndarray:
    """Class logits, or logits at each row's last real token."""
    if engine.plan.head:
        return engine.eval_step(batch).outputs["logits"]
    return engine.logits_at(batch, batch["attention_mask"].sum(1).astype(np.int32) - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [TARGETS, WIDE], ids=["attention", "wide"])
def test_adapted_model_starts_as_the_base_model_to_the_bit(backend, kind, targets):
    spec = tiny_spec(kind)
    plan = plan_for(spec, targets[kind])
    batch = make_batch(kind, [7, 4, 12])
    base = build_engine(backend, spec, plan_for(spec, (), bias="all"), {})
    expected = outputs(base, batch)
    engine = build_engine(backend, spec, plan, plan.initial_values(5))
    assert np.array_equal(outputs(engine, batch), expected)
    trained = build_engine(backend, spec, plan)
    assert np.abs(outputs(trained, batch) - expected).max() > 1e-3
    backend.set_enabled(trained.model, False)
    assert outputs(trained, batch).tobytes() == expected.tobytes()
    backend.set_enabled(trained.model, True)
    assert np.abs(outputs(trained, batch) - expected).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [TARGETS, WIDE], ids=["attention", "wide"])
def test_merged_model_gives_the_logits_of_the_adapted_one_and_is_never_saved(backend, kind, targets):
    spec = tiny_spec(kind)
    engine = build_engine(backend, spec, plan_for(spec, targets[kind], rank_stabilized=True))
    batch = make_batch(kind, [7, 4, 12])
    expected, trainable = outputs(engine, batch), engine.trainable()
    errors = backend.merge(engine.model)
    assert set(errors) == {step.path for step in engine.plan.edits}
    assert all(0.0 < error <= MERGE_ROUNDING for error in errors.values()), errors
    assert_near(outputs(engine, batch), expected, MERGED_ABS, absolute=True)
    with pytest.raises(InputError, match="merged"):
        engine.trainable()
    with pytest.raises(InputError, match="merged already"):
        backend.merge(engine.model)
    backend.unmerge(engine.model)
    assert outputs(engine, batch).tobytes() == expected.tobytes()
    assert_identical(engine.trainable(), trainable)


def test_merging_an_embedding_that_the_head_shares_is_refused_and_changes_nothing(backend):
    spec = tiny_spec("gpt2")
    engine = build_engine(backend, spec, plan_for(spec, ("*.c_fc", "transformer.wte")))
    batch = make_batch("gpt2", [7, 4])
    before = outputs(engine, batch)
    with pytest.raises(InputError, match=r"transformer\.wte: an output layer, or another module, shares"):
        backend.merge(engine.model)
    assert outputs(engine, batch).tobytes() == before.tobytes()
    assert engine.trainable()
    with pytest.raises(InputError, match=r"cannot be merged:\n  transformer\.wte:"):
        merged_model(engine.plan, spec, engine.trainable())


def test_a_second_adaptation_is_refused(backend):
    spec = tiny_spec("bert")
    plan = plan_for(spec, TARGETS["bert"])
    engine = build_engine(backend, spec, plan)
    with pytest.raises(InputError, match="adapted already"):
        backend.rewrite(engine.model, plan, plan.initial_values(0))


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_of_a_merged_model_gives_the_adapted_logits(backend, kind, tmp_path):
    spec = tiny_spec(kind)
    engine = build_engine(backend, spec, plan_for(spec, TARGETS[kind], bias="all"))
    batch = make_batch(kind, [7, 4, 12])
    engine.train_step([batch], 1e-2)
    merged, errors = merged_model(engine.plan, spec, engine.trainable())
    assert max(errors.values()) <= MERGE_ROUNDING
    save_pretrained(tmp_path, merged, merged.arrays)
    labels = tuple(spec.config["id2label"].values()) if spec.head else None
    again = load_model_spec(model_config(kind, source=str(tmp_path)), labels, 60, 0, 9)
    assert again.new_parameters == ()
    reloaded = build_engine(backend, again, plan_for(again, (), bias="all"), {})
    assert_near(outputs(reloaded, batch), outputs(engine, batch), MERGED_ABS, absolute=True)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "targets", [TARGETS, {**WIDE, "gpt2-classifier": ("*.attn.c_attn[k]", "*.c_proj")}], ids=["attention", "wide"]
)
def test_peft_gives_our_logits_from_our_adapter_and_we_read_back_what_it_writes(backend, kind, targets, tmp_path):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    spec = tiny_spec(kind)
    plan = plan_for(spec, targets[kind], bias="lora_only")
    engine = build_engine(backend, spec, plan)
    batch = make_batch(kind, [7, 4, 12])
    for _ in range(3):
        engine.train_step([batch], 1e-2)
    trained, expected = engine.trainable(), outputs(engine, batch)
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    save_adapter(tmp_path / "ours", plan, spec, trained, {"backend": backend.__name__})
    network = transformers.AutoModelForSequenceClassification if spec.head else transformers.AutoModelForCausalLM
    model = peft.PeftModel.from_pretrained(network.from_pretrained(tmp_path / "base"), tmp_path / "ours").eval()
    inputs = {name: torch.from_numpy(array).long() for name, array in batch.items() if name != "labels"}
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    theirs = logits if spec.head else logits[np.arange(3), batch["attention_mask"].sum(1) - 1]
    assert_near(theirs, expected, BERT_LOGITS_ABS, absolute=True)
    model.save_pretrained(tmp_path / "theirs")
    again = load_adapter(tmp_path / "theirs", plan, spec)
    assert_identical(again, trained)
    fresh = build_engine(backend, spec, plan, plan.initial_values(0))
    fresh.load_trainable(again)
    assert outputs(fresh, batch).tobytes() == expected.tobytes()


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("kind", KINDS)
def test_equal_arrays_give_byte_equal_adapters_from_either_backend(kind, tmp_path):
    spec = tiny_spec(kind)
    plan = plan_for(spec, TARGETS[kind], bias="all")
    arrays = nonzero_values(plan) | {name: spec.arrays[name] for name in unfrozen(plan)}
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan, plan.initial_values(1))
        engine.load_trainable(arrays)
        save_adapter(tmp_path / name, plan, spec, engine.trainable())
    files = [sorted((tmp_path / name).iterdir()) for name in ("pytorch", "mindspore")]
    assert (
        [file.name for file in files[0]]
        == [file.name for file in files[1]]
        == ["adapter_config.json", "adapter_model.safetensors"]
    )
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
