"""``twinlora export``: a trained run as an ONNX graph."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Write the best state of a run, of either backend, as an ONNX graph with its tokenizer, and check the graph against "
        "the run. `twinlora predict` and `twinlora eval` open the folder; they need ONNX Runtime and no framework."
    )
    parser = subparsers.add_parser("export", help="write a run as an ONNX graph", description=text, allow_abbrev=False)
    options.add_opened(parser)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to be made")
    parser.add_argument("--int8", action="store_true", help="store weights of products and embeddings as int8")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the folder, and say how the graph was checked."""
    from common.exporting.export import export_run
    from common.files import refuse_existing

    refuse_existing(args.out)
    manifest = export_run(options.trained(args), args.out, args.int8)
    check = manifest["check"]
    shapes = ", ".join(f"{rows} x {tokens}" for rows, tokens in check["shapes"])
    print(f"equal to the run within {check['largest_difference']:.1e} at {shapes} tokens; opset {manifest['opset']}")
    if "integers" in manifest:
        found = manifest["integers"]
        print(
            f"int8: {found['bytes'] / found['bytes_before']:.2f} of the size; logits differ by up to "
            f"{found['largest_difference']:.1e}. Score it: twinlora eval {args.out}"
        )
    print(args.out)
