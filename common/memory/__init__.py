"""Where the memory of a training step goes, before anything is trained: see `common.memory.account`."""

from common.memory.account import Account, Held, take

__all__ = ["Account", "Held", "take"]
