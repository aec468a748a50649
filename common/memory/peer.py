"""The same account for the network of transformers under PEFT, as they come."""

from __future__ import annotations

from common.bench.subjects import load_peer
from common.config import ExperimentConfig
from common.errors import InputError
from common.memory.account import Account, assemble, check_sizes, components_of
from common.memory.outline import outlined

__all__ = ["of_peft"]


def of_peft(config: ExperimentConfig, rows: int, length: int) -> Account:
    """The account of the experiment's network, adapted by PEFT's LoRA or trained whole.

    Raises:
        InputError: it is neither, or not in float32 without recomputing.
    """
    spec, plan = outlined(config)
    check_sizes(spec, rows, length)
    whole = plan.artifact != "adapter"
    lora = bool(plan.edits) and all(hasattr(edit.arguments, "rank_stabilized") for edit in plan.edits)
    if not (whole or lora) or config.training.dtype != "fp32" or config.training.recompute:
        raise InputError(
            "The account of transformers and PEFT is there for LoRA and for training the whole model, in fp32 without "
            f"recomputing; received method {plan.method}, {config.training.dtype}, recompute {config.training.recompute}."
        )
    held = load_peer("pytorch", "peft_memory").held(spec, plan, config, rows, length)
    about = {
        "backend": "transformers" if whole else "transformers, PEFT",
        "way": "counted",
        "model": config.model.source or spec.family,
        "method": plan.method,
        "rows": rows,
        "length": length,
        "dtype": "fp32",
        "recompute": False,
    }
    return assemble(held, components_of(spec, [edit.path for edit in plan.edits]), about)
