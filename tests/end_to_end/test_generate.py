"""`twinlora generate`, from a trained run to text: on the command line, from Python, in the backend that did not
train."""

from __future__ import annotations

import io
import json
import sys

import pytest

import twinlora
from common.cli.main import main
from common.errors import InputError

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.interpreted]

EXPERIMENT = """\
model:
  task: language-modeling
  tokenizer: bpe:280
  config: {model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 32, initializer_range: 0.3}
data: {name: files, text_column: text, prompt_column: prompt, max_length: 32, length_multiple: 8}
adaptation: {rank: 2, alpha: 4, targets: ["*.attn.c_attn[q,v]"]}
optimization: {learning_rate: 1.0e-2}
training: {global_batch_size: 8, max_steps: 3, evaluation_batch_size: 4, metric: loss}
"""
OPTIONS = ["--max-new-tokens", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A completed run of a tiny GPT-2 with LoRA."""
    root = tmp_path_factory.mktemp("generate")
    lines = [{"prompt": f"name[{word}]", "text": f"{word} is a {word} place"} for word in ("red", "blue", "old") * 8]
    (root / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "tiny.yaml").write_text(EXPERIMENT)
    files = [f"data.files.{split}={root / 'data.jsonl'}" for split in ("train", "validation")]
    options = [part for file in files for part in ("--set", file)]
    arguments = ["train", str(root / "tiny.yaml"), "--backend", "pytorch", "--device", "cpu", "--output", str(root)]
    assert main([*arguments, *options]) == 0
    return root / "tiny" / "pytorch"


@pytest.fixture
def printed(capsys):
    """Standard output of a command that must succeed."""

    def of(*arguments):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return of


@pytest.fixture
def refused(capsys):
    """The message of a command that must be refused."""

    def of(*arguments):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        return capsys.readouterr().err

    return of


def test_the_command_writes_what_python_gets(run, printed):
    prompts = ["name[red]", "name[a much longer place]"]
    opened = twinlora.open(run, device="cpu")
    expected = opened.generate(prompts, max_new_tokens=8)
    assert [record["prompt"] for record in expected] == prompts
    assert all(record["text"] and record["finish"] in ("end", "length") for record in expected)
    given = [part for prompt in prompts for part in ("--prompt", prompt)]
    lines = printed("generate", run, *given, "--json", *OPTIONS).splitlines()
    assert [json.loads(line) for line in lines] == expected
    plain = printed("generate", run, *given, *OPTIONS)
    assert plain.splitlines()[0] == f"> {prompts[0]}"
    assert all(record["text"] in plain for record in expected if record["text"].isprintable())


def test_a_single_text_is_streamed_and_the_same(run, printed, monkeypatch):
    given = ["generate", run, "--prompt", "name[red]", *OPTIONS]
    record = json.loads(printed(*given, "--json"))
    pieces = []
    from common.cli.commands import generate as command

    write = command._write
    monkeypatch.setattr(command, "_write", lambda *piece: (pieces.append(piece[2]), write(*piece)))
    out = printed(*given)
    assert "".join(pieces) == record["text"]
    assert len(pieces) > 1
    assert out.endswith("\n")


def test_prompts_come_from_a_file_or_from_standard_input(run, printed, tmp_path, monkeypatch):
    file = tmp_path / "prompts.jsonl"
    prompts = ["name[red]", "name[blue]", "name[red]"]
    file.write_text("\n".join(json.dumps({"prompt": prompt, "other": 1}) for prompt in prompts) + "\n\n")
    options = ["--num-return-sequences", "2", "--top-p", "0.9", "--seed", "3", "--json", *OPTIONS]
    lines = printed("generate", run, "--file", file, "--batch-size", "2", *options).splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == [prompt for prompt in prompts for _ in range(2)]
    assert lines[:2] == lines[4:]  # a sample depends on its prompt, not on its place
    assert lines[0] != lines[1]
    for mark in (b"", b"\xef\xbb\xbf"):
        content = mark + "".join(f"{prompt}\n" for prompt in prompts).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert printed("generate", run, *options).splitlines() == lines


def test_prompts_of_a_file_are_read_as_other_files_are(run, printed, refused, tmp_path, monkeypatch):
    file = tmp_path / "prompts.jsonl"
    given = ["generate", run, "--json", *OPTIONS]
    file.write_bytes("\ufeff".encode() + '{"prompt": "a\u2028b\x85c"}\r\n'.encode())
    assert json.loads(printed(*given, "--file", file))["prompt"] == "a\u2028b\x85c"
    for content in (b'{"prompt": "a\\ud800"}', b'{"prompt": "a", "x": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", b"\xff"):
        file.write_bytes(content + b"\n")
        assert f"{file}, line 1" in refused(*given, "--file", file)
    assert "A prompt must be text" in refused(*given, "--prompt", "a\udc80b")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xffb\n")))
    assert "standard input, line 1" in refused(*given)


@pytest.mark.needs_mindspore
def test_the_other_backend_writes_the_same(run, printed):
    given = ["generate", run, "--prompt", "name[red]", "--json", *OPTIONS]
    for options in (["--num-beams", "3", "--length-penalty", "0.8"], ["--temperature", "0.8", "--seed", "1"]):
        mine, theirs = (json.loads(printed(*given, *options, "--backend", name)) for name in ("pytorch", "mindspore"))
        scores = mine.pop("score", 0.0), theirs.pop("score", 0.0)
        assert mine == theirs
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_predict_continues_lines_with_the_same_code(run, printed, monkeypatch):
    record = json.loads(printed("generate", run, "--prompt", "name[old]", "--json", *OPTIONS))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"name[old]\n")))
    answer = json.loads(printed("predict", run, "--json", *OPTIONS))
    assert answer == {"prompt": "name[old]", "continuation": record["text"], "finish": record["finish"]}
    opened = twinlora.open(run, device="cpu")
    assert opened.predict(["name[old]"], max_new_tokens=8) == [answer]
    with pytest.raises(InputError, match="A prediction is one text"):
        opened.predict(["name[old]"], num_beams=2, num_return_sequences=2)


def test_white_space_around_a_prompt_is_none_of_it_as_in_training(run, printed, monkeypatch):
    expected = json.loads(printed("generate", run, "--prompt", "name[old]", "--json", *OPTIONS))["tokens"]
    for prompt in (" name[old]", "name[old] ", "\tname[old]  "):
        assert json.loads(printed("generate", run, "--prompt", prompt, "--json", *OPTIONS))["tokens"] == expected


def test_wrong_arguments_are_refused_before_anything_is_written(run, refused, tmp_path):
    given = ["generate", run, "--device", "cpu"]
    assert "max_new_tokens must be at least 1" in refused(*given, "--prompt", "x", "--max-new-tokens", "0")
    assert "--batch-size must be at least 1" in refused(*given, "--prompt", "x", "--batch-size", "0")
    assert "exceed the context of 32" in refused(*given, "--prompt", "name[red]", "--max-new-tokens", "400")
    bad = tmp_path / "bad.jsonl"
    for content, message in (('{"prompt": "a"}\n{"text": 1}\n', "line 2"), ("x\n", "line 1"), ("\n", "has none")):
        bad.write_text(content)
        assert message in refused(*given, "--file", bad)
    assert "no such file" in refused(*given, "--file", tmp_path / "missing").lower()


def test_what_exceeds_the_context_may_slide(run, printed):
    given = ["generate", run, "--prompt", "name[red]", "--max-new-tokens", "40", "--slide", "--json", "--device", "cpu"]
    record = json.loads(printed(*given, "--min-new-tokens", "40"))
    assert len(record["tokens"]) == 40
