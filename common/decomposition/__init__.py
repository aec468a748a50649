"""Decompositions of the convolutions of a network of one's own: each method makes a chain of smaller ones."""

from common.decomposition.chain import Chain, Convolution, DecompositionOptions, Stage, decomposed

__all__ = ["Chain", "Convolution", "DecompositionOptions", "Stage", "decomposed"]
