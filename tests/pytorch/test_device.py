"""What the PyTorch backend asks of the process it runs in."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_pytorch

PROGRAM = """
import resource, sys
import torch
from pytorch_impl import device

if sys.argv[1] == "keeps":
    device.keep_freed_memory()

def step():
    return [torch.ones(2**20) for _ in range(8)]  # 4 MiB each, all freed at once

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
def test_a_step_takes_no_new_pages_where_the_process_keeps_what_it_frees():
    """Pages that a step asks the system for: those of its 32 MiB by default, next to none once they are kept.

    The default threshold moves with what was freed before; it is fixed here, so that what is taken does not depend on
    how the heap lies.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
    given_back, kept = (
        float(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, way], env=environment, capture_output=True, text=True, check=True
            ).stdout
        )
        for way in ("gives back", "keeps")
    )
    assert kept < 100 < 1000 < given_back
