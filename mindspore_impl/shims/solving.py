"""Functions of `torch.linalg` made of products and inverses: systems of equations, exponentials, conditions."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.algebra import matmul
from mindspore_impl.shims.arithmetic import div
from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.decomposition import finite, matrix_rank, pinv, svdvals
from mindspore_impl.shims.linalg import inv, matrix_norm, slogdet
from mindspore_impl.shims.linalg import solve as _solve
from mindspore_impl.shims.pointwise import real
from mindspore_impl.shims.reduction import total
from mindspore_impl.shims.shape import part

__all__ = [
    "cholesky_inverse",
    "cholesky_solve",
    "cond",
    "logdet",
    "lstsq",
    "matrix_exp",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vander_",
    "vdot",
]

_TERMS, _SQUARINGS = 18, 24


def _t(x: Tensor) -> Tensor:
    return mint.transpose(x, -1, -2)


def _square(name: str, A: Tensor) -> Tensor:
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{name}: square matrices are needed; received {A.shape}.")
    if A.dtype not in (ms.float32, ms.float64):
        raise TypeError(f"{name}: float32 or float64 is needed; received {A.dtype}.")
    return A


def matrix_exp(A: Tensor) -> Tensor:
    """Exponential of a matrix: its series at A / 2^s, squared s times, s by the size of each matrix.

    NaN for matrices of an infinity norm above 2^23, whose exponential no float holds but for special ones.
    """
    _square("matrix_exp", A)
    if not A.size:
        return A
    wide = A.astype(ms.float64)
    size = ops.stop_gradient(ops.amax(total(ops.abs(wide), -1, True), (-2,), True))
    steps = ops.maximum(ops.ceil(ops.log2(size + 1e-300)) + 1.0, ops.zeros_like(size))
    beyond = ops.logical_not(steps <= _SQUARINGS)
    small = wide * ops.exp2(-ops.where(beyond, ops.zeros_like(steps), steps))
    one = mint.broadcast_to(ops.eye(A.shape[-1], A.shape[-1], ms.float64), A.shape)
    found = one
    for order in range(_TERMS, 0, -1):
        found = one + mint.matmul(small, found) / Tensor(float(order), ms.float64)
    for step in range(_SQUARINGS):
        more = steps > step
        inside = ops.where(more, found, one)
        found = ops.where(more, mint.matmul(inside, inside), found)
    return ops.where(beyond, ops.full_like(found, math.nan), found).astype(A.dtype)


def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinant: NaN where that is negative, minus infinity where it is 0."""
    sign, size = slogdet(_square("logdet", input))
    return ops.where(sign < 0, ops.full_like(size, math.nan), size)


def _triangle(x: Tensor, upper: bool) -> Tensor:
    """One triangle, with a gradient of all, as torch's."""
    fixed = ops.stop_gradient(x)
    return (ops.triu(fixed) if upper else ops.tril(fixed)) + (x - fixed)


def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """Inverse of the matrix that ``input`` is the factor of."""
    _square("cholesky_inverse", input)
    if not input.size:
        return input
    factor = _triangle(finite("cholesky_inverse", input), upper)
    return inv(mint.matmul(_t(factor), factor) if upper else mint.matmul(factor, _t(factor)))


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of A X = B, L being the factor of A."""
    _square("cholesky_solve", L)
    if B.ndim < 2 or B.shape[-2] != L.shape[-1] or B.dtype != L.dtype:
        raise ValueError(f"cholesky_solve: fitting matrices are needed; received {B.shape} and {L.shape}.")
    if not B.size or not L.size:
        batch = np.broadcast_shapes(B.shape[:-2], L.shape[:-2])
        return ops.zeros((*batch, *B.shape[-2:]), B.dtype)
    inverse = inv(_triangle(L, upper))
    first, second = (inverse, _t(inverse)) if upper else (_t(inverse), inverse)
    return mint.matmul(first, mint.matmul(second, B))


def _place(s: Tensor, place: int) -> Tensor:
    return ops.reshape(part(s, -1, place, 1), s.shape[:-1])


def cond(A: Tensor, p=None) -> Tensor:
    """Condition number: by singular values for p None, 2 or -2, else the norm times the norm of the inverse."""
    if p in (None, 2, -2):
        s = svdvals(A)
        if not A.size:
            return ops.zeros(A.shape[:-2], A.dtype)
        first, last = _place(s, 0), _place(s, s.shape[-1] - 1)
        return div(last, first) if p == -2 else div(first, last)
    _square("cond", A)
    if not A.size:
        return ops.zeros(A.shape[:-2], A.dtype)
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


def lstsq(input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> tuple:
    """Solution of least squares, no residuals, the rank and no singular values, as of torch's driver ``gelsy``."""
    if driver not in (None, "gelsy"):
        raise ValueError(f"lstsq: driver must be gelsy; received {driver}.")
    if input.ndim < 2 or b.ndim < 2 or input.shape[-2] != b.shape[-2] or input.dtype != b.dtype:
        raise ValueError(f"lstsq: matrices of as many rows are needed; received {input.shape} and {b.shape}.")
    if input.ndim != b.ndim or input.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"lstsq: as many matrices on both sides are needed; received {input.shape} and {b.shape}.")
    if not b.shape[-1]:
        raise ValueError("lstsq: at least one right-hand side is needed; received none.")
    rank = matrix_rank(input, rtol=rcond)
    found = matmul(pinv(input, rcond), b)
    nothing = ops.zeros((0,), input.dtype)
    return found, nothing, rank, nothing


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """Inverse of the map from the axes after ``ind`` to those before."""
    if ind < 1:
        raise ValueError(f"tensorinv: ind must be positive; received {ind}.")
    first, second = A.shape[:ind], A.shape[ind:]
    if math.prod(first) != math.prod(second):
        raise ValueError(f"tensorinv: as many elements before axis {ind} as after it are needed; received {A.shape}.")
    return ops.reshape(inv(ops.reshape(A, (math.prod(first), math.prod(second)))), (*second, *first))


def tensorsolve(A: Tensor, B: Tensor, dims=None) -> Tensor:
    """X of tensordot(A, X) = B."""
    if dims is not None:
        moved = [axis_of("tensorsolve", A.ndim, axis) for axis in dims]
        A = mint.permute(A, tuple([axis for axis in range(A.ndim) if axis not in moved] + moved))
    size, rest = math.prod(B.shape), A.shape[B.ndim :]
    if math.prod(rest) != size or math.prod(A.shape) != size * size:
        raise ValueError(f"tensorsolve: fitting sizes are needed; received {A.shape} and {B.shape}.")
    return ops.reshape(_solve(ops.reshape(A, (size, size)), ops.reshape(B, (size,))), rest)


def _powers(x: Tensor, count: int) -> list[Tensor]:
    found = [ops.ones_like(x)]
    for _ in range(count - 1):
        found.append(found[-1] * x)
    return found


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0, 1, ..., N - 1 of each element, along a last axis."""
    if not x.ndim:
        raise ValueError("vander: a vector is needed; received a tensor without axes.")
    count = x.shape[-1] if N is None else N
    if count < 2:
        raise ValueError(f"vander: N must be greater than 1; received {count}.")
    whole = real(x) if x.is_floating_point() else real(x).astype(ms.int64)
    return ops.stack(_powers(whole, count), -1)


def vander_(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers N - 1, ..., 0 of a vector's elements, or in rising order."""
    if x.ndim != 1:
        raise ValueError(f"vander: a vector is needed; received {x.shape}.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise ValueError(f"vander: N must be non-negative; received {count}.")
    whole = real(x) if x.is_floating_point() else real(x).astype(ms.int64)
    if not count:
        return ops.zeros((x.shape[0], 0), whole.dtype)
    found = _powers(whole, count)
    return ops.stack(found if increasing else found[::-1], -1)


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products of two vectors of real numbers."""
    if input.ndim != 1 or input.shape != other.shape or input.dtype != other.dtype or input.is_complex():
        raise ValueError(
            f"vdot: two vectors of one size and real dtype are needed; received {input.shape}, {other.shape}."
        )
    return total(input * other)
