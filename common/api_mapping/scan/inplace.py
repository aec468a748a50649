"""Methods that change their tensor, called on a view of a part of another: MindSpore's kernels do not write through."""

from __future__ import annotations

import ast

__all__ = ["refused"]

#: Methods and attributes that give a view of a part, or of all in another order.
_PARTS = {
    *("T", "mT", "H", "mH", "t", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis", "chunk"),
    *("split", "tensor_split", "hsplit", "vsplit", "dsplit", "unbind", "narrow", "select", "expand", "expand_as"),
    *("broadcast_to", "diagonal", "unfold", "as_strided"),
}
#: Those that give a view of the whole in its own order; what they are called on counts.
_WHOLES = {
    *("data", "view", "view_as", "reshape", "flatten", "ravel", "squeeze", "unsqueeze", "detach", "contiguous"),
    "unflatten",
}
_ASSIGNED = {"zero_": "0", "fill_": "value", "copy_": "value"}


def refused(node: ast.AST) -> str:
    """What to write instead of ``x[0].fill_(value)``; empty where the tensor is not seen to be such a view."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    part = _part(node.func.value)
    if part is None:
        return ""
    name = node.func.attr
    value = _ASSIGNED.get(name, f"the result of {name.rstrip('_')}()")
    if isinstance(part, ast.Subscript):
        return f"raises an error: a view of a part is not written through; assign: {ast.unparse(part)} = {value}"
    return "raises an error: a view of a part, or in another order, is not written through; assign to the tensor itself"


def _part(node: ast.expr) -> ast.expr | None:
    """The part in a chain of views: ``x[0]`` in ``x[0].view(-1)``."""
    while True:
        if isinstance(node, ast.Subscript):
            inner = _called(node.value)
            return node.value if inner in _PARTS else node
        name = _called(node)
        if name in _PARTS:
            return node
        link = node.func if isinstance(node, ast.Call) else node
        if name not in _WHOLES or not isinstance(link, ast.Attribute):
            return None
        node = link.value


def _called(node: ast.expr) -> str:
    """Name of a method or attribute."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else ""
