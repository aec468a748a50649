"""What other libraries make of our files: PEFT computes with an adapter, whichever backend wrote it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from common.backend import Batch

__all__ = ["peft_logits"]


def peft_logits(
    base_model: str, adapter: Path, batch: Batch, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Next-token logits of the GPT-2 that `transformers` loads from ``base_model``, with PEFT's reading of ``adapter``.

    Args:
        positions: ``(batch,)``, one position per row.

    Returns:
        Logits with and without the adapter, each ``(batch, vocabulary)`` float32, and PEFT's version.
    """
    import peft
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings(
        "ignore", category=FutureWarning, module="transformers"
    )  # PEFT asks an attribute that transformers is renaming
    model = peft.PeftModel.from_pretrained(GPT2LMHeadModel.from_pretrained(base_model), str(adapter)).eval()
    inputs = {name: torch.from_numpy(batch[name]).long() for name in ("input_ids", "attention_mask")}
    at = torch.arange(len(positions)), torch.from_numpy(positions).long()
    with torch.no_grad():
        adapted = model(**inputs).logits[at].numpy()
        with model.disable_adapter():
            base = model(**inputs).logits[at].numpy()
    return adapted, base, peft.__version__
