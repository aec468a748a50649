"""Tokens added to a pretrained model: its embedding grows, is trained with every method and stored with the adapter."""

from __future__ import annotations

import json

import numpy as np
import pytest

import twinlora
from common.cli.main import main
from common.files import load_arrays
from tests.support import assert_near

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore, pytest.mark.interpreted]

WORDS = ["up", "down", "left", "right"]
NEW = ["[left-arrow]", "<x>"]
TEXTS = ["up [left-arrow] left", "down <x> up", "right", "<x><x> down [left-arrow]"]
CLASSIFIER = """\
model: {{source: "{base}", add_tokens: ["[left-arrow]", "<x>"]}}
data: {{name: files, files: {{train: "{rows}", validation: "{rows}", test: "{rows}"}}, label_column: label, max_length: 16}}
adaptation: {method}
optimization: {{learning_rate: 1.0e-2}}
training: {{global_batch_size: 4, max_steps: 6, evaluate_every_steps: 3, log_every_steps: 1}}
"""
LANGUAGE_MODEL = CLASSIFIER.replace("model: {{", "model: {{task: language-modeling, ").replace(
    "label_column: label, ", ""
)
METHODS = {
    "lora": "{method: lora, rank: 2, alpha: 4, targets: [query, value]}",
    "head": "{method: head}",
    "full": "{method: full}",
    "ia3": "{method: ia3, targets: [query, value]}",
}
LORA_OF_GPT2 = "{method: lora, rank: 2, alpha: 4, targets: ['*.attn.c_attn[q,v]']}"


def write_base(folder, kind: str):
    """A checkpoint with its tokenizer, and rows of text with classes."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=9, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, num_labels=2
        )
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.GPT2Config(
            vocab_size=9, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=3, eos_token_id=3
        )
        model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(folder / "base")
    transformers.BertTokenizer(str(folder / "vocabulary.txt"), eos_token="[SEP]").save_pretrained(folder / "base")
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS * 2, ["no", "yes"] * 4, strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return model


def configure(folder, template: str, method: str):
    text = template.format(base=folder / "base", rows=folder / "rows.jsonl", method=method)
    (folder / "trial.yaml").write_text(text)
    return folder / "trial.yaml"


def train(folder, backend: str):
    return twinlora.train(
        str(folder / "trial.yaml"), backend=backend, output=folder / "runs", device="cpu", overwrite=True
    )


def losses(run) -> np.ndarray:
    events = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    return np.array([event["loss"] for event in events if event["event"] == "step"])


@pytest.mark.parametrize("method", METHODS)
def test_both_backends_train_the_embedding_with_every_method(tmp_path, method):
    write_base(tmp_path, "bert")
    configure(tmp_path, CLASSIFIER, METHODS[method])
    runs = [train(tmp_path, backend) for backend in ("pytorch", "mindspore")]
    assert_near(*map(losses, runs), 1e-5)
    name = "bert.embeddings.word_embeddings.weight"
    base = load_arrays(tmp_path / "base" / "model.safetensors")[0][name]
    for run in runs:
        spec, arrays = run._trained.spec, run._trained.arrays
        assert arrays[name].shape == (11, 16)
        assert run.summary["trainable"]["total"] >= 11 * 16
        start = np.concatenate([base, np.repeat(base.mean(0, keepdims=True), 2, 0)])
        if method != "full":
            np.testing.assert_allclose(spec.arrays[name], start, atol=1e-6)
        moved = np.abs(arrays[name] - start).max(1)
        assert (moved[[9, 10]] > 1e-3).all()
    answers = [run.predict(TEXTS) for run in runs]
    for ours, theirs in zip(*answers, strict=True):
        for label, probability in ours["probabilities"].items():
            assert theirs["probabilities"][label] == pytest.approx(probability, abs=1e-4)
    ids = run._trained.tokenizer(TEXTS[3])["input_ids"]
    assert ids.count(10) == 2
    assert ids.count(9) == 1


@pytest.mark.parametrize(
    ("kind", "template", "method"), [("bert", CLASSIFIER, METHODS["lora"]), ("gpt2", LANGUAGE_MODEL, LORA_OF_GPT2)]
)
def test_transformers_computes_the_merged_model_and_peft_the_adapter(tmp_path, kind, template, method):
    base = write_base(tmp_path, kind)
    configure(tmp_path, template, method)
    run = train(tmp_path, "pytorch")
    assert main(["merge", str(run.path), str(tmp_path / "merged")]) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.convert_tokens_to_ids(NEW) == [9, 10]
    merged = type(base).from_pretrained(tmp_path / "merged").eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = merged(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    larger = type(base).from_pretrained(tmp_path / "base").eval()
    larger.resize_token_embeddings(len(tokenizer))
    adapted = peft.PeftModel.from_pretrained(larger, run.path / "adapter").eval()
    with torch.no_grad():
        found = adapted(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert_near(found.numpy(), expected.numpy(), 1e-5)
    assert main(["eval", str(run.path), "--backend", "mindspore", "--device", "cpu"]) == 0


def test_what_is_no_new_token_is_refused(tmp_path, capsys):
    write_base(tmp_path, "bert")
    path = configure(tmp_path, CLASSIFIER, METHODS["lora"])
    for tokens, message in (
        ('["up"]', "'up' is in the vocabulary of"),
        ('["<x>", "<x>"]', "is listed 2 times"),
        ('[" x"]', "words without spaces around them"),
        ('[""]', "words without spaces around them"),
    ):
        arguments = ["train", str(path), "--backend", "pytorch", "--output", str(tmp_path / "runs")]
        assert main([*arguments, "--set", f"model.add_tokens={tokens}"]) == 2
        assert message in capsys.readouterr().err


def test_the_embedding_of_new_tokens_cannot_be_a_target_too(tmp_path, capsys):
    write_base(tmp_path, "bert")
    path = configure(tmp_path, CLASSIFIER, METHODS["lora"].replace("query,", "query, word_embeddings,"))
    assert main(["train", str(path), "--backend", "pytorch", "--output", str(tmp_path / "runs")]) == 2
    assert "is trained as a whole" in capsys.readouterr().err


def test_a_compressed_embedding_takes_no_tokens(tmp_path, capsys):
    write_base(tmp_path, "bert")
    path = configure(tmp_path, CLASSIFIER, METHODS["head"])
    small = [
        "compress",
        str(tmp_path / "base"),
        "--task",
        "sequence-classification",
        "--with",
        "svd",
        "--set",
        "rank=2",
    ]
    assert main([*small, "--set", "targets=['*.word_embeddings']", "-o", str(tmp_path / "small")]) == 0
    capsys.readouterr()
    arguments = ["train", str(path), "--backend", "pytorch", "--model", str(tmp_path / "small")]
    assert main([*arguments, "--set", f"model.tokenizer={tmp_path / 'base'}", "--output", str(tmp_path / "runs")]) == 2
    assert "Tokens cannot be added to a model whose bert.embeddings.word_embeddings.weight was compressed" in (
        capsys.readouterr().err
    )
