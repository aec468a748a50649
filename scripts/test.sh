#!/usr/bin/env bash
# Every test, fast and slow, but for further combinations (--nightly): sets up .venv if needed. Arguments go to pytest, for example: bash scripts/test.sh -m "not slow" tests/common
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"
# Three workers with one thread each keep two cores busy, since a test waits for the processes that it starts; frameworks that take all
# cores at once slow one another down.
export OMP_NUM_THREADS=1
exec "$VENV/bin/python" -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@"
