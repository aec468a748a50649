"""What scripts/release.sh refuses before it builds anything; what it builds is tried by `test_wheel` and by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.resources import code_folder

SCRIPT = (code_folder() / "scripts" / "release.sh").read_text()


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    files = {
        "scripts/release.sh": SCRIPT,
        "common/__init__.py": '__version__ = "1.2.3"\n',
        "CHANGELOG.md": "## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def refused(repository: Path) -> str:
    done = subprocess.run(["bash", "scripts/release.sh"], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert not (repository / "dist").exists()
    return done.stderr


def test_a_release_is_made_of_what_is_committed(repository):
    (repository / "CHANGELOG.md").write_text("other")
    assert "not committed" in refused(repository)


def test_a_release_has_a_section_of_the_changelog(repository):
    (repository / "common" / "__init__.py").write_text('__version__ = "1.3.0"\n')
    git(repository, "commit", "-qam", "second")
    assert '"## [1.3.0] - DATE"' in refused(repository)


def test_a_version_that_was_tagged_is_not_built_from_another_commit(repository):
    git(repository, "tag", "v1.2.3")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    assert "v1.2.3 is another commit" in refused(repository)
