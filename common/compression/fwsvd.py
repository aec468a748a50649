"""Fisher-weighted singular value decomposition (Hsu et al. 2022): the errors of a weight count by how much the loss
depends on its input features."""

from __future__ import annotations

import numpy as np

from common.compression.low_rank import LowRank
from common.compression.transform import Statistics
from common.errors import InputError
from common.models.modules import ModuleSpec

__all__ = ["MEMBER", "Fwsvd"]

_FLOOR = 1e-8  #: of the largest importance: a feature that no gradient has reached still counts this much


class Fwsvd(LowRank):
    """Factors W diag(d) = U S V^T into U S and V^T diag(1 / d), with d_i^2 = mean over o of F_oi, where F is the mean over
    examples of the squared gradient of W. Where W is an embedding, its rows are the features.

    The paper sums over o, which changes no factor. The mean makes errors of weights with different numbers of outputs
    comparable, which a budget needs: sum of F_oi E_oi^2 is what an error E costs, to second order.
    """

    name = "fwsvd"
    needs = "fisher"

    def scale(self, module: ModuleSpec, statistics: Statistics | None) -> np.ndarray | None:
        """d of a module.

        Raises:
            InputError: there is no Fisher information of it, or it is zero throughout.
        """
        fisher = (statistics or {}).get(module.path)
        if fisher is None:
            raise InputError(f"Fisher-weighted SVD needs the squared gradients of every target; none of {module.path}.")
        first = module.kind.transposed or module.kind.lookup
        importance = fisher.astype(np.float64).mean(axis=1 if first else 0)
        if not importance.any():
            raise InputError(
                f"The loss does not depend on the weight of {module.path}: its squared gradients are all zero. Exclude it."
            )
        return np.sqrt(np.maximum(importance, _FLOOR * importance.max()))


MEMBER = Fwsvd()
