#!/usr/bin/env python3
"""Make the MindSpore files of the networks that are written once, in PyTorch, with the project's own converter.

python scripts/convert_models.py            # write them
python scripts/convert_models.py --check    # exit code 1 where a file is not what its source gives
python scripts/convert_models.py --table    # also write the table of docs/networks.md

A file of pytorch_impl says in its docstring that it is such a source. Its counterpart is what ``twinlora map convert
--style native --rename pytorch_impl=mindspore_impl`` makes of it, under a docstring that says whose mirror it is, with
the edits of ``EDITS``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.api_mapping.convert import Converted, convert_text  # noqa: E402
from common.files import write_atomic  # noqa: E402

MARK = "Converted to MindSpore by scripts/convert_models.py."
RENAMES = {"pytorch_impl": "mindspore_impl"}
PAGE = ROOT / "docs/networks.md"
BEGIN, END = "<!-- converted:begin -->", "<!-- converted:end -->"


@dataclass(frozen=True)
class Edit:
    """What is changed in a converted file after all."""

    old: str  #: stands in it once
    new: str
    reason: str


#: By file below the packages.
EDITS: dict[str, tuple[Edit, ...]] = {}


def sources() -> list[Path]:
    """The files of pytorch_impl that are converted, sorted."""
    files = sorted((ROOT / "pytorch_impl").rglob("*.py"))
    return [path for path in files if MARK in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")]


def target(path: Path) -> Path:
    """Its counterpart."""
    return ROOT / "mindspore_impl" / path.relative_to(ROOT / "pytorch_impl")


def counterpart(path: Path) -> tuple[str, Converted]:
    """The text of the counterpart, and what the converter says."""
    found = convert_text(path.read_text("utf-8"), "native", renames=RENAMES)
    assert found.text is not None
    name = path.relative_to(ROOT / "pytorch_impl")
    module = ".".join(["pytorch_impl", *name.with_suffix("").parts])
    edits = EDITS.get(name.as_posix(), ())
    changed = " with the edits that it lists" if edits else ""
    text = _headed(found.text, f"Mirrors {module}; made of it by scripts/convert_models.py{changed}.")
    text = _formatted(text, target(path))
    for edit in edits:
        if text.count(edit.old) != 1:
            raise SystemExit(f"{name}: the edit {edit.reason!r} fits {text.count(edit.old)} places instead of one")
        text = text.replace(edit.old, edit.new)
    return _formatted(text, target(path)), found


def _headed(text: str, docstring: str) -> str:
    """``text`` under another docstring."""
    first = ast.parse(text).body[0]
    assert isinstance(first, ast.Expr)
    assert first.end_lineno is not None
    lines = text.splitlines(keepends=True)
    return f'"""{docstring}"""\n' + "".join(lines[first.end_lineno :])


def _formatted(text: str, path: Path) -> str:
    for command in (("check", "--fix", "--quiet", "--select", "I"), ("format", "--quiet")):
        call = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(call, input=text, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    return text


def share(path: Path, text: str) -> tuple[int, int]:
    """Lines of code of the source, and how many of them stand in the converted text as they are."""
    old, new = _code(path.read_text("utf-8")), _code(text)
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return len(old), sum(block.size for block in blocks)


def _code(text: str) -> list[str]:
    """Lines without comments and docstrings."""
    return [line for line in ast.unparse(_bare(ast.parse(text))).splitlines() if line.strip()]


def _bare(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def rows() -> list[str]:
    """The table: of each file the places that the converter changed, those it left to a person, edits, lines."""
    lines = ["| file | places converted | left to a person | edits | lines of code | the same in both |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    totals = [0] * 5
    for path in sources():
        text, found = counterpart(path)
        name = path.relative_to(ROOT / "pytorch_impl").as_posix()
        total, same = share(path, text)
        figures = [found.converted, len(found.todos), len(EDITS.get(name, ())), total, same]
        totals = [a + b for a, b in zip(totals, figures, strict=True)]
        lines.append(_row(f"`{name}`", figures))
    return [*lines, _row("all", totals)]


def _row(name: str, figures: list[int]) -> str:
    *counts, total, same = figures
    cells = [*map(str, counts), str(total), f"{same} ({100 * same / max(total, 1):.0f} %)"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of files, such as textcnn; default: all")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--table", action="store_true", help="also the table of the page")
    args = parser.parse_args()
    stale = 0
    for path in sources():
        if args.names and path.stem not in args.names:
            continue
        text, found = counterpart(path)
        file = target(path)
        for todo in found.todos:
            print(f"{path.relative_to(ROOT)}:{todo.line}: {todo.name}: {todo.text}")
        if not file.exists() or file.read_text("utf-8") != text:
            stale += 1
            print(f"{'stale' if args.check else 'written'}: {file.relative_to(ROOT)}")
            if not args.check:
                write_atomic(file, text)
    if args.table:
        page = PAGE.read_text("utf-8")
        head, rest = page.split(BEGIN)
        tail = rest.split(END)[1]
        write_atomic(PAGE, f"{head}{BEGIN}\n" + "\n".join(rows()) + f"\n{END}{tail}")
    return int(args.check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
