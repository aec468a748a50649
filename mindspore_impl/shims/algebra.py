"""Matrix products of `torch`."""

from __future__ import annotations

import math

from mindspore import Tensor, mint, ops

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
    """Product from left to right."""
    product = matrices[0]
    for matrix in matrices[1:]:
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
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [axis % a.ndim for axis in dims[0]], [axis % b.ndim for axis in dims[1]]
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


def _diagonals(operand: Tensor, letters: str) -> tuple[Tensor, str]:
    """Of axes with one letter their diagonal."""
    for letter in letters:
        if letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            size = operand.shape[first]
            if operand.shape[second] != size:
                raise ValueError(f"einsum: the axes called {letter} must have one size.")
            rest = [axis for axis in range(operand.ndim) if axis not in (first, second)]
            flat = mint.permute(operand, (first, second, *rest))
            flat = ops.reshape(flat, (size * size, *[operand.shape[axis] for axis in rest]))
            operand = ops.gather(flat, ops.arange(size) * (size + 1), 0)
            letters = letter + "".join([letters[axis] for axis in rest])
    return operand, letters


def _spread_later(operand: Tensor, letters: str, sizes: dict) -> tuple[Tensor, str]:
    """Without the axes of size 1 that another operand has in full."""
    kept = [axis for axis in range(operand.ndim) if operand.shape[axis] == sizes[letters[axis]]]
    if len(kept) == operand.ndim:
        return operand, letters
    for axis in range(operand.ndim):
        if axis not in kept and operand.shape[axis] != 1:
            raise ValueError(f"einsum: the axes called {letters[axis]} must have one size or 1.")
    return ops.reshape(operand, tuple([operand.shape[axis] for axis in kept])), "".join(
        [letters[axis] for axis in kept]
    )


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


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Products and sums by Einstein's convention, one matrix product for each pair. A letter that an operand has twice is its diagonal."""
    equation = equation.replace(" ", "")
    parts = equation.partition("->")[0].split(",")
    if len(parts) != len(operands):
        raise ValueError(f"einsum: {equation} has {len(parts)} operands; received {len(operands)}.")
    letters = [_letters(part, operand.ndim) for part, operand in zip(parts, operands)]  # noqa: B905  (graphs know no strict)
    output = _output(equation, letters)
    tensors, named, sizes = [], [], {}
    for number in range(len(operands)):
        operand, name = _diagonals(operands[number], letters[number])
        tensors.append(operand)
        named.append(name)
        for axis in range(operand.ndim):
            if name[axis] not in sizes or sizes[name[axis]] == 1:
                sizes[name[axis]] = operand.shape[axis]
    for number in range(len(operands)):
        tensors[number], named[number] = _spread_later(tensors[number], named[number], sizes)
    result, have = tensors[0], named[0]
    for number in range(1, len(tensors)):
        rest = output + "".join(named[number + 1 :])
        result, have = _reduced(result, have, rest + named[number])
        other, theirs = _reduced(tensors[number], named[number], rest + have)
        result, have = _contract(result, have, other, theirs, rest)
    result, have = _reduced(result, have, output)
    return _aligned(result, have, output)
