"""From a data-to-text set to scored texts, and perplexity in both forms, through the command line in both backends."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest

from common.cli.main import main
from common.metrics.text import TEXT_METRICS
from common.training.perplexity import windows, words_of

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.interpreted]

MODEL = "config: {model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 48, initializer_range: 0.3}"
FACTS = f"""\
model:
  task: data-to-text
  tokenizer: bpe:300
  task_options: {{label_smoothing: 0.1}}
  {MODEL}
data: {{name: files, text_column: ref, prompt_column: mr, max_length: 48, length_multiple: 8}}
adaptation: {{method: full}}
optimization: {{learning_rate: 1.0e-2}}
training: {{global_batch_size: 8, max_steps: 3, evaluation_batch_size: 4, metric: loss}}
"""
TEXT = f"""\
model:
  task: language-modeling
  tokenizer: bpe:280
  {MODEL}
data: {{name: files, text_column: text, max_length: 16, length_multiple: 8}}
adaptation: {{method: full}}
optimization: {{learning_rate: 1.0e-2}}
training: {{global_batch_size: 4, max_steps: 2, evaluation_batch_size: 4, metric: loss}}
"""
LINES = ["the cat sat", "", " = heading =", "a dog and a cat", "the end"] * 4


def command(*arguments) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def trained(root, name: str, experiment: str, file):
    (root / f"{name}.yaml").write_text(experiment)
    files = [part for split in ("train", "validation", "test") for part in ("--set", f"data.files.{split}={file}")]
    command("train", root / f"{name}.yaml", "--backend", "pytorch", "--device", "cpu", "--output", root, *files)
    return root / name / "pytorch"


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """A run on facts with two texts each."""
    root = tmp_path_factory.mktemp("facts")
    rows = [
        {"mr": f"name[{word}], food[{food}]", "ref": text}
        for word in ("red", "blue")
        for food in ("fish", "bread")
        for text in (f"{word} serves {food}.", f"There is {food} at {word}.")
    ]
    (root / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return trained(root, "facts", FACTS, root / "data.jsonl")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A run on packed text."""
    root = tmp_path_factory.mktemp("text")
    (root / "data.txt").write_text("\n".join(LINES) + "\n")
    return trained(root, "text", TEXT, root / "data.txt")


@pytest.fixture
def printed(capsys):
    """What a command prints."""

    def of(*arguments) -> str:
        capsys.readouterr()
        command(*arguments)
        return capsys.readouterr().out

    return of


@pytest.mark.needs_mindspore
def test_both_backends_write_and_score_the_same_texts(facts, printed, tmp_path):
    found = {}
    for backend in ("pytorch", "mindspore"):
        file = tmp_path / f"{backend}.jsonl"
        options = ["--backend", backend, "--device", "cpu", "--max-new-tokens", "6", "--num-beams", "2"]
        scores = json.loads(printed("eval", facts, "--outputs", file, "--metrics", "bleu-e2e,rouge-l", *options))
        records = [json.loads(line) for line in file.read_text().splitlines()]
        found[backend] = [record["text"] for record in records], scores["texts"]
        assert [record["prompt"] for record in records][:2] == ["name[red], food[fish]", "name[red], food[bread]"]
        assert records[0]["references"] == ["red serves fish.", "There is fish at red."]
        assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    assert found["pytorch"] == found["mindspore"]
    texts, scores = found["pytorch"]
    metric = TEXT_METRICS.get("bleu-e2e")
    references = [record["references"] for record in records]
    assert scores["bleu-e2e"]["value"] == pytest.approx(
        float(metric.score(metric.statistics(texts, references).sum(0)))
    )


def test_generated_files_are_scored_and_compared(facts, printed, tmp_path):
    short, long = tmp_path / "short.jsonl", tmp_path / "long.jsonl"
    for file, count in ((short, 2), (long, 12)):
        options = ["--output", file, "--max-new-tokens", count, "--device", "cpu", "--limit", "3"]
        printed("generate", facts, "--split", "validation", *options)
    found = json.loads(printed("score", short, long, "--json", "--resamples", "20"))
    assert found["examples"] == 3
    first, second = (system["metrics"]["rouge-l"] for system in found["systems"])
    change = found["systems"][1]["against_first"]["rouge-l"]
    assert change["difference"] == pytest.approx(second["value"] - first["value"])
    table = printed("score", short, long, "--resamples", "20")
    assert "95 % interval" in table
    assert "against the first" in table
    references = tmp_path / "references.txt"
    records = [json.loads(line) for line in short.read_text().splitlines()]
    references.write_text("\n\n".join("\n".join(record["references"]) for record in records))
    (tmp_path / "short.txt").write_text("".join(f"{record['text'].strip()}\n" for record in records))
    again = json.loads(
        printed("score", tmp_path / "short.txt", "--references", references, "--json", "--resamples", "20")
    )
    assert again["systems"][0]["metrics"] == found["systems"][0]["metrics"]


def test_lines_of_facts_are_answered_as_they_are_by_generate(facts, printed, monkeypatch):
    lines = ["name[red], food[fish]", "name : red | food : fish"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    answers = printed("predict", facts, "--device", "cpu", "--max-new-tokens", "5", "--json").splitlines()
    first, second = map(json.loads, answers)
    assert first["continuation"] == second["continuation"]  # the first is brought into the form of the second
    written = printed("generate", facts, "--device", "cpu", "--max-new-tokens", "5", "--json", "--prompt", lines[0])
    assert json.loads(written)["text"] == first["continuation"]


def test_what_does_not_fit_is_refused(facts, text, capsys, tmp_path):
    cases = [
        (["generate", facts, "--prompt", "a", "--limit", "2"], "--limit: belongs to --split"),
        (["generate", text, "--split", "test", "--device", "cpu"], "Texts are written for the prompts of a split"),
        (["generate", facts, "--split", "unseen", "--device", "cpu"], "There is no unseen split"),
        (["eval", facts, "--metrics", "nist"], "Give a file for them: --outputs"),
        (["eval", facts, "--stride", "8", "--device", "cpu"], "that of packed text"),
        (["eval", text, "--stride", "17", "--device", "cpu"], "must lie in 1..16"),
    ]
    (tmp_path / "plain.jsonl").write_text('{"text": "a"}\n')
    cases.append((["score", tmp_path / "plain.jsonl"], "holds no references"))
    for arguments, message in cases:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.needs_mindspore
def test_perplexity_is_that_of_a_sum_over_positions_in_both_backends(text, printed):
    import twinlora

    plain = twinlora.open(text, device="cpu").evaluate()
    for backend in ("pytorch", "mindspore"):
        whole = json.loads(printed("eval", text, "--stride", "16", "--backend", backend, "--device", "cpu"))
        assert whole["perplexity_per_token"] == pytest.approx(plain["perplexity"], rel=1e-5)
        loss = math.log(whole["perplexity_per_token"]) * whole["tokens"]
        assert whole["words"] == words_of(LINES) == 4 * (4 + 1 + 4 + 6 + 3)
        assert math.log(whole["perplexity_per_word"]) == pytest.approx(loss / whole["words"], rel=1e-9)
        near = json.loads(printed("eval", text, "--stride", "4", "--backend", backend, "--device", "cpu"))
        assert near["tokens"] == whole["tokens"]
        assert near["perplexity_per_token"] != whole["perplexity_per_token"]


def test_perplexity_with_a_stride_is_what_transformers_gives_for_each_window(text, printed):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(text / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(text / "model")
    ids = [
        i for line in LINES for i in [*tokenizer(line, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ]
    total, done, window, stride = 0.0, 0, 16, 5
    for start in range(0, len(ids) - 1, stride):
        stop = min(start + window, len(ids) - 1)
        with torch.no_grad():
            logits = model(torch.tensor([ids[start:stop]])).logits[0].double()
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start + 1 : stop + 1]), reduction="none")
        total, done = total + losses[done - start :].sum().item(), stop
        if stop == len(ids) - 1:
            break
    found = json.loads(printed("eval", text, "--stride", stride, "--device", "cpu"))
    assert found["tokens"] == len(ids) - 1
    assert math.log(found["perplexity_per_token"]) == pytest.approx(total / (len(ids) - 1), rel=1e-5)


@pytest.mark.parametrize(("length", "window", "stride"), [(2, 4, 4), (9, 4, 4), (23, 8, 3), (40, 16, 1), (17, 16, 16)])
def test_every_token_but_the_first_is_a_target_once_with_at_least_window_less_stride_before_it(length, window, stride):
    tokens = np.arange(100, 100 + length, dtype=np.int32)
    columns = windows(tokens, window, stride)
    targets = []
    for inputs, labels in zip(columns["input_ids"], columns["labels"], strict=True):
        assert len(inputs) == len(labels) <= window
        for place, label in enumerate(labels):
            if label >= 0:
                assert label == inputs[place] + 1
                assert place >= min(label - 101, window - stride)
                targets.append(label)
    assert targets == list(tokens[1:])
