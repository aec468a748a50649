"""Training steps: ``loss.backward()`` and ``optimizer.step()`` become the gradient of a function and a call."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from common.api_mapping.convert.kinds import LAYER, OPTIMIZER
from common.api_mapping.convert.plan import Loop, Plan
from common.api_mapping.scan.calls import optimizer_or_scheduler

__all__ = ["blocks", "function_text", "is_optimizer", "plan_loop"]

_CLIPPING = {
    "torch.nn.utils.clip_grad_norm_": "porting.clip_grad_norm",
    "torch.nn.utils.clip_grad_value_": "porting.clip_grad_value",
}


_SEVERAL = "several in a row: for each optimizer, ms.value_and_grad of a function that returns the sum of its losses"


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            found = getattr(node, field, None)
            if isinstance(found, list) and found and isinstance(found[0], ast.stmt):
                yield found


def is_optimizer(plan: Plan, node: ast.expr) -> bool:
    """Whether an object is an optimizer: by what it was assigned, or by its name."""
    kind = plan.kinds.of(node)
    by_name = kind is None and optimizer_or_scheduler(node) == "torch.optim.Optimizer"
    return kind == OPTIMIZER or by_name or "optim" in ast.unparse(node).rpartition(".")[2].lower()


def plan_loop(plan: Plan, block: Sequence[ast.stmt]) -> None:
    """Plan the training step in a block, if it has one of the usual form."""
    found = [place for place, statement in enumerate(block) if _called(statement, "backward") is not None]
    if len(found) != 1:
        for place in found:
            plan.todo(block[place], ".backward", _SEVERAL)
        return
    [backward] = found
    call = _called(block[backward], "backward")
    assert call is not None
    loss = call.func.value  # type: ignore[attr-defined]
    step = next((i for i in range(backward + 1, len(block)) if _called(block[i], "step") is not None), None)
    if not isinstance(loss, ast.Name) or call.args or call.keywords or step is None:
        return
    optimizer = _called(block[step], "step").func.value  # type: ignore[union-attr]
    if not is_optimizer(plan, optimizer):
        return
    inside = _inside(plan, block, backward, loss.id)
    if not inside:
        return
    later = tuple(i for i in range(inside[0], backward) if i not in inside and not _zeroes(block[i]))
    results = _results(plan, block, inside, backward, loss.id)
    text = ast.unparse(optimizer)
    plan.loops[plan.span(block[backward])] = Loop(inside, later, backward, loss.id, results, text, _unused(plan))
    plan.statements[plan.span(block[step])] = f"{text}(gradients)"
    plan.converted += 2
    for statement in block[backward + 1 : step]:
        _clip(plan, statement)


def _called(statement: ast.stmt, name: str) -> ast.Call | None:
    """The call of a statement that only calls the method ``name``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == name:
        return call
    return None


def _zeroes(statement: ast.stmt) -> bool:
    return _called(statement, "zero_grad") is not None


def _inside(plan: Plan, block: Sequence[ast.stmt], backward: int, loss: str) -> tuple[int, ...]:
    """The statements that compute the loss, from the first that calls a network."""
    needed = {loss}
    marked: list[int] = []
    for place in range(backward - 1, -1, -1):
        if _stored(block[place]) & needed:
            needed |= _loaded(block[place])
            marked.insert(0, place)
    start = next((place for place in marked if _calls_network(plan, block[place])), None)
    if start is None:
        return ()
    chosen = tuple(place for place in marked if place >= start)
    known: set[str] = set()
    stored = {name for place in chosen for name in _stored(block[place])}
    for place in chosen:  # a name that is assigned in a function is local to it from its beginning
        if (_loaded(block[place]) & stored) - known - _stored_before_use(block[place]):
            return ()
        known |= _stored(block[place])
    return chosen


def _stored_before_use(statement: ast.stmt) -> set[str]:
    """Of compound statements, names that are assigned in it: its parts come in order."""
    return _stored(statement) if not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign) else set()


def _stored(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def _loaded(node: ast.AST) -> set[str]:
    found = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        found.add(node.target.id)
    return found


def _calls_network(plan: Plan, statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and plan.kinds.of(node.func) == LAYER:
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = ast.unparse(node.func).rpartition(".")[2].lower()
            if any(word in name for word in ("model", "net")) or name in ("generator", "discriminator"):
                return True
    return False


def _results(plan: Plan, block: Sequence[ast.stmt], inside: Sequence[int], backward: int, loss: str) -> tuple[str, ...]:
    """Names assigned in the function that are read outside of it."""
    stored = [name for place in inside for name in sorted(_stored(block[place]))]
    outside = [statement for place, statement in enumerate(block) if place not in inside and place != backward]
    read = {name for statement in outside for name in _loaded(statement)}
    scope = plan.kinds.scope_of(block[backward])
    body = getattr(scope, "body", []) if not isinstance(scope, ast.Module) else plan.unit.tree.body
    elsewhere = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)]
    held = {id(node) for statement in block for node in ast.walk(statement)}
    last = block[backward].lineno
    read |= {
        node.id for node in elsewhere if isinstance(node.ctx, ast.Load) and id(node) not in held and node.lineno > last
    }
    return tuple(name for name in dict.fromkeys(stored) if name in read and name != loss)


def _unused(plan: Plan) -> str:
    """A name for the function."""
    text = "\n".join(plan.unit.lines)
    return next(name for name in ("compute_loss", "forward_pass", "loss_of_batch", "_compute_loss") if name not in text)


def _clip(plan: Plan, statement: ast.stmt) -> None:
    call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    name = plan.kinds.names.get(id(call.func), "") if isinstance(call, ast.Call) else ""
    if not isinstance(call, ast.Call) or name not in _CLIPPING or not isinstance(statement, ast.Expr):
        return
    written = plan.spelling.name(_CLIPPING[name])
    rest = ", ".join([*map(ast.unparse, call.args[1:]), *(ast.unparse(item) for item in call.keywords)])
    for inner in ast.walk(call):
        plan.dropped.add(id(inner))
    plan.calls[plan.span(call)] = lambda node: node
    plan.statements[plan.span(statement)] = f"gradients = {written}(gradients, {rest})"
    plan.converted += 1


def function_text(loop: Loop) -> tuple[str, str]:
    """The statement that returns from the function, and the one that takes its gradient, with ``{ms}``."""
    returned = ", ".join((loop.loss, *loop.results))
    given = f"{loop.function}, None, {loop.optimizer}.parameters"
    if loop.results:
        left, given = f"({returned}), gradients", f"{given}, has_aux=True"
    else:
        left = f"{loop.loss}, gradients"
    return f"return {returned}", f"{left} = {{ms}}.value_and_grad({given}, return_ids=True)()"
