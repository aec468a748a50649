"""A run is continued only after its log was compared, and with the data, base model and tokenizer that it began
with."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
from test_training_run import interrupt_at, setup, snapshot  # noqa: F401  (setup is a fixture)

from common.errors import InputError, RunError
from common.files import load_arrays, save_arrays
from common.models.checkpoint import save_pretrained
from common.training.assembly import open_trained, prepare
from common.training.checkpoint import INTEGERS
from common.training.rundir import RunDirectory


@pytest.fixture
def stopped(setup):  # noqa: F811
    """A run that was interrupted after step 13."""

    def stop(*overrides):
        interrupt_at(setup, 13, signal.SIGINT)
        with pytest.raises(RunError):
            setup.run(setup.config(*overrides))
        setup.backend.Engine.on_step = staticmethod(lambda now: None)
        return setup

    return stop


def refused(run, *overrides, match):
    """Resuming ends in this message and changes nothing."""
    before = snapshot(run.folder)
    with pytest.raises(InputError, match=match):
        run.run(run.config(*overrides), resume=True)
    assert snapshot(run.folder) == before


def edit_log(run, change):
    log = run.folder / "metrics.jsonl"
    log.write_text("".join(change(log.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines[:10], "it has 10 whole lines"),
        (lambda lines: [*lines[:5], *lines[6:], *lines[-1:]], "where step"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "where step 2 should stand there is 3"),
        (lambda lines: [line.replace('"step": 12,', '"step": 11,') for line in lines], "evaluation|where step 12"),
        (lambda lines: [*lines[:-1], lines[-1].rstrip("\n")], "whole lines"),
    ],
    ids=["cut", "a line missing", "exchanged", "changed", "torn"],
)
def test_a_log_that_is_not_the_checkpoints_is_refused(stopped, change, found):
    run = stopped()
    edit_log(run, change)
    refused(run, match=rf"(?s)metrics\.jsonl must hold the 17 lines of the 13 steps.*({found}).*--overwrite")


def test_the_log_of_a_long_run_may_be_larger_than_other_files(stopped, monkeypatch):
    """A run of more than a million steps could neither end nor be continued."""
    from common.studies.status import last_step

    run = stopped()
    assert (run.folder / "metrics.jsonl").stat().st_size > 2500
    monkeypatch.setattr("common.reading._LARGEST", 2500)
    assert run.run(run.config(), resume=True)["steps"] == 24
    assert last_step(RunDirectory(run.folder)) == 24


def test_a_missing_log_is_refused(stopped):
    run = stopped()
    (run.folder / "metrics.jsonl").unlink()
    refused(run, match=r"metrics\.jsonl")


def test_a_checkpoint_beyond_the_end_is_refused(stopped):
    run = stopped()
    path = run.folder / "checkpoint/state.safetensors"
    arrays, metadata = load_arrays(path, INTEGERS)
    progress = {**json.loads(metadata["progress"]), "step": 25}
    save_arrays(path, arrays, {"progress": json.dumps(progress)})
    refused(run, match=r"within the 24 steps of this training; it is of step 25")


def test_a_run_that_continues_with_other_micro_batches_says_so(stopped):
    """As where it is resumed by fewer processes: what a process computes at once decides the masks of dropout."""
    run = stopped()
    path = run.folder / "checkpoint/state.safetensors"
    arrays, metadata = load_arrays(path, INTEGERS)
    progress = json.loads(metadata["progress"])
    assert progress["micro_batch"] == 4
    save_arrays(path, arrays, {"progress": json.dumps({**progress, "micro_batch": 2})})
    run.progress.said.clear()
    run.run(run.config(), resume=True)
    [said] = [said for said in run.progress.said if "micro-batches" in said]
    assert "of 2 sequences" in said
    assert "with 4" in said
    assert "as many processes" in said


def test_a_run_that_continues_as_it_began_says_nothing_of_micro_batches(stopped):
    run = stopped()
    run.progress.said.clear()
    run.run(run.config(), resume=True)
    assert not [said for said in run.progress.said if "micro-batches" in said]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_other_data_are_noticed(stopped, split, tmp_path):
    run = stopped()
    file = tmp_path / f"{split}.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace(",", " indeed,"), *lines[2:]]) + "\n")
    refused(run, match=rf"(?s)other inputs.*data {split}: was .*--name")


def test_a_finished_run_is_not_taken_for_one_of_other_data(setup, tmp_path):  # noqa: F811
    done = setup.run(setup.config())
    file = tmp_path / "validation.csv"
    kept = file.read_text()
    file.write_text(kept.replace("good", "bad", 1))
    refused(setup, match=r"(?s)other inputs.*data validation: was .*--name")
    file.unlink()
    before = snapshot(setup.folder)
    assert setup.run(setup.config(), resume=True) == done  # with nothing to compare with it stays what it is
    assert any("could not be compared" in said for said in setup.progress.said)
    file.write_text(kept)
    setup.progress.said.clear()
    assert setup.run(setup.config(), resume=True) == done
    assert not any("compared" in said for said in setup.progress.said)
    assert snapshot(setup.folder) == before


def test_a_finished_run_is_not_taken_for_one_that_began_from_another_adapter(setup, tmp_path):  # noqa: F811
    setup.run(setup.config("training.max_steps=4"))
    start = tmp_path / "start"
    shutil.copytree(setup.folder / "adapter", start)
    config = setup.config("training.max_steps=4", f"model.adapter={start}", "name=second")
    done = setup.run(config)
    assert setup.run(config, resume=True) == done
    path = start / "adapter_model.safetensors"
    arrays, metadata = load_arrays(path)
    save_arrays(path, {name: array + np.float32(1) for name, array in arrays.items()}, metadata)
    with pytest.raises(InputError, match=r"(?s)other inputs.*adapter: was"):
        setup.run(config, resume=True)


def base(setup, folder):  # noqa: F811
    """A saved model and tokenizer; the overrides that use them."""
    inputs = prepare(setup.config())
    save_pretrained(folder, inputs.spec, inputs.spec.arrays)
    inputs.tokenizer.save_pretrained(folder)
    return (f"model.source={folder}", f"model.tokenizer={folder}", "model.config={}")


def test_another_base_is_noticed_on_resume_and_on_opening(stopped, setup, tmp_path):  # noqa: F811
    overrides = base(setup, tmp_path / "base")
    run = stopped(*overrides)
    path = tmp_path / "base/model.safetensors"
    arrays, metadata = load_arrays(path)
    kept = path.read_bytes()
    name = "bert.embeddings.LayerNorm.weight"
    save_arrays(path, {**arrays, name: np.nextafter(arrays[name], np.float32(9))}, metadata)
    refused(run, *overrides, match=r"(?s)other inputs.*base: was")
    path.write_bytes(kept)
    config = tmp_path / "base/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "layer_norm_eps": 0.5}))
    refused(run, *overrides, match=r"(?s)other inputs.*configuration: was")


def test_another_tokenizer_is_noticed_on_resume_and_on_opening(stopped, setup, tmp_path):  # noqa: F811
    overrides = base(setup, tmp_path / "base")
    run = stopped(*overrides)
    file = tmp_path / "base/tokenizer.json"
    kept = file.read_text()
    content = json.loads(kept)
    merges = content["model"]["merges"]
    content["model"]["merges"] = merges[1:]
    file.write_text(json.dumps(content))
    refused(run, *overrides, match=r"(?s)other inputs.*tokenizer: was")
    file.write_text(kept)
    run.run(run.config(*overrides), resume=True)
    assert open_trained(RunDirectory(run.folder)).summary["status"] == "finished"
    (run.folder / "tokenizer/tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"(?s)other inputs.*tokenizer: was"):
        open_trained(RunDirectory(run.folder))
