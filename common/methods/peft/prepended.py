"""What PEFT's methods that learn a prompt have in common: one array ``prompt_embeddings``, and the sizes of the model.

PEFT stores what an encoder or a projection makes and gives it up itself. Here it is kept beside the prompt, under keys
that PEFT leaves alone, so that a training can go on; the two must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.data.sources import portable_name
from common.edits import Edit
from common.errors import InputError
from common.methods.peft.format import PeftFormat, modules_to_save
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["OWN", "PROMPT", "PrependedFormat", "tokens_of"]

PROMPT = "prompt_embeddings"
OWN = "twinlora."  #: begins the keys of what makes a prompt
_CLOSE = 1e-5  #: of the prompt's largest number; it was rounded to float32 once
_KNOWN = {
    *("peft_type", "task_type", "num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads"),
    *("num_layers", "modules_to_save", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    "inference_mode",
}


class PrependedFormat(PeftFormat):
    """Members say what PEFT calls them, and what else they read."""

    kinds: tuple[str, ...]  #: the ``peft_type`` that is written, and others that are read
    known: frozenset[str] = frozenset()  #: entries of ``adapter_config.json`` besides the common ones

    def made(self, edit: Edit) -> bool:
        """Whether the prompt is made of the edit's parameters, instead of being one of them."""
        return False

    def prompt(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """What PEFT puts before a sequence, ``(tokens, ...)``."""
        return arrays[edit.parameters[0].name]

    def prompt_shape(self, edit: Edit) -> tuple[int, ...]:
        """Of ``prompt``."""
        return edit.parameters[0].shape

    def sizes(self, edit: Edit) -> tuple[int, int]:
        """``token_dim`` and ``num_attention_heads``."""
        return edit.arguments.width, edit.arguments.heads

    def entries(self, edit: Edit) -> dict[str, Any]:
        """Settings of the method."""
        return {}

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """Sizes of the prompt and of the model."""
        edit, arguments = plan.edits[0], plan.edits[0].arguments
        width, heads = self.sizes(edit)
        required = {
            "peft_type": self.kinds[0],
            "task_type": TASKS.get(spec.task).peft_type,
            "num_virtual_tokens": arguments.tokens,
            "token_dim": width,
            "num_transformer_submodules": 1,
            "num_attention_heads": heads,
            "num_layers": arguments.layers,
            **self.entries(edit),
        }
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another method, other sizes, and settings that are not supported."""
        problems, arguments = [], plan.edits[0].arguments
        width, heads = self.sizes(plan.edits[0])
        if config.get("peft_type") not in self.kinds:
            problems.append(f"peft_type must be {' or '.join(self.kinds)}; received {config.get('peft_type')!r}")
        problems += [
            f"{key} = {value!r} is not supported"
            for key, value in config.items()
            if value and key not in _KNOWN | self.known
        ]
        expected = {
            "num_virtual_tokens": arguments.tokens,
            "token_dim": width,
            "num_attention_heads": heads,
            "num_layers": arguments.layers,
            "num_transformer_submodules": 1,
        }
        problems += [
            f"{key} must be {value}; received {config[key]!r}"
            for key, value in expected.items()
            if config.get(key) not in (None, value)
        ]
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """The prompt, and what it is made of."""
        own = {OWN + p.leaf: p.shape for p in edit.parameters} if self.made(edit) else {}
        return {PROMPT: self.prompt_shape(edit), **own}

    def export(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The prompt rounded once to float32."""
        own = {OWN + p.leaf: arrays[p.name] for p in edit.parameters} if self.made(edit) else {}
        return {PROMPT: np.asarray(self.prompt(edit, arrays), np.float32), **own}

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the prompt is not what the other arrays make."""
        if not self.made(edit):
            return {edit.parameters[0].name: tensors[PROMPT]}
        arrays = {p.name: tensors[OWN + p.leaf] for p in edit.parameters}
        exact = self.prompt(edit, arrays)
        if np.abs(exact - tensors[PROMPT]).max() > _CLOSE * max(1.0, np.abs(exact).max()):
            raise InputError(
                f"{PROMPT} of an adapter must be what its own {OWN}* arrays make; it is not. Get the adapter again from "
                f"where it came, or remove the {OWN}* arrays to use the prompt as it is."
            )
        return arrays

    def stored(self, key: str) -> str:
        """PEFT keeps a prompt beside the model, and the model without a wrapper."""
        return key if key == PROMPT or key.startswith(OWN) else f"base_model.{key}"


def tokens_of(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Virtual tokens of a folder's prompt; None where it has none."""
    shape = shapes.get(PROMPT)
    return shape[0] if shape is not None and len(shape) == 2 else None
