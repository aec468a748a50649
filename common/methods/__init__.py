"""What is trained and how: methods (one module each, found by file name), target patterns, plans and PEFT's format."""

from common.members import Members, extended_path
from common.methods.method import Method, MethodOptions

__all__ = ["METHODS", "Method", "MethodOptions"]

__path__ = extended_path(__path__, __name__)
HELPERS = (
    "coverage",
    "loretta",
    "merge",
    "plan",
    "ranks",
    "starts",
    "steering",
    "targets",
    "trains",
    "unfreezing",
    "windows",
)  #: modules beside the members
METHODS: Members[Method] = Members("common.methods", Method, "adaptation.method", "_", "method")
