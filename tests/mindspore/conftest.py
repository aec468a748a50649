"""What every test of this backend leaves as it was."""

import pytest


@pytest.fixture(autouse=True)
def recording_as_before():
    """The torch surface leaves MindSpore's recording on, in which MindSpore's own in-place methods are refused."""
    executor = pytest.importorskip("mindspore.common.api")._pynative_executor
    before = executor.grad_flag()
    yield
    executor.set_grad_flag(before)
