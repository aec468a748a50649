"""What a run keeps of its predictions, against scikit-learn, and how its page shows them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.classification import class_scores, confusion_matrix
from common.report import classes
from common.tasks import TASKS
from common.tasks.task import Classified
from common.training import predictions
from common.training.predictions import Predictions, read_predictions, write_predictions

LABELS = ("joy", "anger", "fear")


class _Evaluated:
    """An evaluator of the task under test whose outcome is given."""

    def __init__(self, found):
        self.found = found


def written(tmp_path, monkeypatch, count=300, accuracy=0.8, texts=None):
    from datasets import Dataset

    random = np.random.default_rng(0)
    target = random.integers(0, 3, count)
    predicted = np.where(random.random(count) < accuracy, target, (target + 1) % 3)
    found = Classified(target, predicted, random.uniform(0.4, 1, count))
    task = TASKS.get("sequence-classification")
    monkeypatch.setattr(type(task), "classified", lambda self, evaluator: evaluator.found)
    rows = Dataset.from_list([{"text": (texts or {}).get(index, f"text {index}")} for index in range(count)])
    path = tmp_path / "predictions/test.json"
    write_predictions(path, task, _Evaluated(found), rows, LABELS)
    return found, read_predictions(path), path


def test_what_is_written_is_read_back_with_the_first_texts_and_the_surest_mistakes(tmp_path, monkeypatch):
    found, read, _ = written(tmp_path, monkeypatch)
    assert read.labels == LABELS
    np.testing.assert_array_equal(read.target, found.target)
    np.testing.assert_array_equal(read.predicted, found.predicted)
    np.testing.assert_allclose(read.confidence, found.confidence, atol=5e-5)
    wrong = np.flatnonzero(found.target != found.predicted)
    surest = wrong[np.argsort(-found.confidence[wrong])][: predictions.SUREST]
    assert set(read.texts) == {*range(predictions.FIRST), *surest.tolist()}
    assert read.texts[7] == "text 7"
    assert max(surest) >= predictions.FIRST  # or the second half of the rule was not seen


def test_scores_of_classes_are_those_of_scikit_learn():
    from sklearn.metrics import confusion_matrix as reference
    from sklearn.metrics import precision_recall_fscore_support

    random = np.random.default_rng(1)
    target, predicted = random.integers(0, 4, 200), random.integers(0, 3, 200)
    counts = confusion_matrix(target, predicted, 5)  # a class that does not occur, and one that is never predicted
    np.testing.assert_array_equal(counts, reference(target, predicted, labels=range(5)))
    expected = precision_recall_fscore_support(target, predicted, labels=range(5), zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        np.testing.assert_allclose(class_scores(counts)[name], values, rtol=1e-12)


def test_texts_are_shortened_and_escaped_on_the_page(tmp_path, monkeypatch):
    _, read, _ = written(tmp_path, monkeypatch, accuracy=0, texts={0: "<b>bold</b> " + "x" * 1000})
    assert len(read.texts[0]) == 400
    page = classes.of_run({"test": read})
    assert "Classes, test split" in page
    assert "<b>bold" not in page
    assert page.count("There is none.") == 1  # nothing is right


def test_several_models_are_shown_beside_each_other_on_the_same_texts():
    texts = {"0": "a", "1": "b", "2": "c"}

    def of(predicted):
        return Predictions(
            {"labels": LABELS, "target": [0, 1, 2], "predicted": predicted, "confidence": [1.0] * 3, "texts": texts}
        )

    page = classes.compared_examples({"FT": of([0, 1, 0]), "LoRA": of([0, 2, 0])})
    for title in ("Wrong in every model: 1 of 3", "Right in some models: 1 of 3", "Right in every model: 1 of 3"):
        assert title in page
    assert page.count("<mark>") == 3


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    _, _, path = written(tmp_path, monkeypatch, count=3)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "target": ["joy"]}))
    with pytest.raises(InputError, match="target"):
        read_predictions(path)
    path.write_text(json.dumps({**content, "predicted": [0]}))
    with pytest.raises(InputError, match="as many"):
        read_predictions(path)
    path.write_text(json.dumps({**content, "predicted": [0, 3, 0]}))
    with pytest.raises(InputError, match="classes"):
        read_predictions(path)


def test_a_task_without_classes_writes_nothing(tmp_path):
    path = tmp_path / "test.json"
    write_predictions(path, TASKS.get("language-modeling"), object(), None, None)
    assert not path.exists()
    assert read_predictions(path) is None
