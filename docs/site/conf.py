"""The documentation site: `bash scripts/docs.sh`. Pages are the Markdown files of docs/; reference pages are generated."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT, SOURCE = HERE.parents[1], HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import reference  # noqa: E402

from common import __version__  # noqa: E402

project = "twinlora"
author = "the authors of twinlora"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"twinlora {release}"
html_show_copyright = False
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
templates_path: list[str] = []
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "description"
default_role = "code"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_exclude = ".linenos, .gp, .go"
suppress_warnings = ["myst.header"]  # a page may begin below its first heading level

_PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[^)]*)?\)")


def _linked(content: str, folder: Path, page: Path) -> str:
    """``content`` of a file in ``folder`` with links that lead somewhere from ``page``: a document beside docs/ is a page
    of the site, and a file that is none has no link."""

    def replaced(match: re.Match[str]) -> str:
        target = (folder / match[3]).resolve()
        if target.parent == ROOT and target.name in _PAGES:
            up = "../" * (len(page.relative_to(SOURCE).parts) - 1)
            return f"{match[1]}[{match[2]}]({up}{_PAGES[target.name]}{match[4] or ''})"
        return match[0] if SOURCE in target.parents else match[2]

    return _LINK.sub(replaced, content)


def setup(app):
    """Called by Sphinx."""
    reference.write(SOURCE)

    def read(app, name, content):
        page = SOURCE / f"{name}.md"
        content[0] = _linked(content[0], page.parent, page)

    def included(app, path, parent, content):
        content[0] = _linked(content[0], ROOT, SOURCE / f"{parent}.md")

    app.connect("source-read", read)
    app.connect("include-read", included)
