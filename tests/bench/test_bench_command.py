"""`twinlora bench` from end to end on tiny networks, and the page made of what it writes. No time is judged."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.bench.cases import load_case
from common.bench.growth import exponent
from common.bench.settings import Settings, save
from common.cli.main import main
from common.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("performance", ROOT / "scripts" / "bench" / "performance.py")
performance = importlib.util.module_from_spec(spec)
spec.loader.exec_module(performance)

SIZES = {
    "model_type": "bert",
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
TINY = ["model.source=null", "model.tokenizer=bpe:300", f"model.config={json.dumps(SIZES)}", "adaptation.rank=2"]


def bench(kind: str, path: Path, *arguments: str) -> dict:
    sets = [part for pair in TINY for part in ("--set", pair)]
    assert main(["bench", kind, "--threads", "1", "--device", "cpu", "--output", str(path), *arguments, *sets]) == 0
    return json.loads(path.read_text())


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_generation_of_both_backends_and_transformers(tmp_path, capfd):
    sizes = {"model_type": "gpt2", "vocab_size": 60, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    given = ["--set", f"model.config={json.dumps({**sizes, 'initializer_range': 0.3})}", "--device", "cpu"]
    path = tmp_path / "generate.json"
    sizes = ["--rounds", "2", "--batches", "3", "--prompt", "5", "--new-tokens", "6", "--threads", "1"]
    case = ["bench", "generate", "--case", "gpt2-mini-4x256", "--output", str(path)]
    names = ("pytorch", "mindspore", "transformers-static")
    assert main([*case, *sizes, *given, "--subjects", ",".join(names)]) == 0
    found = json.loads(path.read_text())
    assert list(found["batches"]) == ["3"]
    for batch in found["batches"].values():
        assert batch["agreement"] == dict.fromkeys(names, 1.0)
        assert {len(rate["samples"]) for rate in batch["tokens_per_second"].values()} == {2}
        pairs = {"pytorch/transformers-static", "mindspore/transformers-static", "mindspore/pytorch"}
        assert batch["ratios"].keys() == pairs
        assert batch["ratios"].keys() == batch["processor_ratios"].keys()
        assert min(batch["peak_memory_bytes"].values()) > 2**20
    assert "times as fast" in capfd.readouterr().out
    for wrong, message in ((["--subjects", "peft"], "subject of generation"), (["--batches", "x"], "numbers of rows")):
        assert main([*case, *sizes, *given, *wrong]) == 2
        assert message in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_steps_of_both_backends_and_peft(tmp_path, capfd):
    pytest.importorskip("peft")
    names = ["pytorch", "mindspore", "peft"]
    found = bench(
        "step", tmp_path / "step.json", "--case", "minilm-16x32", "--rounds", "2", "--steps", "2", "--warmup", "1"
    )
    assert list(found["subjects"]) == names
    assert {len(seconds["samples"]) for seconds in found["seconds_per_step"].values()} == {2}
    assert {
        "pytorch/peft",
        "mindspore/peft",
        "mindspore/pytorch",
        "pytorch/roofline of pytorch",
        "mindspore/roofline of mindspore",
    } == set(found["ratios"])
    losses = [found["subjects"][name]["warm"]["losses"] for name in names]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)  # the two backends train alike
    assert losses[2][0] == pytest.approx(losses[0][0], rel=1e-5)  # PEFT draws its own A
    assert losses[0][1] != losses[0][0]
    assert found["subjects"]["pytorch"]["limit"] == found["subjects"]["mindspore"]["limit"]
    assert len(set(found["seconds_per_step"]["roofline of pytorch"]["samples"])) == 1, (
        "the limit is one number for all rounds"
    )
    assert set(found["processor_ratios"]) == {"pytorch/peft", "mindspore/peft", "mindspore/pytorch"}
    assert "pytorch/peft" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_memory_of_the_pytorch_backend(tmp_path):
    found = bench(
        "memory",
        tmp_path / "memory.json",
        "--case",
        "minilm-16x32",
        "--rounds",
        "1",
        "--saved",
        "too",
        "--subjects",
        "pytorch",
    )
    about = found["subjects"]["pytorch"]
    assert about["peak"] > about["before"] > 2**24
    states = 16 * 32 * 16 * 4  # one tensor of hidden states
    assert 4 * states < about["saved_bytes"] < 100 * states


def test_a_wrong_subject_or_case_is_bad_input(capsys):
    assert main(["bench", "step", "--subjects", "peftt"]) == 2
    assert "Nearest: peft" in capsys.readouterr().err
    assert main(["bench", "step", "--rounds", "0"]) == 2
    with pytest.raises(InputError, match="--case must be one of minilm-16x128"):
        load_case({"case": "minilm"})
    with pytest.raises(InputError, match="--data-dir"):
        load_case({"case": "sst2"})


def test_cases_are_the_same_in_every_process():
    request = {"case": "minilm-16x32", "set": TINY}
    first, second = load_case(request), load_case(request)
    assert first.batches[0]["input_ids"].shape == (16, 32)
    for one, other in zip(first.batches, second.batches, strict=True):
        np.testing.assert_array_equal(one["input_ids"], other["input_ids"])
    assert not np.array_equal(first.batches[0]["input_ids"], first.batches[1]["input_ids"])
    for name, array in first.spec.arrays.items():
        np.testing.assert_array_equal(array, second.spec.arrays[name])


METERED = """
import json
import numpy as np
from common.bench.memory import Meter
meter = Meter(lambda reset: None)
meter.around(lambda: np.ones(2**24).sum())  # 128 MiB
meter.around(lambda: None)
print(json.dumps(meter.results()))
"""


def test_the_meter_sees_what_a_step_takes_and_gives_back():
    found = json.loads(subprocess.check_output([sys.executable, "-c", METERED], text=True))  # as a subject: alone
    assert 0.95 * 2**27 <= found["first"] < 2**28  # Linux counts pages in batches
    assert found["later"] < 2**26


def test_exponents_come_from_the_upper_half():
    values = [1, 2, 4, 8, 16, 32]
    assert exponent(values, [5, 5, 5, 64, 256, 1024]) == pytest.approx(2)
    assert exponent([2, 8], [3, 12]) == pytest.approx(1)


def measured(kind: str, **results) -> dict:
    settings = {"rounds": 2, "set": ["training.dtype=bf16"]}
    return {
        "kind": kind,
        "settings": settings,
        "versions": {"torch": "2.0"},
        "hardware": {"accelerator": None, "cpu": "a CPU", "threads": 2},
        **results,
    }


def test_the_page_says_what_the_files_say(tmp_path):
    ratio = {"median": 0.8764, "lower_quartile": 0.8, "upper_quartile": 0.9, "of_sums": 0.87, "rounds": [0.8, 0.9]}
    subject = {"note": "adapts more"}
    file = tmp_path / "step-minilm-16x128.json"
    seconds = {"pytorch": {"median": 0.5, "samples": [0.5]}}
    file.write_text(
        json.dumps(
            measured(
                "step",
                case="c",
                steps_per_round=3,
                subjects={"peft": subject},
                seconds_per_step=seconds,
                ratios={"pytorch/peft": ratio},
            )
        )
    )
    folder = tmp_path / "kept"
    performance.take([file], folder)
    page = "".join(
        f"# {kind}\n<!-- {kind}:begin -->\nold\n<!-- {kind}:end -->\n"
        for kind in (*performance.KINDS, "families", "networks")
    )
    done = performance.rendered(page, folder)
    assert "| pytorch/peft | 0.876 | 0.800 to 0.900 | 0.870 | 0.92, aim 0.82 |" in done
    assert "a CPU, 2 threads, 2 rounds; training.dtype=bf16" in done
    assert "peft: adapts more." in done
    assert "old" not in done
    assert done.count("Not measured yet.") == len(performance.KINDS) + 1  # all but the steps, families and networks
    assert performance.rendered(done, folder) == done
    with pytest.raises(InputError, match="memory:begin"):
        performance.rendered(page.replace("<!-- memory:begin -->", ""), folder)


def test_the_cases_of_families_share_one_table(tmp_path):
    ratio = {"median": 0.8764, "lower_quartile": 0.8, "upper_quartile": 0.9}
    step = measured("step", case="family-llama", ratios={"pytorch/peft": ratio, "mindspore/peft": ratio})
    memory = measured(
        "memory", case="family-llama", ratios={p: {"peak": 0.5} for p in ("pytorch/peft", "mindspore/peft")}
    )
    for found in (step, memory):
        (tmp_path / f"{found['kind']}-family-llama.json").write_text(json.dumps(found))
    cell = "0.88 (0.80 to 0.90)"
    assert f"| llama | {cell} | {cell} | 0.50 | 0.50 |" in performance.families(tmp_path)
    assert performance.section("step", tmp_path) == performance.section("memory", tmp_path) == "Not measured yet."


def test_the_cases_of_networks_share_one_table_that_says_how_busy_it_was(tmp_path):
    ratios = {
        pair: {"median": value, "lower_quartile": 0.8, "upper_quartile": 2.0}
        for pair, value in (("mindspore/pytorch", 1.5), ("pytorch/torch", 0.9), ("mindspore/cells", 1.0))
    }
    found = measured("step", case="network-textcnn_sst2", processor_ratios=ratios)
    found["hardware"]["load"] = {"quiet": False, "others_cores": 1.5, "cores": 2, "allowed_cores": 0.15}
    file = tmp_path / "step-network-textcnn_sst2.json"
    file.write_text(json.dumps(found))
    with pytest.raises(InputError, match="quiet machine"):
        performance.take([file], tmp_path / "kept")
    performance.take([file], tmp_path / "kept", busy=True)
    cells = " | ".join(f"{value} (0.80 to 2.00)" for value in ("1.50", "0.90", "1.00"))
    page = performance.networks(tmp_path / "kept")
    assert f"| textcnn_sst2 | {cells} |" in page
    assert "busy machine" in page
    assert performance.section("step", tmp_path / "kept") == "Not measured yet."


def test_another_allocator_is_recorded_and_said(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2 libother.so")
    found = json.loads(save("job", Settings(1, 1, output=tmp_path / "job.json"), {}).read_text())
    assert found["hardware"]["preloaded"] == ["libjemalloc.so.2", "libother.so"]
    assert "1 threads, libjemalloc.so.2 preloaded, libother.so preloaded, 1 rounds" in performance.described(
        "job.json", found
    )


@pytest.mark.parametrize("content", ['{"kind": "speed"}', "{}"])
def test_only_measurements_are_taken(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match="written by twinlora bench"):
        performance.take([tmp_path / "x.json"], tmp_path / "kept")


def test_a_measurement_of_a_busy_machine_is_not_published(tmp_path):
    load = {"quiet": False, "others_cores": 1.4, "cores": 2}
    (tmp_path / "x.json").write_text(json.dumps({"kind": "step", "hardware": {"load": load}}))
    with pytest.raises(InputError, match=r"took 1\.40 of 2 cores"):
        performance.take([tmp_path / "x.json"], tmp_path / "kept")
    assert not (tmp_path / "kept").exists() or not list((tmp_path / "kept").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "title", "kind"),
    [
        pytest.param("pytorch", "PyTorch", "GELU", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", "MindSpore", "erf, of GELU", marks=pytest.mark.needs_mindspore),
    ],
)
def test_a_profile_tells_kinds_of_operators_apart(backend, title, kind, tmp_path):
    path = tmp_path / "profile.json"
    command = [
        sys.executable,
        ROOT / "scripts" / "bench" / "profiles.py",
        "--backend",
        backend,
        "--case",
        "minilm-16x32",
        "--steps",
        "1",
        "-o",
        path,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    found = json.loads(path.read_text())
    kinds = found["kinds"]
    assert {"products of layers", "products of attention", "softmax", kind} <= set(kinds)
    assert kinds["products of layers"]["seconds"] > kinds["everything else"]["seconds"]
    assert [name for name, about in kinds.items() if about["limit"]] == ["products of layers", "products of attention"]
    assert list(tmp_path.iterdir()) == [path]
    assert performance.profile(found)[0] == f"Case minilm-16x32, the {title} backend."


def test_other_tables():
    run = {
        "seconds": 90.0,
        "measured": 9.0,
        "extrapolated": True,
        "steps": 5,
        "data_share": 0.013,
        "batch_shapes": 4,
        "compiled_graphs": 6,
        "compile": 2.25,
    }
    ratio = {"median": 0.5}
    assert "| pytorch | 90 (extrapolated) | 9 | 5 | 1.3% | 4 | 6 | 2.2 s | 25% |" in performance.job(
        {"experiment": "e", "subjects": {"pytorch": [run]}, "ratios": {"pytorch/trainer-512": ratio}}
    )
    assert not any(
        "ratio" in line for line in performance.job({"experiment": "e", "subjects": {"pytorch": [run]}, "ratios": {}})
    )
    curve = {"values": [1, 2], "seconds": [0.1, 0.2], "exponents": {"seconds": 1.0, "memory": 0.5}}
    assert "| pytorch, rank | 1: 0.100 s, 2: 0.200 s | 1.00 | 0.50 |" in performance.growth(
        {"curves": {"pytorch, rank": curve}}
    )
    kinds = {"GELU": {"seconds": 0.01, "limit": 0}, "products of layers": {"seconds": 0.03, "limit": 0.02}}
    lines = performance.profile({"backend": "mindspore", "case": "c", "kinds": kinds})
    assert lines[0] == "Case c, the MindSpore backend."
    assert lines[-2:] == ["| GELU | 10.0 | 25% |  |", "| products of layers | 30.0 | 75% | 20.0 |"]
    operation = {"seconds": 2.0, "bytes": 4e9, "fraction": 0.25}
    assert "| merge | 2.00 | 4.00 | 2.00 | 0.25 |" in performance.merge({"operations": {"merge": operation}})
    memory = {
        "case": "c",
        "subjects": {"a": {"before": 2**20, "first": 2**21, "later": 0, "peak": 2**22, "saved_bytes": None}},
        "ratios": {"a/b": {"first": 2.0}},
    }
    lines = performance.memory(memory)
    assert "| a | 1 | 2 | 0 | 4 |  |" in lines
    assert "| a/b | 2.000 |  |  |  |  |" in lines
    seconds = {"twinlora --help": {"median": 0.1}}
    assert "Importing the pytorch backend loads torch and no other framework." in performance.startup(
        {"seconds": seconds, "loaded": {"pytorch": ["torch"]}}
    )


def test_the_page_in_the_documents_is_up_to_date():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert performance.rendered(page, ROOT / "docs" / "performance") == page
