"""An adapter or model on its way to a hub: which files go, and how."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import hub
from common.data.sources import hub_id
from common.errors import InputError, RunError
from common.exporting import is_export
from common.methods import METHODS
from common.methods.peft.format import CONFIG_NAME
from common.reading import read_json
from common.report.runs import read_run
from common.sharing.card import CARD, Place, card_of, facts_of_run
from common.training.rundir import RunDirectory

__all__ = ["Shared", "gather", "push"]

#: what may leave this machine: weights, their configuration and the tokenizer. Everything else stays, whatever it is.
_WEIGHTS = re.compile(
    r"adapter_model\.safetensors|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|config\.json|"
    rf"generation_config\.json|compression\.json|{re.escape(CONFIG_NAME)}"
)
_TOKENIZER = re.compile(
    r"tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.(txt|json)|merges\.txt|"
    r"chat_template\.jinja"
)
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_BASE = "base_model_name_or_path"
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Shared:
    """What goes: name in the repository to a file here, or to its content."""

    files: Mapping[str, Path | bytes]
    left: tuple[Path, ...] = ()  #: folders of further networks beside the weights, which stay here

    def sizes(self) -> dict[str, int]:
        """Bytes by name."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }


def gather(path: Path, to: str, base_id: str | None = None) -> Shared:
    """The files of a finished run, or of a folder that ``twinlora merge`` or ``combine`` wrote.

    Args:
        path: the run directory or folder.
        to: the repository, ``ORG/NAME``, which the card names.
        base_id: id of an adapter's base model on the hub; by default the one that the run names.

    Raises:
        InputError: it is none, or not finished; or the base model is a folder of this machine and was not named.
    """
    for option, value in (("--to", to), ("--base", base_id)):
        if value is not None and not _ID.fullmatch(value):
            raise InputError(f"{option} is the id of a repository, ORG/NAME; received {value!r}.")
    if is_export(path):
        raise InputError(
            f"{path} is an exported model, a graph without the weights as transformers reads them. Share the run that it was "
            "made of: runs/NAME/BACKEND."
        )
    if (path / "config.yaml").is_file():
        return _of_run(RunDirectory(path), to, base_id)
    return _of_folder(path, base_id)


def _of_run(run: RunDirectory, to: str, base_id: str | None) -> Shared:
    if not run.complete():
        raise InputError(
            f"{run.path} has not come to its end. Continue it: twinlora train with the same arguments and --resume."
        )
    summary = read_run(run.path).summary  # whose form is checked
    folder = run.best(METHODS.get(run.read_config().adaptation.method).artifact)
    facts = facts_of_run(run, summary, base_id)
    card = card_of(facts, Place(to, to, "From the hub", remote=True)).encode()
    files: dict[str, Path | bytes] = {
        **_chosen(run.tokenizer, _TOKENIZER),
        **_chosen(folder, _WEIGHTS, _TOKENIZER),
        CARD: card,
    }
    if not any(name.endswith(".safetensors") for name in files):
        raise InputError(
            f"{folder} holds no weights, which are what is shared. Train again, or restore it from a copy."
        )
    _refuse_parts(folder, files)
    return Shared(_with_base(files, base_id), _further(folder))


def _of_folder(folder: Path, base_id: str | None) -> Shared:
    files: dict[str, Path | bytes] = dict(_chosen(folder, _WEIGHTS, _TOKENIZER))
    if not any(name.endswith(".safetensors") for name in files):
        raise InputError(
            f"A run directory, runs/NAME/BACKEND, or a folder with a model or an adapter is shared; {folder} holds no "
            "config.yaml and no weights."
        )
    _refuse_parts(folder, files)
    if (folder / CARD).is_file():
        files[CARD] = folder / CARD
    return Shared(_with_base(files, base_id), _further(folder))


def _further(folder: Path) -> tuple[Path, ...]:
    """Folders inside that hold weights: networks that were trained with this one, such as a generator of replaced
    tokens."""
    return tuple(sorted(path.parent for path in folder.glob("*/*.safetensors") if path.is_file()))


def _refuse_parts(folder: Path, files: Mapping[str, Path | bytes]) -> None:
    """Raises InputError where an index of weights lists files that are not there."""
    index = files.get(_INDEX)
    if not isinstance(index, Path):
        return
    remedy = "Write the model again."
    content = read_json(index, "the index of a model", remedy, {"weight_map": {...: str}})
    missing = sorted(set(content["weight_map"].values()) - set(files))
    if missing:
        raise InputError(f"{index} lists {', '.join(missing)}, which {folder} does not hold. {remedy}")


def _chosen(folder: Path, *patterns: re.Pattern[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(
            f"What is shared lies in {folder}, which is not there. Train again, or restore it from a copy."
        )
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(pattern.fullmatch(path.name) for pattern in patterns)
    }


def _with_base(files: dict[str, Path | bytes], base_id: str | None) -> dict[str, Path | bytes]:
    """The same files, with a base model in the adapter's configuration that everybody can open."""
    file = files.get(CONFIG_NAME)
    if not isinstance(file, Path):
        return files
    settings = read_json(file, "the configuration of an adapter", "Train again.", {f"{_BASE}?": str | None})
    found = base_id or hub_id(settings.get(_BASE))
    if found is None:
        raise InputError(
            f"Others load an adapter onto its base model by an id of the hub, and this one names "
            f"{settings.get(_BASE) or 'none'}: give the id with --base ORG/NAME."
        )
    content = json.dumps({**settings, _BASE: found}, indent=2, ensure_ascii=False) + "\n"
    return {**files, CONFIG_NAME: content.encode()}


def push(shared: Shared, to: str, private: bool) -> str:
    """Create the repository where it is missing, add the files in one commit, and return the commit's address.

    ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` holds the token, as for the hub's own client.

    Raises:
        InputError: the hub cannot be reached, there is no token, or the hub refuses; or the repository is public and
            ``private`` was asked for. Nothing was uploaded.
        RunError: the upload failed.
    """
    reason = hub.settle()
    if reason:
        raise InputError(f"Nothing was uploaded: {reason}.")
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    endpoint = hub.endpoint()
    if get_token() is None:
        raise InputError(f"{endpoint} takes files from those whom it knows: set HF_TOKEN, or call: hf auth login")
    api = HfApi(endpoint=endpoint, library_name="twinlora")
    try:
        api.whoami()  # `create_repo` does not mind a wrong token where the repository is public
        api.create_repo(to, private=private or None, exist_ok=True)
        public = private and not api.model_info(to).private
    except Exception as error:  # errors of many libraries; all mean that the hub refuses
        raise InputError(f"{endpoint} does not open {to} for writing: {hub.explained(error)}.") from error
    if public:
        raise InputError(f"{to} is there already and is public; --private does not change it. Choose another name.")
    additions = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in _ordered(shared)
    ]
    try:
        return str(api.create_commit(to, additions, commit_message="Add what twinlora made").commit_url)
    except Exception as error:
        raise RunError(f"The upload to {to} on {endpoint} failed: {hub.explained(error)}. Call it again.") from error


def _ordered(shared: Shared) -> Iterator[tuple[str, Any]]:
    yield from sorted(shared.files.items())
