"""``python -m tests.golden.record``: run every golden case and write ``golden.json``.

Record again only for a change that is meant to alter results, and say in the commit why each changed entry changes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.golden.cases import BACKENDS, CASES, Case
from tests.golden.execution import ROOT, environment, run_cases
from tests.golden.reading import fingerprint

__all__ = ["GOLDEN", "measure"]

GOLDEN = Path(__file__).with_name("golden.json")
_GUARD = 3600  #: seconds after which the cases of one backend are taken to hang


def measure(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Run ``cases`` in a new process with one thread; return their records and the fingerprint, as read from JSON."""
    output = folder / "measured.json"
    command = [sys.executable, "-m", "tests.golden.record", "--output", str(output), "--folder", str(folder)]
    command += ["--cases", *(case.name for case in cases)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=_GUARD, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Golden cases ended with exit code {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(output.read_text(encoding="utf-8"))


def render(record: dict[str, Any]) -> str:
    """JSON with one line for each event, so that a change is read as a difference of lines. Floats are written by
    repr."""
    blocks = []
    for name, case in record["cases"].items():
        parts = [f'   "{key}": {json.dumps(case[key])}' for key in ("summary", "files")]
        events = ",\n".join(f"    {json.dumps(event)}" for event in case["events"])
        blocks.append(f'  "{name}": {{\n   "events": [\n{events}\n   ],\n' + ",\n".join(parts) + "\n  }")
    return (
        f'{{\n "fingerprint": {json.dumps(record["fingerprint"], indent=2)},\n "cases": {{\n'
        + ",\n".join(blocks)
        + "\n }\n}\n"
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.record", description=__doc__)
    parser.add_argument("--output", type=Path, default=GOLDEN, help="default: tests/golden/golden.json")
    parser.add_argument("--folder", type=Path, help="run --cases in this process, with this folder for their files")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], metavar="CASE")
    given = parser.parse_args()
    chosen = [case for case in CASES if given.cases is None or case.name in given.cases]
    if given.folder is not None:
        record = {"fingerprint": fingerprint(), "cases": dict(run_cases(chosen, given.folder))}
        given.output.write_text(json.dumps(record), encoding="utf-8")
        return
    record = _record(chosen)
    failed = {name: case["error"] for name, case in record["cases"].items() if "error" in case}
    if failed:
        sys.exit("\n".join(f"{name} failed, nothing was written:\n{error}" for name, error in failed.items()))
    given.output.write_text(render(record), encoding="utf-8")


def _record(chosen: Sequence[Case]) -> dict[str, Any]:
    """One process for each backend, as the tests do."""
    record: dict[str, Any] = {"fingerprint": None, "cases": {}}
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure([case for case in chosen if case.backend == backend], Path(folder))
        record["fingerprint"] = measured["fingerprint"]
        record["cases"] |= measured["cases"]
    return record


if __name__ == "__main__":
    main()
