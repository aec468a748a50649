"""`twinlora map` without a framework: looking rows up, exporting them, the pages, the snippets, and the recorder on a
namespace of its own."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import sys
import types
from html.parser import HTMLParser

import pytest
import yaml

from common.api_mapping import lock, record, report
from common.api_mapping.arrays import normal
from common.api_mapping.commands import verify
from common.api_mapping.export import FORMATS, export, stale, write_pages
from common.api_mapping.row import Row, forward_only
from common.api_mapping.rows import digest, registry
from common.api_mapping.running import entry, selected, unprobed
from common.api_mapping.snippets import adapter_module, snippets
from common.api_mapping.verify import Failure, Outcome, RowResult
from common.cli.main import main
from common.errors import InputError
from common.files import write_json

VERSIONS = {"python": "3.11.7", "numpy": "1.26.4", "torch": "2.13.0", "mindspore": "2.10.0"}


def result(row: Row, verdict: str = "rounding", target: str = "ops.x") -> RowResult:
    """As if ``row`` had been verified."""
    outcome = Outcome(
        target,
        len(row.cases),
        error=1.25e-7,
        torch_error=1e-7,
        gradient_error=3e-7,
        torch_gradient_error=2e-7,
        worst=str(row.cases[0]),
    )
    old = (
        Outcome(row.legacy, len(row.cases), failures=[Failure("3x4 normal", "output 0: at [0, 0]: 1.0, torch 2.0")])
        if row.legacy
        else None
    )
    return RowResult(row.name, verdict, outcome, old, "wrong as documented" if old else "")


def verification(**changes) -> dict:
    """A verification of the whole registry."""
    rows = {name: entry(row, {"pynative": result(row)}, {}) for name, row in registry().items()}
    head = {
        "schema": 1,
        "versions": VERSIONS,
        "device": "cpu",
        "date": "2026-01-02",
        "registry": digest(),
        "mode": "pynative",
    }
    return head | {"rows": rows} | changes


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder with a verification of everything, which the commands take for the published one; no lock file of a
    user."""
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "verification.json")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_json(tmp_path / "verification.json", verification())
    return tmp_path


def shown(capsys, *arguments: str) -> str:
    assert main(["map", *arguments]) == 0
    return capsys.readouterr().out


# Looking up


def test_show_tells_everything_known_of_a_row(published, capsys):
    row = registry()["torch.tanh"]
    text = shown(capsys, "show", "tanh")
    wanted = [
        row.name,
        *row.targets,
        row.adaptation,
        row.legacy,
        "wrong as documented",
        "rounding",
        "1.2e-07 (torch 1.0e-07)",
        "2026-01-02",
        "transcendental",
    ]
    assert [part for part in wanted if part not in text] == []
    assert all(str(case) in text for case in row.cases)
    assert "print(torch.tanh(x))" in text


def test_show_says_that_a_changed_row_was_not_verified(published, capsys):
    content = verification()
    content["rows"]["torch.tanh"]["digest"] = "of another time"
    write_json(published / "verification.json", content)
    assert "not verified; run: twinlora map verify torch.tanh" in shown(capsys, "show", "torch.tanh")


def test_list_filters(published, capsys):
    names = [row.name for row in registry().values()]

    def listed(*arguments):
        lines = shown(capsys, "list", *arguments).splitlines()
        assert lines[-1] == f"{len(lines) - 2} rows"
        return [line.split()[0] for line in lines[1:-1]]

    assert listed() == names
    assert listed("--section", "torch.nn.functional") == [
        name for name in names if name.rpartition(".")[0] == "torch.nn.functional"
    ]
    assert listed("--legacy") == [name for name in names if registry()[name].legacy]
    assert "torch.tanh" in listed("--search", "TANH")
    assert "torch.abs" not in listed("--search", "tanh")
    assert listed("--verdict", "rounding", "--section", "torch") == [
        name for name in names if name.rpartition(".")[0] == "torch"
    ]
    assert shown(capsys, "list", "--verdict", "adapted") == "no row fits\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["show", "torch.dropuot"], "Nearest: torch.dropout"),
        (["list", "--section", "torch.n"], "--section must be one of"),
        (["list", "--verdict", "adapt"], "Nearest: adapted"),
        (["export", "--format", "msprobe"], "Nearest: msprobe-yaml"),
        (["verify", "torch.nothing*"], "fits no row"),
        (["verify", "--mode", "eager"], "--mode must be one of"),
        (["verify", "--repeat", "0"], "--repeat must be at least 1"),
    ],
)
def test_bad_arguments_are_one_message(published, arguments, part, capsys):
    assert main(["map", *arguments]) == 2
    assert part in capsys.readouterr().err


def test_verifying_needs_both_frameworks_and_says_which_is_missing(monkeypatch):
    monkeypatch.setattr("common.backend.available", lambda: {"pytorch": False, "mindspore": True})
    with pytest.raises(InputError, match=r"not installed here: torch\. .*twinlora\[pytorch\]"):
        verify(["torch.abs"], None, "pynative", 1, None)


def test_rows_are_selected_by_name_and_pattern_in_the_order_of_the_registry():
    assert [row.name for row in selected(["tanh", "torch.abs"])] == sorted(
        ["torch.tanh", "torch.abs"], key=list(registry()).index
    )
    functional = [name for name in registry() if name.startswith("torch.nn.functional.")]
    assert [row.name for row in selected(["nn.functional.*"])] == functional
    assert [row.name for row in selected(["torch.nn.functional.*", "nn.functional.gelu"])] == functional
    assert len(selected([])) == len(registry())


def test_rows_with_candidates_that_were_not_tried_are_named():
    row = Row("torch.x", ("mint.x", "ops.x", "shim.x"), (forward_only(normal(2)),))
    assert unprobed([row], {"torch.x": {"target": "ops.x", "passed": ["ops.x"], "rejected": {"mint.x": "wrong"}}}) == []
    assert unprobed([row], {"torch.x": {"target": "ops.x", "passed": ["ops.x"], "rejected": {}}}) == ["torch.x"]
    assert unprobed([row], {}) == ["torch.x"]


def test_an_infinite_error_is_no_number_in_json():
    row = registry()["torch.abs"]
    found = entry(row, {"pynative": RowResult(row.name, "failed", Outcome("ops.abs", 1, error=float("inf")))}, {})
    json.dumps(found, allow_nan=False)
    assert found["error"] is None


def test_the_last_verification_counts_more_than_the_lock_file(tmp_path):
    """A target that was right when it was probed and fails now is shown as it is now."""
    row = registry()["torch.abs"]
    lock.save(
        tmp_path / "lock.json",
        "cpu",
        "2.10.0",
        {row.name: {"target": "mint.abs", "passed": ["mint.abs", "ops.abs"], "rejected": {}}},
    )
    failed = Outcome("mint.abs", 2, failures=[Failure("3x4 normal", "output 0: at [0]: 1, torch 2")])
    for found, said in (
        (RowResult(row.name, "failed", failed), "3x4 normal: output 0: at [0]: 1, torch 2"),
        (result(row, target="mint.abs"), "passed"),
    ):
        [view] = report.views(
            [row], verification(rows={row.name: entry(row, {"pynative": found}, {})}), [tmp_path / "lock.json"]
        )
        assert view.official == ("mint.abs", said)
        assert view.said("ops.abs") == "passed"


# Exports


def test_json_export_holds_every_row(published, capsys):
    rows = json.loads(shown(capsys, "export", "--format", "json"))["rows"]
    assert [row["torch"] for row in rows] == list(registry())
    assert all(len(row["cases"]) == len(registry()[row["torch"]].cases) > 0 for row in rows)


def test_csv_export_holds_every_row(published, capsys, tmp_path):
    assert shown(capsys, "export", "--format", "csv", "-o", str(tmp_path / "map.csv")) == f"{tmp_path / 'map.csv'}\n"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "map.csv").read_text())))
    assert [row["torch"] for row in rows] == list(registry())
    assert {row["verdict"] for row in rows} == {"rounding"}


def test_msprobe_export_pairs_what_was_right_and_nothing_else(published, capsys, tmp_path, monkeypatch):
    entries = {
        "torch.abs": {"target": "mint.abs", "passed": ["mint.abs", "ops.abs"], "rejected": {}},
        "torch.tanh": {"target": "shim.tanh", "passed": [], "rejected": {"mint.tanh": "wrong", "ops.tanh": "wrong"}},
        "torch.nn.functional.gelu": {
            "target": "shim.gelu",
            "passed": ["mint.nn.functional.gelu"],
            "rejected": {"ops.gelu": "wrong"},
        },
    }
    monkeypatch.setattr(lock, "SHIPPED", tmp_path / "lock.json")
    lock.save(tmp_path / "lock.json", "cpu", "2.10.0", entries)
    pairs = yaml.safe_load(shown(capsys, "export", "--format", "msprobe-yaml"))
    assert pairs == {"Mint.abs": "Torch.abs", "Functional.abs": "Torch.abs", "MintFunctional.gelu": "Functional.gelu"}


# Pages


class Reader(HTMLParser):
    """Identifiers, addresses and unclosed elements of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given and tag == "tr" else []
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag not in ("meta", "br", "wbr", "input", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_pages_hold_every_row_and_load_nothing(published, monkeypatch):
    written = write_pages(published)
    assert [path.name for path in written[:2]] == ["api_mapping.md", "api_mapping.html"]
    html = written[1].read_text()
    reader = Reader(html)
    assert reader.open == []
    assert reader.ids == list(registry())
    assert all(address.startswith("#") for address in reader.addresses), "the page must not load or link anything"
    assert not re.search(r"@import|url\(", html)
    assert '<div class="controls" hidden' in html, "without scripts nothing must be shown that does nothing"
    markdown = written[0].read_text()
    for name in registry():
        assert markdown.count(f"\n| `{name}` |") == 1
    for text in (html, markdown):
        assert "Ascend" in text
        assert "2026-01-02" in text


def test_what_a_row_says_cannot_break_the_pages(published, monkeypatch):
    row = Row("torch.abs", ("mint.abs",), registry()["torch.abs"].cases, note="a | b <script>alert(1)</script>")
    monkeypatch.setattr("common.api_mapping.report.registry", lambda: {"torch.abs": row})
    monkeypatch.setattr("common.api_mapping.export.registry", lambda: {"torch.abs": row})
    monkeypatch.setattr("common.api_mapping.export.digest", lambda: "x")
    write_json(
        published / "verification.json",
        verification(registry="x", rows={"torch.abs": entry(row, {"pynative": result(row)}, {})}),
    )
    markdown, html, *_ = (path.read_text() for path in write_pages(published))
    [line] = [line for line in markdown.splitlines() if line.startswith("| `torch.abs`")]
    head = next(line for line in markdown.splitlines() if line.startswith("| torch |"))
    assert len(re.findall(r"(?<!\\)\|", line)) == head.count("|")
    assert "<script>" not in markdown
    assert html.count("<script>") == 1


def test_pages_that_are_up_to_date_are_not_stale(published):
    write_pages(published)
    assert stale(published) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda content: content["rows"].pop("torch.abs"), "1 rows are not verified (torch.abs)"),
        (
            lambda content: content["rows"]["torch.abs"].update(digest="old"),
            "1 rows are changed since the verification (torch.abs)",
        ),
        (
            lambda content: content["rows"].update({"torch.gone": content["rows"]["torch.abs"]}),
            "no longer in the registry (torch.gone)",
        ),
        (lambda content: content.update(registry="old"), "digest is old"),
        (lambda content: content.update(mode="graph"), "compiled only"),
    ],
)
def test_a_verification_of_other_rows_is_stale_and_makes_no_pages(published, change, part, capsys):
    content = verification()
    change(content)
    write_json(published / "verification.json", content)
    assert part in " ".join(stale(published))
    assert main(["map", "docs", "-o", str(published)]) == 2
    assert (
        "twinlora map verify --json common/api_mapping/verification.json && twinlora map docs"
        in capsys.readouterr().err
    )


def test_an_edited_page_is_stale(published, capsys):
    markdown, *_ = write_pages(published)
    assert main(["map", "docs", "--check", "-o", str(published)]) == 0
    markdown.write_text(markdown.read_text().replace("rounding", "exact", 1))
    assert stale(published) == ["api_mapping.md is not what twinlora map docs writes"]
    capsys.readouterr()
    assert main(["map", "docs", "--check", "-o", str(published)]) == 1
    assert capsys.readouterr().out == "api_mapping.md is not what twinlora map docs writes\n"
    assert "exact" in markdown.read_text(), "a check writes nothing"


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_text_that_ends_with_a_line(published, format):
    assert export(format).endswith("\n")


# Snippets


@pytest.mark.nightly
def test_every_row_has_two_programs_that_parse():
    for row in registry().values():
        for target in row.targets:
            for program in filter(None, snippets(row, target)):
                tree = ast.parse(program)
                assert isinstance(tree.body[-1], ast.Expr), program


def test_adapters_are_imported_from_where_they_stand():
    assert adapter_module("shim.tanh") == "mindspore_impl.shims.activation"
    with pytest.raises(LookupError):
        adapter_module("shim.nothing_of_this_name")


# The recorder


@pytest.fixture
def namespace(monkeypatch):
    """A backend of three functions: one that is MindSpore's own, an adapter that calls it, and one that raises."""
    package, mapping = types.ModuleType("some_backend"), types.ModuleType("some_backend.mapping")
    functional = types.ModuleType("some_backend.functional")
    functional.__package__ = "some_backend"

    def own(x, scale=1):
        return x

    def adapter(x):
        return functional.own(x, scale=2)

    def broken(x):
        raise ValueError("broken")

    functional.own, functional.adapter, functional.broken = own, adapter, broken
    functional.constant = 3
    rows = {
        name: Row(f"torch.{name}", (f"ops.{name}", f"shim.{name}"), ())
        for name in ("own", "adapter", "broken", "constant", "absent")
    }
    functional._ROWS = rows
    known = {"ops.own": own, "shim.adapter": adapter, "shim.broken": broken}

    def resolve(target):
        if target not in known:
            raise AttributeError(target)
        return known[target]

    mapping.resolve = resolve
    for module in (package, mapping, functional):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return functional


class Tensor:
    def __init__(self, *shape):
        self.shape, self.dtype = shape, "torch.float32"


def test_outermost_calls_are_logged_with_shapes_and_targets(namespace):
    with record.record(namespace) as log:
        namespace.own(Tensor(2, 3), scale=0.5)
        namespace.own(Tensor(2, 3), scale=0.5)
        namespace.own([Tensor(), Tensor(4)])
        namespace.adapter(Tensor(5))
    assert log.rows() == {"torch.own": 3, "torch.adapter": 1}, "the call inside the adapter must not be counted"
    calls = {
        (call["torch"], call["target"], call["adapted"], *call["arguments"], *call["keywords"].items()): call["count"]
        for call in log.to_json()["calls"]
    }
    assert calls == {
        ("torch.own", "ops.own", False, "float32 2x3", ("scale", "0.5")): 2,
        ("torch.own", "ops.own", False, "[float32 0-d, float32 4]"): 1,
        ("torch.adapter", "shim.adapter", True, "float32 5"): 1,
    }
    assert log.table().splitlines()[0].split() == ["torch.own", "3", "ops.own"]
    assert "(adapter)" in log.table()


def test_the_namespace_is_restored_also_after_an_error(namespace):
    before = dict(vars(namespace))
    with pytest.raises(ValueError, match="broken"), record.record(namespace) as log:
        namespace.broken(Tensor(1))
    assert vars(namespace) == before
    assert log.rows() == {"torch.broken": 1}
    with record.record(namespace) as log:
        namespace.own(Tensor(1))
    assert log.rows() == {"torch.own": 1}, "an error inside a call must not switch logging off"


def test_a_second_recording_is_refused_and_leaves_the_first_alone(namespace):
    with record.record(namespace) as log:
        with pytest.raises(RuntimeError, match="recorded already"), record.record(namespace):
            pass
        namespace.own(Tensor(1))
    assert log.rows() == {"torch.own": 1}


def test_the_log_is_written_as_json(namespace, tmp_path):
    with record.record(namespace) as log:
        namespace.own(Tensor(1), "x" * 100)
    content = log.to_json(tmp_path / "log.json")
    assert json.loads((tmp_path / "log.json").read_text()) == content
    assert content["rows"] == {"torch.own": 1}


def test_nothing_recorded_is_said():
    assert record.Log().table() == "no call of a mapped function"
