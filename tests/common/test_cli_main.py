"""The command line answers at once, in exit codes that mean something, and shows a traceback only for faults of its
own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.cli import commands
from common.cli.main import build_parser, main
from common.errors import InputError, RunError
from common.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "import sys; from common.cli.main import main; sys.exit(main())"
HEAVY = ("numpy", "yaml", "torch", "mindspore", "transformers", "datasets", "matplotlib", "rich")


def twinlora(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", options.pop("code", COMMAND), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )


def test_help_imports_nothing_heavy_and_names_every_command():
    code = (
        "import sys\nfrom common.cli.main import build_parser\nprint(build_parser().format_help())\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = twinlora(code=code)
    assert result.stdout.rstrip().endswith("[]"), result.stdout
    assert all(
        f"\n    {name}" in result.stdout for name in ("train", "eval", "predict", "inspect", "merge", "compare", "demo")
    )


@pytest.mark.parametrize(
    "file", sorted(path.stem.replace("_", "-") for path in Path(commands.__path__[0]).glob("[a-z]*.py"))
)
def test_every_command_has_help(file, capsys):
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args([file, "--help"])
    assert caught.value.code == 0
    assert "usage: twinlora" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["trian"], ["train"], ["train", "bert_sst2"], ["train", "bert_sst2", "--backend", "pytorch", "--over"]],
)
def test_bad_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "nearest"), [(["trian"], "train"), (["study", "rnu"], "run"), (["map", "conver"], "convert")]
)
def test_an_unknown_command_is_answered_with_the_nearest(arguments, nearest, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"received {arguments[-1]!r}. Nearest: {nearest}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["train", "nowhere.yaml", "--backend", "pytorch"], "nowhere.yaml does not exist"),
        (["train", "bert_sst2", "--backend", "pytorhc"], "Nearest: pytorch"),
        (["inspect", "bert_sst2", "--set", "training.epoch=3"], "Nearest: epochs"),
        (["inspect", "bert_sst2", "--data-dir", "/nowhere/at all", "--model", "/nowhere/else"], "/nowhere/else"),
        (["eval", "/nowhere"], "A run directory holds config.yaml"),
        (["eval", "/nowhere", "--num-beams", "4", "--seed", "3"], "num_beams, seed: belongs to --outputs"),
        (["predict", "/nowhere"], "A run directory holds config.yaml"),
        (["compare", "/nowhere", "/nowhere"], "/nowhere"),
        (["merge", "/nowhere", "."], "new or empty folder"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(arguments, part, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert part in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_how_text_is_generated_is_not_read_by_what_writes_none(monkeypatch, capsys):
    """A label is the same whatever the temperature: whoever sets one expects something else."""
    trained = SimpleNamespace(task=TASKS.get("sequence-classification"))
    monkeypatch.setattr("common.cli.options.trained", lambda args, exported: trained)
    assert main(["predict", "/run", "--temperature", "0.5", "--max-new-tokens", "9"]) == 2
    said = capsys.readouterr().err
    assert "max_new_tokens, temperature" in said
    assert "trained for sequence-classification" in said


def failing(monkeypatch, error):
    def run(args):
        raise error

    monkeypatch.setattr("common.cli.commands.inspect.run", run)


@pytest.mark.parametrize(("error", "code"), [(InputError("x"), 2), (RunError("x"), 1), (KeyboardInterrupt(), 1)])
def test_exit_codes_follow_the_kind_of_error(monkeypatch, error, code):
    failing(monkeypatch, error)
    assert main(["inspect", "bert_sst2"]) == code


def test_the_traceback_is_shown_on_request_and_for_unexpected_errors(monkeypatch, capsys):
    failing(monkeypatch, InputError("wrong"))
    monkeypatch.setenv("TWINLORA_DEBUG", "1")
    assert main(["inspect", "bert_sst2"]) == 2
    assert "Traceback" in capsys.readouterr().err
    failing(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["inspect", "bert_sst2"])


def test_a_closed_pipe_is_silent():
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "inspect", "bert_sst2", "--yaml"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_inspect_prints_the_resolved_configuration_with_every_option_applied(capsys, tmp_path, monkeypatch):
    from common.config import from_yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert_sst2").mkdir()  # which holds no model
    assert (
        main(
            [
                "inspect",
                "bert_sst2",
                "--yaml",
                "--data-dir",
                "data: #1",
                "--model",
                "null",
                "--name",
                "mine",
                "--set",
                "seed=7",
            ]
        )
        == 0
    )
    config = from_yaml(capsys.readouterr().out)
    assert (config.data.directory, config.model.source, config.name, config.seed) == (
        os.path.join(tmp_path, "data: #1"),
        "null",
        "mine",
        7,
    )


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_the_whole_way_from_training_to_a_merged_checkpoint(tmp_path, capsys, monkeypatch):
    """Train, evaluate, predict, merge and compare a tiny GPT-2 on a text of our own."""
    pytest.importorskip("torch")
    for split, count in (("train", 40), ("validation", 8), ("test", 8)):
        (tmp_path / f"{split}.txt").write_text("".join(f"{n} and {n + 1} make {2 * n + 1}\n" for n in range(count)))
    files = ", ".join(f"{split}: {tmp_path / split}.txt" for split in ("train", "validation", "test"))
    (tmp_path / "sums.yaml").write_text(f"""
model: {{task: language-modeling, tokenizer: 'bpe:300', config: {{model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 32}}}}
data: {{name: files, files: {{{files}}}, text_column: text, max_length: 16}}
adaptation: {{rank: 2, alpha: 4, targets: ["*.attn.c_attn[q,v]"]}}
training: {{global_batch_size: 4, max_steps: 4, metric: perplexity}}
""")
    arguments = [
        "train",
        str(tmp_path / "sums.yaml"),
        "--backend",
        "pytorch",
        "--device",
        "cpu",
        "--output",
        str(tmp_path / "runs"),
    ]
    assert main(arguments) == 0
    run = tmp_path / "runs" / "sums" / "pytorch"
    assert capsys.readouterr().out.splitlines()[-1] == str(run)
    summary = json.loads((run / "summary.json").read_text())

    assert main(["eval", str(run)]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(summary["test"])

    result = twinlora("predict", str(run), "--json", "--max-new-tokens", "3", input="1 and 2\n\n3 and\n")
    assert [json.loads(line)["prompt"] for line in result.stdout.splitlines()] == ["1 and 2", "", "3 and"], (
        result.stderr
    )

    assert main(["merge", str(run), str(tmp_path / "merged")]) == 0
    assert "merged 1 modules" in capsys.readouterr().out
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.n_layer == 1
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == merged.config.vocab_size

    assert main([*arguments, "--name", "twin"]) == 0
    assert main(["compare", str(run), str(tmp_path / "runs/twin/pytorch"), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").is_file()
