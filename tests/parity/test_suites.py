"""The suites in both backends: they agree, they notice, and hosts that never meet can compare them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from common import backend as backends
from common.cli.main import main
from common.config import load_config
from common.files import ANY, load_arrays
from common.models import FAMILIES
from common.parity.cases import Host
from common.parity.compare import compare
from common.parity.recording import record
from common.parity.suites import build, members
from common.parity.suites.subjects import pairs
from common.parity.trace import read_trace, write_trace
from common.tasks import TASKS
from tests.support import shared_experiment

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
HOSTS = {"baseline": ("pytorch", "float32"), "test": ("mindspore", "float32"), "reference": ("pytorch", "float64")}


def record_all(folder, suite, options=None, names=HOSTS, **flags):
    """Traces of both backends and the reference, in this process and without compilation."""
    for name in names:
        backend, dtype = HOSTS[name]
        package = backends.load(backend)
        host = Host(
            backend,
            package,
            package.device.select("cpu"),
            dtype,
            compile=False,
            **(flags if backend == "mindspore" else {}),
        )
        record(build(suite, options or {}), host, folder / name)
    return [read_trace(folder / name) for name in HOSTS]


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    return record_all(tmp_path_factory.mktemp("layers"), "layers")


#: in every run; the others in turn, and all of them in the nightly run
REPRESENTATIVES = (("bert", "sequence-classification"), ("gpt2", "language-modeling"))


def relative(name: str) -> bool:
    """Whether a family is another one's network under other sizes, whose own tests say what differs."""
    kind = type(FAMILIES.get(name))
    return not {"backbone", "head"} & vars(kind).keys() and kind.__base__ in {type(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def models(tmp_path_factory, request):
    """Every family with every task; in the default run each with one of them, and what defects are planted in."""
    tried = pairs() if request.config.getoption("--nightly") else tuple(dict.fromkeys((*REPRESENTATIVES, *in_turn())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("common.parity.suites.models.pairs", lambda: tried)
        return record_all(tmp_path_factory.mktemp("models"), "models")


def verdicts(comparison):
    return {
        case.id: (case.verdict, case.message) for case in comparison.cases if case.verdict not in ("pass", "rounding")
    }


def test_every_layer_agrees(layers):
    found = compare(*layers)
    assert verdicts(found) == {}
    assert len(found.cases) >= 20


def test_every_model_agrees_in_every_hidden_state_and_gradient(models):
    found = compare(*models)
    assert verdicts(found) == {}
    tensors = {
        tensor.name
        for case in found.cases
        if case.id == "models/bert/sequence-classification/full"
        for tensor in case.tensors
    }
    assert {
        "hidden/00",
        "hidden/04",
        "logits",
        "loss",
        "gradient/bert.embeddings.word_embeddings.weight",
        "gradient/classifier.bias",
    } <= tensors


def in_turn() -> tuple[tuple[str, str], ...]:
    """Every family but relatives with one of its tasks, another one for each as far as there are."""
    found: list[tuple[str, str]] = []
    for family in dict.fromkeys(family for family, _ in pairs() if not relative(family)):
        names = [name for owner, name in pairs() if owner == family]
        taken = [name for _, name in found]
        found.append((family, min(names, key=lambda name: (taken.count(name), names.index(name)))))
    return tuple(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        lambda: REPRESENTATIVES,
        pytest.param(in_turn, marks=pytest.mark.nightly),
        pytest.param(pairs, marks=pytest.mark.nightly),
    ],
    ids=["representatives", "in_turn", "pairs"],
)
def test_training_agrees_with_dropout_off_and_on(tmp_path, monkeypatch, chosen):
    """A few steps of families with tasks; the command takes thirty."""
    tried = chosen()
    monkeypatch.setattr("common.parity.suites.training.pairs", lambda: tried)
    found = compare(*record_all(tmp_path, "training", {"steps": 4}))
    assert verdicts(found) == {}
    assert {case.id for case in found.cases} == {
        f"training/{family}/{task}/{mode}" for family, task in tried for mode in ("plain", "dropout")
    }
    if chosen is in_turn:
        assert {family for family, _ in tried} == {family.name for family in FAMILIES if not relative(family.name)}
    if chosen is pairs:
        assert {family for family, _ in tried} == {family.name for family in FAMILIES}
        assert {task for _, task in tried} == {task.name for task in TASKS}


PLANTED = {
    "one element": (lambda t, n: t.__setitem__(n, bump(t[n])), "models/bert/sequence-classification/lora::hidden/02"),
    "layers swapped": (
        lambda t, n: swap(t, n, n.replace("hidden/01", "hidden/02")),
        "models/gpt2/language-modeling/lora::hidden/01",
    ),
    "a scaled gradient": (
        lambda t, n: t.__setitem__(n, t[n] * np.float32(1.0001)),
        "models/gpt2/language-modeling/full::gradient/transformer.h.2.mlp.c_fc.weight",
    ),
    "a flipped sign": (
        lambda t, n: t.__setitem__(n, -t[n]),
        "models/bert/sequence-classification/full::gradient/classifier.bias",
    ),
}


def bump(array):
    array = array.copy()
    array[tuple(size // 2 for size in array.shape)] += np.float32(1e-3) * np.abs(array).max()
    return array


def swap(tensors, first, second):
    tensors[first], tensors[second] = tensors[second], tensors[first]


@pytest.mark.parametrize("level", ["models", "training"])
def test_settings_of_an_experiment_belong_to_its_cases_and_those_of_a_host_do_not(level):
    """Traces of two learning rates are of different suites, and what was computed with one is not kept for the other."""

    def digest(*overrides):
        return build(level, {"config": load_config("bert_sst2", list(overrides))}).digest()

    whole = digest()
    assert digest("data.directory=elsewhere", "training.dtype=bf16", "training.log_every_steps=7") == whole
    for setting in ("optimization.learning_rate=0.5", "adaptation.alpha=3", "model.dropout=0.3", "seed=9"):
        assert digest(setting) != whole, setting


def test_every_case_of_the_members_can_be_built():
    """What suits a family is planned for it, without an error that a recording of hours meets near its end."""
    every = members.cases({})
    assert len(every) > 600
    for case in every:
        assert case.inputs(), case.id


@pytest.mark.parametrize("defect", PLANTED)
def test_a_defect_planted_in_a_real_trace_is_found_and_nothing_else_is(models, tmp_path, defect):
    change, target = PLANTED[defect]
    baseline, test, reference = models
    tensors, _ = load_arrays(test.path / "tensors.safetensors", ANY)
    change(tensors, target)
    case, _, name = target.partition("::")
    from common.parity.cases import array_hash
    from common.parity.trace import statistics

    grouped: dict[str, dict] = {entry["id"]: {} for entry in test.manifest["cases"]}
    for key, array in tensors.items():
        grouped[key.partition("::")[0]][key.partition("::")[2]] = array
    entries = json.loads(json.dumps(test.manifest["cases"]))
    for entry in entries:
        for tensor in entry["tensors"]:
            array = grouped[entry["id"]][tensor["name"]]
            tensor |= {"sha256": array_hash(array), "stats": statistics(array)}
    write_trace(tmp_path, test.manifest["producer"], test.manifest["suite"], entries, grouped)
    found = compare(baseline, read_trace(tmp_path), reference)
    assert {one.id for one in found.cases if one.verdict == "fail"} == {case}
    assert name in found.first_failure.message


def test_the_coarse_tanh_of_mindspore_is_flagged_and_the_shims_is_not(tmp_path):
    options = {"only": "torch.tanh"}
    plain = compare(*record_all(tmp_path / "plain", "ops", options, plain=True))
    failed = [case for case in plain.cases if case.verdict == "fail"]
    assert any("[-20, 20)" in case.title and "exceeds" in case.message for case in failed), (
        "the float32 kernel is off by up to 1e-4 for |x| > 3"
    )
    assert compare(*record_all(tmp_path / "shim", "ops", options)).exit_code == 0


@pytest.mark.nightly
def test_rows_of_many_families_agree(tmp_path):
    for row in (
        "torch.matmul",
        "torch.nn.functional.softmax",
        "torch.nn.LSTM",
        "torch.optim.AdamW",
        "torch.nn.functional.dropout",
        "torch.linalg.det",
    ):
        found = compare(*record_all(tmp_path / row, "ops", {"only": row}))
        assert verdicts(found) == {}, row


def test_a_recorded_run_becomes_a_suite(tmp_path):
    calls = [
        {
            "torch": "torch.nn.functional.linear",
            "arguments": ["float32 5x4", "float32 3x4"],
            "keywords": {},
            "count": 2,
        },
        {
            "torch": "torch.nn.functional.embedding",
            "arguments": ["int32 2x3", "float32 7x4"],
            "keywords": {},
            "count": 1,
        },
        {"torch": "torch.permute", "arguments": ["float32 2x3x4", "(0, 2, 1)"], "keywords": {}, "count": 1},
    ]
    log = tmp_path / "calls.json"
    log.write_text(json.dumps({"schema": 1, "rows": {}, "calls": calls}))
    found = compare(*record_all(tmp_path, "recorded", {"log": log}))
    assert [case.id for case in found.cases] == [
        "recorded/torch.nn.functional.linear/00",
        "recorded/torch.nn.functional.embedding/00",
        "recorded/torch.permute/00",
    ]
    assert found.exit_code == 0


@pytest.mark.slow
def test_two_processes_that_lack_each_others_framework_make_traces_that_a_third_without_either_compares(tmp_path):
    program = (
        "import json, sys\nfor name in {hidden!r}: sys.modules[name] = None\nfrom common.cli.main import main\n"
        "sys.exit(max(main(command) for command in json.loads(sys.argv[1])))"
    )

    def run(hidden, *commands):
        return subprocess.run(
            [sys.executable, "-c", program.format(hidden=hidden), json.dumps(commands)],
            capture_output=True,
            text=True,
            check=False,
        )

    suite = ["trace", "record", "layers", "--device", "cpu", "-o"]
    in_double = [*suite, str(tmp_path / "exact"), "--backend", "pytorch", "--dtype", "float64"]
    traces = [str(tmp_path / name) for name in ("torch", "mindspore")]
    done = [
        run(["mindspore"], [*suite, traces[0], "--backend", "pytorch"], in_double),
        run(["torch"], [*suite, traces[1], "--backend", "mindspore"]),
        run(["torch", "mindspore"], ["trace", "compare", *traces, "--reference", str(tmp_path / "exact")]),
    ]
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert "Both compute the same thing" in done[-1].stdout
    refused = run(["mindspore"], ["parity", "layers", "-o", str(tmp_path / "p")])
    assert refused.returncode == 2
    assert "not installed here: mindspore" in refused.stderr


@pytest.mark.slow
def test_the_command_proves_the_layers_and_writes_its_reports(tmp_path, capfd):
    assert main(["parity", "layers", "--device", "cpu", "--torch-device", "cpu", "-o", str(tmp_path)]) == 0
    assert "0 raised an error" in capfd.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "baseline",
        "test",
        "reference",
        "report.html",
        "report.md",
        "report.json",
    }


@pytest.mark.slow
def test_a_pretrained_encoder_agrees_on_real_sentences(tmp_path, minilm_folder, shared_data):
    """Logits within 1e-5, every LoRA gradient within 1e-5 of its norm."""
    config = shared_experiment("bert_sst2", minilm_folder, shared_data("sst2-sentences"))
    traces = record_all(tmp_path, "models", {"config": config})
    found = compare(*traces)
    assert verdicts(found) == {}
    [case] = found.cases
    first, second = (trace.tensor(case.id, "logits") for trace in traces[:2])
    assert np.abs(first - second).max() <= 1e-5
    gradients = [
        tensor for tensor in case.tensors if "lora_" in tensor.name or tensor.name.startswith("gradient/classifier")
    ]
    assert len(gradients) == 6 * 2 * 2 + 2
    assert all(tensor.difference.rms_rel <= 1e-5 for tensor in gradients)
