"""Methods that change their tensor: every write arrives, in views and in what they are views of, or an error says why
not."""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping.rows import registry

ms = pytest.importorskip("mindspore")
pytestmark = pytest.mark.needs_mindspore
#: Methods of `mindspore_impl.shims.inplace` are made alike; these stand for all of them.
MADE_ALIKE = ("sin_", "rsqrt_", "neg_")


def shim(name: str):
    from mindspore_impl.mapping import resolve

    try:
        return resolve(f"shim.tensor.{name}")
    except AttributeError:
        return resolve(f"shim.{name}")


def made_alike() -> list[str]:
    from mindspore_impl.shims import inplace

    return list(inplace.__all__)


IN_PLACE = [
    name
    for name in (row.name.rpartition(".")[2] for row in registry().values() if row.in_place)
    if name in MADE_ALIKE or name not in made_alike()
]


def test_methods_that_are_not_tried_one_by_one_are_made_alike():
    from mindspore_impl.shims import inplace

    [body] = {getattr(inplace, name).__code__ for name in made_alike()}
    assert body is inplace._changing("sin_", None).__code__
    assert set(MADE_ALIKE) <= set(made_alike())


def tensor(*values: float):
    return ms.Tensor(np.array(values, np.float32))


def matrix():
    return ms.Tensor(np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3))


def arguments(name: str, x) -> tuple:
    """What the method is called with for a tensor like ``x``."""
    mask = ms.Tensor(np.ones(x.shape, bool))
    index = ms.Tensor(np.zeros(x.shape, np.int64))
    given = {"fill_": (7.0,), "clamp_": (2.0, 3.0), "masked_fill_": (mask, -1.0), "copy_": (x * 0 + 5.0,)}
    if name in ("scatter_", "index_fill_") and not x.ndim:
        pytest.skip("has no axis")
    given |= {"scatter_": (0, index, x * 0 + 5.0), "index_fill_": (0, ms.Tensor(np.zeros(1, np.int64)), 5.0)}
    return given.get(name, (2.0,) if name in ("add_", "sub_", "mul_", "div_") else ())


#: Views of a part of a tensor, or of all of it in another order.
PARTS = {
    "x[0]": lambda x: x[0],
    "x[:, 1:]": lambda x: x[:, 1:],
    "x[0, 1]": lambda x: x[0, 1],
    "x.T": lambda x: x.T,
    "x.t()": lambda x: ms.mint.t(x) if hasattr(ms.mint, "t") else ms.mint.transpose(x, 0, 1),
    "transpose": lambda x: ms.mint.transpose(x, 0, 1),
    "permute": lambda x: ms.mint.permute(x, (1, 0)),
    "chunk()[0]": lambda x: ms.mint.chunk(x, 2)[0],
    "split()[1]": lambda x: ms.mint.split(x, 1)[1],
    "unbind": lambda x: ms.mint.unbind(x)[1],
    "narrow": lambda x: ms.mint.narrow(x, 0, 1, 1),
    "select": lambda x: ms.mint.select(x, 0, 1),
    "expand": lambda x: ms.mint.broadcast_to(x, (2, 2, 3)),
}
#: Views of all of a tensor in its own order.
WHOLES = {
    "x": lambda x: x,
    "view": lambda x: x.view(-1),
    "reshape": lambda x: ms.mint.reshape(x, (3, 2)),
    "flatten": lambda x: ms.mint.flatten(x),
    "unsqueeze": lambda x: ms.mint.unsqueeze(x, 0),
    "data": lambda x: x.data,
    "detach": lambda x: shim("detach")(x),
    "contiguous": lambda x: x.contiguous(),
}


@pytest.mark.parametrize("view", PARTS)
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_write_to_a_view_of_a_part_is_refused_and_changes_nothing(name, view):
    x = matrix()
    part = PARTS[view](x)
    given = arguments(name, part)
    with pytest.raises(RuntimeError, match="view"):
        shim(name)(part, *given)
    np.testing.assert_array_equal(x.asnumpy(), matrix().asnumpy())


@pytest.mark.parametrize("view", WHOLES)
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_write_to_a_view_of_the_whole_arrives_in_all(name, view):
    x = matrix()
    other = x.view(-1)  # made before: sees the write too
    whole = WHOLES[view](x)
    returned = shim(name)(whole, *arguments(name, whole))
    assert returned is whole
    if name not in ("relu_",):
        assert (x.asnumpy() != matrix().asnumpy()).any()
    for seen in (whole, other):
        np.testing.assert_array_equal(seen.asnumpy().ravel(), x.asnumpy().ravel())


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_view_made_before_the_write_sees_it(name):
    x = matrix()
    rows = [x[0], x[1]]
    shim(name)(x, *arguments(name, x))
    np.testing.assert_array_equal(np.stack([row.asnumpy() for row in rows]), x.asnumpy())


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_parameter_is_written_where_no_gradient_is_recorded(name):
    start = matrix()
    parameter = ms.Parameter(start, name="weight")

    @ms.jit
    def reader():
        return parameter * 1.0

    before = reader().asnumpy()
    shim(name)(parameter, *arguments(name, start))
    np.testing.assert_array_equal(reader().asnumpy(), parameter.asnumpy())
    assert name == "relu_" or (parameter.asnumpy() != before).any()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_recorded_gradient_is_never_lost(name, compiled):
    """Views made before or after a write have no right gradient in MindSpore, so none is recorded."""

    def loss(x, y):
        changed = x * y
        shim_function(changed, *given)
        return (changed * y).sum()

    shim_function, given = shim(name), arguments(name, matrix())
    gradient = ms.grad(loss, (0, 1))
    with pytest.raises(RuntimeError, match="compiled" if compiled else "gradient"):
        (ms.jit(gradient) if compiled else gradient)(matrix(), matrix() + 1.0)


@pytest.mark.parametrize("name", ["add_", "sub_", "mul_", "div_", "copy_"])
def test_a_gradient_of_the_other_operand_is_never_lost(name):
    def loss(x, y):
        constant = ms.ops.zeros_like(x)
        shim(name)(constant, y)
        return (constant * constant).sum()

    with pytest.raises(RuntimeError, match="gradient"):
        ms.grad(loss, 1)(matrix(), matrix() + 1.0)


def test_what_no_gradient_passes_through_may_be_written_while_one_is_recorded():
    """Counters, statistics and values after detach(), as in torch."""
    kept = tensor(0.0)

    def loss(x):
        shim("add_")(kept, 1.0)
        seen = shim("detach")(x * 1.0)
        shim("mul_")(seen, 2.0)
        return (x * seen).sum()

    np.testing.assert_allclose(ms.grad(loss)(tensor(1.0, 2.0)).asnumpy(), [2.0, 4.0])
    assert kept.asnumpy().tolist() == [1.0]


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_graph_refuses_and_says_what_to_write(name):
    def call(x):
        return shim_function(x * 1.0, *given)

    shim_function, given = shim(name), arguments(name, matrix())
    with pytest.raises(RuntimeError, match=r"compiled.*x = x\.add\(y\)"):
        ms.jit(call)(matrix())


def test_a_result_of_another_kind_is_refused_as_in_torch():
    for name, other in (("add_", 1.5), ("mul_", 1.5), ("div_", 2)):
        whole = ms.Tensor(np.array([1, 2], np.int64))
        with pytest.raises(RuntimeError, match="Int64"):
            shim(name)(whole, other)
        assert whole.asnumpy().tolist() == [1, 2]


def test_a_result_of_another_shape_is_refused_as_in_torch():
    with pytest.raises(RuntimeError, match="shape"):
        shim("add_")(tensor(1.0), tensor(1.0, 2.0))


def test_an_operand_that_is_the_tensor_itself_is_read_before_the_write():
    x = tensor(2.0, 3.0)
    shim("mul_")(x, x)
    assert x.asnumpy().tolist() == [4.0, 9.0]
    y = matrix()
    shim("add_")(y, y[0])
    np.testing.assert_array_equal(y.asnumpy(), [[2, 4, 6], [5, 7, 9]])
