"""The PEFT reference trains the same experiment, and refuses one that it would only train in part."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest

from common.bench.subjects import peer_folder
from common.config import load_config, to_yaml
from common.errors import InputError

pytest.importorskip("torch")
pytest.importorskip("peft")

SCRIPT = peer_folder("pytorch") / "peft_reference.py"
spec = importlib.util.spec_from_file_location("peft_reference", SCRIPT)
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]


@pytest.fixture
def experiment(tmp_path):
    """A configuration file of a learnable task on a tiny random BERT."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 16,
    }
    model = BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.5,
            **sizes,
        )
    )
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    generator = np.random.default_rng(0)
    for split, count in (("train", 50), ("validation", 20), ("test", 60)):
        labels = generator.integers(0, 2, count)
        lines = [
            f"{' '.join([('bad', 'good')[label]] * int(generator.integers(1, 6)))},{('no', 'yes')[label]}"
            for label in labels
        ]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    text = f"""
model: {{source: {tmp_path / "model"}}}
data:
  name: files
  files: {{train: {tmp_path / "train.csv"}, validation: {tmp_path / "validation.csv"}, test: {tmp_path / "test.csv"}}}
  text_column: text
  label_column: label
  max_length: 16
adaptation: {{rank: 2, alpha: 4, targets: ["*.self.query", "*.self.value"]}}
optimization: {{learning_rate: 0.02, warmup_ratio: 0.1}}
training: {{global_batch_size: 8, epochs: 5, metric: accuracy}}
"""
    (tmp_path / "tiny.yaml").write_text(text)
    return tmp_path / "tiny.yaml"


def test_a_run_learns_and_leaves_the_summary_of_a_run(experiment, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "peft_reference.py",
            str(experiment),
            "--output",
            str(experiment.parent),
            "--name",
            "tiny-seed3",
            "--set",
            "seed=3",
        ],
    )
    reference.main()
    folder = experiment.parent / "tiny-seed3" / "peft"
    assert capsys.readouterr().out.splitlines()[-1] == str(folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 5 * 7  # 50 examples in batches of 8
    assert summary["trainable"]["total"] == 2 * 2 * (16 + 16) + 2 * 16 + 2  # two adapted layers and the head
    assert summary["test"]["accuracy"] > 0.75  # of 60 examples, far beyond guessing
    assert summary["test"]["loss"] < 0.5 * summary["before"]["loss"]
    assert summary["final_loss"] < 0.5 * summary["first_loss"]
    assert (folder / "config.yaml").read_text() == to_yaml(load_config(experiment, ["seed=3"], "tiny-seed3"))


@pytest.mark.parametrize(
    ("task", "target", "metric"),
    [
        ("regression", lambda label: 2.5 * label, "pearson"),
        ("multi-label-classification", lambda label: ["good"] if label else [], "f1_micro"),
    ],
)
def test_other_tasks_learn_with_the_loss_of_transformers(experiment, monkeypatch, task, target, metric):
    for split in ("train", "validation", "test"):
        rows = (line.split(",") for line in (experiment.parent / f"{split}.csv").read_text().splitlines()[1:])
        lines = (json.dumps({"text": text, "label": target(label == "yes")}) + "\n" for text, label in rows)
        (experiment.parent / f"{split}.jsonl").write_text("".join(lines))
    text = experiment.read_text().replace(".csv", ".jsonl").replace("metric: accuracy", f"metric: {metric}")
    experiment.write_text(text.replace("model: {", f"model: {{task: {task}, "))
    summary = reference.train(load_config(experiment))
    assert summary["test"][metric] > 0.8
    assert summary["test"]["loss"] < 0.5 * summary["before"]["loss"]


def test_only_lora_and_the_head_are_trained(experiment):
    model = reference.build(load_config(experiment), ("no", "yes"))
    trained = {
        name.removeprefix("base_model.model.")
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    layer = "bert.encoder.layer.0.attention.self"
    assert trained == {
        *(f"{layer}.{target}.lora_{factor}.default.weight" for target in ("query", "value") for factor in "AB"),
        "classifier.modules_to_save.default.weight",
        "classifier.modules_to_save.default.bias",
    }


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("adaptation.method=full", "adaptation.method"),
        ("optimization.schedule=cosine", "optimization.schedule"),
        ("optimization.final_learning_rate=0.001", "optimization.schedule"),
        ("training.max_steps=5", "max_steps"),
        ("training.patience=1", "patience"),
        ("training.micro_batch_size=4", "micro_batch_size"),
        ("training.epochs=1.5", "training.epochs"),
        ("adaptation.exclude=['*.0.*']", "adaptation.exclude"),
        ("adaptation.targets=['*.c_attn[q,v]']", "adaptation.targets"),
    ],
)
def test_what_the_reference_does_not_do_is_refused(experiment, override, named):
    with pytest.raises(InputError, match=named):
        reference.check(load_config(experiment, [override]), ["sequence-classification"])
    reference.check(load_config(experiment), ["sequence-classification"])
