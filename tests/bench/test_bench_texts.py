"""The tables of adapted text models are those of their files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_shows_what_the_files_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    import texts

    files = sorted((ROOT / "docs" / "generation").glob("*.json"))
    page = (ROOT / "docs" / "generation.md").read_text()
    assert len(files) == 3
    for file in files:
        assert "\n".join(texts.rendered(file)) in page
