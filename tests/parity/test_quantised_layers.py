"""Layers of few bits in both backends: to the bit where integers decide, against the multiplied-out model, under
adapters, and in the files they are stored in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.errors import InputError
from common.files import ANY, load_arrays
from common.methods import METHODS
from common.methods.merge import merged_model
from common.models.checkpoint import save_pretrained
from common.models.layers import LAYERS
from common.models.loading import load_model_spec
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR, ModuleSpec
from common.models.structure import dense
from common.random import normal
from tests.parity.layers import run_layer
from tests.support import (
    KINDS,
    ONE_LAYER,
    TARGETS,
    assert_near,
    build_engine,
    make_batch,
    model_config,
    nonzero_values,
    plan_for,
    tiny_spec,
)
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, MERGED_ABS, STEP_LOSS

EMBEDDING_OF = {"bert": "*.word_embeddings", "gpt2": "wpe", "gpt2-classifier": "wte"}
CASES = {
    "int8": ("int8", {"activations": "none"}),
    "int4": ("int8", {"activations": "none", "bits": 4}),
    "int8-token": ("int8", {}),
    "nf4": ("nf4", {}),
    "nf4-single": ("nf4", {"double": False}),
}
SMOOTH = [case for case in CASES if "token" not in case]  #: without steps in what they compute of their input
EVERY = [
    pytest.param(case, kind, marks=() if index == number == 0 else pytest.mark.nightly)
    for index, case in enumerate(SMOOTH)
    for number, kind in enumerate(KINDS)
]


def changed(case, kind, table=True, **entries):
    name, options = CASES[case]
    member = TRANSFORMS.get(name)
    targets = ["all-linear", *([EMBEDDING_OF[kind]] if table and name != "nf4" else [])]  # its rows are no whole blocks
    given = read_options(member, {**options, "targets": targets})
    return transformed(tiny_spec(kind, **entries), member, given)[0]


def one_layer(case, kind, **entries):
    return changed(case, kind, **ONE_LAYER[KINDS[kind][0]], **entries)


def logits(engine, kind, lengths=(9, 4, 6)):
    batch = make_batch(kind, lengths)
    if KINDS[kind][1].endswith("classification"):
        return engine.eval_step(batch).outputs["logits"]
    return engine.logits_at(batch, np.array(lengths, np.int32) - 1)


def base_only(backend, spec):
    """An engine that computes ``spec`` and trains a bias."""
    plan = dataclasses.replace(plan_for(spec, (), "bitfit"), head=())
    return build_engine(backend, spec, plan, {})


# Layers alone


def layer_case(bits, activations, inputs, outputs, kind=LINEAR):
    layer = LAYERS.get("scaled_integers")
    module = ModuleSpec("layer", kind, inputs, outputs, bias=not kind.lookup)
    edit = layer.edit(module, layer.Arguments(bits, activations))
    from common.models.layers.scaled_integers import stored

    shape = kind.weight(module)
    values = stored(module, normal(1, "weight", shape, 0.5), edit.arguments, 0.03)
    if module.bias:
        values["layer.bias"] = normal(2, "bias", (outputs,), 0.5)
    return edit, values


def reference(edit, values, x):
    """y in int64 sums, and float32 where the layer has it."""
    from common.quantisation.integers import largest, packed, unpack

    codes = values["layer.codes"]
    codes = unpack(codes, edit.module.in_features) if packed(edit.arguments.bits) else codes
    if edit.arguments.activations == "tensor":
        scale = np.broadcast_to(values["layer.input_scale"], (len(x), 1))
        given = np.clip(np.rint(x / scale), -127, 127)
    else:
        scale = np.abs(x).max(1, keepdims=True) / np.float32(largest(8))
        scale = np.where(scale == 0, np.float32(1), scale)
        given = np.rint(x / scale)
    sums = given.astype(np.int64) @ codes.astype(np.int64).T
    return sums.astype(np.float32) * scale * values["layer.scale"] + values["layer.bias"]


@pytest.mark.parametrize("activations", ["token", "tensor"])
@pytest.mark.parametrize(("bits", "inputs", "outputs"), [(8, 48, 20), (4, 33, 20), (8, 2500, 7)])
def test_products_of_integers_are_exact_in_either_backend(backend, bits, inputs, outputs, activations):
    """Also of more columns than float32 adds without rounding, of a token of zeros, and of ties."""
    edit, values = layer_case(bits, activations, inputs, outputs)
    x = normal(3, "x", (9, inputs), 1.0)
    x[1] = 0.0
    x[2] = np.where(np.arange(inputs) % 2, 1.0, -1.0)  # with every product of one sign the sum is large
    x[3, :3] = 127.0, 0.5, 2.5
    found = run_layer(backend, edit, values, x)
    assert np.array_equal(found, reference(edit, values, x))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activations", ["token", "tensor", "none"])
@pytest.mark.parametrize("inputs", [48, pytest.param(2500, marks=pytest.mark.nightly)])
def test_an_input_that_is_not_finite_is_none_afterwards(backend, activations, inputs, value):
    edit, values = layer_case(8, activations, inputs, 7)
    x = normal(3, "x", (4, inputs), 1.0)
    x[2, 1] = value
    found = run_layer(backend, edit, values, x)
    assert not np.isfinite(found[2]).any()
    assert np.isfinite(found[[0, 1, 3]]).all()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", [EMBEDDING, TRANSPOSED_LINEAR, LINEAR])
def test_weights_are_the_same_bits_in_either_backend(backend, kind, bits):
    edit, values = layer_case(bits, "none", 30, 17, kind)
    weight = LAYERS.get("scaled_integers").dense(edit, values)
    x = np.array([[0, 29, 3, 29]], np.int32) if kind.lookup else np.eye(30, dtype=np.float32)
    found = run_layer(backend, edit, values, x)
    if kind.lookup:
        assert np.array_equal(found[0], weight[x[0]])
    else:
        rows = weight if kind.transposed else weight.T
        assert_near(found - values["layer.bias"], rows, 1e-6, absolute=True)


def normal_float_case(kind, inputs, outputs, double):
    from common.models.layers.normal_float import stored

    layer = LAYERS.get("normal_float")
    module = ModuleSpec("layer", kind, inputs, outputs, bias=not kind.lookup)
    edit = layer.edit(module, layer.Arguments(double))
    values = stored(module, normal(1, "weight", kind.weight(module), 0.5), edit.arguments)
    if module.bias:
        values["layer.bias"] = np.zeros(outputs, np.float32)
    return edit, values


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(
    ("kind", "inputs", "outputs"), [(LINEAR, 33, 7), (TRANSPOSED_LINEAR, 64, 40), (EMBEDDING, 300, 128)]
)
def test_nf4_is_the_same_bits_in_either_backend(backend, kind, inputs, outputs, double):
    edit, values = normal_float_case(kind, inputs, outputs, double)
    weight = LAYERS.get("normal_float").dense(edit, values).astype(np.float32)
    x = np.array([[0, inputs - 1, 3, 3]], np.int32) if kind.lookup else np.eye(inputs, dtype=np.float32)
    found = run_layer(backend, edit, values, x)
    expected = weight[x] if kind.lookup else (weight if kind.transposed else weight.T)
    assert np.array_equal(found, expected)  # a product with the identity adds zeros


# Models


@pytest.mark.parametrize(("case", "kind"), EVERY)
def test_the_model_computes_what_its_multiplied_out_weights_compute(backend, case, kind):
    spec = changed(case, kind)
    ours, theirs = (logits(base_only(backend, s), kind) for s in (spec, dense(spec)))
    assert_near(ours, theirs, BERT_LOGITS_ABS, absolute=True)
    original = logits(base_only(backend, tiny_spec(kind)), kind)
    assert np.abs(original - ours).max() > 1e-3  # the rounding is seen


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k == "bert" else pytest.mark.nightly) for k in KINDS])
def test_quantised_activations_move_the_outputs_by_little(backend, kind):
    ours, theirs = (logits(base_only(backend, s), kind) for s in (changed("int8-token", kind), tiny_spec(kind)))
    assert 0 < np.abs(ours - theirs).max() <= 0.1 * np.abs(theirs).max()


@pytest.mark.parametrize(
    "compile_", [False, pytest.param(True, marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]
)
@pytest.mark.parametrize("case", [pytest.param("int8", marks=pytest.mark.nightly), "nf4"])
def test_gradients_of_an_adapter_are_those_over_the_multiplied_out_weights(backend, case, compile_):
    spec = one_layer(case, "bert")
    batch = [make_batch("bert", [7, 3, 5])]
    if compile_ and backend.__name__ != "mindspore_impl":
        pytest.skip("graphs are MindSpore's")
    found = []
    for given in (spec, dense(spec)):
        plan = plan_for(given, [*TARGETS["bert"], EMBEDDING_OF["bert"]], bias="all")
        found.append(build_engine(backend, given, plan, compile=compile_).gradients(batch))
    largest = max(np.abs(gradient).max() for gradient in found[1].values())
    for name, expected in found[1].items():
        assert np.abs(found[0][name] - expected).max() <= GRADIENT * max(np.abs(expected).max(), 1e-3 * largest), name


def test_the_gradient_passes_the_rounding_of_activations(backend):
    """dL/dx = dL/dy W: that of the layer without the rounding, at the outputs of the layer with it."""
    edit, values = layer_case(8, "token", 48, 20)
    x, g = normal(3, "x", (5, 48), 1.0), normal(4, "g", (5, 20), 1.0)
    found = run_layer(backend, edit, values, x, g)
    expected = g.astype(np.float64) @ LAYERS.get("scaled_integers").dense(edit, values)
    assert_near(found, expected, GRADIENT)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("nf4", "bert"),
        *(
            pytest.param(*both, marks=pytest.mark.nightly)
            for both in (("int8", "bert"), ("int4", "gpt2"), ("nf4", "gpt2"))
        ),
    ],
)
def test_both_backends_agree_in_the_losses_of_20_steps_of_an_adapter(case, kind):
    spec = one_layer(case, kind)
    plan = plan_for(spec, TARGETS[kind])
    batches = [[make_batch(kind, [7, 3, 5, 6], seed=seed)] for seed in range(4)]
    losses = []
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan)
        losses.append(engine.fetch([engine.train_step(batches[step % 4], 1e-2) for step in range(20)]))
    theirs, ours = (np.array(found)[:, 0] for found in losses)
    assert np.abs(ours - theirs).max() <= STEP_LOSS * theirs.max()
    assert theirs[-4:].mean() < theirs[:4].mean()


# Methods on a frozen base


@pytest.mark.nightly
def test_every_method_works_on_a_base_of_few_bits_or_is_refused(backend):
    """Losses fall, and nothing of the base moves; what needs a weight says so."""
    spec = one_layer("nf4", "bert")
    batch = [make_batch("bert", [7, 3, 5])]
    worked, refused = set(), {}
    for method in METHODS:
        if not method.suits(spec.modules):
            continue
        options = method.example(TARGETS["bert"])
        try:
            plan = method.plan(options, spec)
        except InputError as error:
            refused[method.name] = str(error)
            continue
        engine = build_engine(backend, spec, plan)
        frozen = {name: array.copy() for name, array in engine.frozen()}
        losses = engine.fetch([engine.train_step(batch, 1e-2) for _ in range(6)])
        assert losses[-1][0] < losses[0][0], method.name
        assert all(np.array_equal(array, frozen[name]) for name, array in engine.frozen())
        worked.add(method.name)
    assert {"lora", "adalora", "vera", "ia3", "bitfit", "ln_tuning", "bottleneck", "prefix", "prompt"} <= worked
    assert set(refused) == {"full", "dora", "qat", "diffq"}
    assert "have no gradient" in refused["full"]
    assert "weight" in refused["dora"]


@pytest.mark.parametrize("case", [pytest.param("int8", marks=pytest.mark.nightly), "nf4"])
def test_merging_an_adapter_gives_a_plain_weight_in_its_place(backend, case):
    spec = one_layer(case, "bert")
    plan = plan_for(spec, TARGETS["bert"])
    engine = build_engine(backend, spec, plan)
    trained = {**nonzero_values(plan), **{p.name: spec.arrays[p.name] + 1 for p in plan.unfrozen}}
    engine.load_trainable({name: trained[name] for name in plan.shapes()})
    merged, errors = merged_model(plan, spec, trained)
    assert set(errors) == {edit.path for edit in plan.edits}
    assert max(errors.values()) < 1e-7
    left = {edit.path for edit in spec.edits} - {edit.path for edit in plan.edits}
    assert {edit.path for edit in merged.edits} == left
    adapted = logits(engine, "bert")
    for form in (merged, dense(merged)):
        found = logits(base_only(backend, form), "bert")
        assert_near(found, adapted, MERGED_ABS * max(1.0, np.abs(adapted).max()), absolute=True)


# Files


@pytest.mark.parametrize(("case", "share"), [("int8", 0.27), ("int4", 0.15), ("nf4", 0.15)])
def test_a_folder_holds_the_integers_and_gives_them_back(tmp_path, case, share):
    spec = changed(case, "bert", hidden_size=128, intermediate_size=256)
    save_pretrained(tmp_path, spec, spec.arrays)
    held, _ = load_arrays(tmp_path / "model.safetensors", ANY)
    assert {name: held[name].dtype for name in spec.integers()} == spec.integers()
    before = sum(4 * edit.module.in_features * edit.module.out_features for edit in spec.edits)
    own = {name for edit in spec.edits for name in edit.shapes() if not name.endswith(".bias")}
    assert sum(held[name].nbytes for name in own) <= share * before
    assert sum(array.nbytes for array in held.values()) == spec.bytes()
    again = load_model_spec(model_config("bert", str(tmp_path)), ("class0", "class1", "class2"), 60, 0, 0)
    assert again.edits == spec.edits
    assert {name: array.tobytes() for name, array in again.arrays.items()} == {
        name: array.tobytes() for name, array in spec.arrays.items()
    }


def test_other_numbers_in_the_place_of_integers_are_refused(tmp_path):
    spec = changed("int8", "bert")
    name = next(iter(spec.integers()))
    for wrong in (spec.arrays[name].astype(np.float32), spec.arrays[name].astype(np.int32)):
        with pytest.raises(InputError, match=r"codes"):
            save_and_load(tmp_path / str(wrong.dtype), spec, {**spec.arrays, name: wrong})


def save_and_load(folder, spec, arrays):
    from common.files import save_arrays, write_json
    from common.models.structure import entries

    folder.mkdir()
    save_arrays(folder / "model.safetensors", arrays)
    write_json(folder / "config.json", {**spec.config, **entries(spec)})
    return load_model_spec(model_config("bert", str(folder)), ("class0", "class1", "class2"), 60, 0, 0)
