"""``twinlora score``: metrics of generated texts against references."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.generation.outputs import Outputs
    from common.metrics.text.scoring import Scores

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Score files of generated texts, of `twinlora generate --split`, against references. With several files every "
        "one is compared with the first: difference, interval, and p-value of approximate randomisation."
    )
    parser = subparsers.add_parser("score", help="score generated texts", description=text, allow_abbrev=False)
    parser.add_argument(
        "outputs",
        metavar="OUTPUTS",
        type=Path,
        nargs="+",
        help='objects {"text": ...}, one a line; .txt: one text a line',
    )
    parser.add_argument(
        "--references",
        metavar="FILE",
        type=Path,
        help='objects {"references": [...]}, one a line; .txt: lines of text, a blank line between examples; default: '
        "those in OUTPUTS",
    )
    parser.add_argument(
        "--metrics", metavar="NAMES", help="with commas between them, or all; default: those that need no package"
    )
    parser.add_argument("--lowercase", action="store_true", help="outputs and references, as for WebNLG and DART")
    parser.add_argument("--resamples", metavar="N", type=int, default=1000, help="of the intervals; default: 1000")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples; default: 0")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page with the texts side by side")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the metrics."""
    from common.generation.outputs import read_outputs, read_references
    from common.metrics.text.scoring import score_texts
    from common.terminal import notice

    systems = [read_outputs(path) for path in args.outputs]
    _check_prompts(systems)
    references = read_references(args.references) if args.references else _shared_references(systems)
    names = [name.strip() for name in args.metrics.split(",")] if args.metrics else []
    lower = str.lower if args.lowercase else str
    scores = score_texts(
        [[lower(text) for text in system.texts] for system in systems],
        [[lower(reference) for reference in given] for given in references],
        names,
        args.resamples,
        args.seed,
    )
    for name, reason in scores.left_out.items():
        notice(f"Metric {name} is left out: {reason}.")
    print(json.dumps(_plain(systems, scores), ensure_ascii=False) if args.json else _table(systems, scores))
    if args.html:
        from common.report.texts import texts_page

        print(texts_page(systems, references, scores, args.html))


def _check_prompts(systems: list[Outputs]) -> None:
    """Raise InputError where files that name their prompts hold texts for other ones, or in another order."""
    from common.errors import InputError

    named = [system for system in systems if system.prompts]
    for first, other in itertools.pairwise(named):
        pairs = enumerate(zip(first.prompts, other.prompts, strict=False), 1)
        differing = next((number for number, (one, two) in pairs if one != two), None)
        if differing is not None:
            raise InputError(
                f"{first.source} and {other.source} hold texts for other prompts, the first of them object {differing}. "
                "Give outputs for the same inputs in the same order."
            )


def _shared_references(systems: list[Outputs]) -> list[list[str]]:
    """The references that stand in the files, which must be of the same examples.

    Raises:
        InputError: there are none, or they differ.
    """
    from common.errors import InputError

    with_references = [system for system in systems if system.references]
    if not with_references:
        raise InputError(f"{systems[0].source} holds no references. Give them with --references FILE.")
    first = with_references[0]
    for other in with_references[1:]:
        if other.references != first.references:
            raise InputError(
                f"{first.source} and {other.source} hold different references. Give outputs for the same inputs."
            )
    return first.references


def _plain(systems: list[Outputs], scores: Scores) -> dict[str, Any]:
    found = [
        {"outputs": system.source, "metrics": {name: dataclasses.asdict(value) for name, value in values.items()}}
        for system, values in zip(systems, scores.systems, strict=True)
    ]
    for record, values in zip(found[1:], scores.comparisons, strict=True):
        record["against_first"] = {name: dataclasses.asdict(value) for name, value in values.items()}
    return {
        "examples": len(systems[0].texts),
        "systems": found,
        "definitions": scores.definitions,
        "left_out": scores.left_out,
    }


def _table(systems: list[Outputs], scores: Scores) -> str:
    from common.terminal import printable_line

    lines = []
    for number, (system, values) in enumerate(zip(systems, scores.systems, strict=True)):
        lines.append(printable_line(system.source))
        for name, value in values.items():
            line = f"  {name:<12} {value.value:8.2f}   95 % interval {value.low:.2f} to {value.high:.2f}"
            if number:
                other = scores.comparisons[number - 1][name]
                line += (
                    f"   against the first {other.difference:+.2f} ({other.low:+.2f} to {other.high:+.2f}), "
                    f"p = {other.p_value:.3f}"
                )
            lines.append(line)
    return "\n".join([*lines, *(f"{name}: {text}" for name, text in scores.definitions.items())])
