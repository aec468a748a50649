"""Random tensors: distributions, shapes and dtypes are compared, since the generators differ."""

from __future__ import annotations

from common.api_mapping.arrays import DType, integers, normal, uniform, values
from common.api_mapping.row import Row, forward_only
from common.api_mapping.rows.pointwise import float_row, plain

FLOAT64, INT32 = DType("float64"), DType("int32")
SIZE = (200, 100)
WEIGHTS = values(0.1, 0.2, 0.3, 0.4, fixed=True)


def random_row(name: str, cases, adaptation: str = "", **rest) -> Row:
    """A row of which distributions are compared."""
    return (float_row if adaptation else plain)(name, cases, "exact", stochastic=True, adaptation=adaptation, **rest)


ROWS = (
    random_row(
        "rand", (forward_only(*SIZE), forward_only(SIZE), forward_only(20000, dtype=FLOAT64), forward_only(0, 3))
    ),
    random_row("randn", (forward_only(*SIZE), forward_only(SIZE), forward_only(20000, dtype=FLOAT64))),
    random_row("rand_like", (forward_only(normal(*SIZE)), forward_only(normal(*SIZE), dtype=FLOAT64))),
    random_row("randn_like", (forward_only(normal(*SIZE)), forward_only(normal(*SIZE), dtype=FLOAT64))),
    random_row(
        "randint",
        (forward_only(5, SIZE), forward_only(-3, 9, SIZE), forward_only(low=0, high=2, size=SIZE, dtype=INT32)),
        "one or two bounds; int64",
        refusals=(forward_only(3, 3, (2,)),),
    ),
    random_row(
        "randint_like", (forward_only(integers(*SIZE), 5), forward_only(normal(*SIZE), -3, 4)), "the dtype of the input"
    ),
    random_row("randperm", (forward_only(20000), forward_only(1))),
    random_row("bernoulli", (forward_only(uniform(*SIZE, low=0, high=1)), forward_only(normal(*SIZE), p=0.3))),
    random_row(
        "normal",
        (
            forward_only(1.0, 2.0, SIZE),
            forward_only(normal(*SIZE)),
            forward_only(normal(*SIZE), 0.5),
            forward_only(0.0, uniform(*SIZE, low=0.5, high=2)),
        ),
        "tensors or numbers; negative deviations are refused, in a graph they count as positive",
        refusals=(forward_only(normal(3), values(-1.0, 1.0, 1.0)), forward_only(1.0, -1.0, (2,))),
    ),
    random_row(
        "multinomial",
        (
            forward_only(WEIGHTS, 20000, replacement=True),
            forward_only(WEIGHTS, 1),
            forward_only(values(0.5, 0.5, 0.2, 0.8, shape=(2, 2), fixed=True), 5000, True),
            forward_only(WEIGHTS, 4),
        ),
        "without replacement by default; int64; weights of no distribution are refused, in a graph what is sampled means nothing",
        refusals=(
            forward_only(values(-1.0, 2.0), 1),
            forward_only(values(0.0, 0.0), 1),
            forward_only(values(float("nan"), 1.0), 1),
            forward_only(values(1.0, 1.0), 3),
            forward_only(integers(3, low=1), 1),
        ),
        legacy="ops.multinomial",
    ),
    random_row(
        "poisson",
        (forward_only(uniform(*SIZE, low=0.5, high=4)),),
        "one draw per rate; negative rates are refused, in a graph what is sampled means nothing",
        refusals=(forward_only(values(-1.0, 1.0)), forward_only(integers(3, low=1))),
        legacy="ops.poisson",
    ),
)
