"""Products of matrices and vectors, added to a tensor or not. Over nothing they are 0, where the kernels return what
happens to be in memory."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.algebra import matmul
from mindspore_impl.shims.pointwise import broadcast_shape, number, real, spread

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "kron", "mm", "mv", "outer"]


def _product(name: str, input: Tensor, other: Tensor, axes: tuple[int, int]) -> Tensor:
    if (
        (input.ndim, other.ndim) != axes
        or input.dtype != other.dtype
        or input.shape[-1] != other.shape[axes[1] - 2 if axes[1] > 1 else 0]
    ):
        raise ValueError(
            f"{name}: operands of {axes[0]} and {axes[1]} axes, one dtype and fitting sizes are needed; "
            f"received {input.dtype} {input.shape} and {other.dtype} {other.shape}."
        )
    return matmul(input, other)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Product of two matrices."""
    return _product("mm", input, mat2, (2, 2))


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of two batches of matrices."""
    if input.shape[:1] != mat2.shape[:1]:
        raise ValueError(f"bmm: batches of one size are needed; received {input.shape} and {mat2.shape}.")
    return _product("bmm", input, mat2, (3, 3))


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Product of a matrix and a vector."""
    return _product("mv", input, vec, (2, 1))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Products of all elements of two vectors; MindSpore's takes float64 for float32."""
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: two vectors are needed; received {input.shape} and {vec2.shape}.")
    return ops.expand_dims(input, 1) * vec2


def _scaled(value: Tensor, factor) -> Tensor:
    """``factor`` value, in the dtype of ``value``: a fraction is cut for whole numbers."""
    if factor == 1:
        return value
    real(value)
    return value * (number(factor, value) if value.is_floating_point() else int(factor))


def _fitting(name: str, input: Tensor, product: Tensor) -> None:
    """``input`` may be broadcast to the product, and not the other way round."""
    if broadcast_shape(input.shape, product.shape) != product.shape:
        raise ValueError(f"{name}: {input.shape} cannot be broadcast to the product's shape {product.shape}.")


def _added(name: str, input: Tensor, product: Tensor, beta, alpha) -> Tensor:
    """beta input + alpha product; a factor 0 leaves its part out, NaN included."""
    _fitting(name, input, product)
    if alpha == 0:
        product = ops.zeros_like(product)
    if beta == 0:
        return _scaled(product, alpha)
    added = _scaled(input, beta) + (product if alpha == 0 else _scaled(product, alpha))
    return added.astype(input.dtype) if not input.is_floating_point() else added


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta=1, alpha=1) -> Tensor:
    """beta input + alpha mat1 mat2."""
    return _added("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta=1, alpha=1) -> Tensor:
    """beta input + alpha mat vec."""
    return _added("addmv", input, mv(mat, vec), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1) -> Tensor:
    """beta input + alpha times the sum of the products of two batches of matrices."""
    products = bmm(batch1, batch2)
    if not products.shape[0]:
        return _added("addbmm", input, ops.zeros(products.shape[1:], products.dtype), beta, alpha)
    return _added("addbmm", input, mint.sum(products, 0).astype(products.dtype), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1) -> Tensor:
    """beta input + alpha times the products of two batches of matrices."""
    return _added("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product; empty if one of both is."""
    if input.size and other.size:
        return ops.kron(input, other)
    ndim = max(input.ndim, other.ndim)
    one, two = [(*(1,) * (ndim - x.ndim), *x.shape) for x in (input, other)]
    shape = tuple([one[axis] * two[axis] for axis in range(ndim)])
    return spread(input, shape) * spread(other, shape)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta=1, alpha=1) -> Tensor:
    """beta input + alpha vec1 vec2^T, where a beta of 0 leaves ``input`` out; torch multiplies by an alpha of 0."""
    if input.dtype == ms.bool_ or vec1.dtype == ms.bool_:
        raise TypeError("addr: booleans are not available; cast to a number.")
    product = _scaled(outer(vec1, vec2), alpha)
    _fitting("addr", input, product)
    if beta == 0:
        return ops.broadcast_to(product, product.shape)
    return _scaled(input, beta) + product


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Cross product along ``dim``, by default the first axis of size 3. Both are broadcast first: the kernel reads
    beyond the smaller one."""
    if input.ndim != other.ndim:
        raise ValueError(f"cross: operands of as many axes are needed; received {input.shape} and {other.shape}.")
    one, two = input.shape, other.shape
    input, other = mint.broadcast_to(input, _common(input, other)), mint.broadcast_to(other, _common(input, other))
    if dim is not None and (one[dim] != 3 or two[dim] != 3):
        raise ValueError(f"cross: both operands must have 3 elements along {dim}; received {one} and {two}.")
    if dim is None:
        dim = ([axis for axis in range(input.ndim) if input.shape[axis] == 3] or [-1])[0]
    if input.shape[dim] != 3:
        raise ValueError(f"cross: an axis of size 3 is needed; received {input.shape}.")
    x, y = [mint.narrow(input, dim, i, 1) for i in range(3)], [mint.narrow(other, dim, i, 1) for i in range(3)]
    return ops.concat([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]], dim)


def _common(input: Tensor, other: Tensor) -> tuple[int, ...]:
    return tuple([b if a == 1 else a for a, b in zip(input.shape, other.shape)])  # noqa: B905  (graphs know no strict)
