"""Carries out a plan on the text of a file: comments and layout stay as they are."""

from __future__ import annotations

from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from common.api_mapping.convert import edits
from common.api_mapping.convert.loops import function_text
from common.api_mapping.convert.plan import MARK, Loop, Plan, Span

__all__ = ["rewrite"]

_STATEMENTS = (cst.SimpleStatementLine, cst.BaseCompoundStatement)


def rewrite(text: str, plan: Plan, imports: bool) -> str:
    """The converted text.

    Args:
        imports: whether this piece gets the imports of the file.
    """
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    changed = wrapper.visit(_Rewriter(plan))
    if imports:
        changed = _with_imports(changed, plan.spelling.lines())
    return changed.code


class _Rewriter(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan = plan
        self.todos: dict[int, list[str]] = {}
        for todo in plan.todos:
            self.todos.setdefault(todo.line, []).append(f"# {MARK}: {todo.name}: {todo.text}")
        self.results: dict[int, list[Any]] = {}  #: id of an original statement -> what stands in its place

    def _span(self, node: cst.CSTNode) -> Span:
        found = self.get_metadata(PositionProvider, node)
        return found.start.line, found.start.column, found.end.line, found.end.column

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        rewriting = self.plan.calls.get(self._span(original_node))
        return rewriting(updated_node) if rewriting else updated_node

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        span = self._span(original_node)
        if span in self.plan.names:
            return edits.expression(self.plan.names[span], updated_node)
        rewriting = self.plan.attributes.get(span)
        return rewriting(updated_node) if rewriting else updated_node

    def leave_Subscript(self, original_node: cst.Subscript, updated_node: cst.Subscript) -> cst.BaseExpression:
        rewriting = self.plan.attributes.get(self._span(original_node))
        return rewriting(updated_node) if rewriting else updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        name = self.plan.names.get(self._span(original_node))
        return edits.expression(name, updated_node) if name else updated_node

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        kept = [
            new
            for old, new in zip(original_node.decorators, updated_node.decorators, strict=True)
            if self._span(old.decorator) not in self.plan.decorators
        ]
        if len(kept) < len(updated_node.decorators):
            updated_node = updated_node.with_changes(decorators=kept)
        return updated_node

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock):
        return updated_node.with_changes(body=self._block(original_node.body, updated_node.body) or [_line("pass")])

    def leave_SimpleStatementSuite(self, original_node: cst.SimpleStatementSuite, updated_node: Any) -> Any:
        """``if x: y``, in lines of their own where y is changed."""
        if not any(self._planned(part) for part in original_node.body):
            return updated_node
        body = self._block([original_node], [updated_node]) or [_line("pass")]
        return cst.IndentedBlock(body)

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body = self._block(original_node.body, updated_node.body)
        left = [cst.EmptyLine(comment=cst.Comment(text)) for found in self.todos.values() for text in found]
        self.todos.clear()
        return updated_node.with_changes(body=body, header=[*updated_node.header, *left])

    def _planned(self, part: Any) -> bool:
        span = self._span(part)
        return span in self.plan.statements or span in self.plan.loops or span in self.plan.starts

    def _block(self, original: Any, updated: Any) -> list[Any]:
        """The statements of a block, each changed, left out, unwrapped or marked, and its training step."""
        pairs = [pair for old, new in zip(original, updated, strict=True) for pair in self._parts(old, new)]
        groups = [self._statement(old, new) for old, new in pairs]
        loop = next((found for old, _ in pairs if (found := self.plan.loops.get(self._span(old)))), None)
        marked = [self._marked(old, group) for (old, _), group in zip(pairs, groups, strict=True)]
        if loop is not None:
            marked = self._training_step(loop, marked)
        return [statement for group in marked for statement in group]

    def _parts(self, old: Any, new: Any) -> list[tuple[Any, Any]]:
        """``a; b`` as two statements, where one of them is changed."""
        if not isinstance(old, cst.SimpleStatementLine | cst.SimpleStatementSuite):
            return [(old, new)]
        if isinstance(old, cst.SimpleStatementLine) and (
            len(old.body) == 1 or not any(self._planned(part) for part in old.body)
        ):
            return [(old, new)]
        lines = [cst.SimpleStatementLine([part.with_changes(semicolon=edits.NO_COMMA)]) for part in new.body]
        if isinstance(new, cst.SimpleStatementLine):
            lines[0] = lines[0].with_changes(leading_lines=new.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=new.trailing_whitespace)
        return list(zip(old.body, lines, strict=True))

    def _statement(self, old: Any, new: Any) -> list[Any]:
        span = self._span(old)
        if _imports_torch(new):
            lines = [line for part in getattr(old, "body", ()) for line in self._instead(part)]
            return _replaced(new, lines) if self.plan.imports else _other_imports(new)
        if span in self.plan.statements:
            found = self.plan.statements[span]
            if found is None:
                return []
            if found == "unwrap":
                first, *rest = new.body.body
                return [first.with_changes(leading_lines=[*new.leading_lines, *first.leading_lines]), *rest]
            text = found(new) if callable(found) else found
            line = _line(text).with_changes(leading_lines=new.leading_lines)
            return [line.with_changes(trailing_whitespace=new.trailing_whitespace)]
        if _assigns_itself(new) and not _assigns_itself(old):
            return []
        if self._starts_cell(old):
            comment = cst.Comment("# as torch's modules start")
            space = cst.TrailingWhitespace(cst.SimpleWhitespace("  "), comment)
            return [new, _line("self.set_train()").with_changes(trailing_whitespace=space)]
        return [new]

    def _instead(self, part: Any) -> list[str]:
        """The lines for one import, or itself where it is none of torch."""
        found = self.plan.imports.get(self._span(part))
        return found if found is not None else [edits.code(part).rstrip("; ")]

    def _starts_cell(self, old: Any) -> bool:
        """Whether a statement is ``super().__init__()`` of a class that derives from nn.Module itself."""
        return self._span(old) in self.plan.starts

    def _marked(self, old: Any, group: list[Any]) -> list[Any]:
        """The marks of the lines of a statement, above it."""
        span = self._span(old)
        found = [text for line in range(span[0], span[2] + 1) for text in self.todos.pop(line, [])]
        if not found:
            return group
        lines = [cst.EmptyLine(comment=cst.Comment(text)) for text in found]
        if not group:
            group = [_line("pass")]
        first = group[0]
        return [first.with_changes(leading_lines=[*first.leading_lines, *lines]), *group[1:]]

    def _training_step(self, loop: Loop, groups: list[list[Any]]) -> list[list[Any]]:
        """The statements that compute the loss in a function of their own, and then its gradient."""
        ending, gradient = function_text(loop)
        body = [statement for place in loop.inside for statement in groups[place]]
        lead = body[0].leading_lines if body else []
        if body:
            body[0] = body[0].with_changes(leading_lines=[])
        function = cst.FunctionDef(
            cst.Name(loop.function), cst.Parameters(), cst.IndentedBlock([*body, _line(ending)]), leading_lines=lead
        )
        taken = _line(gradient.format(ms=self.plan.spelling.name("ms")))
        later = [statement for place in loop.later for statement in groups[place]]
        made: list[list[Any]] = []
        for place, group in enumerate(groups):
            if place == loop.inside[0]:
                made.append([function])
            elif place in loop.inside or place in loop.later:
                continue
            elif place == loop.backward:
                made.append([taken.with_changes(leading_lines=group[0].leading_lines), *later])
            else:
                made.append(group)
        return made


def _assigns_itself(node: Any) -> bool:
    """``x, y = x, y``, which is left of ``x, y = x.to(device), y.to(device)``."""
    part = node.body[0] if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1 else None
    if not isinstance(part, cst.Assign) or len(part.targets) != 1:
        return False
    return edits.code(part.targets[0].target) == edits.code(part.value)


def _line(text: str) -> cst.SimpleStatementLine:
    found = cst.parse_statement(text)
    assert isinstance(found, cst.SimpleStatementLine)
    return found


def _replaced(node: cst.SimpleStatementLine, lines: list[str]) -> list[Any]:
    """The lines in the place of a statement, with its comments."""
    made = [_line(text) for text in lines]
    made[0] = made[0].with_changes(leading_lines=node.leading_lines)
    made[-1] = made[-1].with_changes(trailing_whitespace=node.trailing_whitespace)
    return made


def _imports_torch(node: Any) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and any(_of_torch(part) for part in node.body)


def _of_torch(part: Any) -> bool:
    if isinstance(part, cst.ImportFrom):
        return part.module is not None and not part.relative and _is_torch(edits.code(part.module))
    return isinstance(part, cst.Import) and any(_is_torch(edits.code(item.name)) for item in part.names)


def _is_torch(name: str) -> bool:
    return name == "torch" or name.startswith("torch.")


def _other_imports(node: cst.SimpleStatementLine) -> list[Any]:
    """What a line imports besides torch; in the place of all of it stands a mark for `_with_imports`."""
    kept: list[Any] = []
    for part in node.body:
        if isinstance(part, cst.Import):
            names = [item for item in part.names if not _is_torch(edits.code(item.name))]
            if names:
                kept.append(part.with_changes(names=[*names[:-1], names[-1].with_changes(comma=edits.NO_COMMA)]))
        elif not _of_torch(part):
            kept.append(part)
    mark = _line(_PLACE).with_changes(leading_lines=node.leading_lines)
    return [mark, *([node.with_changes(body=kept, leading_lines=[])] if kept else [])]


_PLACE = "__imports_of_torch__"


def _is_place(node: Any) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and edits.code(node).strip().endswith(_PLACE)


def _with_imports(module: cst.Module, lines: list[str]) -> cst.Module:
    """The imports at the place of the first import of torch, or at the top."""
    if not lines and not any(map(_is_place, module.body)):
        return module.visit(_Cleaner())
    imports = [_line(text) for text in lines]
    body = list(module.body)
    place = next((i for i, node in enumerate(body) if _is_place(node)), None)
    if place is None:
        place = _top(body)
        body[place:place] = imports
    elif imports:
        imports[0] = imports[0].with_changes(leading_lines=body[place].leading_lines)
        body[place : place + 1] = imports
    return module.with_changes(body=body).visit(_Cleaner())


def _top(body: list[Any]) -> int:
    """Behind the docstring and the imports of __future__."""
    place = 0
    for node in body:
        text = edits.code(node).strip()
        if isinstance(node, cst.SimpleStatementLine) and (text.startswith(('"', "'")) or "__future__" in text):
            place += 1
        else:
            break
    return place


class _Cleaner(cst.CSTTransformer):
    """Takes out the places of further imports; their comments stay."""

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body, left = self._kept(updated_node.body)
        return updated_node.with_changes(body=body, footer=[*left, *updated_node.footer])

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock):
        body, left = self._kept(updated_node.body)
        return updated_node.with_changes(body=body or [_line("pass")], footer=[*left, *updated_node.footer])

    @staticmethod
    def _kept(body: Any) -> tuple[list[Any], list[Any]]:
        """The statements without the places, and the comments behind which no statement follows."""
        kept: list[Any] = []
        lead: list[Any] = []
        for node in body:
            if _is_place(node):
                lead += [line for line in node.leading_lines if line.comment is not None]
                continue
            kept.append(node.with_changes(leading_lines=[*lead, *node.leading_lines]) if lead else node)
            lead = []
        return kept, lead
