"""Matrix products of `torch`."""

from __future__ import annotations

import math

from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.reduction import total

__all__ = ["chain_matmul", "dot", "einsum", "inner", "matmul", "tensordot"]


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Sum of the products of two vectors of one dtype, which is that of the sum."""
    if input.ndim != 1 or tensor.ndim != 1 or input.shape != tensor.shape or input.dtype != tensor.dtype:
        raise ValueError(
            f"dot: two vectors of one size and dtype are needed; received {input.dtype} {input.shape} and {tensor.dtype} {tensor.shape}."
        )
    return total(input * tensor)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last axes; a tensor without axes multiplies."""
    if not input.ndim or not other.ndim:
        return input * other
    return tensordot(input, other, ([input.ndim - 1], [other.ndim - 1]))


def chain_matmul(*matrices: Tensor) -> Tensor:
    """Product of matrices from left to right."""
    for matrix in matrices:
        if matrix.ndim != 2:
            raise ValueError(f"chain_matmul: matrices are needed; received the shape {matrix.shape}.")
    return multiplied(matrices)


def multiplied(matrices) -> Tensor:
    """Product from left to right."""
    product = matrices[0]
    for matrix in matrices[1:]:
        if product.shape[-1] != matrix.shape[0]:
            raise ValueError(f"{product.shape} and {matrix.shape} cannot be multiplied: the inner sizes differ.")
        product = matmul(product, matrix)
    return product


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; over nothing it is 0, where the kernel returns what happens to be in memory."""
    if input.shape[-1] == 0:  # one column and one row of zeros instead
        input = ops.zeros((*input.shape[:-1], 1), input.dtype)
        other = ops.zeros((1,) if other.ndim == 1 else (*other.shape[:-2], 1, other.shape[-1]), other.dtype)
    return mint.matmul(input, other)


def _batched(x: Tensor, y: Tensor) -> Tensor:
    """Products of two batches of matrices; over nothing 0."""
    if 0 in x.shape or 0 in y.shape:
        return ops.zeros((x.shape[0], x.shape[1], y.shape[2]), x.dtype)
    return mint.bmm(x, y)


def tensordot(a: Tensor, b: Tensor, dims=2) -> Tensor:
    """Sum over ``dims`` last axes of ``a`` and first of ``b``, or over two lists of axes."""
    if isinstance(dims, int):
        if dims < 0:
            raise ValueError(f"tensordot: dims must not be negative; received {dims}.")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left = [axis_of("tensordot", a.ndim, axis) for axis in dims[0]]
        right = [axis_of("tensordot", b.ndim, axis) for axis in dims[1]]
    kept_a = [axis for axis in range(a.ndim) if axis not in left]
    kept_b = [axis for axis in range(b.ndim) if axis not in right]
    size = math.prod([a.shape[axis] for axis in left])
    rows = math.prod([a.shape[axis] for axis in kept_a])
    columns = math.prod([b.shape[axis] for axis in kept_b])
    first = ops.reshape(mint.permute(a, tuple(kept_a + left)), (rows, size))
    second = ops.reshape(mint.permute(b, tuple(right + kept_b)), (size, columns))
    return ops.reshape(
        matmul(first, second), tuple([a.shape[axis] for axis in kept_a] + [b.shape[axis] for axis in kept_b])
    )


_ELLIPSIS = "0123456789"  #: what the axes of an ellipsis are called, the last one 9


def _letters(subscripts: str, ndim: int) -> str:
    """An ellipsis spelled out."""
    count = len(subscripts.replace("...", ""))
    if ("..." in subscripts and ndim < count) or ("..." not in subscripts and ndim != count):
        raise ValueError(f"einsum: {subscripts} does not name the {ndim} axes of its operand.")
    return subscripts.replace("...", _ELLIPSIS[10 - (ndim - count) :])


def _output(equation: str, letters: list[str]) -> str:
    """The letters of the result: those given, or an ellipsis and those that stand once, in order."""
    joined = "".join(letters)
    dots = "".join([letter for letter in _ELLIPSIS if letter in joined])
    if "->" not in equation:
        return dots + "".join(sorted([letter for letter in joined if joined.count(letter) == 1 and letter not in dots]))
    output = equation.partition("->")[2].replace("...", dots)
    for letter in output:
        if letter not in joined or output.count(letter) > 1:
            raise ValueError(f"einsum: {letter} must stand in an operand, and once in the result.")
    return output


@ops.constexpr
def _plan(equation: str, shapes: tuple) -> tuple:
    """Of each operand the pairs of axes whose diagonal is taken, its shape without axes that are broadcast, and its
    letters; and the letters of the result."""
    equation = equation.replace(" ", "")
    parts = equation.partition("->")[0].split(",")
    if len(parts) != len(shapes):
        raise ValueError(f"einsum: {equation} has {len(parts)} operands; received {len(shapes)}.")
    letters = [_letters(part, len(shape)) for part, shape in zip(parts, shapes, strict=True)]
    output, found, sizes = _output(equation, letters), [], {}
    for name, shape in zip(letters, shapes, strict=True):
        pairs, name, shape = _pairs(name, list(shape))
        found.append((pairs, name, shape))
        for letter, size in zip(name, shape, strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    return tuple((pairs, *_kept(name, shape, sizes)) for pairs, name, shape in found), output


def _pairs(name: str, shape: list[int]) -> tuple:
    """Axes with one letter, two at a time, of which the diagonal then stands first."""
    pairs = []
    while repeated := [letter for letter in name if name.count(letter) > 1]:
        first = name.index(repeated[0])
        second = name.index(repeated[0], first + 1)
        if shape[first] != shape[second]:
            raise ValueError(f"einsum: the axes called {repeated[0]} must have one size.")
        pairs.append((first, second))
        rest = [axis for axis in range(len(name)) if axis not in (first, second)]
        name = repeated[0] + "".join(name[axis] for axis in rest)
        shape = [shape[first], *(shape[axis] for axis in rest)]
    return tuple(pairs), name, shape


def _kept(name: str, shape: list[int], sizes: dict[str, int]) -> tuple:
    """Shape and letters without the axes of size 1 that another operand has in full."""
    kept = [axis for axis, letter in enumerate(name) if shape[axis] == sizes[letter]]
    for axis, letter in enumerate(name):
        if axis not in kept and shape[axis] != 1:
            raise ValueError(f"einsum: the axes called {letter} must have one size or 1.")
    return tuple(shape[axis] for axis in kept), "".join(name[axis] for axis in kept)


def _diagonal(operand: Tensor, first: int, second: int) -> Tensor:
    """The diagonal of two axes, first, in the memory of ``operand``."""
    last = ops.diagonal(operand, 0, first, second)
    return mint.permute(last, (last.ndim - 1, *range(last.ndim - 1)))


def _prepared(operand: Tensor, plan: tuple) -> Tensor:
    """Diagonals taken, axes that are broadcast left out."""
    for first, second in plan[0]:
        operand = _diagonal(operand, first, second)
    return operand if operand.shape == plan[1] else ops.reshape(operand, plan[1])


def _reduced(operand: Tensor, letters: str, wanted: str) -> tuple[Tensor, str]:
    """Summed over the axes that nobody else has."""
    alone = [axis for axis, letter in enumerate(letters) if letter not in wanted]
    return (
        (total(operand, tuple(alone)), "".join([letter for letter in letters if letter in wanted]))
        if alone
        else (operand, letters)
    )


def _aligned(operand: Tensor, letters: str, order: str) -> Tensor:
    """Axes in the order of ``order``, of which those that are missing are left out."""
    return (
        mint.permute(operand, tuple([letters.index(letter) for letter in order if letter in letters]))
        if letters
        else operand
    )


def _contract(a: Tensor, first: str, b: Tensor, second: str, wanted: str) -> tuple[Tensor, str]:
    """One batched matrix product."""
    batch = "".join([letter for letter in first if letter in second and letter in wanted])
    inner = "".join([letter for letter in first if letter in second and letter not in wanted])
    left = "".join([letter for letter in first if letter not in second])
    right = "".join([letter for letter in second if letter not in first])
    size = [
        a.shape[first.index(letter)] if letter in first else b.shape[second.index(letter)]
        for letter in batch + left + inner + right
    ]
    ends = [len(batch), len(batch + left), len(batch + left + inner)]
    count = [
        math.prod(size[: ends[0]]),
        math.prod(size[ends[0] : ends[1]]),
        math.prod(size[ends[1] : ends[2]]),
        math.prod(size[ends[2] :]),
    ]
    x = ops.reshape(_aligned(a, first, batch + left + inner), (count[0], count[1], count[2]))
    y = ops.reshape(_aligned(b, second, batch + inner + right), (count[0], count[2], count[3]))
    letters = batch + left + right
    return ops.reshape(_batched(x, y), tuple(size[: ends[1]] + size[ends[2] :])), letters


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Products and sums by Einstein's convention, one matrix product for each pair. A letter that an operand has twice
    is its diagonal."""
    plans, output = _plan(equation, tuple([operand.shape for operand in operands]))
    result, have = _prepared(operands[0], plans[0]), plans[0][2]
    for number in range(1, len(operands)):
        rest = output + "".join([plan[2] for plan in plans[number + 1 :]])
        result, have = _reduced(result, have, rest + plans[number][2])
        other, theirs = _reduced(_prepared(operands[number], plans[number]), plans[number][2], rest + have)
        result, have = _contract(result, have, other, theirs, rest)
    result, have = _reduced(result, have, output)
    return _aligned(result, have, output)
