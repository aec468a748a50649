"""Trained models behind a server: every answer is that of `twinlora predict`, to the digit, whoever else asks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import twinlora
from common.cli.main import main
from common.serving.model import serve
from tests.golden.cases import CASES, overrides, write_data
from tests.serving.models import ask, serving
from tests.support import HANGS

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {name: getattr(pytest.mark, f"needs_{name}") for name in ("pytorch", "mindspore")}
WORDS = ["up", "down", "left", "right", "forward", "back", "turn", "around"]
TEXTS = [" ".join((WORDS * 3)[number : number + 1 + number % 14]) for number in range(20)]  #: of both padded lengths


def trained_run(folder: Path, name: str) -> Path:
    """The run of a golden case, interpreted where that is a choice."""
    [case] = [case for case in CASES if case.name == name]
    write_data(folder)
    (folder / f"{name}.yaml").write_text(case.yaml)
    sets = [part for pair in (*overrides(folder), "training.compile=false") for part in ("--set", pair)]
    given = ["train", str(folder / f"{name}.yaml"), "--backend", case.backend, "--device", "cpu"]
    assert main([*given, "--output", str(folder), *sets]) == 0
    return folder / name / case.backend


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A classifier."""
    return trained_run(tmp_path_factory.mktemp("films"), "bert-classification-lora-pytorch")


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """A language model."""
    return trained_run(tmp_path_factory.mktemp("stories"), "gpt2-text-lora-pytorch")


def asked_at_once(server, name: str, texts: list[str] = TEXTS, **more) -> list[dict]:
    """The answers to the texts, each in a request of its own, all at the same time."""
    found: dict[int, dict] = {}

    def one(number: int) -> None:
        status, answer = server.predict(texts[number], name=name, **more)
        assert status == 200, answer
        found[number] = answer["answers"][0]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(texts))]


@pytest.mark.needs_pytorch
def test_a_classifier_answers_as_predict_whatever_else_is_asked(films):
    run = twinlora.open(films, device="cpu")
    expected = [run.predict([text])[0] for text in TEXTS]
    with serving(serve("films", films, None, "cpu", None), max_wait=0.05) as server:
        assert asked_at_once(server, "films") == expected
        found = server.ask("GET", "/metrics")[1]["models"]["films"]
        assert found["texts"] > found["batches"], "texts were computed together"


@pytest.mark.parametrize("backend", [pytest.param("mindspore", marks=(NEEDS["mindspore"], pytest.mark.nightly))])
def test_a_classifier_in_another_backend_answers_as_predict_there(films, backend):
    run = twinlora.open(films, backend, "cpu")
    expected = [run.predict([text])[0] for text in TEXTS]
    with serving(serve("films", films, backend, "cpu", None), max_wait=0.05) as server:
        assert asked_at_once(server, "films") == expected


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.parametrize("integers", [[], ["--int8"]], ids=["float32", "int8"])
def test_an_exported_graph_answers_as_predict(films, tmp_path, integers):
    """Also in int8, where rows of a batch share the range of their activations."""
    pytest.importorskip("onnxruntime")
    assert main(["export", str(films), str(tmp_path / "graph"), *integers]) == 0
    run = twinlora.open(tmp_path / "graph")
    expected = [run.predict([text])[0] for text in TEXTS]
    with serving(serve("films", tmp_path / "graph", None, None, None), max_wait=0.05) as server:
        assert asked_at_once(server, "films") == expected


@pytest.mark.needs_pytorch
def test_a_language_model_writes_what_predict_writes(stories):
    options = {"max_new_tokens": 3, "temperature": 0.7, "seed": 3, "slide": True}
    run, texts = twinlora.open(stories, device="cpu"), TEXTS[::3]
    expected = [run.predict([text], **options)[0] for text in texts]
    with serving(serve("stories", stories, None, "cpu", None)) as server:
        assert asked_at_once(server, "stories", texts, options=options) == expected
        status, found = server.predict("up", name="stories", options={"max_new_tokens": 1000})
        assert (status, "inputs[0]" in found["error"]) == (400, True)


@pytest.mark.needs_pytorch
def test_a_merged_model_answers_as_predict(films, tmp_path, monkeypatch, capsys):
    assert main(["merge", str(films), str(tmp_path / "merged")]) == 0
    capsys.readouterr()
    texts, expected = TEXTS[::6], []
    for text in texts:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["predict", str(tmp_path / "merged"), "--backend", "pytorch", "--device", "cpu", "--json"]) == 0
        expected.append(json.loads(capsys.readouterr().out))
    with serving(serve("films", tmp_path / "merged", "pytorch", "cpu", None), max_wait=0.05) as server:
        assert asked_at_once(server, "films", texts) == expected
    of_run = twinlora.open(films, device="cpu").predict(texts)
    assert [one["label"] for one in expected] == [one["label"] for one in of_run]
    assert [one["probabilities"] for one in expected] == [
        pytest.approx(one["probabilities"], abs=1e-5) for one in of_run
    ]
    assert main(["eval", str(tmp_path / "merged")]) == 2
    assert "does not say what it is scored on" in capsys.readouterr().err


@pytest.mark.needs_pytorch
def test_the_command_serves_two_artifacts_and_ends_under_load_with_every_accepted_request_answered(films, stories):
    command = [sys.executable, "-m", "twinlora", "serve", f"films={films}", f"stories={stories}", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            port = next(int(line.rpartition(":")[2]) for line in process.stdout if line.startswith("Answering at "))
            listed = ask(port, "GET", "/models")[1]["models"]
            assert {name: one["labels"] for name, one in listed.items()} == {"films": ["a", "b", "c"], "stories": None}
            statuses, broken, begun = [], [], threading.Event()

            def keep_asking(name: str) -> None:
                with contextlib.suppress(ConnectionRefusedError):
                    while True:
                        try:
                            statuses.append(ask(port, "POST", f"/predict/{name}", {"inputs": ["up down"]})[0])
                        except ConnectionRefusedError:
                            raise
                        except Exception as error:  # looked at below
                            broken.append(error)
                            return
                        if len(statuses) > 20:
                            begun.set()

            threads = [threading.Thread(target=keep_asking, args=(name,)) for name in ("films", "stories") * 4]
            for thread in threads:
                thread.start()
            assert begun.wait(HANGS)
            process.send_signal(signal.SIGTERM)
            for thread in threads:
                thread.join(HANGS)
            assert process.wait(HANGS) == 0
        finally:
            process.kill()
    assert set(statuses) == {200}
    assert all(isinstance(error, ConnectionResetError) for error in broken), broken
