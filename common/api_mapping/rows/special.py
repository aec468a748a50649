"""Functions of `torch.special`, which are those of `torch` under other names."""

from __future__ import annotations

from common.api_mapping.row import Row, alias
from common.api_mapping.rows import activation, arithmetic, pointwise, reduction

NAMES = {
    "erf": "erf",
    "erfc": "erfc",
    "erfinv": "erfinv",
    "exp2": "exp2",
    "expit": "sigmoid",
    "expm1": "expm1",
    "gammaln": "lgamma",
    "digamma": "digamma",
    "psi": "digamma",
    "log1p": "log1p",
    "logit": "logit",
    "log_softmax": "log_softmax",
    "softmax": "softmax",
    "logsumexp": "logsumexp",
    "sinc": "sinc",
    "xlogy": "xlogy",
}


def _rows() -> tuple[Row, ...]:
    known = {row.name: row for source in (activation, arithmetic, pointwise, reduction) for row in source.ROWS}
    made = []
    for name, function in NAMES.items():
        row = known[f"torch.{function}"]
        cases = tuple(
            tried
            for tried in row.cases
            if not (name == "softmax" and len(tried.arguments) > 1 and not isinstance(tried.arguments[1], int))
        )
        own = () if row.targets == (row.shim,) else (f"mint.special.{name}",)
        made.append(alias(row, f"torch.special.{name}", targets=(*own, *row.targets), cases=cases))
    return tuple(made)


ROWS = _rows()
