"""A toy family: the mean of word vectors, mixed by one matrix. It is no network of transformers."""

from common.models.family import FIRST, Backbone, Family, HeadLayout
from common.models.modules import EMBEDDING, LINEAR, ModuleSpec


class Bag(Family):
    name = "bag"
    HEADS = ("width", "parts")
    DROPOUTS = ("dropout",)
    TARGETS = ("bag.mix",)
    SIZE = {"hidden": "width"}
    DEFAULTS = {
        "model_type": "bag",
        "vocab_size": 100,
        "width": 16,
        "parts": 1,
        "dropout": 0.1,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }

    def backbone(self, config):
        width = config["width"]
        table = ModuleSpec("bag.table", EMBEDDING, config["vocab_size"], width, bias=False)
        return Backbone((table, ModuleSpec("bag.mix", LINEAR, width, width)), width, 1, "bag")

    def head(self, name, config):
        if name not in ("sequence", "order"):
            return None
        return HeadLayout("BagForSequenceClassification", FIRST, "classifier", dropout=config["dropout"])

    def positions(self, config):
        return None


MEMBER = Bag()
