"""Time until something answers: the help text, an import, the first finished step; and what an import loads besides."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from common.backend import BACKENDS, available
from common.bench.rounds import alternate, median
from common.bench.settings import Settings, say
from common.bench.workers import environment
from common.errors import RunError

__all__ = ["measure_startup"]

_MAIN = "import sys; from common.cli.main import main; sys.exit(main())"
_LOADED = "import json, sys, {backend}_impl; print('LOADED', json.dumps([name for name in {frameworks!r} if name in sys.modules]))"
_TINY = """
model:
  tokenizer: "bpe:300"
  config: {{model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 32}}
data: {{name: files, files: {{train: {folder}/text.csv, validation: {folder}/text.csv}}, text_column: text, label_column: label, max_length: 16}}
adaptation: {{rank: 2, alpha: 4, targets: ["*.query", "*.value"]}}
training: {{global_batch_size: 8, max_steps: 1}}
"""


def measure_startup(settings: Settings) -> dict[str, Any]:
    """Every start in turn, ``settings.rounds`` times.

    Returns:
        Medians and samples of the seconds, and which frameworks each backend's import loads. The first step is that of
        `twinlora train` on a network of one layer: from the command to the end of the first step by the step's line in
        the log.
    """
    backends = [name for name, there in available().items() if there]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "text.csv").write_text("text,label\n" + "a good film,yes\na bad film,no\n" * 16, encoding="utf-8")
        config = Path(folder, "tiny.yaml")
        config.write_text(_TINY.format(folder=folder), encoding="utf-8")
        measure = {"twinlora --help": partial(_seconds, ["-c", _MAIN, "--help"], settings)}
        measure |= {
            f"import {BACKENDS[backend]}": partial(_seconds, ["-c", f"import {BACKENDS[backend]}"], settings)
            for backend in backends
        }
        measure |= {
            f"import {backend}_impl": partial(_seconds, ["-c", f"import {backend}_impl"], settings)
            for backend in backends
        }
        measure |= {
            f"first step, {backend}": partial(_first_step, backend, config, folder, settings) for backend in backends
        }
        samples = alternate(measure, settings.rounds, say)
    loaded = {backend: _loaded(backend, settings) for backend in backends}
    return {
        "seconds": {name: {"median": median(values), "samples": values} for name, values in samples.items()},
        "loaded": loaded,
    }


def _timed(arguments: list[str], settings: Settings) -> tuple[float, str]:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(settings.threads), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RunError(f"{' '.join(arguments)} ended with exit code {done.returncode}: {done.stderr[-800:]}")
    return seconds, done.stdout


def _seconds(arguments: list[str], settings: Settings) -> float:
    return _timed(arguments, settings)[0]


def _first_step(backend: str, config: Path, folder: str, settings: Settings) -> float:
    """Seconds until the log holds the first step; what follows it, evaluation and report, is waited for but not
    counted."""
    log = Path(folder, "tiny", backend, "metrics.jsonl")
    log.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-c",
        _MAIN,
        "train",
        str(config),
        "--backend",
        backend,
        "--output",
        folder,
        "--overwrite",
    ]
    command += ["--device", settings.device] if settings.device else []
    begun = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, env=environment(settings.threads), stdout=said, stderr=said) as process,
    ):
        while process.poll() is None and not (log.is_file() and '"step", "step": 1' in log.read_text(encoding="utf-8")):
            time.sleep(0.005)
        seconds = time.perf_counter() - begun
        if process.wait():
            said.seek(0)
            raise RunError(f"The first step of {backend} failed: {said.read()[-800:]}")
    return seconds


def _loaded(backend: str, settings: Settings) -> list[str]:
    _, text = _timed(["-c", _LOADED.format(backend=backend, frameworks=tuple(BACKENDS.values()))], settings)
    return json.loads(next(line for line in text.splitlines() if line.startswith("LOADED ")).removeprefix("LOADED "))
