"""A package of one's own that is converted file by file: imports of it become those of the converted package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import InputError

__all__ = ["parse_renames", "renamed_imports"]


def parse_renames(given: Sequence[str]) -> dict[str, str]:
    """``OLD=NEW`` of the command line.

    Raises:
        InputError: one is not of this form, or a package is named twice.
    """
    found: dict[str, str] = {}
    for text in given:
        old, _, new = text.partition("=")
        if not (old.isidentifier() and new.isidentifier()) or old in found:
            raise InputError(
                f"--rename takes OLD=NEW, the names of two packages, each once; received {text!r}. For example: "
                "--rename networks=networks_ms"
            )
        found[old] = new
    return found


def renamed_imports(text: str, renames: Mapping[str, str]) -> str:
    """``text``, in which every import of a package, or of what is in it, is one of the package that it is renamed to.

    A name of the package that a plain ``import`` binds is renamed wherever it is used.

    Example:
        >>> renamed_imports("from ours.layers import Block\\n", {"ours": "ours_ms"})
        'from ours_ms.layers import Block\\n'
    """
    import libcst as cst

    class Renaming(cst.CSTTransformer):
        bound: set[str] = set()  #: packages under their own name

        def visit_Import(self, node: cst.Import) -> None:
            roots = (_root(item.name) for item in node.names if item.asname is None)
            self.bound |= {root.value for root in roots if root.value in renames}

        def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
            module = original_node.module
            if module is None or original_node.relative or _root(module).value not in renames:
                return original_node
            new = cst.Name(renames[_root(module).value])
            return original_node.with_changes(module=module.deep_replace(_root(module), new))

        def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
            names = [
                item.with_changes(
                    name=item.name.deep_replace(_root(item.name), cst.Name(renames[_root(item.name).value]))
                )
                if _root(item.name).value in renames
                else item
                for item in original_node.names
            ]
            return original_node.with_changes(names=names)

        def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
            return updated_node.with_changes(attr=original_node.attr)  # names of attributes are none of packages

        def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
            new = renames.get(original_node.value) if original_node.value in self.bound else None
            return updated_node if new is None else updated_node.with_changes(value=new)

    def _root(node: Any) -> cst.Name:
        while isinstance(node, cst.Attribute):
            node = node.value
        return node

    if not renames or not any(old in text for old in renames):
        return text
    return cst.parse_module(text).visit(Renaming()).code
