"""``twinlora inspect`` says before a training what the training would say or refuse."""

from __future__ import annotations

import pytest

from common.cli.main import main

ROWS = "text,label\ngood,\x1b[2Jup\nbad,down\nfine,down\npoor,\x1b[2Jup\n"
CONFIG = """\
model: {{task: {task}, tokenizer: "bpe:260", config: {network}}}
data: {{name: files, files: {{train: {rows}}}, {columns}, max_length: 16}}
adaptation: {{method: lora, rank: 2, alpha: 4, targets: {targets}}}
training: {{global_batch_size: 2, max_steps: 4, metric: loss}}
"""
BERT = "{model_type: bert, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 8}"
GPT2 = "{model_type: gpt2, n_embd: 8, n_layer: 1, n_head: 1, n_positions: 32}"


@pytest.fixture
def inspect(tmp_path, capsys):
    """Exit code, output and errors of the command."""

    def run(
        *overrides, network=BERT, task="sequence-classification", columns="label_column: label", targets='["*.query"]'
    ):
        (tmp_path / "rows.csv").write_text(ROWS)
        text = CONFIG.format(network=network, task=task, columns=columns, targets=targets, rows=tmp_path / "rows.csv")
        (tmp_path / "trial.yaml").write_text(text)
        code = main(["inspect", str(tmp_path / "trial.yaml"), *(part for one in overrides for part in ("--set", one))])
        return code, *capsys.readouterr()

    return run


def test_control_characters_of_labels_do_not_reach_the_terminal(inspect):
    code, said, _ = inspect()
    assert code == 0
    assert "labels \\x1b[2Jup, down" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(("steps", "remarked"), [(4, True), (40, True), (3, False)])
def test_a_warm_up_that_never_ends_is_remarked(inspect, steps, remarked):
    code, said, _ = inspect(f"optimization.warmup_steps={steps}")
    assert code == 0
    assert (f"note: The warm-up of {steps} steps is as long as the training of 4 or longer" in said) is remarked


def test_an_adapter_that_cannot_be_merged_is_remarked_before_the_training(inspect):
    language = {"network": GPT2, "task": "language-modeling", "columns": "text_column: text"}
    code, said, _ = inspect(targets="[wte]", **language)
    assert code == 0
    assert (
        "note: an adapter of this plan cannot be merged: transformer.wte: an output layer, or another module, shares its weight"
        in said
    )
    assert "cannot be merged" not in inspect(targets='["*.c_attn"]', **language)[1]


def test_data_that_a_training_would_refuse_are_an_error_here_too(inspect):
    code, _, errors = inspect("data.label_column=lable")
    assert code == 2
    assert "must have the column lable; it has text, label. Nearest: label" in errors


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("num_attention_heads=0", "num_attention_heads must be from 1 to 2,147,483,647; received 0"),
        ("num_hidden_layers=100000000000", "num_hidden_layers must be from 1 to 10,000"),
        ("hidden_size=1000000000", "A model must fit into memory"),
        ("hidden_act=null", "hidden_act must be a name; received None"),
        ("layer_norm_eps=null", "layer_norm_eps must be a non-negative number; received None"),
        ("vocab_size=-1", "vocab_size must be from 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_memory_is_taken(inspect, entry, part):
    code, _, errors = inspect(f"model.config.{entry}")
    assert code == 2
    assert part in errors


def test_a_tokenizer_of_more_tokens_than_memory_is_refused(inspect):
    code, _, errors = inspect("model.tokenizer=bpe:1000000000000")
    assert code == 2
    assert "at most 2,000,000; received 'bpe:1000000000000'" in errors
