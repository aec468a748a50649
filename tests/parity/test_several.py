"""Several adapters on one base model: switching, and batches of which every row has its own, as PEFT computes them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import twinlora
from common.errors import InputError
from common.methods.mixing import mixed_plan
from common.training.several import AdapterSet, open_set
from tests.support import assert_near, build_engine, make_batch, nonzero_values, plan_for, tiny_spec

pytestmark = pytest.mark.interpreted

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

WORDS = ["up", "down", "left", "right", "near", "far"]
TEXTS = ["up up left", "down far near", "right", "near far near far", "left"]
ANSWERS = ["no", "yes", "yes", "no", "no"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
ADAPTERS = {
    "first": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"], task_type="SEQ_CLS"),
    "second": lambda: peft.LoraConfig(r=2, lora_alpha=3, target_modules=["key", "output.dense"], task_type="SEQ_CLS"),
    "norms": lambda: peft.LNTuningConfig(target_modules=["LayerNorm"], task_type="SEQ_CLS"),
    "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS"),
    "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS"),
}


def base_model(path):
    return transformers.BertForSequenceClassification.from_pretrained(path / "base").eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base model with its tokenizer, and adapters of it that PEFT wrote."""
    path = tmp_path_factory.mktemp("several")
    (path / "base").mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (path / "base" / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    sizes = SIZES | {"vocab_size": len(vocabulary), "max_position_embeddings": 32}
    config = transformers.BertConfig(**sizes, num_labels=2, id2label={0: "no", 1: "yes"})
    transformers.BertForSequenceClassification(config).save_pretrained(path / "base")
    for name, config in ADAPTERS.items():
        model = peft.get_peft_model(base_model(path), config())
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, 0.0, 0.5)
        model.peft_config["default"].base_model_name_or_path = str(path / "base")
        model.save_pretrained(path / name)
    return SimpleNamespace(path=path, of={name: path / name for name in ADAPTERS})


def probabilities(model, texts, **given):
    tokenizer = transformers.BertTokenizer(str(given.pop("path") / "base" / "vocab.txt"))
    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return model(**inputs, **given).logits.softmax(-1).numpy()


def of_peft(folders, name, texts=TEXTS):
    model = peft.PeftModel.from_pretrained(base_model(folders.path), folders.of[name]).eval()
    return probabilities(model, texts, path=folders.path)


def answers(adapters, texts=TEXTS, **options):
    found = adapters.predict(texts, **options)
    return np.array([[answer["probabilities"][label] for label in ("no", "yes")] for answer in found])


backends = pytest.mark.parametrize("name", ["pytorch", pytest.param("mindspore", marks=pytest.mark.needs_mindspore)])


@pytest.mark.needs_pytorch
@backends
def test_each_adapter_gives_what_peft_computes_whatever_was_used_before(folders, name):
    chosen = ADAPTERS if name == "pytorch" else ("first", "norms", "prompt")  # graphs are compiled for each
    adapters = twinlora.open_adapters({key: folders.of[key] for key in chosen}, backend=name, device="cpu")
    assert adapters.active == "first"
    order = [*chosen, *reversed(list(chosen))] if name == "pytorch" else [*chosen, "first"]
    for key in order:
        adapters.set_adapter(key)
        assert_near(answers(adapters), of_peft(folders, key), 2e-5, what=key)


@pytest.mark.needs_pytorch
@backends
def test_rows_of_one_batch_have_their_own_adapters_and_heads(folders, name):
    adapters = twinlora.open_adapters({key: folders.of[key] for key in ("first", "second")}, name, "cpu")
    names = ["second", "first", None, "first", "second"]
    found = answers(adapters, adapter_names=names)
    model = peft.PeftModel.from_pretrained(base_model(folders.path), folders.of["first"], adapter_name="first")
    model.load_adapter(folders.of["second"], adapter_name="second")
    named = ["__base__" if given is None else given for given in names]
    expected = probabilities(model.eval(), TEXTS, path=folders.path, adapter_names=named)
    assert_near(found, expected, 2e-5)
    assert_near(answers(adapters), of_peft(folders, "first"), 2e-5)
    assert_near(answers(adapters, adapter_names=names), expected, 2e-5)


@pytest.mark.needs_pytorch
def test_what_cannot_be_in_one_batch_or_on_one_base_is_refused(folders, tmp_path):
    adapters = twinlora.open_adapters({key: folders.of[key] for key in ("first", "norms")}, "pytorch", "cpu")
    with pytest.raises(InputError, match="norms is of method ln_tuning"):
        adapters.predict(["up"], adapter_names=["first"])
    with pytest.raises(InputError, match="received 1 for 2"):
        adapters.predict(["up", "up"], adapter_names=["first"])
    with pytest.raises(InputError, match=r"no adapter 'frist'; there are first, norms\. Nearest"):
        adapters.set_adapter("frist")
    with pytest.raises(InputError, match="none was given"):
        open_set({})
    torch.manual_seed(1)
    config = transformers.BertConfig.from_pretrained(
        folders.path / "base", num_labels=3, id2label={0: "a", 1: "b", 2: "c"}
    )
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "vocab.txt").write_text((folders.path / "base" / "vocab.txt").read_text())
    other = transformers.BertForSequenceClassification(config)
    other.save_pretrained(tmp_path / "base")
    model = peft.get_peft_model(other, ADAPTERS["first"]())
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="share one base model, task and size of the head"):
        open_set({"first": folders.of["first"], "other": tmp_path / "other"})


@pytest.mark.parametrize("kind", ["gpt2", "gpt2-classifier"])
def test_slices_ranks_and_heads_are_mixed_as_each_would_compute_them(backend, kind):
    """Against one engine for each adapter, and the base model, row by row."""
    spec, batch = tiny_spec(kind), make_batch(kind, [7, 4, 12])
    plans = {
        "a": plan_for(spec, ("*.attn.c_attn[q,v]",)),
        "b": plan_for(spec, ("*.c_fc", "*.attn.c_attn"), rank=3, rank_stabilized=True),
    }
    arrays = {}
    for number, (name, plan) in enumerate(plans.items()):
        trained = {p.name: spec.arrays[p.name] + np.float32(0.1 + number) for p in plan.unfrozen}
        arrays[name] = nonzero_values(plan, seed=number) | trained

    def outputs(engine):
        if spec.head:
            return engine.eval_step(batch).outputs["logits"]
        return engine.logits_at(batch, batch["attention_mask"].sum(1).astype(np.int32) - 1)

    single = []
    for name, plan in plans.items():
        engine = build_engine(backend, spec, plan, arrays[name])
        engine.load_trainable(arrays[name])
        single.append(outputs(engine))
    base = plan_for(spec, (), bias="all")
    single.append(outputs(build_engine(backend, spec, base, {})))
    plan = mixed_plan(plans, arrays, spec)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    for rows in ([1, 0, 2], [0, 0, 1], [2, 2, 2]):
        backend.choose(engine.model, np.array(rows, np.int32))
        assert_near(outputs(engine), np.stack([single[n][row] for row, n in enumerate(rows)]), 1e-5, absolute=True)


@pytest.mark.needs_pytorch
def test_the_base_model_is_built_once(folders, monkeypatch):
    import pytorch_impl

    built = []
    real = pytorch_impl.build_model
    monkeypatch.setattr(pytorch_impl, "build_model", lambda *given: built.append(1) or real(*given))
    found = AdapterSet(open_set({key: folders.of[key] for key in ("first", "prompt", "second")}), "pytorch", "cpu")
    for key in ("first", "prompt", "second", "first"):
        found.set_adapter(key)
        found.engine()
    assert built == [1]


LORA = {"method": "lora", "rank": 2, "alpha": 4, "targets": ["query", "value"]}


def trained(folders, tmp_path, name, adaptation=LORA, **sections):
    """A run of one step on the base model of the folders."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in zip(TEXTS, ANSWERS, strict=True))
    )
    data = {"name": "files", "files": dict.fromkeys(("train", "validation", "test"), str(rows)), "max_length": 16}
    experiment = {
        "model": {"source": str(folders.path / "base"), "task": "sequence-classification"} | sections.pop("model", {}),
        "data": data | {"label_column": "label"} | sections.pop("data", {}),
        "adaptation": adaptation,
        "optimization": {"learning_rate": 0.05},
        "training": {"global_batch_size": 5, "max_steps": 1, "evaluate_every_steps": 1} | sections.pop("training", {}),
    }
    (tmp_path / f"{name}.yaml").write_text(json.dumps(experiment))
    return twinlora.train(tmp_path / f"{name}.yaml", "pytorch", device="cpu", output=tmp_path / "runs")


@pytest.mark.needs_pytorch
def test_switching_between_starts_gives_each_adapter_what_it_takes_off(folders, tmp_path):
    runs = {init: trained(folders, tmp_path, init, {**LORA, "init": init}) for init in ("kaiming", "pissa", "olora")}
    adapters = twinlora.open_adapters({init: run.path for init, run in runs.items()}, "pytorch", "cpu")
    for init in (*runs, *runs):
        adapters.set_adapter(init)
        assert adapters.predict(TEXTS) == runs[init].predict(TEXTS), init


@pytest.mark.needs_pytorch
def test_switching_between_number_formats_gives_what_each_run_gives(folders, tmp_path):
    runs = {dtype: trained(folders, tmp_path, dtype, training={"dtype": dtype}) for dtype in ("fp32", "bf16")}
    adapters = twinlora.open_adapters({dtype: run.path for dtype, run in runs.items()}, "pytorch", "cpu")
    for dtype in (*runs, *runs):
        adapters.set_adapter(dtype)
        assert adapters.predict(TEXTS) == runs[dtype].predict(TEXTS), dtype
    with pytest.raises(InputError, match=r"share training\.dtype"):
        adapters.predict(TEXTS, adapter_names=["fp32"] * len(TEXTS))


@pytest.mark.needs_pytorch
def test_adapters_of_networks_with_other_activations_are_refused(folders, tmp_path):
    gelu, dropout = trained(folders, tmp_path, "gelu"), trained(folders, tmp_path, "dropout", model={"dropout": 0.3})
    relu = trained(folders, tmp_path, "relu", model={"config": {"hidden_act": "relu"}})
    assert set(open_set({"gelu": gelu.path, "dropout": dropout.path})) == {"gelu", "dropout"}
    with pytest.raises(InputError, match=r"share one base model.*configuration"):
        open_set({"gelu": gelu.path, "relu": relu.path})


@pytest.mark.needs_pytorch
def test_rows_of_one_batch_are_never_cut_at_the_length_of_another_adapter(folders, tmp_path):
    runs = {str(length): trained(folders, tmp_path, f"of{length}", data={"max_length": length}) for length in (4, 16)}
    adapters = twinlora.open_adapters({name: run.path for name, run in runs.items()}, "pytorch", "cpu")
    for active in runs:
        adapters.set_adapter(active)
        short = adapters.predict(["up down", "left"], adapter_names=["4", "16"])
        assert short == [*runs["4"].predict(["up down"]), *runs["16"].predict(["left"])]
        with pytest.raises(InputError, match=r"share data\.max_length, where a text is longer.*4: 4"):
            adapters.predict(["up", "left left right right"], adapter_names=["4", "16"])


@pytest.mark.needs_pytorch
def test_no_texts_have_no_answers(folders):
    adapters = twinlora.open_adapters({key: folders.of[key] for key in ("first", "second")}, "pytorch", "cpu")
    assert adapters.predict([]) == adapters.predict([], adapter_names=[]) == []
