"""The documentation site: every page is in its table of contents, and its reference pages name everything there is."""

import importlib.util
import re
from pathlib import Path

import pytest

from common.cli import commands
from common.compression import TRANSFORMS
from common.config.schema import DataConfig, ModelConfig, OptimizationConfig, TrainingConfig
from common.methods import METHODS
from common.models import FAMILIES
from common.optimizers import OPTIMIZERS
from common.readouts import READOUTS
from common.tasks import TASKS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "site" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"^[\w./-]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")} - {"index"}
    generated = {"reference/configuration", "reference/commands", "reference/python", "reference/members"}
    assert listed == pages | generated


def test_the_reference_names_every_entry_of_an_experiment(reference):
    page = reference.configuration()
    for section in (ModelConfig, DataConfig, OptimizationConfig, TrainingConfig):
        for name in section.__dataclass_fields__:
            assert f"| `{name}` | " in page
    assert all(f"method: {name}\n" in page for name in METHODS.names())
    assert all(f"optimizer: {name}\n" in page for name in OPTIMIZERS.names())
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert all(line.count(" | ") == 3 for line in rows)


def test_the_reference_shows_the_help_of_every_command(reference):
    page = reference.commands()
    names = [path.stem.replace("_", "-") for path in Path(commands.__path__[0]).glob("[a-z]*.py")]
    assert all(f"## twinlora {name}\n" in page for name in names)
    assert "### twinlora study run\n" in page


def test_the_reference_lists_every_member_with_what_it_is(reference):
    page = reference.members()
    for axis in (FAMILIES, TASKS, METHODS, TRANSFORMS, OPTIMIZERS, READOUTS):
        for name in axis.names():
            assert re.search(rf"^- `{name}`: \S", page, re.MULTILINE)
