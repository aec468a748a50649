"""Modules of `torch.nn` with parameters, statistics or shapes; activations and losses stand in `module_functions`."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import integers, normal, strided, values, wide
from common.api_mapping.row import Case, Row


def made(
    setup: dict[str, Any], *arguments: Any, training: bool = False, gradient: bool = True, **keywords: Any
) -> Case:
    """A call of a module that was made with ``setup``."""
    return Case(arguments, keywords, gradient, setup, training)


def module_row(
    name: str,
    cases: tuple[Case, ...],
    tolerance: str = "reduction",
    adaptation: str = "",
    others: tuple[str, ...] = (),
    **more: Any,
) -> Row:
    own = (f"mint.nn.{name}", f"nn.{name}", *others)
    return Row(f"torch.nn.{name}", (*own, f"shim.nn.{name}"), cases, tolerance, adaptation, **more)


def _affine(**keywords: Any) -> list[dict[str, Any]]:
    return [keywords, {**keywords, "eps": 1e-3}]


def _statistics(*shape: int) -> tuple[Case, ...]:
    features = {"num_features": shape[1]}
    return (
        made(features, normal(*shape)),
        made(features, normal(*shape), training=True),
        made({**features, "momentum": 0.3, "eps": 1e-3}, wide(*shape), training=True),
        made({**features, "momentum": None}, normal(*shape), training=True),
        made({**features, "affine": False}, normal(*shape), training=True),
        made({**features, "track_running_stats": False}, normal(*shape)),
        made({**features, "bias": False}, normal(*shape), training=True),
    )


ROWS = (
    module_row(
        "Identity", (made({}, normal(3, 4)), made({}, integers(3))), "exact", "constructor arguments are ignored"
    ),
    module_row(
        "Linear",
        (
            made({"in_features": 4, "out_features": 5}, normal(3, 4)),
            made({"in_features": 4, "out_features": 5}, normal(2, 3, 4)),
            made({"in_features": 4, "out_features": 5, "bias": False}, normal(4)),
            made({"in_features": 64, "out_features": 5}, wide(6, 64)),
            made({"in_features": 4, "out_features": 5}, strided(normal(3, 4))),
            made({"in_features": 4, "out_features": 5}, input=normal(3, 4)),
        ),
        adaptation="one two-dimensional product; starts as torch's does",
        others=("nn.Dense",),
    ),
    module_row(
        "Bilinear",
        (
            made({"in1_features": 4, "in2_features": 3, "out_features": 5}, normal(2, 4), normal(2, 3)),
            made(
                {"in1_features": 4, "in2_features": 3, "out_features": 5, "bias": False},
                normal(2, 6, 4),
                normal(2, 6, 3),
            ),
        ),
        adaptation="parameters have torch's names and shapes",
        others=("nn.BiDense",),
    ),
    module_row(
        "Embedding",
        (
            made({"num_embeddings": 6, "embedding_dim": 5}, integers(3, 4, low=0, high=6)),
            made({"num_embeddings": 6, "embedding_dim": 5}, integers(3, low=0, high=6, dtype="int32")),
            made({"num_embeddings": 6, "embedding_dim": 5, "padding_idx": 0}, integers(3, 8, low=0, high=6)),
            made({"num_embeddings": 6, "embedding_dim": 5, "padding_idx": -1}, integers(3, 8, low=0, high=6)),
            made({"num_embeddings": 6, "embedding_dim": 5}, integers(low=0, high=6)),
        ),
        adaptation="the row of padding_idx gets no gradient; the parameter is called weight",
        note="max_norm, norm_type, scale_grad_by_freq and sparse are left out",
    ),
    module_row(
        "LayerNorm",
        (
            *(made(setup, normal(2, 3, 8)) for setup in _affine(normalized_shape=8)),
            made({"normalized_shape": (8,)}, wide(3, 8)),
            made({"normalized_shape": [3, 8]}, normal(2, 3, 8)),
            made({"normalized_shape": 8, "elementwise_affine": False}, normal(3, 8)),
            made({"normalized_shape": 8, "bias": False}, normal(3, 8)),
            made({"normalized_shape": 8}, strided(normal(8, 8))),
        ),
        adaptation="eps defaults to 1e-5; parameters are called weight and bias",
    ),
    module_row(
        "RMSNorm",
        (
            *(made(setup, normal(2, 3, 8)) for setup in _affine(normalized_shape=8)),
            made({"normalized_shape": (3, 8)}, wide(2, 3, 8)),
            made({"normalized_shape": 8, "elementwise_affine": False}, normal(3, 8)),
        ),
        adaptation="MindSpore has the function only, with a kernel for Ascend",
        others=("nn.RmsNorm",),
    ),
    module_row(
        "GroupNorm",
        (
            *(made(setup, normal(2, 6, 5)) for setup in _affine(num_groups=3, num_channels=6)),
            made({"num_groups": 2, "num_channels": 6}, normal(2, 6, 3, 4)),
            made({"num_groups": 1, "num_channels": 6}, normal(3, 6)),
            made({"num_groups": 6, "num_channels": 6, "affine": False}, wide(2, 6, 5)),
            made({"num_groups": 2, "num_channels": 6, "bias": False}, normal(2, 6, 5)),
        ),
        adaptation="any number of axes; parameters are called weight and bias",
    ),
    module_row(
        "BatchNorm1d",
        (*_statistics(6, 3, 5), *_statistics(8, 4)),
        adaptation="momentum is torch's; running_mean, running_var and num_batches_tracked are kept in evaluation as in training",
    ),
    *(
        module_row(
            name,
            _statistics(*shape),
            adaptation="momentum is torch's; running_mean, running_var and num_batches_tracked",
        )
        for name, shape in (("BatchNorm2d", (3, 4, 5, 6)), ("BatchNorm3d", (3, 4, 2, 5, 3)))
    ),
    *(
        module_row(
            name,
            (
                made({"num_features": 3}, normal(*shape)),
                made({"num_features": 3, "affine": True, "eps": 1e-3}, wide(*shape), training=True),
                made({"num_features": 3, "track_running_stats": True}, normal(*shape), training=True),
                made({"num_features": 3, "track_running_stats": True, "affine": True}, normal(*shape)),
                made({"num_features": 3, "affine": True, "bias": False}, normal(*shape)),
                made({"num_features": 3}, normal(*shape[1:])),
            ),
            adaptation="no parameters and no statistics by default; one example without the batch axis",
        )
        for name, shape in (
            ("InstanceNorm1d", (2, 3, 5)),
            ("InstanceNorm2d", (2, 3, 4, 5)),
            ("InstanceNorm3d", (2, 3, 2, 4, 3)),
        )
    ),
    module_row(
        "LocalResponseNorm",
        (made({"size": 3}, normal(2, 5, 4)), made({"size": 2, "alpha": 0.1, "beta": 0.5, "k": 2.0}, wide(2, 5, 4, 3))),
        "exponential",
        "the window of neighbouring channels is given by its size",
        others=("nn.LRN",),
    ),
    *(
        module_row(
            name,
            (
                made({}, normal(*shape), training=True),
                made({"p": 0.2}, normal(*shape), training=True),
                made({"p": 1.0}, normal(*shape), training=True),
                made({"p": 0.5}, normal(*shape)),
            ),
            adaptation="p is the share that is dropped",
            stochastic=True,
        )
        for name, shape in (
            ("Dropout", (100, 200)),
            ("Dropout1d", (100, 100, 2)),
            ("Dropout2d", (100, 100, 2, 1)),
            ("Dropout3d", (100, 100, 2, 1, 1)),
            ("AlphaDropout", (100, 200)),
        )
    ),
    module_row(
        "Flatten",
        (
            made({}, normal(2, 3, 4)),
            made({"start_dim": 0}, normal(2, 3, 4)),
            made({"start_dim": -2}, strided(normal(2, 3, 4))),
            made({"start_dim": 0, "end_dim": 1}, normal(2, 3, 4)),
            made({"start_dim": 0}, normal()),
            made({}, integers(2, 3, 4)),
        ),
        "exact",
        "end_dim",
    ),
    module_row(
        "Unflatten",
        (
            made({"dim": 1, "unflattened_size": (2, 3)}, normal(2, 6, 4)),
            made({"dim": -1, "unflattened_size": (2, -1)}, normal(2, 6, 4)),
            made({"dim": 0, "unflattened_size": (2, 1)}, integers(2, 6)),
        ),
        "exact",
        "-1 among the sizes, by torch's argument names",
    ),
    module_row(
        "CosineSimilarity",
        (
            made({}, normal(3, 4), normal(3, 4)),
            made({"dim": -1}, normal(2, 3, 4), normal(2, 3, 4)),
            made({}, values(*[0.0] * 12, shape=(3, 4)), normal(3, 4)),
            made({"dim": 0, "eps": 0.5}, wide(4, 3), values(*[0.1] * 12, shape=(4, 3))),
        ),
        "reduction",
        "each norm is at least eps; MindSpore's own is no Cell",
    ),
    module_row(
        "PairwiseDistance",
        (
            made({}, normal(3, 4), normal(3, 4)),
            made({"p": 1, "keepdim": True}, normal(3, 4), normal(3, 4)),
            made({"p": 3.0, "eps": 1e-3}, normal(3, 4), normal(3, 4)),
            made({"p": float("inf")}, normal(3, 4), normal(4)),
        ),
        "exponential",
        "eps is added to the difference",
    ),
    *(
        Row(
            f"torch.nn.{name}",
            (f"mint.nn.{name}", f"shim.nn.{name}"),
            tuple(made(setup, x) for setup in setups for x in (normal(*shape), integers(*shape))),
            "exact",
            "a negative width cuts",
            ""
            if name == "ZeroPad1d"
            else f"nn.{name} is left out: with a negative width it is right once and wrong in the calls that follow",
        )
        for name, shape, setups in (
            ("ConstantPad1d", (2, 3, 4), ({"padding": 2, "value": 1.5}, {"padding": (1, -1), "value": -2.0})),
            ("ConstantPad2d", (2, 3, 4, 5), ({"padding": 1, "value": 1.5}, {"padding": (1, 0, -1, 2), "value": -2.0})),
            (
                "ConstantPad3d",
                (2, 3, 2, 4, 3),
                ({"padding": 1, "value": 1.5}, {"padding": (1, 0, -1, 2, 0, 1), "value": -2.0}),
            ),
            ("ZeroPad3d", (2, 3, 2, 4, 3), ({"padding": 1}, {"padding": (1, 0, -1, 2, 0, 1)})),
            ("ZeroPad1d", (2, 3, 4), ({"padding": 2}, {"padding": (1, -1)})),
            ("ZeroPad2d", (2, 3, 4, 5), ({"padding": 1}, {"padding": (1, 0, -1, 2)})),
        )
    ),
    *(
        module_row(
            name,
            tuple(made({"padding": padding}, normal(*shape)) for padding in paddings),
            "exact",
            "one width or two for each axis",
            refusals=(made({"padding": paddings[0]}, normal(2, *shape)),),
        )
        for name, shape, paddings in (
            ("ReflectionPad1d", (2, 3, 4), (2, (1, 3))),
            ("ReflectionPad2d", (2, 3, 4, 5), (1, (1, 0, 3, 2))),
            ("ReplicationPad1d", (2, 3, 4), (2, (1, 6))),
            ("ReplicationPad2d", (2, 3, 4, 5), (1, (1, 0, 3, 2))),
            ("CircularPad1d", (2, 3, 4), (2, (1, 4))),
        )
    ),
)
