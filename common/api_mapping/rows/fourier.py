"""Functions of `torch.fft`."""

from __future__ import annotations

from common.api_mapping.arrays import DType, integers, normal, strided
from common.api_mapping.row import Case, Row, case, forward_only

KERNEL = "sizes are cut and filled, whole numbers become float32, norms and axes as in torch"
REAL, COMPLEX = "float32", "complex64"
NORMS = ("ortho", "forward", "backward")


def _one(kind: str, *, real_only: bool = False) -> tuple[Case, ...]:
    """Calls along one axis."""
    x = normal(3, 8, dtype=kind)
    double = "complex128" if kind == COMPLEX else "float64"
    tried = [
        case(x),
        case(normal(7, dtype=kind)),
        case(x, 5),
        case(x, n=11),
        case(x, n=6, dim=0),
        case(strided(normal(4, 4, dtype=kind)), dim=-2),
        case(normal(2, 3, 5, dtype=double), dim=1),
        *(case(x, norm=norm) for norm in NORMS),
        forward_only(integers(3, 6)),
        case(normal(2, 100, dtype=kind)),
        case(normal(3, 2, dtype=kind)),
    ]
    if not real_only and kind == REAL:
        tried += [case(normal(3, 4, dtype=COMPLEX)), case(normal(5, dtype=COMPLEX), norm="ortho")]
    if not real_only and kind == COMPLEX:
        tried += [case(normal(3, 4))]
    return tuple(tried)


def _several(kind: str, two: bool, *, real_only: bool = False) -> tuple[Case, ...]:
    """Calls along several axes."""
    x = normal(2, 4, 6, dtype=kind)
    double = "complex128" if kind == COMPLEX else "float64"
    tried = [
        case(x),
        case(normal(3, 5, dtype=kind)),
        case(x, (3, 8)),
        case(x, s=(4, 5), dim=(0, 1)),
        case(normal(4, 3, dtype=double), norm="ortho"),
        case(x, norm="forward"),
        case(strided(normal(4, 4, dtype=kind)), dim=(1, 0)),
        forward_only(integers(3, 4)),
    ]
    if not two:
        tried += [case(x, dim=(0, 2, 1)), case(x, dim=1), case(x, s=(5,))]
    if not real_only and kind == REAL:
        tried.append(case(normal(3, 4, dtype=COMPLEX)))
    return tuple(tried)


def _row(name: str, cases: tuple[Case, ...], refusals: tuple[Case, ...] = ()) -> Row:
    return Row(f"torch.fft.{name}", (f"shim.fft.{name}",), cases, "reduction", KERNEL, refusals=refusals)


BAD = (
    case(normal(3, 4), norm="abc"),
    case(normal(3, 4), dim=2),
    case(normal(3, 4), n=0),
    case(normal(3, 4, dtype="float16")),
    case(normal(3, 0)),
)
BAD_REAL = (*BAD, case(normal(3, 4, dtype=COMPLEX)))
BAD_AXES = (case(normal(3, 4), norm="abc"), case(normal(3, 4), dim=(0, 0)), case(normal(3, 4), s=(2, 2, 2)))
SHIFTS = (
    case(normal(5)),
    case(normal(3, 4)),
    case(normal(3, 4), dim=1),
    case(normal(2, 3, 4), (0, -1)),
    case(strided(normal(4, 5))),
    case(normal(3, dtype=COMPLEX)),
    forward_only(integers(3, 5)),
    forward_only(normal(0, 3)),
)
STEPS = (
    forward_only(8),
    forward_only(7),
    forward_only(1),
    forward_only(6, 0.5),
    forward_only(5, d=2.0),
    forward_only(5, d=0.1, dtype=DType("float64")),
)


def _shift(name: str) -> Row:
    return Row(f"torch.fft.{name}", (f"shim.fft.{name}",), SHIFTS, "exact", "all axes or some; whole numbers stay")


def _steps(name: str) -> Row:
    return Row(f"torch.fft.{name}", (f"shim.fft.{name}",), STEPS, "rounding", "constants of a graph")


ROWS = (
    _row("fft", _one(REAL), BAD),
    _row("ifft", _one(COMPLEX), BAD),
    _row("rfft", _one(REAL, real_only=True), BAD_REAL),
    _row("irfft", _one(COMPLEX), BAD),
    _row("hfft", _one(COMPLEX), BAD),
    _row("ihfft", _one(REAL, real_only=True), BAD_REAL),
    _row("fft2", _several(REAL, True), BAD_AXES),
    _row("ifft2", _several(COMPLEX, True), BAD_AXES),
    _row("rfft2", _several(REAL, True, real_only=True), BAD_AXES),
    _row("irfft2", _several(COMPLEX, True), BAD_AXES),
    _row("hfft2", _several(COMPLEX, True), BAD_AXES),
    _row("ihfft2", _several(REAL, True, real_only=True), BAD_AXES),
    _row("fftn", _several(REAL, False), BAD_AXES),
    _row("ifftn", _several(COMPLEX, False), BAD_AXES),
    _row("rfftn", _several(REAL, False, real_only=True), BAD_AXES),
    _row("irfftn", _several(COMPLEX, False), BAD_AXES),
    _row("hfftn", _several(COMPLEX, False), BAD_AXES),
    _row("ihfftn", _several(REAL, False, real_only=True), BAD_AXES),
    _shift("fftshift"),
    _shift("ifftshift"),
    _steps("fftfreq"),
    _steps("rfftfreq"),
)
