"""``twinlora push``: share an adapter or model through a hub."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Upload the adapter or model of a run, its tokenizer and its card to the Hugging Face hub, or to the one that "
        "HF_ENDPOINT names. Data, checkpoints, predictions and logs never leave this machine."
    )
    parser = subparsers.add_parser(
        "push", help="share an adapter or model through a hub", description=text, allow_abbrev=False
    )
    parser.add_argument(
        "path", metavar="RUN", type=Path, help="a run directory, runs/NAME/BACKEND, or a folder that merge wrote"
    )
    parser.add_argument("--to", metavar="ORG/NAME", required=True, help="the repository; made where it is missing")
    parser.add_argument("--base", metavar="ORG/NAME", help="id of an adapter's base model, where a folder was trained")
    parser.add_argument("--private", action="store_true", help="make a repository that others do not see")
    parser.add_argument("--dry-run", action="store_true", help="list the files and show the card; nothing is sent")
    return parser


def run(args: argparse.Namespace) -> None:
    """List what goes, and send it unless ``--dry-run`` is given."""
    from common.report.elements import byte_size
    from common.sharing.pushing import CARD, gather, push
    from common.terminal import notice, printable, printable_line

    shared = gather(args.path, args.to, args.base)
    for name, size in sorted(shared.sizes().items()):
        print(printable_line(f"{name:<30} {byte_size(size):>12}"))
    for folder in shared.left:
        notice(
            f"{folder} is a network of its own, which was trained with this one and is not part of what is shared. To "
            f"share it too: twinlora push {folder} --to ORG/OTHER-NAME"
        )
    if not args.dry_run:
        print(push(shared, args.to, args.private))
        return
    card = shared.files.get(CARD)
    text = card.decode() if isinstance(card, bytes) else card.read_text(encoding="utf-8") if card else "(no card)"
    print(f"\n{printable(text)}\nNothing was sent to {args.to}: --dry-run.")
