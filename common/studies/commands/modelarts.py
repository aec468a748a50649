"""``twinlora study modelarts``: write the request of a ModelArts training job for each run."""

from __future__ import annotations

import argparse

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = "plan a study, and write the request of a ModelArts training job for each run that is left"
    parser = subparsers.add_parser("modelarts", help=text, description=text, allow_abbrev=False)
    options.add_changes(parser)
    options.add_filter(parser)
    parser.add_argument("--study-url", required=True, metavar="obs://...", help="place of the study in the bucket")
    parser.add_argument(
        "--job", metavar="OPTION", action="append", default=[],
        help="option of scripts/modelarts/submit.py, such as --job=--flavor=modelarts.x; may be repeated",
    )  # fmt: skip
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the plan and the requests, and say what remains to be done."""
    from common.studies.cluster.modelarts import write_jobs
    from common.studies.planning import planned_study

    directory, left = planned_study(args)
    folder = write_jobs(directory, left, args.study_url, args.job)
    print(
        f"{len(left)} requests are in {folder}. Copy {directory.path / 'configs'} to {args.study_url.rstrip('/')}/configs,"
    )
    print("the code directory as docs/modelarts.md says, and send each request. Then bring the runs home:")
    print(f"twinlora study fetch {directory.path} {args.study_url}")
