"""A folder that PEFT wrote, from the command line: scored, asked, merged, and trained on; and ours, opened by PEFT by
itself."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import twinlora
from common.cli.main import main
from common.errors import InputError
from common.training.adapters import open_adapter
from tests.support import assert_near

pytestmark = pytest.mark.interpreted

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

WORDS = ["up", "down", "left", "right", "near", "far"]
TEXTS = ["up up left", "down far near", "right", "near far near far"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONFIG = """\
model: {{source: "{base}", task: sequence-classification}}
data: {{name: files, files: {{train: "{rows}", validation: "{rows}", test: "{rows}"}}, label_column: label, max_length: 16}}
adaptation: {{method: lora, rank: 4, alpha: 8, targets: [query, value]}}
training: {{global_batch_size: 4, max_steps: 3, evaluate_every_steps: 3}}
"""
NETWORKS = {
    "bert": ("BertConfig", "BertForSequenceClassification", {}),
    "roberta": ("RobertaConfig", "RobertaForSequenceClassification", {"pad_token_id": 0, "type_vocab_size": 1}),
    "electra": ("ElectraConfig", "ElectraForSequenceClassification", {"embedding_size": 16}),
}


METHODS = {
    "dora": lambda: peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["query", "value"], use_dora=True, task_type="SEQ_CLS"
    ),
    "ia3": lambda: peft.IA3Config(
        target_modules=["key", "value", "intermediate.dense"],
        feedforward_modules=["intermediate.dense"],
        task_type="SEQ_CLS",
    ),
    "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=4, task_type="SEQ_CLS"),
    "p_tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=8, task_type="SEQ_CLS"),
    "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="SEQ_CLS"),
    "vera": lambda: peft.VeraConfig(r=8, target_modules=["query", "value"], task_type="SEQ_CLS"),
    "ln_tuning": lambda: peft.LNTuningConfig(target_modules=["LayerNorm"], task_type="SEQ_CLS"),
}


@pytest.fixture(params=list(NETWORKS))
def folders(tmp_path, request):
    """A base model with its tokenizer, and an adapter of it that PEFT wrote; the model that it computes with."""
    return written_by_peft(tmp_path, request.param)


def written_by_peft(tmp_path, family, method=None):
    config, network, entries = NETWORKS[family]
    (tmp_path / "base").mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (tmp_path / "base" / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    sizes = SIZES | {"vocab_size": len(vocabulary), "max_position_embeddings": 32, **entries}
    base = getattr(transformers, network)(
        getattr(transformers, config)(**sizes, num_labels=2, id2label={0: "no", 1: "yes"})
    )
    base.save_pretrained(tmp_path / "base")
    wanted = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["query", "value"], task_type="SEQ_CLS", lora_dropout=0.0
    )
    model = peft.get_peft_model(base, METHODS[method]() if method else wanted).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    model.get_base_model().config._name_or_path = str(tmp_path / "base")
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "theirs")
    rows = "".join(
        json.dumps({"text": text, "label": label}) + "\n"
        for text, label in zip(TEXTS * 2, ["no", "yes"] * 4, strict=True)
    )
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "trial.yaml").write_text(CONFIG.format(base=tmp_path / "base", rows=tmp_path / "rows.jsonl"))
    return SimpleNamespace(path=tmp_path, model=model, family=family)


def expected(folders, texts=TEXTS):
    """Probabilities ``(texts, 2)`` that PEFT computes."""
    tokenizer = transformers.BertTokenizer(str(folders.path / "base" / "vocab.txt"))
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return folders.model(**inputs).logits.softmax(-1).numpy()


def predicted(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(TEXTS).encode()), isatty=lambda: False)
    )
    assert main(["predict", *map(str, arguments), "--json", "--device", "cpu"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return np.array([[answer["probabilities"][name] for name in ("no", "yes")] for answer in answers])


def test_predict_and_merge_give_what_peft_computes(folders, monkeypatch, capsys):
    found = predicted(monkeypatch, capsys, folders.path / "theirs", "--backend", "pytorch")
    assert_near(found, expected(folders), 1e-5)
    assert main(["merge", str(folders.path / "theirs"), str(folders.path / "merged")]) == 0
    capsys.readouterr()
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folders.path / "merged").eval()
    assert network.config.id2label == {0: "no", 1: "yes"}
    folders.model = network
    assert_near(expected(folders), found, 1e-5)


@pytest.mark.parametrize(
    "backend", ["pytorch", pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]
)
@pytest.mark.parametrize("method", METHODS)
def test_adapters_of_other_methods_give_what_peft_computes(tmp_path, monkeypatch, capsys, method, backend):
    found = written_by_peft(tmp_path, "bert", method)
    given = predicted(monkeypatch, capsys, tmp_path / "theirs", "--backend", backend)
    assert_near(given, expected(found), 1e-5)


@pytest.mark.parametrize(
    "method",
    ["{method: prompt, tokens: 3, text: up down}", "{method: p_tuning, tokens: 3, encoder: lstm, hidden: 8}"],
)
def test_peft_opens_a_run_with_virtual_tokens(tmp_path, monkeypatch, capsys, method):
    found = written_by_peft(tmp_path, "bert")
    command = ["train", str(tmp_path / "trial.yaml"), "--backend", "pytorch", "--device", "cpu"]
    assert main([*command, "--output", str(tmp_path / "runs"), "--set", f"adaptation={method}"]) == 0
    capsys.readouterr()
    run = tmp_path / "runs/trial/pytorch"
    given = predicted(monkeypatch, capsys, run)
    found.model = peft.AutoPeftModelForSequenceClassification.from_pretrained(run / "adapter", num_labels=2).eval()
    assert_near(given, expected(found), 1e-5)
    assert_near(predicted(monkeypatch, capsys, run / "adapter", "--backend", "pytorch"), given, 1e-5)


def test_virtual_tokens_and_text_must_fit_into_the_positions(tmp_path, capsys):
    written_by_peft(tmp_path, "bert")
    command = ["inspect", str(tmp_path / "trial.yaml"), "--set", "adaptation={method: prompt, tokens: TOKENS}"]
    capsys.readouterr()
    assert main([part.replace("TOKENS", "16") for part in command]) == 0
    assert main([part.replace("TOKENS", "17") for part in command]) == 2
    assert "received 17 + 16 = 33. Set data.max_length to at most 15" in capsys.readouterr().err
    assert main([*command[:2], "--set", "data.max_length=33"]) == 2
    assert "received 33. Set data.max_length=32 or less" in capsys.readouterr().err


@pytest.mark.needs_mindspore
def test_the_other_backend_reads_the_same_folder(folders, monkeypatch, capsys):
    if folders.family == "electra":
        pytest.skip("ELECTRA is read by transformers, in PyTorch alone")
    found = predicted(monkeypatch, capsys, folders.path / "theirs", "--backend", "mindspore")
    assert_near(found, expected(folders), 1e-5)


def test_eval_scores_the_adapter_on_the_data_of_an_experiment(folders, capsys):
    command = ["eval", str(folders.path / "theirs"), "--backend", "pytorch", "--device", "cpu"]
    assert main([*command, "--config", str(folders.path / "trial.yaml")]) == 0
    scores = json.loads(capsys.readouterr().out)
    right = (expected(folders).argmax(1) == np.array([0, 1, 0, 1])).mean()
    assert scores["accuracy"] == pytest.approx(right)
    assert main(command) == 2
    assert "Give an experiment: --config CONFIG" in capsys.readouterr().err


def test_training_begins_from_the_adapter_and_peft_opens_what_it_ends_in(folders, monkeypatch, capsys):
    """With a learning rate that moves nothing the run is the adapter that it began from."""
    command = ["train", str(folders.path / "trial.yaml"), "--backend", "pytorch", "--device", "cpu", "--output"]
    still = ["--set", "optimization.learning_rate=1e-30", "--set", f"model.adapter={folders.path / 'theirs'}"]
    assert main([*command, str(folders.path / "runs"), *still]) == 0
    assert "Beginning from the adapter in" in capsys.readouterr().err
    run = folders.path / "runs/trial/pytorch"
    assert_near(predicted(monkeypatch, capsys, run), expected(folders), 1e-5)
    ours = peft.AutoPeftModelForSequenceClassification.from_pretrained(run / "adapter", num_labels=2).eval()
    wanted = expected(folders)
    folders.model = ours
    assert_near(expected(folders), wanted, 1e-5)
    assert json.loads((run / "adapter/adapter_config.json").read_text())["modules_to_save"] == ["classifier"]


def test_an_adapter_of_another_plan_is_no_start(folders, capsys):
    command = [
        "train",
        str(folders.path / "trial.yaml"),
        "--backend",
        "pytorch",
        "--output",
        str(folders.path / "runs"),
    ]
    begin = ["--set", f"model.adapter={folders.path / 'theirs'}"]
    assert main([*command, *begin, "--set", "adaptation.rank=2"]) == 2
    assert "the adapter has rank 4 and scale 2, the plan rank 2" in capsys.readouterr().err
    assert main([*command, *begin, "--set", "adaptation={method: full}"]) == 2
    assert "Merge the adapter first" in capsys.readouterr().err
    assert not (folders.path / "runs").exists()


@pytest.mark.parametrize(
    ("entries", "part"),
    [
        ({"base_model_name_or_path": None}, "names no base model. Name it with --model SOURCE"),
        ({"task_type": "QUESTION_ANS"}, "tells no task of"),
        ({"peft_type": "LOHA"}, "holds LOHA"),
        ({"r": 8}, "the adapter has rank 8"),
        ({"r": -1}, "rank and alpha must be positive"),
        ({"use_dora": True}, "lora_magnitude_vector: missing"),
        ({"base_model_name_or_path": "/nowhere/at/all"}, "There is no folder /nowhere/at/all"),
    ],
)
def test_what_cannot_be_opened_says_why(folders, entries, part):
    path = folders.path / "theirs/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    with pytest.raises(InputError) as caught:
        open_adapter(folders.path / "theirs")
    assert part in str(caught.value)


def test_a_run_says_itself_what_an_adapter_leaves_unsaid(tmp_path, capsys):
    assert main(["eval", str(tmp_path), "--config", "bert_sst2"]) == 2
    assert "--model and --config are for an adapter folder" in capsys.readouterr().err


def test_the_classes_of_a_run_stay_with_its_adapter(tmp_path):
    """The base model has no head and no names of classes, so that the adapter alone cannot say which row is which."""
    written_by_peft(tmp_path, "bert")
    kept = transformers.BertModel.from_pretrained(tmp_path / "base")
    kept.config.id2label = {0: "LABEL_0", 1: "LABEL_1"}
    kept.save_pretrained(tmp_path / "base")
    given = {"data.label_names": ["yes", "no"], "optimization.learning_rate": 0.05}
    run = twinlora.train(tmp_path / "trial.yaml", "pytorch", given, device="cpu", output=tmp_path / "runs")
    adapters = twinlora.open_adapters({"it": run.path / "adapter"}, "pytorch", "cpu", model=str(tmp_path / "base"))
    assert adapters.predict(TEXTS) == run.predict(TEXTS)
    still = {"model.adapter": str(run.path / "adapter"), "optimization.learning_rate": 1e-30}
    with pytest.raises(InputError, match=r"Set data\.label_names: \[yes, no\]"):
        twinlora.train(tmp_path / "trial.yaml", "pytorch", still, "other", "cpu", tmp_path / "runs")
    still["data.label_names"] = ["yes", "no"]
    again = twinlora.train(tmp_path / "trial.yaml", "pytorch", still, "same", "cpu", tmp_path / "runs")
    assert again.predict(TEXTS) == run.predict(TEXTS)
