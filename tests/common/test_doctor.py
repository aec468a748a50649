"""``twinlora doctor`` says what works here, and names what does not with a remedy."""

import importlib.util
import json
from importlib import metadata

import pytest

from common import doctor, hub
from common.backend import BACKENDS, available, loader
from common.cli.main import main
from common.errors import InputError
from common.exporting import export
from common.training.system import versions


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    monkeypatch.setattr(hub, "settle", lambda: "it cannot be reached")


def findings(capsys):
    code = main(["doctor", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {(one["part"], one["name"]): one for one in lines}


def test_every_backend_that_is_installed_works_and_names_its_device(capsys):
    code, found = findings(capsys)
    assert code == 0
    for backend, there in available().items():
        one = found["backends", backend]
        assert one["state"] == ("ok" if there else "absent")
        assert not there or " on " in one["text"]
    assert found["hub", "Hugging Face"]["state"] == "absent"
    assert "--data-dir" in found["hub", "Hugging Face"]["advice"]
    assert found["packages", "numpy"]["state"] == "ok"


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("import os; os.abort()", "signal 6"),
        ("raise ImportError('libascend.so: cannot open shared object file')", "libascend.so"),
        ("print('no answer')", "it ended without a word"),
    ],
)
def test_a_framework_that_cannot_be_imported_is_a_fault_and_ends_nothing(probe, expected, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_PROBE", probe)
    code, found = findings(capsys)
    assert code == 1
    faults = [one for one in found.values() if one["state"] == "fault"]
    assert len(faults) == sum(available().values())
    assert all(expected in one["text"] and "pip install" in one["advice"] for one in faults)


def test_a_framework_under_another_name_is_examined(capsys, monkeypatch):
    """As nightly builds have; or none, where it was built in its folder."""

    def version(name, real=metadata.version):
        if name in BACKENDS.values():
            raise metadata.PackageNotFoundError(name)
        return "9.9.dev1" if name == "of-the-night" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    for named, expected in (({name: ["of-the-night"] for name in BACKENDS.values()}, "9.9.dev1"), ({}, "unknown")):
        monkeypatch.setattr(metadata, "packages_distributions", lambda named=named: named)
        assert versions("pytorch")["framework"] == f"torch {expected}"
        assert export._versions()["torch"] == expected
    code, found = findings(capsys)
    assert code == 0
    there = [found["backends", backend]["text"] for backend, is_there in available().items() if is_there]
    assert all("unknown on " in text for text in there)


def test_without_a_framework_it_says_what_can_be_done(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "No backend works" in said
    assert "pip install 'twinlora[mindspore]'" in said


def test_a_package_of_another_version_is_named(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_PROBE", "print('FOUND [\"cpu\", null]')")
    monkeypatch.setattr(doctor, "_version", lambda package: "0.0.1")
    code, found = findings(capsys)
    assert code == 1
    assert found["packages", "transformers"]["state"] == "fault"
    assert "pip install 'transformers" in found["packages", "transformers"]["advice"]


def test_a_python_for_which_a_framework_has_no_wheel_is_named(capsys, monkeypatch):
    monkeypatch.setattr(loader, "_PYTHON", (3, 13))
    monkeypatch.setattr(loader, "available", lambda: {"pytorch": True, "mindspore": False})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, found = findings(capsys)
    assert found["backends", "pytorch"]["advice"] == "pip install 'twinlora[pytorch]'"
    said = "mindspore has no wheel for Python 3.13: make an environment with Python 3.12, pip install 'twinlora[mindspore]'"
    assert found["backends", "mindspore"]["advice"] == said
    with pytest.raises(
        InputError, match=r"not installed. mindspore has no wheel for Python 3.13.*or use --backend pytorch"
    ):
        loader.load("mindspore")


def test_a_framework_that_is_missing_is_said_before_the_hub_is_asked(capsys, monkeypatch):
    monkeypatch.setattr(loader, "available", lambda: {"pytorch": True, "mindspore": False})
    monkeypatch.setattr(hub, "refuse_absent", lambda wanted: pytest.fail("the hub was asked"))
    assert main(["train", "bert_sst2", "--backend", "mindspore"]) == 2
    assert "pip install 'twinlora[mindspore]', or use --backend pytorch" in capsys.readouterr().err
