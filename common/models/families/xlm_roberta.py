"""XLM-RoBERTa (Conneau et al. 2020): RoBERTa's network with a vocabulary of a hundred languages."""

from __future__ import annotations

from common.models.families.roberta import Roberta

__all__ = ["MEMBER", "XLMRoberta"]


class XLMRoberta(Roberta):
    """Its parameters carry RoBERTa's names."""

    name = "xlm-roberta"
    architecture = "XLMRoberta"
    DEFAULTS = {**Roberta.DEFAULTS, "model_type": name, "vocab_size": 30522}


MEMBER = XLMRoberta()
