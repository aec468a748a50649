"""A toy task: is the first word before the second one in the alphabet? Its labels come from the text itself."""

import numpy as np

from common.backend.batch import IGNORE, Field
from common.data.roles import TEXT
from common.data.texts import encode_texts
from common.tasks.collecting import Sums
from common.tasks.task import Answer, Task


class Order(Task):
    name = "order"
    head = "order"
    peft_type = "SEQ_CLS"
    roles = (TEXT,)
    FIELDS = (Field("labels", ("batch",), padding=IGNORE),)
    outputs = ("logits",)
    metrics = {"loss": False}

    def entries(self, labels):
        return {"num_labels": 2}

    def encode(self, rows, tokenizer, max_length):
        columns, truncated = encode_texts(rows, tokenizer, max_length)
        labels = [int(text.split()[0] < text.split()[-1]) for text in rows["text"]]
        return columns | {"labels": np.array(labels, np.int32)}, truncated

    def evaluator(self, encoded):
        return Evaluator()

    def answers(self, rows, outputs, labels):
        for row, output in zip(rows, outputs, strict=True):
            yield Answer("yes" if output["logits"][1] > output["logits"][0] else "no", dict(row))

    def example_targets(self, spec, inputs, draw):
        """One class for all: gradients that nearly cancel would compare nothing but rounding."""
        return {"labels": np.ones(len(inputs["input_ids"]), np.int32)}


class Evaluator:
    def __init__(self):
        self.sums = Sums()

    def update(self, indices, batch, result):
        self.sums.update(result.loss_sum, result.count)

    def reduce(self, group):
        self.sums.reduce(group)

    def metrics(self):
        return {"loss": self.sums.loss / self.sums.count}


MEMBER = Order()
