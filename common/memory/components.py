"""Which part of a network a module belongs to, as accounts list them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from common.models.modules import ATTENTION, ModuleSpec

__all__ = ["ADAPTERS", "COMPONENTS", "Components"]

EMBEDDINGS, ATTENTIONS, FEED_FORWARD, NORMS, HEAD = "embeddings", "attention", "feed-forward", "norms", "head and loss"
ADAPTERS = "adapters"
COMPONENTS = (EMBEDDINGS, ATTENTIONS, FEED_FORWARD, NORMS, ADAPTERS, HEAD)  #: in the order of tables


class Components:
    """Of one network.

    Args:
        modules: in the order of the forward pass.
        head: paths of the modules of the head.
        edited: paths of the modules that edits wrap.
    """

    def __init__(self, modules: Sequence[ModuleSpec], head: Iterable[str], edited: Iterable[str] = ()):
        self.of = dict(_components(modules, set(head)))
        self.names = {name for module in modules for name in module.shapes()}  #: parameters of the network itself
        self._edited = set(edited)

    def find(self, path: str) -> str:
        """The component of what is computed at ``path``: a listed module, a part of one, or something beside it, such
        as a dropout, which belongs to its nearest neighbour.

        A wrapper is an adapter; the module that it holds, at ``base_layer``, is what it was.
        """
        held, inside, _ = path.partition(".base_layer")
        if inside:
            return self.of[held]
        if any(held == edited or held.startswith(f"{edited}.") for edited in self._edited):
            return ADAPTERS
        return self.of.get(held) or self._nearest(held)

    def _nearest(self, path: str) -> str:
        parts = path.split(".")

        def shared(other: str) -> int:
            pairs = zip(parts, other.split("."), strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        listed = [other for other in self.of if self.of[other] != NORMS] or list(self.of)
        return self.of[max(listed, key=shared)]


def _components(modules: Sequence[ModuleSpec], head: set[str]) -> Iterable[tuple[str, str]]:
    attentions = [module for module in modules if module.kind is ATTENTION]
    projections = {path for found in attentions for path in (*found.arguments.projections, *found.arguments.positions)}
    begun, mixed = False, False  # whether the next matrix is the output projection of an attention
    for module in modules:
        if module.path in head:
            yield module.path, HEAD
        elif module.kind.lookup:
            yield module.path, EMBEDDINGS
        elif module.kind.norm:
            yield module.path, NORMS
        elif module.kind is ATTENTION or module.path in projections:
            begun, mixed = True, module.kind is ATTENTION
            yield module.path, ATTENTIONS
        elif mixed and module.kind.matrix:
            mixed = False
            yield module.path, ATTENTIONS
        else:
            yield module.path, FEED_FORWARD if begun or not attentions else EMBEDDINGS
