"""What `twinlora bench` says of the machine: its processor, and whether others kept it busy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from common.bench import machine
from common.bench.machine import BOUND, Watch, describe, processor


def watched(monkeypatch, *, seconds: float, busy: float, own: float) -> Watch:
    """A watch that saw these seconds of the clock, of all cores, and of our own processes."""
    clock, cores, ours = iter((100.0, 100.0 + seconds)), iter((50.0, 50.0 + busy)), iter((7.0, 7.0 + own))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine, "_busy", lambda: next(cores))
    monkeypatch.setattr(machine, "_own", lambda: next(ours))
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with Watch() as watch:
        pass
    return watch


@pytest.mark.parametrize(
    ("busy", "own", "threads", "quiet"),
    [
        (20.0, 19.5, 2, True),
        (20.0, 15.0, 2, False),
        (20.0, 11.0, 1, True),  # a core is free for others
        (20.0, 5.0, 1, False),
        (19.0, 20.0, 2, True),  # ticks of the system are coarser than those of a process
    ],
)
def test_ratios_hold_where_others_take_no_more_than_what_is_free(monkeypatch, busy, own, threads, quiet):
    found = watched(monkeypatch, seconds=10.0, busy=busy, own=own).result(threads)
    assert found["quiet"] is quiet
    assert found["others_cores"] == pytest.approx(max(0.0, busy - own) / 10)
    assert found["allowed_cores"] == pytest.approx(2 - threads + BOUND)


def test_a_busy_machine_is_said_beside_the_ratios(monkeypatch):
    load = watched(monkeypatch, seconds=10.0, busy=20.0, own=6.0).result(2)
    hardware = {"cpu": "A processor", "cores": 2, "processor": {"features": ["avx2"], "caches": {"L2": 2**20}}}
    about, said = describe({**hardware, "load": load})
    assert about == "A processor, 2 cores; L2 1,024 KiB; avx2"
    assert said.startswith("NOT A MEASUREMENT: other processes took 1.40 of 2 cores")
    quiet = watched(monkeypatch, seconds=10.0, busy=20.0, own=19.9).result(2)
    assert describe({**hardware, "load": quiet})[1] == "Other processes took 0.01 of 2 cores during the run."


def test_the_time_of_ended_processes_counts_as_our_own():
    with Watch() as watch:
        subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert watch.own * watch._seconds > 0.05


def test_the_processor_is_described_as_far_as_the_system_says(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f fma other\n")
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "32K"), ("1", "Instruction", "64K"), ("2", "Unified", "1M")]
    ):
        folder = tmp_path / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setattr(machine, "_FLAGS", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "_CACHES", tmp_path / "cache")
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    assert processor() == {
        "features": ["avx2", "fma", "avx512f"],
        "caches": {"L1": 2**15, "L2": 2**20},
        "quota_cores": 1.5,
    }
    (tmp_path / "cpu.max").write_text("max 100000\n")
    monkeypatch.setattr(machine, "_FLAGS", tmp_path / "absent")
    monkeypatch.setattr(machine, "_CACHES", tmp_path / "absent")
    assert processor() == {}
