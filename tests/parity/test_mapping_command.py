"""`twinlora map` with both frameworks: what verify prints and writes, probing into a file, both programs of a row, and
the recorder on real training."""

from __future__ import annotations

import contextlib
import io
import json
import re

import numpy as np
import pytest

from common.api_mapping import lock, report
from common.api_mapping.rows import digest, find, registry
from common.api_mapping.snippets import snippets
from common.cli.main import main

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

ROWS = ["torch.tanh", "torch.abs"]


@pytest.fixture(autouse=True)
def _no_user_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["map", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_verify_prints_each_row_and_writes_all_that_was_found(tmp_path, capsys):
    code, out, _ = run(
        capsys, "verify", *ROWS, "nn.functional.dropout", "--device", "cpu", "--json", str(tmp_path / "found.json")
    )
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("torch.")}
    assert set(lines) == {*ROWS, "torch.nn.functional.dropout"}
    assert "adapted" in lines["torch.tanh"]
    assert lines["torch.tanh"].endswith("ops.Tanh: wrong as documented")
    content = json.loads((tmp_path / "found.json").read_text())
    assert (content["schema"], content["device"], content["mode"], content["registry"]) == (
        1,
        "cpu",
        "pynative",
        digest(),
    )
    assert set(content["versions"]) == {"python", "numpy", "torch", "mindspore"}
    assert f"3 rows: {report.summary(content['rows'].values())}" in out
    tanh = content["rows"]["torch.tanh"]
    assert (tanh["verdict"], tanh["target"], tanh["cases"], tanh["failures"]) == (
        "adapted",
        "shim.tanh",
        len(find("tanh").cases),
        [],
    )
    assert 0 < tanh["error"] < 4e-6
    assert 0 < tanh["torch_error"] < 4e-6
    assert "at [" in tanh["candidates"]["mint.tanh"]
    assert tanh["legacy"]["verdict"] == "wrong as documented"
    assert tanh["legacy"]["first"]


def test_a_wrong_target_fails_and_is_named_with_call_index_and_both_values(tmp_path, capsys):
    """The lock file is made to choose MindSpore's own tanh, whose kernel is coarse."""
    import mindspore as ms

    lock.save(
        lock.user_file(),
        "cpu",
        ms.__version__,
        {"torch.tanh": {"target": "mint.tanh", "passed": ["mint.tanh"], "rejected": {"ops.tanh": ""}}},
    )
    code, out, err = run(capsys, "verify", "tanh", "abs", "--device", "cpu", "--json", str(tmp_path / "found.json"))
    assert code == 1
    assert re.search(r"torch\.tanh\(4x5 in \[-20, 20\)\): output 0: at \[\d, \d\]: -?[\d.]+, torch -?[\d.]+", out)
    assert "error: 1 of 2 rows failed: torch.tanh." in err
    assert json.loads((tmp_path / "found.json").read_text())["rows"]["torch.tanh"]["verdict"] == "failed"


def test_a_row_that_torch_refuses_fails_and_the_others_are_still_run(capsys, monkeypatch):
    import dataclasses

    broken = dataclasses.replace(registry()["torch.abs"], name="torch.no_such_call")
    monkeypatch.setattr("common.api_mapping.commands.selected", lambda names: [broken, registry()["torch.tanh"]])
    code, out, _ = run(capsys, "verify", "--device", "cpu")
    assert code == 1
    assert "torch.no_such_call: cannot be compared: ModuleNotFoundError" in out
    assert "2 rows: 1 adapted, 1 failed" in out


def test_compiled_calls_are_verified_too(tmp_path, capsys):
    code, _, _ = run(
        capsys,
        "verify",
        "torch.bitwise_and",
        "--device",
        "cpu",
        "--mode",
        "both",
        "--json",
        str(tmp_path / "found.json"),
    )
    assert code == 0
    assert json.loads((tmp_path / "found.json").read_text())["rows"]["torch.bitwise_and"]["compiled"] == {
        "verdict": "exact",
        "failures": [],
    }


def test_probe_writes_a_lock_file_that_is_used(tmp_path, capsys):
    import mindspore as ms

    code, out, _ = run(capsys, "probe", "tanh", "abs", "--device", "cpu")
    assert code == 0
    assert out.splitlines()[-1] == str(lock.user_file())
    [entries] = lock.entries(lock.user_file()).values()
    assert set(entries) == {"torch.tanh", "torch.abs"}
    loaded = lock.load("cpu", ms.__version__)
    assert {name: loaded[name] for name in entries} == entries
    assert len(loaded) > len(entries), "the shipped rows of other names still count"
    assert entries["torch.tanh"]["target"] == "shim.tanh"
    assert "mint.tanh" in entries["torch.tanh"]["rejected"]


def printed(program: str) -> list[float]:
    """Every number that a program prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "snippet", "exec"), {})
    text = (
        re.sub(r"shape=\[[^\]]*\]|dtype=\S+|torch\.\w+", "", out.getvalue()).replace("True", "1").replace("False", "0")
    )
    return [float(number) for number in re.findall(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)", text)]


@pytest.mark.parametrize(
    "name",
    [
        *ROWS,
        "torch.nn.functional.relu",
        "torch.nn.functional.gelu",
        "torch.softmax",
        "torch.nn.functional.linear",
        "torch.nn.functional.embedding",
    ],
)
def test_both_programs_of_a_row_print_the_same_numbers(name):
    [view] = report.views([registry()[name]])
    torch, mindspore = map(printed, snippets(view.row, view.target))
    assert len(torch) >= 5
    np.testing.assert_allclose(mindspore, torch, rtol=1e-3, atol=1e-4)


def test_the_recorder_of_either_backend_names_rows_and_targets_and_leaves_graphs_alone():
    import mindspore as ms
    import torch

    import mindspore_impl.mapping
    import pytorch_impl.mapping
    from mindspore_impl import functional as ours
    from pytorch_impl import functional as torchs

    def call(x):
        return ours.tanh(x)

    array = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    before = dict(vars(ours))
    with mindspore_impl.mapping.record() as log:
        eager = ours.tanh(ms.Tensor(array))
        compiled = ms.jit(call)(ms.Tensor(array))
    assert vars(ours) == before
    [call] = log.to_json()["calls"]
    assert (call["target"], call["adapted"], call["arguments"], call["count"]) == (
        "shim.tanh",
        True,
        ["float32 2x3"],
        1,
    )
    np.testing.assert_array_equal(compiled.asnumpy(), eager.asnumpy())
    with pytorch_impl.mapping.record() as log:
        torchs.tanh(torch.from_numpy(array))
    [call] = log.to_json()["calls"]
    assert (call["torch"], call["target"], call["adapted"], call["arguments"]) == (
        call["torch"],
        call["torch"],
        False,
        ["float32 2x3"],
    )


@pytest.mark.slow
def test_record_tells_which_rows_a_lora_training_uses(tmp_path, capsys):
    for split, count in (("train", 40), ("validation", 8)):
        (tmp_path / f"{split}.csv").write_text(
            "text,label\n" + "".join(f"{n} and {n + 1} make {2 * n + 1},{n % 2}\n" for n in range(count))
        )
    model = "{source: null, tokenizer: 'bpe:300', task: sequence-classification, dropout: 0.1, "
    model += "config: {model_type: bert, hidden_size: 16, num_hidden_layers: 2, "
    files = f"{{train: {tmp_path}/train.csv, validation: {tmp_path}/validation.csv}}"
    (tmp_path / "tiny.yaml").write_text(
        f"model: {model}num_attention_heads: 2, intermediate_size: 24, max_position_embeddings: 32}}}}\n"
        f"data: {{name: files, text_column: text, label_column: label, max_length: 32, files: {files}}}\n"
        'adaptation: {rank: 2, alpha: 4, targets: ["*.query", "*.value"]}\n'
        "training: {epochs: 1, global_batch_size: 8}\n"
    )
    code, out, err = run(
        capsys, "record", str(tmp_path / "tiny.yaml"), "--device", "cpu", "--json", str(tmp_path / "log.json")
    )
    assert code == 0, err
    assert "2 steps of tiny on cpu, lora" in err
    rows = json.loads((tmp_path / "log.json").read_text())["rows"]
    # Per step: 2 layers of 6 linear layers and 2 x 2 of LoRA, pooler and classifier. Norms: 2 a layer and 1 of the
    # embeddings.
    assert rows["torch.nn.functional.linear"] == 2 * (2 * (6 + 4) + 2)
    assert rows["torch.nn.functional.layer_norm"] == 2 * (2 * 2 + 1)
    assert rows["torch.nn.functional.gelu"] == 2 * 2
    assert out.splitlines()[0].startswith("torch.nn.functional.")
