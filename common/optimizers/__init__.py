"""Optimizers: their settings, what they keep of every parameter, how weight decay acts. One module each, found by file
name; the rule that updates a parameter is in the module of the same name in each backend."""

from common.members import Members, extended_path
from common.optimizers.optimizer import Optimizer

__all__ = ["OPTIMIZERS", "Optimizer"]

__path__ = extended_path(__path__, __name__)
HELPERS = ("bounding",)  #: modules beside the members
OPTIMIZERS: Members[Optimizer] = Members("common.optimizers", Optimizer, "optimization.optimizer", "_", "optimizer")
