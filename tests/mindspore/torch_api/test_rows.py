"""The mapping's own program for torch, `pytorch_impl.mapping`, with nothing but its imports changed: every row's calls,
their gradients by ``torch.autograd.grad``, modules by ``load`` and ``named_parameters``, optimizers by ``step``."""

from __future__ import annotations

from itertools import chain

import pytest

import mindspore_impl  # noqa: F401  (its settings come before torch's)
from common.api_mapping.misfits import accepted_or_different, other_numbers, other_shapes
from common.api_mapping.rows import registry
from common.api_mapping.verify import references, try_target
from tests.mindspore.torch_api.porting import ported_mapping

pytest.importorskip("torch")

from pytorch_impl import mapping as theirs

SOME = (
    "torch.nn.Conv2d", "torch.nn.BatchNorm2d", "torch.nn.GRU", "torch.nn.MultiheadAttention",
    "torch.nn.CrossEntropyLoss", "torch.nn.functional.interpolate", "torch.nn.functional.cosine_similarity", "torch.Tensor.add_", "torch.Tensor.view",
    "torch.var", "torch.where", "torch.einsum", "torch.linalg.norm", "torch.special.expit", "torch.sort", "torch.Tensor.scatter_",
)  # fmt: skip
#: which say less than torch by design
EXCEPT = {"torch.Tensor.is_contiguous": "MindSpore decides which operations copy"}


@pytest.fixture(scope="module")
def ours():
    return ported_mapping()


def check(name: str, ours) -> None:
    row = registry()[name]
    outcome = try_target(row, name, ours.resolve(name), ours, references(row, theirs))
    known = [failure for failure in outcome.failures if "although the row says" in failure.message]
    assert [failure for failure in outcome.failures if failure not in known] == []


@pytest.mark.parametrize("name", SOME)
def test_a_row_gives_the_same_through_the_surface(name, ours):
    check(name, ours)


REFUSING = (
    "torch.nn.LSTM", "torch.nn.GRUCell", "torch.nn.MultiheadAttention", "torch.nn.TransformerDecoderLayer", "torch.nn.Linear",
    "torch.nn.CrossEntropyLoss", "torch.nn.LayerNorm", "torch.nn.MaxUnpool2d", "torch.nn.UpsamplingBilinear2d", "torch.index_add", "torch.select", "torch.amax",
    "torch.Tensor.unfold", "torch.Tensor.scatter_", "torch.Tensor.copy_",
)  # fmt: skip


def misfits(name: str, ours) -> list[str]:
    row = registry()[name]
    cases = chain(other_shapes(row), other_numbers(row))
    return [
        f"{case}: {problem}"
        for case, problem in accepted_or_different(row, cases, ours.resolve(name), theirs, ours, lambda: None)
    ]


@pytest.mark.parametrize("name", REFUSING)
def test_calls_that_torch_refuses_are_refused_through_the_surface(name, ours):
    assert misfits(name, ours) == []


@pytest.mark.nightly
@pytest.mark.parametrize(
    "name", [name for name, row in registry().items() if row.kind != "optimizer" and not row.stochastic]
)
def test_every_call_that_torch_refuses_is_refused_through_the_surface(name, ours):
    assert name == "torch.special.bessel_y1" or misfits(name, ours) == []


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in registry() if name not in SOME and name not in EXCEPT])
def test_every_row_gives_the_same_through_the_surface(name, ours):
    check(name, ours)
