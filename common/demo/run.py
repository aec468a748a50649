"""The demonstration: gather text, train a base model, adapt it in every installed framework, prove and show the
result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import backend as backends
from common.demo import work
from common.demo.corpus import gather, write_domain
from common.demo.experiments import Steps, write_adapted, write_base
from common.demo.page import Demonstration, demo_page
from common.errors import InputError, nearest
from common.files import write_atomic
from common.report.elements import duration
from common.report.runs import BACKEND_TITLES, read_run
from common.training.progress import Progress

__all__ = ["run_demo"]


def run_demo(output: Path, chosen: Sequence[str] | None = None, steps: Steps | None = None) -> Path:
    """Run the demonstration under ``output`` and return the path of its page. The runs of an earlier demonstration
    there are replaced.

    Args:
        chosen: backends; None takes every installed one.
        steps: optimizer steps of the base model and of the adaptation; None takes those of about four minutes on two
            cores.

    Raises:
        InputError: a chosen backend is unknown or not installed, none is installed, or ``output`` is a file.
        RunError: training failed.
    """
    output, steps, stages = Path(output).resolve(), steps or Steps(), _Stages()
    names = _backends(chosen)
    if output.exists() and not output.is_dir():
        raise InputError(f"The demonstration writes into a folder; {output} is a file. Choose another --output.")
    domains = stages.do("gathering English text from this Python installation", gather)
    docstrings, reference = (write_domain(domain, output / "data") for domain in domains)

    base = output / "base" / names[0]
    config = write_base(output, docstrings, steps.base)
    title = f"training a small GPT-2 on docstrings, {steps.base} steps, {BACKEND_TITLES[names[0]]}"
    before = stages.do(title, work.in_process, work.train_base, config, names[0], output)
    config = write_adapted(output, reference, base / "model", steps.adapted)
    adapted = {}
    for name in names:
        title = f"adapting it to the language reference by LoRA, {steps.adapted} steps, {BACKEND_TITLES[name]}"
        adapted[name] = stages.do(title, work.in_process, work.adapt, config, name, output)
    missing = ["mindspore"] * ("mindspore" not in names) + work.peft_missing()
    peft = None
    if not missing:
        peft = stages.do(
            "loading the adapter that MindSpore made with PEFT",
            work.in_process,
            work.peft_logits,
            output / "adapted" / "mindspore",
        )

    runs = {name: read_run(output / "adapted" / name) for name in names}
    left_out = tuple(name for name in backends.BACKENDS if name not in names)
    page = output / "demo.html"
    write_atomic(
        page,
        demo_page(
            Demonstration(
                domains, read_run(base), before, runs, adapted, left_out, peft, tuple(missing), stages.seconds
            )
        ),
    )
    for name in left_out:
        stages.progress.say(f"{BACKEND_TITLES[name]} was left out; pip install 'twinlora[{name}]' adds it.")
    stages.progress.say(f"Done in {duration(sum(stages.seconds.values()))}. The page:")
    return page


@dataclass
class _Stages:
    """Says what is being done, and keeps how long it took."""

    progress: Progress = field(default_factory=Progress)
    seconds: dict[str, float] = field(default_factory=dict)

    def do(self, title: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self.progress.say(f"\n{len(self.seconds) + 1}. {title[0].upper()}{title[1:]}")
        start = time.perf_counter()
        result = function(*arguments)
        self.seconds[title] = time.perf_counter() - start
        return result


def _backends(chosen: Sequence[str] | None) -> tuple[str, ...]:
    """The backends to run, in the order of ``BACKENDS``."""
    installed = [name for name, there in backends.available().items() if there]
    wanted = installed if chosen is None else list(chosen)
    for name in wanted:
        if name not in installed:
            there = ", ".join(installed) or "neither"
            raise InputError(
                f"The demonstration needs backends that are installed ({there}); received {name!r}.{nearest(name, backends.BACKENDS)}"
            )
    if not wanted:
        raise InputError(
            "The demonstration needs PyTorch or MindSpore, and found neither. Install one with: pip install 'twinlora[all]'."
        )
    return tuple(name for name in backends.BACKENDS if name in wanted)
