"""Makes the plan for a file: every use of torch that the scanner finds, and what it does not look at."""

from __future__ import annotations

import ast
from typing import Any

from common.api_mapping.convert import edits, structure
from common.api_mapping.convert.calls import plan_call, ported, verified
from common.api_mapping.convert.kinds import LAYER, PLAIN, TENSOR, Kinds
from common.api_mapping.convert.loops import blocks, is_optimizer, plan_loop
from common.api_mapping.convert.methods import plan_layer_method, plan_tensor_method
from common.api_mapping.convert.plan import Plan
from common.api_mapping.convert.spelling import Spelling
from common.api_mapping.scan.calls import Use, uses
from common.api_mapping.scan.knowledge import Knowledge, canonical
from common.api_mapping.scan.sources import Source
from common.api_mapping.scan.structure import DTYPES

__all__ = ["plans"]

_NO_RECORDING = ("torch.no_grad", "torch.inference_mode", "torch.enable_grad")


def plans(source: Source, knowledge: Knowledge) -> list[Plan]:
    """A plan for every piece of a file; the cells of a notebook share their names and imports."""
    found = uses(source)
    names = {id(_function(use)): canonical(use.name, knowledge.rows)[0] for use in found if use.kind != "method"}
    kinds = Kinds([unit.tree for unit in source.units], names)
    spelling = Spelling(_taken(source))
    made = {id(unit): Plan(unit, kinds, knowledge, spelling) for unit in source.units}
    for plan in made.values():
        _before(plan)
    for use in found:
        plan = made[id(use.unit)]
        if id(use.node) not in plan.dropped or use.kind == "definition":
            _plan_use(plan, use)
    for plan in made.values():
        _beyond(plan)
    return list(made.values())


def _function(use: Use) -> Any:
    return use.node.func if isinstance(use.node, ast.Call) else use.node


def _taken(source: Source) -> set[str]:
    """Names that the file binds to something else than torch."""
    bound: set[str] = set()
    for unit in source.units:
        for node in ast.walk(unit.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or ""
                bound |= {
                    item.asname or item.name.partition(".")[0]
                    for item in node.names
                    if not (module or item.name).startswith("torch") and not (item.name == "numpy" and item.asname)
                }
    return bound


def _before(plan: Plan) -> None:
    """Training steps and blocks without recording, which decide over the calls inside them."""
    for block in blocks(plan.unit.tree):
        plan_loop(plan, block)
    for node in ast.walk(plan.unit.tree):
        if isinstance(node, ast.With):
            _with(plan, node)
        elif isinstance(node, ast.ClassDef):
            _start(plan, node)
        elif isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if plan.kinds.names.get(id(called)) in _NO_RECORDING:
                    plan.decorators.add(plan.span(decorator))
                    plan.drop(decorator)
                    plan.converted += 1


def _start(plan: Plan, node: ast.ClassDef) -> None:
    """Cells start in evaluation mode, torch's modules in training mode."""
    if "torch.nn.Module" not in {plan.kinds.names.get(id(base)) for base in node.bases}:
        return
    for statement in ast.walk(node):
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            plan.starts.add(plan.span(statement))


def _with(plan: Plan, node: ast.With) -> None:
    names = [_called_name(plan, item.context_expr) for item in node.items]
    if all(name in _NO_RECORDING for name in names):
        plan.statements[plan.span(node)] = "unwrap"
        for item in node.items:
            plan.drop(item.context_expr)
        plan.converted += len(names)
    elif any(name in _NO_RECORDING for name in names):
        plan.todo(node, "torch.no_grad", "leave it out: nothing is recorded")


def _called_name(plan: Plan, node: ast.expr) -> str:
    return plan.kinds.names.get(id(node.func), "") if isinstance(node, ast.Call) else ""


def _plan_use(plan: Plan, use: Use) -> None:
    name, rest = canonical(use.name, plan.knowledge.rows)
    entry = plan.knowledge.of(name)
    if use.guessed:
        plan.note(use.node, name, "the name comes from an import of everything (*)")
    if use.kind == "definition":
        line, column = use.start
        plan.names[line, column - 1, line, use.end[1] - 1] = "construct"
        plan.converted += 1
    elif use.kind == "method":
        if use.name.startswith("torch.optim.Optimizer."):
            return  # see _call, which knows what was assigned too
        if use.name.startswith("torch.optim.lr_scheduler."):
            plan.converted += 1  # the counterparts' states have the same methods
            return
        if use.name.startswith("torch.nn.Module."):
            plan_layer_method(plan, use)
        else:
            plan_tensor_method(plan, use, entry)
    elif rest:
        _attribute_of_class(plan, use, name, rest)
    elif use.kind == "call":
        if plan.span(use.node) not in plan.calls:
            plan_call(plan, use, name, entry)
    else:
        _plan_name(plan, use, name, entry)


def _attribute_of_class(plan: Plan, use: Use, name: str, rest: str) -> None:
    """``nn.Linear.forward``."""
    instead = {"forward": "construct", "__init__": "__init__"}.get(rest)
    written = plan.spelling.function(plan.knowledge.of(name)) or (
        plan.spelling.name(structure.NAMES[name]) if name in structure.NAMES else ""
    )
    if instead and written:
        plan.names[plan.span(_function(use))] = f"{written}.{instead}"
        plan.converted += 1
    else:
        plan.todo(use.node, f"{name}.{rest}", "a method of a torch class")


def _plan_name(plan: Plan, use: Use, name: str, entry: Any) -> None:
    leaf = name.removeprefix("torch.")
    written = ""
    if instead := ported(plan, name):
        written = instead
    elif leaf in DTYPES:
        written = plan.spelling.dtype(leaf)
    elif name in structure.NAMES:
        written = plan.spelling.name(structure.NAMES[name])
    elif verified(entry):
        written = plan.spelling.function(entry)
    elif leaf.endswith("Tensor"):
        written = plan.spelling.name("ms.Tensor")
    elif name.startswith("torch.nn.init."):
        written = plan.spelling.name(f"init.{name.rpartition('.')[2]}")
    elif leaf == "device":
        written = "str"
    if written:
        plan.names[plan.span(use.node)] = written
        plan.converted += 1
    else:
        reason = entry.advice.text if entry.advice else entry.reason or "no verified counterpart"
        plan.todo(use.node, name, reason)


def _beyond(plan: Plan) -> None:
    """What the scanner does not look at."""
    for node in ast.walk(plan.unit.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
            if any(item.name == "*" for item in node.names):
                plan.todo(node, f"from {node.module} import *", "import the names that are used")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            _call(plan, node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "map":
            _map(plan, node)
        elif isinstance(node, ast.Delete):
            _delete(plan, node)
        elif isinstance(node, ast.Attribute):
            _attribute(plan, node)
        elif isinstance(node, ast.Assign):
            _assignment(plan, node)
        elif isinstance(node, ast.AugAssign):
            _augmented(plan, node)


def _map(plan: Plan, node: ast.Call) -> None:
    """``map(lambda x: y, z)`` in a network as ``[y for x in z]``: graphs know no map of what refers to other names."""
    if len(node.args) != 2 or not isinstance(node.args[0], ast.Lambda) or not _in_network(plan, node):
        return
    given = node.args[0].args
    if len(given.args) == 1 and not given.defaults and not given.vararg and not given.kwarg:

        def rewrite(found: Any) -> Any:
            function, values = found.args[0].value, found.args[1].value
            name = edits.code(function.params.params[0].name)
            return edits.expression(f"[{edits.code(function.body)} for {name} in {edits.code(values)}]", found)

        plan.calls[plan.span(node)] = rewrite


def _delete(plan: Plan, node: ast.Delete) -> None:
    """``del x`` in a network goes: graphs do not know it, and it changes no value."""
    if all(isinstance(target, ast.Name) for target in node.targets) and _in_network(plan, node):
        plan.statements[plan.span(node)] = None


def _in_network(plan: Plan, node: ast.AST) -> bool:
    return plan.kinds.is_module(plan.kinds.enclosing_class(node))


def _call(plan: Plan, call: Any) -> None:
    name, receiver = call.func.attr, call.func.value
    if name == "parameters" and plan.span(call) in plan.calls:
        _first_parameter(plan, call)
    if name == "forward" and plan.span(call) not in plan.calls:
        if isinstance(receiver, ast.Call) and getattr(receiver.func, "id", "") == "super":
            plan.calls[plan.span(call)] = edits.method("construct")
        elif plan.kinds.of(receiver) == LAYER:
            plan.calls[plan.span(call)] = lambda node: node.with_changes(func=node.func.value)
        elif isinstance(receiver, ast.Name) and receiver.id == "self":
            plan.calls[plan.span(call)] = edits.method("construct")
        else:
            plan.todo(call, ".forward", "if this is a network, call it: net(x)")
            return
        plan.converted += 1
    elif name == "zero_grad" and id(call) not in plan.dropped and is_optimizer(plan, receiver):
        statement = plan.kinds.parent.get(id(call))
        if isinstance(statement, ast.Expr):
            plan.statements[plan.span(statement)] = None
            plan.converted += 1
    elif name == "step" and is_optimizer(plan, receiver):
        statement = plan.kinds.parent.get(id(call))
        if statement is None or plan.span(statement) not in plan.statements:
            plan.todo(call, ".step", "call the optimizer with the gradients by name: optimizer(gradients)")
    elif name in ("load_state_dict", "state_dict") and is_optimizer(plan, receiver):
        plan.todo(call, f"optimizer.{name}", "ms.save_checkpoint and ms.load_checkpoint of the optimizer, a Cell")


def _first_parameter(plan: Plan, call: ast.Call) -> None:
    """``next(net.parameters())``, of a list."""
    outer = plan.kinds.parent.get(id(call))
    if isinstance(outer, ast.Call) and getattr(outer.func, "id", "") == "next" and len(outer.args) == 1:
        plan.calls[plan.span(outer)] = lambda node: edits.expression(f"{edits.code(node.args[0].value)}[0]", node)
        if _in_network(plan, call):
            plan.note(
                call, ".parameters", "a graph cannot ask for parameters: where it is compiled, keep what is needed"
            )


def _attribute(plan: Plan, node: ast.Attribute) -> None:
    span = plan.span(node)
    if span in plan.attributes or id(node) in plan.dropped:
        return
    parent = plan.kinds.parent.get(id(node))
    called = isinstance(parent, ast.Call) and parent.func is node
    if node.attr in ("values", "indices") and not called and isinstance(node.ctx, ast.Load):
        if _gives_tuple(plan, node.value):
            place = 0 if node.attr == "values" else 1
            plan.attributes[span] = lambda found: edits.expression(f"{edits.code(found.value)}[{place}]", found)
            plan.converted += 1
        elif plan.kinds.of(node.value) == TENSOR:
            plan.todo(node, f".{node.attr}", "results are tuples: (values, indices)")
    elif node.attr == "data" and plan.kinds.of(node.value) == TENSOR:
        _data(plan, node, parent)
    elif node.attr == "grad" and plan.kinds.of(node.value) == TENSOR:
        plan.todo(node, ".grad", "parameters keep no gradient: use what value_and_grad returns")
    elif node.attr == "device" and isinstance(parent, ast.Call) and node in parent.args and _is_tensor(plan, node):
        plan.attributes[span] = lambda found: edits.expression("None")


def _is_tensor(plan: Plan, node: ast.Attribute) -> bool:
    return plan.kinds.of(node.value) == TENSOR


def _gives_tuple(plan: Plan, node: ast.expr) -> bool:
    """Whether an object is what ``x.max(dim)`` or ``torch.topk`` returned."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).rpartition(".")[2] in structure.TUPLES
    if isinstance(node, ast.Name):
        values = plan.kinds.bound[id(plan.kinds.scope_of(node))][node.id]
        return bool(values) and all(isinstance(value, ast.Call) and _gives_tuple(plan, value) for _, value in values)
    return False


def _data(plan: Plan, node: ast.Attribute, parent: Any) -> None:
    """Read, it is the value without its gradient; written, a person has to look."""
    if isinstance(parent, ast.Attribute):
        return  # a method of it, which was planned
    if isinstance(node.ctx, ast.Load) and not (
        isinstance(parent, ast.Subscript) and not isinstance(parent.ctx, ast.Load)
    ):
        stop = plan.spelling.name("ops.stop_gradient")
        plan.attributes[plan.span(node)] = lambda found: edits.expression(f"{stop}({edits.code(found.value)})", found)
        plan.converted += 1
    elif isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        assign = plan.spelling.name("ops.assign")
        target, value = ast.unparse(node.value), parent.value
        plan.statements[plan.span(parent)] = lambda found: (
            f"{assign}({target}, {edits.code(found.body[0].value)})" if value is not None else ""
        )
        plan.converted += 1
    else:
        plan.todo(node, ".data", "set the value of a Parameter with set_data or ops.assign")


def _assignment(plan: Plan, node: ast.Assign) -> None:
    """``device = x.device`` goes where nothing reads it any more."""
    target = node.targets[0]
    if len(node.targets) != 1 or not isinstance(target, ast.Name):
        return
    value = node.value
    if not isinstance(value, ast.Attribute) or value.attr != "device":
        return
    scope = plan.kinds.scope_of(node)
    body = plan.unit.tree if isinstance(scope, ast.Module) else scope
    read = [
        inner
        for inner in ast.walk(body)
        if isinstance(inner, ast.Name) and inner.id == target.id and isinstance(inner.ctx, ast.Load)
    ]
    if all(id(inner) in plan.dropped for inner in read):
        plan.statements[plan.span(node)] = None


def _augmented(plan: Plan, node: ast.AugAssign) -> None:
    """``x += y`` as ``x = x + y``: compiled, MindSpore changes other names of x as well, and in PyNative it does not."""
    if not isinstance(node.target, ast.Name) or plan.span(node) in plan.statements:
        return
    scope = plan.kinds.scope_of(node)
    values = [value for _, value in plan.kinds.bound[id(scope)][node.target.id] if value is not node.value]
    kinds = {plan.kinds.of(value) for value in values if value.lineno <= node.lineno}
    if TENSOR not in kinds and plan.kinds.of(node.value) != TENSOR:
        return
    view = next((value for value in values if _is_view(plan, value) and _read_later(plan, value, node)), None)
    if view is not None:
        plan.todo(node, f"{node.target.id} += ...", f"a new tensor here; in torch it also changes {ast.unparse(view)}")
    name = node.target.id
    plan.statements[plan.span(node)] = lambda found: _spelled_out(name, found.body[0])


def _spelled_out(name: str, found: Any) -> str:
    operator = edits.code(found.operator).strip().removesuffix("=")
    value = found.value
    tight = operator in "+-" and type(getattr(value, "operator", None)).__name__ in ("Multiply", "Divide", "Power")
    simple = not type(value).__name__.endswith(("Operation", "Comparison", "IfExp", "Lambda")) or value.lpar or tight
    text = edits.code(value)
    return f"{name} = {name} {operator} {text if simple else f'({text})'}"


def _read_later(plan: Plan, view: ast.expr, node: ast.AST) -> bool:
    """Whether the tensor behind a view is read after ``node``: always for what belongs to an object."""
    root: Any = view
    while not isinstance(root, ast.Name):
        root = root.func if isinstance(root, ast.Call) else getattr(root, "value", None)
        if root is None:
            return True
    if root.id == "self":
        return True
    scope = plan.kinds.scope_of(node)
    body = plan.unit.tree if isinstance(scope, ast.Module) else scope
    loads = [x for x in ast.walk(body) if isinstance(x, ast.Name) and x.id == root.id and isinstance(x.ctx, ast.Load)]
    return any(load.lineno > node.lineno for load in loads)  # type: ignore[attr-defined]


def _is_view(plan: Plan, node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return plan.kinds.of(node) == TENSOR
    if isinstance(node, ast.Subscript):
        return plan.kinds.of(node.value) == TENSOR and not any(
            plan.kinds.of(part) == TENSOR for part in ast.walk(node.slice) if isinstance(part, ast.expr)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        views = ("view", "transpose", "permute", "unsqueeze", "squeeze", "t", "narrow", "select", "detach")
        return node.func.attr in views and plan.kinds.of(node.func.value) not in (PLAIN, LAYER)
    return False
