"""The request of a training job: made from arguments, checked field by field, and never with a credential in it."""

import copy
import json
import os
import re
import subprocess
import sys

import pytest

from common.errors import InputError
from common.launch.arguments import parse
from common.launch.code_dir import code_files, copy_code, find_credentials
from common.launch.processes import ROOT
from common.launch.request import JOB, MA_CLI, TEXTS, check, fill, rules
from tests.support import HANGS

SUBMIT = ROOT / "scripts" / "modelarts" / "submit.py"
PLACES = ("--code-url", "obs://b/twinlora", "--train-url", "obs://b/out", "--flavor", "modelarts.x")
IMAGE = ("--name", "sst2", "--config", "bert_sst2", "--image-url", "org/twinlora:1", *PLACES)
PRESET = (
    "--name",
    "sst2",
    "--config",
    "bert_sst2",
    "--engine-name",
    "Ascend-Powered-Engine",
    "--engine-version",
    "mindspore_x",
    *PLACES,
)
FULL = (
    "--description",
    "a trial",
    "--data-url",
    "obs://b/data/",
    "--model-url",
    "obs://b/bert/",
    "--log-url",
    "obs://b/log/",
    "--run-id",
    "one",
    "--hours",
    "2",
)
EXTENT = ("--nodes", "2", "--pool", "pool-1", "--set", "training.epochs=1", "--set", "seed=7")
TEMPLATE = SUBMIT.with_name("job.template.json")


def submit(*arguments, **environ):
    done = subprocess.run(
        [sys.executable, str(SUBMIT), *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def request(*arguments):
    code, output, errors = submit("--dry-run", *arguments)
    assert code == 0, errors
    return json.JSONDecoder().raw_decode(output)[0], output


@pytest.fixture(scope="module")
def rendered():
    return request(*IMAGE, *FULL, *EXTENT)


@pytest.fixture
def job(rendered):
    """A right request, to be spoiled."""
    return copy.deepcopy(rendered[0])


def test_a_dry_run_shows_the_request_and_the_code(rendered):
    job, output = rendered
    assert not list(check(job, JOB))
    assert not list(rules(job))
    assert "${" not in output
    algorithm = job["algorithm"]
    assert algorithm["command"] == "python /home/ma-user/modelarts/user-job-dir/twinlora/scripts/modelarts/boot.py"
    assert algorithm["engine"] == {"image_url": "org/twinlora:1", "install_sys_packages": True}
    parameters = {entry["name"]: entry["value"] for entry in algorithm["parameters"]}
    assert parameters == {
        "backend": "mindspore", "config": "bert_sst2", "device": "ascend", "run_id": "one", "train_url": "obs://b/out",
        "training.epochs": "1", "seed": "7",
    }  # fmt: skip
    assert {entry["name"]: entry["remote"]["obs"]["obs_url"] for entry in algorithm["inputs"]} == {
        "data_url": "obs://b/data/",
        "model_url": "obs://b/bert/",
    }
    assert job["spec"]["resource"] == {"flavor_id": "modelarts.x", "node_count": 2, "pool_id": "pool-1"}
    assert job["spec"]["auto_stop"] == {"time_unit": "HOURS", "duration": 2}
    listed = re.findall(r"^ *([\d,]+)  (\S+)$", output, re.MULTILINE)
    assert {name for _, name in listed} == {str(path) for path in code_files()}
    total = sum(int(size.replace(",", "")) for size, _ in listed)
    assert f"{total:>10,}  bytes in {len(listed)} files" in output
    assert total < 50e6


def test_a_preset_engine_has_a_boot_file():
    job, _ = request(*PRESET)
    assert job["algorithm"]["boot_file"] == "obs://b/twinlora/scripts/modelarts/boot.py"
    assert job["algorithm"]["engine"] == {"engine_name": "Ascend-Powered-Engine", "engine_version": "mindspore_x"}
    assert not {"command", "inputs"} & job["algorithm"].keys()
    assert "auto_stop" not in job["spec"]


def test_what_the_boot_file_is_given_it_understands(job):
    """Parameters and channels of the request, as the platform appends them to the command line."""
    line = [f"--{entry['name']}={entry['value']}" for entry in job["algorithm"]["parameters"]]
    line += [
        f"--{entry['name']}=/home/ma-user/modelarts/inputs/{entry['name']}_0" for entry in job["algorithm"]["inputs"]
    ]
    args = parse(line)
    assert (args.ignored, args.overrides) == ((), ("training.epochs=1", "seed=7"))
    assert (args.run_id, args.train_url, args.data_url) == (
        "one",
        "obs://b/out",
        "/home/ma-user/modelarts/inputs/data_url_0",
    )


@pytest.mark.parametrize(
    ("place", "planted", "fault"),
    [
        ("spec.resource", {"flavour_id": "x"}, "spec.resource.flavour_id is no field. Nearest: flavor_id."),
        ("algorithm", {"boot_flie": "x"}, "algorithm.boot_flie is no field. Nearest: boot_file"),
        ("spec.resource", {"node_count": "2"}, "spec.resource.node_count must be of type int; received '2'"),
        ("spec.resource", {"node_count": True}, "spec.resource.node_count must be of type int; received True"),
        ("algorithm", {"parameters": {}}, "algorithm.parameters must be a list; received {}"),
        (
            "algorithm",
            {"parameters": [{"name": "x", "vaule": "1"}]},
            "algorithm.parameters[0].vaule is no field. Nearest: value.",
        ),
        ("algorithm", {"parameters": [{"name": "x"}]}, "algorithm.parameters[0].value must be given"),
        ("algorithm", {"environments": {"X": 1}}, "algorithm.environments must map text to text; received {'X': 1}"),
        (
            "algorithm",
            {"inputs": [{"name": "d", "remote": "obs://b"}]},
            "algorithm.inputs[0].remote must be an object; received 'obs://b'",
        ),
        ("", {"kind": None}, "kind must be of type str; received None"),
    ],
)
def test_a_planted_fault_is_named(job, place, planted, fault):
    target = job
    for key in filter(None, place.split(".")):
        target = target[key]
    target.update(planted)
    assert any(found.startswith(fault) for found in check(job, JOB)), list(check(job, JOB))


@pytest.mark.parametrize(
    ("place", "planted", "fault"),
    [
        ("metadata", {"name": "two words"}, "metadata.name must be"),
        ("algorithm", {"engine": {"engine_name": "MindSpore"}}, "algorithm.engine must name"),
        ("algorithm", {"engine": {"engine_id": "1", "image_url": "x"}}, "algorithm.engine must name"),
        ("algorithm", {"command": ""}, "algorithm must have code_dir"),
        ("algorithm", {"boot_file": "obs://b/twinlora/boot.py"}, "algorithm must have code_dir"),
        ("algorithm", {"boot_file": "obs://elsewhere/boot.py"}, "algorithm.boot_file must be in code_dir"),
        ("algorithm", {"environments": {"MA_X": "1"}}, "algorithm.environments"),
        ("algorithm", {"environments": {"X": "$HOME"}}, "algorithm.environments"),
        ("algorithm", {"environments": {f"X{i}": "1" for i in range(101)}}, "algorithm.environments"),
        (
            "algorithm",
            {"outputs": [{"name": "train_url", "remote": {"obs": {"obs_url": "obs://b/o"}}}]},
            "train_url is given twice",
        ),
        (
            "algorithm",
            {"inputs": [{"name": "d", "access_method": "env", "remote": {"obs": {"obs_url": "obs://b/o"}}}]},
            "the channel d must have",
        ),
        ("spec", {"resource": {"node_count": 1}}, "spec.resource must name"),
        ("spec", {"resource": {"node_count": 0, "flavor_id": "x"}}, "spec.resource must name"),
    ],
)
def test_a_broken_rule_is_named(job, place, planted, fault):
    job[place].update(planted)
    assert not list(check(job, JOB))
    assert any(found.startswith(fault) for found in rules(job)), list(rules(job))


def test_a_typo_in_a_template_is_caught_before_anything_is_submitted(tmp_path):
    template = tmp_path / "job.json"
    template.write_text(TEMPLATE.read_text().replace("flavor_id", "flavour_id").replace('"node_count"', '"node_cuont"'))
    code, output, errors = submit(*IMAGE, "--template", str(template))
    assert (code, output) == (2, "")
    assert "spec.resource.flavour_id is no field. Nearest: flavor_id." in errors
    assert "spec.resource.node_cuont is no field. Nearest: node_count." in errors
    assert "spec.resource.node_count must be given" in errors


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        ((*IMAGE, "--config", "bert_sst3"), "Nearest: bert_sst2"),
        ((*IMAGE, "--data-url", "/home/me/data"), "data_url must be in a bucket"),
        ((*IMAGE, "--set", "epochs"), "--set takes KEY=VALUE"),
        ((*IMAGE, "--name", "two words"), "metadata.name"),
        (PLACES + IMAGE[:4], "algorithm.engine must name"),
    ],
)
def test_wrong_arguments_are_refused(arguments, mentioned):
    code, _, errors = submit("--dry-run", *arguments)
    assert code == 2
    assert mentioned in errors


ACCESS_KEY, SECRET_KEY = (
    "HPUA" + "1B2C3D4E5F6G7H8I",
    "aB3" + "dEf9GhIjKlMnOpQrStUvWxYz0123456789abC"[:37],
)  # made up; in two parts, so that no scanner minds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"key: {ACCESS_KEY}", True),
        (f'"{SECRET_KEY}"', True),
        ("SK=" + "a1b2" * 4, True),
        ("secret_access_key = '" + "z9" * 8 + "'", True),
        ("password: " + "hunter2hunter2", True),
        ("sha " + "0123456789abcdef" * 2 + "01234567", False),
        ("LANGUAGEMODELINGTASK", False),
        ("12345678901234567890", False),
        ("task=sequence0classification1", False),
        ("token: PreTrainedTokenizerFast", False),
    ],
)
def test_credentials_are_recognised(text, found):
    assert bool(find_credentials(text)) is found
    assert not any(text[-12:] in what for what in find_credentials(text))  # and not repeated


def test_credentials_are_refused_in_arguments_and_files(cluster):
    code, output, errors = submit("--dry-run", *IMAGE, "--description", f"AK {ACCESS_KEY}")
    assert (code, output) == (2, "")
    assert "an argument: an access key" in errors
    assert ACCESS_KEY not in errors
    copy_code(cluster.scratch / "code")
    (cluster.scratch / "code" / "configs" / "mine.yaml").write_text(f"secret_key: {SECRET_KEY}\n")
    done = subprocess.run(
        [sys.executable, str(cluster.scratch / "code/scripts/modelarts/submit.py"), "--dry-run", *IMAGE],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 2
    assert "configs/mine.yaml: a secret key" in done.stderr


def test_the_code_directory_is_what_a_job_needs(tmp_path):
    names = {str(path) for path in code_files()}
    assert {
        "scripts/modelarts/boot.py",
        "common/cli/main.py",
        "mindspore_impl/engine.py",
        "configs/bert_sst2.yaml",
        "mindspore_impl/mapping.lock.json",
    } <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".", "tests", "docs"))]
    copy_code(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import common.cli.main, common.launch.job; print(common.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))


def test_ma_cli_is_used_where_it_is(tmp_path):
    program = tmp_path / "bin" / "ma-cli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1 $2"; cat "$3" > {tmp_path}/seen; exit 5\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    code, output, _ = submit(*IMAGE, "--data-url", "obs://b/data/", "--set", "training.epochs=1", PATH=path)
    assert code == 5
    assert "ma-job submit" in output
    import yaml

    job = yaml.safe_load((tmp_path / "seen").read_text())
    assert not list(check(job, MA_CLI))
    assert job["train-instance-count"] == 1
    assert job["user-command"].endswith(
        "boot.py --config=bert_sst2 --backend=mindspore --device=ascend --data_url=obs://b/data/ --train_url=obs://b/out --training.epochs=1"
    )
    assert "pool-id" not in job


def test_without_ma_cli_nothing_is_submitted_and_it_says_how_to(tmp_path):
    code, _, errors = submit(*IMAGE, PATH=str(tmp_path))
    assert code == 1
    assert "Nothing was submitted: ma-cli is not on PATH" in errors
    assert "training-jobs" in errors
    assert submit(*PRESET, PATH=str(tmp_path))[0] == 1


def test_the_request_is_written_with_the_code(tmp_path):
    code, output, _ = submit("--dry-run", *IMAGE, "--write", str(tmp_path / "job"))
    assert code == 0
    assert json.loads((tmp_path / "job" / "job.json").read_text()) == json.JSONDecoder().raw_decode(output)[0]
    assert "image-url: org/twinlora:1" in (tmp_path / "job" / "job.yaml").read_text()
    assert (tmp_path / "job" / "code" / "scripts" / "modelarts" / "boot.py").is_file()


def test_filling_keeps_types_and_drops_what_has_no_value():
    template = {"a": "${n}", "b": ["x", "${none}", {"c": {"d": "${none}"}}], "e": {"f": "${none}"}, "g": "as it is"}
    assert fill(template, {"n": 3, "none": None}) == {"a": 3, "b": ["x"], "g": "as it is"}
    with pytest.raises(InputError, match=r"placeholders known, other; received \$\{unknown\}\. Nearest: known"):
        fill({"a": "${unknown}"}, {"known": 1, "other": 2})


def test_the_fields_are_those_of_the_platforms_sdk(job):
    """Runs where the package huaweicloudsdkmodelarts is installed: every field that is known here exists there with the
    same type, and the job fits."""
    model = pytest.importorskip("huaweicloudsdkmodelarts.v1.model", reason="the platform's SDK is not installed")
    assert not list(_unknown(JOB, "Job", model, "job"))
    assert not list(_unfit(job, "Job", model, "job"))
    job["spec"]["resource"]["flavour_id"] = job["spec"]["resource"].pop("flavor_id")
    assert list(_unfit(job, "Job", model, "job")) == ["job.spec.resource.flavour_id"]
    assert list(_unknown({"spec!": {"resource!": {"node_count": str}}}, "Job", model, "job")) == [
        "job.spec.resource.node_count"
    ]


def _sdk(kind, model):
    """The fields of a type of the SDK by their names in JSON."""
    described = getattr(model, kind)
    return {described.attribute_map[name]: inner for name, inner in described.openapi_types.items()}


def _unknown(schema, kind, model, path):
    """Fields of ``schema`` that the SDK has not, or has with another type."""
    plain = {str: "str", int: "int", bool: "bool"}
    for name, inner in schema.items():
        here, theirs = f"{path}.{name.rstrip('!')}", _sdk(kind, model).get(name.rstrip("!"))
        if isinstance(inner, list) and theirs is not None and theirs.startswith("list["):
            yield from _unknown(inner[0], theirs[5:-1], model, here)
        elif isinstance(inner, dict) and hasattr(model, str(theirs)):
            yield from _unknown(inner, theirs, model, here)
        elif theirs != ("dict(str, str)" if inner == TEXTS else plain.get(inner) if isinstance(inner, type) else None):
            yield here


def _unfit(value, kind, model, path):
    """Fields of a request that the SDK has not, or that are of another type."""
    if kind in ("str", "int", "bool"):
        if type(value).__name__ != kind:
            yield path
    elif kind.startswith("list["):
        for place, item in enumerate(value):
            yield from _unfit(item, kind[5:-1], model, f"{path}[{place}]")
    elif kind != "dict(str, str)":
        for name, item in value.items():
            theirs = _sdk(kind, model).get(name)
            yield from [f"{path}.{name}"] if theirs is None else _unfit(item, theirs, model, f"{path}.{name}")
