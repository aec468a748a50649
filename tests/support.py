"""Small models, batches and comparisons for the tests of both backends. Nothing here imports a framework."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.backend import IGNORE, Batch, EngineSettings
from common.config import optimization_options
from common.config.schema import ModelConfig
from common.edits import Edit
from common.errors import InputError
from common.methods import METHODS
from common.methods.lora import edit_of
from common.methods.plan import Plan
from common.methods.targets import Target
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR, ModuleSpec
from common.models.specs import ModelSpec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch

#: seconds after which a process in a test counts as hanging: a guard that nothing that works comes near, on a busy machine either
HANGS = 1200
VOCABULARY, POSITIONS = 60, 32
ONE_LAYER = {"bert": {"num_hidden_layers": 1}, "gpt2": {"n_layer": 1}}  #: for tests of which each compiles graphs
CLASSIFICATION, LANGUAGE = "sequence-classification", "language-modeling"
KINDS = {"bert": ("bert", CLASSIFICATION), "gpt2": ("gpt2", LANGUAGE), "gpt2-classifier": ("gpt2", CLASSIFICATION)}
TARGETS = {kind: FAMILIES.get(family).TARGETS for kind, (family, _) in KINDS.items()}


def refusal(action: Callable[[], object]) -> str | None:
    """The message of the InputError that ``action`` ends in, or None where it returns; every other error is a fault and
    passes through."""
    try:
        action()
    except InputError as error:
        return str(error)
    return None


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is still listed, until its parent asks, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_commands(
    commands: Sequence[Sequence[Any]], folder: Path, environment: Mapping[str, str], stdin: str = ""
) -> list[str]:
    """What commands of ``twinlora`` print, one after the other in one process of their own, which imports the
    frameworks once; ``stdin`` is for whichever reads it."""
    program = (
        "import json, sys\nfrom common.cli.main import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    code = main(command)\n"
        "    print('\\x1e', end='', flush=True)\n"
        "    if code: sys.exit(code)\n"
    )
    given = json.dumps([[str(part) for part in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", program, given],
        cwd=folder,
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\x1e")[:-1]


def model_config(kind: str, source: str | None = None, dropout: float | None = 0.0, **entries: Any) -> ModelConfig:
    """The model section of a tiny ``kind`` (a key of KINDS), or of ``source``."""
    family, task = KINDS[kind]
    tiny = {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3, **FAMILIES.get(family).tiny()}
    return ModelConfig(source, task, None, dropout, entries if source else {**tiny, **entries})


def tiny_spec(kind: str, labels: int = 3, seed: int = 0, dropout: float = 0.0, **entries: Any) -> ModelSpec:
    """A tiny model of which no parameter is zero or one, so that one left out is seen."""
    classes = TASKS.get(KINDS[kind][1]).example_labels()
    names = None if classes is None else tuple(f"class{i}" for i in range(labels))
    spec = load_model_spec(model_config(kind, dropout=dropout, **entries), names, VOCABULARY, 0, seed)
    shifted = {name: array + normal(seed, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def plan_for(spec: ModelSpec, targets: Sequence[str | Target] = (), method: str = "lora", **options: Any) -> Plan:
    """A plan of ``method``; of LoRA with rank 2 and alpha 3 unless ``options`` say otherwise."""
    if method == "lora":
        listed = tuple(target if isinstance(target, Target) else Target(target) for target in targets)
        options = {"targets": listed, "rank": 2, "alpha": 3.0, **options}
    found = METHODS.get(method)
    return found.plan(found.Options(method, **options), spec)


def unfrozen(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Shapes of the base parameters that are trained."""
    return {parameter.name: parameter.shape for parameter in plan.unfrozen}


def nonzero_values(plan: Plan, seed: int = 0, std: float = 0.1) -> dict[str, np.ndarray]:
    """Start values without zeros: with B = 0 the gradient of A is zero and proves nothing."""
    values = plan.initial_values(seed)
    return {
        name: array if array.any() else normal(seed, f"nonzero.{name}", array.shape, std)
        for name, array in values.items()
    }


def settings(**given: Any) -> EngineSettings:
    """Engine settings; PyNative and eager unless asked otherwise, which needs no compilation."""
    own = {field.name for field in dataclasses.fields(EngineSettings)}
    update = {name: value for name, value in given.items() if name not in own}  # of the optimizer
    defaults = {
        "optimization": optimization_options(**{"weight_decay": 0.01, **update}),
        "dtype": "fp32",
        "compile": False,
        "seed": 0,
    }
    return EngineSettings(**defaults | {name: value for name, value in given.items() if name in own})


def build_engine(
    backend: Any, spec: ModelSpec, plan: Plan, values: Mapping[str, np.ndarray] | None = None, **given: Any
) -> Any:
    """An engine of ``backend`` (a backend package) on the CPU."""
    model = backend.build_model(spec, backend.device.select("cpu"))
    backend.rewrite(model, plan, nonzero_values(plan) if values is None else values)
    return backend.Engine(model, plan, settings(**given))


def make_batch(
    kind: str,
    lengths: Sequence[int],
    seed: int = 0,
    width: int | None = None,
    vocabulary: int = VOCABULARY,
    labels: int = 3,
) -> Batch:
    """A right-padded batch of random ids with one row per entry of ``lengths``; every class or next token is a
    target."""
    spec = tiny_spec(kind, labels, vocab_size=vocabulary)
    return example_batch(spec, lengths, f"tests|{kind}|{seed}", width)


def widen(batch: Batch, width: int) -> dict[str, np.ndarray]:
    """The same rows padded further."""
    fill, length, grown = {"labels": IGNORE, "words": -1}, batch["input_ids"].shape[1], {}
    for name, array in batch.items():
        along = array.ndim > 1 and array.shape[1] == length
        edges = [(0, 0), (0, width - length), *[(0, 0)] * (array.ndim - 2)]
        grown[name] = np.pad(array, edges, constant_values=fill.get(name, 0)) if along else array
    return grown


def rows_of(batch: Batch, rows: slice) -> dict[str, np.ndarray]:
    """Some rows, cut to their longest."""
    part = {name: array[rows] for name, array in batch.items()}
    longest = int(part["attention_mask"].sum(1).max())
    return {name: array[:, :longest] if array.ndim == 2 else array for name, array in part.items()}


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected value; infinite where it cannot be said: other shapes, NaN, or
    nothing but zeros expected."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    largest = np.abs(expected).max(initial=0.0)
    if (
        actual.shape != expected.shape
        or not np.isfinite(actual).all()
        or not np.isfinite(expected).all()
        or largest == 0.0
    ):
        return float("inf")
    return float(np.abs(actual - expected).max()) / float(largest)


def assert_near(
    actual: np.ndarray, expected: np.ndarray, tolerance: float, absolute: bool = False, what: str = ""
) -> None:
    """Compare values of equal shape, all finite, not all zero."""
    error = relative_error(actual, expected)
    if absolute and np.isfinite(error):
        error *= float(np.abs(expected).max())
    assert error <= tolerance, f"{what}: error {error:.3g} exceeds {tolerance:g}"


def assert_all_near(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float) -> None:
    """Compare named arrays: the same names, at least one, and every array near."""
    assert set(actual) == set(expected), f"names differ: {sorted(set(actual) ^ set(expected))}"
    assert expected, "nothing to compare"
    for name in expected:
        assert_near(actual[name], expected[name], tolerance, what=name)


def assert_identical(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Compare named finite arrays bit by bit."""
    assert set(actual) == set(expected), f"names differ: {sorted(set(actual) ^ set(expected))}"
    assert expected, "nothing to compare"
    for name in expected:
        first, second = np.asarray(actual[name]), np.asarray(expected[name])
        assert np.isfinite(first).all(), f"{name} is not finite"
        assert (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes()), (
            f"{name} differs"
        )


def shared_experiment(name: str, model: Any, data: Any, *overrides: str) -> Any:
    """A shipped experiment on local files."""
    from common.config import load_config

    return load_config(name, [f"model.source={model}", f"data.directory={data}", *overrides])


def lora_edit(path: str, kind: str, inputs: int, outputs: int, arguments: Any) -> Edit:
    """LoRA of a module of ``kind`` (``linear``, ``transposed_linear`` or ``embedding``)."""
    found = {known.name: known for known in (EMBEDDING, LINEAR, TRANSPOSED_LINEAR)}[kind]
    return edit_of(ModuleSpec(path, found, inputs, outputs, bias=not found.lookup), arguments)
