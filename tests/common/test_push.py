"""Sharing through a hub: what goes, what never goes, and what is said where it cannot. The hub is a small server on
this machine that answers as the real one is documented to."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common import hub
from common.cli.main import main
from common.config import load_config, to_yaml

SECRETS = ("metrics.jsonl", "predictions/test.json", "checkpoint/state.safetensors", "adapter/notes.txt", "data.csv")


class Hub(BaseHTTPRequestHandler):
    """Keeps the repositories that are made and the files of commits."""

    def do_GET(self):
        self.server.paths.append(self.path)
        if self.headers.get("authorization") != "Bearer hf_token":
            self.answer({"error": "Invalid username or password."}, 401)
            return
        name = self.path.removeprefix("/api/models/")
        self.answer({"id": name, "private": self.server.repositories.get(name, False), "tags": [], "siblings": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.paths.append(self.path)
        if self.headers.get("authorization") != "Bearer hf_token":
            self.answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in server.repositories
            server.repositories.setdefault(name, asked.get("visibility") == "private" or asked.get("private") is True)
            self.answer({"url": f"{server.address}/{name}"}, 409 if there else 200)
        elif self.path == "/api/validate-yaml":
            server.validated.append(json.loads(body)["content"])
            self.answer({})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            for line in lines:
                if line["key"] == "file":
                    server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
            self.answer({"commitUrl": f"{server.address}/{name}/commit/1", "commitOid": "1", "success": True})
        else:
            self.answer({"error": self.path}, 404)

    def answer(self, content, status=200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    found = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    found.address = f"http://127.0.0.1:{found.server_port}"
    found.repositories, found.files, found.validated, found.paths = {}, {}, [], []
    threading.Thread(target=found.serve_forever, daemon=True).start()
    for name in (*hub._PROXIES, *(name.lower() for name in hub._PROXIES), "HF_HUB_OFFLINE", hub._FOUND):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", found.address)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub._unreachable.cache_clear()
    yield found
    hub._unreachable.cache_clear()
    found.shutdown()
    found.server_close()


@pytest.fixture
def run(tmp_path):
    """A finished run as it lies on the disk, with what must stay."""
    folder = tmp_path / "runs" / "bert_sst2" / "mindspore"
    for name in ("adapter", "tokenizer", "predictions", "checkpoint"):
        (folder / name).mkdir(parents=True)
    for name in SECRETS:
        (folder / name).write_text("secret")
    config = load_config("bert_sst2", ["model.source=o/base"])
    (folder / "config.yaml").write_text(to_yaml(config))
    summary = {
        "status": "finished", "backend": "mindspore", "name": "bert_sst2", "seed": 1, "device": "cpu", "steps": 2,
        "epochs": 1, "best_step": 2, "before": None, "validation": {"accuracy": 0.9}, "test": None, "method": "m",
        "data": {"labels": ["no", "yes"], "columns": ["text"]}, "model": {"parameters": 7}, "trainable": {"total": 1},
        "adapter_bytes": 1, "seconds": {}, "seconds_per_step": 1, "peak_memory_bytes": 1, "versions": {}, "hardware": {},
        "settings": {},
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    step = {"event": "step", "step": 1, "loss": 1.0, "learning_rate": 0.1, "duration": 1}
    (folder / "metrics.jsonl").write_text(json.dumps(step))
    named = {"peft_type": "LORA", "base_model_name_or_path": "o/base"}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(named))
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


def test_adapter_tokenizer_and_card_arrive_and_nothing_else(server, run, capsys):
    assert main(["push", str(run), "--to", "me/mine", "--private"]) == 0
    assert set(server.files) == {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}
    assert server.files["adapter_model.safetensors"] == b"weights"
    assert server.repositories == {"me/mine": True}
    card = server.files["README.md"].decode()
    assert "PeftModel.from_pretrained(base, 'me/mine')" in card
    assert server.validated == [card]
    assert not any(b"secret" in content for content in server.files.values())
    assert capsys.readouterr().out.splitlines()[-1] == f"{server.address}/me/mine/commit/1"


def test_a_trial_lists_the_files_and_asks_nobody(server, run, capsys):
    assert main(["push", str(run), "--to", "me/mine", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "adapter_model.safetensors" in shown
    assert "library_name: peft" in shown
    assert server.paths == []


def test_a_public_repository_is_not_taken_for_a_private_one(server, run, capsys):
    server.repositories["me/mine"] = False
    assert main(["push", str(run), "--to", "me/mine", "--private"]) == 2
    assert "is public" in capsys.readouterr().err
    assert server.files == {}


def test_a_base_model_that_only_this_machine_has_must_be_named(server, run, tmp_path, capsys):
    local = {"peft_type": "LORA", "base_model_name_or_path": str(tmp_path)}
    (run / "adapter" / "adapter_config.json").write_text(json.dumps(local))
    assert main(["push", str(run), "--to", "me/mine"]) == 2
    assert "--base ORG/NAME" in capsys.readouterr().err
    assert main(["push", str(run), "--to", "me/mine", "--base", "o/other"]) == 0
    assert json.loads(server.files["adapter_config.json"])["base_model_name_or_path"] == "o/other"
    assert b"base_model: o/other" in server.files["README.md"]


def refused(capsys, *arguments):
    """The one sentence of a refusal."""
    code = main(["push", *map(str, arguments)])
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1)
    return lines[0]


def test_what_cannot_be_shared_is_refused_with_one_sentence(server, run, tmp_path, capsys, monkeypatch):
    assert "received 'mine'" in refused(capsys, run, "--to", "mine")
    assert "holds no config.yaml" in refused(capsys, tmp_path, "--to", "me/mine")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert "does not open me/mine for writing" in refused(capsys, run, "--to", "me/mine")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "set HF_TOKEN" in refused(capsys, run, "--to", "me/mine")
    summary = json.loads((run / "summary.json").read_text()) | {"status": "failed"}
    (run / "summary.json").write_text(json.dumps(summary))
    assert "has not come to its end" in refused(capsys, run, "--to", "me/mine")
    assert server.files == {}


def test_an_exported_model_is_not_taken_for_an_unfinished_run(run, capsys):
    (run / "export.json").write_text("{}")
    assert "is an exported model" in refused(capsys, run, "--to", "me/mine", "--dry-run")


def test_weights_that_are_missing_are_not_shared_without_a_word(server, run, tmp_path, capsys):
    (run / "adapter" / "adapter_model.safetensors").unlink()
    assert "holds no weights" in refused(capsys, run, "--to", "me/mine")
    merged = tmp_path / "merged"
    merged.mkdir()
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": {"a": files[0], "b": files[1]}}
    (merged / "model.safetensors.index.json").write_text(json.dumps(index))
    (merged / files[0]).write_bytes(b"weights")
    assert f"lists {files[1]}, which" in refused(capsys, merged, "--to", "me/mine")
    assert server.files == {}
    (merged / files[1]).write_bytes(b"weights")
    assert main(["push", str(merged), "--to", "me/mine"]) == 0
    assert set(files) < set(server.files)


def test_a_hub_that_does_not_answer_is_said_at_once(server, run, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub._unreachable.cache_clear()
    assert "Nothing was uploaded: HF_HUB_OFFLINE is set" in refused(capsys, run, "--to", "me/mine")
