"""Both frameworks, or no tests."""

import pytest

pytest.importorskip("mindspore")
pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def recording_as_before():
    """The surface leaves MindSpore's recording on, in which MindSpore's own in-place methods are refused."""
    from mindspore.common.api import _pynative_executor

    before = _pynative_executor.grad_flag()
    yield
    _pynative_executor.set_grad_flag(before)
