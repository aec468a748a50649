"""``twinlora study fetch``: bring runs home that were made elsewhere."""

from __future__ import annotations

import argparse

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = "copy the runs of a study from an object store; those that are here are left as they are"
    parser = subparsers.add_parser("fetch", help=text, description=text, allow_abbrev=False)
    options.add_directory(parser)
    parser.add_argument("study_url", metavar="URL", help="the --study-url of `study modelarts`")
    return parser


def run(args: argparse.Namespace) -> None:
    """Copy; say what is there and what is not yet."""
    from common.errors import InputError
    from common.launch.staging import Patience, download, is_remote
    from common.studies.working import planned_points

    directory = options.directory(args)
    if not is_remote(args.study_url):
        raise InputError(f"Runs are fetched from a bucket (obs://... or s3://...); received {args.study_url}.")
    fetched, missing = 0, 0
    for point in planned_points(directory):
        run_directory = directory.run(point).path
        if run_directory.exists():
            continue
        url = f"{args.study_url.rstrip('/')}/runs/{point['id']}"
        there = download(url, run_directory, Patience(), print, optional=True)
        fetched, missing = fetched + there, missing + (not there)
    print(f"{fetched} fetched, {missing} not there yet")
