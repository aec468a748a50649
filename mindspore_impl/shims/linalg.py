"""Functions of `torch.linalg`."""

from __future__ import annotations

from mindspore import Tensor, mint, ops

from mindspore_impl.shims.algebra import chain_matmul
from mindspore_impl.shims.reduction import norm as _norm

__all__ = ["cholesky", "inv", "matrix_norm", "multi_dot", "norm", "solve", "vecdot", "vector_norm"]


def cholesky(input: Tensor) -> Tensor:
    """Lower factor L of a symmetric positive definite matrix A. The kernel has no gradient here; dL = L Phi(L^-1 dA L^-T) is added, in which dA has the
    value 0 (Murray 2016, arXiv:1602.07527, eq. 9; Phi is the lower triangle with half the diagonal)."""
    fixed = ops.stop_gradient(input)
    factor = ops.stop_gradient(ops.cholesky(fixed))
    inverse = ops.stop_gradient(ops.inverse(factor))
    change = input - fixed
    change = (change + mint.transpose(change, -1, -2)) * 0.5
    inner = ops.tril(mint.matmul(inverse, mint.matmul(change, mint.transpose(inverse, -1, -2))))
    return factor + mint.matmul(factor, inner - inner * ops.eye(input.shape[-1], input.shape[-1], input.dtype) * 0.5)


def inv(A: Tensor) -> Tensor:
    """Inverse; mindspore.ops.inv is 1/x."""
    return ops.inverse(A)


def matrix_norm(A: Tensor, ord="fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype=None) -> Tensor:
    """Of the matrices in two axes; the Frobenius norm with torch's gradient, 0, at zero."""
    x = A if dtype is None else A.astype(dtype)
    return _norm(x, 2, dim, keepdim) if ord == "fro" else ops.matrix_norm(x, ord, dim, keepdim)


def multi_dot(tensors) -> Tensor:
    """Product from left to right."""
    return chain_matmul(*tensors)


def norm(A: Tensor, ord=None, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Of a vector where one axis or no order is given, over everything or over ``dim``; else of a matrix."""
    x = A if dtype is None else A.astype(dtype)
    axes = tuple(range(x.ndim)) if dim is None else dim
    if ord is None:
        return _norm(x, 2, axes, keepdim)
    if isinstance(axes, int) or len(axes) == 1:
        return _norm(x, ord, axes, keepdim)
    return matrix_norm(x, ord, axes, keepdim)


def solve(A: Tensor, B: Tensor) -> Tensor:
    """x of A x = B by the inverse and one refinement."""
    right = ops.expand_dims(B, -1) if B.ndim == 1 else B
    inverse = ops.inverse(A)
    x = mint.matmul(inverse, right)
    x = x + mint.matmul(inverse, right - mint.matmul(A, x))
    return ops.squeeze(x, -1) if B.ndim == 1 else x


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sum of products along one axis."""
    return mint.sum(x * y, dim)


def vector_norm(x: Tensor, ord=2, dim=None, keepdim: bool = False) -> Tensor:
    """Norm of any order over any axes."""
    return _norm(x, ord, dim, keepdim)
