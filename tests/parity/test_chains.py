"""Chains of tags in both backends: the sum over all sequences against brute force, gradients against float64, and what
padding, gaps and words without tags change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from common.backend import IGNORE

TAGS, FACTOR = 4, 2e-6
NAMES = ("transitions", "start", "end")


def arrays(seed: int, batch: int, length: int, tags: int = TAGS) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"logits": (batch, length, tags), "transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    return {name: (2 * random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}


def brute_force(given: dict[str, np.ndarray], words: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(batch,) losses: over every sequence there is, in float64."""
    exact = {name: array.astype(np.float64) for name, array in given.items()}
    tags, losses = exact["start"].shape[0], []
    for row in range(len(words)):
        places = np.flatnonzero(words[row] >= 0)
        if not len(places):
            losses.append(0.0)
            continue
        every, known = [], []
        for sequence in itertools.product(range(tags), repeat=len(places)):
            score = exact["start"][sequence[0]] + exact["end"][sequence[-1]]
            score += sum(exact["logits"][row, place, tag] for place, tag in zip(places, sequence, strict=True))
            score += sum(exact["transitions"][before, after] for before, after in itertools.pairwise(sequence))
            every.append(score)
            labelled = zip(labels[row, places], sequence, strict=True)
            if all(label in (IGNORE, tag) for label, tag in labelled):
                known.append(score)
        losses.append(np.logaddexp.reduce(every) - np.logaddexp.reduce(known))
    return np.array(losses)


def loss_and_gradients(name: str, given, words, labels, dtype=np.float32):
    """Of one backend."""
    if name == "pytorch":
        import torch

        from pytorch_impl.layers.crf import Chain

        chain = Chain(given["start"].shape[0])
        tensors = {key: torch.from_numpy(array.astype(dtype)).requires_grad_() for key, array in given.items()}
        for leaf in NAMES:
            chain._parameters[leaf] = torch.nn.Parameter(tensors[leaf].detach())
        loss = chain(tensors["logits"], torch.from_numpy(labels), torch.from_numpy(words))
        loss.backward()
        found = {leaf: getattr(chain, leaf).grad.numpy() for leaf in NAMES}
        return loss.item(), found | {"logits": tensors["logits"].grad.numpy()}
    import mindspore as ms

    from mindspore_impl.layers.crf import Chain
    from mindspore_impl.layers.modules import assign

    chain = Chain(given["start"].shape[0])
    for leaf in NAMES:
        assign(getattr(chain, leaf), given[leaf])
        getattr(chain, leaf).requires_grad = True
    weights = ms.ParameterTuple([getattr(chain, leaf) for leaf in NAMES])
    function = ms.jit(ms.value_and_grad(chain, 0, weights))
    for _ in range(2):  # a graph may compute another gradient at its second execution
        loss, (by_logits, by_weights) = function(*(ms.Tensor(array) for array in (given["logits"], labels, words)))
    found = dict(zip(NAMES, (gradient.asnumpy() for gradient in by_weights), strict=True))
    return float(loss.asnumpy()), found | {"logits": by_logits.asnumpy()}


def case(seed: int, batch: int = 6, length: int = 5):
    """Rows of uneven length with gaps, one word alone, no word at all, and words without tags."""
    random = np.random.default_rng(seed + 100)
    there = random.random((batch, length)) < 0.7
    there[0], there[1], there[2] = True, False, np.arange(length) == 2
    words = np.where(there, there.cumsum(1) - 1, -1).astype(np.int32)
    labels = np.where(there & (random.random((batch, length)) < 0.8), random.integers(0, TAGS, (batch, length)), IGNORE)
    return arrays(seed, batch, length), words, labels.astype(np.int32)


BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]
LATER = [BACKENDS[0], pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_the_loss_is_that_over_all_sequences(name, seed):
    given, words, labels = case(seed)
    expected = brute_force(given, words, labels).sum()
    assert loss_and_gradients(name, given, words, labels)[0] == pytest.approx(expected, rel=FACTOR)


@pytest.mark.needs_pytorch
def test_the_loss_of_one_word_or_none_is_exact():
    import torch

    from pytorch_impl.layers.crf import log_sum

    given = {key: torch.from_numpy(array.astype(np.float64)) for key, array in arrays(3, 1, 1).items()}
    one = log_sum(given["logits"], torch.zeros(1, 1, dtype=torch.int32), *(given[name] for name in NAMES))
    total = given["logits"][0, 0] + given["start"] + given["end"]
    assert one.item() == pytest.approx(torch.logsumexp(total, 0).item(), rel=1e-12)
    none = loss_and_gradients(
        "pytorch", arrays(3, 2, 4), np.full((2, 4), -1, np.int32), np.full((2, 4), IGNORE, np.int32)
    )
    assert none[0] == 0.0
    assert not any(gradient.any() for gradient in none[1].values())


@pytest.mark.parametrize("name", BACKENDS)
def test_gradients_are_those_of_float64(name):
    pytest.importorskip("torch")
    given, words, labels = case(7, 8, 33)
    exact, expected = loss_and_gradients("pytorch", given, words, labels, np.float64)
    loss, found = loss_and_gradients(name, given, words, labels)
    assert loss == pytest.approx(exact, rel=FACTOR)
    largest = max(np.abs(array).max() for array in expected.values())
    for leaf, array in expected.items():
        assert np.abs(found[leaf] - array).max() <= 1e-5 * largest, leaf


@pytest.mark.parametrize("name", LATER)
def test_padding_further_changes_nothing(name):
    given, words, labels = case(11, 5, 6)
    wide = {**given, "logits": np.concatenate([given["logits"], np.full((5, 7, TAGS), 3.0, np.float32)], 1)}
    further = np.concatenate([words, np.full((5, 7), -1, np.int32)], 1)
    unknown = np.concatenate([labels, np.full((5, 7), IGNORE, np.int32)], 1)
    loss, found = loss_and_gradients(name, given, words, labels)
    padded, other = loss_and_gradients(name, wide, further, unknown)
    assert padded == pytest.approx(loss, rel=FACTOR)
    assert not other["logits"][:, 6:].any()
    for leaf in NAMES:
        np.testing.assert_allclose(other[leaf], found[leaf], atol=1e-5)


@pytest.mark.parametrize("name", LATER)
def test_a_confident_and_wrong_sentence_has_a_finite_loss(name):
    given, words, labels = case(2, 4, 5)
    given["logits"] = given["logits"] * 60
    loss, found = loss_and_gradients(name, given, words, labels)
    assert loss == pytest.approx(brute_force(given, words, labels).sum(), rel=1e-5)
    assert all(np.isfinite(array).all() for array in found.values())
