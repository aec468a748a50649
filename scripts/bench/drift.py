#!/usr/bin/env python3
"""Turn the traces of a long training into the drift section of docs/parity.md, docs/drift.json and
docs/images/drift.svg.

    twinlora parity training bert_sst2 --data-dir DATA --model MODEL --steps 200 -o runs/parity/drift
    python scripts/bench/drift.py runs/parity/drift

Numbers are only read, never typed: to change the section, run the training again.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError, run_script
from common.files import write_atomic, write_json
from common.parity.trace import Trace, read_trace

ROOT = Path(__file__).resolve().parents[2]
MARKERS = ("<!-- drift:begin -->", "<!-- drift:end -->")
SIDES = {"baseline": "PyTorch", "test": "MindSpore", "reference": "float64"}
MODES = {"plain": "dropout off", "dropout": "dropout on, shared masks"}
STEPS = (1, 10, 50, 100, 200, 500, 1000)


def distances(traces: dict[str, Trace]) -> dict[str, dict[str, np.ndarray]]:
    """For each case the relative distance of the losses, step by step: of each backend to the float64 run, and of the
    halves to each other.

    Raises:
        InputError: the traces hold no training.
    """
    found = {}
    for case in traces["baseline"].cases:
        first, second, exact = (trace.tensor(case, "loss") for trace in traces.values())
        if first is None or second is None or exact is None:
            raise InputError(
                f"The traces must hold the losses of a training in float32 and float64; {case} has none. Record them with twinlora parity training."
            )
        first, second = first.astype(np.float64), second.astype(np.float64)
        found[case] = {
            "PyTorch to float64": first / exact - 1,
            "MindSpore to float64": second / exact - 1,
            "MindSpore to PyTorch": second / first - 1,
        }
        found[case] = {pair: np.abs(values) for pair, values in found[case].items()}
    return found


def drawing(found: dict[str, dict[str, np.ndarray]]) -> str:
    """The curves as SVG: the largest distance up to each step."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "drift", "font.size": 9}):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        for axes, (case, pairs) in zip(
            figure.subplots(1, len(found), sharey=True, squeeze=False)[0], found.items(), strict=True
        ):
            for (pair, values), colour, style in zip(
                pairs.items(), ("#d2691e", "#1b6a86", "#777777"), ("-", "-", ":"), strict=True
            ):
                axes.plot(
                    np.arange(1, len(values) + 1),
                    np.maximum.accumulate(values),
                    color=colour,
                    linestyle=style,
                    linewidth=1.6,
                    label=pair,
                )
            axes.set(
                yscale="log",
                xlabel="step",
                title=f"{case.rpartition('/')[0].partition('/')[2]}, {MODES.get(case.rpartition('/')[2], case)}",
            )
            axes.grid(axis="y", linewidth=0.4)
            axes.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel("largest relative distance of the loss so far")
        figure.axes[0].legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def section(found: dict[str, dict[str, np.ndarray]], traces: dict[str, Trace]) -> str:
    """The Markdown between the markers."""
    length = len(next(iter(next(iter(found.values())).values())))
    steps = [step for step in STEPS if step < length] + [length]
    lines = [
        "## Drift over a real training",
        "",
        f"![Largest relative distance of the losses up to each of {length} steps](images/drift.svg)",
        "",
    ]
    heads = " | ".join("1 step" if step == 1 else f"{step} steps" for step in steps)
    lines += [f"| run | distance of | {heads} | median |", "|---|---|" + "---:|" * (len(steps) + 1)]
    for case, pairs in found.items():
        for pair, values in pairs.items():
            largest = [f"{values[:step].max():.1e}" for step in steps]
            lines.append(f"| {case.partition('/')[2]} | {pair} | {' | '.join(largest)} | {np.median(values):.1e} |")
    ratios = {
        case: np.median(pairs["MindSpore to float64"]) / np.median(pairs["PyTorch to float64"])
        for case, pairs in found.items()
    }
    said = "; ".join(f"{MODES.get(case.rpartition('/')[2], case)}: {ratio:.1f} times" for case, ratio in ratios.items())
    lines += [
        "",
        "Largest relative distance of the training loss up to a step. By its median distance MindSpore's curve is farther from the float64 run than PyTorch's",
    ]
    lines += [f"({said}); both stay within rounding of it.", ""]
    lines += [f"- {name}: {traces[side].label}" for side, name in SIDES.items()]
    hardware = traces["baseline"].manifest["producer"]["hardware"]
    lines += [
        f"- {hardware['cpu']}, {hardware['cores']} cores. The curves are in [drift.json](drift.json); `python scripts/bench/drift.py` makes this section."
    ]
    return "\n".join(lines)


def insert(path: Path, text: str) -> None:
    """Replace what stands between the markers of ``path``."""
    content = path.read_text(encoding="utf-8")
    if not all(content.count(marker) == 1 for marker in MARKERS):
        raise InputError(
            f"{path} must hold the lines {MARKERS[0]} and {MARKERS[1]} once each. Put them where the section belongs."
        )
    before, rest = content.split(MARKERS[0])
    write_atomic(path, f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, help="output folder of twinlora parity training")
    args = parser.parse_args()
    traces = {side: read_trace(args.traces / side) for side in SIDES}
    found = distances(traces)
    curves: dict[str, Any] = {
        case: {pair: [float(f"{value:.4g}") for value in values] for pair, values in pairs.items()}
        for case, pairs in found.items()
    }
    producers = {side: trace.manifest["producer"] for side, trace in traces.items()}
    write_json(ROOT / "docs/drift.json", {"schema": 1, "producers": producers, "relative distance of the loss": curves})
    write_atomic(ROOT / "docs/images/drift.svg", drawing(found))
    insert(ROOT / "docs/parity.md", section(found, traces))


if __name__ == "__main__":
    run_script(main)
