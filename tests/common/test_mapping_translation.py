"""The mapping's pages in Chinese: every text of every row is translated, and every message that running rows makes."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser

import numpy as np
import pytest

from common.api_mapping import peer_report, report, wording
from common.api_mapping.distribution import compare_distributions
from common.api_mapping.export import write_pages
from common.api_mapping.peer import KNOWN
from common.api_mapping.rows import registry
from common.api_mapping.tolerance import CLASSES, Result, compare
from common.api_mapping.translation import catalogue, said
from common.language import LANGUAGES, speaking

CHINESE = re.compile("[\u4e00-\u9fff]")
ERROR = re.compile(r"(?:^|: )\w+(?:Error|Exception): ")  #: what a framework said stays as it is


def texts() -> set[str]:
    """What a row or a table of the pages may say."""
    rows = registry().values()
    found = {text for row in rows for text in (row.adaptation, row.note, *row.limits.values()) if text}
    found |= {*report.VERDICTS, *report.VERDICTS.values(), *wording.COMPILED.values()}
    found |= {limit.why for limit in CLASSES.values()} | {one.why for one in KNOWN}
    found |= {*peer_report.HEAD, *peer_report.SUITES.values(), "right", "rejected", "not tried"}
    return found | {
        "absent",
        "refuses some calls",
        "wrong as documented",
        "refused every call",
        "holds NaN or infinity",
    }


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_text_of_a_row_is_translated_and_no_other_is_kept(language):
    kept = catalogue(language)["texts"]
    assert set(kept) == texts()
    bare = {
        english: other
        for english, other in kept.items()
        if not CHINESE.search(other) and other not in ("stop_gradient",)
    }
    assert bare == {}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_figures_and_names_of_code_survive_the_translation(language):
    """A number, or a name with a dot, an underscore or a digit, is the same in both."""
    exact = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?|[a-zA-Z]+(?:[._]\w+)+|[a-zA-Z]+\d+\w*")
    for english, other in catalogue(language)["texts"].items():
        missing = set(exact.findall(english)) - set(exact.findall(other))
        assert missing <= {"0"} or "units in the last place" in english, (english, other)


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_templates_keep_their_fields(language):
    for english, other in catalogue(language)["templates"].items():
        first, second = (
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, other)
        )
        assert first == second, english


def made() -> set[str]:
    """Messages as the comparison makes them."""
    one, two = np.array([1.0, 2.0], np.float32), np.array([1.0, 2.5], np.float32)
    nan, whole = np.array([1.0, np.nan], np.float32), np.array([1, 2])
    pairs = [(one, two), (nan, one), (whole, one), (one[:1], one), (whole, whole + 1), (True, False)]
    pairs += [(one.astype(np.complex64), two.astype(np.complex64))]
    found = {
        compare(Result((ours,), "tensor"), Result((torchs,), "tensor"), Result((torchs,), "tensor"), "rounding").problem
        for ours, torchs in pairs
    }
    plain = Result((one,), "tensor")
    found.add(compare(plain, Result((one,), "bool"), plain, "rounding").problem)
    found.add(compare(plain, Result((one,), "tensor", (one,)), plain, "rounding").problem)
    slopes = [Result((one,), "tensor", (slope,)) for slope in (one, two)]
    found.add(compare(*slopes, slopes[1], "rounding").problem)
    draws = Result((np.linspace(0, 1, 500, dtype=np.float32),), "tensor")
    for other in (np.linspace(1, 2, 500, dtype=np.float32), np.full(500, np.nan, np.float32)):
        found.add(compare_distributions(Result((other,), "tensor"), draws).problem)
    assert None not in found
    return found


def test_every_message_of_the_comparison_has_a_template():
    with speaking("zh"):
        for message in made():
            for text in (f"3x4 normal: {message}", f"3x4 normal: {message} (and 2 more of 7 calls)"):
                other = said(text)
                assert (
                    "torch" not in message
                    or "torch \u4e3a" in other
                    or "torch \u8fd4\u56de" in other
                    or "torch \u6709" in other
                ), other
                assert CHINESE.search(other.replace("\u4e2a\u8c03\u7528\u4e2d\u53e6\u6709", "")), other
                assert not re.search(r"\b(output|gradient|at|error|exceeds|returns|more)\b", other), other
        assert said("3x4 normal: TypeError: boom") == "3x4 normal: TypeError: boom"
        assert said("float64") != "float64"  # a note of one word
        assert "float64" in said("3x4: output 0: dtype float64, torch float32")


def test_no_message_of_the_published_verification_is_left_in_english():
    content = report.read_document()
    left = []
    with speaking("zh"):
        for view in report.views(content=content):
            told = [view.said(name) for name in view.row.targets]
            told += [wording.legacy(view)[2]] if view.row.legacy else []
            left += [
                text
                for text in told
                if text not in ("", "passed") and not CHINESE.search(said(text)) and not ERROR.search(text)
            ]
    assert left == []


class Prose(HTMLParser):
    """The text of a page outside of code, errors and folded lists."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "wbr", "input"):
            self.open.append(tag)
        self.found += [value for name, value in attrs if name in ("placeholder", "aria-label", "data-label") and value]

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if not {"code", "style", "script", "li", "option"} & set(self.open):
            self.found.append(data.strip())


def test_the_chinese_pages_hold_no_english_sentence(tmp_path):
    pages = {path.name: path.read_text(encoding="utf-8") for path in write_pages(tmp_path)}
    html = pages["api_mapping.zh-CN.html"]
    assert '<html lang="zh">' in html
    assert '<option value="exact">' in html, "filters compare with the English names"
    sentences = [
        text
        for text in Prose(html).found
        if re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", ERROR.split(text)[0]) and not CHINESE.search(text)
    ]
    assert [text for text in sentences if not re.match(r"\u51fa\u73b0\u5728", text)] == []
    markdown = pages["api_mapping.zh-CN.md"]
    cells = {
        cell.strip() for line in markdown.splitlines() if line.startswith("| `torch") for cell in line.split(" | ")[-1:]
    }
    assert [cell for cell in cells if cell.rstrip(" |") and not CHINESE.search(cell) and "stop" not in cell] == []
