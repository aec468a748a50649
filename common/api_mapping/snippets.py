"""A row as two short programs, one for each framework, that print the same: made from one of its cases, with numbers
written out."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from common.api_mapping.arrays import Array, DType, Host, draw
from common.api_mapping.names import named
from common.api_mapping.row import Case, Row, arrays_of
from common.resources import package_folder

__all__ = ["adapter_module", "snippets"]

WRITTEN = 48  #: tensors of more elements are computed instead of written out
PARAMETRIC = re.compile(
    "Linear|Embedding|Norm|Conv|LSTM|GRU|RNN|Attention|Transformer|PReLU", re.IGNORECASE
)  #: modules whose parameters both snippets fill alike
LETTERS = "xyzuvwabcdefghijklmnopqrst"


def snippets(row: Row, target: str | None) -> tuple[str, str | None]:
    """(for torch, for MindSpore) of ``row``, the second None without a target."""
    case = _example(row)
    return _torch(row, case), _mindspore(row, case, target) if target else None


def adapter_module(target: str) -> str:
    """Module that holds an adapter, ``mindspore_impl.shims.activation`` for ``shim.gelu``, read off the sources.

    Raises:
        LookupError: no module does.
    """
    section, _, name = target.removeprefix("shim.").rpartition(".")
    if section:
        return f"mindspore_impl.shims.{section}"
    file = _adapters().get(name)
    if file is None:
        raise LookupError(f"no module of mindspore_impl.shims has {name}")
    return f"mindspore_impl.shims.{file}"


@cache
def _adapters() -> dict[str, str]:
    """Modules of mindspore_impl.shims by the names in their ``__all__``; the first in alphabetical order counts."""
    found: dict[str, str] = {}
    for file in sorted((package_folder("mindspore_impl") / "shims").glob("*.py")):
        # Only the list is parsed: all of the sources together take a hundred times as long.
        for listed in re.findall(r"^__all__ = (\[[^\]]*\])", file.read_text(encoding="utf-8"), re.MULTILINE):
            for name in ast.literal_eval(listed):
                found.setdefault(name, file.stem)
    return found


def _example(row: Row) -> Case:
    """The first case that can be written out and runs on both sides, else the first."""
    usable = [
        case for case in row.cases if row.limit(case) is None and not (row.kind == "optimizer" and case.arguments)
    ] or list(row.cases)
    sizes = {
        id(case): [math.prod(array.shape) for array in (*arrays_of(case), *arrays_of(case.setup))] for case in usable
    }
    small = [case for case in usable if all(0 < size <= WRITTEN for size in sizes[id(case)])]
    return next(iter(small or usable))


class _Writer:
    """Python text of a case's values for one framework."""

    def __init__(self, row: Row, case: Case, framework: str):
        self.row, self.case, self.framework = row, case, framework
        self.lines: list[str] = []
        self.imports: set[str] = set()
        self._letters = iter(LETTERS)

    def text(self, value: Any) -> str:
        """``value`` as an expression; tensors get a name and a line of their own."""
        if isinstance(value, Array):
            name = next(self._letters)
            self.lines.append(f"{name} = {self.tensor(value, f'{self.row.name}|snippet {name}')}")
            return name
        if isinstance(value, Host):
            self.imports.add("import numpy as np")
            return f"np.array({list(value.data)}, np.{value.dtype})"
        if isinstance(value, DType):
            return f"torch.{value.name}" if self.framework == "torch" else f"ms.{value.name.replace('bool', 'bool_')}"
        if isinstance(value, list | tuple):
            inner = ", ".join(map(self.text, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key!r}: {self.text(item)}" for key, item in value.items()) + "}"
        return _number(value) if isinstance(value, float) else repr(value)

    def call(self, arguments: Any, keywords: Mapping[str, Any]) -> str:
        """What stands in the parentheses."""
        return ", ".join(
            [self.text(value) for value in arguments]
            + [f"{name}={self.text(value)}" for name, value in keywords.items()]
        )

    def tensor(self, array: Array, key: str) -> str:
        """The tensor as an expression."""
        dtype = f"torch.{array.dtype}" if self.framework == "torch" else f"ms.{array.dtype.replace('bool', 'bool_')}"
        size = math.prod(array.shape)
        if size > WRITTEN:
            self.imports.add("import numpy as np")
            numbers = (
                f"np.linspace({max(array.low, -2.0):g}, {array.high:g}, {size})"
                if array.kind == "uniform"
                else f"np.linspace(-2, 2, {size})"
            )
            if array.kind in ("integers", "permutation"):
                numbers = f"np.arange({size}) % {int(array.high - array.low) if array.kind == 'integers' else array.shape[-1]}"
                numbers = (
                    f"({numbers} + {int(array.low)})" if array.kind == "integers" and array.low else f"({numbers})"
                )
            data = f"{numbers}.reshape({array.shape}).astype(np.{array.dtype.replace('bool', 'bool_')})"
            return f"torch.from_numpy({data})" if self.framework == "torch" else f"Tensor({data})"
        data = _nested(draw(array, key).tolist(), exact=array.kind in ("values", "spd"))
        if size == 0 or array.dtype not in ("float32", "int64", "bool"):
            shaped = f".reshape({array.shape})" if size == 0 else ""
            return (
                f"torch.tensor({data}, dtype={dtype}){shaped}"
                if self.framework == "torch"
                else f"Tensor({data}, {dtype}){shaped}"
            )
        return f"torch.tensor({data})" if self.framework == "torch" else f"Tensor({data}, {dtype})"


def _torch(row: Row, case: Case) -> str:
    writer = _Writer(row, case, "torch")
    if row.kind == "optimizer":
        built = [
            "x = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))",
            f"optimizer = {row.name}([x], {writer.call((), case.setup)})",
        ]
        body = [*writer.lines, *built, "for _ in range(3):", "    x.grad = 0.1 * x.detach()", "    optimizer.step()"]
        return _program({"import torch"}, body, "x.detach()", row)
    if row.kind == "module":
        setup = writer.call((), case.setup)
        build = [f"module = {row.name}({setup}).{'train' if case.training else 'eval'}().requires_grad_(False)"]
        if PARAMETRIC.search(row.name):
            build += [
                "for p in module.parameters():",
                "    p.data = torch.linspace(-0.5, 0.5, p.numel()).reshape(p.shape)",
            ]
        given = writer.call(case.arguments, case.keywords)
        return _program({"import torch"} | writer.imports, [*writer.lines, *build], f"module({given})", row)
    if row.kind == "method":
        first, *rest = case.arguments
        call = f"{writer.text(first)}.{row.name.rpartition('.')[2]}({writer.call(rest, case.keywords)})"
    else:
        call = f"{row.name}({writer.call(case.arguments, case.keywords)})"
    return _program({"import torch"} | writer.imports, writer.lines, call, row)


def _mindspore(row: Row, case: Case, target: str) -> str:
    writer = _Writer(row, case, "mindspore")
    imports = {"import mindspore as ms", "from mindspore import Tensor"}
    if target.startswith("shim."):
        imports.add("import mindspore_impl")
    function, needed = _spelled(row, target)
    if row.kind == "optimizer":
        built = [
            'x = ms.Parameter(Tensor([1.0, -2.0, 0.5], ms.float32), name="x")',
            f"optimizer = {function}([x], {writer.call((), case.setup)})",
        ]
        body = [*writer.lines, *built, "for _ in range(3):", "    optimizer((('x', 0.1 * x),))"]
        return _program(imports | needed, body, "x.asnumpy()", row)
    if row.kind == "module":
        setup = writer.call((), case.setup)
        build = [f"module = {function}({setup}).set_train({case.training})"]
        if PARAMETRIC.search(row.name):
            imports.add("import numpy as np")
            build += [
                "for p in module.trainable_params():",
                "    p.set_data(Tensor(np.linspace(-0.5, 0.5, p.size, dtype=np.float32).reshape(p.shape)))",
            ]
        given = writer.call(case.arguments, case.keywords)
        return _program(imports | needed | writer.imports, [*writer.lines, *build], f"module({given})", row)
    if target.startswith("Tensor."):
        first, *rest = case.arguments
        call = f"{writer.text(first)}.{target.removeprefix('Tensor.')}({writer.call(rest, case.keywords)})"
    else:
        call = f"{function}({writer.call(case.arguments, case.keywords)})"
    return _program(imports | needed | writer.imports, writer.lines, call, row)


def _spelled(row: Row, target: str) -> tuple[str, set[str]]:
    """How a target is written, and the imports that it needs."""
    leaf = target.rpartition(".")[2]
    if not target.startswith("shim."):
        head = target.partition(".")[0]
        return (
            (target, {f"from mindspore import {head}"})
            if head in ("mint", "ops", "nn", "numpy")
            else (f"ms.{target.removeprefix('mindspore.')}", set())
        )
    if row.kind in ("module", "optimizer"):
        space = row.section.removeprefix("torch.")
        return f"{space}.{leaf}", {f"from mindspore_impl import {space}"}
    offered = named("torch", "torch.nn.functional")
    if (
        row.kind == "function" and leaf in offered and target in offered[leaf].targets
    ):  # the same function, under torch's name
        return f"F.{leaf}", {"from mindspore_impl import functional as F"}
    return leaf, {f"from {adapter_module(target)} import {leaf}"}


def _program(imports: set[str], body: list[str], result: str, row: Row) -> str:
    taken = sorted(
        line.removeprefix("from mindspore import ") for line in imports if line.startswith("from mindspore import ")
    )
    taken = [name for name in taken if name != "Tensor" or "Tensor(" in "\n".join([*body, result])]
    rest = {line for line in imports if not line.startswith("from mindspore import ")} | (
        {f"from mindspore import {', '.join(taken)}"} if taken else set()
    )
    # mindspore_impl first: it settles what MindSpore reads when it is imported
    order = sorted(rest, key=lambda line: (line != "import mindspore_impl", line.startswith("from"), line))
    order = [line for line in order if line != "import mindspore as ms" or "ms." in "\n".join([*body, result])]
    ending = [
        f"print({result})" + ("  # random: the numbers differ, their distribution does not" if row.stochastic else "")
    ]
    if row.in_place:
        ending = [result, "print(x)"]
    return "\n".join([*order, "", *body, *ending])


def _nested(data: Any, exact: bool) -> str:
    if isinstance(data, list):
        return f"[{', '.join(_nested(item, exact) for item in data)}]"
    return _number(data if exact else float(f"{data:.3g}")) if isinstance(data, float) else repr(data)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'
