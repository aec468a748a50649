"""AdaLoRA: ranks are distributed as PEFT distributes them, alike in both backends, and survive files and interruptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.backend import load
from common.config import adaptation_options
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_model
from common.methods.ranks import RankAllocation, Schedule
from common.models.checkpoint import save_pretrained
from tests.support import assert_identical, assert_near, build_engine, make_batch, nonzero_values, plan_for, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, MERGED_ABS, STEP_LOSS

TARGETS = ("*.query", "*.intermediate.dense")
OPTIONS = {
    "targets": TARGETS,
    "initial_rank": 4,
    "target_rank": 2,
    "alpha": 8.0,
    "total_steps": 12,
    "initial_steps": 2,
    "final_steps": 3,
    "interval": 2,
}


def plan_of(spec, **options):
    found = METHODS.get("adalora")
    given = found.Options("adalora", **{**OPTIONS, **options})
    assert list(given.problems()) == []
    return found.plan(given, spec)


def engine_of(backend, spec, plan, **settings):
    return build_engine(backend, spec, plan, plan.initial_values(0), weight_decay=0.0, **settings)


def kept(arrays):
    return {name: tuple(array[:, 0] != 0) for name, array in arrays.items() if name.endswith("lora_E")}


def ranks(arrays):
    return sum(sum(flags) for flags in kept(arrays).values())


def test_the_budget_falls_with_the_cube_of_the_steps_that_are_left():
    schedule = Schedule(100, 20, total_steps=50, initial_steps=10, final_steps=10, interval=5)
    found = {step: schedule.budget(step) for step in range(1, 51)}
    assert {step for step, budget in found.items() if budget is not None} == {15, 20, 25, 30, 35, 40}
    assert found[25] == int(80 * 0.5**3 + 20)
    assert found[40] == 20
    assert Schedule(8, 4, total_steps=10, initial_steps=0, final_steps=3, interval=4).budget(7) == 4


def test_the_gradient_of_the_penalty_is_that_of_its_differences():
    rng = np.random.default_rng(0)
    shapes = {"q": (3, 7), "e": (3, 1), "p": (5, 3)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    steering = RankAllocation((("q", "e", "p"),), shapes, Schedule(3, 1, 9, 1, 1, 1), 0.8, 0.8, 0.7)

    def penalty(arrays):
        terms = (arrays["q"] @ arrays["q"].T, arrays["p"].T @ arrays["p"])
        return 0.7 * np.mean([np.linalg.norm(term - np.eye(3)) for term in terms])

    found = steering.gradients(arrays)
    assert set(found) == {"q", "p"}
    for name, gradient in found.items():
        for index in np.ndindex(*shapes[name]):
            step = np.zeros(shapes[name])
            step[index] = 1e-6
            ends = [penalty({**arrays, name: arrays[name] + sign * step}) for sign in (1, -1)]
            assert abs((ends[0] - ends[1]) / 2e-6 - gradient[index]) < 1e-6


def test_ties_drop_no_more_directions_than_the_budget_says():
    shapes = {"q": (4, 2), "e": (4, 1), "p": (2, 4)}
    steering = RankAllocation((("q", "e", "p"),), shapes, Schedule(4, 2, 4, 0, 1, 1), 0.8, 0.8, 0.0)
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    for step in (1, 2, 3):
        found = steering.after(step, arrays, arrays)
    assert int(found["e"].sum()) == 2


@pytest.mark.needs_pytorch
def test_ranks_and_weights_are_those_that_peft_arrives_at(backend, tmp_path):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    spec, batch = tiny_spec("bert"), make_batch("bert", [7, 4, 12])
    plan = plan_of(spec)
    ours = engine_of(backend, spec, plan, max_grad_norm=None)
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    save_adapter(tmp_path / "start", plan, spec, ours.trainable())
    network = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(network, tmp_path / "start", is_trainable=True).eval()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    inputs = {key: torch.from_numpy(array).long() for key, array in batch.items()}
    counts = []
    for step in range(1, 13):
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        ours.train_step([batch], 1e-2)
        found = ours.trainable()
        theirs = {
            key.replace("base_model.model.", "").replace(".default", ""): p.detach().numpy()
            for key, p in model.named_parameters()
            if ".lora_" in key
        }
        assert set(theirs) == {name for name in found if ".lora_" in name}
        assert kept(theirs) == kept(found), step
        counts.append(ranks(found))
        for name, array in theirs.items():
            assert_near(found[name], array, 1e-3, what=f"step {step}, {name}")
    assert min(counts[:3]) == 16
    assert counts[-4:] == [8, 8, 8, 8]


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_both_backends_take_the_same_decisions_over_50_steps(compiled):
    spec, batch = tiny_spec("bert"), make_batch("bert", [7, 4, 12])
    plan = plan_of(spec, total_steps=50, initial_steps=5, final_steps=10)
    engines = [
        engine_of(load(name), spec, plan, compile=compiled and name == "mindspore") for name in ("pytorch", "mindspore")
    ]
    losses = [[], []]
    for _ in range(50):
        for engine, found in zip(engines, losses, strict=True):
            found.append(engine.fetch([engine.train_step([batch], 3e-3)])[0][0])
        first, second = (engine.trainable() for engine in engines)
        assert kept(first) == kept(second)
    np.testing.assert_allclose(losses[1], losses[0], rtol=STEP_LOSS)
    assert ranks(first) == 8


@pytest.mark.parametrize("after", [5, 10])
def test_a_training_that_is_continued_takes_the_decisions_of_one_that_was_not_interrupted(backend, after):
    spec, batch = tiny_spec("bert"), make_batch("bert", [7, 4, 12])
    plan = plan_of(spec)
    whole = engine_of(backend, spec, plan)
    for _ in range(after):
        whole.train_step([batch], 1e-2)
    second = engine_of(backend, spec, plan)
    second.load_trainable(whole.trainable())
    second.load_state(whole.state())
    for engine in (whole, second):
        for _ in range(12 - after):
            engine.train_step([batch], 1e-2)
    assert_identical(second.trainable(), whole.trainable())
    assert ranks(whole.trainable()) == 8
    state = {name: array for name, array in whole.state().items() if name != "steering.kept"}
    with pytest.raises(InputError, match="kept: missing"):
        second.load_state(state)


@pytest.mark.needs_pytorch
def test_a_file_leaves_dropped_directions_out_and_peft_reads_and_writes_it(backend, tmp_path):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    spec, batch = tiny_spec("bert"), make_batch("bert", [7, 4, 12])
    plan = plan_of(spec)
    engine = engine_of(backend, spec, plan)
    for _ in range(12):
        engine.train_step([batch], 3e-2)
    trained, expected = engine.trainable(), engine.eval_step(batch).outputs["logits"]
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    save_adapter(tmp_path / "ours", plan, spec, trained)
    settings, tensors, _ = read_adapter(tmp_path / "ours")
    assert sum(sum(flags) for flags in settings["rank_pattern"].values()) == 8
    assert sum(len(array) for key, array in tensors.items() if key.endswith("lora_E")) == 8
    network = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(network, tmp_path / "ours").eval()
    with torch.no_grad():
        theirs = model(
            **{key: torch.from_numpy(a).long() for key, a in batch.items() if key != "labels"}
        ).logits.numpy()
    assert_near(theirs, expected, BERT_LOGITS_ABS, absolute=True)
    model.save_pretrained(tmp_path / "theirs")
    shapes = {key.removeprefix("base_model.model."): array.shape for key, array in tensors.items()}
    own = METHODS.get("adalora").plan(adaptation_options(METHODS.get("adalora").section(settings, shapes)), spec)
    for folder in ("ours", "theirs"):
        found = load_adapter(tmp_path / folder, own, spec)
        again = engine_of(backend, spec, own)
        again.load_trainable(found)
        assert_near(again.eval_step(batch).outputs["logits"], expected, BERT_LOGITS_ABS, absolute=True)
        merged, _ = merged_model(own, spec, found)
        plain = build_engine(backend, merged, plan_for(merged, (), bias="all"), {})
        assert_near(plain.eval_step(batch).outputs["logits"], expected, MERGED_ABS, absolute=True)


def test_a_best_state_with_more_directions_than_wanted_is_noted():
    """Early stopping, or a metric that was best before, keeps a state whose ranks were not reduced to the end."""
    plan = plan_of(tiny_spec("bert"))
    arrays = nonzero_values(plan)
    names = [edit.parameters[1].name for edit in plan.edits]
    found = METHODS.get("adalora").findings(plan, arrays)
    assert found["directions"] == sum(arrays[name].size for name in names) > found["directions_wanted"]
    assert found["directions_wanted"] == 2 * len(names)
    assert "before the last reduction" in found["note"]
    for name in names:
        arrays[name][2:] = 0.0
    assert METHODS.get("adalora").findings(plan, arrays) == {
        "directions": 2 * len(names),
        "directions_wanted": 2 * len(names),
    }


def test_what_does_not_fit_is_refused_by_entry(tmp_path):
    spec = tiny_spec("bert")
    method, plan = METHODS.get("adalora"), plan_of(spec)
    with pytest.raises(InputError, match="must be the steps of the training, 13"):
        method.check_length(plan.options, 13)
    method.check_length(plan.options, 12)
    for options in ({"total_steps": 5}, {"target_rank": 5}, {"beta1": 1.0}, {"alpha": None}, {"interval": 0}):
        assert list(method.Options("adalora", **{**OPTIONS, **options}).problems())
    with pytest.raises(InputError, match="initial_rank is 100"):
        plan_of(spec, initial_rank=100)
    values = plan.initial_values(0) | {p.name: np.ones(p.shape, np.float32) for p in plan.unfrozen}
    save_adapter(tmp_path, plan, spec, values)
    path = tmp_path / "adapter_config.json"
    written = json.loads(path.read_text())
    layer = plan.edits[0].path
    for entries, said in (
        ({"init_r": 6}, "init_r: the adapter has 6"),
        ({"lora_alpha": 2}, "lora_alpha"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {f"{layer}.lora_E": [True]}}, "rank_pattern"),
        ({"rank_pattern": {f"{layer}.lora_E": [True, False, True, True]}}, "shape"),
    ):
        path.write_text(json.dumps({**written, **entries}))
        with pytest.raises(InputError, match=said):
            load_adapter(tmp_path, plan, spec)


@pytest.mark.needs_pytorch
def test_a_loop_of_ones_own_is_refused():
    torch = pytest.importorskip("torch")
    import twinlora

    plan = {"method": "adalora", **OPTIONS, "targets": ["0"]}
    with pytest.raises(InputError, match="a loop of your own"):
        twinlora.adapt(torch.nn.Sequential(torch.nn.Linear(8, 8)), plan)
