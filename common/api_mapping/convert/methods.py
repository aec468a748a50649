"""Methods of tensors, layers and optimizers: what is written instead."""

from __future__ import annotations

import ast
from typing import Any

from common.api_mapping.convert import edits, structure
from common.api_mapping.convert.calls import verified
from common.api_mapping.convert.kinds import LAYER, OPTIMIZER, PLAIN, SHARED, TENSOR
from common.api_mapping.convert.plan import Plan
from common.api_mapping.scan.calls import Use
from common.api_mapping.scan.inplace import refused
from common.api_mapping.scan.knowledge import Entry
from common.api_mapping.scan.snippet import KEYWORDS
from common.api_mapping.scan.structure import DTYPES

__all__ = ["plan_layer_method", "plan_tensor_method"]

_DEVICES = ("device", "cuda", "cpu", "rank", "gpu")
_UNCHANGED = ("float", "half", "long", "int", "bool", "double", "item", "tolist", "all", "any")


def plan_tensor_method(plan: Plan, use: Use, entry: Entry) -> None:
    """Plan the rewriting of ``x.name(...)``, where x is or may be a tensor."""
    call: Any = use.node
    name, kind = call.func.attr, plan.kinds.of(call.func.value)
    span = plan.span(call)
    if span in plan.calls:
        return
    if kind in (PLAIN, OPTIMIZER) and name not in ("to",):
        return
    if name in structure.DROPPED_METHODS:
        _drop(plan, call)
    elif name == "to":
        _to(plan, call, kind)
    elif kind == LAYER:
        if name in ("half", "float", "double"):
            _accept(plan, call, edits.template(f"{{x}}.to_float({plan.spelling.dtype(name)})"))
    elif name in structure.DATA_INIT and _data(call.func.value):
        _data_init(plan, call, name)
    elif name == "copy_" and _data(call.func.value):
        _accept(plan, call, edits.template(f"{plan.spelling.name('ops.assign')}({_plain(call)}, {{0}})"))
    elif name == "size":
        _size(plan, call)
    elif name == "numpy":
        _accept(plan, call, edits.method("asnumpy"))
    elif name == "backward":
        _backward(plan, call)
    elif name == "requires_grad_":
        plan.todo(call, f".{name}", "set requires_grad of the Parameter")
    elif kind is None and name in SHARED and name not in _UNCHANGED:
        _unsure(plan, call, name, entry)
    else:
        _by_row(plan, use, name, entry)


def _drop(plan: Plan, call: ast.Call) -> None:
    """``x.cuda()`` is x; as a statement of its own it goes."""
    statement = plan.kinds.parent.get(id(call))
    if isinstance(statement, ast.Expr):
        plan.statements[plan.span(statement)] = None
        plan.converted += 1
    else:
        _accept(plan, call, edits.receiver)


def _accept(plan: Plan, call: ast.Call, rewriting: edits.Rewriting) -> None:
    plan.calls[plan.span(call)] = rewriting
    plan.converted += 1


def _unsure(plan: Plan, call: ast.Call, name: str, entry: Entry) -> None:
    if verified(entry) and not entry.target.startswith("Tensor."):
        plan.todo(call, f".{name}", f"if this is a tensor, write {plan.spelling.function(entry) or entry.target}(...)")


def _by_row(plan: Plan, use: Use, name: str, entry: Entry) -> None:
    call: Any = use.node
    row = entry.row
    if row is not None and row.in_place and (instead := refused(call)):
        plan.todo(call, f".{name}", instead)
        return
    if not verified(entry):
        if name.endswith("_") and not name.endswith("__") and _assigned_back(plan, call, name):
            return
        reason = entry.advice.text if entry.advice else entry.reason or "no verified counterpart"
        plan.todo(call, f".{name}", reason)
        return
    assert row is not None
    gone = {str(item.arg) for item in call.keywords if item.arg in KEYWORDS and item.arg != "out"}
    for item in call.keywords:
        if item.arg in gone:
            plan.drop(item.value)
    if entry.target.startswith("Tensor."):
        _accept(plan, call, edits.method(entry.target.rpartition(".")[2], gone))
    elif written := plan.spelling.function(entry):
        _accept(plan, call, edits.as_function(written, gone))
    else:
        plan.todo(call, f".{name}", f"{entry.target} has no name that can be imported")


def _assigned_back(plan: Plan, call: ast.Call, name: str) -> bool:
    """``x.floor_()`` as ``x = floor(x)``, where x is a name for what was just computed."""
    subject, statement = call.func.value, plan.kinds.parent.get(id(call))  # type: ignore[attr-defined]
    entry = plan.knowledge.of(f"torch.Tensor.{name.rstrip('_')}")
    if not isinstance(subject, ast.Name) or not isinstance(statement, ast.Expr) or not verified(entry):
        return False
    values = plan.kinds.bound[id(plan.kinds.scope_of(call))][subject.id]
    if not values or not all(isinstance(value, ast.BinOp) for _, value in values):
        return False
    target = entry.target
    text = (
        f"{subject.id} = {subject.id}.{target.rpartition('.')[2]}"
        if target.startswith("Tensor.")
        else f"{subject.id} = {plan.spelling.function(entry)}"
    )
    first = "" if target.startswith("Tensor.") else subject.id
    arguments = ", ".join(part for part in (first, *(ast.unparse(item) for item in call.args)) if part)
    plan.statements[plan.span(statement)] = f"{text}({arguments})"
    plan.converted += 1
    return True


def _data(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "data"


def _plain(call: ast.Call) -> str:
    return ast.unparse(call.func.value.value)  # type: ignore[attr-defined]


def _data_init(plan: Plan, call: ast.Call, name: str) -> None:
    written = plan.spelling.name(f"init.{structure.DATA_INIT[name]}")

    def rewrite(node: Any) -> Any:
        inner = node.func.value
        inner = inner.value if getattr(getattr(inner, "attr", None), "value", "") == "data" else inner
        subject = node.with_changes(func=node.func.with_changes(value=inner))
        return edits.as_function(written)(subject)

    plan.attributes[plan.span(call.func.value)] = lambda node: node.value  # type: ignore[attr-defined]
    _accept(plan, call, rewrite)


def _size(plan: Plan, call: ast.Call) -> None:
    given = [*call.args, *(item.value for item in call.keywords)]
    _accept(plan, call, edits.template("{x}.shape[{0}]" if given else "{x}.shape"))


def _to(plan: Plan, call: ast.Call, kind: str | None) -> None:
    """``to(device)`` goes, ``to(dtype)`` stays."""
    given = [*call.args, *(item.value for item in call.keywords if item.arg not in ("non_blocking", "copy"))]
    dtypes = [item for item in given if _is_dtype(plan, item)]
    devices = [item for item in given if item not in dtypes and _is_device(item)]
    for item in [*devices, *(item.value for item in call.keywords if item.arg in ("non_blocking", "copy"))]:
        plan.drop(item)
    if dtypes and len(dtypes) + len(devices) == len(given):
        if kind == LAYER:
            plan.todo(call, ".to", "to_float(dtype) converts a network")
            return

        def rewrite(node: Any) -> Any:
            index = given.index(dtypes[0])
            kept = [item for item in node.args if not item.keyword or item.keyword.value in ("dtype", "device")]
            return node.with_changes(args=[edits.only(kept[index].value)])

        _accept(plan, call, rewrite)
    elif given and len(devices) == len(given):
        _drop(plan, call)
    elif len(given) == 1 and plan.kinds.of(given[0]) == TENSOR and not isinstance(given[0], ast.Name):
        _accept(plan, call, edits.template("{x}.to({0}.dtype)"))
    elif kind == TENSOR or kind is None:
        plan.todo(call, ".to", "leave a device out; to(dtype) stays")


def _is_device(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int) or str(node.value).partition(":")[0] in ("cuda", "cpu", "mps", "xpu", "npu")
    return any(word in ast.unparse(node).lower() for word in _DEVICES)


def _is_dtype(plan: Plan, node: ast.expr) -> bool:
    name = plan.kinds.names.get(id(node), "")
    if name.startswith("torch.") and name.removeprefix("torch.") in DTYPES:
        return True
    return "dtype" in ast.unparse(node).rpartition(".")[2]


def _backward(plan: Plan, call: ast.Call) -> None:
    statement = plan.kinds.parent.get(id(call))
    if isinstance(statement, ast.Expr) and plan.span(statement) in plan.loops:
        return
    if any(todo.name == ".backward" and todo.line == call.lineno for todo in plan.todos):
        return
    plan.todo(
        call, ".backward", "take the gradients of a function that returns the loss: ms.value_and_grad, then optimizer"
    )


def plan_layer_method(plan: Plan, use: Use) -> None:
    """Plan the rewriting of a method of a layer, such as ``model.train()``."""
    call: Any = use.node
    name = call.func.attr
    if plan.span(call) in plan.calls or plan.kinds.of(call.func.value) == OPTIMIZER:
        return
    if name in structure.DROPPED_METHODS:
        _drop(plan, call)
    elif name == "to":
        _to(plan, call, LAYER)
    elif name in ("half", "float", "double", "bfloat16"):
        _accept(plan, call, edits.template(f"{{x}}.to_float({plan.spelling.dtype(name)})"))
    elif name == "requires_grad_":
        plan.todo(call, f".{name}", "set requires_grad of every Parameter")
    elif name in ("train", "eval"):
        _accept(plan, call, edits.template("{x}.set_train(False)") if name == "eval" else edits.method("set_train", ()))
    elif name == "parameters":
        _accept(plan, call, edits.method("trainable_params" if not _frozen(plan) else "get_parameters"))
    elif name == "modules":
        _accept(plan, call, edits.template("(cell for _, cell in {x}.cells_and_names())"))
    elif name == "named_children":
        _accept(plan, call, edits.template("{x}.name_cells().items()"))
    elif name in ("add_module", "register_module", "register_parameter"):
        _accept(plan, call, lambda node: _set_attribute(node))
    elif name == "zero_grad":
        _zero_grad(plan, call)
    elif name in ("load_state_dict", "state_dict"):
        _state(plan, call, name)
    elif name in structure.LAYER_METHODS:
        _accept(plan, call, edits.method(structure.LAYER_METHODS[name]))
    else:
        plan.todo(call, f".{name}", "no such method of a Cell")


def _frozen(plan: Plan) -> bool:
    return any("requires_grad" in line for line in plan.unit.lines)


def _set_attribute(node: Any) -> Any:
    return edits.as_function("setattr")(node)


def _zero_grad(plan: Plan, call: ast.Call) -> None:
    statement = plan.kinds.parent.get(id(call))
    if isinstance(statement, ast.Expr):
        plan.statements[plan.span(statement)] = None
        plan.converted += 1
    else:
        plan.todo(call, ".zero_grad", "leave it out: gradients do not add up from step to step")


def _state(plan: Plan, call: ast.Call, name: str) -> None:
    loaded = call.args[0] if call.args else None
    if name == "load_state_dict" and isinstance(loaded, ast.Call) and _loads(plan, loaded):
        written, path = plan.spelling.name("ms.load_checkpoint"), ast.unparse(loaded.args[0])
        plan.drop(loaded)
        _accept(plan, call, edits.template(f"{written}({path}, {{x}})"))
        return
    _accept(plan, call, edits.method(name))


def _loads(plan: Plan, call: ast.Call) -> bool:
    return plan.kinds.names.get(id(call.func)) == "torch.load" and bool(call.args)
