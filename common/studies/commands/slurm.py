"""``twinlora study slurm``: write an array script for a Slurm cluster."""

from __future__ import annotations

import argparse

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = "plan a study, and write an array script for Slurm with a task for each run that is left"
    parser = subparsers.add_parser("slurm", help=text, description=text, allow_abbrev=False)
    options.add_changes(parser)
    options.add_filter(parser)
    parser.add_argument("--parallel", type=int, metavar="N", help="tasks at the same time; default: as Slurm decides")
    parser.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="such as --sbatch=--partition=gpu; may be repeated",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the plan and the script."""
    from common.errors import InputError
    from common.files import write_atomic
    from common.studies.cluster.slurm import array_script
    from common.studies.planning import planned_study

    if args.parallel is not None and args.parallel < 1:
        raise InputError(f"--parallel must be greater than 0; received {args.parallel}.")
    directory, left = planned_study(args)
    seconds = directory.read_plan()["definition"]["limits"]["seconds"]
    names = [point["id"] for point in left]
    script = array_script(directory.path, directory.path.name, names, args.parallel, seconds, args.sbatch)
    path = directory.path / "slurm" / "array.sh"
    write_atomic(path, script)
    print(f"{len(names)} runs are left. Submit them:  sbatch {path}")
