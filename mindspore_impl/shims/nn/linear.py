"""Linear layers, tables, shapes and distances."""

from __future__ import annotations

import math

from mindspore import Tensor, ops

from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.nn.base import Module, Wrapper, bell, function, uniform

__all__ = [
    "Bilinear",
    "CosineSimilarity",
    "Embedding",
    "Flatten",
    "Identity",
    "Linear",
    "PairwiseDistance",
    "Unflatten",
]


class Identity(Module):
    """The input; constructor arguments are ignored."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def construct(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """x W^T + b; starts uniform as torch's does, where nn.Dense starts otherwise."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features, self.out_features, self.function = in_features, out_features, function("linear")
        self.weight = uniform(1.0 / math.sqrt(in_features), out_features, in_features)
        self.bias = uniform(1.0 / math.sqrt(in_features), out_features) if bias else None

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.weight, self.bias)


class Bilinear(Module):
    """x1^T W_k x2 + b_k for each output k."""

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True):
        super().__init__()
        bound = 1.0 / math.sqrt(in1_features)
        self.function, self.weight = function("bilinear"), uniform(bound, out_features, in1_features, in2_features)
        self.bias = uniform(bound, out_features) if bias else None

    def construct(self, input1: Tensor, input2: Tensor) -> Tensor:
        return self.function(input1, input2, self.weight, self.bias)


class Embedding(Module):
    """Rows of the weight; the row of ``padding_idx`` starts at 0 and gets no gradient."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        super().__init__()
        if padding_idx is not None and (padding_idx < -num_embeddings or padding_idx >= num_embeddings):
            raise ValueError(f"padding_idx must be in [{-num_embeddings}, {num_embeddings}); received {padding_idx}.")
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.function, self.weight = function("embedding"), bell(1.0, num_embeddings, embedding_dim)
        if self.padding_idx is not None:
            self.weight[self.padding_idx] = 0.0

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.weight, self.padding_idx)


class Flatten(Module):
    """Axes ``start_dim`` to ``end_dim`` become one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def construct(self, input: Tensor) -> Tensor:
        if input.ndim == 0:
            return ops.reshape(input, (1,))
        start, end = axis_of("Flatten", input.ndim, self.start_dim), axis_of("Flatten", input.ndim, self.end_dim)
        size = 1
        for axis in range(start, end + 1):
            size *= input.shape[axis]
        return ops.reshape(input, (*input.shape[:start], size, *input.shape[end + 1 :]))


class Unflatten(Module):
    """Axis ``dim`` becomes several; one of the sizes may be -1."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def construct(self, input: Tensor) -> Tensor:
        axis, sizes, known = axis_of("Unflatten", input.ndim, self.dim), (), 1
        for size in self.unflattened_size:
            known *= size if size != -1 else 1
        for size in self.unflattened_size:
            sizes += (size if size != -1 else input.shape[axis] // known,)
        return ops.reshape(input, (*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))


class CosineSimilarity(Wrapper):
    """Cosine along ``dim``; each norm is at least ``eps``."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__("cosine_similarity", dim=dim, eps=eps)


class PairwiseDistance(Wrapper):
    """p-norm of x1 - x2 + eps over the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__("pairwise_distance", p=float(p), eps=eps, keepdim=keepdim)
