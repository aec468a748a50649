"""Every reader of files that come from elsewhere, with a good example of its files and a corpus of bad ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from laboratory import Quiet, experiment

from common.config import from_yaml, load_config
from common.config.schema import DataConfig, ModelConfig
from common.data import load_dataset, load_tokenizer
from common.files import load_arrays
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.report.runs import read_run
from common.tasks import TASKS
from common.training.assembly import open_trained
from common.training.rundir import RunDirectory
from common.training.runlog import check_log, read_log

__all__ = ["Reader", "readers"]


@dataclass(frozen=True)
class Reader:
    """What is read, from which files of which folder, and how."""

    name: str
    folder: Path  #: copied for every trial
    files: tuple[str, ...]  #: one of which is changed
    read: Callable[[Path], Any]
    corpus: tuple[bytes, ...] = ()  #: contents of the first file that once broke a reader
    json: bool = True  #: whether .json files are changed by their parts too


def readers(scratch: Path) -> Iterator[Reader]:
    """All of them; what they need is made in ``scratch``."""
    run = _run(scratch)
    yield _experiments(scratch)
    yield from _data(scratch)
    yield from _models(scratch, run)
    yield from _runs(run)


_YAML = (
    *(b"name: !!int abc\n", b"a: &a [*a]\n", b"a: [" * 3000, b"model: {dropout: 1" + b"0" * 400 + b"}\n", b"\xff\xfe"),
    *(
        b"name: !!python/object/apply:os.system ['true']\n",
        b'name: "\\ud800"\n',
        b"a: 1\na: 2\n",
        b"seed: .nan\n",
        b"- 1\n",
    ),
)


def _experiments(scratch: Path) -> Reader:
    folder = _empty(scratch / "experiment")
    (folder / "trial.yaml").write_bytes((scratch / "trial.yaml").read_bytes())
    return Reader("experiment, YAML", folder, ("trial.yaml",), lambda f: load_config(f / "trial.yaml"), _YAML)


_ROWS = [(f"text {i} of ä few wörds", ("good", "bad")[i % 2]) for i in range(12)]
_TEXTS = (
    b"",
    b"\n\n",
    b"\xff",
    b"\x00",
    b"text,label\n",
    b'text,label\n"a,b\n',
    b"text,label\na," + b"9" * 5000 + b"\nb,1\n",
)
_LINES = (
    *(
        b'{"text": "\\ud800", "label": "x"}\n',
        b'{"text": "a", "label": NaN}\n',
        b"[" * 100_000,
        b'{"a":' * 3000,
        b"null\n",
        b"[]\n",
    ),
    *(
        b'{"text": "a", "label": ["a", "b"]}\n' * 3,
        b'{"text": "a", "label": 1' + b"0" * 5000 + b"}\n",
        b'{"text": "' + b"a" * 10**7 + b'"}',
    ),
)


def _data(scratch: Path) -> Iterator[Reader]:
    objects = [{"text": text, "label": label} for text, label in _ROWS]
    words = "\n".join(
        f"{word}\t{tag}" for text, _ in _ROWS for word, tag in [*zip(text.split(), "OBIOOO", strict=False), ("", "")]
    )
    comma, tab = ("".join(f"{text}{mark}{label}\n" for text, label in [("text", "label"), *_ROWS]) for mark in ",\t")
    contents = {
        "csv": (comma, _TEXTS),
        "tsv": (tab, _TEXTS),
        "jsonl": ("".join(json.dumps(one) + "\n" for one in objects), _LINES),
        "json": (json.dumps(objects), _LINES),
        "conll": (words.replace("\n\t\n", "\n\n"), _TEXTS),
    }
    for suffix, (content, corpus) in contents.items():
        folder = _empty(scratch / f"data-{suffix}")
        (folder / f"train.{suffix}").write_text(content, encoding="utf-8")
        task = "token-classification" if suffix == "conll" else "sequence-classification"
        yield Reader(f"data, .{suffix}", folder, (f"train.{suffix}",), _reading(task, suffix), corpus)
    yield _parquet(scratch, objects)


def _parquet(scratch: Path, objects: list[dict[str, str]]) -> Reader:
    import pyarrow
    import pyarrow.parquet

    folder = _empty(scratch / "data-parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(objects), folder / "train.parquet")
    return Reader(
        "data, .parquet", folder, ("train.parquet",), _reading("sequence-classification", "parquet"), (b"", b"PAR1")
    )


def _reading(task: str, suffix: str) -> Callable[[Path], Any]:
    columns = ("tokens", None, "tags", None) if suffix == "conll" else ("text", None, "label", None)

    def read(folder: Path) -> Any:
        files = {"train": str(folder / f"train.{suffix}")}
        return load_dataset(DataConfig("files", None, files, *columns, 16, 8, {}), TASKS.get(task))

    return read


_CONFIGS = tuple(
    json.dumps({"model_type": "bert", **entries}).encode()
    for entries in (
        *(
            {"num_attention_heads": 0},
            {"model_type": []},
            {"num_hidden_layers": 10**11},
            {"hidden_size": 10**9},
            {"id2label": []},
        ),
        *(
            {"id2label": {"0": 1}},
            {"architectures": "x"},
            {"hidden_act": None},
            {"layer_norm_eps": None},
            {"twinlora": {}},
        ),
        *(
            {"quantization_config": {"quant_method": "gptq"}},
            {"auto_map": {"AutoModel": "x.Y"}},
            {"vocab_size": -1},
            {"pad_token_id": 10**6},
        ),
    )
)
_INDICES = tuple(
    json.dumps({"weight_map": found}).encode()
    for found in ({"a": 1}, None, {"a": "../x"}, {"a": "/etc/passwd"}, {"a": "x\x00"}, [], {"a": "model.safetensors"})
)


def _models(scratch: Path, run: Path) -> Iterator[Reader]:
    trained = open_trained(RunDirectory(run))
    model = _empty(scratch / "model")
    save_pretrained(model, trained.spec, trained.spec.arrays)
    arrays = load_arrays(model / "model.safetensors")[0]
    _without_checksum(model / "model.safetensors", arrays)
    length = len(trained.tokenizer)

    def load(folder: Path) -> Any:
        return load_model_spec(
            ModelConfig(str(folder), "sequence-classification", None, None, {}), ("a", "b"), length, 0, 0
        )

    yield Reader("model, config.json", model, ("config.json",), load, _CONFIGS)
    yield Reader(
        "model, model.safetensors", model, ("model.safetensors",), load, (b"", b"\x00" * 8, b"\xff" * 16), json=False
    )
    sharded = scratch / "sharded"
    shutil.copytree(model, sharded)
    content = {"metadata": {}, "weight_map": dict.fromkeys(arrays, "model.safetensors")}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(content))
    yield Reader("model, index", sharded, ("model.safetensors.index.json",), load, _INDICES)
    tokenizer = run / "tokenizer"
    yield Reader(
        "tokenizer, tokenizer.json", tokenizer, ("tokenizer.json", "tokenizer_config.json"), lambda f: _tokens(f)
    )
    words = _empty(scratch / "vocabulary")
    (words / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "##a"]) + "\n"
    )
    yield Reader("tokenizer, vocab.txt", words, ("vocab.txt",), lambda f: _tokens(f), (b"", b"a\n", b"\xff"))


def _tokens(folder: Path) -> Any:
    from common.training.fingerprints import of_tokenizer

    return of_tokenizer(load_tokenizer(str(folder)))


def _without_checksum(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As another program writes it, so that changes inside are not found by the checksum alone."""
    from safetensors.numpy import save_file

    save_file(arrays, path)


_ADAPTERS = tuple(
    json.dumps({"peft_type": "LORA", **entries}).encode()
    for entries in (
        *(
            {"r": 10**300},
            {"r": 0},
            {"r": -1},
            {"rank_pattern": {"(a|aa)+$": 4}},
            {"rank_pattern": []},
            {"alpha_pattern": {"(((": 1}},
        ),
        *({"base_model_name_or_path": []}, {"target_modules": 3}, {"bias": []}, {"modules_to_save": {}}),
    )
)
_LOGS = (
    b"",
    b"{}\n",
    b"[]\n",
    b'{"event": "step"}\n',
    b'{"event": "step", "step": "a"}\n',
    b'{"event": "step", "step": NaN}\n',
    b"\xff\n",
)


def _runs(run: Path) -> Iterator[Reader]:
    def opened(folder: Path) -> Any:
        return open_trained(RunDirectory(folder))

    def logged(folder: Path) -> Any:
        log = folder / "metrics.jsonl"
        read_log(log, "evaluation"), check_log(log, 11, 8, 8)
        return read_run(folder)

    weights = run / "adapter/adapter_model.safetensors"
    _without_checksum(weights, load_arrays(weights)[0])
    yield Reader("run, config.yaml", run, ("config.yaml",), lambda f: _configured(f), _YAML)
    yield Reader(
        "run, summary.json",
        run,
        ("summary.json",),
        lambda f: (opened(f), read_run(f)),
        (b"{}", b"[]", b'{"status": "finished"}'),
    )
    yield Reader("run, fingerprints.json", run, ("fingerprints.json",), opened, (b"{}", b"[]"))
    yield Reader("run, metrics.jsonl", run, ("metrics.jsonl",), logged, _LOGS)
    yield Reader("adapter, adapter_config.json", run, ("adapter/adapter_config.json",), opened, _ADAPTERS)
    yield Reader(
        "adapter, adapter_model.safetensors", run, ("adapter/adapter_model.safetensors",), opened, (b"",), json=False
    )
    yield _checkpoint(run)


def _configured(folder: Path) -> Any:
    return from_yaml((folder / "config.yaml").read_bytes().decode("utf-8", "replace"), "config.yaml")


def _checkpoint(run: Path) -> Reader:
    """The progress inside a checkpoint, under a checksum that is right."""
    from common.training.checkpoint import INTEGERS, load_checkpoint

    arrays, metadata = load_arrays(run / "checkpoint/state.safetensors", INTEGERS)
    (run / "progress.json").write_text(metadata["progress"])

    class Engine:
        def load_trainable(self, arrays: Any) -> None:
            """Nothing."""

        load_state = load_trainable

    def read(folder: Path) -> Any:
        from common.files import save_arrays

        content = (folder / "progress.json").read_bytes().decode("utf-8", "replace")
        save_arrays(folder / "checkpoint/state.safetensors", arrays, {"progress": content})
        progress = load_checkpoint(folder / "checkpoint/state.safetensors", Engine())
        return check_log(folder / "metrics.jsonl", progress["log_lines"], progress["step"], progress["evaluated_step"])

    return Reader("checkpoint, progress", run, ("progress.json",), read, (b"{}", b"[]", b"", b'{"step": 1}'))


def _run(scratch: Path) -> Path:
    """A finished run."""
    from common.training.run import train

    train(experiment(scratch, None, steps=8), "pytorch", "cpu", scratch / "runs", progress=Quiet())
    return scratch / "runs/trial/pytorch"


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder
