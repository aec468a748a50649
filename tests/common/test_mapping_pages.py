"""The published pages belong to the rows and the lock file in the repository. Fast: nothing is run."""

from common.api_mapping.export import MAKE, stale
from common.resources import code_folder


def test_the_published_mapping_is_up_to_date():
    problems = stale(code_folder() / "docs")
    verify, docs = MAKE.split(" && ")
    assert not problems, (
        f"docs/api_mapping.*: {'; '.join(problems)}. Run these two commands and commit what they write:\n  {verify}\n  {docs}"
    )
