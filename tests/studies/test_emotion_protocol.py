"""The published study of full fine-tuning and LoRA on Emotion: its stopping rule, and its six counts to the unit."""

from types import SimpleNamespace

import numpy as np
import pytest

from common.methods import METHODS
from common.models import FAMILIES
from common.models.specs import ModelSpec
from common.studies.definition import read_definition
from common.studies.points import expand
from common.tasks import TASKS
from common.training.stopping import EarlyStopping


def stopped_after(values, patience=4):
    """The evaluation, from 1, after which training stops; the best one."""
    stopping = EarlyStopping(higher_is_better=True, patience=patience)
    for number, value in enumerate(values, start=1):
        stopping.update(number, value)
        if stopping.exhausted:
            return number, stopping.best_step
    return None, stopping.best_step


def test_four_evaluations_without_a_strictly_better_accuracy_stop():
    assert stopped_after([0.5, 0.9, 0.8, 0.9, 0.7, 0.9, 0.95]) == (6, 2)  # a tie is no improvement
    assert stopped_after([0.5, 0.9, 0.8, 0.9, 0.7, 0.91, 0.9, 0.9, 0.9, 0.9]) == (10, 6)
    assert stopped_after([0.9, 0.8, 0.8, 0.8]) == (None, 1)


@pytest.mark.needs_pytorch
def test_it_stops_where_the_callback_of_transformers_does():
    from transformers import EarlyStoppingCallback, TrainerControl

    random = np.random.default_rng(0)
    arguments = SimpleNamespace(metric_for_best_model="accuracy", greater_is_better=True)
    stops = []
    for _ in range(200):
        values = random.choice([0.90, 0.91, 0.92, 0.93, 0.94], 30)  # with many ties
        callback, control = EarlyStoppingCallback(4), TrainerControl()
        state = SimpleNamespace(best_metric=None)
        expected = None
        for number, value in enumerate(values, start=1):
            callback.on_evaluate(arguments, state, control, {"eval_accuracy": value})
            if state.best_metric is None or value > state.best_metric:  # as the Trainer does afterwards
                state.best_metric = value
            if control.should_training_stop:
                expected = number
                break
        stops.append(expected)
        assert stopped_after(values)[0] == expected
    assert len(set(stops)) > 5


def bert_base():
    """The shapes of BERT-base with six classes; no weight is made."""
    family, task = FAMILIES.get("bert"), TASKS.get("sequence-classification")
    config = {**family.DEFAULTS, "num_labels": 6}
    layout = task.layout(family, config)
    backbone = family.backbone(config)
    head = layout.modules(backbone.width, 6)
    return ModelSpec(
        family="bert", task=task.name, config=config, modules=(*backbone.modules, *head), head=layout.new(), arrays={},
        schema=task.schema(family), layout=layout,
    )  # fmt: skip


def test_the_study_trains_the_published_numbers_of_parameters():
    """The published counts hold the classifier (768 * 6 + 6) twice, as PEFT counted then."""
    spec, found = bert_base(), {}
    for point in expand(read_definition("emotion")):
        options = point.config.adaptation
        total = METHODS.get(options.method).plan(options, spec).counts()["total"]
        found.setdefault((point.label["model"], point.label.get("adaptation.rank")), set()).add(total)
    classifier = 768 * 6 + 6
    published = {
        ("LoRA-att", 2): 82_956, ("LoRA-att", 8): 304_140, ("LoRA-att", 32): 1_188_876,
        ("LoRA-att+lin", 2): 344_076, ("LoRA-att+lin", 8): 1_348_620, ("LoRA-att+lin", 32): 5_366_796,
    }  # fmt: skip
    for key, count in published.items():
        assert found[key] == {count - classifier}
    assert found["FT", None] == {109_482_240 + classifier}


def test_the_study_is_the_published_protocol():
    points = expand(read_definition("emotion"))
    models = [point.label["model"] for point in points]
    assert [models.count(name) for name in ("FT", "LoRA-att", "LoRA-att+lin")] == [6, 6, 6]
    for point in points:
        training, optimization = point.config.training, point.config.optimization
        assert (training.global_batch_size, training.epochs, training.max_steps) == (16, 10, None)
        assert (training.evaluate_every_steps, training.patience, training.metric) == (250, 4, "accuracy")
        assert (optimization.schedule, optimization.warmup_steps, optimization.warmup_ratio) == ("linear", 0, None)
        assert (point.config.data.max_length, training.dtype) == (512, "fp32")
