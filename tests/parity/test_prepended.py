"""Methods that put virtual tokens before a sequence: counts, both backends, files, and PEFT's own models."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import save as save_adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_model
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import KINDS, VOCABULARY, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, GPT2_LOGITS_ABS, GRADIENT, STEP_LOSS

TOKENS, HIDDEN = 4, 5
CASES = {
    "prompt": {},
    "p_tuning-mlp": {"hidden": HIDDEN},
    "p_tuning-lstm": {"hidden": HIDDEN, "encoder": "lstm"},
    "prefix": {},
    "prefix-projection": {"projection": True, "hidden": HIDDEN},
}
nightly = pytest.mark.nightly
each = pytest.mark.parametrize("name", CASES)
some = pytest.mark.parametrize("name", ["prompt", "p_tuning-lstm", "prefix"])
every = pytest.mark.parametrize("kind", ["bert", "gpt2", pytest.param("gpt2-classifier", marks=nightly)])
OTHERS = {
    "roberta": ("roberta", "sequence-classification"),
    "electra": ("electra", "sequence-classification"),  # whose table is narrower than keys and values
    "token": ("bert", "token-classification"),
    "regression": ("bert", "regression"),
}


def planned(name, spec, tokens=TOKENS, **options):
    method = METHODS.get(name.partition("-")[0])
    return method.plan(method.Options(method.name, tokens=tokens, **{**CASES[name], **options}), spec)


def spec_of(kind, dropout=0.0):
    """A small model of ``KINDS`` or ``OTHERS``."""
    if kind in KINDS:
        return tiny_spec(kind, dropout=dropout)
    family, task = OTHERS[kind]
    entries = {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3, **FAMILIES.get(family).tiny()}
    labels = TASKS.get(task).example_labels()
    return load_model_spec(
        ModelConfig(None, task, None, dropout, entries), labels, VOCABULARY, int(family == "roberta"), 0
    )


def batch_of(kind, spec, lengths=(7, 4, 12)):
    if kind in KINDS:
        return make_batch(kind, list(lengths))
    batch = example_batch(spec, list(lengths), f"prepended|{kind}")
    ids = batch["input_ids"]
    inside = (ids == spec.config["pad_token_id"]) & (batch["attention_mask"] == 1)
    return {**batch, "input_ids": np.where(inside, 2, ids).astype(np.int32)}


def outputs(engine, batch):
    """Logits of the head, or next-token logits at each row's last real position."""
    if engine.plan.head:
        found = engine.eval_step(batch).outputs
        return found["logits"] if "logits" in found else found["predictions"]
    return engine.logits_at(batch, batch["attention_mask"].sum(1).astype(np.int32) - 1)


def trained_engine(backend, name, kind, steps=2, **options):
    spec = spec_of(kind)
    plan, batch = planned(name, spec, **options), batch_of(kind, spec)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    for _ in range(steps):
        engine.train_step([batch], 3e-2)
    return spec, plan, engine, batch


@each
def test_what_is_trained_is_counted_before_anything_is_built(name):
    spec = spec_of("bert")
    width, layers = spec.config["hidden_size"], spec.config["num_hidden_layers"]
    one = 4 * HIDDEN * (width + HIDDEN + 2) + 4 * HIDDEN * (2 * HIDDEN + HIDDEN + 2)
    counts = {
        "prompt": TOKENS * width,
        "p_tuning-mlp": TOKENS * width + HIDDEN * (width + 1) + HIDDEN * (HIDDEN + 1) + width * (HIDDEN + 1),
        "p_tuning-lstm": TOKENS * width + 2 * one + 2 * HIDDEN * (2 * HIDDEN + 1) + width * (2 * HIDDEN + 1),
        "prefix": TOKENS * 2 * layers * width,
        "prefix-projection": TOKENS * width + HIDDEN * (width + 1) + 2 * layers * width * (HIDDEN + 1),
    }
    plan = planned(name, spec)
    assert plan.prepended == TOKENS
    assert plan.counts()["total"] - plan.counts()["head"] == counts[name]
    assert set(plan.initial_values(0)) == {p.name for p in plan.edits[0].parameters}


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@every
@each
@pytest.mark.parametrize("steps", [5, pytest.param(50, marks=nightly)])
def test_both_backends_have_the_same_gradients_and_losses(name, kind, steps):
    spec = spec_of(kind, dropout=0.1)
    plan, batch = planned(name, spec), batch_of(kind, spec)
    engines = [build_engine(load(backend), spec, plan, plan.initial_values(0)) for backend in ("pytorch", "mindspore")]
    gradients = [engine.gradients([batch]) for engine in engines]
    assert set(gradients[0]) == set(plan.shapes())
    for key, expected in gradients[0].items():
        assert_near(gradients[1][key], expected, GRADIENT, what=key)
    losses = [[engine.fetch([engine.train_step([batch], 3e-3)])[0][0] for _ in range(steps)] for engine in engines]
    np.testing.assert_allclose(losses[1], losses[0], rtol=STEP_LOSS)
    assert all(not np.array_equal(engines[0].trainable()[key], array) for key, array in plan.initial_values(0).items())


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@some
@pytest.mark.parametrize("kind", OTHERS)
def test_both_backends_agree_on_other_families_and_tasks(name, kind):
    spec = spec_of(kind)
    plan, batch = planned(name, spec), batch_of(kind, spec)
    engines = [build_engine(load(backend), spec, plan, plan.initial_values(0)) for backend in ("pytorch", "mindspore")]
    gradients = [engine.gradients([batch]) for engine in engines]
    for key, expected in gradients[0].items():
        assert_near(gradients[1][key], expected, GRADIENT, what=key)
    assert_near(outputs(engines[1], batch), outputs(engines[0], batch), BERT_LOGITS_ABS, absolute=True)


def peft_model(spec, folder, adapter=None, config=None):
    """PEFT's own model: with an adapter folder, or new, of a configuration."""
    transformers, peft = (pytest.importorskip(name) for name in ("transformers", "peft"))
    save_pretrained(folder / "base", spec, spec.arrays)
    base = getattr(transformers, spec.layout.architecture).from_pretrained(folder / "base")
    if adapter is not None:
        return peft.PeftModel.from_pretrained(base, adapter).eval()
    return peft.get_peft_model(base, config).eval()


def peft_logits(model, spec, batch):
    """Of the real positions alone, where the head reads each."""
    torch = pytest.importorskip("torch")
    inputs = {
        key: torch.from_numpy(batch[key]).long()
        for key in ("input_ids", "attention_mask", "token_type_ids")
        if key in batch
    }
    logits = model(**inputs).logits
    return logits[:, -batch["input_ids"].shape[1] :] if logits.dim() == 3 else logits


def at_last(logits, batch):
    return logits[np.arange(len(logits)), batch["attention_mask"].sum(1) - 1]


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", ["bert", "gpt2", *OTHERS])
@each
def test_peft_computes_our_logits_from_our_file_and_writes_it_back(backend, name, kind, tmp_path):
    torch = pytest.importorskip("torch")
    spec, plan, engine, batch = trained_engine(backend, name, kind)
    trained, expected = engine.trainable(), outputs(engine, batch)
    save_adapter(tmp_path / "ours", plan, spec, trained)
    model = peft_model(spec, tmp_path, adapter=tmp_path / "ours")
    with torch.no_grad():
        theirs = peft_logits(model, spec, batch).numpy()
    theirs = theirs if theirs.ndim == expected.ndim else at_last(theirs, batch)
    real = batch["attention_mask"] == 1 if theirs.ndim == 3 else slice(None)
    tolerance = GPT2_LOGITS_ABS if kind == "gpt2" else BERT_LOGITS_ABS
    assert_near(theirs[real], expected[real], tolerance, absolute=True)
    for key, array in load_adapter(tmp_path / "ours", plan, spec).items():
        assert array.tobytes() == trained[key].tobytes(), key
    if "-" not in name:
        model.save_pretrained(tmp_path / "theirs")
        for key, array in load_adapter(tmp_path / "theirs", plan, spec).items():
            assert array.tobytes() == trained[key].tobytes(), key


@pytest.mark.needs_pytorch
@some
def test_a_classifier_that_reads_the_last_token_is_pefts_where_no_row_is_padded(backend, name, tmp_path):
    """In a padded row PEFT reads the last column with a prompt, see docs/methods.md."""
    torch = pytest.importorskip("torch")
    spec, plan, engine, _ = trained_engine(backend, name, "gpt2-classifier")
    batch = make_batch("gpt2-classifier", [7, 7, 7], seed=3)
    expected = outputs(engine, batch)
    save_adapter(tmp_path / "ours", plan, spec, engine.trainable())
    model = peft_model(spec, tmp_path, adapter=tmp_path / "ours")
    with torch.no_grad():
        theirs = peft_logits(model, spec, batch).numpy()
    assert_near(theirs, expected, BERT_LOGITS_ABS, absolute=True)


def peft_config(name, spec):
    peft = pytest.importorskip("peft")
    kinds = {"prompt": peft.PromptTuningConfig, "p_tuning": peft.PromptEncoderConfig, "prefix": peft.PrefixTuningConfig}
    entries = {
        "p_tuning-mlp": {"encoder_hidden_size": HIDDEN, "encoder_reparameterization_type": "MLP"},
        "p_tuning-lstm": {"encoder_hidden_size": HIDDEN, "encoder_reparameterization_type": "LSTM"},
        "prefix-projection": {"encoder_hidden_size": HIDDEN, "prefix_projection": True},
    }
    task = TASKS.get(spec.task).peft_type
    return kinds[name.partition("-")[0]](task_type=task, num_virtual_tokens=TOKENS, **entries.get(name, {}))


def their_name(leaf):
    """PEFT's name of one of our parameters, inside its encoder."""
    if leaf in ("prompt", "prompt_embedding", "prefix", "prefix_embedding"):
        return "embedding.weight"
    if leaf.startswith("lstm_"):
        return f"lstm_head.{leaf.removeprefix('lstm_')}"
    group, number, kind = leaf.split("_")
    place = {"0": 0, "1": 2, "2": 4, "down": 0, "up": 2}[number]
    return f"{'mlp_head' if group == 'mlp' else 'transform'}.{place}.{kind}"


@pytest.mark.needs_pytorch
@each
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_peft_trains_as_we_do(backend, name, kind, tmp_path):
    """Logits and gradients of PEFT's own encoder and model with our numbers; padded rows among them."""
    torch = pytest.importorskip("torch")
    spec, plan, engine, batch = trained_engine(backend, name, kind)
    model = peft_model(spec, tmp_path, config=peft_config(name, spec))
    theirs = dict(model.named_parameters())
    places = {}
    for parameter in plan.parameters:
        if parameter in plan.edits[0].parameters:
            (found,) = [key for key in theirs if key == f"prompt_encoder.default.{their_name(parameter.leaf)}"]
        else:
            (found,) = [key for key in theirs if key.endswith(f"classifier.modules_to_save.default.{parameter.leaf}")]
        places[parameter.name] = theirs[found]
    with torch.no_grad():
        for key, array in engine.trainable().items():
            places[key].copy_(torch.from_numpy(array))
    logits, labels = peft_logits(model, spec, batch), torch.from_numpy(batch["labels"]).long()
    torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=-100).backward()
    ours = outputs(engine, batch)
    found = logits.detach().numpy()
    assert_near(
        ours,
        found if spec.head else at_last(found, batch),
        GPT2_LOGITS_ABS if kind == "gpt2" else BERT_LOGITS_ABS,
        absolute=True,
    )
    for key, gradient in engine.gradients([batch]).items():
        assert_near(gradient, places[key].grad.numpy(), GRADIENT, what=key)


@pytest.mark.needs_pytorch
def test_a_prompt_that_pefts_encoder_made_is_opened_as_a_prompt(backend, tmp_path):
    torch = pytest.importorskip("torch")
    spec = spec_of("bert")
    batch = batch_of("bert", spec)
    model = peft_model(spec, tmp_path, config=peft_config("p_tuning-lstm", spec))
    model.save_pretrained(tmp_path / "theirs")
    settings = json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())
    shapes = {"prompt_embeddings": (TOKENS, 16)}
    (section,) = [found for method in METHODS if (found := method.section(settings, shapes)) is not None]
    assert section == {"method": "prompt", "tokens": TOKENS}
    plan = planned("prompt", spec)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    engine.load_trainable(load_adapter(tmp_path / "theirs", plan, spec))
    with torch.no_grad():
        assert_near(outputs(engine, batch), peft_logits(model, spec, batch).numpy(), BERT_LOGITS_ABS, absolute=True)
    with pytest.raises(InputError, match=r"twinlora\.prompt_embedding: missing"):
        load_adapter(tmp_path / "theirs", planned("p_tuning-lstm", spec), spec)


@each
def test_our_folders_are_opened_with_what_made_them(name, tmp_path):
    spec = spec_of("bert")
    plan = planned(name, spec)
    values = {key: np.full(shape, 0.1, np.float32) for key, shape in plan.shapes().items()}
    save_adapter(tmp_path, plan, spec, values)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    shapes = METHODS.get(plan.method).peft.shapes(plan.edits[0])
    (section,) = [found for method in METHODS if (found := method.section(settings, shapes)) is not None]
    again = METHODS.get(section.pop("method"))
    assert again.plan(again.Options(again.name, **section), spec).shapes() == plan.shapes()


def test_a_changed_prompt_is_not_taken_for_what_its_encoder_makes(tmp_path):
    from common.files import load_arrays, save_arrays

    spec = spec_of("bert")
    for name in ("p_tuning-mlp", "prefix-projection"):
        plan = planned(name, spec)
        values = {key: np.full(shape, 0.1, np.float32) for key, shape in plan.shapes().items()}
        save_adapter(tmp_path / name, plan, spec, values)
        arrays, metadata = load_arrays(tmp_path / name / "adapter_model.safetensors")
        save_arrays(
            tmp_path / name / "adapter_model.safetensors",
            {**arrays, "prompt_embeddings": arrays["prompt_embeddings"] * np.float32(1.01)},
            metadata,
        )
        with pytest.raises(InputError, match="what its own twinlora"):
            load_adapter(tmp_path / name, plan, spec)


@pytest.mark.parametrize(
    ("name", "entries", "said"),
    [
        ("prompt", {"num_virtual_tokens": 9}, "num_virtual_tokens must be 4; received 9"),
        ("prompt", {"peft_type": "CPT"}, "peft_type must be PROMPT_TUNING or P_TUNING; received 'CPT'"),
        ("prompt", {"cpt_mask": "x"}, "cpt_mask = 'x' is not supported"),
        ("prefix", {"num_attention_heads": 4}, "num_attention_heads must be 2; received 4"),
        ("prefix", {"num_transformer_submodules": 2}, "num_transformer_submodules must be 1; received 2"),
        ("p_tuning-mlp", {"token_dim": 8}, "token_dim must be 16; received 8"),
    ],
)
def test_what_peft_would_compute_otherwise_is_refused_by_name(name, entries, said, tmp_path):
    spec = spec_of("bert")
    plan = planned(name, spec)
    save_adapter(tmp_path, plan, spec, {key: np.ones(shape, np.float32) for key, shape in plan.shapes().items()})
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError, match=said):
        load_adapter(tmp_path, plan, spec)


@some
def test_more_padding_changes_nothing(backend, name):
    from tests.support import widen

    _, _, engine, batch = trained_engine(backend, name, "bert")
    assert_near(outputs(engine, widen(batch, 16)), outputs(engine, batch), 2e-6, absolute=True)


@some
def test_virtual_tokens_are_never_targets(backend, name):
    """The loss is that of the logits at real positions under the batch's own labels."""
    _, _, engine, batch = trained_engine(backend, name, "gpt2")
    found = engine.eval_step(batch)
    assert found.count == (batch["labels"] >= 0).sum()
    total = 0.0
    for position in range(batch["labels"].shape[1]):
        logits = engine.logits_at(batch, np.full(3, position, np.int32)).astype(np.float64)
        logs = (
            logits
            - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
            - logits.max(1, keepdims=True)
        )
        for row in range(3):
            if batch["labels"][row, position] >= 0:
                total -= logs[row, batch["labels"][row, position]]
    assert found.loss_sum == pytest.approx(total, rel=1e-5)


@some
def test_switched_off_they_leave_the_base_model(backend, name):
    spec, _, engine, batch = trained_engine(backend, name, "gpt2")
    adapted = outputs(engine, batch)
    backend.set_enabled(engine.model, False)
    base = build_engine(backend, spec, plan_for(spec, (), bias="all"), {})
    assert_near(outputs(engine, batch), outputs(base, batch), BERT_LOGITS_ABS, absolute=True)
    backend.set_enabled(engine.model, True)
    assert outputs(engine, batch).tobytes() == adapted.tobytes()


@each
def test_decoding_with_a_cache_gives_the_logits_of_the_whole_sequence(backend, name):
    """Prompts of different lengths, and rows that change places, as those of beams do."""
    _, _, engine, _ = trained_engine(backend, name, "gpt2")
    decoder = engine.decoder(16)
    rows = [[3, 4, 5, 6], [8, 9, 10], [7]]
    given = np.array([[0] * (4 - len(row)) + row for row in rows], np.int32)
    found = decoder.prefill(given, np.array([4, 3, 1], np.int32))
    for token, source in ((20, None), (21, [0, 0, 2]), (22, [2, 1, 1, 0])):
        for row, logits in zip(rows, found, strict=True):
            ids = np.array([row], np.int32)
            batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": ids}
            whole = engine.logits_at(batch, np.array([ids.shape[1] - 1], np.int32))
            assert_near(logits[None], whole, GPT2_LOGITS_ABS, absolute=True)
        if source is not None:
            decoder.reorder(np.array(source, np.int32))
            rows = [rows[number] for number in source]
        found = decoder.step(np.full(len(rows), token, np.int32))
        rows = [[*row, token] for row in rows]


@some
def test_there_is_nothing_to_merge(backend, name):
    spec, plan, engine, _ = trained_engine(backend, name, "gpt2")
    for action in (lambda: backend.merge(engine.model), lambda: merged_model(plan, spec, engine.trainable())):
        with pytest.raises(InputError, match="are no change of a weight"):
            action()


@pytest.mark.needs_pytorch
def test_layers_that_are_computed_again_and_a_prefix_do_not_go_together():
    spec = spec_of("gpt2")
    for name in ("prefix", "prompt"):
        plan = planned(name, spec)
        if name == "prompt":
            build_engine(load("pytorch"), spec, plan, plan.initial_values(0), recompute=True)
            continue
        with pytest.raises(InputError, match=r"training\.recompute is true"):
            build_engine(load("pytorch"), spec, plan, plan.initial_values(0), recompute=True)


def test_a_prompt_begins_as_its_text_cut_or_repeated():
    spec = spec_of("bert")
    (name,) = [p.name for p in planned("prompt", spec).edits[0].parameters]
    table = spec.arrays["bert.embeddings.word_embeddings.weight"]
    for ids, rows in (((7, 8), [7, 8, 7, 8]), ((1, 2, 3, 4, 5), [1, 2, 3, 4])):
        plan = planned("prompt", spec, text_ids=ids)
        assert np.array_equal(plan.initial_values(0)[name], table[rows])
    words = planned("prompt", spec, start="vocabulary").initial_values(0)[name]
    assert all(any(np.array_equal(row, word) for word in table) for row in words)
    with pytest.raises(InputError, match="no tokens without a tokenizer"):
        planned("prompt", spec, text="a text")
    for ids in ((5, -1), (5, len(table))):
        with pytest.raises(InputError, match=f"table of {len(table)} words; received {ids[1]}"):
            planned("prompt", spec, text_ids=ids)
    method = METHODS.get("prompt")
    options = method.Options("prompt", tokens=4, text="a text")
    assert method.completed(options, lambda text: {"input_ids": [5, 6]}).text_ids == (5, 6)


def test_options_that_do_not_fit_and_networks_without_a_description_are_refused():
    for name, options in (
        ("prompt", {"tokens": 0}),
        ("prompt", {"start": "vocabulary", "text": "a"}),
        ("prompt", {"text": ""}),
        ("p_tuning-mlp", {"layers": 3}),
        ("prefix", {"hidden": 3}),
    ):
        method = METHODS.get(name.partition("-")[0])
        assert list(method.Options(method.name, **{"tokens": 4, **CASES[name], **options}).problems()), (name, options)
    foreign = dataclasses.replace(spec_of("bert"), layout=None, family="other")
    with pytest.raises(InputError, match="Virtual tokens are put before"):
        planned("prompt", foreign)
