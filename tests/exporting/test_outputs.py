"""What an exported graph is asked for, and which of its logits are compared. The graphs are stand-ins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from common.bench.latency import Answering
from common.compression.compress import transformed
from common.compression.narrow import base_of
from common.errors import InputError, RunError
from common.exporting import export as exporting
from common.exporting.runtime import OnnxEngine
from common.models import FAMILIES
from common.models.loading import load_model_spec, outline
from common.tasks import TASKS
from common.tasks.example import example_batch
from common.training import evaluation
from tests.support import CLASSIFICATION, model_config, plan_for, tiny_spec


class Graph:
    """Gives 1 for every token and class, and what ``change`` makes of it."""

    def __init__(self, change=lambda logits, mask: None):
        self.change = change

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]

    def run(self, names, feed):
        logits = np.ones((*feed["input_ids"].shape, 3), np.float32)
        self.change(logits, feed["attention_mask"])
        return [logits]


def engine(task: str) -> OnnxEngine:
    made = OnnxEngine.__new__(OnnxEngine)
    made.graph, made._task = Graph(), TASKS.get(task)
    return made


def batch_of(rows: int = 2, tokens: int = 6) -> dict[str, np.ndarray]:
    return dict(example_batch(tiny_spec("bert"), [tokens] * rows, "outputs")) | {
        "labels": np.zeros((rows, tokens), np.int32)
    }


@pytest.mark.parametrize("task", ["masked-language-modeling", "pretraining", "language-modeling"])
def test_logits_are_not_taken_for_another_output(task):
    with pytest.raises(InputError, match=f"the scores of {task} need more; it is not scored"):
        engine(task).eval_step(batch_of())


def test_logits_of_replaced_tokens_are_predicted_from_and_not_scored(monkeypatch):
    made = engine("replaced-token-detection")
    assert set(made.eval_step(batch_of()).outputs) == {"logits"}
    monkeypatch.setattr(evaluation, "evaluation_batches", lambda *_: [(np.arange(2), batch_of())])
    encoded = SimpleNamespace(task=TASKS.get("replaced-token-detection"))
    with pytest.raises(InputError, match="it is not scored"):
        list(evaluation.results(made, encoded, 2, 1))


def test_the_bytes_of_a_run_are_those_of_what_it_stores():
    plain = tiny_spec("bert")
    narrow, _ = transformed(plain, *base_of("nf4"))
    found = []
    for spec in (plain, narrow):
        answering = Answering.__new__(Answering)
        answering.trained = SimpleNamespace(spec=spec, plan=plan_for(spec, ["*.query"]))
        found.append(answering._native_bytes())
    update = 4 * sum(parameter.size for edit in plan_for(plain, ["*.query"]).edits for parameter in edit.parameters)
    assert found == [sum(array.nbytes for array in spec.arrays.values()) + update for spec in (plain, narrow)]
    assert found[1] < found[0]


@pytest.mark.parametrize("task", ["language-modeling", "masked-language-modeling"])
def test_the_latency_of_a_graph_is_measured_whatever_its_task_reports(task):
    answering = Answering.__new__(Answering)
    answering.trained, answering.engine = SimpleNamespace(spec=tiny_spec("bert")), engine(task)
    assert answering.ask(2, 5)().shape == (2, 5, 3)


@pytest.mark.parametrize("task", ["token-classification", "sequence-classification"])
def test_the_loss_of_classes_is_that_of_their_logits(task):
    """Three equal logits: log 3 for every label that is one."""
    batch = batch_of()
    labels = np.full(batch["labels"].shape, -100, np.int32)
    labels[0, :3], labels[1, 1] = (0, 2, 1), 2
    made = engine(task)
    if task == "sequence-classification":
        made.graph.run = lambda names, feed: [np.ones((len(feed["input_ids"]), 3), np.float32)]
        labels = np.array([2, -100], np.int32)
    found = made.eval_step(batch | {"labels": labels})
    assert found.count == (labels != -100).sum()
    assert found.loss_sum == pytest.approx(found.count * np.log(3))


@pytest.mark.parametrize("task", ["regression", "multi-label-classification"])
def test_numbers_are_no_classes(task):
    made = engine(task)
    made.graph.run = lambda names, feed: [np.ones((len(feed["input_ids"]), 1), np.float32)]
    batch = batch_of() | {"labels": np.ones(2, np.float32), "scored": np.ones(2, np.int32)}
    batch["labels"] = batch["labels"] if task == "regression" else batch["labels"][:, None]
    assert np.isnan(made.eval_step(batch).loss_sum)


def trained(max_length: int, **entries) -> SimpleNamespace:
    spec = load_model_spec(model_config("bert", **entries), ("a", "b"), 60, 0, 0)
    return SimpleNamespace(spec=spec, config=SimpleNamespace(data=SimpleNamespace(max_length=max_length)))


def check(monkeypatch, change, max_length: int = 32) -> dict:
    monkeypatch.setattr(exporting, "session", lambda path: Graph(change))
    right = Graph()
    writer = SimpleNamespace(logits=lambda model, batch: right.run(None, batch)[0])
    return exporting._check(trained(max_length), writer, None, None)


def beyond_thirty(logits, mask):
    logits[:, 30:] += 1.0


def at_padding(logits, mask):
    logits[mask == 0] = 7.0


def nan_at_tokens(logits, mask):
    logits[mask == 1] = np.nan


def test_a_difference_beyond_the_shapes_of_the_check_is_seen_at_the_longest_sequence(monkeypatch):
    assert check(monkeypatch, beyond_thirty)["largest_difference"] == 1.0
    assert check(monkeypatch, beyond_thirty, 25)["largest_difference"] == 0.0


@pytest.mark.parametrize("max_length", [1, 7, 32, 40])
def test_the_longest_sequence_is_checked(monkeypatch, max_length):
    shapes = check(monkeypatch, lambda logits, mask: None, max_length)["shapes"]
    assert shapes[-1] == [1, max_length]
    assert max(tokens for _, tokens in shapes) == max_length


def test_a_long_sequence_over_many_words_is_bounded():
    made = trained(100_000)
    made.spec.config["vocab_size"] = 2**18
    assert exporting._shapes(made)[-1] == (1, 2**10)


def test_what_is_computed_at_padding_is_not_compared(monkeypatch):
    assert check(monkeypatch, at_padding)["largest_difference"] == 0.0
    with pytest.raises(RunError, match="must give finite logits"):
        check(monkeypatch, nan_at_tokens)


def test_a_graph_is_not_equal_to_a_model_whose_logits_are_not_finite(monkeypatch):
    monkeypatch.setattr(exporting, "session", lambda path: Graph())
    wrong = Graph(nan_at_tokens)
    writer = SimpleNamespace(logits=lambda model, batch: wrong.run(None, batch)[0])
    with pytest.raises(RunError, match="gives logits that are not finite"):
        exporting._check(trained(32), writer, None, None)


@pytest.mark.parametrize(("encoder", "reason"), [("gru", "packed sequences"), ("none", "reads sentences")])
def test_no_graph_is_written_of_documents_and_their_sentences(encoder, reason):
    """Its rows would have the words of a sentence that it was traced with, whatever documents have."""
    spec = outline("han", CLASSIFICATION, {**FAMILIES.get("han").tiny(), "encoder": encoder}, ("a", "b"))
    assert reason in exporting.unexportable(spec)
