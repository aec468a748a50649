"""Boot file of a ModelArts training job: one process per card with a preset image, one per node as the command of a
custom image.

    python scripts/modelarts/boot.py --config bert_sst2 --backend mindspore --data_url DATA --train_url OUTPUT
 It leaves TRAIN_URL/RUN_ID/{adapter,metrics.jsonl,summary.json,env.json,logs,trace}; see docs/modelarts.md, and --help.
The work is done in common/launch/. This file is written so that the interpreters of old images can read it and say what
they lack.
"""

import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036  (that is the point)
    sys.exit(
        "twinlora needs Python 3.10, 3.11 or 3.12; this image has %d.%d. Use an image made with Dockerfile.ascend."  # noqa: UP031
        % sys.version_info[:2]
    )

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the code directory, installed or not

from common.launch.job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
