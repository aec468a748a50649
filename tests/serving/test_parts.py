"""Names, limits, and rows that do not depend on their batch."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from common.backend import EvalResult
from common.cli.main import main
from common.data import evaluation_batches
from common.data.batching import collate
from common.data.encoding import Encoded, Ragged
from common.errors import InputError
from common.models import FAMILIES
from common.serving import server
from common.serving.ending import Ended, Ending
from common.serving.model import Served, named
from common.serving.options import ServingOptions, is_local
from common.serving.steady import Steady
from common.tasks import TASKS
from tests.serving.models import Echo, ask, until
from tests.support import CLASSIFICATION, free_port, tiny_spec


def test_artifacts_are_named_by_their_run_or_as_given():
    found = named(["runs/films/pytorch", "merged/", "books=runs/b/mindspore", "a=b/c"])
    assert [(one.name, str(one.path)) for one in found] == [
        ("films", "runs/films/pytorch"),
        ("merged", "merged"),
        ("books", "runs/b/mindspore"),
        ("a", "b/c"),
    ]


def test_a_home_folder_is_found_behind_a_name_as_without_one(monkeypatch):
    monkeypatch.setenv("HOME", "/home/reader")
    assert [str(one.path) for one in named(["a=~/b", "~/c"])] == ["/home/reader/b", "/home/reader/c"]


@pytest.mark.parametrize("given", ["~nobody-of-this-name/c", "a=~nobody-of-this-name/c"])
def test_the_home_folder_of_nobody_is_refused(given):
    with pytest.raises(InputError, match="Write the path without ~"):
        named([given])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["runs/films/pytorch", "runs/films/mindspore"], "films is given twice. Write NAME="),
        (["a b=runs/c"], "received 'a b'"),
        (["=runs/c"], "received ''"),
    ],
)
def test_names_that_do_not_fit_are_refused(given, said):
    with pytest.raises(InputError, match="artifact"):
        named(given)
    with pytest.raises(InputError) as caught:
        named(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--port", "70000"], "--port must be at most 65535"),
        (["--max-batch", "0"], "--max-batch must be at least 1"),
        (["--max-queue", "0"], "--max-queue must be at least 1"),
        (["--max-wait", "-1"], "--max-wait must be a finite number"),
        (["--grace", "nan"], "--grace must be a finite number"),
    ],
)
def test_limits_that_do_not_fit_are_refused_before_anything_is_opened(option, said, capsys):
    assert main(["serve", "/nowhere", *option]) == 2
    assert said in capsys.readouterr().err


def test_what_is_no_artifact_is_refused(capsys):
    pytest.importorskip("starlette")
    assert main(["serve", "/nowhere", "--port", "0"]) == 2
    assert "A run directory holds config.yaml" in capsys.readouterr().err


def test_an_address_that_is_taken_is_refused():
    from common.serving.server import listening

    with listening(ServingOptions(port=0)) as listener:
        taken = ServingOptions(port=listener.getsockname()[1])
        with pytest.raises(InputError, match="must be able to listen at"), listening(taken):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_server_is_up_ends_it_and_one_that_ended_it_is_not_raised_again(number):
    pytest.importorskip("uvicorn")
    from common.serving.app import Application
    from common.serving.server import ended_by_signals, listening, server_of

    options = ServingOptions(port=0)
    before = signal.getsignal(number)
    with ThreadPoolExecutor(1) as executor, listening(options) as listener:
        server = server_of(Application([], options, executor))
        with ended_by_signals(server):
            signal.raise_signal(number)
            asyncio.run(server.serve([listener]))
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_an_address_that_others_reach_is_not_local(host):
    assert not is_local(host)


class Rows:
    """An engine whose logits are sums of ids; ``mixing`` adds what the whole batch has."""

    def __init__(self, mixing: float = 0.0):
        self.mixing, self.batches = mixing, []

    def eval_step(self, batch):
        self.batches.append(batch["input_ids"])
        found = batch["input_ids"].sum(1, keepdims=True).astype(np.float32)
        return EvalResult(1.0, 1, {"logits": found + self.mixing * np.float32(batch["input_ids"].sum())})


def batch_of(*texts: int, rows: int = 4) -> dict[str, np.ndarray]:
    schema = tiny_spec("bert").schema
    found = {}
    for field in schema.fields:
        shape = (rows, 8) if field.per_token else (rows,)
        found[field.name] = np.full(shape, 0 if field.padding == "pad_id" else field.padding, np.int32)
        if field.first is not None:
            found[field.name][:, 0] = field.first
    for row, text in enumerate(texts):
        found["input_ids"][row, :3] = text
        found["attention_mask"][row, :3] = 1
    return found


def test_rows_are_computed_together_where_that_changes_nothing():
    engine = Rows()
    steady = Steady(engine, tiny_spec("bert").schema, 0, "films")
    for _ in range(2):
        assert steady.eval_step(batch_of(5, 6, 7)).outputs["logits"][:3, 0].tolist() == [15, 18, 21]
    assert len(engine.batches) == 1 + 2 + 1, "together, the first and the last alone, and together again"
    steady.eval_step(batch_of(9))
    assert len(engine.batches) == 5


def test_rows_that_change_one_another_are_computed_one_by_one(capsys):
    alone = [Rows(0.5).eval_step(batch_of(text)).outputs["logits"][0, 0] for text in (5, 6, 7)]
    engine = Rows(0.5)
    steady = Steady(engine, tiny_spec("bert").schema, 0, f"mixing {id(engine)}")
    for _ in range(2):
        assert steady.eval_step(batch_of(5, 6, 7)).outputs["logits"][:3, 0].tolist() == alone
    assert "computed by itself" in capsys.readouterr().err
    assert steady.mixing == 0.5, "everything else is the engine's"


def test_documents_are_computed_together_by_the_shape_of_all_their_axes():
    """Whose batches are ``(batch, sentence, word)``, and of one number of sentences may have several of words."""

    class Documents(Rows):
        def eval_step(self, batch):
            self.batches.append(batch["input_ids"])
            found = batch["input_ids"].sum((1, 2))[:, None].astype(np.float32)
            mixed = batch["input_ids"].shape[2] > 8  # kernels of wider sentences give rows something in common
            return EvalResult(1.0, 1, {"logits": found + mixed * np.float32(batch["input_ids"].sum())})

    task = TASKS.get("sequence-classification")
    schema = task.schema(FAMILIES.get("han"))
    encoded = Encoded(task, schema, {
        "input_ids": Ragged.of([np.array(ids, np.int32) for ids in ([4, 5, 6], [7, 5], [9] * 12, [8, 9] * 6)]),
        "sentences": Ragged.of([np.array(counts, np.int32) for counts in ([2, 1], [2], [12], [10, 2])]),
        "labels": np.zeros(4, np.int32),
    }, pad_id=0, max_length=64)  # fmt: skip
    engine = Documents()
    steady = Steady(engine, schema, 0, f"documents {id(engine)}")
    for indices, sums in (((0, 1), [15, 12]), ((2, 3), [216, 204]), ((2, 3), [216, 204])):
        batch = collate(encoded, np.array(indices), 4, 8)
        filling = {name: array[3] for name, array in batch.items()}
        assert all(
            (steady._filling(field, filling[field.name]) == filling[field.name]).all() for field in schema.fields
        )
        assert steady.eval_step(batch).outputs["logits"][:2, 0].tolist() == sums, "each as when alone"


def test_equal_rows_do_not_decide_that_others_can_be_computed_together():
    """Where the first batch holds one text twice, as probes send it."""

    class Scaled(Rows):
        def eval_step(self, batch):
            found = batch["input_ids"].max(1, keepdims=True).astype(np.float32)
            return EvalResult(1.0, 1, {"logits": found / batch["input_ids"].max()})

    steady = Steady(Scaled(), tiny_spec("bert").schema, 0, "scaled")
    assert steady.eval_step(batch_of(5, 5)).outputs["logits"][:2, 0].tolist() == [1, 1]
    for texts in ((5, 7, 5), (5, 7, 5)):
        assert steady.eval_step(batch_of(*texts)).outputs["logits"][:3, 0].tolist() == [1, 1, 1], "as when alone"


def test_a_text_without_tokens_has_the_answer_of_the_model():
    class Shifted(Rows):
        def eval_step(self, batch):
            found = super().eval_step(batch)
            return EvalResult(1.0, 1, {"logits": found.outputs["logits"] + 2})

    steady = Steady(Shifted(0.5), tiny_spec("bert").schema, 0, "shifted")
    for _ in range(2):
        found = steady.eval_step(batch_of(5, 6)).outputs["logits"]
        assert found[:2, 0].tolist() == [15 * 1.5 + 2, 18 * 1.5 + 2]
        assert found[2:, 0].tolist() != [0, 0]


def test_examples_of_one_padded_length_have_batches_of_their_own():
    task, spec = TASKS.get(CLASSIFICATION), tiny_spec("bert")
    lengths = [3, 9, 8, 20, 1, 24, 17]
    columns = {
        "input_ids": Ragged.of([np.ones(length, np.int32) for length in lengths]),
        "labels": np.zeros(7, np.int32),
    }
    encoded = Encoded(task, spec.schema, columns, 0, 24)
    found = [
        (sorted(indices.tolist()), batch["input_ids"].shape)
        for indices, batch in evaluation_batches(encoded, 2, 8, True)
    ]
    assert found == [([0, 4], (2, 8)), ([2], (2, 8)), ([1], (2, 16)), ([3, 6], (2, 24)), ([5], (2, 24))]
    together = [sorted(indices.tolist()) for indices, _ in evaluation_batches(encoded, 4, 8)]
    assert together == [[0, 1, 2, 4], [3, 5, 6]]


class Failing:
    """A task whose model fails on one of its texts."""

    writes = False
    name = "failing"

    def predict(self, trained, engine, rows, options):
        if any(row["text"] == "fails" for row in rows):
            raise ValueError("a fault")
        return [row["text"].upper() for row in rows]


def test_a_text_that_a_model_fails_on_leaves_those_beside_it_alone():
    @dataclasses.dataclass
    class Training:
        evaluation_batch_size: int = 8

    @dataclasses.dataclass
    class Config:
        training: Training

    @dataclasses.dataclass
    class Trained:
        config: Config
        spec: object
        tokenizer: object
        apart: bool = False
        task = Failing()

    trained = Trained(Config(Training()), tiny_spec("bert"), SimpleNamespace(pad_token_id=0))
    model = Served("failing", trained, Rows())
    assert model.rows == 8
    found = model.answers([{"text": text} for text in ("a", "fails", "b")], {})
    assert [found[0], found[2]] == ["A", "B"]
    assert isinstance(found[1], ValueError)


class Writing:
    """An engine whose decoder goes on for ever."""

    calls = 0

    def decoder(self, capacity):
        return self

    def step(self, tokens):
        self.calls += 1
        return tokens

    def translator(self):
        return None


def test_an_engine_computes_until_the_server_has_ended():
    inner, ended = Writing(), threading.Event()
    engine = Ending(inner, ended)
    decoder = engine.decoder(8)
    assert (decoder.step(3), decoder.calls, engine.translator()) == (3, 1, None)
    ended.set()
    for call in (lambda: decoder.step(4), lambda: engine.decoder(8)):
        with pytest.raises(Ended):
            call()
    assert inner.calls == 1


def test_a_text_that_is_being_written_does_not_keep_the_process(monkeypatch, capsys):
    """It would be waited for however long it is, after the server had said that it no longer waits."""

    class Long(Echo):
        stopped = None

        def answers(self, rows, options):
            os.kill(os.getpid(), signal.SIGTERM)
            self.go.clear()
            self.stopped = self.go.wait(60)
            return [InputError("Nobody waits.") for _ in rows]

    model = Long()
    monkeypatch.setattr(server, "_open", lambda *given: [model])
    port = int(free_port())
    asking = threading.Thread(target=lambda: found.append(_asked(port)))
    found: list = []
    asking.start()
    server.run([], ServingOptions(port=port, grace=1.0), None, None)
    asking.join()
    assert model.stopped is True
    assert found[0][0] == 503


def _asked(port: int):
    until(lambda: _listens(port))
    return ask(port, "POST", "/predict", {"inputs": ["a"]})


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
