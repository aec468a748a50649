#!/usr/bin/env python3
"""Ask a server from many connections at once, compare every answer with that of `twinlora predict`, and write the table
of docs/serving.md.

    python scripts/bench/serve.py RUN EXPORTED --texts texts.txt --clients 200 --seconds 60 -o serve.json
    python scripts/bench/serve.py --take serve.json --labels PyTorch "ONNX Runtime"

Each artifact is served in turn, by a process of its own. What an answer must be is asked of the artifact before, text
by text. Without --take and without artifacts the table is made of the file that is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from performance import between

from common.bench.machine import Watch
from common.bench.settings import Settings, machine, save
from common.errors import InputError, RunError, run_script
from common.files import write_atomic, write_json

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = ROOT / "docs" / "serving.md", ROOT / "docs" / "serving.json"
PARTS = {"median": 50, "p95": 95, "p99": 99, "largest": 100}


def expected(artifact: Path, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What ``twinlora predict`` says to each text by itself, in a process that ends before the server begins."""
    program = (
        "import json, sys, twinlora\nrun = twinlora.open(sys.argv[1])\n"
        "print('ANSWERS', json.dumps([run.predict([text])[0] for text in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(artifact)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")), None)
    if done.returncode or line is None:
        raise RunError(f"{artifact} could not be asked: {done.stderr[-1000:]}")
    return json.loads(line.removeprefix("ANSWERS "))


@contextlib.contextmanager
def server(artifact: Path, options: Sequence[str]) -> Iterator[int]:
    """The port of a server of the artifact, which ends with the block."""
    command = [sys.executable, "-m", "twinlora", "serve", f"model={artifact}", "--port", "0", *options]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if line.startswith("Answering at ")), None)
            if line is None:
                raise RunError(f"The server of {artifact} ended with {process.wait()}.")
            yield int(line.strip().rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
    if code:
        raise RunError(f"The server of {artifact} ended with {code}; 0 was expected.")


async def client(
    port: int, turns: Iterator[int], texts: Sequence[str], wanted: Sequence[Any], until: float, found: dict[str, Any]
) -> None:
    """Ask one text after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        number = next(turns) % len(texts)
        body = json.dumps({"inputs": [texts[number]]}).encode()
        head = "POST /predict/model HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        status, answer = await response(reader)
        found["seconds"].append(time.perf_counter() - begun)
        if status != 200:
            found["errors"].append(f"{status}: {answer}")
        elif answer["answers"] != [wanted[number]]:
            found["different"].append([texts[number], answer["answers"][0], wanted[number]])
    writer.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """(status, JSON) of the next response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in head if line.lower().startswith("content-length"))
    return int(head[0].split()[1]), json.loads(await reader.readexactly(length))


async def load(port: int, clients: int, seconds: float, texts: Sequence[str], wanted: Sequence[Any]) -> dict[str, Any]:
    """Ask from ``clients`` connections for some seconds."""
    found: dict[str, Any] = {"seconds": [], "errors": [], "different": []}
    turns, begun = itertools.count(), time.perf_counter()
    asking = (client(port, turns, texts, wanted, begun + seconds, found) for _ in range(clients))
    for failure in await asyncio.gather(*asking, return_exceptions=True):
        if failure is not None:
            found["errors"].append(repr(failure))
    return found | {"elapsed": time.perf_counter() - begun}


def measured(artifact: Path, args: argparse.Namespace, texts: Sequence[str]) -> dict[str, Any]:
    """The numbers of one artifact."""
    wanted = expected(artifact, texts)
    options = [] if args.max_batch is None else ["--max-batch", str(args.max_batch)]
    with server(artifact, options) as port:
        asyncio.run(load(port, min(args.clients, 8), 3.0, texts, wanted))  # what is compiled at first
        found = asyncio.run(load(port, args.clients, args.seconds, texts, wanted))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            counted = json.load(answer)["models"]["model"]
    seconds = found["seconds"]
    print(
        f"{artifact}: {len(seconds)} answers, {len(found['errors'])} errors, {len(found['different'])} different",
        file=sys.stderr,
    )
    return {
        "answers": len(seconds),
        "errors": len(found["errors"]),
        "different": len(found["different"]),
        "examples": [*found["errors"][:3], *found["different"][:3]],
        "answers_per_second": len(seconds) / found["elapsed"],
        "texts_per_batch": counted["texts"] / counted["batches"],
        **{name: float(np.percentile(seconds, part)) for name, part in PARTS.items()},
    }


def table(found: dict[str, Any]) -> str:
    """One line for each artifact, and on what they were measured."""
    lines = [
        f"| {found['clients']} connections, {found['texts']} texts, {found['seconds']:g} s, "
        f"{found['settings']['threads']} thread(s) | answers | errors | "
        "other than `predict` | answers/s | median, ms | 95th percentile, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in found["artifacts"].items():
        counts = f"{one['answers']:,} | {one['errors']} | {one['different']} | {one['answers_per_second']:.0f}"
        lines.append(f"| {name} | {counts} | {1e3 * one['median']:.0f} | {1e3 * one['p95']:.0f} |")
    hardware, busy = found["hardware"], found["hardware"]["load"]
    shared = "quiet" if busy["quiet"] else "shared with other work, so that these times are upper bounds"
    taken = f"other processes took {busy['others_cores']:.2f} of {busy['cores']} cores: the machine was {shared}"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n".join([*lines, "", f"[serving.json](serving.json): {hardware['cpu']}; {taken}. {versions}."])


def measure(args: argparse.Namespace) -> Path:
    """Serve and ask every artifact; returns the file."""
    texts = [line.strip() for line in args.texts.read_text(encoding="utf-8").splitlines() if line.strip()][: args.count]
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    settings = Settings(threads, 1, output=args.output)
    with Watch() as watch:
        artifacts = {str(path): measured(path, args, texts) for path in args.artifacts}
    results = {"clients": args.clients, "seconds": args.seconds, "texts": len(texts), "artifacts": artifacts}
    # the client itself takes a core, and is part of what is measured
    return save("serve", settings, results, hardware=machine(settings, watch.result(threads)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="*", type=Path, metavar="ARTIFACT")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="one a line")
    parser.add_argument("--count", type=int, default=64, help="of the texts; default: 64")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--max-batch", type=int)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path("runs/bench/serve.json"))
    parser.add_argument("--take", type=Path, metavar="FILE")
    parser.add_argument("--labels", nargs="+", default=[], metavar="NAME")
    args = parser.parse_args()
    if args.artifacts:
        if args.texts is None:
            raise InputError("--texts must name a file of texts, one a line; received none.")
        print(measure(args))
        return
    if args.take:
        taken = json.loads(args.take.read_text(encoding="utf-8"))
        if len(args.labels) != len(taken["artifacts"]):
            raise InputError(f"--labels must name {len(taken['artifacts'])} artifacts; received {len(args.labels)}.")
        write_json(KEPT, {**taken, "artifacts": dict(zip(args.labels, taken["artifacts"].values(), strict=True))})
    found = json.loads(KEPT.read_text(encoding="utf-8"))
    write_atomic(PAGE, between(PAGE.read_text(encoding="utf-8"), "serving", table(found)))


if __name__ == "__main__":
    run_script(main)
