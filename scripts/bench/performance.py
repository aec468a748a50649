#!/usr/bin/env python3
"""Write the tables of docs/performance.md from the measurements kept in docs/performance/*.json.

    twinlora bench step --case minilm-16x128 --output runs/bench/step-minilm-16x128.json
    python scripts/bench/performance.py --take runs/bench/*.json      copies the files, then writes
    python scripts/bench/performance.py --busy --take ...             also files of a busy machine, which the page then says
    python scripts/bench/performance.py [--check]                     --check only says whether the page is up to date

Numbers are only measured, never typed; goals stand here, above the tables that are held against them.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import InputError, run_script
from common.files import write_atomic

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("step", "generate", "memory", "job", "startup", "growth", "merge", "kernels", "profile")
FAMILY, NETWORK = "family-", "network-"  #: how the cases of single families and of classic networks are named
#: by measurement and pair, the ratio that must be reached and the one that is aimed at
GOALS: dict[tuple[str, str], tuple[float, float]] = {
    ("step-minilm-16x128", "pytorch/peft"): (0.92, 0.82),
    ("step-minilm-16x32", "pytorch/peft"): (0.92, 0.82),
    ("step-minilm-16x128", "mindspore/peft"): (1.1, 0.9),
    ("step-minilm-16x32", "mindspore/peft"): (1.1, 0.9),
    ("step-minilm-16x128", "pytorch/roofline of pytorch"): (1.25, 1.1),
    ("step-minilm-16x128", "mindspore/roofline of mindspore"): (1.4, 1.1),
    ("step-minilm-16x128-bf16", "pytorch:training.dtype=bf16/pytorch"): (0.75, 0.6),
    ("step-minilm-16x128-bf16", "pytorch:training.dtype=bf16/peft:training.dtype=bf16"): (0.85, 0.7),
    ("step-sst2", "pytorch/peft"): (0.75, 0.6),
    ("step-gpt2-4x256", "pytorch/peft"): (0.88, 0.75),
    ("step-mindpet", "mindspore/mindpet"): (0.6, 0.4),
    ("memory-gpt2-4x256", "pytorch/peft"): (0.6, 0.45),
    ("memory-minilm-16x128", "mindspore/pytorch"): (1.5, 1.1),
    ("memory-bert-base-4x512", "pytorch/peft"): (0.7, 0.55),
    ("job-512", "pytorch/trainer-512"): (0.1, 0.05),
    ("job", "pytorch/trainer-dynamic"): (0.85, 0.7),
    ("job", "mindspore/trainer-dynamic"): (0.85, 0.7),
}


def row(*cells: Any) -> str:
    """One line of a table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def table(*columns: str) -> list[str]:
    """Head of a table; the first column is text, all others are numbers."""
    return [row(*columns), "|---|" + "---:|" * (len(columns) - 1)]


def goal(found: dict[str, Any], pair: str) -> str:
    """What must be reached and what is aimed at, or nothing."""
    bounds = GOALS.get((found.get("name", ""), pair))
    return f"{bounds[0]:g}, aim {bounds[1]:g}" if bounds else ""


def preloaded(found: dict[str, Any]) -> str:
    """Libraries that were loaded before all others, another allocator for one."""
    return "".join(f", {library} preloaded" for library in found.get("hardware", {}).get("preloaded", ()))


def _busy(machine: dict[str, Any]) -> str:
    """What else ran meanwhile, where that was more than it may be."""
    load = machine.get("load", {"quiet": True})
    return "" if load["quiet"] else ", on a busy machine"


def described(name: str, found: dict[str, Any], linked: bool = True) -> str:
    """On what and with what a file was made."""
    machine, settings = found["hardware"], found["settings"]
    versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    changed = f"; {', '.join(settings['set'])}" if settings["set"] else ""
    place = machine["accelerator"] or machine["cpu"]
    label = f"[{name}](performance/{name})" if linked else f"`{name}`"
    ways = f"{machine['threads']} threads{preloaded(found)}, {settings['rounds']} rounds{changed}{_busy(machine)}"
    return f"{label}: {place}, {ways}. {versions}."


def step(found: dict[str, Any]) -> list[str]:
    """Ratios with quartiles; seconds of a step second."""
    lines = [
        f"Case {found['case']}, {found['steps_per_round']} steps a round.",
        "",
        *table("ratio of step times", "median", "quartiles", "of the sums", "goal"),
    ]
    for pair, ratio in found["ratios"].items():
        quartiles = f"{ratio['lower_quartile']:.3f} to {ratio['upper_quartile']:.3f}"
        lines.append(row(pair, f"{ratio['median']:.3f}", quartiles, f"{ratio['of_sums']:.3f}", goal(found, pair)))
    lines += ["", *table("subject", "seconds a step")]
    lines += [row(name, f"{seconds['median']:.4f}") for name, seconds in found["seconds_per_step"].items()]
    notes = [f"{name}: {about['note']}." for name, about in found["subjects"].items() if about["note"]]
    return lines + (["", *notes] if notes else [])


def generate(found: dict[str, Any]) -> list[str]:
    """Tokens per second of each subject and number of rows, against transformers on the same weights."""
    lines = [f"Case {found['case']}: {found['new_tokens']} new tokens after {found['prompt']}, greedily.", ""]
    lines += table(
        "subject, rows", "tokens per second", "of those of transformers", "quartiles", "equal tokens", "peak MiB"
    )
    for rows, about in found["batches"].items():
        for name, speed in about["tokens_per_second"].items():
            ratio = about["ratios"].get(f"{name}/transformers")
            times = (
                (f"{ratio['median']:.2f}", f"{ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f}")
                if ratio
                else ("", "")
            )
            rest = (f"{about['agreement'][name]:.0%}", f"{about['peak_memory_bytes'][name] / 2**20:,.0f}")
            lines.append(row(f"{name}, {rows}", f"{speed['median']:.1f}", *times, *rest))
    return lines


def memory(found: dict[str, Any]) -> list[str]:
    """MiB of each subject, and the ratios."""
    keys = {
        "before": "before the step",
        "first": "first step above it",
        "later": "later steps above it",
        "peak": "in all",
        "saved_bytes": "kept for backward",
    }
    lines = [f"Case {found['case']}.", "", *table("MiB", *keys.values())]
    for name, about in found["subjects"].items():
        lines.append(row(name, *(f"{about[key] / 2**20:,.0f}" if about.get(key) is not None else "" for key in keys)))
    lines += ["", *table("ratio", *list(keys.values())[1:], "goal")]
    for pair, ratio in found["ratios"].items():
        lines.append(
            row(pair, *(f"{ratio[key]:.3f}" if key in ratio else "" for key in list(keys)[1:]), goal(found, pair))
        )
    return lines


def job(found: dict[str, Any]) -> list[str]:
    """Whole epochs; what was not run to its end says so."""
    lines = [f"Experiment {found['experiment']}{preloaded(found)}.", ""]
    lines += table(
        "job",
        "seconds",
        "measured",
        "steps",
        "waiting for data",
        "batch shapes",
        "compiled graphs",
        "compiling",
        "of what was measured",
    )
    for name, runs in found["subjects"].items():
        run = sorted(runs, key=lambda entry: entry["seconds"])[len(runs) // 2]
        seconds = f"{run['seconds']:.0f}{' (extrapolated)' if run['extrapolated'] else ''}"
        own = ("",) * 5
        if "data_share" in run:
            compiling = (run["compiled_graphs"], f"{run['compile']:.1f} s", f"{run['compile'] / run['measured']:.0%}")
            own = (f"{run['data_share']:.1%}", run["batch_shapes"], *compiling)
        lines.append(row(name, seconds, f"{run['measured']:.0f}", run["steps"], *own))
    lines += ["", *table("ratio of whole jobs", "median", "goal")] if found["ratios"] else []
    return lines + [row(pair, f"{ratio['median']:.3f}", goal(found, pair)) for pair, ratio in found["ratios"].items()]


def startup(found: dict[str, Any]) -> list[str]:
    """Medians."""
    lines = [
        *table("from the command to", "seconds"),
        *(row(name, f"{about['median']:.3f}") for name, about in found["seconds"].items()),
    ]
    return [
        *lines,
        "",
        *(
            f"Importing the {backend} backend loads {', '.join(loaded)} and no other framework."
            for backend, loaded in found["loaded"].items()
        ),
    ]


def growth(found: dict[str, Any]) -> list[str]:
    """Exponents of time and memory on each axis."""
    lines = table("backend and axis", "points", "exponent of the step time", "exponent of the memory")
    for name, curve in found["curves"].items():
        points = ", ".join(
            f"{value}: {seconds:.3f} s" for value, seconds in zip(curve["values"], curve["seconds"], strict=True)
        )
        lines.append(row(name, points, f"{curve['exponents']['seconds']:.2f}", f"{curve['exponents']['memory']:.2f}"))
    return lines


def merge(found: dict[str, Any]) -> list[str]:
    """Time and share of the memory's bandwidth."""
    lines = table("operation", "seconds", "GB moved", "GB/s", "share of a copy's bandwidth")
    for name, about in found["operations"].items():
        moved = about["bytes"] / 1e9
        lines.append(
            row(
                name,
                f"{about['seconds']:.2f}",
                f"{moved:.2f}",
                f"{moved / about['seconds']:.2f}",
                f"{about['fraction']:.2f}",
            )
        )
    return lines


def kernels(found: dict[str, Any]) -> list[str]:
    """What is avoided and what is used instead."""
    lines = table(
        "kernel",
        "ms, as the framework does it",
        "ms, as it is done here",
        "ratio",
        "bytes kept for an element",
        "and here",
        "error",
        "and here",
    )
    for name, about in found["kernels"].items():
        kept = [f"{about[key]:.1f}" if key in about else "" for key in ("kept before", "kept now")]
        errors = [f"{about[key]:.1e}" if key in about else "" for key in ("error before", "error now")]
        lines.append(
            row(
                name,
                f"{about['before'] * 1e3:.2f}",
                f"{about['now'] * 1e3:.2f}",
                f"{about['now'] / about['before']:.2f}",
                *kept,
                *errors,
            )
        )
    return lines


def profile(found: dict[str, Any]) -> list[str]:
    """Where a step goes, beside its roofline."""
    backend = {"pytorch": "PyTorch", "mindspore": "MindSpore"}[found["backend"]]
    lines = [f"Case {found['case']}, the {backend} backend.", "", *table("a step's", "ms", "share", "roofline, ms")]
    total = sum(about["seconds"] for about in found["kinds"].values())
    for name, about in found["kinds"].items():
        limit = f"{about['limit'] * 1e3:.1f}" if about["limit"] else ""
        lines.append(row(name, f"{about['seconds'] * 1e3:.1f}", f"{about['seconds'] / total:.0%}", limit))
    return lines


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "step": step,
    "generate": generate,
    "memory": memory,
    "job": job,
    "startup": startup,
    "growth": growth,
    "merge": merge,
    "kernels": kernels,
    "profile": profile,
}


def measured(folder: Path) -> list[dict[str, Any]]:
    """What the kept files hold, with the names of the files."""
    return [{**json.loads(path.read_text("utf-8")), "name": path.stem} for path in sorted(folder.glob("*.json"))]


def section(kind: str, folder: Path) -> str:
    """Every table of one kind; says so where nothing was measured."""
    lines: list[str] = []
    for found in measured(folder):
        if found["kind"] == kind and not found.get("case", "").startswith((FAMILY, NETWORK)):
            lines += [*TABLES[kind](found), "", described(f"{found['name']}.json", found), ""]
    return "\n".join(lines).strip() or "Not measured yet."


def spread(ratio: dict[str, float]) -> str:
    """A ratio's median and quartiles."""
    return f"{ratio['median']:.2f} ({ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f})"


def networks(folder: Path) -> str:
    """One line for each classic network: ratios of the processor time of a step, and where these stand."""
    found = {one["case"]: one for one in measured(folder) if one.get("case", "").startswith(NETWORK)}
    pairs = ("mindspore/pytorch", "pytorch/torch", "mindspore/cells")
    lines = table("network", *pairs)
    for case, one in sorted(found.items()):
        lines.append(row(case.removeprefix(NETWORK), *(spread(one["processor_ratios"][pair]) for pair in pairs)))
    kept = sorted({described(f"step-{NETWORK}*.json", one, linked=False) for one in found.values()})
    return "\n".join([*lines, "", *kept]) if found else "Not measured yet."


def families(folder: Path) -> str:
    """One line for each family: ratios of step times and of memory to PEFT's, and where these stand."""
    found = [one for one in measured(folder) if one.get("case", "").startswith(FAMILY)]
    steps, memories = ({one["case"]: one for one in found if one["kind"] == kind} for kind in ("step", "memory"))
    pairs = ("pytorch/peft", "mindspore/peft")
    lines = table("family", *(f"{pair}: step" for pair in pairs), *(f"{pair}: memory" for pair in pairs))
    for case in sorted(steps.keys() | memories.keys()):
        times = [steps[case]["ratios"][pair] for pair in pairs] if case in steps else []
        cells = [spread(ratio) for ratio in times]
        sizes = [f"{memories[case]['ratios'][pair]['peak']:.2f}" for pair in pairs] if case in memories else []
        lines.append(row(case.removeprefix(FAMILY), *(cells or ["", ""]), *(sizes or ["", ""])))
    kept = sorted(
        {
            described(f"{kind}-{FAMILY}*.json", one, linked=False)
            for kind, ones in (("step", steps), ("memory", memories))
            for one in ones.values()
        }
    )
    return "\n".join([*lines, "", *kept]) if found else "Not measured yet."


def rendered(page: str, folder: Path) -> str:
    """The page with every section between its markers replaced.

    Raises:
        InputError: a marker is missing.
    """
    for kind in KINDS:
        page = between(page, kind, section(kind, folder))
    return between(between(page, "families", families(folder)), "networks", networks(folder))


def between(page: str, name: str, text: str) -> str:
    """The page with ``text`` between the markers of a name. Raises InputError where a marker is missing."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise InputError(f"The page must hold {begin} and {end} once each; put them where the section belongs.")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def take(files: list[Path], folder: Path, busy: bool = False) -> None:
    """Keep measurements beside the page. Raises InputError for a file that is none, or, unless ``busy``, was made on a
    busy machine."""
    for file in files:
        found = json.loads(file.read_text(encoding="utf-8"))
        kind, load = found.get("kind"), found.get("hardware", {}).get("load", {"quiet": True})
        if kind not in TABLES:
            raise InputError(f"{file} must be written by twinlora bench; its kind is {kind!r}.")
        if not load["quiet"] and not busy:
            raise InputError(
                f"{file} must be made on a quiet machine; other processes took {load['others_cores']:.2f} of "
                f"{load['cores']} cores while it was. Measure again, or give --busy."
            )
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    folder = ROOT / "docs/performance"
    take(args.take, folder, args.busy)
    document = ROOT / "docs/performance.md"
    page = document.read_text(encoding="utf-8")
    wanted = rendered(page, folder)
    if args.check and wanted != page:
        raise InputError(
            f"{document} must be what the measurements say; it is stale. Run python scripts/bench/performance.py."
        )
    write_atomic(document, wanted)


if __name__ == "__main__":
    run_script(main)
