"""Every kind of page in a real browser, wide and narrow, light and dark: nothing sticks out, nothing is fetched, no
script fails, and axe-core finds nothing that keeps people from reading it."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest

from tests.report.sample_pages import KINDS, write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1400, 400)
SCHEMES = ("light", "dark")
#: elements that stick out although nothing scrolls them: (tag and class, right edge)
OUTSIDE = """() => [...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.parentElement.closest(".scroll, details:not([open])"))
  .slice(0, 5).map(e => `${e.tagName} ${e.className} ${Math.round(e.getBoundingClientRect().right)}`)"""

#: rows of the mapping are alike; axe-core takes minutes for all of them
THINNED = "document.querySelectorAll('#rows tbody tr').forEach((row, index) => { if (index % 50) row.remove() })"


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Kind to page; each is drawn once."""
    folder = tmp_path_factory.mktemp("pages")
    return functools.cache(lambda kind: write_page(kind, folder / kind))


@pytest.fixture(scope="session")
def axe():
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser is on PATH: one of {', '.join(BROWSERS)} is needed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser, path, width, scheme):
    """The page, and what went wrong while it was loaded."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: problems.append(request.url) if request.url != page.url else None)
    page.goto(path.as_uri())
    return page, [problem for problem in problems if problem != path.as_uri()]


def check(browser, axe, path, width, scheme):
    page, problems = opened(browser, path, width, scheme)
    try:
        assert problems == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        page.evaluate(THINNED)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        faults = [
            f"{one['id']}: {node['html'][:150]} {node['failureSummary']}" for one in found for node in one["nodes"]
        ]
        assert faults == []
    finally:
        page.close()


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_page_is_whole_and_readable(browser, axe, pages, kind, width, scheme):
    check(browser, axe, pages(kind), width, scheme)


@pytest.mark.parametrize(("kind", "width", "scheme"), [("run", 400, "dark"), ("compare", 1400, "light")])
def test_the_pages_that_users_meet_first_are_whole_and_readable(browser, axe, pages, kind, width, scheme):
    check(browser, axe, pages(kind), width, scheme)
