"""Factorizations of matrices. The kernels' gradients are missing or hold for some shapes only, so each result is the
kernel's plus its derivative along A - stop_gradient(A), which is 0 (Giles 2008, "An extended collection of matrix
derivative results")."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, mint, ops
from mindspore.ops.operations import math_ops
from mindspore.scipy.ops import LU

from mindspore_impl.shims.arithmetic import div
from mindspore_impl.shims.reduction import total
from mindspore_impl.shims.shape import part

__all__ = [
    "eigh",
    "eigvalsh",
    "lu",
    "lu_factor",
    "matrix_rank",
    "pinv",
    "pinverse",
    "qr",
    "qr_",
    "svd",
    "svd_",
    "svdvals",
]

_KNOWN = (ms.float32, ms.float64)


def _matrix(name: str, A: Tensor, square: bool = False) -> Tensor:
    """``A`` if it is a batch of float32 or float64 matrices.

    Raises:
        TypeError, ValueError: it is none, or not square where that is needed.
    """
    if A.dtype not in _KNOWN:
        raise TypeError(f"{name}: float32 or float64 is needed; received {A.dtype}.")
    if A.ndim < 2 or (square and A.shape[-1] != A.shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ValueError(f"{name}: {kind} are needed; received {A.shape}.")
    return A


def _t(x: Tensor) -> Tensor:
    return mint.transpose(x, -1, -2)


def _eye(size: int, like: Tensor) -> Tensor:
    return ops.eye(size, size, like.dtype)


def _diagonal(x: Tensor) -> Tensor:
    """Of square matrices, by a mask: the kernel's gradient is missing in graphs."""
    return total(x * _eye(x.shape[-1], x), -1)


def _inverse_gaps(values: Tensor) -> Tensor:
    """1 / (w_j - w_i), 0 on the diagonal."""
    gaps = ops.expand_dims(values, -2) - ops.expand_dims(values, -1)
    same = _eye(values.shape[-1], values)
    return (1.0 - same) / (gaps + same)


def _symmetric(A: Tensor, upper: bool) -> Tensor:
    """Of one triangle."""
    part = ops.triu(A) if upper else ops.tril(A)
    return part + _t(part) - part * _eye(A.shape[-1], A)


def eigh(A: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors, in columns, of a symmetric matrix, of which one triangle is read. The
    signs of the vectors are the kernel's."""
    _matrix("eigh", A, True)
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"eigh: UPLO must be L or U; received {UPLO}.")
    if not A.size:
        return ops.zeros(A.shape[:-1], A.dtype), ops.zeros(A.shape, A.dtype)
    fixed = ops.stop_gradient(A)
    held = finite("eigh", _symmetric(fixed, UPLO in ("U", "u")))
    if A.shape[-1] == 1:
        values, vectors = ops.reshape(held, A.shape[:-1]), ops.ones_like(held)
    else:
        values, vectors = math_ops.SelfAdjointEig()(held)
    values, vectors = ops.stop_gradient(values), ops.stop_gradient(vectors)
    change = mint.matmul(_t(vectors), mint.matmul(A - fixed, vectors))
    change = (change + _t(change)) * 0.5
    return values + _diagonal(change), _turned(vectors, change * _inverse_gaps(values))


def _beside(vectors: Tensor, turn: Tensor, outside: Tensor, size: Tensor) -> Tensor:
    """vectors (I + turn) + outside / size as one product, see `_turned`."""
    unit = _eye(turn.shape[-1], turn)
    left, right = ops.concat((vectors, outside), -1), ops.concat((unit + turn, unit / size), -2)
    return mint.matmul(left, right)


def _turned(vectors: Tensor, turn: Tensor) -> Tensor:
    """vectors (I + turn). In a graph, MindSpore 2.10 computes vectors + vectors turn in float32 where ``turn`` is a sum
    with a transpose of itself, whatever the dtype."""
    return mint.matmul(vectors, _eye(turn.shape[-1], turn) + turn)


def finite(name: str, A: Tensor) -> Tensor:
    """``A``, whose NaN or infinity is refused, of which each library makes something else; in a graph the kernel's
    answer counts.

    Raises:
        RuntimeError: in eager mode.
    """
    if hasattr(A, "assign_value") and not bool(ops.isfinite(A).all()):
        raise RuntimeError(f"{name}: finite numbers are needed; received NaN or infinity.")
    return A


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues of a symmetric matrix, ascending."""
    return eigh(A, UPLO)[0]


def _factors(A: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of the kernel, without gradient."""
    s, u, v = ops.svd(A, full_matrices=full)
    return ops.stop_gradient(u), ops.stop_gradient(s), ops.stop_gradient(v)


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and Vh of A = U diag(S) Vh. The signs of columns of U and rows of Vh are the kernel's.

    Columns and rows beyond the smaller size have no gradient, as in torch.
    """
    if driver is not None:
        raise ValueError(f"svd: drivers are for CUDA only; received {driver}.")
    _matrix("svd", A)
    m, n = A.shape[-2:]
    k = min(m, n)
    if not A.size:
        return _svd_of_nothing(A, full_matrices)
    fixed = finite("svd", ops.stop_gradient(A))
    full_u, s, full_v = _factors(fixed, full_matrices)
    u, v = part(full_u, -1, 0, k), part(full_v, -1, 0, k)
    change = A - fixed
    inner = mint.matmul(_t(u), mint.matmul(change, v))
    row, column = ops.expand_dims(s, -2), ops.expand_dims(s, -1)
    gaps = _inverse_gaps(s * s)
    turn_u, turn_v = gaps * (inner * row + column * _t(inner)), gaps * (column * inner + _t(inner) * row)
    new_u, new_v = _turned(u, turn_u), _turned(v, turn_v)
    if m > k:
        outside = mint.matmul(change, v)
        new_u = _beside(u, turn_u, outside - mint.matmul(u, mint.matmul(_t(u), outside)), column)
    if n > k:
        outside = mint.matmul(_t(change), u)
        new_v = _beside(v, turn_v, outside - mint.matmul(v, mint.matmul(_t(v), outside)), column)
    u, v = new_u, new_v
    if full_matrices and m > k:
        u = ops.concat((u, part(full_u, -1, k, m - k)), -1)
    if full_matrices and n > k:
        v = ops.concat((v, part(full_v, -1, k, n - k)), -1)
    return u, s + _diagonal(inner), _t(v)


def _svd_of_nothing(A: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    batch, (m, n) = A.shape[:-2], A.shape[-2:]
    k = min(m, n)
    sizes = ((m, m), (n, n)) if full else ((m, k), (k, n))
    u, vh = [_identities(batch, *size, A) for size in sizes]
    return u, ops.zeros((*batch, k), A.dtype), vh


def _identities(batch: tuple[int, ...], rows: int, columns: int, like: Tensor) -> Tensor:
    shape = (*batch, rows, columns)
    if 0 in shape:
        return ops.zeros(shape, like.dtype)
    return mint.broadcast_to(ops.eye(rows, columns, like.dtype), shape)


def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Singular values, descending."""
    if driver is not None:
        raise ValueError(f"svdvals: drivers are for CUDA only; received {driver}.")
    _matrix("svdvals", A)
    if not A.size:
        return ops.zeros((*A.shape[:-2], min(A.shape[-2:])), A.dtype)
    fixed = finite("svdvals", ops.stop_gradient(A))
    u, s, v = _factors(fixed, False)
    return s + _diagonal(mint.matmul(_t(u), mint.matmul(A - fixed, v)))


def svd_(input: Tensor, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of `torch.svd`."""
    if not compute_uv:
        raise ValueError("svd: use torch.linalg.svdvals where no vectors are needed.")
    u, s, vh = svd(input, not some)
    return u, s, _t(vh)


def qr(A: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Q and R; ``mode`` reduced or complete, the latter for at most as many rows as columns, where it is the same."""
    _matrix("qr", A)
    m, n = A.shape[-2:]
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be reduced or complete; received {mode}. For R alone take the second result.")
    if mode == "complete" and m > n:
        raise ValueError("qr: a complete Q of more rows than columns has no gradient; use mode='reduced'.")
    k = min(m, n)
    if not A.size:
        return _identities(A.shape[:-2], m, k, A), ops.zeros((*A.shape[:-2], k, n), A.dtype)
    fixed = finite("qr", ops.stop_gradient(A))
    q, r = (ops.ones_like(part(fixed, -1, 0, 1)), fixed) if m == 1 else ops.qr(fixed)
    q, r = ops.stop_gradient(q), ops.stop_gradient(r)
    change = A - fixed
    square = part(r, -1, 0, k)
    scaled = _right_divided(part(change, -1, 0, k), square)
    inner = mint.matmul(_t(q), scaled)
    below = ops.tril(inner, -1)
    turn = below - _t(below)
    outside = scaled - mint.matmul(q, inner) if m > k else ops.zeros_like(scaled)
    return q + mint.matmul(q, turn) + outside, r + mint.matmul(_t(q), change) - mint.matmul(turn, r)


def _right_divided(x: Tensor, r: Tensor) -> Tensor:
    """x R^-1, without gradient of R."""
    return mint.matmul(x, _fixed_inverse(r))


def _fixed_inverse(x: Tensor) -> Tensor:
    return ops.stop_gradient(ops.reciprocal(x) if x.shape[-1] == 1 else ops.inverse(x))


def qr_(input: Tensor, some: bool = True) -> tuple[Tensor, Tensor]:
    """Q and R of `torch.qr`."""
    return qr(input, "reduced" if some else "complete")


def _packed(name: str, A: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """P, L and U of A = P L U, and the pivots, counted from 1."""
    _matrix(name, A, True)
    if not pivot:
        raise ValueError(f"{name}: without pivoting it is for CUDA only, in torch too.")
    size = A.shape[-1]
    if 0 in A.shape:
        same = ops.zeros(A.shape, A.dtype)
        return same, same, same, ops.zeros(A.shape[:-1], ms.int32)
    fixed = finite(name, ops.stop_gradient(A))
    if size == 1:
        one = ops.ones_like(fixed)
        return one, one, A, ops.ones(A.shape[:-1], ms.int32)
    packed, pivots, places = LU()(fixed)
    packed, one = ops.stop_gradient(packed), _eye(size, A)
    lower, upper = ops.tril(packed, -1) + one, ops.triu(packed)
    order = _t(ops.stop_gradient(places.astype(A.dtype)))
    change = mint.matmul(order, A - fixed)
    inner = mint.matmul(_fixed_inverse(lower), _right_divided(change, upper))
    lower = lower + mint.matmul(lower, ops.tril(inner, -1))
    return _t(order), lower, upper + mint.matmul(ops.triu(inner), upper), pivots + 1


def lu(A: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """P, L and U of A = P L U for square matrices."""
    return _packed("lu", A, pivot)[:3]


def lu_factor(A: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor]:
    """L and U in one matrix, and the rows that were swapped, counted from 1."""
    _, lower, upper, pivots = _packed("lu_factor", A, pivot)
    if A.shape[-1] < 2 or not A.size:
        return upper, pivots
    return ops.tril(lower, -1) + upper, pivots


def _cut(s: Tensor, shape: tuple[int, int], atol, rtol) -> Tensor:
    """At or below which a singular value counts as 0."""
    epsilon = 1.1920928955078125e-07 if s.dtype == ms.float32 else 2.220446049250313e-16
    if rtol is None:
        rtol = 0.0 if atol is not None and not isinstance(atol, Tensor) and atol > 0 else max(shape) * epsilon
    largest = part(s, -1, 0, 1)
    relative = _bound(rtol, s) * largest
    return relative if atol is None else ops.maximum(relative, _bound(atol, s) + ops.zeros_like(relative))


def _bound(value, s: Tensor) -> Tensor:
    return ops.expand_dims(value.astype(s.dtype), -1) if isinstance(value, Tensor) else Tensor(value, s.dtype)


def matrix_rank(A: Tensor, tol=None, hermitian: bool = False, *, atol=None, rtol=None) -> Tensor:
    """Number of singular values above max(atol, rtol times the largest)."""
    _matrix("matrix_rank", A)
    if not A.size:
        return ops.zeros(A.shape[:-2], ms.int64)
    s = ops.abs(eigvalsh(A)) if hermitian else svdvals(A)
    s = ops.stop_gradient(s)
    if hermitian:
        s = ops.sort(s, -1, True)[0]
    cut = _cut(s, A.shape[-2:], tol if atol is None else atol, 0.0 if tol is not None else rtol)
    return total((s > cut).astype(ms.int64), -1)


def pinv(A: Tensor, rcond=None, hermitian: bool = False, *, atol=None, rtol=None) -> Tensor:
    """Pseudoinverse by singular values, of which those at most max(atol, rtol times the largest) count as 0.

    Its gradient is that of matrices of the same rank (Golub and Pereyra 1973).
    """
    _matrix("pinv", A, hermitian)
    if not A.size:
        return ops.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    given = _symmetric(A, False) if hermitian else A
    fixed = finite("pinv", ops.stop_gradient(given))
    u, s, v = _factors(fixed, False)
    kept = s > _cut(s, A.shape[-2:], atol, rcond if rtol is None else rtol)
    inverted = ops.where(kept, div(ops.ones_like(s), ops.where(kept, s, ops.ones_like(s))), ops.zeros_like(s))
    p = ops.stop_gradient(mint.matmul(v * ops.expand_dims(inverted, -2), _t(u)))
    whole = ops.stop_gradient(A)  # of which torch reads one triangle for the value and all for the gradient
    change = A - whole
    other = mint.matmul(mint.matmul(p, _t(p)), _t(change))
    found = p - mint.matmul(p, mint.matmul(change, p)) + other - mint.matmul(other, mint.matmul(whole, p))
    rest = mint.matmul(_t(change), mint.matmul(_t(p), p))
    return found + rest - mint.matmul(p, mint.matmul(whole, rest))


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`pinv` by torch's older name."""
    return pinv(input, rcond)
