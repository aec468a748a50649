"""An account as a table of text."""

from __future__ import annotations

from common.memory.account import PARTS, Account

__all__ = ["gibibytes", "table"]


def gibibytes(count: int) -> str:
    """In GiB, to three digits."""
    return f"{count / 2**30:.3f}"


def table(account: Account) -> str:
    """One row for each component; GiB."""
    about = account.about
    head = (
        f"{about['model']}, {about['method']}, {about['rows']} x {about['length']} tokens, {about['dtype']}"
        f"{', recomputing layers' if about['recompute'] else ''}: {about['backend']}, {about['way']}"
    )
    rows = {name: [parts[part] for part in PARTS] for name, parts in account.components.items()}
    rows["total"] = [account.part(part) for part in PARTS]
    lines = [head, "GiB".ljust(16) + "".join(f"{part:>13}" for part in (*PARTS, "sum"))]
    for name, sizes in rows.items():
        lines.append(name.ljust(16) + "".join(f"{gibibytes(size):>13}" for size in (*sizes, sum(sizes))))
    lines.append(f"trained scalars: {account.trained:,}; activations are what is kept for the backward pass")
    return "\n".join(lines)
