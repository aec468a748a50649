"""Rewritings of libcst nodes, made of small functions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import libcst as cst

NO_COMMA = cst.MaybeSentinel.DEFAULT

__all__ = ["NO_COMMA", "Rewriting", "argument", "as_function", "as_method", "bare", "code", "expression", "keep"]
__all__ += ["method", "only", "positional", "receiver", "renamed", "template"]

Rewriting = Callable[[Any], Any]


def expression(text: str, like: cst.BaseExpression | None = None) -> cst.BaseExpression:
    """The expression ``text``, in the parentheses of ``like``."""
    found = cst.parse_expression(text)
    if like is not None and like.lpar:
        found = found.with_changes(lpar=like.lpar, rpar=like.rpar)
    return found


def bare(node: cst.BaseExpression) -> cst.BaseExpression:
    """An expression without its parentheses, where it needs none as an argument."""
    if isinstance(node, cst.GeneratorExp | cst.Tuple | cst.NamedExpr | cst.Yield):
        return node
    return node.with_changes(lpar=[], rpar=[])


def keep(call: cst.Call, without: Collection[str], drop_places: Collection[int] = ()) -> list[cst.Arg]:
    """The arguments of a call without some keywords and places; the last one has no comma that it had not before."""
    given = [
        item
        for place, item in enumerate(call.args)
        if not (item.keyword and item.keyword.value in without) and (item.keyword or place not in drop_places)
    ]
    if given and len(given) < len(call.args):
        given[-1] = given[-1].with_changes(comma=call.args[-1].comma)
    return given


def renamed(name: str, without: Collection[str] = (), drop_places: Collection[int] = ()) -> Rewriting:
    """The same call of another function."""
    return lambda call: call.with_changes(func=expression(name), args=keep(call, without, drop_places))


def method(name: str, without: Collection[str] = ()) -> Rewriting:
    """The same call of another method."""
    return lambda call: call.with_changes(func=call.func.with_changes(attr=cst.Name(name)), args=keep(call, without))


def as_function(name: str, without: Collection[str] = ()) -> Rewriting:
    """``x.name(a)`` as ``function(x, a)``."""

    def rewrite(call: cst.Call) -> cst.Call:
        rest = keep(call, without)
        return call.with_changes(func=expression(name), args=_before(bare(_subject(call)), rest))

    return rewrite


def as_method(name: str, without: Collection[str] = ()) -> Rewriting:
    """``function(x, a)`` as ``x.name(a)``."""

    def rewrite(call: cst.Call) -> cst.Call:
        first, *rest = keep(call, without)
        simple = isinstance(first.value, cst.Name | cst.Attribute | cst.Call | cst.Subscript) or first.value.lpar
        receiver = first.value if simple else first.value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        return call.with_changes(func=cst.Attribute(receiver, cst.Name(name)), args=rest)

    return rewrite


def positional(name: str, keyword: str, without: Collection[str] = ()) -> Rewriting:
    """The same call of another function, to which the argument called ``keyword`` goes first, by its place."""

    def rewrite(call: cst.Call) -> cst.Call:
        args = keep(call, without)
        named = [item for item in args if item.keyword and item.keyword.value == keyword]
        rest = [item for item in args if item not in named]
        moved = [cst.Arg(item.value, comma=rest[0].comma if rest else NO_COMMA) for item in named]
        return call.with_changes(func=expression(name), args=[*moved, *rest])

    return rewrite


def _subject(call: cst.Call) -> cst.BaseExpression:
    """What a method is called on."""
    assert isinstance(call.func, cst.Attribute)
    return call.func.value


def receiver(call: cst.Call) -> cst.BaseExpression:
    """``x`` for ``x.name(...)``, in the parentheses of the call."""
    found = _subject(call)
    return found.with_changes(lpar=[*call.lpar, *found.lpar], rpar=[*found.rpar, *call.rpar])


def only(value: cst.BaseExpression) -> cst.Arg:
    """The only argument of a call."""
    return cst.Arg(bare(value))


def argument(call: cst.Call, place: int, keyword: str = "") -> cst.BaseExpression | None:
    """The argument at a place or with a keyword."""
    named = next((item.value for item in call.args if item.keyword and item.keyword.value == keyword), None)
    positional = [item for item in call.args if item.keyword is None]
    return named if named is not None else positional[place].value if place < len(positional) else None


def code(node: cst.CSTNode) -> str:
    """The text of a node."""
    return cst.Module([]).code_for_node(node)


def template(text: str) -> Rewriting:
    """An expression with ``{x}`` for the receiver and ``{0}``, ``{1}`` for the arguments of the call."""

    def rewrite(call: cst.Call) -> cst.BaseExpression:
        values = [code(bare(item.value)) for item in call.args]
        subject = code(call.func.value) if isinstance(call.func, cst.Attribute) else ""
        return expression(text.format(*values, x=subject), call)

    return rewrite


def _before(first: cst.BaseExpression, rest: list[cst.Arg]) -> list[cst.Arg]:
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")) if rest else cst.MaybeSentinel.DEFAULT
    return [cst.Arg(first, comma=comma), *rest]
