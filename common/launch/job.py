"""One process of a training job, from its environment to its exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from common.errors import InputError, TwinloraError
from common.launch.arguments import Arguments, parse
from common.launch.leader import job_directory, once_per_node, own_directory, publish
from common.launch.output import Output
from common.launch.processes import ROOT, Log, python_command, run_logged
from common.launch.rank_table import wait_for_rank_table
from common.launch.spawning import exit_code, exits, launcher
from common.launch.staging import download, is_remote
from common.launch.supervise import check_port
from common.launch.topology import READ, Topology, find_topology
from common.terminal import printable

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the part of the job that falls to this process and return its exit code."""
    args = parse(arguments)
    try:
        topology = find_topology(os.environ)
        job = _Job(args, topology, arguments, os.environ)
        job.make_directory()
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    return job.run()


class _Job:
    def __init__(self, args: Arguments, topology: Topology, arguments: Sequence[str], environ: Mapping[str, str]):
        self.args, self.topology, self.arguments = args, topology, arguments
        self.environ = {name: value for name, value in environ.items() if name not in topology.unset}
        scratch = job_directory(environ, args.run_id)
        self.directory = args.job_dir.resolve() if args.job_dir else scratch.parent.resolve() / scratch.name
        self.log = Log(
            "scheduler"
            if topology.scheduler
            else f"node {topology.node_rank}"
            if topology.spawns
            else f"rank {topology.rank}"
        )
        self.place = self.directory / self.log.name.replace(
            " ", "_"
        )  # a working directory of its own: MindSpore leaves files in it
        self.first = topology.rank == 0 and not topology.scheduler
        self.output = Output(args, self.directory, self.log)
        self.reports = self.directory / "exit"  # the exit code of every process of this node

    def make_directory(self) -> None:
        """Make the scratch directory; where its name could be guessed, it must be this user's own."""
        if self.args.job_dir:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            own_directory(self.directory)

    def run(self) -> int:
        """Prepare the node, train, and bring the output home, after a crash too."""
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")  # the log of an earlier attempt stays
        self.log.open(self.output.logs / f"{self.place.name}.{moment}.log")
        code = self._guarded(self._prepare_and_train)
        if self.output.remote and self.first:
            uploaded = self._guarded(self.output.upload)
            code = code or uploaded
        if not (self.topology.spawns or self.topology.scheduler):
            self.reports.mkdir(exist_ok=True)
            publish(self.reports / self.place.name, str(code))
        self.log.say(f"exit code {code}")
        return code

    def _guarded(self, step: Callable[[], int | None]) -> int:
        """The exit code of ``step``; errors go to the log."""
        try:
            return step() or 0
        except TwinloraError as error:
            self.log.say(f"error: {error}")
            return error.exit_code
        except Exception:
            self.log.say(traceback.format_exc())
            return 1

    def _prepare_and_train(self) -> int:
        topology, remote = (
            self.topology,
            [url for url in (self.args.config, self.args.data_url, self.args.model_url) if url and is_remote(url)],
        )
        self.log.say(f"{topology}")
        if self.args.ignored:
            self.log.say(f"Ignored arguments: {' '.join(self.args.ignored)}")
        device = self._device()
        self._read_rank_table()
        patience = (len(remote) + self.output.remote) * self.args.patience.longest + 60
        coordinating = topology.mode == "msrun" and topology.node_rank == 0  # one process more than cards
        once_per_node(
            self.directory / "staging",
            1 if topology.spawns else topology.devices_per_node + coordinating,
            self._stage,
            patience,
        )
        return self._spawn() if topology.spawns else self._train(device)

    def _device(self) -> str | None:
        """The card of this process; None leaves the choice to the training."""
        kind = self.args.device
        if self.topology.devices_per_node == 1 or kind == "cpu":
            return kind
        if kind is None or ":" in kind:
            raise InputError(
                f"The {self.topology.devices_per_node} processes of this node take one card each; received --device {kind or 'not at all'}. "
                "Give its kind alone: --device ascend, --device cuda, or --device cpu."
            )
        return f"{kind}:{self.topology.local_rank}"

    def _read_rank_table(self) -> None:
        """Wait until every card of the job is there, and give MindSpore the template that it reads."""
        if self.topology.mode != "rank_table" or self.topology.world_size == 1:
            return
        file = self.environ["RANK_TABLE_FILE"]
        table = wait_for_rank_table(Path(file))
        cards, nodes = len(table.devices), len(table.servers)
        if (cards, nodes) != (self.topology.world_size, self.topology.nodes):
            raise InputError(
                f"The rank table lists the cards of the job; {file} has {cards} on {nodes} nodes, but RANK_SIZE={self.topology.world_size} "
                f"and MA_NUM_HOSTS (default 1) says {self.topology.nodes} nodes. Correct or unset what this job sets itself."
            )
        if table.template != "server_list":
            publish(self.directory / "rank_table.json", table.to_json())
            self.environ["RANK_TABLE_FILE"] = str(self.directory / "rank_table.json")

    def _stage(self) -> None:
        """Copy what is in a bucket to this node: the inputs, and the output of an earlier attempt."""
        for kind, url in (("config", self.args.config), ("data", self.args.data_url), ("model", self.args.model_url)):
            if url and is_remote(url) and not self._local(kind, url).exists():
                download(url, self._local(kind, url), self.args.patience, self.log.say)
        self.output.restore()

    def _local(self, kind: str, url: str) -> Path:
        return (
            self.directory / "inputs" / kind / url.rstrip("/").rpartition("/")[2]
            if is_remote(url)
            else Path(url).resolve()
        )

    def _spawn(self) -> int:
        """Start one process per card of this node, which find everything prepared; return the exit code of the first
        that failed."""
        if self.topology.node_rank == 0:
            assert self.topology.master_port is not None  # of every topology with several processes
            check_port(str(self.topology.master_address), self.topology.master_port)
        shutil.rmtree(self.reports, ignore_errors=True)
        command, environ, stop = launcher(
            self.args, self.topology, self.arguments, self.environ, self.directory, self.output.folder
        )
        self.log.say(f"Starting {self.topology.devices_per_node} processes: {' '.join(command)}")
        code = run_logged(
            command, self.log, environ, Path.cwd(), stop=stop, **self._meanwhile()
        )  # the arguments may hold relative paths
        reported = exits(self.reports)
        if code or any(failure for _, failure in reported):
            killed = self.topology.devices_per_node - len(reported)
            said = [f"{name}: {failure}" for name, failure in reported] + [
                f"killed before they could say theirs: {killed}"
            ] * (killed > 0)
            self.log.say(f"Exit codes of the processes, the first to end first: {', '.join(said)}")
        return exit_code(code, reported, self.topology.devices_per_node)

    def _train(self, device: str | None) -> int:
        """Run the training; in several processes it is for the training to see to it that one of them writes."""
        run_directory = self.place / "runs" / self.args.name / self.args.backend  # as twinlora names it
        run_directory.parent.mkdir(parents=True, exist_ok=True)
        self.output.run_directory.mkdir(parents=True, exist_ok=True)
        for link, target in (
            (run_directory, self.output.run_directory),
            (self.place / "inputs", self.directory / "inputs"),
        ):
            if not link.is_symlink():
                link.symlink_to(target)
        command = python_command("common.cli.main", "train", *self._training_arguments(device))
        if self.first:
            self._describe(command)
        return run_logged(command, self.log, self.environ, self.place, **self._meanwhile())

    def _training_arguments(self, device: str | None) -> list[str]:
        args = self.args
        # A configuration that is no file here may be one in the code directory; else it is the name of a shipped one.
        found = next(
            (str(path) for path in (self._local("config", args.config), ROOT / args.config) if path.is_file()),
            args.config,
        )
        arguments = [found, "--backend", args.backend, "--output", "runs", "--name", args.name, "--resume"]
        if args.data_url:
            data = self._local("data", args.data_url)
            arguments += ["--data-dir", str(data if data.is_dir() else data.parent)]
        if args.model_url:
            model = self._local("model", args.model_url)
            # A run is continued only with the model it began with, so that a staged one is named without the directory
            # of the job.
            arguments += ["--model", str(model.relative_to(self.directory) if is_remote(args.model_url) else model)]
        if device:
            arguments += ["--device", device]
        return [*arguments, *(word for setting in args.overrides for word in ("--set", setting)), *args.passed_on]

    def _describe(self, command: list[str]) -> None:
        facts = {"run_id": self.args.run_id, "topology": dataclasses.asdict(self.topology), "command": command}
        facts |= {"python": platform.python_version(), "machine": platform.machine(), "system": platform.platform()}
        facts["environment"] = {name: os.environ[name] for name in READ if name in os.environ}
        publish(self.output.run_directory / "env.json", json.dumps(facts, indent=2) + "\n")

    def _meanwhile(self) -> dict:
        return self.output.syncing() if self.first else {}
