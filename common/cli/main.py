"""The command ``twinlora``. Every module in ``common.cli.commands`` is one command: ``add_parser(subparsers)`` declares
it, ``run(args)`` does it; it may return an exit code.

Nothing heavy is imported here or at the top of a command's module, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from common import __version__
from common.cli import commands
from common.errors import TwinloraError, nearest, of_system
from common.language import LANGUAGES, chosen, speaking, translated
from common.terminal import printable

__all__ = ["build_parser", "main"]


class _Parser(argparse.ArgumentParser):
    """Names the nearest command or choice where one is unknown; so do the parsers of the commands."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            raise argparse.ArgumentError(
                action, f"must be one of {', '.join(known)}; received {value!r}.{nearest(str(value), known)}"
            )


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command found in ``common.cli.commands``, in the language of the block."""
    codes = translated("exit codes: 0 done; 1 a run failed; 2 bad usage or bad input, nothing was run.")
    debugging = translated("Set TWINLORA_DEBUG=1 to see where an error came from.")
    parser = _Parser(
        prog="twinlora",
        description=translated(
            "Adapt, compress and study language models in PyTorch and MindSpore from one configuration."
        ),
        epilog=f"{codes}\n{debugging}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"twinlora {__version__}")
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        help=translated("language of messages and of a run's page; default: TWINLORA_LANG, or the locale's"),
    )
    subparsers = parser.add_subparsers(title=translated("commands"), metavar="COMMAND", required=True)
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        module.add_parser(subparsers).set_defaults(run=module.run)
    for command in subparsers._choices_actions:  # one line each; what follows `twinlora COMMAND --help` is English
        command.help = translated(str(command.help))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors meant for the user lose their traceback, all others keep it."""
    given = list(sys.argv[1:] if argv is None else argv)
    _escape_what_the_terminal_lacks()
    try:
        language = chosen(_named(given))
    except TwinloraError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    with speaking(language):
        return _run(given)


def _escape_what_the_terminal_lacks() -> None:
    """Characters that the encoding of standard output does not have are escaped, as those of standard error are."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.encoding.lower().startswith("utf"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _named(given: Sequence[str]) -> str | None:
    """What ``--lang`` before the command names; a wrong one is left to the parser, whose help needs the language."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--lang")
    before = given[: next((index for index, word in enumerate(given) if word in _commands()), len(given))]
    try:
        found = parser.parse_known_args(before)[0].lang
    except argparse.ArgumentError:
        return None
    return found if found in LANGUAGES else None


def _commands() -> set[str]:
    return {found.name.replace("_", "-") for found in pkgutil.iter_modules(commands.__path__)}


def _run(given: Sequence[str]) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(given)
    code: int | None = 0
    try:
        code = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (TwinloraError, OSError, MemoryError) as error:
        if os.environ.get("TWINLORA_DEBUG") == "1":
            traceback.print_exc()
        shown = error if isinstance(error, TwinloraError) else of_system(error)
        print(translated("error: {text}", text=printable(str(shown))), file=sys.stderr)
        return shown.exit_code
    except KeyboardInterrupt:
        print(translated("error: interrupted"), file=sys.stderr)
        return 1
    return code or 0
