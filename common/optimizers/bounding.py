"""The bound of the last layer's rows (Hinton et al. 2012; Kim 2014, section 3.1): after every step, a row of the head's
output weight whose norm exceeds ``optimization.max_norm`` is shortened to it."""

from __future__ import annotations

from common.errors import InputError
from common.methods.plan import Plan
from common.models.specs import ModelSpec

__all__ = ["LEAST", "bounded"]

LEAST = 1e-7  #: added to the norm of a row that is shortened, as in ``torch.renorm``


def bounded(spec: ModelSpec, plan: Plan) -> str:
    """Name of the weight ``(outputs, width)`` whose rows are bounded.

    Raises:
        InputError: the head's output has no weight of its own that is trained.
    """
    if spec.layout is None:
        raise InputError(
            f"optimization.max_norm bounds the rows of a head that is described here; the head of a {spec.family} "
            "model is not. Set it to null, or choose another model.source."
        )
    name = f"{spec.layout.output}.weight"
    if name not in plan.shapes():
        raise InputError(
            f"optimization.max_norm bounds the rows of {name}, which adaptation.method: {plan.method} does not train. "
            "Set it to null, or train the head."
        )
    return name
