"""What msrun starts in the place of `twinlora`: it runs it as a child and notes how it ended, since msrun itself does not tell which worker was lost first.

worker.py NOTES PROGRAM [ARGUMENTS]      writes NOTES/rank_R.ended when PROGRAM fails: the time in nanoseconds, and what happened
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


child = subprocess.Popen([sys.executable, *sys.argv[2:]], preexec_fn=_end_with_parent)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: child.send_signal(number))
code = child.wait()
if code and os.environ.get("MS_ROLE") != "MS_SCHED":
    said = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    (Path(sys.argv[1]) / f"rank_{os.environ.get('MS_NODE_ID', '?')}.ended").write_text(f"{time.time_ns()} {said}\n")
sys.exit(code if code >= 0 else 128 - code)
