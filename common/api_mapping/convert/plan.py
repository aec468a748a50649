"""What is to be changed where: a plan is made on Python's own syntax tree, and carried out on libcst's."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.api_mapping.convert.kinds import Kinds
from common.api_mapping.convert.spelling import Spelling
from common.api_mapping.scan.knowledge import Knowledge
from common.api_mapping.scan.sources import Unit

__all__ = ["MARK", "Plan", "Span", "Todo"]

MARK = "TODO(torch->mindspore)"

Span = tuple[int, int, int, int]  #: first line and column, last line and column behind the end; columns from 0


@dataclass(frozen=True)
class Todo:
    """A place where a person is needed."""

    line: int
    name: str  #: the torch name, or the construct
    text: str


@dataclass
class Loop:
    """A training step: statements that compute a loss, its gradient and the update, by their places in a block."""

    inside: tuple[int, ...]  #: computed in the function of which the gradient is taken
    later: tuple[int, ...]  #: moved behind the gradient
    backward: int
    loss: str
    results: tuple[str, ...]  #: other names that are used later
    optimizer: str
    function: str


@dataclass
class Plan:
    """The changes to one piece of code."""

    unit: Unit
    kinds: Kinds
    knowledge: Knowledge
    spelling: Spelling
    calls: dict[Span, Callable[[Any], Any]] = field(default_factory=dict)  #: call -> its rewriting
    names: dict[Span, str] = field(default_factory=dict)  #: name or attribute -> expression
    attributes: dict[Span, Callable[[Any], Any]] = field(default_factory=dict)  #: attribute -> its rewriting
    statements: dict[Span, Any] = field(default_factory=dict)  #: statement -> its rewriting, or None to leave it out
    decorators: set[Span] = field(default_factory=set)  #: decorators to leave out
    loops: dict[Span, Loop] = field(default_factory=dict)  #: by the statement ``loss.backward()``
    imports: dict[Span, list[str]] = field(default_factory=dict)  #: import of torch -> the lines instead
    starts: set[Span] = field(default_factory=set)  #: statements behind which a Cell goes into training mode
    dropped: set[int] = field(default_factory=set)  #: ids of nodes that are left out with an argument
    todos: list[Todo] = field(default_factory=list)
    notes: list[Todo] = field(default_factory=list)  #: converted, and worth knowing
    converted: int = 0

    def span(self, node: Any) -> Span:
        """Where ``node`` stands, with columns in characters."""
        unit = self.unit
        return (
            node.lineno,
            unit.column(node.lineno, node.col_offset) - 1,
            node.end_lineno,
            unit.column(node.end_lineno, node.end_col_offset) - 1,
        )

    def todo(self, node: Any, name: str, text: str) -> None:
        """Mark a place, once."""
        found = Todo(node.lineno, name, text)
        if found not in self.todos:
            self.todos.append(found)

    def note(self, node: Any, name: str, text: str) -> None:
        """Say something about a place that was converted."""
        found = Todo(node.lineno, name, text)
        if found not in self.notes:
            self.notes.append(found)

    def drop(self, node: ast.AST) -> None:
        """Note that a node and everything in it is left out."""
        self.dropped |= {id(inner) for inner in ast.walk(node)}
