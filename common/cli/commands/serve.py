"""``twinlora serve``: answer over HTTP as ``twinlora predict`` does."""

from __future__ import annotations

import argparse

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Answer over HTTP as twinlora predict does, until SIGTERM or Ctrl-C; requests that were accepted by then are "
        "answered. See docs/serving.md."
    )
    parser = subparsers.add_parser("serve", help="answer over HTTP", description=text, allow_abbrev=False)
    parser.add_argument(
        "artifacts",
        metavar="ARTIFACT",
        nargs="+",
        help="a run directory, an adapter or model folder, or an exported model; NAME=ARTIFACT names it in addresses",
    )
    options.add_backend(parser, required=False)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, which this machine alone reaches")
    parser.add_argument("--port", type=int, default=8000, help="0: one that is free; default: 8000")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-batch",
        metavar="N",
        type=int,
        help="texts that are computed together; default: training.evaluation_batch_size, at which answers are those of "
        "predict to the digit",
    )
    limits.add_argument(
        "--max-wait", metavar="MS", type=float, default=5.0, help="that a text waits for others; default: 5"
    )
    limits.add_argument(
        "--max-queue", metavar="N", type=int, default=1024, help="texts of an artifact that may wait; default: 1024"
    )
    limits.add_argument("--max-body", metavar="BYTES", type=int, default=2**20, help="of a request; default: 1048576")
    limits.add_argument(
        "--read-timeout", metavar="S", type=float, default=10.0, help="in which a request must arrive; default: 10"
    )
    limits.add_argument(
        "--grace", metavar="S", type=float, default=30.0, help="in which accepted requests are answered; default: 30"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    from common.serving import server
    from common.serving.model import named
    from common.serving.options import ServingOptions

    limits = {name: getattr(args, name) for name in ("host", "port", "max_batch", "max_queue", "max_body")}
    chosen = ServingOptions(**limits, max_wait=args.max_wait / 1000, read_timeout=args.read_timeout, grace=args.grace)
    server.run(named(args.artifacts), chosen, args.backend, args.device)
