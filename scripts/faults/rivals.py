#!/usr/bin/env python3
"""Start two trainings with --overwrite on one directory at the same time; one trains, the other must be refused or come
after it.

    python scripts/faults/rivals.py --rounds 10 -o runs/faults/rivals.json

The two have different seeds. What lies there in the end must be the bytes of one of them trained alone.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from laboratory import Counts, Quiet, argument_parser, differences, experiment, finish, problems_of

_PROMISE = "exit codes 0 and 2, or 0 twice one after the other; the directory is that of one run alone"
_SEEDS = (1, 2)
_LONGEST = 1200.0


def _train(folder: str, output: str, data: Path | None, seed: int, result: Any) -> None:
    import dataclasses

    from common.errors import TwinloraError
    from common.training.run import train

    config = dataclasses.replace(experiment(Path(folder), data), seed=seed)
    code = 0
    try:
        train(config, "pytorch", "cpu", Path(output), overwrite=True, progress=Quiet())
    except TwinloraError as error:
        code = error.exit_code
    except BaseException as error:
        code = f"{type(error).__name__}: {error}"
    result.send(code)


def _start(folder: Path, output: Path, data: Path | None, seed: int) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    own = folder / f"experiment-{seed}"
    own.mkdir(exist_ok=True)
    process = context.Process(target=_train, args=(str(own), str(output), data, seed, theirs))
    process.start()
    theirs.close()
    return process, ours


def _code(process: Any, pipe: Any) -> Any:
    found = pipe.recv() if pipe.poll(_LONGEST) else "it hangs"
    process.kill()
    process.join()
    return found


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    Counts.output = arguments.output
    import matplotlib.figure  # noqa: F401

    from common import backend as backends

    backends.load("pytorch")
    counts, run = Counts("two trainings on one directory", "PyTorch", _PROMISE), Path("trial/pytorch")
    refused, moments = 0, random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        begun = time.monotonic()
        for seed in _SEEDS:
            assert _code(*_start(folder, folder / f"alone-{seed}", arguments.data, seed)) == 0
        seconds = (time.monotonic() - begun) / len(_SEEDS)
        for number in range(arguments.rounds):
            output = folder / f"round-{number}"
            first = _start(folder, output, arguments.data, _SEEDS[0])
            time.sleep(moments.uniform(0, 0.7 * seconds))
            second = _start(folder, output, arguments.data, _SEEDS[1])
            codes = [_code(*first), _code(*second)]
            refused += 2 in codes
            problems = [] if 0 in codes and set(codes) <= {0, 2} else [f"exit codes {codes}"]
            problems += problems_of(output / run)
            apart = [differences(output / run, folder / f"alone-{seed}" / run) for seed in _SEEDS]
            problems += [] if [] in apart else [f"it is neither run: {apart}"]
            counts.trial(f"round {number + 1}", problems)
            counts.notes["rounds in which one was refused"] = refused
    finish()


if __name__ == "__main__":
    main()
