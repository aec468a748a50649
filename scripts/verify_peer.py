"""Run all samples of torch's own test databases through the mapping, and go on where a kernel ended the process.

    python scripts/verify_peer.py -o runs/peer.jsonl               # PyNative; again and again until it ends with 0 or 1
    python scripts/verify_peer.py --limit 8 -o runs/peer.jsonl --publish             # and for the mapping's pages
    python scripts/verify_peer.py --suite modules --limit 8 -o runs/modules.jsonl --publish     # one suite of them anew
    python scripts/verify_peer.py --mode gradient --limit 2 -o runs/peer_gradient.jsonl

One line of JSON is written for each sample; `--summary FILE` writes the counts by row and what is not equal. A sample
that ended the process counts as different. Exit code 1 if a sample is different without an error.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.api_mapping import peer, peer_report
from common.api_mapping.rows import registry
from common.api_mapping.running import open_backends, selected
from common.files import write_json

SUITES = ("operators", "modules", "optimizers")  #: of `pytorch_impl.mapping_peer`


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names or patterns; default: all")
    parser.add_argument("--mode", default="pynative", choices=["pynative", "graph", "gradient"])
    parser.add_argument(
        "--suite", action="append", default=[], choices=SUITES, help="run this suite; may be repeated; default: all"
    )
    parser.add_argument("--limit", type=int, default=0, help="samples of each operator and dtype; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/peer.jsonl"))
    parser.add_argument("--summary", type=Path)
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write what the mapping's pages show of a run over all rows of its suites",
    )
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    backends = open_backends(given.device)
    spoil = importlib.import_module("mindspore_impl.mapping_memory").spoil_memory
    rows = {row.name: row for row in selected(given.rows)}
    running, done = given.output.with_suffix(".running"), {(f.row, f.sample) for f in _read(given.output)}
    with given.output.open("a", encoding="utf-8") as file:
        if running.is_file():
            ended = peer.Finding(**json.loads(running.read_text("utf-8")))
            done.add((ended.row, ended.sample))
            file.write(json.dumps(vars(ended)) + "\n")
        suites = importlib.import_module("pytorch_impl.mapping_peer").SUITES
        for samples in [suites[name] for name in given.suite or SUITES]:
            left = _watched((s for s in samples(rows, given.limit) if (s.row.name, s.label) not in done), running)
            for finding in peer.run(
                left, backends.torch, backends.mindspore, backends.mindspore.named, given.mode, spoil
            ):
                file.write(json.dumps(vars(finding)) + "\n")
                file.flush()
    running.unlink(missing_ok=True)
    found = peer.summary(_read(given.output))
    if given.summary:
        write_json(given.summary, found)
    if given.publish:
        before = peer_report.read() if given.suite else None
        write_json(peer_report.FILE, peer_report.document(_read(given.output), registry(), given.limit, before))
    print(", ".join(f"{count} {kind}" for kind, count in found["total"].items()))
    return int(found["total"]["different"] > 0)


def _watched(samples: Iterable[peer.Sample], path: Path) -> Iterator[peer.Sample]:
    """Note each sample before it is run."""
    for sample in samples:
        ended = peer.Finding(sample.row.name, "different", sample.label, str(sample.case)[:200], "the process ended")
        path.write_text(json.dumps(vars(ended)), "utf-8")
        yield sample


def _read(path: Path) -> list[peer.Finding]:
    return [peer.Finding(**json.loads(line)) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


if __name__ == "__main__":
    raise SystemExit(main())
