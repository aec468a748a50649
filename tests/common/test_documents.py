"""The documents: links lead somewhere, and the README says the same in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from common.cli.main import build_parser
from common.config import load_config
from common.data import load_dataset
from common.tasks import TASKS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TRANSLATED = [page for page in PAGES if page.name.endswith(".zh-CN.md")]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(text: str) -> list[str]:
    return re.findall(r"```.*?```", text, re.DOTALL)


@pytest.fixture(scope="module")
def parser():
    return build_parser()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_one(page, parser):
    shown = re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in shown for line in block.replace("\\\n", " ").splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"\s\|\s|&&", line)]
    for command in (part for part in parts if part.startswith("twinlora ")):
        words = shlex.split(command, comments=True)
        redirected = [at for at, word in enumerate(words) if word in ("<", ">")]
        parser.parse_args(words[1 : redirected[0] if redirected else None])


@pytest.mark.parametrize("experiment", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_command_of_an_experiments_comment_is_one_and_fits_the_model_it_starts_from(experiment, parser):
    """A model of ours has learned no more positions than it was trained with."""
    comment = re.sub(r"\\\n#", " ", experiment.read_text(encoding="utf-8"))
    for line in re.findall(r"(?m)^# +(twinlora .*)", comment):
        args = parser.parse_args(shlex.split(re.sub(r"\s\(.*\)$", "", line), comments=True)[1:])
        start = re.fullmatch(r"runs/(\w+)/\w+/model", getattr(args, "model", None) or "")
        if start:
            length = load_config(args.config, args.set).data.max_length
            assert length <= load_config(start[1]).data.max_length, line


def test_the_readme_is_read_in_five_minutes():
    """Its details stand in the tour, which both languages have."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 900


def test_the_readmes_experiments_are_complete(tmp_path, monkeypatch):
    """Written as they stand, they read the files that they name."""
    monkeypatch.chdir(tmp_path)
    reviews = "text,label\n" + "a fine film,good\na dull film,bad\n" * 10
    for name, content in {"train.csv": reviews, "validation.csv": reviews, "notes.txt": "A line.\n" * 40}.items():
        Path(name).write_text(content, encoding="utf-8")
    shown = re.findall(r"```yaml\n# (\S+)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in shown] == ["reviews.yaml", "notes.yaml"]
    for name, text in shown:
        Path(name).write_text(text, encoding="utf-8")
        config = load_config(name)
        data = load_dataset(config.data, TASKS.get(config.model.task))
        assert len(data.splits["train"]) + len(data.splits["validation"]) == 40


def test_both_tours_show_every_command(parser):
    english, chinese = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("tour.md", "tour.zh-CN.md"))
    assert blocks(english) == blocks(chinese)
    commands = {command.dest for command in parser._subparsers._group_actions[0]._choices_actions}
    assert commands - {*re.findall(r"\btwinlora ([a-z-]+)", english)} == set()


def structure(text: str) -> list[tuple[str, int]]:
    """Headings with their levels, rows of tables with their cells, items of lists, paragraphs' pictures; in order."""
    found = []
    for line in re.sub(r"```.*?```", "```", text, flags=re.DOTALL).splitlines():
        bare = re.sub(r"`[^`]*`", "", line)
        for kind, pattern in (("heading", r"#+ "), ("item", r"\s*(?:-|\d+\.) "), ("picture", r"!\["), ("block", "```")):
            if re.match(pattern, line):
                found.append((kind, len(line) - len(line.lstrip("#"))))
        if line.startswith("|"):
            found.append(("row", len(re.findall(r"(?<!\\)\|", bare))))
    return found


def uncommented(block: str) -> str:
    """Without what is translated: comments, and in a block without a language what stands behind two spaces."""
    pattern = r"(?<=\S)  .*$" if block.startswith("```\n") else r" *#.*$"
    return re.sub(pattern, "", block, flags=re.MULTILINE)


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_translated_page_has_the_structure_commands_and_links_of_the_english_one(page):
    texts = [path.read_text(encoding="utf-8") for path in (page.with_name(page.name.replace(".zh-CN", "")), page)]
    first, second = (structure(text) for text in texts)
    assert first == second
    first, second = ([uncommented(block) for block in blocks(text)] for text in texts)
    assert first == second
    links = [LINK.findall(re.sub(r"!\[.*?\]\(.*?\)", "", text)) for text in texts]  # pictures show the language
    assert {link.replace(".zh-CN", "") for link in links[0]} == {link.replace(".zh-CN", "") for link in links[1]}


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
