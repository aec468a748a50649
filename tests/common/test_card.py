"""The card beside an adapter or model: the hub's own parser takes it, and its code runs."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest

import twinlora
from common.cli.main import main
from common.data.sources import hub_id
from common.sharing.card import CARD
from common.sharing.evidence import agreement_with_counterpart

TEXTS = {"good": ["fine lovely day", "great superb film"], "bad": ["awful dull film", "poor weak day"]}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model of one layer with a licence in its card, and data with awkward class names."""
    folder = tmp_path_factory.mktemp("base")
    for split, repeats in (("train", 8), ("validation", 2)):
        with open(folder / f"{split}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([text, f"it's | {label}"] for label in TEXTS for text in TEXTS[label] * repeats)
    scratch = {
        "model.source": None,
        "model.tokenizer": "bpe:300",
        "model.config": {
            "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
            "intermediate_size": 8, "initializer_range": 1.0,
        },
        "adaptation": {"method": "full"},
    }  # fmt: skip
    train(folder, "whole", scratch)
    twinlora.open(folder / "runs" / "whole" / "pytorch").merge(folder / "model")
    (folder / "model" / CARD).write_text("---\nlicense: apache-2.0\n---\nA base model.\n")
    return folder


def train(folder, name, changes, backend="pytorch"):
    given = {
        "data.name": "files",
        "data.files": {split: str(folder / f"{split}.csv") for split in ("train", "validation")},
        "data.text_column": "text",
        "data.label_column": "label",
        "data.max_length": 32,
        "optimization.learning_rate": 0.01,
        "training.global_batch_size": 8,
        "training.epochs": 1,
        "model.dropout": 0.0,
    }
    return twinlora.train("bert_sst2", backend, {**given, **changes}, name, "cpu", folder / "runs")


@pytest.fixture(scope="module")
def adapter(base):
    changes = {"model.source": str(base / "model"), "model.tokenizer": None, "adaptation.targets": ["query", "value"]}
    return train(base, "adapted", changes)


def front_matter(path):
    """As the hub's library reads it, which refuses malformed metadata."""
    from huggingface_hub import ModelCard

    return ModelCard.load(path).data


def executed(card, folder, monkeypatch):
    """The variables that the Python of a card leaves, with the base model that it does not know put in."""
    [code] = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(folder)
    found: dict = {}
    exec(code.replace("'BASE_MODEL'", repr(str(folder.parents[2] / "model"))), found)
    return found


def logits(found):
    import torch

    with torch.no_grad():
        return found["model"](**found["tokenizer"](["great superb film"], return_tensors="pt")).logits.softmax(-1)


@pytest.mark.needs_pytorch
def test_the_code_on_an_adapters_card_gives_the_runs_own_answers(adapter, monkeypatch):
    found = executed(adapter.path / "adapter" / CARD, adapter.path, monkeypatch)
    [answer] = adapter.predict(["great superb film"])
    expected = list(answer["probabilities"].values())
    np.testing.assert_allclose(logits(found).numpy()[0], expected, rtol=1e-4)
    assert list(answer["probabilities"]) == list(found["base"].config.id2label.values())


@pytest.mark.needs_pytorch
def test_the_code_on_a_merged_models_card_gives_the_runs_own_answers(adapter, tmp_path, monkeypatch):
    assert main(["merge", str(adapter.path), str(tmp_path / "out")]) == 0
    found = executed(tmp_path / "out" / CARD, tmp_path / "out", monkeypatch)
    [answer] = adapter.predict(["great superb film"])
    np.testing.assert_allclose(logits(found).numpy()[0], list(answer["probabilities"].values()), rtol=1e-4)
    data = front_matter(tmp_path / "out" / CARD)
    assert data.library_name == "transformers"


@pytest.mark.needs_pytorch
def test_the_hubs_parser_reads_the_metadata(adapter):
    data = front_matter(adapter.path / "adapter" / CARD)
    assert (data.library_name, data.pipeline_tag, data.license) == ("peft", "text-classification", "apache-2.0")
    assert data.tags == ["twinlora", adapter.config.adaptation.method, "pytorch"]
    assert "accuracy" in data.metrics
    assert data.base_model is None  # a folder is no id


@pytest.mark.needs_pytorch
def test_a_card_holds_no_folder_of_this_machine(adapter, base):
    text = (adapter.path / "adapter" / CARD).read_text(encoding="utf-8")
    assert str(base) not in text
    assert "it's \\| good" in text


@pytest.mark.needs_pytorch
def test_only_a_run_of_the_same_settings_and_weights_is_evidence(adapter, tmp_path):
    runs = {name: tmp_path / "adapted" / name for name in ("pytorch", "mindspore")}
    for folder in runs.values():
        shutil.copytree(adapter.path, folder)
    other = json.loads((runs["mindspore"] / "summary.json").read_text()) | {"backend": "mindspore"}
    log = (runs["mindspore"] / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    scaled = [{**line, "loss": line["loss"] * 1.001} for line in lines]
    (runs["mindspore"] / "metrics.jsonl").write_text("\n".join(map(json.dumps, scaled)))
    found = {}
    for what, changes in {"same": {}, "seed": {"settings": {}}, "base": {"model": {"fingerprint": "0"}}}.items():
        (runs["mindspore"] / "summary.json").write_text(json.dumps(other | changes))
        found[what] = agreement_with_counterpart(runs["pytorch"], adapter.summary)
    assert "is 1.0e-03 over all 4 common steps" in found["same"]
    assert found["seed"] is None
    assert found["base"] is None


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_run_of_the_other_backend_beside_it_is_evidence(adapter, base):
    changes = {"model.source": str(base / "model"), "model.tokenizer": None, "adaptation.targets": ["query", "value"]}
    other = train(base, "adapted", changes, "mindspore")
    text = (other.path / "adapter" / CARD).read_text(encoding="utf-8")
    assert "The same experiment was trained in PyTorch too" in text
    difference = float(re.search(r"training losses is (\S+) over", text)[1])
    assert 0 <= difference < 1e-4


def test_results_are_in_the_metadata_where_the_hub_has_the_data(tmp_path):
    from common.config import load_config, to_plain
    from common.sharing import Place, card_of
    from common.sharing.facts import facts_of

    settings = to_plain(load_config("bert_sst2", ["model.source=google-bert/bert-base-uncased"]))
    summary = {"backend": "mindspore", "validation": {"accuracy": 0.91, "loss": 0.2}, "data": {"labels": ["a", "b"]}}
    (tmp_path / CARD).write_text(card_of(facts_of(summary, settings, False, True), Place("o/n", "o/n", "Here")))
    data = front_matter(tmp_path / CARD)
    assert data.base_model == "google-bert/bert-base-uncased"
    assert data.datasets == ["stanfordnlp/sst2"]
    found = {(one.dataset_split, one.metric_type): one.metric_value for one in data.eval_results}
    assert found == {("validation", "accuracy"): 0.91, ("validation", "loss"): 0.2}


def test_a_folder_of_the_hubs_cache_has_the_id_of_its_model(tmp_path):
    assert hub_id("/home/a/.cache/huggingface/hub/models--o--n/snapshots/0a6a") == "o/n"
    assert hub_id(str(tmp_path)) is None
    assert hub_id("/no/such/folder") is None
    assert hub_id("o/n") == "o/n"


def test_the_licence_is_the_one_that_the_base_models_card_names(tmp_path, monkeypatch):
    from common.sharing.licence import licence_of

    snapshot = tmp_path / "models--o--n" / "snapshots" / "0a6a"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--o--n" / "refs").mkdir()
    (tmp_path / "models--o--n" / "refs" / "main").write_text("0a6a")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = {}
    for text in ("---\nlicense: mit\n---\n", "no metadata", "---\nlicense: [a, b]\n---\n", "---\n{: broken\n---\n"):
        (snapshot / CARD).write_text(text)
        found[text] = (licence_of(str(snapshot)), licence_of("o/n"))
    assert list(found.values()) == [("mit", "mit"), (None, None), (None, None), (None, None)]
    assert licence_of("o/absent") is None
    assert licence_of(None) is None
