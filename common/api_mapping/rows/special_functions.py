"""Functions of `torch.special` that `torch` has under no other name, and those that it has under two."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided, uniform, values
from common.api_mapping.grids import INFINITE
from common.api_mapping.row import Case, Row, alias, case, forward_only

INF, NAN = float("inf"), float("nan")
WIDE = values(0.0, -0.0, 1e-30, 1e-6, -1e-6, 0.5, -0.5, 1.0, -2.0, 7.9, 8.1, -20.0, 50.0)
FINE = "computed in float64"
SINGLE = {"float64": "the kernel is accurate to float32 only, so the adapter refuses float64"}


def _real(low: float, high: float, *edges: float, gradient: bool = True, whole: bool = True) -> tuple[Case, ...]:
    """Calls with numbers in [low, high), with special ones, and with what is none."""
    some = case if gradient else forward_only
    inside = uniform(3, 4, low=low, high=high)
    tried = [
        some(inside),
        some(strided(inside)),
        some(uniform(3, 4, low=low, high=high, dtype="float64")),
        some(uniform(low=low, high=high)),
        some(values(*edges)),
        forward_only(INFINITE),
        forward_only(normal(0, 3)),
    ]
    if whole:
        tried += [forward_only(integers(3, 4, low=max(1, int(low)), high=4)), forward_only(boolean(3))]
    return tuple(tried)


def _row(name: str, cases: tuple[Case, ...], adaptation: str = FINE, tolerance: str = "transcendental", **rest) -> Row:
    leaf = name.rpartition(".")[2]
    shim = rest.pop("shim", leaf)
    return Row(f"torch.{name}", (f"shim.{shim}",), cases, tolerance, adaptation, **rest)


EVEN = _real(-20.0, 20.0, *WIDE.data)
STILL = _real(-20.0, 20.0, *WIDE.data, gradient=False)
ABOVE = _real(0.1, 20.0, 1e-6, 0.5, 1.0, 2.0, 8.0, 30.0, 0.0, -1.0, gradient=False)
_I0 = _row("special.i0", EVEN)
_ORDERS = (
    *(case(n, uniform(3, 4, low=0.2, high=5.0)) for n in (0, 1, 2, 4)),
    case(1, strided(uniform(3, 4, low=0.2, high=5.0))),
    case(1, uniform(3, 4, low=-3.9, high=-3.1)),
    case(2, uniform(3, 4, low=0.2, high=5.0, dtype="float64")),
    forward_only(1, integers(3, low=1, high=5)),
    forward_only(2, normal(0, 3)),
)
_POLYGAMMA = _row("special.polygamma", _ORDERS, refusals=(case(-1, normal(3)),))
_GAMMA = uniform(3, 4, low=0.2, high=6.0)
_HELD = uniform(3, 4, low=0.2, high=6.0, fixed=True)
INCOMPLETE = (
    case(_HELD, _GAMMA),
    case(uniform(3, 1, low=0.2, high=6.0, fixed=True), uniform(4, low=0.2, high=6.0)),
    case(uniform(3, low=0.5, high=30.0, fixed=True, dtype="float64"), uniform(3, low=0.5, high=30.0, dtype="float64")),
    forward_only(values(1.0, 2.0, 0.5), values(0.0, 1e-6, 100.0)),
    forward_only(normal(0, 3), normal(3)),
)
WHOLES = (case(integers(3), integers(3)),)
_LOWER, _UPPER = (_row(f"special.gamma{end}", INCOMPLETE, refusals=WHOLES, limits=SINGLE) for end in ("inc", "incc"))
_SEVERAL = _row(
    "special.multigammaln",
    (
        case(uniform(3, 4, low=2.0, high=8.0), 3),
        case(strided(uniform(3, 4, low=2.0, high=8.0)), p=1),
        forward_only(normal(0, 3), 2),
    ),
    "sums of lgamma",
    refusals=(case(uniform(3, low=2.0, high=8.0), 0),),
    tolerance="reduction",
)
ZETA = (
    case(uniform(3, 4, low=1.5, high=6.0, fixed=True), uniform(3, 4, low=0.3, high=5.0)),
    case(uniform(3, 1, low=1.5, high=6.0, fixed=True), uniform(4, low=0.3, high=5.0)),
    case(uniform(3, low=1.5, high=6.0, fixed=True, dtype="float64"), uniform(3, low=0.3, high=5.0, dtype="float64")),
    case(2.5, uniform(3, low=0.3, high=5.0)),
    forward_only(uniform(3, low=1.5, high=6.0), 2.0),
    forward_only(values(1.0, 2.0, 0.5), values(2.0, 1.0, 1.0)),
    forward_only(normal(0, 3), normal(3)),
)
XLOG = (
    case(normal(3, 4), uniform(3, 4, low=-0.9, high=5.0)),
    case(normal(3, 1), uniform(4, low=-0.9, high=5.0)),
    case(normal(3, 4), strided(uniform(3, 4, low=-0.9, high=5.0))),
    case(normal(3, dtype="float64"), uniform(3, low=-0.9, high=5.0, dtype="float64")),
    case(normal(3, 4), 0.5),
    case(2.5, uniform(3, low=-0.9, high=5.0)),
    case(values(1.0, 2.0), values(1e-7, -1e-7)),
    forward_only(values(0.0, 0.0, 0.0, 1.0, 1.0, 0.0), values(-1.0, INF, NAN, -1.0, -2.0, -2.0)),
    forward_only(integers(3), integers(3, low=0, high=5)),
    forward_only(normal(0, 3), normal(3)),
)
PLACES = values(0.0, 1e-30, 1e-6, 0.01, 0.5, 0.9, 0.99999, 1.0)


def _polynomial(name: str) -> Row:
    tried = tuple(forward_only(uniform(3, 4, low=-0.95, high=0.95), n) for n in (0, 1, 2, 5))
    others = (
        forward_only(normal(3, dtype="float64"), 3),
        forward_only(strided(normal(3, 4)), 3),
        forward_only(normal(0, 3), 2),
        forward_only(normal(3), -1),
    )
    return _row(f"special.{name}", (*tried, *others), "by its recurrence; n is a Python integer", "reduction")


POLYNOMIALS = """
    chebyshev_polynomial_t chebyshev_polynomial_u hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
""".split()  # noqa: SIM905

ROWS = (
    _I0,
    *(_row(f"special.{name}", EVEN) for name in ("i0e", "i1", "i1e")),
    *(_row(f"special.{name}", STILL) for name in ("modified_bessel_i0", "modified_bessel_i1")),
    *(
        _row(f"special.{name}", ABOVE)
        for name in (
            "modified_bessel_k0",
            "modified_bessel_k1",
            "scaled_modified_bessel_k0",
            "scaled_modified_bessel_k1",
        )
    ),
    *(_row(f"special.{name}", ABOVE, tolerance="reduction", limits=SINGLE) for name in ("bessel_y0", "bessel_y1")),
    *(_row(f"special.{name}", STILL, tolerance="reduction", limits=SINGLE) for name in ("bessel_j0", "bessel_j1")),
    _row("special.spherical_bessel_j0", STILL, tolerance="reduction"),
    _row("special.entr", _real(0.05, 5.0, 1e-30, 1e-6, 0.5, 1.0, 2.0), "0 at 0, minus infinity below, NaN stays"),
    _row("special.erfcx", _real(-3.0, 20.0, 0.0, 1e-6, -1.0, 9.9, 10.1, 100.0, 1e4)),
    _row("special.ndtr", _real(-5.0, 5.0, 0.0, 1e-6, -1.0, 3.0, -10.0)),
    # Where torch's float64 gradient, which is what is compared with, is right to 2e-14: at -30 it is to 2e-13 only. The
    # rest is compared with exact numbers in tests/mindspore/test_functional.py.
    _row("special.log_ndtr", _real(-10.0, 6.0, 0.0, 1e-6, -1.0, 1.0, -100.0)),
    _row("special.ndtri", (*_real(0.01, 0.99, 0.1, 0.5, 0.9, 1e-6, 1e-30, whole=False), forward_only(PLACES))),
    _row("special.xlog1py", XLOG, "0 where the first is 0, NaN of the second stays; accurate near 0"),
    _row("special.zeta", ZETA, "the gradient is that of the second; broadcast first"),
    _POLYGAMMA,
    alias(_POLYGAMMA, "torch.polygamma"),
    _LOWER,
    _UPPER,
    alias(_LOWER, "torch.igamma"),
    alias(_UPPER, "torch.igammac"),
    alias(_LOWER, "torch.Tensor.igamma"),
    alias(_UPPER, "torch.Tensor.igammac"),
    _SEVERAL,
    alias(_SEVERAL, "torch.mvlgamma"),
    alias(_SEVERAL, "torch.Tensor.mvlgamma"),
    alias(_I0, "torch.i0"),
    alias(_I0, "torch.Tensor.i0"),
    *map(_polynomial, POLYNOMIALS),
)
