"""Exporting a trained run as an ONNX graph, and checking that the graph computes what the run does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import __version__
from common import backend as backends
from common.backend import Batch
from common.backend.batch import CHARACTER_AXIS, SENTENCE_AXIS, SEQUENCES
from common.errors import InputError, RunError
from common.exporting.folder import MODEL, describe, write_beside
from common.exporting.runtime import need, run_graph, session
from common.files import new_folder
from common.methods import METHODS
from common.methods.merge import merge_problems, merged_model
from common.models import FAMILIES
from common.models.modules import RECURRENT
from common.models.specs import ModelSpec
from common.tasks.example import example_batch
from common.training.assembly import Trained
from common.training.system import package_version

__all__ = ["TOLERANCE", "export_run", "unexportable"]

TOLERANCE = 1e-4  #: of a logit, or of the largest one where that exceeds 1
_SHAPES = ((1, 1), (2, 7), (3, 19), (5, 33))  #: (rows, tokens) that the graph is checked at; it was traced at another
_LOGITS = 2**28  #: that the longest sequence of the check may have at most, where each token has one for every word
_ROWS, _TOKENS = 2, 8  #: that it is traced at


def export_run(trained: Trained, out: Path, integers: bool = False) -> dict[str, Any]:
    """Write the folder ``out``; returns its manifest.

    The graph takes the family's inputs as int64, with any number of rows and tokens, and gives ``logits``. Adapters
    are merged where their method can be. It is written by torch's exporter from the arrays of the run, whichever
    backend trained it: MindSpore 2.10's has no operator for the error function and keeps the shape it was traced at.

    Args:
        integers: store the weights of products and embeddings as int8, which products then compute in.

    Raises:
        InputError: something is there already, a package is missing, or the model is not one that can be exported.
        RunError: the graph does not compute what the run does; nothing is written.
    """
    if not backends.available()["pytorch"]:
        raise InputError(
            "ONNX graphs are written by torch's exporter, also those of runs in MindSpore, and torch is not installed. "
            "Run: pip install torch, here or on another machine, and export the run there."
        )
    need("onnx", "onnxscript", "onnxruntime")
    if trained.spec.family not in FAMILIES:
        raise InputError(
            f"Families that twinlora describes are exported: {', '.join(FAMILIES.names())}; this run is a "
            f"{trained.spec.family}. Merge it with twinlora merge, and export that with transformers' own tools."
        )
    reason = unexportable(trained.spec)
    if reason is not None:
        raise InputError(f"{reason} Use the run itself.")
    manifest = describe(trained)
    model = _built(trained)
    with new_folder(out) as folder:
        names = manifest["inputs"]
        writer = backends.load("pytorch").hf_bridge.onnx
        traced = _batch(trained, _ROWS, _TOKENS)
        opset = writer.write(model, folder / MODEL, [traced[name] for name in names], names, manifest["output"])
        manifest |= {"opset": opset, "check": _check(trained, writer, model, folder / MODEL)}
        difference = manifest["check"]["largest_difference"]
        if not difference <= TOLERANCE:
            raise RunError(
                f"An exported graph must compute what the run does within {TOLERANCE:g}; its logits differ by "
                f"{difference:.1e}. Nothing was written."
            )
        if integers:
            manifest |= {"integers": _quantised(trained, folder)}
        manifest |= {"versions": _versions()}
        write_beside(folder, trained, manifest)
    return manifest


def unexportable(spec: ModelSpec) -> str | None:
    """Why no graph is written of a network that twinlora describes; None where one is."""
    if any(field.sequence not in (None, SEQUENCES[0]) for field in FAMILIES.get(spec.family).INPUTS):
        return (
            f"A graph takes the tokens of one sequence; a {spec.family} network reads one and writes another, token by "
            "token."
        )
    if any(module.kind is RECURRENT for module in spec.modules):
        return (
            "A graph takes any number of tokens; torch's exporter cannot trace the packed sequences of a "
            f"{spec.family} network."
        )
    if any({SENTENCE_AXIS, CHARACTER_AXIS} & set(field.axes) for field in FAMILIES.get(spec.family).INPUTS):
        return f"A graph takes rows of tokens; a {spec.family} network reads sentences, or words by their characters."
    if spec.layout is not None and spec.layout.chain:
        return f"A graph gives logits of single tokens; those of {spec.task} are decoded as one chain."
    return None


def _built(trained: Trained) -> Any:
    """The trained network in PyTorch as it is written down, adapters merged where that is possible."""
    backend, method = backends.load("pytorch"), METHODS.get(trained.plan.method)
    if not merge_problems(trained.plan.edits, trained.spec.shared, method.mergeable):
        merged, _ = merged_model(trained.plan, trained.spec, trained.arrays)
        return backend.build_model(merged, "cpu")
    model = backend.build_model(trained.spec, "cpu")
    backend.rewrite(model, trained.plan, trained.plan.initial_values(trained.config.seed))
    backend.adapting.write(model, trained.plan, trained.arrays)
    return model.eval()


def _check(trained: Trained, writer: Any, model: Any, path: Path) -> dict[str, Any]:
    """The largest difference between graph and model at shapes that it was not traced at."""
    graph = session(path)
    worst = 0.0
    shapes = _shapes(trained)
    for rows, tokens in shapes:
        batch = _batch(trained, rows, tokens)
        wanted = writer.logits(model, batch)
        found = run_graph(graph, batch)
        if found.shape != wanted.shape:
            raise RunError(
                f"An exported graph must give logits {wanted.shape}; it gave {found.shape}. Nothing was written."
            )
        worst = max(worst, _difference(_real(found, batch), _real(wanted, batch)))
    return {"shapes": [list(shape) for shape in shapes], "largest_difference": worst}


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest one of a graph's logits, as a share of the largest logit where that exceeds 1.

    Raises:
        RunError: some are not finite, of which no difference tells anything.
    """
    if not np.isfinite(found).all():
        raise RunError("An exported graph must give finite logits; it gives others. Nothing was written.")
    if not np.isfinite(wanted).all():
        raise RunError(
            "The run gives logits that are not finite, to which no graph can be compared. Nothing was written. Train it "
            "again."
        )
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max()))


def _shapes(trained: Trained) -> list[tuple[int, int]]:
    """(rows, tokens) of the check. The longest sequence is among them: windows and buckets of positions begin to matter
    beyond a length."""
    longest = min(trained.config.data.max_length, max(64, _LOGITS // trained.spec.config.get("vocab_size", 1)))
    return [(rows, tokens) for rows, tokens in _SHAPES if tokens < longest] + [(1, longest)]


def _real(logits: np.ndarray, batch: Batch) -> np.ndarray:
    """Those of rows, or of the tokens that are not padding: what a network computes there means nothing, and differs
    where a window holds padding alone."""
    mask = batch["attention_mask"]
    return logits[mask == 1] if logits.ndim == 3 and logits.shape[:2] == mask.shape else logits


def _quantised(trained: Trained, folder: Path) -> dict[str, Any]:
    """Put int8 weights in the place of the graph's; returns sizes and how far the logits are from before."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path, prepared, made = folder / MODEL, folder / "prepared.onnx", folder / "int8.onnx"
    batches = [_batch(trained, rows, tokens) for rows, tokens in _shapes(trained)]
    before = [_real(run_graph(session(path), batch), batch) for batch in batches]
    size = _bytes(folder)
    # without it the transposed weights of linear layers stay in float32
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(str(prepared), str(made), weight_type=QuantType.QInt8, per_channel=True)
    for file in folder.glob(f"{MODEL}*"):
        file.unlink()
    for file in folder.glob("prepared.onnx*"):
        file.unlink()
    made.rename(path)
    after = [_real(run_graph(session(path), batch), batch) for batch in batches]
    differences = [_difference(new, old) for new, old in zip(after, before, strict=True)]
    return {"bytes_before": size, "bytes": _bytes(folder), "largest_difference": max(differences)}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob(f"{MODEL}*"))


def _batch(trained: Trained, rows: int, tokens: int) -> Batch:
    """Random tokens of uneven length, the same everywhere."""
    lengths = [max(1, tokens - (2 * row) % tokens) for row in range(rows)]
    return example_batch(trained.spec, lengths, f"export|{rows}|{tokens}", tokens)


def _versions() -> dict[str, str]:
    names: Sequence[str] = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
    return {"twinlora": __version__} | {name: package_version(name) for name in names}
