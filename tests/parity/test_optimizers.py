"""Every optimizer of both backends: the updates of torch's class, exact resumption, clipping, accumulation, groups, the
bound of the last layer's rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from common.config import load_config, optimization_options
from common.errors import InputError
from common.memory.account import Held, assemble, components_of
from common.optimizers import OPTIMIZERS
from common.optimizers.bounding import bounded
from common.training.assembly import engine_settings
from common.training.checkpoint import load_checkpoint, save_checkpoint
from tests.support import (
    ONE_LAYER,
    TARGETS,
    assert_all_near,
    assert_identical,
    assert_near,
    build_engine,
    make_batch,
    plan_for,
    rows_of,
    tiny_spec,
)
from tests.tolerances import ACCUMULATION, MOMENT, UPDATE

#: settings of each, and what torch's class of them is made with
VARIANTS = {
    "adam": ({"beta2": 0.98, "epsilon": 1e-9}, "Adam", {"betas": (0.9, 0.98), "eps": 1e-9}),
    "adamw": ({}, "AdamW", {}),
    "sgd": ({}, "SGD", {}),
    "sgd, momentum": ({"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    "sgd, nesterov": (
        {"momentum": 0.8, "nesterov": True},
        "SGD",
        {"momentum": 0.8, "nesterov": True},
    ),
    "adadelta": ({"rho": 0.95}, "Adadelta", {"rho": 0.95, "eps": 1e-6}),
}
MAIN = ("adam", "sgd, momentum", "adadelta")  #: those whose state is of different kinds
RATES = {"adadelta": 1.0}  #: of whose steps others are too small beside the rounding of the parameters
RATE = 3e-3


def often(values, *main):
    """``values``, of which all but ``main`` are for the nightly run."""
    return [value if value in main else pytest.param(value, marks=pytest.mark.nightly) for value in values]


def wanted(variant):
    return {"optimizer": variant.partition(",")[0], **VARIANTS[variant][0]}


def tiny_engine(backend, variant, bias="all", **given):
    spec = tiny_spec("bert", **ONE_LAYER["bert"])
    return build_engine(backend, spec, plan_for(spec, TARGETS["bert"], bias=bias), **wanted(variant), **given)


def step_with(backend, engine, gradients, rate):
    """One update with these gradients; the norm that it reports."""
    make = __import__("torch").tensor if backend.__name__ == "pytorch_impl" else __import__("mindspore").Tensor
    norm = engine._optimizer.step(tuple(make(gradients[name]) for name in engine._optimizer.parameters), rate)
    return float(norm.item() if backend.__name__ == "pytorch_impl" else norm.asnumpy())


def drawn_gradients(generator, like):
    """Spanning eight decades, a row of the first always zero."""
    drawn = {
        name: (generator.normal(size=a.shape) * 10.0 ** generator.integers(-6, 2, a.shape)).astype(np.float32)
        for name, a in like.items()
    }
    next(iter(drawn.values()))[0] = 0.0
    return drawn


def test_every_optimizer_has_a_variant_here():
    assert {variant.partition(",")[0] for variant in VARIANTS} == set(OPTIMIZERS.names())


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("bound", [pytest.param(None, marks=pytest.mark.nightly), 0.5], ids=["unbounded", "clipped"])
@pytest.mark.parametrize("variant", often(VARIANTS, "adam", "sgd, nesterov", "adadelta"))
def test_twenty_steps_are_those_of_torchs_class(backend, variant, bound):
    """On given gradients, with decayed and other parameters, two learning rates, and clipping."""
    torch = pytest.importorskip("torch")
    engine = tiny_engine(backend, variant, weight_decay=0.1, max_grad_norm=bound, head_factor=5.0)
    generator, plan = np.random.default_rng(0), engine.plan
    rate = RATES.get(variant, RATE)
    start = engine.trainable()
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in start.items()}
    factors = plan.rates(5.0)
    groups = [
        {"params": [p], "weight_decay": 0.1 if name in plan.decayed else 0.0, "lr": rate * factors[name]}
        for name, p in theirs.items()
    ]
    assert len({(group["weight_decay"], group["lr"]) for group in groups}) == 4
    _, name, options = VARIANTS[variant]
    reference = getattr(torch.optim, name)(groups, **{"lr": rate, **options})
    for _ in range(20):
        gradients = drawn_gradients(generator, start)
        for name, parameter in theirs.items():
            parameter.grad = torch.from_numpy(gradients[name].copy())
        norm = torch.nn.utils.clip_grad_norm_(theirs.values(), bound or float("inf"))
        reference.step()
        assert step_with(backend, engine, gradients, rate) == pytest.approx(norm.item(), rel=1e-5)
    after = engine.trainable()
    assert_all_near(
        {name: after[name] - start[name] for name in start},
        {name: theirs[name].detach().numpy() - start[name] for name in start},
        UPDATE,
    )
    kept = {name for name in engine.state() if name != "step"}
    slots = OPTIMIZERS.get(engine.settings.optimization.optimizer).slots(engine.settings.optimization)
    assert kept == {f"{slot}.{name}" for slot in slots for name in start}
    for slot in slots:
        expected = {f"{slot}.{name}": reference.state[p][slot].numpy() for name, p in theirs.items()}
        assert_all_near({name: engine.state()[name] for name in expected}, expected, MOMENT)


@pytest.mark.parametrize("variant", ["adam", "adamw"])
def test_adams_corrections_are_those_of_float64(backend, variant):
    """1 - beta2^t of the second step has lost three digits where it is computed in float32."""
    engine = tiny_engine(backend, variant, weight_decay=0.0, max_grad_norm=None)
    options = engine.settings.optimization
    beta1, beta2 = options.beta1, options.beta2
    engine.load_trainable({name: np.zeros_like(array) for name, array in engine.trainable().items()})
    shapes = {name: array.shape for name, array in engine.trainable().items()}
    first, second, expected = 0.0, 0.0, 0.0
    for step, size in enumerate([1.0, 0.5, 3.0, 0.25, 2.0], start=1):
        step_with(backend, engine, {name: np.full(shape, size, np.float32) for name, shape in shapes.items()}, 1e-2)
        first, second = beta1 * first + (1 - beta1) * size, beta2 * second + (1 - beta2) * size**2
        corrected = first / (1 - beta1**step), np.sqrt(second / (1 - beta2**step))
        expected -= 1e-2 * corrected[0] / (corrected[1] + options.epsilon)
        for array in engine.trainable().values():
            np.testing.assert_allclose(array, expected, rtol=3e-7)


@pytest.mark.parametrize("variant", often(MAIN, "adadelta"))
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(backend, variant, tmp_path):
    batches = [[make_batch("bert", [6, 3], seed=2 * i), make_batch("bert", [9], seed=2 * i + 1)] for i in range(4)]
    given = {"weight_decay": 0.2, "max_norm": 0.5, "bounded": "classifier.weight"}
    whole, first, second = (tiny_engine(backend, variant, **given) for _ in range(3))
    for step in batches:
        whole.train_step(step, 1e-2)
    for step in batches[:2]:
        first.train_step(step, 1e-2)
    progress = {"step": 2, "evaluated_step": None, "seconds": 0.0, "log_lines": 0}
    progress["stopping"] = {"best": None, "best_step": None, "without_improvement": 0}
    save_checkpoint(tmp_path / "state.safetensors", first, progress)
    first.train_step(batches[0], 1.0)  # the first engine goes on; the file must not follow it
    assert load_checkpoint(tmp_path / "state.safetensors", second) == progress
    for step in batches[2:]:
        second.train_step(step, 1e-2)
    assert_identical(second.trainable(), whole.trainable())
    assert_identical(second.state(), whole.state())


@pytest.mark.parametrize("variant", often(MAIN, "sgd, momentum"))
def test_micro_batches_make_the_step_of_the_whole_batch(backend, variant):
    batch = make_batch("bert", [16, 15, 3, 5, 2])
    parts = [rows_of(batch, slice(0, 2)), rows_of(batch, slice(2, 5))]
    whole, split = (tiny_engine(backend, variant, bias="none") for _ in range(2))
    norms = [engine.fetch([engine.train_step(given, 1e-2)])[0] for engine, given in ((whole, [batch]), (split, parts))]
    assert_near(np.array(norms[1]), np.array(norms[0]), ACCUMULATION)
    kept = [engine.state() for engine in (split, whole)]
    assert kept[0]["step"] == kept[1]["step"] == 1
    assert_all_near(*({name: array for name, array in one.items() if name != "step"} for one in kept), MOMENT)


@pytest.mark.parametrize("bound", [0.3, pytest.param(1e3, marks=pytest.mark.nightly)], ids=["reached", "unreached"])
def test_after_a_step_no_row_of_the_output_is_longer_than_the_bound(backend, bound):
    """Rows that were longer have the bound's length and their direction; others are left as they are, to the bit."""
    free = tiny_engine(backend, "sgd")
    held = tiny_engine(backend, "sgd", max_norm=bound, bounded="classifier.weight")
    for engine in (free, held):
        engine.train_step([make_batch("bert", [9, 4, 7])], 0.5)
    plain, found = free.trainable(), held.trainable()
    weight, rows = found.pop("classifier.weight"), plain.pop("classifier.weight")
    assert_identical(found, plain)
    norms = np.linalg.norm(rows, axis=1)
    assert (norms > 0.3).any()
    assert (norms < 1e3).all()
    assert_near(weight, rows * np.minimum(1.0, bound / norms)[:, None], 1e-6)
    if bound > norms.max():
        assert weight.tobytes() == rows.tobytes()


@pytest.mark.needs_pytorch
def test_the_bound_is_torchs_renorm(backend):
    torch = pytest.importorskip("torch")
    free = tiny_engine(backend, "sgd")
    held = tiny_engine(backend, "sgd", max_norm=0.3, bounded="classifier.weight")
    for engine in (free, held):
        engine.train_step([make_batch("bert", [9, 4, 7])], 0.5)
    expected = torch.renorm(torch.from_numpy(free.trainable()["classifier.weight"]), 2, 0, 0.3)
    assert_near(held.trainable()["classifier.weight"], expected.numpy(), 1e-6)


def test_the_bounded_weight_is_the_output_of_the_head():
    for kind, name in (("bert", "classifier.weight"), ("gpt2-classifier", "score.weight")):
        spec = tiny_spec(kind)
        assert bounded(spec, plan_for(spec, TARGETS[kind])) == name
    language_model = tiny_spec("gpt2")  # its output is the embedding
    with pytest.raises(InputError, match="does not train"):
        bounded(language_model, plan_for(language_model, TARGETS["gpt2"]))


def test_settings_of_an_experiment_reach_the_engine():
    config = load_config("bert_sst2", ["optimization.optimizer=sgd", "optimization.momentum=0.9"])
    assert engine_settings(config).optimization == config.optimization
    assert config.optimization.momentum == 0.9
    assert not hasattr(config.optimization, "beta1")
    assert load_config("bert_sst2").optimization.beta1 == 0.9


REFUSED = {
    ("optimizer=sdg",): "must be one of adadelta, adam, adamw, sgd; received 'sdg'. Nearest: sgd",
    ("optimizer=sgd", "beta1=0.9"): "beta1 is unknown",
    ("momentum=0.9",): "momentum is unknown",
    ("optimizer=sgd", "nesterov=true"): "nesterov needs a momentum",
    ("optimizer=sgd", "momentum=1"): "momentum must be at least 0 and less than 1",
    ("optimizer=adadelta", "rho=1"): "rho must be at least 0 and less than 1",
    ("optimizer=adadelta", "epsilon=0"): "epsilon must be greater than 0",
    ("epsilon=0",): "epsilon must be greater than 0",
    ("max_norm=0",): "max_norm must be greater than 0",
    ("schedule=inverse_epochs",): "decay must be given",
    ("schedule=halving", "halve_after=5"): "halve_every must be given",
    ("decay=0.05",): "decay belongs to optimization.schedule: inverse_epochs",
    ("schedule=inverse_sqrt",): "warmup_ratio must be greater than 0 with optimization.schedule: inverse_sqrt",
}


@pytest.mark.parametrize("entries", REFUSED, ids=" ".join)
def test_what_does_not_fit_is_refused_with_the_rule(entries):
    nothing = ["optimization.warmup_steps=null", "optimization.warmup_ratio=null"]
    with pytest.raises(InputError) as caught:
        load_config("bert_sst2", [*nothing, *(f"optimization.{entry}" for entry in entries)])
    assert REFUSED[entries] in str(caught.value)


def test_another_optimizer_keeps_the_entries_that_all_have():
    config = load_config("gpt2_wikitext2", ["optimization.optimizer=adadelta"]).optimization
    before = load_config("gpt2_wikitext2").optimization
    assert before.beta2 == 0.95  # which the experiment's file gives
    assert (config.learning_rate, config.weight_decay) == (before.learning_rate, before.weight_decay)
    assert config.rho == 0.9


def test_memory_counts_what_the_optimizer_keeps():
    """Of one trained matrix of 400 bytes."""
    held, components = (
        Held({"layer.weight": 400}, frozenset({"layer.weight"}), {}),
        components_of(tiny_spec("bert"), []),
    )
    for variant in VARIANTS:
        options = optimization_options(**wanted(variant))
        slots = len(OPTIMIZERS.get(options.optimizer).slots(options))
        assert slots == {"sgd": 0, "sgd, momentum": 1, "sgd, nesterov": 1}.get(variant, 2)
        account = assemble(held, components, {}, slots)
        assert account.part("optimizer") == slots * 400
