"""What scripts/distributed.sh ends in; see common/launch/supervise.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import run_script
from common.launch.supervise import main

if __name__ == "__main__":
    run_script(lambda: main(sys.argv[1:]))
