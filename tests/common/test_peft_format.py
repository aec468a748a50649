"""The adapter files against PEFT itself: what we write it computes, what it writes we read."""

from __future__ import annotations

import copy
import json
from collections import Counter

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.edits import ParameterSpec
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.methods import METHODS
from common.methods.lora import LoraArguments, edit_of
from common.methods.peft.lora import LoraFormat
from common.methods.plan import Plan
from common.models.modules import EMBEDDING, LAYER_NORM, LINEAR, TRANSPOSED_LINEAR
from common.models.specs import ModelSpec, ModuleSpec
from tests.support import lora_edit, unfrozen

WIDTH = 8
QV = (("q", 0, WIDTH), ("v", 2 * WIDTH, 3 * WIDTH))
OF_HEADS = (("q", 0, 4), ("v", 8, 12), ("q", 12, 16), ("v", 20, 24))  # each slice several ranges of outputs
C_ATTN = "transformer.h.{}.attn.c_attn"
QUERY, VALUE = "bert.encoder.layer.{}.attention.self.query", "bert.encoder.layer.{}.attention.self.value"


def make_model(name: str, layers: int = 2):
    """A tiny random float64 transformers model: ``bert``, ``gpt2`` (language model) or ``gpt2-classifier``."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if name == "bert":
        config = transformers.BertConfig(
            vocab_size=20,
            hidden_size=WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=16,
            num_labels=3,
            initializer_range=0.3,
        )
        return transformers.BertForSequenceClassification(config).double().eval()
    config = transformers.GPT2Config(
        vocab_size=20,
        n_embd=WIDTH,
        n_layer=layers,
        n_head=2,
        n_positions=16,
        num_labels=3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        initializer_range=0.3,
    )
    build = transformers.GPT2LMHeadModel if name == "gpt2" else transformers.GPT2ForSequenceClassification
    return build(config).double().eval()


def describe(model) -> ModelSpec:
    """The model's specification, read off its modules."""
    modules = []
    for path, module in model.named_modules():
        kind = {"Linear": LINEAR, "Conv1D": TRANSPOSED_LINEAR, "Embedding": EMBEDDING, "LayerNorm": LAYER_NORM}.get(
            type(module).__name__
        )
        if kind:
            shape = tuple(module.weight.shape)
            inside, outside = (shape[1], shape[0]) if kind is LINEAR else (shape[0], shape[-1])
            tied = "transformer.wte" if path == "lm_head" else None
            modules.append(
                ModuleSpec(path, kind, inside, outside, bias=getattr(module, "bias", None) is not None, tied_to=tied)
            )
    head = tuple(module.path for module in modules if module.path in ("classifier", "score"))
    arrays = {name: parameter.detach().float().numpy() for name, parameter in model.named_parameters()}
    task = "sequence-classification" if head else "language-modeling"
    return ModelSpec(
        model.config.model_type,
        task,
        model.config.to_dict(),
        tuple(modules),
        head,
        arrays,
        fingerprint="a" * 64,
        source="python:package/model",
    )


def make_plan(spec: ModelSpec, targets: dict[str, LoraArguments], bias: str = "none", method: str = "lora") -> Plan:
    """LoRA on the modules ``targets``, with the head and the biases that ``bias`` names."""
    modules = {module.path: module for module in spec.modules}
    steps = tuple(edit_of(modules[path], given) for path, given in targets.items())
    biased = {"none": (), "lora_only": tuple(targets), "all": tuple(modules)}[bias]
    names = {f"{path}.bias" for path in biased if modules[path].bias} | {
        name for path in spec.head for name in modules[path].shapes()
    }
    shapes = {name: shape for module in spec.modules for name, shape in module.shapes().items()}
    unfrozen = tuple(ParameterSpec(name, shapes[name], "base") for name in shapes if name in names)
    kept = METHODS.get(method).artifact
    options = METHODS.get(method).Options(method, **({"bias": bias} if method == "lora" else {}))
    return Plan(method, steps, unfrozen, spec.head, kept, options)


def random_arrays(plan: Plan, seed: int = 0) -> dict[str, np.ndarray]:
    """No zeros anywhere: an update that PEFT ignored would be seen."""
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in plan.shapes().items()}


def logits(model) -> np.ndarray:
    import torch

    ids = torch.tensor([[2, 3, 4, 5, 6], [7, 8, 9, 10, 11]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()


def merged_logits(model, plan: Plan, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Logits of a copy whose weights hold the update, computed here in float64 slice by slice."""
    import torch

    model = copy.deepcopy(model)
    if hasattr(model, "lm_head"):
        model.lm_head.weight = torch.nn.Parameter(
            model.lm_head.weight.clone()
        )  # LoRA of the embedding does not reach the tied head
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name in unfrozen(plan):
            parameters[name].copy_(torch.from_numpy(arrays[name]))
        for step in plan.edits:
            down, up = (arrays[name].astype(np.float64) for name in step.shapes())
            delta, rank, row = np.zeros((step.module.out_features, step.module.in_features)), step.arguments.rank, 0
            for index, features in enumerate(step.arguments.parts):
                delta[features] = (
                    step.arguments.scaling * up[row : row + len(features)] @ down[index * rank : (index + 1) * rank]
                )
                row += len(features)
            parameters[f"{step.path}.weight"] += torch.from_numpy(delta if step.module.kind is LINEAR else delta.T)
    return logits(model)


def arguments(rank: int = 2, alpha: float = 3.0, **rest) -> LoraArguments:
    return LoraArguments(rank, alpha, **rest)


CASES = {
    "bert query and value": ("bert", {QUERY.format(0): arguments(), VALUE.format(1): arguments()}, "none"),
    "bert all biases": ("bert", {QUERY.format(0): arguments()}, "all"),
    "bert biases of the adapted": ("bert", {QUERY.format(0): arguments(), VALUE.format(0): arguments()}, "lora_only"),
    "bert rank-stabilised": (
        "bert",
        {QUERY.format(0): arguments(rank=4, rank_stabilized=True), VALUE.format(0): arguments(rank_stabilized=True)},
        "none",
    ),
    "bert own ranks and alphas": (
        "bert",
        {
            QUERY.format(0): arguments(),
            QUERY.format(1): arguments(),
            VALUE.format(0): arguments(4, 5),
            VALUE.format(1): arguments(2, 7.5),
        },
        "none",
    ),
    "gpt2 whole c_attn": ("gpt2", {C_ATTN.format(0): arguments(), C_ATTN.format(1): arguments()}, "none"),
    "gpt2 fused q,v": (
        "gpt2",
        {C_ATTN.format(0): arguments(slices=QV), C_ATTN.format(1): arguments(slices=QV)},
        "none",
    ),
    "gpt2 fused q,v with biases": ("gpt2", {C_ATTN.format(0): arguments(slices=QV)}, "lora_only"),
    "gpt2 fused slices of several ranges": ("gpt2", {C_ATTN.format(0): arguments(slices=OF_HEADS)}, "none"),
    "gpt2 fused v alone": ("gpt2", {C_ATTN.format(1): arguments(slices=QV[1:])}, "none"),
    "gpt2 fused q,v rank-stabilised": ("gpt2", {C_ATTN.format(0): arguments(slices=QV, rank_stabilized=True)}, "none"),
    "gpt2 mixed": (
        "gpt2",
        {
            C_ATTN.format(0): arguments(slices=QV),
            "transformer.h.0.mlp.c_fc": arguments(3, 4),
            "transformer.wte": arguments(4, 2),
        },
        "all",
    ),
    "gpt2 embedding": ("gpt2", {"transformer.wte": arguments()}, "none"),
    "gpt2 classifier": ("gpt2-classifier", {C_ATTN.format(0): arguments(slices=QV)}, "all"),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    name, targets, bias = request.param
    model = make_model(name)
    spec = describe(model)
    return model, spec, make_plan(spec, targets, bias)


def load_in_peft(model, folder):
    peft = pytest.importorskip("peft")
    return peft.PeftModel.from_pretrained(copy.deepcopy(model), folder, autocast_adapter_dtype=False).double().eval()


def test_peft_computes_the_merged_model_from_our_file(case, tmp_path):
    model, spec, plan = case
    arrays = random_arrays(plan)
    save_adapter(tmp_path, plan, spec, arrays, {})
    expected = merged_logits(model, plan, arrays)
    received = logits(load_in_peft(model, tmp_path))
    assert np.abs(expected - logits(model)).max() > 1e-2
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-10)


def test_ours_to_peft_to_ours_keeps_every_bit(case, tmp_path):
    model, spec, plan = case
    arrays = random_arrays(plan)
    save_adapter(tmp_path / "ours", plan, spec, arrays, {})
    load_in_peft(model, tmp_path / "ours").save_pretrained(tmp_path / "peft")
    returned = load_adapter(tmp_path / "peft", plan, spec)
    assert list(returned) == list(plan.shapes())
    for name, array in arrays.items():
        assert returned[name].dtype == np.float32
        np.testing.assert_array_equal(returned[name], array, err_msg=name)


def test_peft_to_ours_to_peft_keeps_the_logits(tmp_path):
    peft = pytest.importorskip("peft")
    import torch

    model = make_model("bert")
    spec = describe(model)
    config = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=2,
        lora_alpha=3,
        target_modules=r".*\.(query|value)",
        rank_pattern={"layer.0.*query": 4},
        lora_dropout=0.1,
    )
    theirs = peft.get_peft_model(copy.deepcopy(model), config, autocast_adapter_dtype=False).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter, dtype=torch.float32))
    theirs.save_pretrained(tmp_path / "peft")
    targets = {
        QUERY.format(0): arguments(4),
        QUERY.format(1): arguments(),
        VALUE.format(0): arguments(),
        VALUE.format(1): arguments(),
    }
    plan = make_plan(spec, targets)
    arrays = load_adapter(tmp_path / "peft", plan, spec)
    save_adapter(tmp_path / "ours", plan, spec, arrays, {})
    expected = logits(theirs)
    assert np.abs(expected - logits(model)).max() > 1e-2
    np.testing.assert_allclose(
        logits(load_in_peft(model, tmp_path / "ours")), expected, rtol=0, atol=1e-5
    )  # the head was rounded to float32


@pytest.mark.parametrize("layers", [2, 12])
def test_peft_adapts_exactly_the_planned_modules(tmp_path, layers):
    pytest.importorskip("peft")
    model = make_model("bert", layers)
    spec = describe(model)
    planned = {path.format(layer) for path in (QUERY, VALUE) for layer in range(1, layers)}
    plan = make_plan(spec, {path: arguments() for path in sorted(planned)})
    save_adapter(tmp_path, plan, spec, random_arrays(plan), {})
    adapted = {
        name.removeprefix("base_model.model.")
        for name, module in load_in_peft(model, tmp_path).named_modules()
        if hasattr(module, "lora_A")
    }
    assert adapted == planned


def test_peft_does_not_adapt_a_module_whose_path_ends_like_a_planned_one(tmp_path):
    pytest.importorskip("peft")
    import torch

    class Nested(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.ModuleDict({"outer": torch.nn.ModuleDict({"query": torch.nn.Linear(4, 4)})})
            self.outer = torch.nn.ModuleDict({"query": torch.nn.Linear(4, 4)})

    modules = tuple(ModuleSpec(path, LINEAR, 4, 4) for path in ("inner.outer.query", "outer.query"))
    spec = ModelSpec("any", "language-modeling", {}, modules, (), {})
    plan = make_plan(spec, {"outer.query": arguments()})
    save_adapter(tmp_path, plan, spec, random_arrays(plan), {})
    config, _, _ = read_adapter(tmp_path)
    from peft import LoraConfig, inject_adapter_in_model

    config.pop("task_type")
    adapted = [
        name
        for name, module in inject_adapter_in_model(LoraConfig(**config), Nested()).named_modules()
        if hasattr(module, "lora_A")
    ]
    assert adapted == ["outer.query"]


def test_peft_loads_a_trained_head_without_lora(tmp_path):
    model = make_model("bert")
    spec = describe(model)
    plan = make_plan(spec, {}, method="head")
    arrays = random_arrays(plan)
    save_adapter(tmp_path, plan, spec, arrays, {})
    np.testing.assert_allclose(
        logits(load_in_peft(model, tmp_path)), merged_logits(model, plan, arrays), rtol=0, atol=1e-10
    )
    assert load_adapter(tmp_path, plan, spec).keys() == arrays.keys()


@pytest.fixture
def bert(tmp_path):
    """A saved adapter: (folder, spec, plan, arrays)."""
    spec = describe(make_model("bert"))
    plan = make_plan(spec, {QUERY.format(0): arguments(), VALUE.format(0): arguments()})
    arrays = random_arrays(plan)
    save_adapter(
        tmp_path / "adapter",
        plan,
        spec,
        arrays,
        {"seed": "42", "backend": "pytorch", "torch": "2.13.0", "numpy": "1.26.4"},
    )
    return tmp_path / "adapter", spec, plan, arrays


def edit_config(folder, **entries):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_equal_arrays_give_byte_equal_files(bert, tmp_path):
    _, spec, plan, arrays = bert
    for attempt in range(8):
        metadata = {"numpy": "1.26.4", "torch": "2.13.0", "backend": "pytorch", "seed": "42"}
        save_adapter(tmp_path / f"again{attempt}", plan, spec, dict(reversed(arrays.items())), metadata)
    contents = Counter(path.read_bytes() for path in tmp_path.glob("*/adapter_*"))
    assert sorted(contents.values()) == [9, 9]


def test_config_holds_only_entries_that_differ_from_pefts_defaults(bert):
    config, _, extras = read_adapter(bert[0])
    assert set(config) == {
        "peft_type",
        "task_type",
        "r",
        "lora_alpha",
        "target_modules",
        "modules_to_save",
        "base_model_name_or_path",
    }
    assert extras == {
        "seed": "42",
        "backend": "pytorch",
        "torch": "2.13.0",
        "numpy": "1.26.4",
        "base_fingerprint": "a" * 64,
    }


def test_fused_slices_are_placed_as_blocks():
    arguments = LoraArguments(1, 5.0, slices=(("q", 0, 2), ("v", 4, 6)))
    edit = lora_edit("c", "transposed_linear", 2, 6, arguments)
    arrays = {"c.lora_A": np.float32([[1, 2], [3, 4]]), "c.lora_B": np.float32([[5], [6], [7], [8]])}
    exported = LoraFormat().export(edit, arrays)
    np.testing.assert_array_equal(exported["c.lora_A.weight"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(exported["c.lora_B.weight"], [[5, 0], [6, 0], [0, 0], [0, 0], [0, 7], [0, 8]])


def test_every_key_problem_is_listed_at_once(bert):
    folder, spec, plan, _ = bert
    tensors, metadata = load_arrays(folder / "adapter_model.safetensors")
    lost, key = sorted(name for name in tensors if "lora_A" in name)
    del tensors[lost]
    tensors[key] = tensors[key][:1]
    tensors["base_model.model.stray"] = np.zeros(1, np.float32)
    save_arrays(folder / "adapter_model.safetensors", tensors, metadata)
    with pytest.raises(InputError) as caught:
        load_adapter(folder, plan, spec)
    for expected in (f"{lost}: missing", "base_model.model.stray: unexpected", f"{key}: shape (1, 8), expected (2, 8)"):
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"invented_later": 1}, "invented_later"),
        ({"init_lora_weights": "pissa"}, "which adaptation.init must be"),
        ({"init_lora_weights": "pissa_niter_4"}, "'pissa_niter_4' may start from a changed base model"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"r": 4}, "rank 4"),
        ({"lora_alpha": 6}, "scale 3,"),
        ({"use_rslora": True}, "scale 2.12"),
        ({"alpha_pattern": {"query": 1}}, "scale 0.5"),
        ({"r": "two"}, "'two'"),
        ({"rank_pattern": {"(": 2}}, "regular expressions"),
        ({"rank_pattern": [2]}, "rank_pattern must be an object; received a list"),
        ({"peft_type": "ADALORA", "init_r": "12"}, "init_r must be a number or null; received text, '12'"),
        ({"peft_type": "ADALORA", "target_r": [8]}, "target_r must be a number or null; received a list"),
        ({"twinlora_method": "bottleneck", "options": "size"}, "options must be an object; received text, 'size'"),
    ],
)
def test_settings_that_would_change_the_mathematics_are_refused(bert, entries, message):
    folder, spec, plan, _ = bert
    edit_config(folder, **entries)
    with pytest.raises(InputError, match=r"adapter") as caught:
        load_adapter(folder, plan, spec)
    assert message in str(caught.value)


def test_an_adapter_of_another_base_model_is_refused(bert):
    folder, spec, plan, _ = bert
    import dataclasses

    with pytest.raises(InputError, match="another base model"):
        load_adapter(folder, plan, dataclasses.replace(spec, fingerprint="b" * 64))


@pytest.mark.parametrize(
    ("written", "source", "refused"),
    [
        ("bert-base-cased", "bert-base-uncased", True),
        ("google/Bert", "google/bert", False),
        ("/home/somebody/bert", "bert-base-uncased", False),
        (None, "bert-base-uncased", False),
    ],
)
def test_without_a_fingerprint_the_names_of_the_bases_are_compared_and_it_is_said(
    bert, written, source, refused, capsys
):
    folder, spec, plan, _ = bert
    import dataclasses

    tensors, _ = load_arrays(folder / "adapter_model.safetensors")
    save_arrays(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    edit_config(folder, base_model_name_or_path=written)
    model = dataclasses.replace(spec, source=source)
    if refused:
        with pytest.raises(InputError, match=f"base model {written}, the model at hand is {source}"):
            load_adapter(folder, plan, model)
        return
    load_adapter(folder, plan, model)
    assert "names alone can be compared" in capsys.readouterr().err


def test_an_update_outside_the_slices_is_refused(tmp_path):
    spec = describe(make_model("gpt2"))
    whole = make_plan(spec, {C_ATTN.format(0): arguments(rank=4, alpha=6)})
    save_adapter(tmp_path, whole, spec, random_arrays(whole), {})
    with pytest.raises(
        InputError, match=r"Target the whole projection instead: 'transformer.h.0.attn.c_attn' with rank 4 and alpha 6"
    ):
        load_adapter(tmp_path, make_plan(spec, {C_ATTN.format(0): arguments(rank=2, alpha=3, slices=QV)}), spec)


def test_half_precision_adapters_are_widened(bert):
    folder, spec, plan, arrays = bert
    tensors, metadata = load_arrays(folder / "adapter_model.safetensors")
    save_arrays(
        folder / "adapter_model.safetensors",
        {name: array.astype(np.float16) for name, array in tensors.items()},
        metadata,
    )
    returned = load_adapter(folder, plan, spec)
    assert {array.dtype for array in returned.values()} == {np.dtype(np.float32)}
    for name, array in arrays.items():
        np.testing.assert_allclose(returned[name], array, rtol=1e-3)


def test_arrays_that_are_not_the_plans_are_refused_and_nothing_is_written(bert, tmp_path):
    _, spec, plan, arrays = bert
    short = dict(arrays)
    name, last = short.popitem()
    with pytest.raises(InputError, match="missing"):
        save_adapter(tmp_path / "new", plan, spec, short, {})
    with pytest.raises(InputError, match="NaN"):
        save_adapter(tmp_path / "new", plan, spec, short | {name: last * np.nan}, {})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("adapter_config.json", "{"), ("adapter_config.json", "[]"), ("adapter_model.safetensors", "no")],
)
def test_damaged_files_are_input_errors(bert, name, content):
    (bert[0] / name).write_text(content)
    with pytest.raises(InputError, match=name):
        read_adapter(bert[0])


def test_a_missing_folder_or_weights_file_is_an_input_error(bert, tmp_path):
    with pytest.raises(InputError, match=r"has no adapter_config\.json"):
        read_adapter(tmp_path / "nowhere")
    (bert[0] / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
        read_adapter(bert[0])
