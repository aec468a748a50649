"""Verify every row of the API mapping in the three modes, each call three times with other inputs; takes an hour or
more.

    python scripts/verify_modes.py -o runs/modes.jsonl                    # everything
    python scripts/verify_modes.py --mode gradient 'torch.nn.*'           # some rows, one mode
 One line of JSON is written for each row and mode as soon as it is known. Rows that the file has already are left out,
so that a run which a kernel took down goes on behind the row that did it. Exit code 1 if a result differs without an
error.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from common.api_mapping.running import MODES, Backends, open_backends, selected, verify_rows
from common.api_mapping.verify import CALLS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names or patterns; default: all")
    parser.add_argument("--mode", default="all", choices=list(MODES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/verified_modes.jsonl"))
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    running = given.output.with_suffix(".running")
    done = {(line["row"], line["mode"]) for line in _read(given.output)}
    backends = open_backends(given.device)
    with given.output.open("a", encoding="utf-8") as file:
        if running.is_file():
            row, mode = running.read_text("utf-8").split()
            ended = {"case": "", "message": "the process ended", "refused": False}
            file.write(json.dumps(_line(row, mode, "failed", "", 0, [ended], 0.0)) + "\n")
            done.add((row, mode))
        for row in selected(given.rows):
            for mode in MODES[given.mode]:
                if (row.name, mode) not in done:
                    running.write_text(f"{row.name} {mode}", "utf-8")
                    file.write(json.dumps(_verify(row, backends, mode)) + "\n")
                    file.flush()
    running.unlink(missing_ok=True)
    return _summarize(_read(given.output))


def _verify(row: Any, backends: Backends, mode: str) -> dict[str, Any]:
    begin = time.perf_counter()
    [(_, results)] = verify_rows([row], backends, mode, CALLS)
    outcome = results[mode].outcome
    failures = [{"case": f.case, "message": f.message, "refused": f.refused} for f in outcome.failures]
    seconds = round(time.perf_counter() - begin, 2)
    return _line(row.name, mode, results[mode].verdict, outcome.target, outcome.cases, failures, seconds)


def _line(
    row: str, mode: str, verdict: str, target: str, cases: int, failures: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    head = {"row": row, "mode": mode, "verdict": verdict, "target": target, "cases": cases}
    return head | {"failures": failures, "seconds": seconds}


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _summarize(found: list[dict[str, Any]]) -> int:
    silent = 0
    for mode in dict.fromkeys(line["mode"] for line in found):
        lines = [line for line in found if line["mode"] == mode]
        differing = [line["row"] for line in lines if any(not f["refused"] for f in line["failures"])]
        refused = [line["row"] for line in lines if line["failures"] and line["row"] not in differing]
        silent += len(differing)
        seconds, cases = sum(line["seconds"] for line in lines), sum(line["cases"] for line in lines)
        print(
            f"{mode}: {len(lines)} rows, {cases} calls, {seconds:.0f} s; {len(refused)} refuse, {len(differing)} differ"
        )
        for name in differing:
            print(f"  differs: {name}")
    return int(bool(silent))


if __name__ == "__main__":
    raise SystemExit(main())
