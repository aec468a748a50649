"""Run the samples of torch's own test databases through the mapping; takes minutes in PyNative, hours compiled.

    python scripts/verify_peer.py -o runs/peer.json                            # operators, modules and optimizers, PyNative
    python scripts/verify_peer.py --mode gradient --limit 2 'torch.nn.*'       # two samples of each, one compiled gradient

The file says for every row how many samples are equal, refused, different or accepted, with the findings. Exit code 1 if a
sample is different without an error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from common.api_mapping import peer
from common.api_mapping.running import open_halves, selected
from common.files import write_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names or patterns; default: all")
    parser.add_argument("--mode", default="pynative", choices=["pynative", "graph", "gradient"])
    parser.add_argument("--suite", default="all", choices=["all", "operators", "modules", "optimizers"])
    parser.add_argument("--limit", type=int, default=0, help="samples of each operator and dtype; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/peer.json"))
    given = parser.parse_args()
    halves = open_halves(given.device)
    suites = importlib.import_module("pytorch_impl.mapping_peer").SUITES
    rows = {row.name: row for row in selected(given.rows)}
    findings: list[peer.Finding] = []
    given.output.parent.mkdir(parents=True, exist_ok=True)
    for name, samples in suites.items():
        if given.suite in ("all", name):
            for finding in peer.run(
                samples(rows, given.limit), halves.torch, halves.mindspore, halves.mindspore.named, given.mode
            ):
                findings.append(finding)
                if len(findings) % 1000 == 0:
                    write_json(given.output, peer.summary(findings))
                    print(f"{len(findings)} samples", file=sys.stderr, flush=True)
    found = peer.summary(findings)
    write_json(given.output, found)
    print(", ".join(f"{count} {kind}" for kind, count in found["total"].items()))
    return int(found["total"]["different"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
