"""Running calls for the mapping in the MindSpore backend."""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping.arrays import normal
from common.api_mapping.row import Row, case

mapping = pytest.importorskip("mindspore_impl.mapping")
pytestmark = pytest.mark.needs_mindspore


def subnormals_are_numbers() -> bool:
    return float(np.float64(5e-324)) > 0 and bool(np.float32(1e-45) * np.float32(1) > 0)


def test_a_call_whose_kernel_takes_subnormal_numbers_for_zero_leaves_the_thread_as_it_was():
    function = mapping.resolve("ops.norm")
    tried = case(normal(3, 4), 2, 0)
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    function(mapping.Tensor(array), 2, 0)
    if subnormals_are_numbers():
        pytest.skip("this MindSpore's norm does no such thing")
    mapping.run(function, Row("torch.norm", ("ops.norm",), (tried,)), tried, [array])
    assert subnormals_are_numbers()


def test_norms_of_the_mapped_functions_leave_the_thread_as_it_was():
    from mindspore_impl import functional, linalg

    x = mapping.Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    for norm in (linalg.norm, linalg.vector_norm, functional.norm):
        norm(x, 2, 0)
        assert subnormals_are_numbers()
