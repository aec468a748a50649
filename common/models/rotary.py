"""Rotary positions (Su et al. 2021): which angles queries and keys are turned by, decided once for both backends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["TYPES", "frequencies", "parameters", "problems", "tables"]

_THETA = 10000.0  #: where a configuration names none, as in ``transformers``
TYPES = {"default": (), "linear": ("factor",), "llama3": ("factor", "low_freq_factor", "high_freq_factor")}
_ORIGINAL = "original_max_position_embeddings"
_KNOWN = {"rope_type", "type", "rope_theta", "factor", "partial_rotary_factor"}


def parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_parameters`` of a configuration, also of older ones, whose entries were ``rope_theta`` and
    ``rope_scaling``. Of ``llama3`` the length that the network was first made for is the configuration's own entry, where
    there is one, as in ``transformers``.

    Example:
        >>> parameters({"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}})
        {'factor': 2.0, 'rope_type': 'linear', 'rope_theta': 500000.0}
    """
    given = config.get("rope_scaling") or config.get("rope_parameters") or {}
    found = {key: value for key, value in given.items() if key != "type"}
    found.setdefault("rope_type", given.get("type", "default"))
    if found.get("rope_theta") is None:
        found["rope_theta"] = config.get("rope_theta") or _THETA
    if found["rope_type"] == "llama3":
        lengths = (config.get(_ORIGINAL), found.get(_ORIGINAL), config.get("max_position_embeddings"))
        found[_ORIGINAL] = next((length for length in lengths if length is not None), None)
    return found


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What makes the positions others than are computed here."""
    for entry in ("rope_parameters", "rope_scaling"):
        if not isinstance(config.get(entry), Mapping | None):
            yield f"{entry} must be an object; received {config[entry]!r}"
            return
    found = parameters(config)
    kind = found["rope_type"]
    if kind not in TYPES:
        yield f"rope_type must be one of {', '.join(TYPES)}; received {kind!r}"
        return
    needed = (*TYPES[kind], "rope_theta", *((_ORIGINAL,) if kind == "llama3" else ()))
    for entry in needed:
        value = found.get(entry)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            yield f"{entry} of the rotary positions ({kind}) must be a positive number; received {value!r}"
            return
    if kind == "llama3" and found["low_freq_factor"] >= found["high_freq_factor"]:
        yield (
            "low_freq_factor must be less than high_freq_factor; received "
            f"{found['low_freq_factor']} and {found['high_freq_factor']}"
        )
    part = config.get("partial_rotary_factor", found.get("partial_rotary_factor"))
    if part not in (None, 1, 1.0):
        yield f"partial_rotary_factor must be 1, since whole heads are turned here; received {part!r}"
    unknown = sorted(found.keys() - _KNOWN - set(needed) - {_ORIGINAL})
    if unknown:
        yield f"rotary positions of type {kind} have no entry {unknown[0]}; received {found[unknown[0]]!r}"


def frequencies(config: Mapping[str, Any], width: int) -> np.ndarray:
    """Radians by which each pair of a head's scalars is turned from one position to the next, ``(width / 2,)``
    float32.

    ``default`` is theta^(-2i/width); ``linear`` divides it by a factor (Chen et al. 2023); ``llama3`` divides the low
    frequencies alone, with a smooth transition (Dubey et al. 2024).

    Args:
        config: of a model, without `problems`.
        width: of a head.
    """
    found = parameters(config)
    # Every step is rounded to float32, as in transformers: an angle is a frequency times a position.
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    powers = np.power(float(found["rope_theta"]), exponents.astype(np.float64)).astype(np.float32)
    plain = np.float32(1.0) / powers
    if found["rope_type"] == "linear":
        return plain / np.float32(found["factor"])
    return _llama3(plain, found) if found["rope_type"] == "llama3" else plain


def _llama3(plain: np.ndarray, found: Mapping[str, Any]) -> np.ndarray:
    names = ("factor", "low_freq_factor", "high_freq_factor", _ORIGINAL)
    factor, low, high, length = (np.float32(found[name]) for name in names)
    waves, one = np.float32(2 * math.pi) / plain, np.float32(1)
    scaled = np.where(waves > length / low, plain / factor, plain)
    share = (length / waves - low) / (high - low)
    between = (one - share) * scaled / factor + share * scaled
    return np.where((waves >= length / high) & (waves <= length / low), between, scaled)


def tables(turns: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines, each ``(positions, width)`` float32, of the angles in float32, as ``transformers`` has them;
    scalar i of a head and scalar i + width / 2 are a pair.

    Args:
        turns: `frequencies`, ``(width / 2,)``.
        positions: ``(positions,)``, integers.
    """
    angles = positions.astype(np.float32)[:, None] * turns[None]
    double = np.concatenate([angles, angles], 1).astype(np.float64)
    return np.cos(double).astype(np.float32), np.sin(double).astype(np.float32)
