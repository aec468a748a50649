"""The target grammar: patterns on module paths, with optional slices of a fused projection, ``*.attn.c_attn[q,v]``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from common.errors import InputError, nearest
from common.models.modules import ModuleSpec, Slices
from common.models.specs import ModelSpec

__all__ = ["ALL_LINEAR", "Match", "Target", "match", "refuse_repeated"]

_PATTERN = re.compile(r"^(?P<glob>[^\[\]\s]+)(?:\[(?P<slices>[\w\s,]+)\])?$")
ALL_LINEAR = "all-linear"  #: PEFT's word for every linear layer but the head


@dataclass(frozen=True)
class Target:
    """One target pattern; rank and alpha replace those of the section."""

    pattern: str
    rank: int | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class Match:
    """A module that a target matches; ``slices`` empty stands for all of it."""

    target: Target
    module: ModuleSpec
    slices: Slices = ()


def match(
    targets: Sequence[Target],
    exclude: Sequence[str],
    spec: ModelSpec,
    adaptable: Callable[[ModuleSpec], bool] = lambda module: module.kind.adaptable,
    section: str = "adaptation",
    entry: str = "targets",
) -> list[Match]:
    """The modules that ``targets`` name, in the order of the patterns.

    ``*`` matches any run of characters, dots included; ``?`` one character. A pattern without either also matches at
    the end of a path, as in PEFT: ``query`` is ``*.query``. ``all-linear`` matches every matrix. A module belongs to
    the first pattern that matches it. Heads are trained whole and never adapted; an output layer that a checkpoint brings
    is adapted where its path is named, and not by ``all-linear``, as in PEFT.

    Args:
        adaptable: which modules are meant at all.
        section, entry: where the patterns were given, for messages.

    Raises:
        InputError: a pattern matches nothing (the nearest paths are named) or names an unknown slice.
    """
    candidates = [m for m in spec.modules if adaptable(m) and not m.tied_to and m.path not in spec.head]
    output = spec.layout.output if spec.layout else None
    excluded: set[str] = set()
    for pattern in exclude:
        paths = [module.path for module in candidates if _matches(module, pattern, output)]
        if not paths:
            raise InputError(_no_match(f"{section}.exclude", pattern, candidates, spec))
        excluded.update(paths)
    found: dict[str, Match] = {}
    for target in targets:
        glob, names = _parse(target.pattern)
        modules = [module for module in candidates if _matches(module, glob, output)]
        if not modules:
            raise InputError(_no_match(f"{section}.{entry}", target.pattern, candidates, spec))
        fresh = [module for module in modules if module.path not in found and module.path not in excluded]
        if not fresh:
            raise InputError(
                f"Every target pattern must add a module; {target.pattern!r} matches only modules that an earlier "
                "pattern took or that are excluded. Remove it or put it first."
            )
        for module in fresh:
            found[module.path] = Match(target, module, _slices(module, names, target))
    return list(found.values())


def _matches(module: ModuleSpec, glob: str, output: str | None) -> bool:
    if glob == ALL_LINEAR:
        return module.kind.matrix and module.path != output
    if fnmatchcase(module.path, glob):
        return True
    return not set("*?") & set(glob) and module.path.endswith(f".{glob}")


def _parse(pattern: str) -> tuple[str, tuple[str, ...]]:
    parsed = _PATTERN.match(pattern)
    names = tuple(name.strip() for name in parsed["slices"].split(",")) if parsed and parsed["slices"] else ()
    if not parsed or "" in names:
        raise InputError(
            "A target is a glob on the module path, optionally followed by slices: '*.attn.c_attn[q,v]'; "
            f"received {pattern!r}."
        )
    return parsed["glob"], names


def _slices(module: ModuleSpec, names: Sequence[str], target: Target) -> Slices:
    known = dict.fromkeys(name for name, _, _ in module.slices)
    unknown = [name for name in names if name not in known]
    if unknown:
        what = f"has the slices {', '.join(known)}" if known else "is not a fused projection and has no slices"
        raise InputError(f"Target {target.pattern!r} names slice {unknown[0]!r}, but {module.path} {what}.")
    slices = tuple(found for found in module.slices if found[0] in names)
    return () if len(slices) == len(module.slices) else slices  # all slices: one adapter over the whole projection


def _no_match(where: str, pattern: str, candidates: Sequence[ModuleSpec], spec: ModelSpec) -> str:
    glob = pattern.split("[")[0]
    if any(fnmatchcase(path, glob) for path in spec.head):
        return (
            f"{where}: {pattern!r} matches only the task head ({', '.join(spec.head)}), "
            "which is trained whole with every method. Remove it."
        )
    paths = {module.path: module for module in candidates}
    suffixes = {".".join(path.split(".")[-n:]) for path in paths for n in (1, 2, 3)}
    close = nearest(glob.strip("*."), suffixes - {glob.strip("*.")})
    kinds = sorted({".".join(part for part in path.split(".") if not part.isdigit()) for path in paths})
    listed = f"Module paths (layer numbers left out): {', '.join(kinds)}."
    return f"Every pattern must match a module; {where}: {pattern!r} matches none of {len(paths)}.{close} {listed}"


def refuse_repeated(places: Mapping[str, Sequence[str]]) -> None:
    """Raise InputError where a layer that is to be adapted stands at several places of a network, of which one would be
    adapted and the others go on without; or at none, being the whole network.

    Args:
        places: every place of each layer, by the path under which it is adapted.
    """
    for path, found in places.items():
        if not found:
            raise InputError(
                "A layer is adapted inside the network that holds it; this one is the whole network. Put it into a "
                "sequence of one layer."
            )
        others = [place for place in found if place != path]
        if others:
            raise InputError(
                f"A layer that is adapted stands at one place of the network; {path} stands at {', '.join(others)} as "
                "well, where it would go on without the update. Give each place a layer of its own, or leave it out of "
                f'the targets: exclude: ["{path}"].'
            )
