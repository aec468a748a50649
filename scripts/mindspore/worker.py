"""What msrun starts in the place of `twinlora`: it runs it as a child and notes how it ended, since msrun itself does
not tell which worker was lost first.
 worker.py NOTES PROGRAM [ARGUMENTS]      writes NOTES/rank_R.ended or NOTES/scheduler.ended when PROGRAM fails: the
time in nanoseconds, and what happened
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(
        1, signal.SIGKILL
    )  # PR_SET_PDEATHSIG: no training is left behind when msrun kills this process


scheduler = os.environ.get("MS_ROLE") == "MS_SCHED"
_end_with_parent()  # nor is anything where msrun itself is killed
child = subprocess.Popen([sys.executable, *sys.argv[2:]], preexec_fn=_end_with_parent)
for number in (signal.SIGTERM, signal.SIGINT):
    # the scheduler, which the workers need while they save their state, is ended by msrun after them
    signal.signal(number, lambda number, _: None if scheduler else child.send_signal(number))
code = child.wait()
if code:
    name = "scheduler" if scheduler else f"rank_{os.environ.get('MS_NODE_ID', '?')}"
    said = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    (Path(sys.argv[1]) / f"{name}.ended").write_text(f"{time.time_ns()} {said}\n")
    if scheduler:  # msrun does not look at it, and the workers would try to reach it for ten minutes
        os.kill(os.getppid(), signal.SIGINT)
sys.exit(code if code >= 0 else 128 - code)
