"""Recurrent layers and attention of `torch.nn`."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import normal, strided, values, wide
from common.api_mapping.row import Case
from common.api_mapping.rows.modules import made, module_row

RECURRENT = {"input_size": 4, "hidden_size": 3}
STEPS = "the steps are unrolled in a graph; no packed sequences"
HEADS = {"embed_dim": 8, "num_heads": 2}
LAYER = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "dropout": 0.0}
LATER = values(
    *(1.0 if column > row else 0.0 for row in range(5) for column in range(5)), shape=(5, 5), dtype="bool"
)  # what may not be seen
PADDED = values(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, shape=(2, 5), dtype="bool")


def _recurrent(states: int, **more: Any) -> tuple[Case, ...]:
    def start(*shape: int) -> Any:
        return tuple(normal(*shape) for _ in range(states)) if states > 1 else normal(*shape)

    base = {**RECURRENT, **more}
    return (
        made(base, normal(5, 2, 4)),
        made(base, normal(5, 2, 4), start(1, 2, 3)),
        made(base, wide(3, 2, 4)),
        made({**base, "batch_first": True}, normal(2, 5, 4)),
        made({**base, "num_layers": 2, "bidirectional": True, "batch_first": True}, normal(2, 3, 4), start(4, 2, 3)),
        made({**base, "num_layers": 2, "bias": False}, normal(3, 2, 4)),
        made({**base, "num_layers": 2, "dropout": 0.5}, normal(3, 2, 4)),
        made({**base, "bidirectional": True}, normal(3, 4), start(2, 3)),
        made(base, normal(3, 4)),
        made({**base, "batch_first": True}, strided(normal(2, 4, 4)), training=True),
    )


def _cell(states: int) -> tuple[Case, ...]:
    def start(*shape: int) -> Any:
        return tuple(normal(*shape) for _ in range(states)) if states > 1 else normal(*shape)

    return (
        made(RECURRENT, normal(2, 4)),
        made(RECURRENT, normal(2, 4), start(2, 3)),
        made({**RECURRENT, "bias": False}, wide(2, 4), start(2, 3)),
        made(RECURRENT, normal(4), start(3)),
    )


PROJECTED = (
    made({"input_size": 4, "hidden_size": 5, "proj_size": 3}, normal(6, 2, 4)),
    made(
        {"input_size": 4, "hidden_size": 5, "proj_size": 3, "num_layers": 2, "bidirectional": True},
        normal(6, 2, 4),
        (normal(4, 2, 3), normal(4, 2, 5)),
    ),
)

ROWS = (
    module_row(
        "RNN",
        (*_recurrent(1), *_recurrent(1, nonlinearity="relu")[:3]),
        "reduction",
        "torch's parameters, one by one; unbatched input",
        note=STEPS,
    ),
    module_row(
        "LSTM", (*_recurrent(2), *PROJECTED), "reduction", "torch's parameters, one by one; unbatched input", note=STEPS
    ),
    module_row("GRU", _recurrent(1), "reduction", "torch's parameters, one by one; unbatched input", note=STEPS),
    module_row("RNNCell", _cell(1), "reduction", "unbatched input"),
    module_row("LSTMCell", _cell(2), "reduction", "unbatched input; the state may be left out"),
    module_row("GRUCell", _cell(1), "reduction", "unbatched input; the state may be left out"),
    module_row(
        "MultiheadAttention",
        (
            made(HEADS, normal(5, 2, 8), normal(4, 2, 8), normal(4, 2, 8)),
            made({**HEADS, "add_bias_kv": True}, normal(5, 2, 8), normal(4, 2, 8), normal(4, 2, 8)),
            made(
                {**HEADS, "add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
                normal(2, 5, 8),
                normal(2, 5, 8),
                normal(2, 5, 8),
                key_padding_mask=PADDED,
                attn_mask=LATER,
            ),
            made({**HEADS, "batch_first": True}, normal(2, 5, 8), normal(2, 5, 8), normal(2, 5, 8), attn_mask=LATER),
            made(
                {**HEADS, "batch_first": True},
                normal(2, 5, 8),
                normal(2, 5, 8),
                normal(2, 5, 8),
                key_padding_mask=PADDED,
            ),
            made(
                {**HEADS, "batch_first": True},
                normal(2, 5, 8),
                normal(2, 5, 8),
                normal(2, 5, 8),
                PADDED,
                False,
                LATER,
                gradient=False,
            ),
            made(
                {**HEADS, "batch_first": True},
                normal(2, 3, 8),
                normal(2, 5, 8),
                normal(2, 5, 8),
                attn_mask=normal(3, 5),
                average_attn_weights=False,
            ),
            made(
                {**HEADS, "batch_first": True},
                normal(2, 3, 8),
                normal(2, 5, 8),
                normal(2, 5, 8),
                attn_mask=normal(4, 3, 5),
            ),
            made(
                {**HEADS, "bias": False},
                normal(5, 2, 8),
                normal(4, 2, 8),
                normal(4, 2, 8),
                need_weights=False,
                gradient=False,
            ),
            made({**HEADS, "bias": False}, normal(5, 2, 8), normal(4, 2, 8), normal(4, 2, 8)),
            made({**HEADS, "kdim": 6, "vdim": 7}, normal(5, 2, 8), normal(4, 2, 6), normal(4, 2, 7)),
            made(HEADS, normal(5, 8), normal(4, 8), normal(4, 8)),
        ),
        "reduction",
        "torch's parameters, a joint weight of the three projections; unbatched input, averaged weights",
        note="True in a mask hides. A graph that returns the None of need_weights=False has no gradient; "
        "one that uses the output only has",
    ),
    module_row(
        "TransformerEncoderLayer",
        (
            made(LAYER, normal(5, 2, 8)),
            made({**LAYER, "batch_first": True, "activation": "gelu"}, normal(2, 5, 8), LATER),
            made(
                {**LAYER, "batch_first": True, "norm_first": True},
                normal(2, 5, 8),
                src_key_padding_mask=PADDED,
                training=True,
            ),
            made(
                {**LAYER, "batch_first": True, "bias": False, "layer_norm_eps": 1e-3},
                normal(2, 5, 8),
                src_mask=LATER,
                training=True,
            ),
        ),
        "reduction",
        "torch's parameters and start values",
    ),
    module_row(
        "TransformerDecoderLayer",
        (
            made(LAYER, normal(5, 2, 8), normal(4, 2, 8)),
            made(
                {**LAYER, "batch_first": True, "activation": "gelu"}, normal(2, 5, 8), normal(2, 4, 8), tgt_mask=LATER
            ),
            made(
                {**LAYER, "batch_first": True, "norm_first": True},
                normal(2, 4, 8),
                normal(2, 5, 8),
                memory_key_padding_mask=PADDED,
                training=True,
            ),
        ),
        "reduction",
        "torch's parameters and start values",
    ),
)
