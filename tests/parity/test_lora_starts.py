"""LoRA's start values: those that are made of the weight, in both forms that PEFT writes, and LoRA+."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.backend import load
from common.config import adaptation_options
from common.errors import InputError
from common.methods import METHODS
from common.methods.targets import Target
from common.models.checkpoint import save_pretrained
from tests.support import assert_near, build_engine, make_batch, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, UPDATE

TARGETS = ("*.query", "*.intermediate.dense")


def plan_of(spec, **options):
    found = METHODS.get("lora")
    given = {"targets": tuple(map(Target, TARGETS)), "rank": 2, "alpha": 3.0, **options}
    return found.plan(found.Options("lora", **given), spec)


def test_pissa_starts_with_the_largest_singular_values_and_olora_with_the_first_columns():
    spec = tiny_spec("bert")
    for init in ("pissa", "olora"):
        plan = plan_of(spec, init=init)
        values = plan.initial_values(0)
        for edit in plan.edits:
            weight = spec.arrays[f"{edit.path}.weight"].astype(np.float64)
            a, b = (values[parameter.name] for parameter in edit.parameters)
            left, sizes, right = np.linalg.svd(weight)
            basis, _ = np.linalg.qr(weight)
            expected = (
                (left[:, :2] * sizes[:2]) @ right[:2] if init == "pissa" else basis[:, :2] @ basis[:, :2].T @ weight
            )
            product = b @ a * (edit.arguments.scaling if init == "pissa" else 1.0)
            assert_near(product, expected, 1e-5)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_a_weight_that_is_not_finite_is_refused(init, number):
    spec = tiny_spec("bert")
    name = next(name for name in spec.arrays if name.endswith("query.weight"))
    weight = spec.arrays[name].copy()
    weight[1, 2] = number
    with pytest.raises(InputError, match=rf"init: {init} needs finite numbers; .*query\.weight hold NaN or infinity"):
        plan_of(dataclasses.replace(spec, arrays={**spec.arrays, name: weight}), init=init)


def test_gaussian_has_the_deviation_of_one_over_the_rank():
    spec = tiny_spec("bert")
    values = plan_of(spec, init="gaussian", rank=4).initial_values(0)
    drawn = np.concatenate([array.ravel() for name, array in values.items() if name.endswith("lora_A")])
    assert abs(drawn.std() * 4 - 1) < 0.2
    assert not any(array.any() for name, array in values.items() if name.endswith("lora_B"))


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    ("init", "converted", "kind"),
    [("pissa", False, "bert"), ("olora", False, "bert"), ("pissa", True, "gpt2")],  # converted, PEFT leaves heads out
)
def test_what_peft_trained_from_the_weight_is_read_in_either_of_its_forms(init, converted, kind, tmp_path):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    spec, batch = tiny_spec(kind), make_batch(kind, [7, 4, 12])
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    auto = transformers.AutoModelForSequenceClassification if spec.head else transformers.AutoModelForCausalLM
    network, names = (
        auto.from_pretrained(tmp_path / "base"),
        {"bert": ["query", "intermediate.dense"], "gpt2": ["c_attn"]},
    )
    wanted = peft.LoraConfig(
        r=2,
        lora_alpha=3,
        target_modules=names[kind],
        init_lora_weights=init,
        fan_in_fan_out=kind == "gpt2",
        task_type="SEQ_CLS" if spec.head else "CAUSAL_LM",
    )
    model = peft.get_peft_model(network, wanted)
    model.peft_config["default"].init_lora_weights = True  # the start is not made again
    model.save_pretrained(tmp_path / "start")
    model.peft_config["default"].init_lora_weights = init
    inputs = {key: torch.from_numpy(array).long() for key, array in batch.items() if key != "labels"}
    labels = torch.from_numpy(batch["labels"]).long()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.eval()
    for _ in range(3):
        optimizer.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
    with torch.no_grad():
        expected = model(**inputs).logits.numpy()
    start = {"path_initial_model_for_weight_conversion": str(tmp_path / "start")} if converted else {}
    model.save_pretrained(tmp_path / "theirs", **start)

    settings, tensors, _ = read_adapter(tmp_path / "theirs")
    shapes = {key.removeprefix("base_model.model."): array.shape for key, array in tensors.items()}
    section = METHODS.get("lora").section(settings, shapes)
    own = METHODS.get("lora").plan(adaptation_options(section), spec)
    assert {edit.arguments.rank for edit in own.edits} == {4 if converted else 2}
    planned = plan_of(spec, init=init, targets=tuple(Target(f"*.{name}") for name in names[kind]))
    for plan in (own, planned):
        arrays = load_adapter(tmp_path / "theirs", plan, spec)
        engine = build_engine(load("pytorch"), spec, plan, plan.initial_values(0))
        engine.load_trainable(arrays)
        ours = engine.eval_step(batch).outputs["logits"] if spec.head else engine.logits_at(batch, np.array([6, 3, 11]))
        theirs = expected if spec.head else expected[np.arange(3), [6, 3, 11]]
        assert_near(ours, theirs, BERT_LOGITS_ABS, absolute=True)


def test_a_file_with_another_start_or_method_of_starting_is_refused(tmp_path):
    spec = tiny_spec("bert")
    trained = plan_of(spec, init="pissa")
    save_adapter(tmp_path, trained, spec, trained.initial_values(0) | _head(trained))
    with pytest.raises(InputError, match="must start from the weight"):
        load_adapter(tmp_path, plan_of(spec, init="olora"), spec)
    with pytest.raises(InputError, match="has rank 4"):
        load_adapter(tmp_path, plan_of(spec), spec)
    plain = plan_of(spec, rank=4, alpha=6.0)
    save_adapter(tmp_path / "plain", plain, spec, plain.initial_values(0) | _head(plain))
    with pytest.raises(InputError, match="must start from the weight"):
        load_adapter(tmp_path / "plain", trained, spec)


def _head(plan):
    return {p.name: np.ones(p.shape, np.float32) for p in plan.unfrozen}


def test_starts_that_a_module_does_not_have_are_refused_by_entry():
    spec = tiny_spec("bert")
    with pytest.raises(InputError, match="linear layer's own weight"):
        plan_of(spec, targets=(Target("*.word_embeddings"),), init="pissa")
    dora = METHODS.get("dora")
    with pytest.raises(InputError, match="DoRA starts with B = 0"):
        dora.plan(dora.Options("dora", targets=(Target("*.query"),), rank=2, alpha=3.0, init="olora"), spec)
    for options in ({"lora_plus_ratio": 0.0}, {"init": "pissa", "same_start": True}):
        given = {"targets": (Target("*.query"),), "rank": 2, "alpha": 3.0, **options}
        assert list(METHODS.get("lora").Options("lora", **given).problems())


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_lora_plus_gives_b_a_larger_learning_rate_and_nothing_else(backend, compiled):
    """A first step of AdamW moves every element by its rate, whatever the size of its gradient."""
    spec, batch, changes = tiny_spec("bert"), make_batch("bert", [7, 4, 12]), []
    for ratio in (1.0, 16.0):
        plan = plan_of(spec, lora_plus_ratio=ratio)
        rng = np.random.default_rng(0)
        values = {name: rng.normal(0, 0.2, a.shape).astype(np.float32) for name, a in plan.initial_values(0).items()}
        engine = build_engine(backend, spec, plan, values, weight_decay=0.5, max_grad_norm=None, compile=compiled)
        before = engine.trainable()
        engine.train_step([batch], 1e-2)
        changes.append({name: array - before[name] for name, array in engine.trainable().items()})
    for name in changes[0]:
        factor = 16.0 if name.endswith("lora_B") else 1.0
        assert_near(changes[1][name], changes[0][name] * factor, UPDATE, what=name)
    assert sum(name.endswith("lora_B") for name in changes[0]) == 4
