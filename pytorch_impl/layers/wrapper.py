"""What every layer that wraps another one shares: the base layer, its parameters, switching off, merging."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.errors import InputError
from common.methods import Method

__all__ = ["Wrapper"]


class Wrapper(nn.Module):
    """Holds ``base_layer`` and the parameters of ``edit``, each as an attribute of its leaf name.

    Args:
        values: start values of the edit's parameters, by name.
    """

    method: Method  #: whose edit it carries out; given by `rewrite`

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__()
        self.base_layer = base_layer
        self.edit = edit
        self.enabled = True
        self._kept: dict[str, torch.Tensor] | None = None  # the base parameters as they were, while merged
        device = next(base_layer.parameters()).device
        for parameter in edit.parameters:
            array = torch.from_numpy(np.array(values[parameter.name], np.float32)).to(device)
            setattr(self, parameter.leaf, nn.Parameter(array))

    @property
    def merged(self) -> bool:
        """Whether the update is folded into the base weight."""
        return self._kept is not None

    @property
    def active(self) -> bool:
        """Whether the forward pass adds the update."""
        return self.enabled and not self.merged

    def arrays(self) -> dict[str, np.ndarray]:
        """The edit's parameters by name, float32."""
        return {p.name: getattr(self, p.leaf).detach().float().cpu().numpy() for p in self.edit.parameters}

    def merge(self) -> float:
        """Fold the update into the base weight, computed in float64 and rounded once; returns the relative rounding
        error.

        Raises:
            InputError: it is merged already, or the base layer computes its weight of other parameters.
        """
        if self.merged:
            raise InputError(
                f"{self.edit.path} is merged already; merging twice would add the update twice. Call unmerge first."
            )
        base = dict(self.base_layer.named_parameters(recurse=False))
        if "weight" not in base:
            raise InputError(
                f"{self.edit.path} computes its weight of other parameters, so that no update can be folded into it. Keep "
                "the adapter apart, or make the weight a plain one first (torch.nn.utils.parametrize)."
            )
        arrays = {leaf: parameter.detach().float().cpu().numpy() for leaf, parameter in base.items()}
        folded, error = self.method.fold(self.edit, arrays, self.arrays())
        self._kept = {leaf: base[leaf].detach().clone() for leaf in folded}
        with torch.no_grad():  # not through ``data``, past the counting of changes
            for leaf, array in folded.items():
                base[leaf].copy_(torch.from_numpy(array))
        return error

    def unmerge(self) -> None:
        """Put the kept copies of the base parameters back: exact, to the bit, however often it is done."""
        if self._kept is not None:
            with torch.no_grad():
                for leaf, kept in self._kept.items():
                    getattr(self.base_layer, leaf).copy_(kept)
            self._kept = None
