"""Batches: every example exactly once, the documented layout, and the same bytes for the same inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.backend import IGNORE
from common.data import BatchPlan, Encoded, Ragged, evaluation_batches
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS

PAD = 7


def ragged(lengths, language=False, family="bert", max_length=40):
    """Examples whose tokens tell which example they are of; language-model examples carry one token more."""
    task = TASKS.get("language-modeling" if language else "sequence-classification")
    sizes = np.array(lengths) + language
    stops = np.cumsum(sizes)
    starts = stops - sizes
    tokens = np.concatenate([np.full(size, 100 + i) for i, size in enumerate(sizes)]).astype(np.int32)
    labels = Ragged(tokens, starts + 1, stops) if language else np.arange(len(lengths), dtype=np.int32)
    columns = {"input_ids": Ragged(tokens, starts, stops - language), "labels": labels}
    return Encoded(task, task.schema(FAMILIES.get(family)), columns, PAD, max_length)


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(
    lengths=LENGTHS,
    micro=st.integers(1, 5),
    accumulation=st.integers(1, 4),
    multiple=st.integers(1, 16),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 99),
)
def test_an_epoch_holds_every_example_exactly_once(lengths, micro, accumulation, multiple, seed, epoch):
    encoded = ragged(lengths)
    plan = BatchPlan(encoded, micro * accumulation, micro, multiple, seed)
    steps = list(plan.epoch(epoch))
    assert len(steps) == plan.steps_per_epoch == len(plan.indices(epoch))
    seen = [label for step in steps for batch in step for label in batch["labels"].tolist() if label != IGNORE]
    assert sorted(seen) == list(range(len(lengths)))
    assert all(len(step) == accumulation for step in steps[:-1])
    for step in steps:
        for batch in step:
            assert (batch["labels"] != IGNORE).any()
            assert len(batch["labels"]) == micro
            check_layout(batch, encoded, multiple)


def check_layout(batch, encoded, multiple):
    assert {name: array.dtype for name, array in batch.items()} == dict.fromkeys(batch, np.dtype(np.int32))
    rows, width = batch["input_ids"].shape
    longest = 0
    for row in range(rows):
        length = int(batch["attention_mask"][row].sum())
        assert batch["attention_mask"][row].tolist() == [1] * length + [0] * (width - length)
        assert (batch["input_ids"][row, length:] == PAD).all()
        label = batch["labels"][row]
        if label == IGNORE:
            assert length == 1
        else:
            assert length == encoded.lengths[label]
            assert (batch["input_ids"][row, :length] == 100 + label).all()
            longest = max(longest, length)
    assert width == min(-(-longest // multiple) * multiple, encoded.max_length)


@settings(deadline=None, max_examples=30)
@given(lengths=LENGTHS, size=st.integers(1, 7))
def test_evaluation_indices_restore_the_order(lengths, size):
    encoded = ragged(lengths)
    restored = np.full(len(lengths), IGNORE)
    for indices, batch in evaluation_batches(encoded, size, 8):
        assert len(batch["labels"]) == size
        assert (batch["labels"][len(indices) :] == IGNORE).all()
        restored[indices] = batch["labels"][: len(indices)]
        check_layout(batch, encoded, 8)
    assert restored.tolist() == list(range(len(lengths)))


def test_language_model_labels_are_the_following_tokens():
    task = TASKS.get("language-modeling")
    inputs = Ragged(np.array([1, 2, 3, 4, 5, 6], np.int32), np.array([0, 4]), np.array([3, 5]))
    labels = Ragged.of([np.array([IGNORE, 3, 4], np.int32), np.array([6], np.int32)])
    encoded = Encoded(task, task.schema(FAMILIES.get("gpt2")), {"input_ids": inputs, "labels": labels}, PAD, 8)
    [(indices, batch)] = evaluation_batches(encoded, 3, 4)
    assert indices.tolist() == [1, 0]
    assert batch["input_ids"].tolist() == [[5, PAD, PAD, PAD], [1, 2, 3, PAD], [PAD] * 4]
    assert batch["attention_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]
    assert batch["labels"].tolist() == [[6, IGNORE, IGNORE, IGNORE], [IGNORE, 3, 4, IGNORE], [IGNORE] * 4]
    assert task.targets(batch) == 3


def test_token_types_are_for_bert_only():
    assert set(next(iter(evaluation_batches(ragged([3]), 1, 1)))[1]) == {
        "input_ids",
        "attention_mask",
        "labels",
        "token_type_ids",
    }
    assert set(next(iter(evaluation_batches(ragged([3], family="gpt2"), 1, 1)))[1]) == {
        "input_ids",
        "attention_mask",
        "labels",
    }


def test_order_depends_on_seed_and_epoch_and_on_nothing_else():
    encoded = ragged([3] * 200)
    orders = {
        (seed, epoch): np.concatenate(BatchPlan(encoded, 8, None, 8, seed).indices(epoch)).tobytes()
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(set(orders.values())) == 16
    assert np.concatenate(BatchPlan(ragged([3] * 200), 8, 4, 16, 2).indices(3)).tobytes() == orders[2, 3]


def test_the_order_is_pinned():
    """A later change of the order would silently change every published result."""
    steps = [step.tolist() for step in BatchPlan(ragged([5, 1, 4, 2, 3]), 2, None, 1, 42).indices(0)]
    assert steps == [[4, 0], [1, 3], [2]]


def test_equal_inputs_give_equal_bytes():
    def content():
        plan = BatchPlan(ragged(list(range(1, 41)) * 5), 16, 4, 8, 42)
        return [
            (name, array.shape, array.tobytes())
            for step in plan.epoch(1)
            for batch in step
            for name, array in batch.items()
        ]

    assert content() == content()


def test_sorting_within_pools_leaves_little_padding():
    lengths = np.random.default_rng(0).integers(1, 40, 2000)
    batches = [batch for step in BatchPlan(ragged(lengths), 16, None, 1, 0).epoch(0) for batch in step]
    cells = sum(batch["attention_mask"].size for batch in batches)
    assert cells < 1.1 * lengths.sum()
    widths = [batch["attention_mask"].shape[1] for batch in batches]
    assert np.abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.3  # lengths do not drift over the epoch


def test_the_incomplete_step_is_last_and_not_made_of_the_longest():
    lengths = list(range(1, 40)) * 10
    plan = BatchPlan(ragged(lengths), 16, None, 1, 0)
    last = [plan.indices(epoch)[-1] for epoch in range(40)]
    assert {len(indices) for indices in last} == {len(lengths) % 16}
    assert 15 < np.mean([lengths[i] for indices in last for i in indices]) < 25


def test_an_epoch_resumes_in_the_middle():
    plan = BatchPlan(ragged([3, 5, 8] * 9), 4, 2, 8, 1)
    rest, whole = list(plan.epoch(2, start=3)), list(plan.epoch(2))
    assert len(rest) == len(whole) - 3
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert [batch["input_ids"].tobytes() for batch in ours] == [batch["input_ids"].tobytes() for batch in theirs]


def test_micro_batches_of_a_step_hold_the_examples_of_the_global_batch():
    encoded = ragged(list(range(1, 33)))
    whole = [{*step[0]["labels"].tolist()} for step in BatchPlan(encoded, 8, None, 8, 5).epoch(0)]
    split = [
        {label for batch in step for label in batch["labels"].tolist()}
        for step in BatchPlan(encoded, 8, 2, 8, 5).epoch(0)
    ]
    assert whole == split


@pytest.mark.parametrize(("global_size", "micro", "multiple"), [(8, 3, 8), (0, None, 8), (4, 8, 8), (8, 4, 0)])
def test_impossible_sizes_are_refused(global_size, micro, multiple):
    with pytest.raises(InputError, match=r"multiple|at least 1"):
        BatchPlan(ragged([3]), global_size, micro, multiple, 0)
