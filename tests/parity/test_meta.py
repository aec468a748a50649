"""The gradient of meta pseudo labels: against finite differences of the student's loss after its step, by every
parameter of the teacher, in float64 on two-layer networks of either framework; and the engines that train by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.backend.batch import BatchSchema
from common.backend.distillation import LINEAR, LOG_LINEAR, TEACHER_LOGITS, Distillation
from common.backend.meta import Meta
from common.data import BatchPlan, Encoded, Ragged
from common.tasks import TASKS
from common.training.meta import MetaEngine, first_order, through_the_step
from tests.support import assert_near, build_engine, make_batch, plan_for, tiny_spec

ROWS, INPUTS, HIDDEN, CLASSES, RATE = 6, 5, 7, 3, 0.7
SHAPES = {"w": (HIDDEN, INPUTS), "b": (HIDDEN,), "v": (CLASSES, HIDDEN)}


def drawn(seed):
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape) * 0.8 for name, shape in SHAPES.items()}


def logs_of(arrays, x):
    """log softmax(v tanh(w x + b)) in NumPy."""
    z = np.tanh(x @ arrays["w"].T + arrays["b"]) @ arrays["v"].T
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


class TorchNet:
    """log softmax(v tanh(w x + b)) in float64."""

    def __init__(self, arrays):
        import torch

        self.torch, self.held = (
            torch,
            {name: torch.tensor(array, dtype=torch.float64) for name, array in arrays.items()},
        )

    def parameters(self):
        return {name: tensor.numpy().copy() for name, tensor in self.held.items()}

    def put(self, arrays):
        self.held = {name: self.torch.tensor(array, dtype=self.torch.float64) for name, array in arrays.items()}

    def _logs(self, held, x):
        z = self.torch.tanh(self.torch.tensor(x) @ held["w"].T + held["b"]) @ held["v"].T
        return self.torch.log_softmax(z, -1)

    def log_probabilities(self, x):
        return self._logs(self.held, x).numpy()

    def weighted(self, x, weights, of_logs):
        """Gradient of the sum of ``weights`` times the (log) probabilities."""
        held = {name: tensor.clone().requires_grad_() for name, tensor in self.held.items()}
        found = self._logs(held, x)
        found = found if of_logs else self.torch.exp(found)
        (found * self.torch.tensor(weights)).sum().backward()
        return {name: tensor.grad.numpy() for name, tensor in held.items()}

    def gradient(self, x, targets):
        return self.weighted(x, -targets / len(targets), True)


class MindSporeNet:
    """The same in MindSpore."""

    def __init__(self, arrays):
        import mindspore

        self.ms = mindspore
        self.put(arrays)

    def parameters(self):
        return {name: tensor.asnumpy().copy() for name, tensor in self.held.items()}

    def put(self, arrays):
        self.held = {name: self.ms.Tensor(np.array(array), self.ms.float64) for name, array in arrays.items()}

    def _logs(self, w, b, v, x):
        ops = self.ms.ops
        z = ops.matmul(ops.tanh(ops.matmul(x, ops.transpose(w, (1, 0))) + b), ops.transpose(v, (1, 0)))
        z = z - ops.stop_gradient(ops.ReduceMax(keep_dims=True)(z, -1))
        return z - ops.log(ops.exp(z).sum(-1, keepdims=True))

    def log_probabilities(self, x):
        return self._logs(*self.held.values(), self.ms.Tensor(x)).asnumpy()

    def weighted(self, x, weights, of_logs):
        given, weights = self.ms.Tensor(x), self.ms.Tensor(np.array(weights))

        def total(*held):
            found = self._logs(*held, given)
            return ((found if of_logs else self.ms.ops.exp(found)) * weights).sum()

        found = self.ms.grad(total, (0, 1, 2))(*self.held.values())
        return dict(zip(self.held, (tensor.asnumpy() for tensor in found), strict=True))

    def gradient(self, x, targets):
        return self.weighted(x, -targets / len(targets), True)


NETS = [
    pytest.param(TorchNet, marks=pytest.mark.needs_pytorch),
    pytest.param(MindSporeNet, marks=pytest.mark.needs_mindspore),
]


@pytest.fixture
def given():
    random = np.random.default_rng(3)
    return {
        "x": random.standard_normal((ROWS, INPUTS)),
        "labelled": random.standard_normal((4, INPUTS)),
        "labels": np.eye(CLASSES)[[0, 2, 1, 2]],
    }


def gradient_of(arrays, x, targets):
    """Of the mean of -sum of targets times the log probabilities, in NumPy."""
    inner = np.tanh(x @ arrays["w"].T + arrays["b"])
    z = (np.exp(logs_of(arrays, x)) * targets.sum(1, keepdims=True) - targets) / len(targets)
    back = z @ arrays["v"] * (1 - inner**2)
    return {"w": back.T @ x, "b": back.sum(0), "v": z.T @ inner}


def loss_after(student, teacher, given):
    """L(w') as a function of the teacher's parameters, in NumPy."""
    gradient = gradient_of(student, given["x"], np.exp(logs_of(teacher, given["x"])))
    after = {name: array - RATE * gradient[name] for name, array in student.items()}
    return -(logs_of(after, given["labelled"]) * given["labels"]).sum(1).mean()


@pytest.mark.parametrize("net", NETS)
def test_the_gradient_through_the_step_is_that_of_finite_differences(net, given):
    student, teacher = drawn(1), drawn(2)
    q = np.exp(logs_of(teacher, given["x"]))
    learner = net(student)
    coefficients = through_the_step(learner, given["x"], q, given["labelled"], given["labels"], RATE)
    found = net(teacher).weighted(given["x"], coefficients, of_logs=False)
    size = 1e-5
    for name, array in teacher.items():
        expected = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = {**teacher, name: array.copy()}
                moved[name][place] += sign * size
                sides.append(loss_after(student, moved, given))
            expected[place] = (sides[0] - sides[1]) / (2 * size)
        assert np.abs(expected).max() > 1e-4
        assert_near(found[name], expected, 1e-3, what=name)
    after = learner.parameters()
    gradient = gradient_of(student, given["x"], q)
    assert_near(after["w"], student["w"] - RATE * gradient["w"], 1e-12)


class ArrayNet:
    """The same in NumPy, with embeddings that no text reads."""

    def __init__(self, arrays, unread):
        self.put({**arrays, "unread": np.full(4, unread)})

    def parameters(self):
        return dict(self.held)

    def put(self, arrays):
        self.held = arrays

    def log_probabilities(self, x):
        return logs_of(self.held, x)

    def gradient(self, x, targets):
        return {**gradient_of(self.held, x, targets), "unread": np.zeros(4)}


def test_the_step_of_the_difference_does_not_grow_with_the_size_of_a_network(given):
    student, q = drawn(1), np.exp(logs_of(drawn(2), given["x"]))
    found = [
        through_the_step(ArrayNet(student, unread), given["x"], q, given["labelled"], given["labels"], RATE)
        for unread in (0.0, 1e4)
    ]
    assert_near(found[1], found[0], 1e-3)


@pytest.mark.parametrize("net", NETS)
def test_the_first_order_form_is_the_change_of_the_loss_by_the_step(net, given):
    """h is that change; to first order it is the rate times the product of both gradients, so that halving the rate
    halves what is between them four times."""
    student = drawn(1)
    classes = np.eye(CLASSES)[[0, 1, 2, 0, 1, 2]]
    apart = []
    for rate in (2e-2, 1e-2):
        h = first_order(net(student), given["x"], classes, given["labelled"], given["labels"], rate)
        gradient = net(student).gradient(given["x"], classes)
        on_labels = net(student).gradient(given["labelled"], given["labels"])
        product = rate * sum((gradient[name] * on_labels[name]).sum() for name in student)
        assert h == pytest.approx(product, rel=0.05)
        apart.append(h - product)
    assert apart[0] / apart[1] == pytest.approx(4.0, rel=0.1)


def encoded_texts(spec, count=8):
    """Texts of equal length, without labels."""
    task = TASKS.get("sequence-classification")
    batch = make_batch("bert", [6] * count, seed=5)
    columns = {"input_ids": Ragged.of(list(batch["input_ids"])), "labels": np.full(count, IGNORE, np.int32)}
    return Encoded(task, spec.schema, columns, 0, 16, label_names=("class0", "class1", "class2"))


def meta_engine(backend, form="exact", rate=0.3):
    spec = tiny_spec("bert", num_hidden_layers=1)
    spec = dataclasses.replace(spec, schema=BatchSchema.of(spec.schema.fields, (TEACHER_LOGITS,)))
    plan = plan_for(spec, (), "full")
    linear = LINEAR if form == "exact" else LOG_LINEAR
    student = build_engine(backend, spec, plan, distillation=Distillation("meta", "soft", 1.0, task_weight=0.0))
    teacher = build_engine(backend, spec, plan, distillation=Distillation("meta", linear, 1.0))
    texts = BatchPlan(encoded_texts(spec), 6, 3, 2, 0)  # a last step of two texts, which one row fills up
    return MetaEngine(student, teacher, texts, Meta("texts", form, rate, 1.0), 0)


def labelled_batch(seed=0):
    batch = dict(make_batch("bert", (6, 4, 5), seed=seed))
    return batch | {TEACHER_LOGITS.name: np.zeros((3, 3), np.float32)}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, form, marks=[mark, *([] if (name, form) == ("pytorch", "exact") else [pytest.mark.nightly])])
        for name, mark in (("pytorch", pytest.mark.needs_pytorch), ("mindspore", pytest.mark.needs_mindspore))
        for form in ("exact", "first-order")
    ],
)
def test_a_step_moves_student_and_teacher_and_continues_from_its_state(name, form):
    backend = load(name)
    engine = meta_engine(backend, form)
    before = engine.trainable(), engine.teacher.trainable()
    for step in range(2):
        [(loss, norm)] = engine.fetch([engine.train_step([labelled_batch(step)], 1e-2)])
        assert np.isfinite(loss)
        assert norm > 0
    for earlier, later in zip(before, (engine.trainable(), engine.teacher.trainable()), strict=True):
        assert any(np.abs(later[one] - earlier[one]).max() > 1e-4 for one in earlier)
    other = meta_engine(backend, form)
    other.load_trainable(engine.trainable())
    other.load_state(engine.state())
    for one in (engine, other):
        one.train_step([labelled_batch(7)], 1e-2)
    for one, array in engine.trainable().items():
        assert_near(other.trainable()[one], array, 1e-5, absolute=True)


@pytest.mark.needs_pytorch
def test_the_engines_term_is_the_change_of_the_students_loss_by_what_the_teacher_says():
    """L(w') by the pseudo labels of one text, against a difference of two steps of the engine."""
    engine = meta_engine(load("pytorch"))
    learner = engine._learner
    texts = [{**batch, "real rows": np.ones(3, bool)} for batch in next(engine.unlabelled.epoch(0))]
    labelled = [{**labelled_batch(), "real rows": np.ones(3, bool)}]
    truth = np.eye(3)[labelled[0]["labels"]]
    start = learner.parameters()
    q = np.full((6, 3), 1 / 3)
    found = through_the_step(learner, texts, q, labelled, truth, 0.3)
    for row, label in ((0, 1), (4, 2)):
        sides = []
        for sign in (1, -1):
            moved = q.copy()
            moved[row, label] += sign * 0.1
            moved[row, (label + 1) % 3] -= sign * 0.1  # probabilities still
            learner.put(start)
            gradient = learner.gradient(texts, moved)
            learner.put({name: array - 0.3 * gradient[name] for name, array in start.items()})
            sides.append(-(learner.log_probabilities(labelled) * truth).sum(1).mean())
        slope = (sides[0] - sides[1]) / 0.2
        assert found[row, label] - found[row, (label + 1) % 3] == pytest.approx(slope, rel=2e-2, abs=2e-5)


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_both_backends_take_the_same_meta_steps():
    found = []
    for name in ("pytorch", "mindspore"):
        engine = meta_engine(load(name))
        losses = engine.fetch([engine.train_step([labelled_batch(step % 2)], 1e-3) for step in range(4)])
        found.append((np.array(losses), engine.trainable()))
    assert_near(found[1][0], found[0][0], 1e-4)
    for name, array in found[0][1].items():
        assert_near(found[1][1][name], array, 1e-4, absolute=True)
