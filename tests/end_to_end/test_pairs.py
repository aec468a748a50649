"""Encoder-decoders from pairs of sequences to what is written: on the command line and from Python, in both
backends."""

from __future__ import annotations

import io
import json
import re
import sys

import numpy as np
import pytest

import twinlora
from common.cli.main import main
from common.config import load_config
from common.errors import InputError, RunError
from common.training.run import train
from tests.end_to_end.test_resume import InterruptsAt
from tests.support_pairs import FAMILIES_OF_PAIRS

EXPERIMENT = """\
model:
  task: sequence-to-sequence
  tokenizer: tokens:32
  task_options: {{label_smoothing: 0.1, reverse_source: {reverse}}}
  config: {{model_type: {family}{sizes}}}
  dropout: 0.0
data: {{name: files, prompt_column: de, text_column: en, max_length: 12, length_multiple: 4}}
adaptation: {{method: full}}
optimization: {{optimizer: adam, beta2: 0.98, learning_rate: 1.0e-2, warmup_steps: 5, schedule: inverse_sqrt}}
training:
  global_batch_size: 16
  micro_batch_size: 8
  max_steps: {steps}
  epochs: 1000
  evaluate_every_steps: 30
  evaluate_every_epochs: null
  evaluation_batch_size: 16
  metric: perplexity
"""
SIZES = {
    "transformer": ", d_model: 32, num_layers: 1, num_heads: 2, d_ff: 32",
    "seq2seq-lstm": ", embedding_size: 24, hidden_size: 48, num_layers: 1, initializer_range: 0.3",
}
STEPS = {"transformer": 120, "seq2seq-lstm": 240}
ENGLISH = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four"}


def pairs():
    words = list(ENGLISH)
    sources = [f"{a} {b} {c} {a}" for a in words for b in words for c in words if a != b]
    return sources, [" ".join(ENGLISH[word] for word in source.split()) for source in sources]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for name, lines in zip(("de", "en"), pairs(), strict=True):
        (folder / f"all.{name}").write_text("".join(f"{line}\n" for line in lines))
    return folder


def arguments(folder, family, backend, steps, reverse="false", name="trial", *more):
    text = EXPERIMENT.format(family=family, sizes=SIZES[family], steps=steps, reverse=reverse)
    (folder / f"{name}.yaml").write_text(text)
    file = folder / "all.{de,en}"
    files = [
        part
        for split in ("train", "validation", "test")
        for part in ("--set", f"data.files.{split}={json.dumps(str(file))}")
    ]
    given = ["train", str(folder / f"{name}.yaml"), "--backend", backend, "--device", "cpu"]
    return [*given, "--output", str(folder / "runs"), *files, *more]


@pytest.fixture
def printed(capsys):
    def of(*given, stdin=None, monkeypatch=None):
        capsys.readouterr()
        assert main([str(argument) for argument in given]) == 0
        return capsys.readouterr().out

    return of


FAMILIES = [FAMILIES_OF_PAIRS[0], pytest.param(FAMILIES_OF_PAIRS[1], marks=pytest.mark.nightly)]


@pytest.fixture(scope="module", params=FAMILIES)
def run(request, folder):
    """Trained until it knows the four words."""
    name = f"{request.param}_pairs"
    assert main(arguments(folder, request.param, "pytorch", STEPS[request.param], "true", name)) == 0
    return folder / "runs" / name / "pytorch"


@pytest.mark.needs_pytorch
def test_a_small_network_learns_to_translate_words_and_is_scored(run, printed, tmp_path):
    found = json.loads(printed("eval", run, "--outputs", tmp_path / "out.jsonl", "--metrics", "exact,bleu"))
    assert found["perplexity"] < 1.5
    assert found["texts"]["exact"]["value"] == 100.0
    assert found["texts"]["bleu"]["value"] == pytest.approx(100.0)
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert first["prompt"] == "eins zwei eins eins"
    assert first["references"] == ["one two one one"]
    assert first["finish"] == "end"
    wider = json.loads(
        printed("eval", run, "--outputs", tmp_path / "b.jsonl", "--metrics", "exact", "--num-beams", "3")
    )
    assert wider["texts"]["exact"]["value"] == 100.0


@pytest.mark.needs_pytorch
def test_lines_files_and_python_are_written_to_alike(run, printed, tmp_path, monkeypatch):
    sources, targets = ["drei eins vier drei", "zwei eins eins zwei"], "three one four three"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(sources).encode() + b"\n")))
    assert printed("predict", run).splitlines()[0] == targets
    file = tmp_path / "sources.jsonl"
    file.write_text("".join(json.dumps({"prompt": source}) + "\n" for source in sources))
    records = [json.loads(line) for line in printed("generate", run, "--file", file, "--json").splitlines()]
    opened = twinlora.open(run, device="cpu")
    assert records == opened.generate(sources)
    assert records[0]["text"] == opened.predict(sources)[0]["continuation"] == targets
    several = opened.generate(sources[:1], num_beams=3, num_return_sequences=2, length_penalty=0.6)
    assert several[0]["text"] == targets != several[1]["text"]
    with pytest.raises(InputError, match="Leave slide"):
        opened.generate(sources, slide=True)
    with pytest.raises(InputError, match="A source must fit into the 12 tokens"):
        opened.generate(["eins " * 12])


@pytest.mark.needs_pytorch
def test_a_network_of_two_sequences_is_no_graph_of_one(run, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(run), str(tmp_path / "graph")]) == 2
    assert "reads one and writes another" in capsys.readouterr().err
    assert not (tmp_path / "graph").exists()


@pytest.mark.needs_pytorch
def test_attention_is_given_as_numbers_and_as_a_page(run, folder, printed, tmp_path):
    opened = twinlora.open(run, device="cpu")
    if "transformer" not in run.parent.name:
        with pytest.raises(InputError, match="gives no attention"):
            opened.attention("eins zwei drei eins")
        return
    found = opened.attention("eins zwei drei eins")
    assert found["text"] == "one two three one"
    assert found["target"] == ["one", "two", "three", "one", "[EOS]"]
    assert found["source"] == ["eins", "drei", "zwei", "eins", "[EOS]"]  # it is read from its end
    assert np.shape(found["weights"]) == (1, 2, 5, 5)
    np.testing.assert_allclose(np.sum(found["mean"], 1), 1.0, atol=1e-5)
    chosen = opened.attention("eins zwei drei eins", "two <b>")
    assert len(chosen["target"]) == 3
    page = tmp_path / "attention.html"
    given = ("attention", run, "--source", "eins zwei drei eins")
    assert printed(*given, "--html", page).strip() == str(page)
    text = page.read_text()
    assert len(re.findall("<rect ", text)) == 5 * 5 * (1 + 1 + 2)
    assert "three &#8592; eins" in text
    assert json.loads(printed(*given, "--json")) == found
    assert [line.split("\t")[0] for line in printed(*given).splitlines()] == found["target"]


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.nightly
def test_mindspore_trains_the_same_losses_and_writes_the_same(run, folder, printed, tmp_path):
    family = run.parent.name.removesuffix("_pairs")
    assert main(arguments(folder, family, "mindspore", STEPS[family], "true", run.parent.name)) == 0
    other = run.parent / "mindspore"
    losses = [
        [
            event["loss"]
            for event in map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
            if event["event"] == "step"
        ]
        for path in (run, other)
    ]
    np.testing.assert_allclose(losses[1][:50], losses[0][:50], rtol=1e-4)
    for options in ((), ("--num-beams", "3")):
        printed("eval", other, "--outputs", tmp_path / "ms.jsonl", "--metrics", "exact", *options)
        printed("eval", run, "--outputs", tmp_path / "pt.jsonl", "--metrics", "exact", *options)
        texts = [
            [json.loads(line)["text"] for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
            for name in ("ms", "pt")
        ]
        assert texts[0] == texts[1]
    assert printed("compare", run, other)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_is_interrupted_ends_as_one_that_is_not(folder, family):
    given = arguments(folder, family, "pytorch", 8, "false", f"{family}_stopped", "--set", "training.log_every_steps=1")
    file, overrides = given[1], [part for part in given if "=" in part]
    config = load_config(file, [*overrides, "model.dropout=0.1", "training.evaluate_every_steps=3"])
    train(config, "pytorch", "cpu", folder / "whole", progress=InterruptsAt(None))
    with pytest.raises(RunError, match="after step 5 of 8"):
        train(config, "pytorch", "cpu", folder / "parts", progress=InterruptsAt(5))
    train(config, "pytorch", "cpu", folder / "parts", resume=True, progress=InterruptsAt(None))
    whole, parts = (
        (folder / name / config.name / "pytorch" / "model" / "model.safetensors").read_bytes()
        for name in ("whole", "parts")
    )
    assert whole == parts


@pytest.mark.needs_pytorch
def test_a_family_of_pairs_has_no_other_task_and_refuses_virtual_tokens(folder, capsys):
    given = arguments(folder, "transformer", "pytorch", 1, "false", "refused")
    assert main([*given, "--set", "adaptation={method: prompt, tokens: 2}"]) == 2
    assert "reads one and writes another" in capsys.readouterr().err
