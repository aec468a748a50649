"""Builds both networks, gives them the same weights and inputs, and compares what they compute."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.api_mapping.checking.compare import Comparison, compare
from common.api_mapping.checking.inputs import noise
from common.api_mapping.checking.weights import matched, moved
from common.errors import InputError, TwinloraError

__all__ = ["STEPS", "check"]

STEPS = 3
_MODES = {False: "evaluation", True: "training"}
_BACKENDS = {"torch": "pytorch_impl", "mindspore": "mindspore_impl"}


def check(
    old: Path,
    new: Path,
    name: str,
    init: Mapping[str, Any],
    inputs: Sequence[np.ndarray],
    factory: str = "",
    optimizer: str = "SGD",
    rate: float = 0.01,
    compiled: bool = True,
) -> list[Comparison]:
    """Compare the class ``name`` of two files.

    Args:
        old: PyTorch source.
        new: MindSpore source.
        init: keyword arguments of both constructors.
        inputs: of the network; without, those that ``factory`` returns.
        factory: a function in ``old`` without arguments that returns the inputs, a tuple of arrays or tensors.
        optimizer: class of ``torch.optim`` and of ``mindspore_impl.optim``.
        compiled: whether to compare under ``ms.jit`` as well.

    Raises:
        InputError: a framework, a file, the class or the function is missing, or the parameters do not match.
    """
    torch, mindspore = _ported("torch", old, name), _ported("mindspore", new, name)
    first = torch.network(old, name, dict(init))
    given = list(inputs) if not factory else first.made(factory)
    if not given:
        raise InputError("A network needs inputs: --input float32[2,3,32,32], or --inputs-from FUNCTION.")
    second = mindspore.network(new, name, dict(init))
    pairs = _same_weights(first, second)
    found: list[Comparison] = []
    expected = {training: _expected(first, given, training, optimizer, rate) for training in (False, True)}
    for training, wanted in expected.items():
        if isinstance(wanted, str):
            found.append(Comparison(_MODES[training], "", "everything", None, skipped=wanted))
    for jit in (False, True) if compiled else (False,):  # a module of the surface stays compiled
        for training, wanted in expected.items():
            if isinstance(wanted, str):
                continue
            last = training or isinstance(expected[True], str)
            what = _parts(wanted["parts"], training, last, jit)
            found += _compared(first, second, pairs, given, wanted["sent"], training, jit, what, optimizer, rate)
    return found


def _parts(expected: Mapping[str, Any], training: bool, last: bool, jit: bool) -> dict[str, Any]:
    """What is compared: steps in training mode, and of graphs, each of which takes its time to compile, the outputs in
    evaluation, gradients and steps in training."""
    names = [name for name in expected if name != "outputs" or not (jit and training)]
    if jit and not last:
        names = ["outputs"]
    return {name: expected[name] for name in names if last or not name.endswith("steps")}


def _ported(framework: str, path: Path, name: str) -> Any:
    if not path.is_file():
        raise InputError(f"{path} does not exist; the source of {name} for {framework} was expected.")
    if importlib.util.find_spec(framework) is None:
        raise InputError(f"Both frameworks are needed to compare; {framework} is not installed here.")
    return importlib.import_module(f"{_BACKENDS[framework]}.ported")


def _same_weights(first: Any, second: Any) -> dict[str, str]:
    """Move torch's parameters away from their start values and give them to the Cell; torch's key by the Cell's."""
    state = first.state()
    pairs = matched(
        {name: value.shape for name, value in state.items()},
        {name: value.shape for name, value in second.state().items()},
    )
    lacking = sorted({*first.tied().values()} - {first.tied().get(name, name) for name in pairs.values()})
    if lacking:
        raise InputError(f"The new network lacks parameters of the old one: {', '.join(lacking[:6])}.")
    values = moved(state, first.tied(), first.tied())
    first.load(values)
    second.load({name: values[old] for name, old in pairs.items()})
    return pairs


def _expected(first: Any, given: Sequence[np.ndarray], training: bool, optimizer: str, rate: float) -> Any:
    """What torch computes, or why that cannot be compared."""
    kept = first.state()
    results = []
    for _ in range(2):
        first.load(kept)
        outputs = first.outputs(given, training)
        results.append(outputs)
    if any(
        not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(*map(dict.values, results), strict=True)
    ):
        first.load(kept)
        return "random: torch itself gives two results"
    sent = _cotangents(results[0])
    first.load(kept)
    gradients = first.gradients(given, sent, training)
    first.load(kept)
    stepped = first.steps(given, sent, training, optimizer, rate, STEPS)
    first.load(kept)
    parts = {"outputs": results[0], "gradients": gradients, f"{STEPS} {optimizer} steps": stepped}
    return {"parts": parts, "sent": sent}


def _cotangents(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each output's gradient is multiplied by; divided by the number of elements, as a mean loss would."""
    return {
        name: np.asarray(noise(value.shape, f"cotangent {name}") / max(1, value.size), np.float32)
        for name, value in outputs.items()
        if value.dtype.kind == "f"
    }


def _compared(
    first: Any,
    second: Any,
    pairs: Mapping[str, str],
    given: Sequence[np.ndarray],
    sent: Mapping[str, np.ndarray],
    training: bool,
    jit: bool,
    expected: Mapping[str, Mapping[str, np.ndarray]],
    optimizer: str,
    rate: float,
) -> list[Comparison]:
    how, mode = "compiled" if jit else "eager", _MODES[training]
    calls: dict[str, Callable[[], Mapping[str, np.ndarray]]] = {
        "outputs": lambda: second.outputs(given, training, jit),
        "gradients": lambda: second.gradients(given, sent, training, jit),
        f"{STEPS} {optimizer} steps": lambda: second.steps(given, sent, training, optimizer, rate, STEPS, jit),
    }
    kept = second.state()
    found = []
    for what in expected:
        try:
            measured = dict(calls[what]())
        except TwinloraError as error:
            found.append(Comparison(mode, how, what, None, refused=_short(error)))
        except Exception as error:  # whatever the converted network raises is its result
            found.append(Comparison(mode, how, what, None, refused=f"{type(error).__name__}: {_short(error)}"))
        else:
            wanted = expected[what]
            if what != "outputs":
                wanted, measured = _by_parameter(first, pairs, wanted, measured)
            found.append(compare(mode, how, what, wanted, measured))
        second.load(kept)
    return found


def _by_parameter(first: Any, pairs: Mapping[str, str], torch: Mapping[str, Any], cell: Mapping[str, Any]) -> Any:
    """Both under the first of torch's names, which tied parameters share."""
    tied = first.tied()
    return (
        {tied.get(name, name): value for name, value in torch.items()},
        {tied.get(pairs.get(name, name), pairs.get(name, name)): value for name, value in cell.items()},
    )


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
    return (lines[0] if lines else "")[:200]
