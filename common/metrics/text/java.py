"""METEOR's own program, version 1.5 (Denkowski and Lavie 2014), as the package pycocoevalcap carries it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.errors import RunError

__all__ = ["match_counts", "missing"]

_SEPARATOR = " ||| "


def _folder() -> Path | None:
    spec = importlib.util.find_spec("pycocoevalcap")
    places = (spec.submodule_search_locations or []) if spec else []
    found = (Path(place, "meteor") for place in places)
    return next((folder for folder in found if (folder / "meteor-1.5.jar").is_file()), None)


def missing() -> str | None:
    """Why the program cannot be run; None where it can."""
    if _folder() is None:
        return "it needs METEOR 1.5: pip install 'twinlora[nlg]'"
    return None if shutil.which("java") else "METEOR 1.5 needs Java, and there is no program java in PATH"


def match_counts(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> list[list[float]]:
    """The 23 counts of each example, against its best reference.

    Raises:
        RunError: the program fails.
    """
    lines = [
        _SEPARATOR.join(("SCORE", *map(_plain, given), _plain(output)))
        for output, given in zip(outputs, references, strict=True)
    ]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.seek(0)
        command = [
            "java",
            "-Dfile.encoding=UTF-8",
            "-Xmx2G",
            "-jar",
            "meteor-1.5.jar",
            "-",
            "-",
            "-stdio",
            "-l",
            "en",
            "-norm",
        ]
        done = subprocess.run(command, cwd=_folder(), stdin=file, capture_output=True, encoding="utf-8", check=False)
    found = done.stdout.split("\n")[:-1]
    if done.returncode or len(found) != len(lines):
        raise RunError(
            f"METEOR 1.5 must give one line for each of {len(lines)} examples; it gave {len(found)} and ended with "
            f"{done.returncode}: {done.stderr.strip()[-500:]}. Leave the metric meteor out, or check Java."
        )
    return [[float(value) for value in line.split()] for line in found]


def _plain(text: str) -> str:
    return " ".join(text.replace("|||", "").split())
