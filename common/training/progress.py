"""What a person sees while a run goes on: a bar on a terminal or in a notebook, plain lines elsewhere.

Everything goes to standard error, in a notebook to the cell's output.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from common.language import term, translated
from common.terminal import printable

__all__ = ["Progress"]

_SHOWN = ("loss", "perplexity", "accuracy", "matthews_correlation", "f1_macro")


class Progress:
    """Shows messages, training steps and evaluations. ``stream`` is standard error unless given."""

    def __init__(self, stream: Any = None):
        from rich.console import Console

        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._bar: Any = None
        self._total = 0
        self._next_line = 0

    def say(self, text: str) -> None:
        """A message, which may hold names from files: nothing in it steers the terminal."""
        self._console.print(printable(text), markup=False)

    def start(self, total: int, done: int = 0) -> None:
        """Training of ``total`` steps begins after ``done``."""
        self._total, self._next_line = total, done + 1
        # In a notebook rich draws bars with ipywidgets.
        notebook = self._console.is_jupyter and find_spec("ipywidgets") is not None
        if not (self._console.is_terminal or notebook):
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("training", total=total, completed=done)
        self._bar.start()

    def step(self, event: dict[str, Any]) -> None:
        """One step was logged. Without a terminal about ten lines a run are printed."""
        if self._bar is not None:
            self._bar.update(self._task, completed=event["step"], description=f"loss {event['loss']:.4f}")
        elif event["step"] >= self._next_line:
            self._next_line = event["step"] + max(1, self._total // 10)
            self.say(
                translated(
                    "step {step}/{total}  loss {loss}  learning rate {rate}  {seconds} s a step",
                    step=event["step"],
                    total=self._total,
                    loss=f"{event['loss']:.4f}",
                    rate=f"{event['learning_rate']:.2e}",
                    seconds=f"{event['duration']:.3f}",
                )
            )

    def evaluation(self, event: dict[str, Any]) -> None:
        """One evaluation was logged."""
        shown = "  ".join(f"{term(name)} {event[name]:.4f}" for name in _SHOWN if name in event)
        line = translated(
            "step {step}/{total}  {split}: {scores}",
            step=event["step"],
            total=self._total,
            split=term(event["split"]),
            scores=shown,
        )
        self.say(f"{line}  {translated('(best)')}" if event["best"] else line)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
