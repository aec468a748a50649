"""PyTorch's interface on MindSpore: change the imports, and a network trains with the same numbers.

    from mindspore_impl import torch_api as torch
    from mindspore_impl.torch_api import nn
    from mindspore_impl.torch_api.nn import functional as F

Tensors, modules, ``loss.backward()``, optimizers, schedules, data loaders and random numbers behave as torch's; every
operation is the one that the mapping verified on this device, and a name without one raises an error that says so.
See docs/torch_api.md.
"""

from __future__ import annotations

import math
from typing import Any

from common.api_mapping.names import named
from mindspore_impl.torch_api import autograd, dtypes, memory
from mindspore_impl.torch_api.dtypes import NAMED, Size, device, dtype, finfo, iinfo
from mindspore_impl.torch_api.lifting import missing, names_of
from mindspore_impl.torch_api.methods import bind_methods
from mindspore_impl.torch_api.tensor import Tensor

bind_methods()
globals().update({name: function for name, function in names_of(named("torch")).items() if name != "Tensor"})
globals().update(NAMED)

from mindspore_impl.torch_api import random
from mindspore_impl.torch_api.factories import (
    as_tensor,
    created,
    empty,
    from_numpy,
    get_default_dtype,
    set_default_dtype,
    tensor,
)

globals().update(created())
globals().update(random.DRAWN)
random.bind_random()

from common.porting.generator import Generator
from mindspore_impl.torch_api import (
    amp,
    backends,
    compiler,
    cuda,
    distributions,
    fft,
    linalg,
    nn,
    optim,
    special,
    utils,
    version,
)
from mindspore_impl.torch_api.amp import autocast, is_autocast_available, is_autocast_enabled
from mindspore_impl.torch_api.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from mindspore_impl.torch_api.compiling import compile
from mindspore_impl.torch_api.functions import *  # noqa: F403
from mindspore_impl.torch_api.installing import install
from mindspore_impl.torch_api.random import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from mindspore_impl.torch_api.storing import load, save
from mindspore_impl.torch_api.typed import TYPED

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
strided, contiguous_format, preserve_format, channels_last = "torch.strided", "contiguous", "preserve", "channels_last"
__version__ = version.__version__
globals().update(TYPED)

__all__ = ["Tensor", "nn", "optim"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.{name}")
