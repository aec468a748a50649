"""Stands for the process of a run: the files of a run directory in a fraction of a second, resumed and ended as training
is.

``FAKE_RUNS`` holds what a run does by the text that its configuration contains: {"learning_rate: 0.5": {"fail": "why"}}.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

STEPS, EVERY = 8, 2


def main() -> int:
    study, name, backend, kind = sys.argv[1:5]
    config = Path(study, "configs", f"{name}.yaml").read_text()
    wanted = {}
    for text, behaviour in json.loads(os.environ.get("FAKE_RUNS", "{}")).items():
        wanted |= behaviour if text in config else {}
    run = Path(study, "runs", name, backend)
    run.mkdir(parents=True, exist_ok=True)
    with open(Path(study, "calls"), "a") as calls:
        calls.write(f"{name} {kind}\n")
    if kind == "score":
        Path(study, "runs", f"{name}.test.json").write_text(json.dumps({"accuracy": 0.5}))
        return 0
    with open(run / ".lock", "w") as lock:
        for _ in range(600):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.05)
        else:
            print("error: another process trains here")
            return 2
        return train(run, config, wanted, "--no-test" not in sys.argv)


def train(run: Path, config: str, wanted: dict, test: bool) -> int:
    asked = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    rate = float(re.search(r"\n  learning_rate: (\S+)", config)[1])
    log = run / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True) if log.is_file() else []
    done = json.loads(lines[-1])["step"] if lines else 0
    for step in range(done + 1, STEPS + 1):
        if "crash" in wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in wanted:
            print(f"error: {wanted['fail']}", flush=True)
            return 1
        if "memory" in wanted:
            wanted["held"] = bytearray(os.urandom(1)) * wanted["memory"]
        until = time.monotonic() + wanted.get("slow", 0.0)
        while time.monotonic() < until and not asked:
            time.sleep(0.02)
        if asked:
            print("error: Interrupted; the state is saved.")
            return 75
        event = {"event": "step", "step": step, "seconds": 0.1 * step}
        if step % EVERY == 0:
            event = {"event": "evaluation", "step": step, "seconds": 0.1 * step, "accuracy": accuracy(rate, step)}
        with open(log, "a") as file:
            file.write(json.dumps(event) + "\n")
    summary = {
        "status": "finished", "backend": run.name, "data": {"labels": ["a", "b"], "columns": ["text", "label"]},
        "steps": STEPS, "best_step": STEPS, "validation": {"accuracy": accuracy(rate, STEPS)},
        "test": {"accuracy": 0.5} if test else None, "seconds": {"total": 0.8},
    }  # fmt: skip
    temporary = run / "summary.tmp"
    temporary.write_text(json.dumps(summary))
    os.replace(temporary, run / "summary.json")
    return 0


def accuracy(rate: float, step: int) -> float:
    """Best at a learning rate of 0.01, and better with every step."""
    return round(step / STEPS / (1 + abs(rate - 0.01) * 100), 6)


if __name__ == "__main__":
    sys.exit(main())
