"""Every member of every axis, in the smallest combinations that compute it: each family with each of its tasks under
LoRA, and each method and each transform on each family with its first task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.compression import TRANSFORMS
from common.methods import METHODS, full, lora
from common.parity.cases import Case
from common.parity.suites.models import of_member
from common.parity.suites.subjects import pairs, suits, transformable

__all__ = ["cases"]


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Forward, loss, every gradient; what a backend lacks is reported as such."""
    every = pairs()
    usual = {family: (lora if suits(lora.MEMBER, family, task) else full).MEMBER.name for family, task in every}
    listed = [of_member(family, task, usual[family]) for family, task in every]
    for method in METHODS:
        if method.name == lora.MEMBER.name:
            continue  # with every task
        suited = [(family, task) for family, task in every if suits(method, family, task)]
        first = dict(reversed(suited))
        listed += [of_member(family, task, method.name) for family, task in first.items()]
    for transform in TRANSFORMS:
        if transform.needs == "nothing":
            first = dict(reversed(every))
            compressed = [
                (family, task)
                for family, task in first.items()
                if usual[family] == lora.MEMBER.name and transformable(transform, family)
            ]
            listed += [of_member(family, task, lora.MEMBER.name, transform.name) for family, task in compressed]
    return tuple(listed)
