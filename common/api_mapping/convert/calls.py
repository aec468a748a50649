"""Calls of torch's functions, classes and optimizers: what is written instead."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from typing import Any

from common.api_mapping.convert import edits, structure
from common.api_mapping.convert.kinds import LAYER
from common.api_mapping.convert.plan import Plan
from common.api_mapping.scan.calls import Use
from common.api_mapping.scan.knowledge import VERIFIED, Entry
from common.api_mapping.scan.snippet import KEYWORDS, STATIC, left_out, untried

__all__ = ["plan_call", "ported", "verified"]

_GONE = {*KEYWORDS, "generator", "fused", "foreach", "capturable"} - {"out", "requires_grad", "generator"}
_SEEDS = ("torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all")
_WRAPPERS = ("torch.no_grad", "torch.inference_mode", "torch.enable_grad")  # handled where the block is


@cache
def offered(module: str) -> frozenset[str]:
    """The public names of a module of `mindspore_impl.porting`, read off the sources that they come from."""
    common = importlib.import_module(
        {"lr_scheduler": "common.porting.schedules", "data": "common.porting.loading"}[module]
    )
    return frozenset(common.__all__) | (frozenset({"TensorDataset"}) if module == "data" else frozenset())


def verified(entry: Entry) -> bool:
    """Whether a row was verified on this device."""
    return entry.row is not None and entry.verdict in VERIFIED and bool(entry.target)


def plan_call(plan: Plan, use: Use, name: str, entry: Entry) -> None:
    """Plan the rewriting of one call of a torch function, module or optimizer."""
    call: Any = use.node
    if name in _WRAPPERS:
        return
    special = _SPECIAL.get(name) or (_init if name.startswith("torch.nn.init.") else None)
    if special is not None:
        special(plan, call, name)
    elif verified(entry):
        _by_row(plan, use, name, entry)
    elif name in ("torch.empty", "torch.empty_like"):
        instead = plan.spelling.name("F." + name.removeprefix("torch.").replace("empty", "zeros"))
        _accept(plan, call, edits.positional(instead, "size", _dropped(plan, call)))
    elif instead := ported(plan, name):
        _accept(plan, call, edits.renamed(instead))
    elif name in structure.NAMES:
        _accept(plan, call, edits.renamed(plan.spelling.name(structure.NAMES[name]), _dropped(plan, call)))
    else:
        reason = entry.advice.text if entry.advice else entry.reason or "no verified counterpart"
        target = entry.advice.target if entry.advice else ""
        plan.todo(call, name, "; ".join(part for part in (target, reason) if part))


def ported(plan: Plan, name: str) -> str:
    """A name of a section that `mindspore_impl.porting` has; empty where it has none."""
    section, _, leaf = name.rpartition(".")
    module = structure.SECTIONS.get(section)
    return plan.spelling.name(f"{module}.{leaf}") if module and leaf in offered(module) else ""


def _accept(plan: Plan, call: ast.Call, rewriting: edits.Rewriting) -> None:
    plan.calls[plan.span(call)] = rewriting
    plan.converted += 1


def _dropped(plan: Plan, call: ast.Call) -> set[str]:
    """Keywords that say where a tensor lies, which are left out."""
    gone = {keyword.arg for keyword in call.keywords if keyword.arg in _GONE}
    for keyword in call.keywords:
        if keyword.arg in gone:
            plan.drop(keyword.value)
    return {name for name in gone if name}


def _by_row(plan: Plan, use: Use, name: str, entry: Entry) -> None:
    call: Any = use.node
    row = entry.row
    assert row is not None
    written = plan.spelling.function(entry)
    if not written and not entry.target.startswith("Tensor."):
        plan.todo(call, name, f"{entry.target} has no name that can be imported")
        return
    gone = {*left_out(use, row)} - {"out", "requires_grad"} | _dropped(plan, call)
    for keyword in call.keywords:
        if keyword.arg == "out":
            plan.todo(call, name, "no out=: assign the result")
            return
        if keyword.arg == "requires_grad" and not _false(keyword.value):
            plan.todo(call, name, "no requires_grad=: make it a mindspore.Parameter")
            return
    gone |= {"requires_grad"} & {str(keyword.arg) for keyword in call.keywords}
    if further := [item for item in untried(use, row) if item not in gone]:
        plan.note(call, name, f"no verified call has {', '.join(f'{item}=' for item in further)}")
    places = _inplace_places(plan, call, name, row.leaf)
    if row.kind == "optimizer":
        _optimizer(plan, call)
    if entry.target in STATIC:
        _accept(plan, call, edits.renamed(plan.spelling.name(f"ms.{entry.target}"), gone))
    elif entry.target.startswith("Tensor.") and row.kind == "function":
        if not call.args or isinstance(call.args[0], ast.Starred):
            plan.todo(call, name, f"write {entry.target} of the first argument")
            return
        _accept(plan, call, edits.as_method(entry.target.rpartition(".")[2], gone))
    else:
        _accept(plan, call, edits.renamed(written, gone, places))


def _inplace_places(plan: Plan, call: ast.Call, name: str, leaf: str) -> set[int]:
    """Where a module gets ``inplace`` without its keyword."""
    place = structure.INPLACE.get(leaf)
    if not name.startswith("torch.nn.") or place is None or len(call.args) <= place:
        return set()
    return {place} if isinstance(call.args[place], ast.Constant) else set()


def _optimizer(plan: Plan, call: ast.Call) -> None:
    """``model.parameters()`` of an optimizer are those that are trained."""
    for inner in ast.walk(call):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "parameters":
            plan.calls[plan.span(inner)] = edits.method("trainable_params")
            plan.kinds.names.setdefault(id(inner), "")


def _false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _init(plan: Plan, call: ast.Call, name: str) -> None:
    leaf = name.rpartition(".")[2]
    known = leaf if leaf in structure.INIT else f"{leaf}_"
    if known not in structure.INIT:
        plan.todo(call, name, "no such initialiser: set the values with Parameter.set_data")
        return
    written = plan.spelling.name(f"init.{known}")
    for inner in call.args:
        if isinstance(inner, ast.Attribute) and inner.attr == "data":
            plan.attributes[plan.span(inner)] = lambda node: node.value
    _accept(plan, call, edits.renamed(written, {"generator"}))


def _device(plan: Plan, call: ast.Call, name: str) -> None:
    plan.drop(call)
    _accept(plan, call, edits.template(f'{plan.spelling.name("ms.get_context")}("device_target")'))


def _available(plan: Plan, call: ast.Call, name: str) -> None:
    text = f'({plan.spelling.name("ms.get_context")}("device_target") != "CPU")'
    _accept(plan, call, edits.template(text))


def _seed(plan: Plan, call: ast.Call, name: str) -> None:
    _accept(plan, call, edits.renamed(plan.spelling.name("porting.manual_seed")))


def _sequential(plan: Plan, call: ast.Call, name: str) -> None:
    target = "ms.nn.SequentialCell" if call.args and not _has_add_module(plan) else "porting.Sequential"
    _accept(plan, call, edits.renamed(plan.spelling.name(target)))


def _has_add_module(plan: Plan) -> bool:
    return any("add_module" in line for line in plan.unit.lines)


def _finfo(plan: Plan, call: ast.Call, name: str) -> None:
    numpy, ms = plan.spelling.name(f"np.{name.rpartition('.')[2]}"), plan.spelling.name("ms.dtype_to_nptype")
    _accept(plan, call, edits.template(f"{numpy}({ms}({{0}}))"))


def _save(plan: Plan, call: ast.Call, name: str) -> None:
    first = call.args[0] if call.args else None
    own = isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute) and first.func.attr == "state_dict"
    if not own or plan.kinds.of(first.func.value) not in (LAYER, None):  # type: ignore[union-attr]
        plan.todo(call, name, "mindspore.save_checkpoint writes a network or a list of parameters")
        return

    def rewrite(node: Any) -> Any:
        model = node.args[0].value.func.value
        head = node.args[0].with_changes(value=model)
        function = edits.expression(plan.spelling.name("ms.save_checkpoint"))
        return node.with_changes(func=function, args=[head, *node.args[1:]])

    _accept(plan, call, rewrite)


def _clip(plan: Plan, call: ast.Call, name: str) -> None:
    if plan.span(call) not in plan.calls:  # which the training step around it has planned
        plan.todo(call, name, "clip the gradients between value_and_grad and the optimizer: porting.clip_grad_norm")


_SPECIAL = {
    "torch.device": _device,
    "torch.cuda.is_available": _available,
    "torch.nn.Sequential": _sequential,
    "torch.finfo": _finfo,
    "torch.iinfo": _finfo,
    "torch.save": _save,
    "torch.nn.utils.clip_grad_norm_": _clip,
    "torch.nn.utils.clip_grad_value_": _clip,
    **dict.fromkeys(_SEEDS, _seed),
}
