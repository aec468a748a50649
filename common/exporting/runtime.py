"""An engine on ONNX Runtime: what predicting and scoring need of one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from common.backend import IGNORE, Batch, EvalResult
from common.distributed import ALONE
from common.errors import InputError, RunError
from common.exporting.folder import MODEL, is_export
from common.tasks import configured
from common.training.assembly import Trained, load_engine
from common.training.evaluation import UNSCORED
from common.training.system import asked_threads

__all__ = ["OnnxEngine", "engine_of", "need", "run_graph", "session"]

_LOGITS = ("logits", "predictions")  #: what tasks call the outputs that a graph gives


def engine_of(trained: Trained, backend: str | None = None, device: str | None = None) -> Any:
    """What computes a run, in its own backend unless another is named; or an exported model, on ONNX Runtime.

    Raises:
        InputError: a backend or device is named for an exported model, or a package is missing.
    """
    if not is_export(trained.run.path):
        return load_engine(trained, backend, device)
    if backend or device:
        raise InputError(
            f"{trained.run.path} is an exported model, which ONNX Runtime computes on the CPU. Leave --backend and --device out."
        )
    return OnnxEngine(trained)


def need(*packages: str) -> None:
    """Raises InputError where a package is not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(
            f"ONNX graphs need {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Run: pip install 'twinlora[onnx]'"
        )


def session(path: Path, threads: int | None = None) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        threads: default: the variable OMP_NUM_THREADS, or one for each core.

    Raises:
        InputError: the package is missing, or the file is no graph that it runs.
    """
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or asked_threads() or 0
    options.log_severity_level = 3  # errors: its warnings concern the optimizer of graphs
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class for each kind of defect, none of them public
        raise InputError(f"{path} must be a graph that ONNX Runtime runs; it says: {error}") from error


def run_graph(graph: Any, batch: Batch) -> np.ndarray:
    """The graph's output for the fields of a batch that it takes, float32.

    Raises:
        RunError: the runtime fails.
    """
    feed = {given.name: np.asarray(batch[given.name], np.int64) for given in graph.get_inputs()}
    try:
        [found] = graph.run(None, feed)
    except Exception as error:
        raise RunError(f"ONNX Runtime failed: {error}") from error
    return np.asarray(found, np.float32)


class OnnxEngine:
    """Implements of `common.backend.Engine` what predicting and scoring need. Of losses that of classes is computed,
    from the logits; others are nan."""

    group = ALONE

    def __init__(self, trained: Trained, threads: int | None = None):
        self.graph = session(trained.run.path / MODEL, threads)
        self._task = configured(trained.config.model)

    def eval_step(self, batch: Batch) -> EvalResult:
        """The logits under the name of the task's output; nothing else that the task reports is in the graph.

        Raises:
            InputError: the task reports no logits.
        """
        found = [name for name in self._task.outputs if name in _LOGITS]
        if not found:
            raise InputError(UNSCORED.format(task=self._task.name))
        outputs = run_graph(self.graph, batch)
        return EvalResult(_loss_sum(outputs, batch.get("labels")), self._task.targets(batch), {found[0]: outputs})

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Logits ``(batch, vocabulary)`` at one position of every row."""
        return run_graph(self.graph, batch)[np.arange(len(positions)), positions]

    def decoder(self, capacity: int) -> None:
        """None: the graph has no cache."""

    def translator(self) -> None:
        """None: the graph keeps nothing of a source."""

    def attentions(self, batch: Batch) -> None:
        """None: the graph gives logits alone."""


def _loss_sum(logits: np.ndarray, labels: np.ndarray | None) -> float:
    """The sum of -log softmax of the labels, in float64; nan where these are no classes of the logits."""
    if labels is None or labels.dtype.kind != "i" or labels.shape != logits.shape[:-1]:
        return float("nan")
    known = labels != IGNORE
    scores = logits[known].astype(np.float64)
    largest = scores.max(-1, keepdims=True)
    totals = np.log(np.exp(scores - largest).sum(-1)) + largest[:, 0]
    return float((totals - scores[np.arange(len(scores)), labels[known]]).sum())
