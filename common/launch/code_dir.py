"""The code directory of a job: which files of this repository go to the bucket, and that no credential goes with
them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from common.launch.processes import ROOT

__all__ = ["INCLUDED", "code_files", "copy_code", "find_credentials"]

#: what a job needs, relative to the repository
INCLUDED = (
    "common",
    "pytorch_impl",
    "mindspore_impl",
    "twinlora",
    "configs",
    "scripts/modelarts",
    "setup.cfg",
    "setup.py",
    "pyproject.toml",
    "constraints.txt",
    "LICENSE",
)

_WORDS = r"ak|sk|access_?key(_?id)?|secret(_?access)?_?key|password|passwd|security_?token"
_CREDENTIALS = {  # the keys of Huawei Cloud are 20 capitals and digits, and 40 letters and digits
    "an access key": r"(?<![A-Za-z0-9])(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{20}(?![A-Za-z0-9])",
    "a secret key": r"(?<![A-Za-z0-9/+_])(?=[a-zA-Z]*\d)(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{40}(?![A-Za-z0-9/+_])",
    "a credential": rf"(?i)(?<![a-z])({_WORDS})['\"]?\s*[:=]\s*['\"]?(?=[a-z/+]*\d)[a-z0-9/+=]{{12,}}",
}


def code_files(root: Path = ROOT) -> list[Path]:
    """The files of the code directory, relative to ``root``."""
    found = [
        path for name in INCLUDED for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
    ]
    relative = (path.relative_to(root) for path in found if path.is_file())
    return sorted(
        path for path in relative if not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    )


def copy_code(target: Path, root: Path = ROOT) -> None:
    """Copy the code directory to ``target``, for an upload by hand."""
    for path in code_files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target / path)


def find_credentials(text: str) -> list[str]:
    """What looks like a credential in ``text``, without repeating it."""
    return [
        f"{kind} ({match[0][:4]}..., {len(match[0])} characters)"
        for kind, pattern in _CREDENTIALS.items()
        for match in re.finditer(pattern, text)
    ]
