"""The whole demonstration with a few steps: every installed framework, the proof with PEFT, and the page."""

import re

import pytest

from common.backend import BACKENDS, available
from common.demo import Steps, run_demo
from common.demo.work import peft_missing
from common.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if not any(available().values()):
        pytest.skip("neither framework is installed")
    path = run_demo(tmp_path_factory.mktemp("demo"), steps=Steps(base=4, adapted=3))
    return path, path.read_text(encoding="utf-8")


def test_every_installed_framework_ran_and_the_others_are_named(page):
    path, text = page
    for name, installed in available().items():
        assert (path.parent / "adapted" / name / "adapter" / "adapter_model.safetensors").is_file() == installed
        assert (f"pip install &#x27;twinlora[{name}]&#x27; adds it" in text) != installed


def test_the_page_is_complete_and_loads_nothing(page):
    _, text = page
    assert text.rstrip().endswith("</html>")
    assert "held-out perplexity" in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=\"(?!#)", text)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_both_frameworks_agree_on_every_loss_and_peft_gives_the_logits_of_mindspore(page):
    _, text = page
    assert float(re.search(r"first 50 steps</dt><dd>([^<]+)", text)[1]) < 1e-4
    if not peft_missing():
        assert float(re.search(r"PEFT&#x27;s logits against MindSpore&#x27;s</dt><dd>([^<]+)", text)[1]) < 1e-4
        assert float(re.search(r"change that the adapter makes to the logits</th><td>([^<]+)", text)[1]) > 1e-3


def test_the_experiments_can_be_trained_again_by_command(page):
    from common.config import load_config

    path, _ = page
    config = load_config(path.parent / "adapted.yaml")
    assert (config.name, config.adaptation.method, config.training.max_steps) == ("adapted", "lora", 3)


@pytest.mark.parametrize("names", [("jax",), ("pytorch", "tensorflow")])
def test_an_unknown_backend_is_refused_before_anything_is_written(tmp_path, names):
    with pytest.raises(InputError, match="needs backends that are installed"):
        run_demo(tmp_path / "out", names)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_for_the_demonstration(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        run_demo(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_without_a_framework_the_demonstration_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("common.backend.available", lambda: dict.fromkeys(BACKENDS, False))
    with pytest.raises(InputError, match=r"twinlora\[all\]"):
        run_demo(tmp_path / "out")
