"""What a job leaves behind: a folder here, or one in a bucket with a copy here."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from common.errors import RunError
from common.launch.arguments import Arguments
from common.launch.processes import Log
from common.launch.staging import download, is_remote, upload

__all__ = ["Output"]


class Output:
    """``TRAIN_URL/RUN_ID`` as this node sees it. ``run_directory`` is where training writes, ``logs`` where every
    process of the node does."""

    def __init__(self, args: Arguments, job_dir: Path, log: Log):
        self.args, self.log = args, log
        self.remote = is_remote(args.train_url)
        self.folder = job_dir / "output" if self.remote else Path(args.train_url).resolve()
        self.run_directory = self.folder / args.run_id
        self.logs = job_dir / "logs" if self.remote else self.run_directory / "logs"
        self._snapshot = job_dir / "upload"
        self._home = f"{args.train_url.rstrip('/')}/{args.run_id}"

    def restore(self) -> None:
        """Fetch what an earlier attempt left in the bucket, to be continued.

        Raises:
            RunError: there may be something, and it could not be read; beginning anew would destroy it.
        """
        if self.remote and not self.run_directory.exists():
            found = download(self._home, self.run_directory, self.args.patience, self.log.say, optional=True)
            self.log.say("Continuing the run that is there" if found else "No earlier output: a new run")

    def upload(self, attempts: int | None = None) -> None:
        """Bring a snapshot home; files may still grow while it is copied.

        Raises:
            RunError: it could not be brought.
        """
        shutil.rmtree(self._snapshot, ignore_errors=True)
        for source, target in ((self.run_directory, self._snapshot), (self.logs, self._snapshot / "logs")):
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        patience = dataclasses.replace(self.args.patience, attempts=attempts or self.args.patience.attempts)
        upload(self._snapshot, self._home, patience, self.log.say)

    def syncing(self) -> dict[str, Any]:
        """What ``run_logged`` does meanwhile: bring the output home now and then, so that a machine that is lost costs
        minutes and not the run."""
        return (
            {"meanwhile": self._sync, "every": 60 * self.args.sync_minutes}
            if self.remote and self.args.sync_minutes > 0
            else {}
        )

    def _sync(self) -> None:
        try:
            self.upload(attempts=1)
        except (RunError, OSError) as error:
            self.log.say(f"The output was not copied this time: {error}")
