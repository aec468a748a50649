"""The backend under test, for promises that each keeps by itself."""

from __future__ import annotations

from types import ModuleType

import pytest

from common.backend import load


@pytest.fixture(
    params=[
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
    ]
)
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """One backend package after the other."""
    package = load(request.param)
    if request.param == "mindspore":
        import mindspore

        mindspore.runtime.launch_blocking()
    return package
