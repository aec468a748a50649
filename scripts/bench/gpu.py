#!/usr/bin/env python3
"""Check and measure the PyTorch backend on one GPU, in less than eight minutes: agreement first, then speed and memory.

    python scripts/bench/gpu.py -o runs/bench/gpu.json
    python scripts/bench/gpu.py --dry-run -o /tmp/gpu.json      the same on the CPU with tiny networks, to try the script
    python scripts/bench/gpu.py --show runs/bench/gpu.json      the table of a file

Needs a checkout, torch, transformers and peft (loralib too, for the comparison with it), and no network: weights are
random at real shapes. What does not fit into --seconds is listed as not run. Exit code 1: the GPU disagrees.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.bench.generate import measure_generation
from common.bench.machine import Watch
from common.bench.settings import Settings, machine, save, say
from common.bench.step import measure_steps
from common.errors import InputError, RunError, TwinloraError, run_script
from common.models import FAMILIES
from common.parity.compare import compare
from common.parity.trace import read_trace
from common.reading import read_json

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("layers", "models", "training")
BF16 = "training.dtype=bf16"
TF32 = (
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"  #: torch's own variable; products of float32 then keep 10 bits of the fraction
)


@dataclass(frozen=True)
class Network:
    """One network at a real shape, and what takes its place in a dry run."""

    case: str  #: of `common.bench.cases`, whose other settings are kept
    config: str  #: JSON of ``model.config``; empty: the case's own
    tiny: str
    size: tuple[int, int]  #: (rows, tokens)
    targets: str = ""
    family: str = ""  #: left out where there is no such family

    def settings(self, dry: bool) -> tuple[str, ...]:
        """Overrides of the experiment."""
        config = self.tiny if dry else self.config
        return (*((f"model.config={config}",) if config else ()), *((self.targets,) if self.targets else ()))


_TINY_BERT = '{"model_type": "bert", "vocab_size": 90, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}'
_TINY_GPT2 = '{"model_type": "gpt2", "vocab_size": 90, "n_layer": 2, "n_embd": 16, "n_head": 2}'
_MEDIUM = '{"model_type": "gpt2", "vocab_size": 50257, "n_layer": 24, "n_embd": 1024, "n_head": 16}'
_LLAMA = (
    '{"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, '
    '"num_key_value_heads": 8, "intermediate_size": 8192, "max_position_embeddings": 4096}'
)
_TINY_LLAMA = (
    '{"model_type": "llama", "vocab_size": 90, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, '
    '"num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64}'
)
NETWORKS = {
    "bert-base-16x128": Network("bert-base-16x512", "", _TINY_BERT, (16, 128)),
    "bert-base-16x512": Network("bert-base-16x512", "", _TINY_BERT, (16, 512)),
    "gpt2-8x512": Network("gpt2-4x256", "", _TINY_GPT2, (8, 512)),
    "gpt2-medium-8x512": Network("gpt2-4x256", _MEDIUM, _TINY_GPT2, (8, 512)),
    "llama-1b-4x512": Network(
        "gpt2-4x256", _LLAMA, _TINY_LLAMA, (4, 512), "adaptation.targets=['*.q_proj', '*.v_proj']", "llama"
    ),
}
FULL = ("adaptation.method=full",)


class Run:
    """What the stages share."""

    def __init__(self, args: argparse.Namespace, folder: Path):
        self.dry, self.folder = args.dry_run, folder
        self.device = "cpu" if self.dry else args.device
        threads = 1 if self.dry else min(4, len(os.sched_getaffinity(0)))
        rounds = 1 if self.dry else args.rounds
        self.settings = Settings(threads, rounds, self.device, output=args.output)

    def steps(
        self, name: str, subjects: tuple[str, ...], extra: tuple[str, ...] = (), tf32: bool = False
    ) -> dict[str, Any]:
        """Steps of the network ``name``, of every subject whose package is here."""
        network = NETWORKS[name]
        size = (2, 8) if self.dry else network.size
        given = (*network.settings(self.dry), *extra)
        settings = Settings(self.settings.threads, self.settings.rounds, self.device, set=given)
        here = [one for one in subjects if one != "loralib" or find_spec("loralib")]
        if self.dry and "pytorch:training.compile=true" not in subjects:
            here = [
                one for one in here if "compile" not in one
            ]  # compiling takes longer than all the rest of a dry run
        count, warmup = (1, 1) if self.dry else (5, 3)
        with _variable(TF32, "1" if tf32 else "0"):
            return measure_steps(network.case, here, settings, count, warmup, False, size, memory=True)


def agreement(run: Run, suite: str) -> dict[str, Any]:
    """The GPU in float32 and the CPU in float32, both against float64: every loss, hidden state, gradient and update.

    Products of float32 keep their precision here (no TF32).
    """
    jobs = {"baseline": ("cpu", "float32"), "test": (run.device, "float32"), "reference": ("cpu", "float64")}
    only = ["--only", f"{suite}/bert/*"] if run.dry and suite != "layers" else []

    def record(name: str) -> None:
        device, dtype = jobs[name]
        where = run.folder / suite / name
        given = ["--backend", "pytorch", "--device", device, "--dtype", dtype, "-o", str(where), *only]
        done = subprocess.run(
            [sys.executable, "-m", "twinlora", "trace", "record", suite, *given],
            env={**os.environ, TF32: "0", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RunError(
                f"Recording {suite} on {device} in {dtype} ended with {done.returncode}: {done.stderr[-2000:]}"
            )

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(record, jobs))
    baseline, test, reference = (read_trace(run.folder / suite / name) for name in jobs)
    found = compare(baseline, test, reference)
    failed = [f"{case.id}: {case.verdict}" for case in found.cases if case.verdict == "fail"]
    say(f"{suite}: {found.counts}")
    return {"counts": found.counts, "failed": failed, "unexplained": [case.id for case in found.unexplained]}


def attention(run: Run) -> dict[str, Any]:
    """Forward and backward of every kernel of scaled_dot_product_attention, at BERT-base's and GPT-2's shapes."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from common.bench.rounds import fastest

    rows, length = (2, 8) if run.dry else (16, 512)
    wait = torch.cuda.synchronize if run.device.startswith("cuda") else (lambda: None)
    found: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        for causal in (False, True):
            inputs = [
                torch.randn(rows, 12, length, 64, device=run.device, dtype=dtype, requires_grad=True) for _ in range(3)
            ]

            def both(inputs: list[torch.Tensor] = inputs, causal: bool = causal) -> None:
                torch.nn.functional.scaled_dot_product_attention(*inputs, is_causal=causal).sum().backward()

            for backend in (SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):  # fmt: skip
                name = f"{str(dtype).removeprefix('torch.')} {'causal' if causal else 'full'} {backend.name.lower()}"
                try:
                    with sdpa_kernel(backend):
                        found[name] = fastest(both, 1 if run.dry else 20, wait)
                except RuntimeError as error:
                    found[name] = f"not here: {str(error).splitlines()[0]}"
    return {"seconds": found}


def optimizer(run: Run) -> dict[str, Any]:
    """One step of torch's AdamW in its three implementations, over BERT-base's number of parameters."""
    import torch

    from common.bench.rounds import fastest

    sizes = [(32, 16)] * 4 if run.dry else [(768, 768)] * 144 + [(30522, 768)]
    wait = torch.cuda.synchronize if run.device.startswith("cuda") else (lambda: None)
    found = {}
    for name in ("for-loop", "foreach", "fused"):
        parameters = [torch.nn.Parameter(torch.randn(size, device=run.device)) for size in sizes]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        step = torch.optim.AdamW(parameters, lr=1e-5, foreach=name == "foreach", fused=name == "fused").step
        found[name] = fastest(step, 1 if run.dry else 20, wait)
    return {"seconds": found}


def generation(run: Run) -> dict[str, Any]:
    """Tokens per second of GPT-2 small, one row and sixteen."""
    network = NETWORKS["gpt2-8x512"]
    settings = Settings(run.settings.threads, run.settings.rounds, run.device, set=network.settings(run.dry))
    batches, prompt, new = ([2], 4, 4) if run.dry else ([1, 16], 64, 128)
    return measure_generation(
        network.case, ("pytorch", "transformers", "transformers-static"), settings, batches, prompt, new
    )


def sharded(run: Run) -> dict[str, Any]:
    """Losses of a job of one process with its frozen weights sharded, beside the same without: they must be equal."""
    network = NETWORKS["gpt2-8x512"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", __file__]
    given = ["--sharded", "--device", run.device, *(["--dry-run"] if run.dry else [])]
    done = subprocess.run(
        [*command, *given],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), TF32: "0"},
    )
    if done.returncode:
        raise RunError(f"The sharded job of {network.case} ended with {done.returncode}: {done.stderr[-2000:]}")
    losses = [[float(number) for number in line.split()] for line in done.stdout.splitlines()[-2:]]
    largest = max(abs(one - other) / abs(other) for one, other in zip(*losses, strict=True))
    if not largest < 1e-5:
        raise RunError(f"Sharding must not change a loss; it changes one by {largest:.1e} of it: {losses}.")
    return {"losses": losses, "largest_difference": largest}


_PEERS = ("pytorch", "peft", "peft-compile", "loralib")
_MODES = ("pytorch", "pytorch:training.compile=true", "pytorch:training.recompute=true")
_MIXED = (f"pytorch:{BF16}", f"peft:{BF16}", f"peft-compile:{BF16}")

#: Name to what is done, in the order of their weight: what decides comes first, and time may end after any.
STAGES: dict[str, Callable[[Run], dict[str, Any]]] = {
    **{f"agreement {suite}": lambda run, suite=suite: agreement(run, suite) for suite in SUITES},
    "bert-base-16x128 bf16": lambda run: run.steps("bert-base-16x128", _MIXED),
    "bert-base-16x512 bf16": lambda run: run.steps("bert-base-16x512", _MIXED),
    "gpt2-8x512 bf16": lambda run: run.steps("gpt2-8x512", _MIXED),
    "bert-base-16x128 fp32": lambda run: run.steps("bert-base-16x128", _PEERS),
    "attention kernels": attention,
    "optimizer": optimizer,
    "gpt2-8x512 fp32": lambda run: run.steps("gpt2-8x512", _PEERS),
    "generation": generation,
    "llama-1b-4x512 bf16": lambda run: run.steps("llama-1b-4x512", _MIXED),
    "bert-base-16x512 modes": lambda run: run.steps("bert-base-16x512", _MODES),
    "sharded": sharded,
    "bert-base-16x512 tf32": lambda run: run.steps("bert-base-16x512", ("pytorch", "peft"), tf32=True),
    "bert-base-16x128 full": lambda run: run.steps("bert-base-16x128", _MODES[:2], FULL),
    "gpt2-medium-8x512 bf16": lambda run: run.steps("gpt2-medium-8x512", _MIXED),
}


def measure(args: argparse.Namespace) -> None:
    """Every stage that time allows; the file is written anew after each.

    Raises:
        InputError: there is no such stage.
        RunError: the device disagrees with the CPU, or a stage failed.
    """
    unknown = [name for name in args.only if name not in STAGES]
    if unknown:
        raise InputError(f"--only names stages among {', '.join(STAGES)}; received {unknown[0]!r}.")
    begun, results = time.perf_counter(), {name: {"status": "not run: time was up"} for name in args.only or STAGES}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(args, Path(folder))
        for name in results:
            left = args.seconds - (time.perf_counter() - begun)
            if left <= 0:
                continue
            say(f"== {name}, {left:.0f} s left")
            results[name] = _stage(name, run)
            save("gpu", run.settings, {"dry_run": args.dry_run, "stages": results}, hardware=_hardware(run))
    print("\n".join(table(results)))
    print(run.settings.output)
    wrong = [name for name, found in results.items() if not _agrees(found)]
    if wrong:
        raise RunError(f"Every stage must end, and agree with the CPU; these did not: {', '.join(wrong)}.")


def _stage(name: str, run: Run) -> dict[str, Any]:
    begun = time.perf_counter()
    family = next((network.family for key, network in NETWORKS.items() if name.startswith(key)), "")
    if family and family not in [member.name for member in FAMILIES]:
        return {"status": f"not run: there is no family {family}"}
    try:
        with Watch() as watch:
            found = STAGES[name](run)
    except TwinloraError as error:
        found = {"status": f"failed: {error}"}
    except Exception as error:  # one stage that breaks must not cost the others their time on the card
        found = {"status": f"failed: {type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    else:
        found = {"status": "ok", **found, "load": watch.result(run.settings.threads)}
    return {**found, "wall_seconds": time.perf_counter() - begun}


def _agrees(found: Mapping[str, Any]) -> bool:
    return not found["status"].startswith("failed") and not found.get("failed") and not found.get("unexplained")


def table(results: Mapping[str, Any]) -> list[str]:
    """One line for each pair, kernel and verdict."""
    lines = ["| stage | what | result |", "|---|---|---:|"]
    for name, found in results.items():
        lines += [f"| {name} | {what} | {value} |" for what, value in _facts(found)]
    return lines


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if found["status"] != "ok":
        yield "", found["status"]
        return
    if "counts" in found:
        yield "verdicts", ", ".join(f"{number} {verdict}" for verdict, number in found["counts"].items() if number)
    for pair, ratio in found.get("ratios", {}).items():
        yield f"{pair}, time of a step", f"{ratio['median']:.3f}"
    for name, seconds in found.get("seconds_per_step", {}).items():
        peak = found["subjects"].get(name, {}).get("memory", {}).get("peak")
        yield name, f"{seconds['median'] * 1e3:.2f} ms" + (f", {peak / 2**30:.2f} GiB" if peak else "")
    for name, seconds in found.get("seconds", {}).items():
        yield name, seconds if isinstance(seconds, str) else f"{seconds * 1e6:.0f} us"
    for rows, batch in found.get("batches", {}).items():
        for name, rate in batch["tokens_per_second"].items():
            yield f"{rows} rows, {name}", f"{rate['median']:.0f} tokens/s"
    if "largest_difference" in found:
        yield "largest relative difference of a loss", f"{found['largest_difference']:.1e}"


def _hardware(run: Run) -> dict[str, Any]:
    found = machine(run.settings)
    if run.device.startswith("cuda"):
        import torch

        about = torch.cuda.get_device_properties(run.device)
        found["accelerator"] = torch.cuda.get_device_name(run.device)
        found["gpu"] = {
            "memory_bytes": about.total_memory,
            "multiprocessors": about.multi_processor_count,
            "capability": f"{about.major}.{about.minor}",
            "cuda": torch.version.cuda,
        }
    return found


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def print_losses(args: argparse.Namespace) -> None:
    """The process of `sharded`: losses of some steps with and without sharding, one line each."""
    from common import backend as backends
    from common.bench.cases import load_case
    from common.launch.topology import find_topology
    from common.training.assembly import build_engine

    run = Run(args, Path())
    network = NETWORKS["gpt2-8x512"]
    device = "cuda:0" if run.device == "cuda" else run.device
    backend = backends.load("pytorch")
    group = backend.distributed.join(find_topology(os.environ), device)
    for extra in (("training.shard=true",), ()):
        given = [*network.settings(run.dry), *extra]
        request = {"case": network.case, "set": given, "size": (2, 8) if run.dry else network.size}
        case = load_case(request)
        engine = build_engine(backend, device, case.config, case.spec, case.plan, *((group,) if extra else ()))
        handles = [engine.train_step([batch], 1e-3) for batch in case.batches]
        print(*(total / handle.count for (total, _), handle in zip(engine.fetch(handles), handles, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench/gpu.json"), metavar="FILE")
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--seconds", type=float, default=450.0, help="after which no stage begins; default: 450")
    parser.add_argument("--rounds", type=int, default=8, help="of every measurement; default: 8")
    parser.add_argument("--only", action="append", default=[], metavar="STAGE", help="may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, with tiny networks")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of a file, and measure nothing")
    parser.add_argument("--sharded", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.show:
        found = read_json(args.show, "a file of this script", "Give one that -o wrote.", {"stages": dict})
        print("\n".join(table(found["stages"])))
    elif args.sharded:
        print_losses(args)
    else:
        measure(args)


if __name__ == "__main__":
    run_script(main)
