"""Make the request of a ModelArts training job, check it, and submit it where ma-cli is installed.

    python scripts/modelarts/submit.py --dry-run --name sst2 --config bert_sst2 --image-url IMAGE --flavor FLAVOR \
        --code-url obs://BUCKET/twinlora/ --data-url obs://BUCKET/SST-2/ --train-url obs://BUCKET/output/

Credentials are never arguments: ma-cli has its own configuration. See docs/modelarts.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.errors import InputError, RunError, TwinloraError, nearest
from common.launch.code_dir import code_files, copy_code, find_credentials
from common.launch.processes import ROOT
from common.launch.request import JOB, MA_CLI, check, fill, rules
from common.launch.staging import is_remote
from common.reading import read_json
from common.terminal import printable

HERE = Path(__file__).resolve().parent
_TEMPLATE = {"algorithm": {"parameters?": [dict]}, ...: object}
JOB_DIR = "/home/ma-user/modelarts/user-job-dir"  # where the platform puts the last folder of the code directory's URL


def main(arguments: Sequence[str]) -> int:
    """Render, check, show; submit by default. Return the exit code."""
    args = _parser().parse_args(arguments)
    try:
        _refuse_credentials(arguments)
        job, yaml_job = _render(args)
        print(json.dumps(job, indent=2))
        _show_code()
        if args.write is not None:
            _write(args.write, job, yaml_job)
        if args.dry_run:
            print("The request is right as far as can be told here. Nothing was submitted.")
            return 0
        return _submit(yaml_job)
    except TwinloraError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code


def request(arguments: Sequence[str]) -> dict[str, Any]:
    """The request of the job that ``arguments`` describe; nothing is shown or submitted.

    Raises:
        InputError: a field is wrong, or an argument holds a credential.
    """
    for argument in arguments:
        if find_credentials(argument):
            raise InputError(
                "No credential may be in a job, where others read it. Remove it, and revoke it if it is real."
            )
    return _render(_parser().parse_args(arguments))[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make, check and submit a ModelArts training job.", allow_abbrev=False)
    add = parser.add_argument
    add("--name", required=True, help="name of the job")
    add("--description", help="shown in the console")
    add("--config", required=True, help="name of a shipped experiment, a YAML file in this repository, or obs://...")
    add("--backend", choices=("pytorch", "mindspore"), default="mindspore")
    add("--device", default="ascend", help="kind of the cards; default: ascend")
    add("--run-id", help="the output is TRAIN_URL/ID; default: CONFIG-BACKEND")
    for place, what in (
        ("code", "code directory"),
        ("train", "output"),
        ("data", "data set"),
        ("model", "base model"),
        ("log", "platform's log"),
    ):
        add(f"--{place}-url", required=place in ("code", "train"), metavar="obs://...", help=f"the {what}")
    add(
        "--image-url",
        metavar="ORGANISATION/IMAGE:TAG",
        help="custom image (Dockerfile.ascend); or else a preset engine:",
    )
    add("--engine-name", help="for example Ascend-Powered-Engine")
    add("--engine-version", help="as `ma-cli ma-job get-engine` lists it")
    add("--flavor", help="as `ma-cli ma-job get-flavor -t Ascend` lists it")
    add("--pool", help="id of a dedicated pool")
    add("--nodes", type=int, default=1)
    add("--hours", type=int, help="stop the job after this time")
    add("--restarts", type=int, default=3, help="how often the platform restarts a job that failed; default: 3")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting; may be repeated")
    add("--template", type=Path, default=HERE / "job.template.json", help="another template of the request")
    add(
        "--write", metavar="DIR", type=Path, help="write job.json, job.yaml (custom image) and the code directory there"
    )
    add("--dry-run", action="store_true", help="show and check, submit nothing")
    return parser


def _render(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The request, and the one for ma-cli where there is a custom image.

    Raises:
        InputError: a field is wrong, all of them named.
    """
    code_url = args.code_url.rstrip("/") + "/"
    boot = f"{code_url.rstrip('/').rpartition('/')[2]}/scripts/modelarts/boot.py"
    values = {key: getattr(args, key) for key in vars(args)} | {"code_url": code_url, "restarts": str(args.restarts)}
    values |= {
        "command": f"python {JOB_DIR}/{boot}",
        "boot_url": None,
        "install_sys_packages": True,
    }  # that is moxing, which train_url needs
    values |= {"auto_stop": {"time_unit": "HOURS", "duration": args.hours} if args.hours else None}
    if not args.image_url:
        values |= {"command": None, "boot_url": f"{code_url}scripts/modelarts/boot.py", "install_sys_packages": None}
    settings = [setting.partition("=") for setting in args.set]
    job = fill(
        read_json(args.template, "the template of a job", "Start from scripts/modelarts/job.template.json.", _TEMPLATE),
        values,
    )
    job.get("algorithm", {}).setdefault("parameters", []).extend(
        {"name": key, "value": value} for key, _, value in settings
    )
    faults = list(check(job, JOB)) or list(rules(job))
    faults += [
        f"--set takes KEY=VALUE with a dotted key, such as training.epochs=1, or seed; received {key}"
        for key, equals, _ in settings
        if ("." not in key and key != "seed") or not equals
    ]
    faults += [
        f"{name} must be in a bucket (obs://...); received {url}"
        for name, url in values.items()
        if name.endswith("_url") and _misplaced(name, url)
    ]
    faults += _check_config(args.config)
    if faults:
        raise InputError("The job is wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    if not args.image_url:
        return job, None
    import yaml

    given = {
        key: values[key]
        for key in ("config", "backend", "device", "run_id", "data_url", "model_url", "train_url")
        if values[key]
    }
    words = [f"--{key}={value}" for key, value in given.items()] + [f"--{setting}" for setting in args.set]
    yaml_job = fill(
        yaml.safe_load((HERE / "job.yaml").read_text(encoding="utf-8")),
        values | {"user_command": f"{values['command']} {shlex.join(words)}"},
    )
    if faults := list(check(yaml_job, MA_CLI)):
        raise InputError("The job for ma-cli is wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    return job, yaml_job


def _misplaced(name: str, url: Any) -> bool:
    return name != "image_url" and url is not None and not is_remote(url)


def _check_config(config: str) -> list[str]:
    """The job looks for a file in the code directory, or a shipped name; this repository is what becomes the code
    directory."""
    shipped = [path.stem for path in (ROOT / "configs").glob("*.yaml") if path.stem != "defaults"]
    if is_remote(config) or config in shipped or Path(config) in code_files():
        return []
    rule = "--config must be a shipped experiment, a file of the code directory such as configs/NAME.yaml, or obs://..."
    return [f"{rule}; received {config}.{nearest(config, shipped)}"]


def _refuse_credentials(arguments: Sequence[str]) -> None:
    found = [f"an argument: {what}" for argument in arguments for what in find_credentials(argument)]
    for path in code_files():
        found += [
            f"{path}: {what}" for what in find_credentials((ROOT / path).read_text(encoding="utf-8", errors="replace"))
        ]
    if found:
        listed = "\n".join(f"  {what}" for what in found)
        raise InputError(
            f"No credential may be in a job or its code directory, where others read it; found\n{listed}\nRemove it, and revoke it if it is real."
        )


def _show_code() -> None:
    files = code_files()
    for path in files:
        print(f"{(ROOT / path).stat().st_size:>10,}  {path}")
    print(
        f"{sum((ROOT / path).stat().st_size for path in files):>10,}  bytes in {len(files)} files for the code directory (at most 50 MB are advised)"
    )


def _write(folder: Path, job: dict[str, Any], yaml_job: dict[str, Any] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(job, indent=2) + "\n", encoding="utf-8")
    if yaml_job is not None:
        import yaml

        (folder / "job.yaml").write_text(yaml.safe_dump(yaml_job, sort_keys=False, width=1000), encoding="utf-8")
    copy_code(folder / "code")
    print(f"Written to {folder}; copy {folder / 'code'} to the code directory's URL.")


def _submit(yaml_job: dict[str, Any] | None) -> int:
    """Hand the job to ma-cli.

    Raises:
        RunError: it is not installed, or the job has no custom image.
    """
    if yaml_job is None or shutil.which("ma-cli") is None:
        why = (
            "ma-cli is not on PATH (ModelArts notebooks have it)"
            if yaml_job is not None
            else "job.yaml is for custom images, and --image-url is not given"
        )
        raise RunError(
            f"Nothing was submitted: {why}. Write the request with --dry-run --write DIR and send DIR/job.json to POST /v2/PROJECT_ID/training-jobs, "
            "with the platform's SDK or its API explorer."
        )
    import tempfile

    import yaml

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.yaml")
        path.write_text(yaml.safe_dump(yaml_job, sort_keys=False), encoding="utf-8")
        return subprocess.run(["ma-cli", "ma-job", "submit", str(path)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
