"""The published pages belong to the rows and the lock file in the repository. Fast: nothing is run."""

from common.api_mapping import peer_report
from common.api_mapping.export import MAKE, stale
from common.api_mapping.rows import registry
from common.resources import code_folder


def test_the_published_mapping_is_up_to_date():
    problems = stale(code_folder() / "docs")
    verify, docs = MAKE.split(" && ")
    assert not problems, (
        f"docs/api_mapping.*: {'; '.join(problems)}. Run these two commands and commit what they write:\n  {verify}\n  {docs}"
    )


def test_no_sample_of_torchs_tests_differs_without_an_error_in_the_published_run():
    found = peer_report.read()
    assert found is not None
    assert set(found["rows"]) <= set(registry())
    assert sum(kinds["different"] for kinds in found["suites"].values()) == 0
    for suite, kinds in found["suites"].items():
        compared = sum(kinds.values()) - kinds["not compared"]
        assert kinds["equal"] >= (0.9 if suite in ("error inputs", "modules") else 0.95) * compared, suite
    assert sum(sum(kinds.values()) for kinds in found["suites"].values()) == sum(
        sum(kinds.values()) for kinds in found["rows"].values()
    )
