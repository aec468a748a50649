#!/usr/bin/env bash
# Every test, fast and slow, but for further combinations (--nightly): sets up .venv if needed. Arguments go to pytest, for example: bash scripts/test.sh -m "not slow" tests/common
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"
# Three workers with one thread each on two cores: they wait for files and processes for a third of their time, and frameworks that
# take all cores at once slow one another down.
export OMP_NUM_THREADS=1
exec "$VENV/bin/python" -m pytest -n 3 --dist loadfile "$@"
