"""The arguments of a boot file. The platform adds some of its own, so that unknown ones are no error here."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.launch.staging import Patience

__all__ = ["Arguments", "parse"]

_EPILOG = """Any other argument whose name has a dot, and --seed, changes that setting of the configuration: --training.epochs=1 (platforms
pass hyperparameters in this form). Other unknown arguments are ignored with a notice. What follows a bare -- goes to twinlora train as it is.
Exit code: that of the training; 1 also where the output could not be uploaded, 2 also where the job does not fit together."""


@dataclass(frozen=True)
class Arguments:
    """What a job was asked to do."""

    config: str
    backend: str
    data_url: str | None
    model_url: str | None
    train_url: str
    name: str
    run_id: str
    device: str | None
    overrides: tuple[str, ...]
    passed_on: tuple[str, ...]
    ignored: tuple[str, ...]
    job_dir: Path | None
    sync_minutes: float
    patience: Patience


def parse(arguments: Sequence[str]) -> Arguments:
    """Read the command line; ends the process on --help and on a wrong value, as argparse does."""
    own, passed_on = split(arguments)
    given, unknown = _parser().parse_known_args(own)
    overrides, ignored = _sort(unknown)
    name = given.name or Path(given.config).stem
    return Arguments(
        config=given.config,
        backend=given.backend,
        data_url=given.data_url or None,
        model_url=given.model_url or None,
        train_url=given.train_url,
        name=name,
        run_id=given.run_id or f"{name}-{given.backend}",
        device=given.device or None,
        overrides=(*given.set, *overrides),
        passed_on=tuple(passed_on),
        ignored=ignored,
        job_dir=given.job_dir,
        sync_minutes=given.sync_minutes,
        patience=Patience(given.stage_timeout, given.stage_attempts, given.stage_backoff),
    )


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before and after a bare ``--``."""
    place = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:place]), list(arguments[place + 1 :])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="boot.py",
        description="Run one twinlora training job: on ModelArts, under msrun or torchrun, or here.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--config",
        required=True,
        metavar="CONFIG",
        help="a YAML file here, in the code directory or in a bucket, or the name of a shipped experiment",
    )
    add("--backend", required=True, choices=("pytorch", "mindspore"))
    add(
        "--train_url",
        required=True,
        metavar="URL",
        help="where the output goes: a folder here or in a bucket (obs://, s3://)",
    )
    add("--data_url", metavar="URL", help="the data set: a folder here or in a bucket")
    add("--model_url", metavar="URL", help="the base model: a folder here or in a bucket")
    add(
        "--run_id",
        metavar="ID",
        help="the output is TRAIN_URL/ID; one that is there is continued; default: NAME-BACKEND",
    )
    add("--name", help="name of the run; default: that of the configuration")
    add(
        "--device",
        metavar="KIND",
        help="ascend, gpu, cuda or cpu; needed where a node has several cards: each process takes its own",
    )
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting; may be repeated")
    add(
        "--sync_minutes",
        metavar="N",
        type=partial(_number, float, 0),
        default=10,
        help="copy the output to the bucket this often; 0: only in the end; default: 10",
    )
    add(
        "--job_dir",
        metavar="DIR",
        type=Path,
        help="scratch directory of this job alone; default: made from the platform's job id, on /cache or in /tmp",
    )
    add(
        "--stage_timeout",
        metavar="S",
        type=partial(_number, float, 1e-3),
        default=1800,
        help="seconds that one copy may take; default: 1800",
    )
    add(
        "--stage_attempts",
        metavar="N",
        type=partial(_number, int, 1),
        default=3,
        help="how often a copy is tried; default: 3",
    )
    add(
        "--stage_backoff",
        metavar="S",
        type=partial(_number, float, 0),
        default=5,
        help="seconds before the second attempt, doubled before each further one; default: 5",
    )
    return parser


def _number(kind: type, least: float, text: str) -> float:
    """A finite number of at least ``least``, at most a year of seconds."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= 3e7:
        what = "an integer" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"must be {what} from {least:g} to 3e7; received {text!r}")
    return value


def _sort(unknown: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings of the configuration, as KEY=VALUE, and what is ignored."""
    overrides, ignored = [], []
    waiting = list(unknown)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if name.startswith("--") and not equals and waiting and not waiting[0].startswith("--"):
            equals, value = "=", waiting.pop(0)
        if name.startswith("--") and ("." in name or name == "--seed") and equals:
            overrides.append(f"{name[2:]}={value}")
        else:
            ignored.append(f"{name}{equals}{value}")
    return tuple(overrides), tuple(ignored)
