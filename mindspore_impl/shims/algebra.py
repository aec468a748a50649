"""Matrix products of `torch`."""

from __future__ import annotations

import math

from mindspore import Tensor, mint, ops

__all__ = ["chain_matmul", "dot", "einsum", "matmul", "tensordot"]


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Sum of the products of two vectors."""
    return mint.sum(input * tensor)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """Product from left to right."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = mint.matmul(product, matrix)
    return product


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; over nothing it is 0, where the kernel returns what happens to be in memory."""
    if input.shape[-1] == 0:  # one column and one row of zeros instead
        input = ops.zeros((*input.shape[:-1], 1), input.dtype)
        other = ops.zeros((1,) if other.ndim == 1 else (*other.shape[:-2], 1, other.shape[-1]), other.dtype)
    return mint.matmul(input, other)


def tensordot(a: Tensor, b: Tensor, dims=2) -> Tensor:
    """Sum over ``dims`` last axes of ``a`` and first of ``b``, or over two lists of axes."""
    if isinstance(dims, int):
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [axis % a.ndim for axis in dims[0]], [axis % b.ndim for axis in dims[1]]
    kept_a = [axis for axis in range(a.ndim) if axis not in left]
    kept_b = [axis for axis in range(b.ndim) if axis not in right]
    size = math.prod([a.shape[axis] for axis in left])
    first = ops.reshape(mint.permute(a, tuple(kept_a + left)), (-1, size))
    second = ops.reshape(mint.permute(b, tuple(right + kept_b)), (size, -1))
    return ops.reshape(
        mint.matmul(first, second), tuple([a.shape[axis] for axis in kept_a] + [b.shape[axis] for axis in kept_b])
    )


def _letters(subscripts: str, ndim: int) -> str:
    """An ellipsis spelled out in capitals, which subscripts of torch may hold too but rarely do."""
    missing = ndim - len(subscripts.replace("...", ""))
    return subscripts.replace("...", "ZYXWVU"[:missing][::-1] if missing > 0 else "")


def _reduced(operand: Tensor, letters: str, wanted: str) -> tuple[Tensor, str]:
    """Summed over the axes that nobody else has."""
    alone = [axis for axis, letter in enumerate(letters) if letter not in wanted]
    return (
        (mint.sum(operand, tuple(alone)), "".join([letter for letter in letters if letter in wanted]))
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
    return ops.reshape(mint.bmm(x, y), tuple(size[: ends[1]] + size[ends[2] :])), letters


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Products and sums by Einstein's convention, one matrix product for each pair; a letter may stand once in an operand."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    letters = [_letters(part, operand.ndim) for part, operand in zip(inputs.split(","), operands)]  # noqa: B905  (graphs know no strict)
    joined = "".join(letters)
    if "->" in equation:
        output = _letters(
            output, len(output.replace("...", "")) + len([letter for letter in "UVWXYZ" if letter in joined])
        )
    else:
        output = "".join(sorted([letter for letter in joined if joined.count(letter) == 1]))
    result, have = operands[0], letters[0]
    for number in range(1, len(operands)):
        rest = output + "".join(letters[number + 1 :])
        result, have = _reduced(result, have, rest + letters[number])
        other, theirs = _reduced(operands[number], letters[number], rest + have)
        result, have = _contract(result, have, other, theirs, rest)
    result, have = _reduced(result, have, output)
    return _aligned(result, have, output)
