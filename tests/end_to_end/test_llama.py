"""A small Llama from its first step to text: trained from scratch, merged, adapted by LoRA in both backends, merged again,
and asked; `transformers` writes the same."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

import twinlora
from common.cli.main import main

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.needs_mindspore, pytest.mark.interpreted]

LOSS = 1e-4  #: relative, each step
STEPS = 6
NETWORK = """
  config: {model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 4,
           num_key_value_heads: 2, max_position_embeddings: 128, initializer_range: 0.2}
"""
TRAINING = "training: {global_batch_size: 8, max_steps: STEPS, epochs: 99, log_every_steps: 1, metric: loss, evaluation_batch_size: 16}\n"
INSTRUCTIONS = """
model: {{source: SOURCE, task: instruction-tuning, dropout: 0.1, task_options: {{template: plain, system: Be brief.}}, TOKENIZER}}
data: {{name: files, files: {{train: {folder}/talks.jsonl, validation: {folder}/talks.jsonl}}, text_column: messages,
        max_length: 96, length_multiple: 32}}
optimization: {{learning_rate: 1.0e-2}}
"""
FACTS = """
model: {{source: SOURCE, task: data-to-text, dropout: 0.1, TOKENIZER}}
data: {{name: e2e, directory: {data}, max_length: 96, length_multiple: 32, max_examples: {{train: 64, validation: 16, test: 8}}}}
optimization: {{learning_rate: 1.0e-2}}
"""
FULL = "adaptation: {method: full}\n"
LORA = 'adaptation: {method: lora, rank: 4, alpha: 8, dropout: 0.1, targets: ["*.q_proj", "*.v_proj"]}\n'
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


def losses(run) -> np.ndarray:
    lines = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    return np.array([line["loss"] for line in lines if line["event"] == "step"])


def begun(text: str, source: str, folder, name: str, adaptation: str):
    """Write an experiment; a model from scratch has the small network."""
    tokenizer = "tokenizer: bpe:320" if source == "null" else "tokenizer: null"
    network = NETWORK if source == "null" else ""
    head, _, rest = text.replace("SOURCE", source).replace("TOKENIZER", tokenizer).partition("}\ndata:")
    if network:
        head = head + ", " + network.strip()
    path = folder / f"{name}.yaml"
    path.write_text(head + "}\ndata:" + rest + adaptation + TRAINING.replace("STEPS", str(STEPS)))
    return path


def trained(path, backend, root):
    assert main(["train", str(path), "--backend", backend, "--device", "cpu", "--output", str(root)]) == 0
    return root / path.stem / backend


@pytest.mark.parametrize("kind", ["instructions", pytest.param("facts", marks=pytest.mark.nightly)])
def test_both_backends_adapt_it_alike_and_transformers_writes_the_same(
    kind, tmp_path, shared_data, monkeypatch, capsys
):
    if kind == "facts":
        text = FACTS.format(data=shared_data("e2e"))
        prompts = ["name[The Eagle], food[French]", "name[Clowns], eatType[pub], near[The Sorrento]"]
    else:
        talks = [
            {
                "messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}]
                * (1 + i % 2)
            }
            for i, n in enumerate(NUMBERS * 2)
        ]
        (tmp_path / "talks.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))
        text, prompts = INSTRUCTIONS.format(folder=tmp_path), ["Say two.", "Say seven and eight."]
    base = trained(begun(text, "null", tmp_path, "base", FULL), "pytorch", tmp_path / "runs")
    assert losses(base)[-1] < losses(base)[0]
    assert main(["merge", str(base), str(tmp_path / "model"), "--shard-size", "20KB"]) == 0
    assert (tmp_path / "model" / "model.safetensors.index.json").is_file()
    path = begun(text, str(tmp_path / "model"), tmp_path, "lora", LORA)
    runs = {backend: trained(path, backend, tmp_path / "runs") for backend in ("pytorch", "mindspore")}
    found = {backend: losses(run) for backend, run in runs.items()}
    np.testing.assert_allclose(found["mindspore"], found["pytorch"], rtol=LOSS)
    texts = {}
    for backend, run in runs.items():
        opened = twinlora.open(run, backend=backend, device="cpu")
        texts[backend] = [
            [record["tokens"] for record in opened.generate(prompts, max_new_tokens=12, **options)]
            for options in ({}, {"num_beams": 3})
        ]
    assert texts["mindspore"] == texts["pytorch"]
    assert main(["merge", str(runs["mindspore"]), str(tmp_path / "merged")]) == 0
    ids = opened._trained.task.prompt_ids(
        prompts, opened._trained.tokenizer, opened._trained.summary["data"]["columns"]
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    for number, prompt in enumerate(prompts):
        if kind == "instructions":
            turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
            theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
            assert theirs == ids[number]
        given = torch.tensor([ids[number]])
        for row, options in enumerate(({}, {"num_beams": 3})):
            with torch.no_grad():
                tokens = model.generate(given, max_new_tokens=12, do_sample=False, **options)[
                    0, given.shape[1] :
                ].tolist()
            end = tokenizer.eos_token_id
            assert texts["pytorch"][row][number] == (tokens[: tokens.index(end)] if end in tokens else tokens)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{prompts[0]}\n".encode())))
    capsys.readouterr()
    assert main(["predict", str(runs["pytorch"]), "--device", "cpu", "--json", "--max-new-tokens", "12"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert opened._trained.tokenizer.decode(texts["pytorch"][0][0]) == answer["continuation"]
