#!/usr/bin/env bash
# What is too long for .ci/run: every test with its further combinations, every row of the mapping in every mode, and torch's own samples.
# Hours on two cores. Figures go to the folder given, default runs/nightly.
set -euo pipefail
export TWINLORA_EXTRAS="${TWINLORA_EXTRAS:-all,dev,docs,pages}"
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"
out="${1:-runs/nightly}"
mkdir -p "$out"
failed=0
bash scripts/test.sh --nightly || failed=1
"$VENV/bin/python" scripts/verify_modes.py -o "$out/modes.jsonl" || failed=1
"$VENV/bin/twinlora" parity all -o "$out/parity" || failed=1
bash scripts/docs.sh "$out/site" || failed=1
exit "$failed"
