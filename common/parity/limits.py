"""What counts as agreement: one table, by the kind of case and by the part of it that a tensor is.
 Verdicts follow the double-benchmark method: the error of the test and that of the baseline, both against a float64
reference.

    pass      test error <= ratio * max(baseline error, floor), in its maximum and in its root mean square
    rounding  worse than that, but within the cap: explained by ``why``; or beyond the cap where the case itself is
              ill-conditioned: the baseline is at least half as far off, or the reference is, computed again with
              rounding at random (`draws`)
    fail      beyond the cap, and more than twice these errors
 Without a reference the difference of the two takes the place of both errors: pass within ratio * floor, rounding
within the cap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from common.api_mapping import tolerance
from common.errors import InputError

__all__ = ["EPSILON", "LIMITS", "Limit", "limit_of"]

#: Relative spacing of the numbers of a dtype.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


@dataclass(frozen=True)
class Limit:
    """Limits of one part of one kind of case, for float32; those of other dtypes are about in proportion to their
    spacing."""

    cap: float  #: largest error of the test
    why: str  #: what explains errors up to the cap
    scale: str = "tensor"  #: errors are relative to each ``element``, to the ``tensor``'s largest, or as a whole to its ``norm`` (then the RMS decides alone)
    ratio: float = 5.0  #: of the maximum; that of the RMS is ``ratio_rms``
    ratio_rms: float = 2.0
    floor: float = 2.4e-7  #: an error of the baseline below it counts as this: two spacings, so that a lucky baseline condemns nobody
    small: float = 0.0  #: magnitudes below it are taken for it

    def in_dtype(self, dtype: str) -> Limit:
        """The limits for tensors of ``dtype``. In float64 the baseline is its own reference, so that a few units in the
        last place are left for both."""
        factor = tolerance.DOUBLE if dtype == "float64" else EPSILON[dtype] / EPSILON["float32"]
        return replace(self, cap=min(self.cap * factor, 0.05) if self.cap else 0.0, floor=self.floor * factor)

    @property
    def exact(self) -> bool:
        """Whether only equal bits pass."""
        return self.cap == 0.0


def _of_mapping(limit: tolerance.Limit) -> Limit:
    """The mapping's own limit of a class of operators, with the ratios for single operators (10 and 2; 2 and 1.5 where
    sums decide)."""
    ratio, rms = (10.0, 2.0) if limit.scale == "element" else (4.0, 2.0)
    return Limit(limit.relative, limit.why, limit.scale, ratio, rms, small=limit.floor)


EXACT = Limit(0.0, "no arithmetic, only equal bits")
LIMITS: dict[tuple[str, str], Limit] = {
    **{(f"op {name}", "output"): _of_mapping(limit) for name, limit in tolerance.CLASSES.items()},
    **{(f"op {name}", "gradient"): _of_mapping(limit) for name, limit in tolerance.GRADIENT.items()},
    ("layer", "output"): Limit(2e-6, "two or three short products, summed in another order"),
    ("layer", "gradient"): Limit(4e-6, "products of products, summed in another order"),
    ("attention", "output"): Limit(
        2e-5, "products around an exponential, which MindSpore's CPU kernel has coarse by up to 4e-5 of an element"
    ),
    ("attention", "gradient"): Limit(4e-5, "products around the exponential's derivative"),
    ("model", "hidden"): Limit(
        1e-5, "rounding carried through every layer so far: about one spacing of float32 each", floor=1e-6
    ),
    ("model", "logits"): Limit(1e-5, "rounding carried through every layer", floor=1e-6),
    ("model", "loss"): Limit(5e-6, "a mean of the logits' errors", "element", floor=5e-7),
    ("model", "gradient"): Limit(1e-5, "rounding carried through every layer and back", "norm", floor=2e-6),
    ("training", "loss"): Limit(
        1e-3, "rounding that training amplifies from step to step", "element", ratio=10.0, ratio_rms=10.0, floor=5e-6
    ),
    ("training", "first"): Limit(
        1e-4,
        "losses of the first steps, before training has amplified much",
        "element",
        ratio=10.0,
        ratio_rms=10.0,
        floor=1e-6,
    ),
    ("training", "norm"): Limit(
        2e-2, "the gradient's norm follows the amplified parameters", "element", ratio=10.0, ratio_rms=10.0, floor=2e-5
    ),
    ("training", "parameter"): Limit(
        2e-4,
        "AdamW divides by the gradient's size, so that the rounding of tiny elements becomes a whole step",
        "norm",
        ratio=10.0,
        ratio_rms=10.0,
        floor=1e-5,
    ),
    ("training", "final"): Limit(
        5e-2,
        "parameters after all steps: drift, which the losses judge",
        "norm",
        ratio=10.0,
        ratio_rms=10.0,
        floor=1e-4,
    ),
}


def limit_of(kind: str, role: str, dtype: str) -> Limit:
    """The limits of a tensor: ``role`` is the first part of its name. Whole numbers and booleans must be equal."""
    if dtype not in EPSILON:
        return EXACT
    if (kind, role) not in LIMITS:
        raise InputError(
            f"A trace holds tensors that the table of limits knows, as {', '.join(sorted({f'{k}: {r}' for k, r in LIMITS}))}; "
            f"this one has {kind!r}: {role!r}. Record it with this version of twinlora."
        )
    return LIMITS[kind, role].in_dtype(dtype)
