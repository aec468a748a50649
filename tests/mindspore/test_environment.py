"""What the MindSpore backend asks of its environment before it imports MindSpore."""

import os
import subprocess
import sys

import pytest

from tests.support import HANGS

pytestmark = pytest.mark.needs_mindspore


@pytest.mark.parametrize(("value", "starts"), [("1", False), ("0", True), (None, True)])
def test_a_compile_cache_that_would_mix_graphs_up_is_refused(value, starts):
    environ = {name: given for name, given in os.environ.items() if name != "MS_COMPILER_CACHE_ENABLE"} | (
        {"MS_COMPILER_CACHE_ENABLE": value} if value else {}
    )
    done = subprocess.run(
        [sys.executable, "-c", "import mindspore_impl"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert (done.returncode == 0) == starts, done.stderr
    assert starts or "unset MS_COMPILER_CACHE_ENABLE" in done.stderr
