"""Functions of `torch.linalg`."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.algebra import matmul, multiplied
from mindspore_impl.shims.arithmetic import div
from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.pointwise import real
from mindspore_impl.shims.reduction import amax, amin, total
from mindspore_impl.shims.reduction import norm as _norm

__all__ = [
    "cholesky",
    "det",
    "inv",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "vecdot",
    "vector_norm",
]
_INF, _NAN = float("inf"), float("nan")


def cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
    """Lower factor L, or the upper one L^T, of a symmetric positive definite matrix A.

    The kernel has no gradient here; dL = L Phi(L^-1 dA L^-T) is added, in which dA has the value 0 (Murray 2016,
    arXiv:1602.07527, eq. 9; Phi is the lower triangle with half the diagonal).
    """
    if not _square("cholesky", input).size:
        return input
    fixed = ops.stop_gradient(input)
    factor = ops.stop_gradient(ops.cholesky(fixed))
    inverse = ops.stop_gradient(ops.inverse(factor))
    change = input - fixed
    change = (change + mint.transpose(change, -1, -2)) * 0.5
    inner = ops.tril(mint.matmul(inverse, mint.matmul(change, mint.transpose(inverse, -1, -2))))
    found = factor + mint.matmul(factor, inner - inner * ops.eye(input.shape[-1], input.shape[-1], input.dtype) * 0.5)
    return mint.transpose(found, -1, -2) if upper else found


def inv(A: Tensor) -> Tensor:
    """Inverse; mindspore.ops.inv is 1/x. A matrix that holds NaN has none but NaN, for which the kernel gives 0."""
    return ops.where(_holds_nan(A), ops.full_like(A, _NAN), ops.inverse(_square("inv", A))) if A.size else A


def det(A: Tensor) -> Tensor:
    """Determinant; NaN where the matrix holds it, 1 of nothing."""
    if not _square("det", A).size:
        return ops.ones(A.shape[:-2], A.dtype)
    if A.shape[-1] == 1:
        return ops.reshape(A, A.shape[:-2]).copy()
    found = ops.det(A)
    return ops.where(ops.reshape(_holds_nan(A), found.shape), ops.full_like(found, _NAN), found)


def slogdet(A: Tensor) -> tuple[Tensor, Tensor]:
    """Sign and logarithm of the size of the determinant; of a matrix that holds NaN 0, as torch has it, and NaN."""
    if not _square("slogdet", A).size:
        return ops.ones(A.shape[:-2], A.dtype), ops.zeros(A.shape[:-2], A.dtype)
    sign, size = ops.slogdet(A)
    missing = ops.reshape(_holds_nan(A), size.shape)
    return ops.where(missing, ops.zeros_like(sign), sign), ops.where(missing, ops.full_like(size, _NAN), size)


def _square(name: str, A: Tensor) -> Tensor:
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{name}: square matrices are needed; received {A.shape}.")
    return A


def _holds_nan(A: Tensor) -> Tensor:
    """Of each matrix, with its axes kept."""
    return total(ops.isnan(A).astype(ms.int32), (-2, -1), True) > 0


def matrix_norm(A: Tensor, ord="fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype=None) -> Tensor:
    """Of the matrices in two axes: fro, nuc, 1, -1, 2, -2, infinity or -infinity. The Frobenius norm has torch's
    gradient, 0, at zero."""
    x = A if dtype is None else A.astype(dtype)
    if ord == "fro":
        return _norm(x, 2, dim, keepdim)
    if ord not in ("nuc", 1, -1, 2, -2, _INF, -_INF):
        raise ValueError(f"matrix_norm: ord must be fro, nuc, 1, -1, 2, -2, inf or -inf; received {ord}.")
    rows, columns = axis_of("matrix_norm", x.ndim, dim[0]), axis_of("matrix_norm", x.ndim, dim[1])
    if rows == columns:
        raise ValueError(f"matrix_norm: two axes are needed; received {dim}.")
    found = (_by_singular_values if ord in ("nuc", 2, -2) else _by_sums)(x, ord, rows, columns)
    kept = tuple([1 if axis in (rows, columns) else size for axis, size in enumerate(x.shape)])
    return ops.reshape(found, kept) if keepdim else found


def _by_sums(x: Tensor, ord, rows: int, columns: int) -> Tensor:
    """Largest or smallest sum of sizes of a column (1) or a row (infinity)."""
    within, across = (rows, columns) if ord in (1, -1) else (columns, rows)
    sums = total(ops.abs(x), within)
    across = across - 1 if across > within else across
    return amax(sums, across) if ord > 0 else amin(sums, across)


def _by_singular_values(x: Tensor, ord, rows: int, columns: int) -> Tensor:
    if x.dtype != ms.float32:
        raise TypeError(f"matrix_norm: MindSpore's singular values are float32; received {x.dtype}. Cast to float32.")
    if 0 in x.shape:
        if ord == "nuc":
            return ops.zeros(tuple([size for axis, size in enumerate(x.shape) if axis not in (rows, columns)]), x.dtype)
        raise ValueError("matrix_norm: singular values of nothing have no largest and smallest.")
    order = tuple([axis for axis in range(x.ndim) if axis not in (rows, columns)] + [rows, columns])
    values = ops.svd(mint.permute(x, order), compute_uv=False)
    return total(values, -1) if ord == "nuc" else amax(values, -1) if ord == 2 else amin(values, -1)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied n times, by squaring, in the dtype of ``A``; the inverse for a negative n."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"matrix_power: square matrices are needed; received {A.shape}.")
    if n == 0:
        return mint.broadcast_to(ops.eye(A.shape[-1], A.shape[-1], A.dtype), A.shape)
    square, left, result = (ops.inverse(A), -n, None) if n < 0 else (A, n, None)
    while left > 0:
        if left % 2 == 1:
            result = square if result is None else matmul(result, square)
        left = left // 2
        if left > 0:
            square = matmul(square, square)
    return result


def multi_dot(tensors) -> Tensor:
    """Product from left to right; the first and the last may be vectors."""
    if len(tensors) < 2:
        raise ValueError(f"multi_dot: at least two tensors are needed; received {len(tensors)}.")
    first, last = tensors[0], tensors[-1]
    if first.ndim not in (1, 2) or last.ndim not in (1, 2):
        raise ValueError(f"multi_dot: vectors or matrices stand at the ends; received {first.shape} and {last.shape}.")
    for matrix in tensors[1:-1]:
        if matrix.ndim != 2:
            raise ValueError(f"multi_dot: matrices stand between the ends; received the shape {matrix.shape}.")
    return multiplied(tensors)


def norm(A: Tensor, ord=None, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Of a vector where one axis or no order is given, over everything or over ``dim``; else of a matrix."""
    x = A if dtype is None else A.astype(dtype)
    axes = tuple(range(x.ndim)) if dim is None else dim
    if ord is None:
        return _norm(x, 2, axes, keepdim)
    if isinstance(axes, int) or len(axes) == 1:
        return _norm(x, ord, axes, keepdim)
    if len(axes) != 2:
        raise ValueError(f"norm: an order is for one or two axes; received {x.ndim} axes and dim {dim}.")
    return matrix_norm(x, ord, axes, keepdim)


def solve(A: Tensor, B: Tensor) -> Tensor:
    """x of A x = B by the inverse and one refinement."""
    if not _square("solve", A).size or not B.size:
        return B
    right = ops.expand_dims(B, -1) if B.ndim == 1 else B
    inverse = ops.inverse(A)
    x = mint.matmul(inverse, right)
    x = x + mint.matmul(inverse, right - mint.matmul(A, x))
    return ops.squeeze(x, -1) if B.ndim == 1 else x


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X of A X = B, or of X A = B, for a triangular A of which the other triangle, or also the diagonal, is not read.

    Row after row, so that NaN spreads as in torch.
    """
    if _square("solve_triangular", A).dtype != B.dtype or B.ndim < 2:
        raise ValueError(
            f"solve_triangular: matrices of one dtype are needed; received {A.dtype} {A.shape} and {B.dtype} {B.shape}."
        )
    if left:
        return _substituted(A, B, upper, unitriangular)
    turned = _substituted(mint.transpose(A, -1, -2), mint.transpose(B, -1, -2), not upper, unitriangular)
    return mint.transpose(turned, -1, -2)


def _substituted(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Tensor:
    if A.shape[-1] != B.shape[-2]:
        raise ValueError(f"solve_triangular: fitting sizes are needed; received {A.shape} and {B.shape}.")
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    if not A.size or not B.size:
        return ops.zeros((*batch, *B.shape[-2:]), B.dtype)
    A, B = mint.broadcast_to(A, (*batch, *A.shape[-2:])), mint.broadcast_to(B, (*batch, *B.shape[-2:]))
    order, solved = list(range(A.shape[-1])), []
    order = order[::-1] if upper else order
    for row in order:
        found = mint.narrow(B, -2, row, 1)
        for step in range(len(solved)):
            found = found - _entry(A, row, order[step]) * solved[step]
        solved.append(found if unitriangular else div(found, _entry(A, row, row)))
    return ops.concat(solved[::-1] if upper else solved, -2)


def _entry(A: Tensor, row: int, column: int) -> Tensor:
    return mint.narrow(mint.narrow(A, -2, row, 1), -1, column, 1)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sum of products along one axis."""
    return total(real(x) * y, dim)


def vector_norm(x: Tensor, ord=2, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Norm of any order over any axes."""
    return _norm(x if dtype is None else x.astype(dtype), ord, dim, keepdim)
