"""Both frameworks, or no tests."""

import pytest

pytest.importorskip("mindspore")
pytest.importorskip("torch")
