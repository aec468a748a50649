"""The peers `transformers` and `transformers-static`: ``generate`` as it comes, with the dynamic and the static
cache."""

from __future__ import annotations

import numpy as np
import torch

from common.bench.cases import Case
from common.bench.generate import Generator
from pytorch_impl import device as devices
from pytorch_impl.hf_bridge.foreign import build as build_network

_CACHES = {"transformers": "dynamic", "transformers-static": "static"}


def build_generator(name: str, case: Case, device: str | None) -> Generator:
    """The network of `transformers` with the case's weights."""
    place = devices.select(device)
    network = build_network(case.spec)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in case.spec.arrays.items()}, strict=False)
    network.tie_weights()
    network.to(place).eval()
    network.generation_config.eos_token_id = None

    @torch.no_grad()
    def generate(prompts: np.ndarray, new: int) -> np.ndarray:
        ids = torch.from_numpy(prompts).long().to(place)
        found = network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
            cache_implementation=_CACHES[name],
        )
        return found[:, ids.shape[1] :].cpu().numpy()

    return generate
