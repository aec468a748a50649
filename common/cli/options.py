"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.reading import expanded

if TYPE_CHECKING:
    from common.config import ExperimentConfig
    from common.generation import GenerationOptions
    from common.training.assembly import Trained

__all__ = [
    "add_backend",
    "add_experiment",
    "add_generation",
    "add_opened",
    "add_run",
    "add_suite",
    "compiled",
    "experiment",
    "generation",
    "optional_experiment",
    "trained",
]


def add_experiment(parser: argparse.ArgumentParser, required: bool = True, folder: bool = False) -> None:
    """CONFIG and everything that changes it.

    Args:
        folder: whether CONFIG may also be a folder that holds a model.
    """
    text = "a YAML file, or the name of a shipped experiment such as bert_sst2"
    text += "; or a run directory, an adapter or a model folder" * folder
    config = parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs=None if required else "?",
        help=text if required else f"{text}; default: small networks",
    )
    _complete(config, _experiments)
    parser.add_argument(
        "--data-dir", metavar="DIR", help="read the data set from this folder instead of the Hugging Face hub"
    )
    parser.add_argument(
        "--model", metavar="SOURCE", help="hub id, folder or python:PACKAGE/FOLDER; short for --set model.source=SOURCE"
    )
    parser.add_argument("--name", help="name of the run; default: that of the file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting, e.g. training.epochs=1; may be repeated",
    )


def _complete(action: argparse.Action, words: Callable[..., Iterable[str]]) -> None:
    """What a shell offers for an argument, see `argcomplete`."""
    action.completer = words  # type: ignore[attr-defined]


def _experiments(prefix: str = "", **_: Any) -> list[str]:
    """Shipped experiments, and the YAML files beside what was typed."""
    from common.resources import configs_folder

    shipped = [path.stem for path in configs_folder().glob("*.yaml") if path.stem != "defaults"]
    typed = prefix[: prefix.rfind("/") + 1]  # kept as it is: a shell drops what does not begin with it
    return sorted([*shipped, *(typed + path.name for path in Path(typed).expanduser().glob("*.yaml"))])


def experiment(args: argparse.Namespace) -> ExperimentConfig:
    """The configuration that the arguments of ``add_experiment`` describe, of which CONFIG is required.

    Raises:
        InputError: the configuration is wrong.
    """
    config = optional_experiment(args)
    assert config is not None  # the parser requires it
    return config


def optional_experiment(args: argparse.Namespace) -> ExperimentConfig | None:
    """As `experiment`, or None where CONFIG was left out.

    Raises:
        InputError: the configuration is wrong, or something changes one that was not given.
    """
    from common.config import load_config

    if args.config is None:
        if args.data_dir or args.model or args.name or args.set:
            raise InputError(
                "--data-dir, --model, --name and --set change a configuration; none was given. Name one, for example bert_sst2."
            )
        return None

    overrides = list(args.set)
    if args.data_dir is not None:
        overrides.append(f"data.directory={json.dumps(str(expanded(args.data_dir).resolve()))}")
    if args.model is not None:
        overrides.append(f"model.source={json.dumps(args.model)}")
    return load_config(args.config, overrides, args.name)


def add_suite(parser: argparse.ArgumentParser) -> None:
    """What a suite computes and how."""
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        help="only cases whose id fits, such as 'torch.tanh' or 'models/bert/*'; several with commas",
    )
    parser.add_argument("--steps", metavar="N", type=int, help="of the suite training; default: 30")
    parser.add_argument(
        "--log", metavar="FILE", type=Path, help="of the suite recorded: what `twinlora map record --json` wrote"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="single operators by MindSpore's own call instead of the adapter that corrects it",
    )
    parser.add_argument("--mode", help="compiled or interpreted, of training steps; default: what training uses")


def compiled(args: argparse.Namespace) -> bool | None:
    """``--mode`` as the engine takes it.

    Raises:
        InputError: it is neither of the two.
    """
    known = {None: None, "compiled": True, "interpreted": False}
    if args.mode not in known:
        raise InputError(f"--mode must be compiled or interpreted; received {args.mode!r}.")
    return known[args.mode]


def add_run(parser: argparse.ArgumentParser) -> None:
    """RUN."""
    parser.add_argument("run_directory", metavar="RUN", type=Path, help="a run directory, runs/NAME/BACKEND")


def add_opened(parser: argparse.ArgumentParser, models: bool = False) -> None:
    """RUN, or an adapter folder with what it leaves unsaid.

    Args:
        models: whether a model folder will do.
    """
    adapters = "a run directory, runs/NAME/BACKEND, or a folder with an adapter of PEFT"
    parser.add_argument(
        "run_directory", metavar="RUN", type=Path, help=adapters + (" or with a model" if models else "")
    )
    group = parser.add_argument_group("adapters of PEFT" + (", and model folders" if models else ""))
    group.add_argument("--model", metavar="SOURCE", help="the base model; default: the one that the adapter names")
    group.add_argument("--config", metavar="CONFIG", help="an experiment that says task, data and lengths")


def add_backend(parser: argparse.ArgumentParser, required: bool) -> None:
    """--backend and --device."""
    default = "" if required else "; default: that of the run"
    backend = parser.add_argument(
        "--backend", required=required, metavar="BACKEND", help=f"pytorch or mindspore{default}"
    )
    _complete(backend, lambda **_: ("pytorch", "mindspore"))
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:0, npu, ascend, ...; default: the first accelerator, or the CPU"
    )


def trained(args: argparse.Namespace, exported: bool = False) -> Trained:
    """The completed run of ``add_run``, or what ``add_opened`` describes.

    Args:
        exported: whether an exported model will do, which has no arrays, or a model folder, which has no run.

    Raises:
        InputError: it is neither a completed run nor an adapter, or something was given that a run says itself.
    """
    from common.exporting import is_export, open_export
    from common.training.adapters import is_adapter, open_adapter
    from common.training.assembly import open_trained
    from common.training.folders import is_model_folder, open_model_folder
    from common.training.rundir import RunDirectory

    model, experiment = getattr(args, "model", None), getattr(args, "config", None)
    if is_export(args.run_directory) and not (model or experiment):
        if not exported:
            raise InputError(f"{args.run_directory} is an exported model. Give the run that it was made of.")
        return open_export(args.run_directory)
    if hasattr(args, "config") and is_adapter(args.run_directory):
        return open_adapter(args.run_directory, experiment, model, getattr(args, "data_dir", None))
    if exported and is_model_folder(args.run_directory):
        if model:
            raise InputError(f"--model names the base of an adapter; {args.run_directory} is a model. Leave it out.")
        data_dir = getattr(args, "data_dir", None)
        return open_model_folder(args.run_directory, experiment=experiment, data_dir=data_dir)
    if model or experiment:
        raise InputError(
            "--model and --config are for an adapter folder, which holds adapter_config.json"
            + (", and --config for a model folder" if exported else "")
            + f"; {args.run_directory} is none."
        )
    return open_trained(RunDirectory(args.run_directory))


_GENERATION: dict[str, tuple[type, str]] = {
    "max_new_tokens": (int, "default: 64, or as many as fit into the context"),
    "min_new_tokens": (int, "before which the text does not end"),
    "temperature": (float, "samples from the logits divided by it; 0 takes the most probable token"),
    "top_k": (int, "samples from the K most probable tokens"),
    "top_p": (float, "samples from the most probable tokens that together have probability P"),
    "min_p": (float, "samples from the tokens with at least this share of the largest probability"),
    "typical_p": (float, "samples from the tokens of typical information that together have probability P"),
    "repetition_penalty": (float, "above 1 makes tokens that are there already less probable"),
    "no_repeat_ngram_size": (int, "no sequence of N tokens occurs twice"),
    "num_beams": (int, "searches with N beams"),
    "length_penalty": (float, "exponent of the length that a beam's score is divided by"),
    "seed": (int, "of the samples; default: 0"),
}  # by the names of ``transformers.GenerationConfig``


def add_generation(parser: argparse.ArgumentParser) -> None:
    """How text is generated; nothing is set by default."""
    group = parser.add_argument_group("generation", "Options have the names of transformers.GenerationConfig.")
    for name, (kind, text) in _GENERATION.items():
        letter = {int: "N", float: "P"}[kind]
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind, metavar=letter, help=text)
    group.add_argument(
        "--do-sample", dest="do_sample", action="store_true", default=None, help="sample, at temperature 1 by default"
    )
    group.add_argument(
        "--early-stopping",
        dest="early_stopping",
        choices=("true", "false", "never"),
        help="when beams end; default: false",
    )
    group.add_argument(
        "--stop", dest="stop_strings", metavar="TEXT", action="append", help="text ends before it; may be repeated"
    )
    group.add_argument(
        "--slide",
        dest="slide",
        action="store_true",
        default=None,
        help="of what exceeds the context read the end, instead of refusing it",
    )


def generation(args: argparse.Namespace) -> GenerationOptions:
    """The options that the arguments of ``add_generation`` give.

    Raises:
        InputError: they do not fit.
    """
    from common.generation import GenerationOptions

    names = (*_GENERATION, "do_sample", "early_stopping", "stop_strings", "slide", "num_return_sequences")
    given = {name: getattr(args, name, None) for name in names}
    given["early_stopping"] = {"true": True, "false": False}.get(args.early_stopping, args.early_stopping)
    return GenerationOptions.of({name: value for name, value in given.items() if value is not None})
