"""Transforms that look at the model's behaviour on data: whose data, on which examples, in which backend."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from common.cli.main import main
from common.compression.behaviour import Behaviour
from common.files import load_arrays
from common.training.opening import open_model
from tests.support import assert_near

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.interpreted]
OPTIONS = ["--with", "fwsvd", "--set", "rank=4", "--device", "cpu"]


def arrays_of(folder):
    return load_arrays(folder / "model.safetensors")[0]


@pytest.fixture(scope="module")
def weighted(work, base):
    """The run, compressed in its own backend."""
    folder = work.folder / "weighted"
    assert main(["compress", str(base), *OPTIONS, "--samples", "12", "-o", str(folder)]) == 0
    return folder


def test_the_history_says_on_what_the_model_was_observed(base, weighted, tmp_path):
    [record] = json.loads((weighted / "config.json").read_text())["twinlora"]["history"]
    assert record["observed"] == {"data": "files", "samples": 12, "backend": "pytorch"}
    assert main(["compress", str(base), "--with", "svd", "--set", "rank=4", "-o", str(tmp_path / "plain")]) == 0
    plain, ours = arrays_of(tmp_path / "plain"), arrays_of(weighted)
    assert plain.keys() == ours.keys()
    name = "bert.encoder.layer.0.attention.self.query.first.weight"
    assert np.abs(plain[name] - ours[name]).max() > 1e-3


def test_the_history_counts_the_examples_that_there_are(base, tmp_path):
    out = tmp_path / "out"
    assert main(["compress", str(base), *OPTIONS, "--samples", "1000", "-o", str(out)]) == 0
    assert json.loads((out / "compression.json").read_text())["observed"]["samples"] == 20


def test_a_model_of_fewer_positions_than_the_data_have_tokens_is_refused(work, tmp_path, capsys):
    sizes = "hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24"
    short = f"model.config={{model_type: bert, {sizes}, max_position_embeddings: 8}}"
    run = work.train("pytorch", "few", short, "data.max_length=8")
    assert main(["merge", str(run), str(tmp_path / "model")]) == 0
    config = tmp_path / "data.yaml"
    files = ", ".join(f"{split}: {work.folder / split}.csv" for split in ("train", "validation", "test"))
    text = work.config.read_text().replace("data: {name: files,", f"data: {{name: files, files: {{{files}}},")
    config.write_text(text)
    out = tmp_path / "out"
    given = [
        str(tmp_path / "model"),
        "--task",
        "sequence-classification",
        *OPTIONS,
        "--data",
        str(config),
        "-o",
        str(out),
    ]
    assert main(["compress", *given]) != 0
    assert "takes 8 tokens at most, and data.max_length is 16" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.needs_mindspore
def test_both_backends_lead_to_the_same_products(base, weighted, tmp_path):
    arguments = [*OPTIONS, "--samples", "12", "--backend", "mindspore", "-o", str(tmp_path / "out")]
    assert main(["compress", str(base), *arguments]) == 0
    theirs, ours = arrays_of(weighted), arrays_of(tmp_path / "out")
    for name in theirs:
        if name.endswith(".first.weight"):
            second = name.replace("first", "second")
            assert_near(ours[second] @ ours[name], theirs[second] @ theirs[name], 1e-3, what=name)


def test_the_examples_are_evenly_spaced_and_the_default_is_256(base):
    opened = open_model(base)
    observed = Behaviour(samples=4, device="cpu").of(base, opened)
    assert Behaviour().samples == 256
    encoded = observed.encoded("train")
    found = [batch["input_ids"][0] for batch in observed.examples()]
    assert len(found) == 4
    for batch, index in zip(found, (0, 5, 10, 15), strict=True):
        row = encoded.columns["input_ids"][index]
        np.testing.assert_array_equal(batch[: len(row)], row)
    assert len(list(Behaviour(samples=1000, device="cpu").of(base, opened).examples())) == 20


def test_a_folder_is_observed_on_the_data_that_are_named(work, weighted, tmp_path, capsys):
    """Its word embeddings, which are not compressed yet."""
    arguments = ["compress", str(weighted), *OPTIONS, "--targets", "*.word_embeddings", "-o", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert re.search(r"does not say which data it is for.*--data CONFIG", capsys.readouterr().err)
    config = work.folder / "with_files.yaml"
    listed = ", ".join(f"{split}: {work.folder / split}.csv" for split in ("train", "validation", "test"))
    config.write_text(work.config.read_text().replace("data: {", f"data: {{files: {{{listed}}}, "))
    assert main([*arguments, "--data", str(config), "--samples", "8"]) == 0
    assert "bert.embeddings.word_embeddings.first.weight" in arrays_of(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "svd", "--set", "rank=4", "--samples", "8"], "looks at the weights alone, and needs no data"),
        ([*OPTIONS, "--samples", "0"], "--samples must be greater than 0; received 0"),
        (
            [*OPTIONS, "--data", "gpt2_wikitext2"],
            "must be of the model's task, sequence-classification; those of gpt2_",
        ),
        ([*OPTIONS, "--backend", "jax"], "must be one of pytorch, mindspore"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(arguments, message, base, tmp_path, capsys):
    assert main(["compress", str(base), *arguments, "-o", str(tmp_path / "out")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_what_bounds_the_updates_of_a_run_is_no_matter_of_its_observation(work, tmp_path):
    """Nothing is updated, so that a head whose rows are bounded needs no training here."""
    run = work.train("pytorch", "bounded", "optimization.max_norm=0.5", "training.max_steps=2")
    folders = []
    for name in ("first", "second"):
        folders.append(tmp_path / name)
        assert main(["compress", str(run), *OPTIONS, "--samples", "4", "-o", str(folders[-1])]) == 0
    first, second = map(arrays_of, folders)
    assert all(np.array_equal(first[name], second[name]) for name in first)
