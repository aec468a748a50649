"""The documents: links lead somewhere, and the README says the same in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(text: str) -> list[str]:
    return re.findall(r"```.*?```", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_both_readmes_give_the_same_commands_and_figures():
    english, chinese = (ROOT.joinpath(name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert blocks(english) == blocks(chinese)
    assert {*LINK.findall(english)} ^ {*LINK.findall(chinese)} == {"README.md", "README.zh-CN.md"}
    figures = [
        re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", re.sub(r"```.*?```", "", text, flags=re.DOTALL).split("## ")[0])
        for text in (english, chinese)
    ]
    assert len(figures[0]) > 8
    assert sorted(figures[0]) == sorted(figures[1])


@pytest.mark.parametrize(("page", "none"), [("other_tools.md", "not found"), ("other_tools.zh-CN.md", "未找到")])
def test_every_cell_about_another_tool_has_its_evidence(page, none):
    """The second table links each cell to where the tool says so; all nine tools are there."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    table = text.split("\n## ")[2]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if line[:1] == "|"]
    head, _, *rows = rows
    assert len(rows) == 10
    assert {len(row) for row in rows} == {len(head)}
    bare = [cell for row in rows for cell in row[1:] if not re.fullmatch(r"\[[^\]]+\]\(\S+\)", cell)]
    assert set(bare) == {none}


def test_both_pages_about_other_tools_say_the_same():
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("other_tools.md", "other_tools.zh-CN.md")]
    links = [re.findall(r"\]\((https?:[^)]+)\)", page) for page in pages]
    assert len(links[0]) > 40
    assert links[0] == links[1]
    assert [len(page.split("\n## ")) for page in pages] == [5, 5]
