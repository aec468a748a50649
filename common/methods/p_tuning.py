"""P-tuning (Liu et al. 2021): the embeddings before those of the sequence come from an encoder that is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from common.edits import Edit, Normal, ParameterSpec, Uniform
from common.methods.peft.format import PeftFormat
from common.methods.prepending import PrependArguments, Prepending, PrependOptions, linear_init
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "PTuning", "PTuningArguments", "PTuningOptions", "encoded"]


@dataclass(frozen=True)
class PTuningOptions(PrependOptions):
    """PEFT's two encoders: an MLP of three layers, or an LSTM in both directions with an MLP of two layers behind it."""

    encoder: Literal["mlp", "lstm"] = "mlp"
    hidden: int | None = None  #: width of the encoder; that of the model by default
    layers: int = 2  #: of the LSTM
    dropout: float = 0.0  #: between them

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range, or belongs to the other encoder."""
        yield from super().problems()
        if self.hidden is not None and self.hidden < 1:
            yield "hidden", f"must be greater than 0; received {self.hidden!r}"
        if self.layers < 1:
            yield "layers", f"must be greater than 0; received {self.layers!r}"
        if not 0 <= self.dropout < 1:
            yield "dropout", f"must be at least 0 and less than 1; received {self.dropout!r}"
        if self.encoder == "mlp" and (self.layers != 2 or self.dropout):
            yield "encoder", "must be lstm where layers or dropout are given: they are those of the LSTM"


@dataclass(frozen=True)
class PTuningArguments(PrependArguments):
    """With the encoder's sizes."""

    encoder: str = "mlp"
    hidden: int = 0
    depth: int = 2  #: layers of the LSTM
    dropout: float = 0.0


def encoded(edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The prompt ``(tokens, width)`` that the encoder makes, in float64."""
    own = {parameter.leaf: arrays[parameter.name].astype(np.float64) for parameter in edit.parameters}
    x, recurrent = own["prompt_embedding"], edit.arguments.encoder == "lstm"
    for layer in range(edit.arguments.depth if recurrent else 0):
        x = np.concatenate([_direction(x, own, f"l{layer}{suffix}") for suffix in ("", "_reverse")], 1)
    last = 1 if recurrent else 2
    for number in range(last + 1):
        x = x @ own[f"mlp_{number}_weight"].T + own[f"mlp_{number}_bias"]
        x = np.maximum(x, 0.0) if number < last else x
    return x


def _direction(x: np.ndarray, own: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """One LSTM over ``(tokens, in)``; gates are input, forget, cell, output (Hochreiter and Schmidhuber 1997)."""
    shares = x @ own[f"lstm_weight_ih_{name}"].T + own[f"lstm_bias_ih_{name}"] + own[f"lstm_bias_hh_{name}"]
    weight = own[f"lstm_weight_hh_{name}"]
    h, c = np.zeros(weight.shape[1]), np.zeros(weight.shape[1])
    found = np.empty((len(x), len(h)))
    for step in range(len(x))[:: -1 if name.endswith("_reverse") else 1]:
        i, f, g, o = np.split(shares[step] + weight @ h, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = found[step] = _sigmoid(o) * np.tanh(c)
    return found


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


class PTuning(Prepending):
    """Trains the encoder, what it reads, and the task head."""

    name = "p_tuning"
    layer = "p_tuning"
    Options = PTuningOptions

    def arguments(self, options: PTuningOptions, sizes: PrependArguments) -> PTuningArguments:
        """The encoder's settings."""
        hidden = options.hidden or sizes.width
        return PTuningArguments(
            **vars(sizes), encoder=options.encoder, hidden=hidden, depth=options.layers, dropout=options.dropout
        )

    def parameters(
        self, options: PTuningOptions, sizes: PrependArguments, path: str, spec: ModelSpec
    ) -> tuple[ParameterSpec, ...]:
        """``prompt_embedding`` (tokens, width); ``lstm_...`` under torch's names; ``mlp_N_weight`` and ``mlp_N_bias``."""
        hidden, width = options.hidden or sizes.width, sizes.width
        shapes: dict[str, tuple[tuple[int, ...], float]] = {}
        if options.encoder == "lstm":
            for layer in range(options.layers):
                for suffix in ("", "_reverse"):
                    name, inputs = f"l{layer}{suffix}", 2 * hidden if layer else width
                    shapes[f"lstm_weight_ih_{name}"] = (4 * hidden, inputs), linear_init(hidden)
                    shapes[f"lstm_weight_hh_{name}"] = (4 * hidden, hidden), linear_init(hidden)
                    shapes[f"lstm_bias_ih_{name}"] = (4 * hidden,), linear_init(hidden)
                    shapes[f"lstm_bias_hh_{name}"] = (4 * hidden,), linear_init(hidden)
        wide = [2 * hidden, 2 * hidden, width] if options.encoder == "lstm" else [width, hidden, hidden, width]
        for number, inputs in enumerate(wide[:-1]):
            shapes[f"mlp_{number}_weight"] = (wide[number + 1], inputs), linear_init(inputs)
            shapes[f"mlp_{number}_bias"] = (wide[number + 1],), linear_init(inputs)
        embedding = ParameterSpec(f"{path}.prompt_embedding", (sizes.tokens, width), "prompt", Normal(1.0))
        return (
            embedding,
            *(
                ParameterSpec(f"{path}.{leaf}", shape, "encoder", Uniform(bound), decay=len(shape) > 1)
                for leaf, (shape, bound) in shapes.items()
            ),
        )

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Of a folder that holds the encoder, which PEFT's own do not."""
        from common.methods.peft.p_tuning import encoder_section

        found = encoder_section(settings, shapes)
        return None if found is None else {"method": self.name, **found}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's P-tuning, with the encoder beside the prompt that it makes."""
        from common.methods.peft.p_tuning import PTuningFormat

        return PTuningFormat()


MEMBER = PTuning()
